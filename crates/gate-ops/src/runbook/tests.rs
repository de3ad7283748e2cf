//! What runs do, by examples.

use super::*;
use gate_model::resources::Runbook;
use serde_json::{Value, json};

pub(super) fn book(change: Value) -> Runbook {
    let mut written = json!({
        "about": "takes the endpoint out that fails",
        "precondition": { "holds": "share > 0.1", "over": "10s", "within": "30s" },
        "steps": [
            { "name": "take-out", "do": { "act": {
                "action": { "eject": { "upstream": "orders" } }, "for": "10m",
            } } },
        ],
        "postcondition": { "holds": "share < 0.01", "over": "10s", "within": "60s" },
    });
    for (field, value) in change.as_object().unwrap() {
        written[field] = value.clone();
    }
    serde_json::from_value(written).unwrap_or_else(|error| panic!("{error}"))
}

fn person(who: &str) -> Cause {
    Cause::Person {
        who: who.into(),
        reason: "a page".into(),
    }
}

fn started(change: Value) -> Run {
    let mut desk = Desk::default();
    desk.start(
        "shop",
        ("eject", &book(change)),
        (person("ann"), "k".into()),
        false,
        1_000,
    )
    .unwrap()
    .clone()
}

fn seen(run: &Run) -> Vec<&str> {
    run.lines.iter().map(|line| line.of.as_str()).collect()
}

#[test]
fn a_run_goes_from_its_precondition_to_its_postcondition() {
    let mut run = started(json!({}));
    assert!(matches!(run.order(), Order::Look { from_ms: 0, .. }));
    run.looked(Verdict::TooFew, "nothing", 2_000);
    assert_eq!(run.state, State::AwaitsPrecondition);
    run.looked(Verdict::Holds, "half is bad", 3_000);
    let Order::Act { id, lasts_ms, .. } = run.order() else {
        panic!("{:?}", run.order());
    };
    assert_eq!((id.as_str(), lasts_ms), ("run-shop-1-1", 600_000));
    assert!(run.begin("a", 3_000));
    run.acted(&id);
    assert_eq!(run.order(), Order::Wait);
    run.finished(Ok("it is out".into()), 4_000);
    let Order::Look { from_ms, .. } = run.order() else {
        panic!("{:?}", run.order());
    };
    assert_eq!(from_ms, 4_000, "traffic from before does not count");
    run.looked(Verdict::Holds, "all is well", 14_000);
    assert_eq!((run.state, run.ended_ms), (State::Done, Some(14_000)));
    assert_eq!(
        seen(&run),
        [
            "start",
            "precondition",
            "take-out",
            "take-out",
            "postcondition",
            "end"
        ]
    );
}

#[test]
fn what_does_not_help_is_undone() {
    let mut run = started(json!({}));
    run.looked(Verdict::Holds, "half is bad", 3_000);
    assert!(run.begin("a", 3_000));
    run.acted("run-shop-1-1");
    run.finished(Ok("it is out".into()), 4_000);
    run.looked(Verdict::HoldsNot, "half is bad", 63_999);
    assert_eq!(run.state, State::AwaitsPostcondition);
    run.looked(Verdict::HoldsNot, "half is bad", 64_000);
    assert_eq!(run.order(), Order::Undo("run-shop-1-1"));
    run.undone("run-shop-1-1", "it is in again", 65_000);
    assert_eq!(run.state, State::Failed);
}

#[test]
fn what_is_not_needed_is_not_done() {
    for verdict in [Verdict::HoldsNot, Verdict::TooFew, Verdict::Broken] {
        let mut run = started(json!({}));
        run.looked(verdict, "it is not so", 31_000);
        assert_eq!(run.state, State::NotNeeded);
    }
}

