//! What the state machine does, one situation at a time.

use gate_flow::{Arm, Evidence, Reading, Sample};
use gate_model::resources::{Ramp, Rollout as Strategy, Shadow, Signal, Sticky, Undecided};
use gate_model::units::{Percent, Period};
use gate_ops::rollout::{ANSWERS, Decision, Order, Phase, Report, Rollout};

fn strategy() -> Strategy {
    Strategy {
        signals: vec![Signal::Errors],
        ..Strategy::default()
    }
}

/// Counts of one instance: control and candidate, each total and bad.
fn report(step: u32, slice: &str, signal: &str, counts: [u64; 4]) -> Report {
    use gate_flow::{Observed, Tally};
    let tally = |total, bad| Tally {
        total,
        bad,
        ..Tally::default()
    };
    Report {
        instance: "one".into(),
        rows: vec![Observed {
            step,
            slice: slice.into(),
            signal: signal.into(),
            control: tally(counts[0], counts[1]),
            candidate: tally(counts[2], counts[3]),
        }],
    }
}

fn begin(strategy: Strategy) -> Rollout {
    Rollout::new(strategy, vec!["orders".into()], 1, 0).unwrap()
}

#[test]
fn a_step_takes_its_least_time_and_then_goes_by_the_evidence() {
    let mut rollout = begin(strategy());
    let plenty = [report(0, "orders", "errors", [99_000, 500, 1000, 5])];
    assert_eq!(
        (rollout.share(), rollout.observe(&plenty, 9_999)),
        (0.01, None)
    );
    assert_eq!(rollout.observe(&plenty, 10_000), Some(Decision::Step));
    assert_eq!((rollout.share(), rollout.step), (0.05, 1));
    assert!(
        rollout.reason.contains("from 1 % to 5 %"),
        "{}",
        rollout.reason
    );
    // Nothing new has been seen, but what was seen before counts on.
    assert_eq!(rollout.observe(&plenty, 19_000), None);
    for (now_ms, expected) in [
        (20_000, Decision::Step),
        (30_000, Decision::Step),
        (40_000, Decision::Promote),
    ] {
        let more = [report(0, "orders", "errors", [990_000, 5000, 10_000, 50])];
        assert_eq!(rollout.observe(&more, now_ms), Some(expected));
    }
    assert_eq!((rollout.phase, rollout.share()), (Phase::Promoted, 1.0));
    assert_eq!(rollout.observe(&plenty, 90_000), None);
}

/// Counts of several steps of the route `orders`: control and candidate, each total and bad.
fn by_step(counts: &[[u64; 4]]) -> Report {
    let of = |(step, counts): (usize, &[u64; 4])| {
        let step = u32::try_from(step).unwrap();
        report(step, "orders", "errors", *counts).rows.remove(0)
    };
    Report {
        instance: "one".into(),
        rows: counts.iter().enumerate().map(of).collect(),
    }
}

