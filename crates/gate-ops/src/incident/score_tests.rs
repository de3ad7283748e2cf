//! Scores, read from incidents as they are written.

use super::super::tests::{NOW, at, named, signal};
use super::super::{Desk, GamePlan, Hypothesis, Incident, Run, Standing};
use super::*;
use crate::slo::Count;

/// A run at route `orders` of 60 seconds, noticed by a suspicion after 3 s and a page after 8 s, whose
/// first answers are these places; 20 requests a second, of which `bad(second)` fail.
fn incident(places: &[&[(&str, &str)]], bad: impl Fn(u64) -> u64) -> Incident {
    let mut desk = Desk::default();
    let run = Run {
        experiment: "x".into(),
        places: vec![Conjunction::from([("route".into(), "orders".into())])],
        began_ms: NOW,
        ends_ms: NOW + 60_000,
        ..Run::default()
    };
    desk.begin(&run, "a", NOW, named);
    let mut found = at(places.first().copied().unwrap_or(&[("arm", "x")]));
    if let Some(found) = &mut found {
        let more = places.iter().skip(1);
        found
            .answers
            .extend(more.flat_map(|pairs| at(pairs).unwrap().answers));
    }
    for (opening, at_ms) in [(Opening::Suspicion, 3000), (Opening::Page, 8000)] {
        let mut heard = signal(opening, "available", found.clone());
        heard.experiment = Some("x".into());
        desk.hear(heard, NOW + at_ms, named);
    }
    desk.end("x", "", "a", "its time was over", NOW + 60_000);
    let mut incident = desk.incident("inc-1").unwrap().clone();
    let moment = |second: u64| Moment {
        at_ms: NOW + second * 1000 - 20_000,
        count: Count::new(20, bad(second)),
    };
    let moments: Vec<Moment> = (0..120).map(moment).collect();
    incident.curve(&moments);
    incident
}

/// Everything fails while it runs, and 4 seconds longer.
fn failing(second: u64) -> u64 {
    if (20..84).contains(&second) { 20 } else { 0 }
}

#[test]
fn times_and_the_place_are_read_from_the_incident() {
    let one = incident(&[&[("consumer", "c")], &[("route", "orders")]], failing);
    let found = score(&one).unwrap();
    assert_eq!(
        found,
        Score {
            suspected_ms: Some(3000),
            paged_ms: Some(8000),
            rank: Some(2),
            mitigated_ms: Some(64_000),
            recovered_ms: Some(4000),
        }
    );
    assert_eq!(found.detected_ms(), Some(3000));
    assert!(!found.named(1) && found.named(NAMED_MAX));
    assert_eq!(passed(&one), None);
}

#[test]
fn what_heals_while_it_runs_is_mitigated_then() {
    let one = incident(
        &[],
        |second| if (20..30).contains(&second) { 20 } else { 0 },
    );
    let found = score(&one).unwrap();
    assert_eq!(found.mitigated_ms, Some(10_000));
    assert_eq!(found.recovered_ms, Some(0));
    assert_eq!(found.rank, None);
}

#[test]
fn nothing_is_claimed_that_the_curve_does_not_show() {
    // It fails until the end, or one good second follows.
    for last in [119, 118] {
        let one = incident(
            &[],
            |second| if (20..=last).contains(&second) { 20 } else { 0 },
        );
        let found = score(&one).unwrap();
        assert_eq!(
            (found.mitigated_ms, found.recovered_ms),
            (None, None),
            "{last}"
        );
    }
    // What failed all the time is usual, and a run that hurt nothing needs no recovery.
    for bad in [0, 2] {
        let found = score(&incident(&[], |_| bad)).unwrap();
        assert_eq!(
            (found.mitigated_ms, found.recovered_ms),
            (None, None),
            "{bad}"
        );
    }
    let mut real = incident(&[], failing);
    real.run = None;
    assert_eq!(score(&real), None);
}

#[test]
fn a_game_day_passes_where_all_it_hoped_for_is_so() {
    let plan = GamePlan {
        name: "day".into(),
        objective: "available".into(),
        names: Vec::new(),
        detect_within_ms: 5000,
        recover_within_ms: 5000,
    };
    let mut one = incident(&[&[("route", "orders"), ("consumer", "c")]], failing);
    let mut with = |plan: &GamePlan| {
        one.run.as_mut().unwrap().plan = Some(plan.clone());
        passed(&one)
    };
    assert_eq!(with(&plan), Some(true));
    for (other, expected) in [
        (
            GamePlan {
                objective: "other".into(),
                ..plan.clone()
            },
            false,
        ),
        (
            GamePlan {
                objective: String::new(),
                ..plan.clone()
            },
            true,
        ),
        (
            GamePlan {
                names: vec!["c".into()],
                ..plan.clone()
            },
            true,
        ),
        (
            GamePlan {
                names: vec!["d".into()],
                ..plan.clone()
            },
            false,
        ),
        (
            GamePlan {
                detect_within_ms: 2999,
                ..plan.clone()
            },
            false,
        ),
        (
            GamePlan {
                recover_within_ms: 3999,
                ..plan.clone()
            },
            false,
        ),
    ] {
        assert_eq!(with(&other), Some(expected), "{other:?}");
    }
}

#[test]
fn what_was_added_by_hand_is_no_answer() {
    let mut one = incident(&[&[("consumer", "c")]], failing);
    let fact = one.act("looked around", "operations", NOW + 5000).unwrap();
    one.suppose(Hypothesis {
        text: "orders".into(),
        cell: vec![Conjunction::from([("route".into(), "orders".into())])],
        explained: 1.0,
        standing: Standing::Open,
        facts: vec![fact],
    })
    .unwrap();
    assert_eq!(score(&one).unwrap().rank, None);
}