#[test]
fn who_started_it_cannot_agree_to_it() {
    let approval = json!({ "precondition": null, "approval": { "within": "10m" } });
    let mut run = started(approval.clone());
    assert_eq!(run.state, State::AwaitsApproval);
    assert!(run.approve("ann", "", 2_000).is_err());
    assert_eq!(run.state, State::AwaitsApproval);
    run.approve("bob", "go", 2_000).unwrap();
    assert_eq!(run.state, State::AwaitsStep);
    assert!(run.approve("bob", "go", 2_000).is_err());
    let mut run = started(json!({ "precondition": null, "approval": { "by_starter": true } }));
    run.approve("ann", "", 2_000).unwrap();
    let mut run = started(approval);
    assert!(!run.tick(600_999) && run.tick(601_000));
    assert_eq!(run.state, State::Failed);
}

#[test]
fn questions_are_answered_by_what_they_name() {
    let ask = json!({ "precondition": null, "steps": [{ "name": "ask", "do": { "ask": {
        "question": "Is the sale over?", "answers": ["yes", "no"], "goes_on": ["yes"], "within": "1m",
    } } }] });
    let mut run = started(ask.clone());
    assert!(run.answer("bob", "perhaps", 2_000).is_err());
    run.answer("bob", "yes", 2_000).unwrap();
    assert_eq!(run.state, State::AwaitsPostcondition);
    let mut run = started(ask.clone());
    run.answer("bob", "no", 2_000).unwrap();
    assert_eq!(run.state, State::Cancelled);
    let mut run = started(ask);
    assert!(run.tick(61_000));
    assert_eq!(run.state, State::Failed);
}

fn command(idempotent: bool) -> Value {
    json!({ "precondition": null, "steps": [{ "name": "restart", "idempotent": idempotent,
        "do": { "command": { "program": "/usr/bin/true", "timeout": "10s" } } }] })
}

#[test]
fn a_command_that_was_begun_is_not_run_again_by_another() {
    let mut run = started(command(false));
    assert!(matches!(run.order(), Order::Command { .. }));
    assert!(run.begin("a", 2_000));
    run.resume("a", 3_000);
    assert_eq!((run.state, run.order()), (State::AwaitsStep, Order::Wait));
    run.resume("b", 3_000);
    assert_eq!(run.state, State::Unknown);
    let mut run = started(command(true));
    for life in ["a", "b", "c"] {
        run.resume(life, 3_000);
        assert!(matches!(run.order(), Order::Command { .. }), "{life}");
        assert!(run.begin(life, 3_000));
    }
    run.resume("d", 3_000);
    assert_eq!(run.state, State::Unknown, "it is not repeated for ever");
    let mut run = started(command(false));
    assert!(run.begin("a", 2_000));
    assert!(!run.tick(41_999) && run.tick(42_000));
    assert_eq!(run.state, State::Unknown);
}

#[test]
fn a_dry_run_says_what_it_would_do() {
    let mut desk = Desk::default();
    let book = book(json!({ "approval": {} }));
    let dry = desk.start(
        "shop",
        ("eject", &book),
        (person("ann"), "k".into()),
        true,
        1,
    );
    let id = dry.unwrap().id.clone();
    let run = desk.run(&id).unwrap();
    run.looked(Verdict::HoldsNot, "nothing is bad", 2);
    assert_eq!((run.state, run.acts.len()), (State::Done, 0));
    let text: Vec<&str> = run.lines.iter().map(|line| line.text.as_str()).collect();
    assert!(
        text.contains(&"would eject the worst endpoint of orders, for 10m"),
        "{text:?}"
    );
    assert_eq!(desk.sweep(3).len(), 1);
    assert!(desk.ended.is_empty(), "it holds nobody up");
}

