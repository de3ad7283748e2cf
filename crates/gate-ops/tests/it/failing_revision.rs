//! The engines together, on a virtual clock: a revision that fails every request is suspected, found
//! and written down before anybody could have looked.

use gate_kit::clock::Clock;
use gate_kit::random;
use gate_ops::attribution::{Cells, Settings, attribute};
use gate_ops::incident::{Desk, Effect, Life, Opening, Query, Signal, Subject, What, onset};
use gate_ops::slo::{Change, Count, Monitor, Objective, Severity, Span, Turn};
use std::collections::BTreeMap;
use std::time::Duration;

const RATE: u64 = 200;
/// Seconds of calm before the revision takes half of the exchanges of one route.
const CALM: u64 = 3600;
const DIMENSIONS: [&str; 4] = ["revision", "route", "provider", "consumer"];

/// Exchanges of a second, as cells with their counts.
fn second(at_s: u64) -> Vec<([String; 4], Count)> {
    let exchange = |_| {
        let route = ["orders", "search", "login"][random::below(3)];
        let is_new = at_s >= CALM && route == "orders" && random::below(2) == 0;
        let revision = if is_new { "8" } else { "7" };
        let is_bad = is_new || random::below(5000) == 0;
        let provider = format!("p{}", random::below(3));
        let consumer = format!("c{}", random::below(40));
        (
            [revision.into(), route.into(), provider, consumer],
            Count::new(1, u64::from(is_bad)),
        )
    };
    (0..RATE).map(exchange).collect()
}

fn query(from_s: u64, until_s: u64) -> Query {
    Query {
        of: "records".into(),
        filter: BTreeMap::from([("objective".into(), "available".into())]),
        from_ms: from_s * 1000,
        until_ms: until_s * 1000,
    }
}

/// What the detector says, with where it is.
fn signal(history: &[(Vec<([String; 4], Count)>, Count)], began_s: u64, now_s: u64) -> Signal {
    let mut cells = Cells::new(&DIMENSIONS);
    for (second, (exchanges, _)) in (0..).zip(history) {
        for (values, count) in exchanges {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            match second < began_s {
                true => cells.before(&values, *count),
                false => cells.now(&values, *count),
            }
        }
    }
    Signal {
        opening: Opening::Suspicion,
        subject: Subject {
            objective: Some("available".into()),
            ..Subject::default()
        },
        attribution: Some(attribute(&cells, &Settings::default())),
        query: query(began_s, now_s),
        experiment: None,
        text: "`available` is suspected to burn".into(),
    }
}

/// Seconds from the first bad exchange to an incident that names the revision.
fn caught(seed: u64) -> u64 {
    random::seed(seed);
    let (clock, hands) = Clock::manual();
    let mut monitor = Monitor::new(&Objective::new(
        "available",
        0.999,
        Span::Rolling(30 * 86_400),
    ))
    .unwrap();
    let (mut desk, mut history) = (Desk::default(), Vec::new());
    loop {
        let at_s = clock.unix().as_secs();
        let exchanges = second(at_s);
        let bad = exchanges.iter().map(|(_, count)| count.bad).sum();
        monitor.record(at_s, Count::new(RATE, bad));
        history.push((exchanges, Count::new(RATE, bad)));
        hands.advance(Duration::from_secs(1));
        let now_s = clock.unix().as_secs();
        let changes = monitor.evaluate(now_s);
        let is_page = changes.contains(&Change::Burn {
            severity: Severity::Page,
            on: true,
        });
        assert!(!is_page || at_s >= CALM, "a page in the calm");
        if !changes.contains(&Change::Suspicion(Turn::Opened)) {
            assert!(at_s < CALM + 5, "seed {seed}: not within 5 s");
            continue;
        }
        let counts: Vec<Count> = history.iter().map(|(_, count)| *count).collect();
        let began = onset(&counts[counts.len().saturating_sub(120)..]).unwrap();
        let began_s = (counts.len().saturating_sub(120) + began.index) as u64;
        let signal = signal(&history, began_s, now_s);
        let effect = desk.hear(signal, now_s * 1000, |number| format!("inc-{number}"));
        assert_eq!(effect, Effect::Opened("inc-1".into()));
        let incident = desk.incident("inc-1").unwrap();
        let what = What::Onset {
            before: began.before,
            since: began.since,
        };
        incident.note(began_s * 1000, what, query(began_s, now_s));
        assert_eq!(incident.life, Life::Detected);
        assert_eq!(incident.onset_ms(), CALM * 1000, "seed {seed}");
        assert!(
            incident.revisions.contains("8"),
            "seed {seed}: {:?}",
            incident.cell
        );
        return now_s - CALM;
    }
}

#[test]
fn a_revision_that_fails_outright_is_an_incident_within_seconds() {
    let seconds: Vec<u64> = (0..10).map(caught).collect();
    assert!(seconds.iter().all(|seconds| *seconds <= 2), "{seconds:?}");
}