#[test]
fn a_ramp_grows_with_the_evidence_and_waits_without_it() {
    let ramp = Ramp {
        doubling: Period::from_seconds(4),
        ..Ramp::default()
    };
    let strategy = Strategy {
        ramp: Some(ramp),
        ..strategy()
    };
    let mut rollout = begin(strategy.clone());
    assert_eq!(rollout.share(), 0.01);
    let little = [by_step(&[[990, 5, 10, 0]])];
    assert_eq!(rollout.observe(&little, 5_000), None);
    assert!(
        rollout.reason.contains("stays at 1 %"),
        "{}",
        rollout.reason
    );
    // Enough for a small share is not enough for a larger one.
    let some = [by_step(&[[29_700, 150, 300, 1]])];
    let mut now_ms = 5_000;
    let mut shares = vec![rollout.share()];
    while rollout.observe(&some, now_ms).is_some() {
        shares.push(rollout.share());
        assert_eq!(rollout.observe(&some, now_ms + 999), None, "not that soon");
        now_ms += 1_000;
    }
    let reached = rollout.share();
    assert!((0.012..0.4).contains(&reached), "{shares:?}");
    assert!(shares.windows(2).all(|pair| pair[1] < pair[0] * 1.2));
    // The evidence of every share counts, each with its own.
    let steps = vec![[99_000, 500, 2_000, 10]; 20];
    let plenty = [by_step(&steps)];
    while rollout.observe(&plenty, now_ms) == Some(Decision::Step) {
        now_ms += 1_000;
    }
    assert_eq!((rollout.phase, rollout.share()), (Phase::Running, 0.5));
    assert_eq!(
        rollout.observe(&plenty, now_ms + 10_000),
        Some(Decision::Promote)
    );
    assert_eq!(rollout.events.len(), 2, "{:?}", rollout.events);

    // Failures at the share of their moment: few of a small one, more of a larger one.
    let mut rollout = begin(strategy.clone());
    let bad = [by_step(&[[400, 2, 4, 4]])];
    assert_eq!(rollout.observe(&bad, 500), Some(Decision::RollBack));
    let mut rollout = begin(strategy);
    let mut counts = vec![[0; 4]; 23];
    counts[22] = [400, 2, 4, 4];
    assert_eq!(rollout.observe(&[by_step(&counts)], 500), None);
}

#[test]
fn a_ramp_without_evidence_doubles_where_it_was_told_to_go_on() {
    let mut rollout = begin(Strategy {
        ramp: Some(Ramp::default()),
        undecided: Undecided::Promote,
        ..strategy()
    });
    let little = [report(0, "orders", "errors", [300, 1, 3, 0])];
    assert_eq!(rollout.observe(&little, 599_999), None);
    assert_eq!(rollout.observe(&little, 600_000), Some(Decision::Step));
    assert!((rollout.share() - 0.02).abs() < 1e-9, "{}", rollout.share());
}

#[test]
fn failures_of_the_candidate_take_it_back_with_reasons() {
    let mut rollout = begin(strategy());
    let bad = [report(0, "orders", "errors", [400, 2, 4, 4])];
    assert_eq!(rollout.observe(&bad, 500), Some(Decision::RollBack));
    assert_eq!((rollout.phase, rollout.share()), (Phase::RolledBack, 0.0));
    let reason = &rollout.reason;
    assert!(
        reason.contains("errors on `orders`: 4 of 4 by the new revision"),
        "{reason}"
    );
    assert!(reason.contains("2 of 400 by the current one"), "{reason}");
    let line = &rollout.assess(&bad).lines[0];
    assert_eq!((line.candidate.bad, line.control.total), (4, 400));
    assert!(line.log_evidence > 6.9);
    assert_eq!(rollout.events.len(), 2);
}

#[test]
fn an_outage_of_both_takes_nothing_back() {
    let mut rollout = begin(strategy());
    let outage = [report(0, "orders", "errors", [9_900, 9_900, 100, 100])];
    // As many of the candidate's fail as of the other's: that is no reason to stay, either.
    assert_eq!(rollout.observe(&outage, 60_000), Some(Decision::Step));
    assert_eq!(rollout.phase, Phase::Running);
}

#[test]
fn too_little_traffic_ends_in_what_was_chosen() {
    for (undecided, decision, phase) in [
        (Undecided::Hold, Decision::Hold, Phase::Held),
        (Undecided::Promote, Decision::Step, Phase::Running),
        (Undecided::RollBack, Decision::RollBack, Phase::RolledBack),
    ] {
        let mut rollout = begin(Strategy {
            undecided,
            ..strategy()
        });
        let little = [report(0, "orders", "errors", [300, 1, 3, 0])];
        assert_eq!(rollout.observe(&little, 599_999), None);
        assert!(rollout.reason.contains("not enough evidence yet on errors"));
        assert_eq!(rollout.observe(&little, 600_000), Some(decision));
        assert_eq!(rollout.phase, phase);
        assert!(
            rollout.reason.contains("undecided after 10m"),
            "{}",
            rollout.reason
        );
    }
    let mut rollout = begin(strategy());
    assert_eq!(rollout.observe(&[], 600_000), Some(Decision::Hold));
    assert!(
        rollout.reason.contains("has served nothing"),
        "{}",
        rollout.reason
    );
}