#[test]
fn one_run_of_a_runbook_at_a_time() {
    let mut desk = Desk::default();
    let book = book(json!({}));
    let start = |desk: &mut Desk, cause, key: &str, now_ms| {
        desk.start(
            "shop",
            ("eject", &book),
            (cause, key.to_owned()),
            false,
            now_ms,
        )
        .map(|run| run.id.clone())
    };
    let incident = || Cause::Incident { id: "inc-1".into() };
    let first = start(&mut desk, incident(), "inc-1", 1).unwrap();
    assert_eq!(
        start(&mut desk, incident(), "inc-1", 2),
        Err(StartError::Again(first.clone()))
    );
    assert_eq!(
        start(&mut desk, person("ann"), "k", 2),
        Err(StartError::UnderWay(first.clone()))
    );
    desk.run(&first).unwrap().cancel("ann", "", 3).unwrap();
    assert_eq!(desk.sweep(3)[0].state, State::Cancelled);
    assert_eq!(
        start(&mut desk, incident(), "inc-2", 4),
        Err(StartError::Pause)
    );
    start(&mut desk, person("ann"), "k", 4).unwrap();
}

#[test]
fn figures_are_held_against_expressions() {
    let of = |holds: &str, least| {
        let mut check = book(json!({})).postcondition.unwrap();
        (check.holds, check.least) = (holds.to_owned(), least);
        check
    };
    let figures = Figures {
        total: 200,
        bad: 50,
        p99_ms: 12.0,
        endpoints: 2,
        available: 1,
        objectives: [(
            "orders".to_owned(),
            ObjectiveFigures {
                rate: 20.0,
                ..Default::default()
            },
        )]
        .into(),
        ..Figures::default()
    };
    for (holds, verdict) in [
        ("share > 0.2 && total >= 200", Verdict::Holds),
        ("share < 0.2", Verdict::HoldsNot),
        ("available < endpoints && p99_ms < 20.0", Verdict::Holds),
        ("objectives.orders.rate > 14.4", Verdict::Holds),
        ("objectives.other.rate > 14.4", Verdict::Broken),
        ("total", Verdict::Broken),
    ] {
        check(holds).unwrap();
        assert_eq!(judge(&of(holds, 200), &figures).0, verdict, "{holds}");
        assert_eq!(judge(&of(holds, 201), &figures).0, Verdict::TooFew);
    }
    assert!(
        check("errors > 1")
            .unwrap_err()
            .contains("there is no variable `errors`")
    );
    assert!(check("share >").is_err());
}

#[test]
fn output_is_bounded_and_without_secrets() {
    for (written, kept) in [
        ("restarted 3 of 3", "restarted 3 of 3"),
        ("DB_PASSWORD=hunter 2 and more", "DB_PASSWORD=[redacted]"),
        ("{\"api_key\": \"abc\"}", "{\"api_key\":[redacted]"),
        ("sent Bearer abc to b", "sent Bearer [redacted] to b"),
        (
            "key sk-ant-0123456789abcdefghijklmn ok",
            "key [redacted] ok",
        ),
        ("a token is missing", "a token is missing"),
        ("red \u{1b}[31m and \u{7} bell", "red [31m and  bell"),
    ] {
        assert_eq!(redact(written.as_bytes()), kept);
    }
    let long = "a line\n".repeat(10_000);
    assert!(redact(long.as_bytes()).len() <= OUTPUT_MAX);
    assert!(redact(&[0xff; 100]).len() <= OUTPUT_MAX);
}

#[test]
fn actions_are_bounded_and_known_by_their_id() {
    let mut desk = Desk::default();
    let act = |number: usize| Act {
        id: format!("act-{number}"),
        what: gate_model::resources::GatewayAction::Freeze { route: None },
        since_ms: 0,
        until_ms: number as u64,
        by: "ann".into(),
        reason: String::new(),
        run: None,
        from: None,
    };
    for number in 0..ACTS_MAX {
        desk.act(act(number)).unwrap();
        desk.act(act(number)).unwrap();
    }
    assert!(desk.act(act(ACTS_MAX)).is_err());
    assert_eq!(desk.late(1), ["act-0", "act-1"]);
    assert!(desk.undo("act-0").is_some() && desk.undo("act-0").is_none());
}
