//! What counts, what is good, what counting costs.

use super::*;
use crate::{AiFacts, GuardFacts, GuardVerdict};
use gate_model::fault::FaultCode;

#[test]
fn no_event_is_lost_and_none_is_bad_without_having_been() {
    let score = Score::default();
    let (mut before, mut sum) = (score.reading(), Events::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|number| score.add(number % 10 == 0)));
        }
        for _ in 0..1000 {
            let now = score.reading();
            let added = Events::between(before, now);
            assert!(added.bad <= added.total, "{added:?}");
            (sum.total, sum.bad) = (sum.total + added.total, sum.bad + added.bad);
            before = now;
        }
    });
    let last = Events::between(before, score.reading());
    assert_eq!(
        (sum.total + last.total, sum.bad + last.bad),
        (40_000, 4_000)
    );
}

#[test]
fn a_score_that_wraps_is_read_all_the_same() {
    let earlier = u64::MAX - 2;
    let later = earlier.wrapping_add(7 | 3 << 32);
    let added = Events::between(earlier, later);
    assert_eq!((added.total, added.bad), (7, 3));
}

fn record(status: u16, fault: Option<FaultCode>, outcome: Outcome) -> Record {
    Record {
        status,
        fault,
        outcome,
        duration: Duration::from_millis(21),
        ..Record::default()
    }
}

#[test]
fn callers_are_not_to_blame_for_us_nor_we_for_them() {
    let refused = Some(FaultCode::UpstreamUnreachable);
    let cases = [
        (record(200, None, Outcome::Complete), false),
        (record(404, None, Outcome::Complete), false),
        (
            record(0, Some(FaultCode::ClientClosed), Outcome::ClientClosed),
            false,
        ),
        (record(500, None, Outcome::Complete), true),
        (record(502, refused, Outcome::Complete), true),
        (record(200, None, Outcome::Cut), true),
    ];
    for (record, is_bad) in cases {
        assert_eq!(
            Judge::Available.is_bad_by(&record),
            Some(is_bad),
            "{record:?}"
        );
    }
}

#[test]
fn what_says_nothing_does_not_count() {
    let within = |ms| Judge::Latency(Duration::from_millis(ms));
    let answered = record(200, None, Outcome::Complete);
    assert_eq!(within(21).is_bad_by(&answered), Some(false));
    assert_eq!(within(20).is_bad_by(&answered), Some(true));
    let failed = record(503, None, Outcome::Complete);
    assert_eq!(within(1).is_bad_by(&failed), None);
    let gone = record(200, None, Outcome::ClientClosed);
    assert_eq!(within(1).is_bad_by(&gone), None);
    let first = Judge::FirstToken(Duration::from_millis(300));
    assert_eq!(first.is_bad_by(&answered), None);
    let dear = Judge::Cost(Money::from_picodollars(100));
    assert_eq!(dear.is_bad_by(&answered), None);
    let call = Record {
        ai: Some(Box::new(AiFacts {
            first_token: Some(Duration::from_millis(301)),
            cost: Some(Money::from_picodollars(100)),
            ..AiFacts::default()
        })),
        ..answered
    };
    assert_eq!(first.is_bad_by(&call), Some(true));
    assert_eq!(dear.is_bad_by(&call), Some(false));
}

#[test]
fn a_detector_that_could_not_judge_says_nothing() {
    let quality = Judge::Quality("insults".into());
    let verdict = |rule: &str, action| GuardVerdict {
        rule: rule.into(),
        point: "response",
        action,
        count: 1,
    };
    let with = |verdicts: Vec<GuardVerdict>| Record {
        guard: Some(Box::new(GuardFacts {
            verdicts,
            ..GuardFacts::default()
        })),
        ..record(200, None, Outcome::Complete)
    };
    let is_bad = |verdicts| quality.is_bad_by(&with(verdicts));
    assert_eq!(is_bad(vec![]), Some(false));
    assert_eq!(is_bad(vec![verdict("secrets", "block")]), Some(false));
    assert_eq!(is_bad(vec![verdict("insults", "failed")]), None);
    assert_eq!(is_bad(vec![verdict("insults", "observe")]), Some(true));
}

/// What an exchange pays for objectives, in a release build.
#[test]
#[ignore = "measures; see docs/results.md"]
#[allow(clippy::print_stdout, reason = "figures are for people")]
fn bar_counting() {
    const EXCHANGES: u32 = 5_000_000;
    let mut record = record(200, None, Outcome::Complete);
    record.revision = 7;
    record.route = Some("orders".into());
    record.consumer = Some("storefront".into());
    record.listener = Some("public".into());
    record.attempts.push(crate::Attempt {
        endpoint: "10.0.1.10:8080".into(),
        status: 200,
        fault: None,
        started: Duration::ZERO,
        duration: Duration::from_millis(20),
        reused: true,
    });
    let kinds: [fn() -> Judge; 2] = [
        || Judge::Available,
        || Judge::Latency(Duration::from_millis(300)),
    ];
    for count in [1, 2, 4] {
        let counting = |index: usize| Counting {
            name: format!("o{index}").as_str().into(),
            restriction: None,
            judge: kinds[index % 2](),
            score: Arc::default(),
        };
        let objectives: Vec<Counting> = (0..count).map(counting).collect();
        let names = objectives.iter().map(|one| one.name.clone()).collect();
        let cells = Arc::new(Cells::default());
        let all = Countings {
            objectives,
            names,
            cells,
        };
        let mut best = Duration::MAX;
        for _ in 0..7 {
            let began = std::time::Instant::now();
            for number in 0..EXCHANGES {
                record.status = if number % 64 == 0 { 503 } else { 200 };
                all.count_by(std::hint::black_box(&record), |_| None);
            }
            best = best.min(began.elapsed());
        }
        let taken = all.objectives[0].score.take();
        assert_eq!(taken.total, 7 * u64::from(EXCHANGES));
        println!("{count} objectives: {:?} per exchange", best / EXCHANGES);
    }
}

#[test]
fn a_restriction_holds_for_whom_it_names() {
    let mut record = record(200, None, Outcome::Complete);
    record.consumer = Some("storefront".into());
    let only = |consumer: &str, team: Option<&str>| Restriction {
        consumer: Some(consumer.into()),
        team: team.map(Into::into),
        ..Restriction::default()
    };
    assert!(only("storefront", None).admits(&record));
    assert!(!only("store", None).admits(&record));
    assert!(!only("storefront", Some("shop")).admits(&record));
    record.team = Some("shop".into());
    assert!(only("storefront", Some("shop")).admits(&record));
}