#[test]
fn doubt_keeps_a_share_from_growing_even_when_time_is_up() {
    let mut rollout = begin(Strategy {
        undecided: Undecided::Promote,
        ..strategy()
    });
    let doubtful = [report(0, "orders", "errors", [99_000, 300, 1000, 11])];
    let before = rollout.assess(&doubtful).against;
    assert!((2.4..6.9).contains(&before), "{before}");
    assert_eq!(rollout.observe(&doubtful, 599_000), None);
    assert_eq!(rollout.observe(&doubtful, 600_000), Some(Decision::Hold));
}

#[test]
fn people_may_hold_resume_promote_and_take_back() {
    let mut rollout = begin(strategy());
    assert_eq!(rollout.order(Order::Hold, "ada", 1000), Ok(Decision::Hold));
    assert!(rollout.order(Order::Hold, "ada", 1000).is_err());
    let plenty = [report(0, "orders", "errors", [99_000, 500, 1000, 5])];
    assert_eq!(rollout.observe(&plenty, 60_000), None);
    assert_eq!(rollout.reason, "held by ada");
    assert_eq!(
        rollout.order(Order::Resume, "ada", 60_000),
        Ok(Decision::Step)
    );
    assert!(rollout.order(Order::Resume, "ada", 60_000).is_err());
    assert_eq!(
        rollout.order(Order::Promote, "ada", 61_000),
        Ok(Decision::Promote)
    );
    assert!(rollout.order(Order::RollBack, "ada", 62_000).is_err());
    // What is held is still guarded.
    let mut rollout = begin(strategy());
    rollout.order(Order::Hold, "ada", 1000).unwrap();
    let bad = [report(0, "orders", "errors", [400, 2, 4, 4])];
    assert_eq!(rollout.observe(&bad, 2000), Some(Decision::RollBack));
}

#[test]
fn another_instance_goes_on_where_one_stopped() {
    let mut rollout = begin(Strategy::default());
    let plenty = [report(0, "orders", "errors", [99_000, 500, 1000, 5])];
    rollout.observe(&plenty, 10_000);
    let text = serde_json::to_string(&rollout).unwrap();
    let other: Rollout = serde_json::from_str(&text).unwrap();
    assert_eq!(other, rollout);
    let (mut one, mut two) = (rollout, other);
    let bad = [report(1, "orders", "errors", [400, 2, 14, 14])];
    assert_eq!(one.observe(&bad, 20_000), two.observe(&bad, 20_000));
    assert_eq!(one, two);
}

#[test]
fn a_slow_candidate_is_found_by_marks_of_the_control() {
    let signals = vec![Signal::Errors, Signal::Latency];
    let evidence = Evidence::new(
        vec!["orders".into()],
        vec!["errors".into(), "latency".into()],
        false,
    );
    let mut rollout = begin(Strategy {
        signals,
        ..Strategy::default()
    });
    let mut decision = None;
    for second in 1..=60_u64 {
        for number in 0..200_u64 {
            let arm = if number % 100 == 0 {
                Arm::Candidate
            } else {
                Arm::Control
            };
            let time =
                20_000 + number * 97 % 10_000 + if arm == Arm::Candidate { 15_000 } else { 0 };
            let readings = [Reading::Label(false), Reading::Size(time)];
            let sample = Sample {
                step: 0,
                slice: 0,
                arm,
                caller: None,
                readings: &readings,
            };
            evidence.add(&sample);
        }
        let report = Report {
            instance: "one".into(),
            rows: evidence.totals(),
        };
        decision = rollout.observe(&[report], second * 1000);
        if decision.is_some() {
            break;
        }
    }
    assert_eq!(decision, Some(Decision::RollBack));
    assert!(
        rollout.reason.contains("latency on `orders` beyond"),
        "{}",
        rollout.reason
    );
}

