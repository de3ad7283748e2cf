//! An experiment's end, cap, share, guard and stop.

use super::*;
use gate_model::units::Percent;

fn experiment(clock: &Clock, share: f64, most: u32, stop_at: Option<StopAt>) -> Experiment {
    Experiment {
        name: "x".into(),
        digest: Arc::default(),
        inject: Injection::Reset {},
        scope: ExperimentScope {
            upstream: Some("up".to_owned()),
            ..ExperimentScope::default()
        },
        when: None,
        share,
        most,
        stop_at,
        lasts: None,
        until: None,
        run: Arc::new(ExperimentRun::new(clock)),
    }
}

fn at(name: &str) -> ExperimentPlace<'_> {
    ExperimentPlace::Upstream {
        name,
        endpoint: "127.0.0.1:1",
    }
}

#[test]
fn it_ends_by_the_process_clock() {
    let (clock, hands) = Clock::manual();
    let one = Arc::new(experiment(&clock, 1.0, 9, None));
    assert!(InScope::offered(std::slice::from_ref(&one)).is_none());
    assert_eq!(one.run.counts().state, ExperimentState::Awaited);
    one.run.begin(Some(Duration::from_secs(60)), None);
    let scope = InScope::offered(std::slice::from_ref(&one)).expect("it runs");
    hands.advance(Duration::from_secs(59));
    // Beginning again, as a reload does, moves nothing.
    one.run.begin(Some(Duration::from_secs(60)), None);
    assert!(scope.strike(&at("up")).is_some());
    hands.advance(Duration::from_secs(1));
    assert!(scope.strike(&at("up")).is_none());
    assert_eq!(one.run.counts().state, ExperimentState::Ended);
    assert!(InScope::offered(std::slice::from_ref(&one)).is_none());
}

#[test]
fn nothing_runs_for_more_than_a_day() {
    let (clock, hands) = Clock::manual();
    for until in [None, Some(Duration::from_secs(1_000_000))] {
        let one = experiment(&clock, 1.0, 9, None);
        one.run.begin(None, until);
        let left = one.run.left().expect("it runs");
        assert_eq!(left, Duration::from_secs(EXPERIMENT_S_MAX));
    }
    hands.advance(Duration::from_secs(500));
    let late = experiment(&clock, 1.0, 9, None);
    late.run.begin(None, Some(Duration::from_secs(500)));
    assert_eq!(late.run.counts().state, ExperimentState::Ended);
}

#[test]
fn the_cap_holds_and_is_given_back() {
    let clock = Clock::System;
    let one = Arc::new(experiment(&clock, 1.0, 2, None));
    one.run.begin(None, None);
    let scope = InScope::offered(std::slice::from_ref(&one)).expect("it runs");
    let held: Vec<_> = (0..5).map(|_| scope.strike(&at("up"))).collect();
    assert_eq!(held.iter().flatten().count(), 2);
    let counts = one.run.counts();
    assert_eq!((counts.active, counts.strikes, counts.spared), (2, 2, 3));
    drop(held);
    assert_eq!(one.run.counts().active, 0);
    assert!(scope.strike(&at("up")).is_some());
    assert!(scope.strike(&at("other")).is_none());
}

#[test]
fn the_share_is_kept() {
    let one = Arc::new(experiment(&Clock::System, 0.25, u32::MAX, None));
    one.run.begin(None, None);
    let scope = InScope::offered(std::slice::from_ref(&one)).expect("it runs");
    let struck = (0..10_000).filter(|_| scope.strike(&at("up")).is_some());
    // Six standard deviations to each side.
    let count = struck.count();
    assert!((2_240..2_760).contains(&count), "{count}");
}

#[test]
fn the_guard_stops_it_and_nothing_else_does() {
    let (clock, hands) = Clock::manual();
    let guard = StopAt {
        budget: None,
        bad: Percent::from_percents(50),
        least: 10,
    };
    let one = experiment(&clock, 1.0, 9, Some(guard.clone()));
    one.run.begin(None, None);
    let saw = |bad| one.run.saw(bad, one.stop_at.as_ref());
    assert!(!(0..9).any(|_| saw(true)), "too few");
    let other = experiment(&clock, 1.0, 9, Some(guard));
    other.run.begin(None, None);
    for turn in 0..1_000 {
        hands.advance(Duration::from_millis(100));
        assert!(!other.run.saw(turn % 3 == 0, other.stop_at.as_ref()));
    }
    assert_eq!(other.run.counts().seen, 1_000);
    assert!(saw(true), "the tenth bad one stops it");
    assert!(!saw(true), "once");
    assert_eq!(one.run.counts().state, ExperimentState::StoppedByGuard);
    assert!(!one.run.is_running());
}

#[test]
fn a_stop_is_for_good() {
    let one = experiment(&Clock::System, 1.0, 9, None);
    assert!(!one.run.stop(), "it has not begun");
    one.run.begin(None, None);
    assert!(one.run.stop());
    assert!(!one.run.stop());
    one.run.begin(None, None);
    assert_eq!(one.run.counts().state, ExperimentState::Stopped);
}