#[test]
fn one_route_of_many_is_enough() {
    let slices: Vec<String> = (0..40).map(|number| format!("route-{number}")).collect();
    let mut rollout = Rollout::new(strategy(), slices, 1, 0).unwrap();
    let bad = [report(0, "route-7", "errors", [400, 2, 6, 6])];
    assert_eq!(rollout.observe(&bad, 2000), Some(Decision::RollBack));
}

#[test]
fn instances_are_summed_at_random_and_averaged_where_callers_stay() {
    let sticky = Some(Sticky::Credential {});
    let mut at_random = Rollout::new(strategy(), vec!["orders".into()], 4, 0).unwrap();
    let strategy = Strategy {
        sticky,
        ..strategy()
    };
    let mut by_caller = Rollout::new(strategy, vec!["orders".into()], 4, 0).unwrap();
    let reports: Vec<Report> = (0..4)
        .map(|number| Report {
            instance: format!("i{number}"),
            ..report(0, "orders", "errors", [400, 1, 1, 1])
        })
        .collect();
    // Four failures of four instances; the same caller could be behind all of them.
    assert_eq!(at_random.observe(&reports, 1000), Some(Decision::RollBack));
    assert_eq!(by_caller.observe(&reports, 1000), None);
}

#[test]
fn answers_are_compared_before_anybody_is_served() {
    let shadow = Some(Shadow::default());
    for (seen, decision, phase) in [
        ([0, 0, 200, 2], Some(Decision::Step), Phase::Running),
        ([0, 0, 200, 3], Some(Decision::RollBack), Phase::RolledBack),
        ([0, 0, 10, 3], Some(Decision::RollBack), Phase::RolledBack),
        ([0, 0, 199, 2], None, Phase::Shadow),
    ] {
        let mut rollout = begin(Strategy {
            shadow: shadow.clone(),
            ..strategy()
        });
        assert_eq!((rollout.phase, rollout.share()), (Phase::Shadow, 0.0));
        let reports = [report(0, "orders", ANSWERS, seen)];
        assert_eq!(rollout.observe(&reports, 5000), decision, "{seen:?}");
        assert_eq!(rollout.phase, phase);
    }
}

#[test]
fn what_answers_took_is_shown_and_decides_nothing() {
    let strategy = Strategy {
        shadow: Some(Shadow::default()),
        ..strategy()
    };
    let mut rollout = begin(strategy);
    let mut seen = report(0, "orders", ANSWERS, [0, 0, 200, 1]);
    // Dearer each time, and slower half of the time.
    let cost = report(0, "orders", "answers_cost", [200, 0, 200, 180]);
    let latency = report(0, "orders", "answers_latency", [200, 90, 200, 95]);
    seen.rows.extend([cost.rows, latency.rows].concat());
    let shown = rollout.assess(std::slice::from_ref(&seen));
    let line = |signal: &str| {
        let mut of = shown.lines.iter().filter(|line| line.signal == signal);
        of.next().unwrap().log_evidence
    };
    assert!(line("answers_cost") > 50.0 && line("answers_latency") < 1.0);
    assert_eq!((line(ANSWERS), shown.against.abs() < 1e-9), (0.0, true));
    assert_eq!(rollout.observe(&[seen], 5000), Some(Decision::Step));
    let told = "cost: 180 of 200 took more by the new revision, 0 less";
    assert!(rollout.reason.contains(told), "{}", rollout.reason);
}

#[test]
fn a_strategy_that_cannot_work_is_refused() {
    let steps = vec![Percent::HUNDRED];
    let refused = Rollout::new(
        Strategy {
            steps,
            ..strategy()
        },
        vec![],
        1,
        0,
    );
    assert!(refused.unwrap_err().to_string().starts_with("steps: "));
}
