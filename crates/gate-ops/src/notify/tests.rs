//! Notifications from alerts to receivers; crashes are in `crash_tests.rs`.

use super::*;
use gate_model::units::TimeZone;
use std::collections::BTreeSet;

pub(super) const S: u64 = 1000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn alert(pairs: &[(&str, &str)], is_on: bool) -> Alert {
    Alert {
        labels: labels(pairs),
        text: format!("{pairs:?}"),
        since_ms: 0,
        is_on,
    }
}

fn step(after_ms: u64, receiver: &str) -> Step {
    Step {
        after_ms,
        receivers: vec![receiver.into()],
        rotations: vec![],
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        group_by: vec!["incident".into(), "severity".into()],
        wait_ms: 10 * S,
        interval_ms: 60 * S,
        repeat_ms: 3600 * S,
        inhibitions: vec![],
        escalation: Escalation {
            steps: vec![step(0, "first"), step(300 * S, "second")],
        },
    }
}

fn is(label: &str, value: &str) -> Matcher {
    Matcher {
        label: label.into(),
        value: value.into(),
        is_not: false,
    }
}

/// Ticks every second and delivers at once; what arrives: second, receiver, alerts on and over.
fn run(notifier: &mut Notifier, seconds: std::ops::Range<u64>) -> Vec<(u64, String, usize, usize)> {
    let mut arrived = Vec::new();
    for second in seconds {
        notifier.tick(second * S);
        for delivery in notifier.take(second * S) {
            let on = delivery.alerts.iter().filter(|alert| alert.is_on).count();
            arrived.push((second, delivery.to.clone(), on, delivery.alerts.len() - on));
            notifier.settle(&delivery.key, Outcome::Delivered, second * S);
        }
    }
    arrived
}

fn first(second: u64, on: usize, over: usize) -> (u64, String, usize, usize) {
    (second, "first".into(), on, over)
}

#[test]
fn alerts_of_a_group_are_said_together() {
    let mut notifier = Notifier::new("prod", policy());
    for route in ["a", "b", "c"] {
        notifier.hear(alert(&[("incident", "7"), ("route", route)], true), 0);
    }
    assert_eq!(run(&mut notifier, 0..20), [first(10, 3, 0)]);
    assert!(notifier.acknowledge("8:incident=1:7;"));
    assert!(!notifier.acknowledge("nothing"));
    // What joins is said at the interval, what says nothing new is not.
    notifier.hear(alert(&[("incident", "7"), ("route", "d")], true), 20 * S);
    notifier.hear(alert(&[("incident", "7"), ("route", "a")], true), 20 * S);
    assert_eq!(run(&mut notifier, 20..200), [first(70, 4, 0)]);
    assert!(notifier.acknowledge("8:incident=1:7;"));
    // It is said again while it stays, and that it is over.
    assert_eq!(run(&mut notifier, 200..3700), [first(3670, 4, 0)]);
    for route in ["a", "b", "c", "d"] {
        notifier.hear(
            alert(&[("incident", "7"), ("route", route)], false),
            3700 * S,
        );
    }
    assert_eq!(run(&mut notifier, 3700..9000), [first(3730, 0, 4)]);
    assert_eq!(
        (notifier.groups.len(), notifier.waiting(), notifier.lost()),
        (0, 0, 0)
    );
    assert_eq!(notifier.next_ms(), None);
}

#[test]
fn who_does_not_answer_is_passed_over() {
    let mut notifier = Notifier::new("prod", policy());
    notifier.hear(alert(&[("incident", "7")], true), 0);
    let second = (310, "second".to_owned(), 1, 0);
    assert_eq!(run(&mut notifier, 0..400), [first(10, 1, 0), second]);
    let mut answered = Notifier::new("prod", policy());
    answered.hear(alert(&[("incident", "7")], true), 0);
    run(&mut answered, 0..100);
    answered.acknowledge("8:incident=1:7;");
    assert_eq!(run(&mut answered, 100..1000), []);
}

#[test]
fn silences_and_inhibitions_hide() {
    let mut with = policy();
    with.inhibitions = vec![Inhibition {
        source: vec![is("kind", "down")],
        target: vec![is("kind", "slow")],
        equal: vec!["route".into()],
    }];
    let mut notifier = Notifier::new("prod", with);
    notifier.hear(
        alert(&[("incident", "1"), ("kind", "down"), ("route", "a")], true),
        0,
    );
    notifier.hear(
        alert(&[("incident", "2"), ("kind", "slow"), ("route", "a")], true),
        0,
    );
    notifier.hear(
        alert(&[("incident", "3"), ("kind", "slow"), ("route", "b")], true),
        0,
    );
    let silence = |matchers| Silence {
        id: String::new(),
        matchers,
        until_ms: 500 * S,
        by: "ops".into(),
        reason: "known".into(),
    };
    assert!(notifier.silence(silence(vec![]), 0).is_err());
    notifier
        .silence(silence(vec![is("route", "b")]), 0)
        .unwrap();
    assert_eq!(run(&mut notifier, 0..30), [first(10, 1, 0)]);
    notifier.acknowledge("8:incident=1:1;");
    // The silence ends: what it hid is said within an interval.
    let arrived = run(&mut notifier, 30..700);
    assert_eq!(arrived.len(), 1);
    assert!((500..=560).contains(&arrived[0].0), "{arrived:?}");
    notifier.acknowledge("8:incident=1:3;");
    // What hid is over: both that, and what it hid, are said.
    notifier.hear(
        alert(
            &[("incident", "1"), ("kind", "down"), ("route", "a")],
            false,
        ),
        700 * S,
    );
    let arrived: Vec<(usize, usize)> = run(&mut notifier, 700..800)
        .into_iter()
        .map(|(.., on, over)| (on, over))
        .collect();
    assert_eq!(
        arrived.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([(0, 1), (1, 0)])
    );
}

#[test]
fn silences_are_bounded() {
    let mut notifier = Notifier::new("prod", policy());
    let silence = |route: &str| Silence {
        id: String::new(),
        matchers: vec![is("route", route)],
        until_ms: 500 * S,
        by: "ops".into(),
        reason: "known".into(),
    };
    for number in 0..SILENCES_MAX {
        let held = notifier.silence(silence(&number.to_string()), 400 * S);
        assert_eq!(held, Ok(()), "{number}");
    }
    assert!(notifier.silence(silence("one more"), 400 * S).is_err());
    assert_eq!(notifier.silence(silence("later"), 500 * S), Ok(()));
}

#[test]
fn turns_are_taken() {
    let rotation = Rotation {
        receivers: vec!["x".into(), "y".into()],
        begins_ms: 1000,
        turn_ms: 100,
        time_zone: TimeZone::utc(),
        replacements: vec![(1110, 1120, "z".into())],
    };
    for (now_ms, expected) in [
        (0, "x"),
        (1000, "x"),
        (1099, "x"),
        (1100, "y"),
        (1110, "z"),
        (1120, "y"),
        (1200, "x"),
    ] {
        assert_eq!(rotation.on_call(now_ms), Some(expected), "{now_ms}");
    }
    assert_eq!(
        Rotation {
            receivers: vec![],
            replacements: vec![],
            ..rotation.clone()
        }
        .on_call(0),
        None
    );
    let escalation = Escalation {
        steps: vec![Step {
            after_ms: 0,
            receivers: vec!["x".into()],
            rotations: vec![rotation],
        }],
    };
    assert_eq!(escalation.receivers(0, 1000), ["x"]);
    assert_eq!(escalation.receivers(0, 1100), ["x", "y"]);
    assert_eq!(escalation.receivers(9, 0), [] as [&str; 0]);
}

#[test]
fn failures_are_tried_again_later_and_in_order() {
    let mut notifier = Notifier::new("prod", policy());
    notifier.hear(alert(&[("incident", "7")], true), 0);
    notifier.tick(10 * S);
    let [one] = &notifier.take(10 * S)[..] else {
        panic!()
    };
    assert_eq!(notifier.take(10 * S), []);
    notifier.settle(&one.key, Outcome::Failed, 10 * S);
    notifier.hear(alert(&[("incident", "7")], false), 11 * S);
    assert_eq!(notifier.take(11 * S), []);
    let again = notifier.take(12 * S);
    assert_eq!((again.len(), &again[0].key), (1, &one.key));
    notifier.tick(80 * S);
    assert_eq!(notifier.waiting(), 2);
    // The news that it is over waits for the news that it was on, which nobody answers for.
    let later = notifier.take(80 * S);
    assert_eq!((later.len(), &later[0].key), (1, &one.key));
    notifier.settle(&one.key, Outcome::Delivered, 81 * S);
    assert!(!notifier.take(81 * S)[0].is_on());
    notifier.tick(81 * S + PATIENCE_MS);
    assert_eq!((notifier.waiting(), notifier.lost()), (0, 1));
}

#[test]
fn messages_have_the_shapes_that_receivers_want() {
    let mut notifier = Notifier::new("prod", policy());
    for number in 0..25 {
        notifier.hear(
            alert(
                &[
                    ("incident", "<7>"),
                    ("severity", "page"),
                    ("n", &number.to_string()),
                ],
                true,
            ),
            0,
        );
    }
    notifier.tick(10 * S);
    let delivery = notifier.take(10 * S).remove(0);
    let pager: serde_json::Value =
        serde_json::from_str(&render(&delivery, Receiver::PagerDuty)).unwrap();
    assert_eq!(pager["event_action"], "trigger");
    assert_eq!(pager["dedup_key"], "8:incident=3:<7>;8:severity=4:page;");
    assert_eq!(
        pager["payload"]["summary"],
        "[25 on] incident=<7> severity=page"
    );
    assert_eq!(pager["payload"]["severity"], "critical");
    assert_eq!(
        pager["payload"]["custom_details"]["idempotency_key"],
        "prod-1"
    );
    let slack: serde_json::Value =
        serde_json::from_str(&render(&delivery, Receiver::Slack)).unwrap();
    let text = slack["text"].as_str().unwrap();
    assert!(
        text.starts_with("*[25 on] incident=&lt;7&gt; severity=page*\n- on: "),
        "{text}"
    );
    assert!(text.ends_with("\nand 5 further"), "{text}");
    let mail = render(&delivery, Receiver::Mail);
    assert!(
        mail.starts_with("[25 on] incident=<7> severity=page\n\n- on: "),
        "{mail}"
    );
    let webhook: serde_json::Value =
        serde_json::from_str(&render(&delivery, Receiver::Webhook)).unwrap();
    assert_eq!(
        (
            webhook["alerts"].as_array().unwrap().len(),
            &webhook["idempotency_key"]
        ),
        (25, &serde_json::json!("prod-1"))
    );
    let other: serde_json::Value =
        serde_json::from_str(&render(&delivery, Receiver::Alertmanager)).unwrap();
    assert_eq!(
        (&other["version"], &other["status"]),
        (&"4".into(), &"firing".into())
    );
    assert_eq!(other["commonLabels"]["severity"], "page");
    assert_eq!(other["commonLabels"].get("n"), None);
    assert_eq!(other["alerts"][0]["startsAt"], "1970-01-01T00:00:00Z");
}

#[test]
fn everything_is_bounded() {
    let mut notifier = Notifier::new("prod", policy());
    for number in 0..ALERTS_MAX + 5 {
        notifier.hear(
            alert(&[("incident", "7"), ("n", &number.to_string())], true),
            0,
        );
    }
    notifier.tick(10 * S);
    let delivery = notifier.take(10 * S).remove(0);
    assert_eq!((delivery.alerts.len(), delivery.left_out), (ALERTS_MAX, 5));
    let mut notifier = Notifier::new("prod", policy());
    for number in 0..GROUPS_MAX + 3 {
        notifier.hear(alert(&[("incident", &number.to_string())], true), 0);
    }
    assert_eq!((notifier.groups.len(), notifier.lost()), (GROUPS_MAX, 3));
}

/// Weeks in Berlin from Monday 9:00 on. Clocks go back on 2026-10-25: the hand-over after it is at
/// 9:00 again, 169 hours after the one before.
#[test]
fn turns_change_at_the_same_time_of_day_over_a_change_of_clocks() {
    let monday_s = 1_792_393_200;
    let rotation = Rotation {
        receivers: vec!["x".into(), "y".into()],
        begins_ms: monday_s * S,
        turn_ms: 7 * 86_400 * S,
        time_zone: "Europe/Berlin".parse().unwrap(),
        replacements: vec![],
    };
    let on_call = |hours: u64| rotation.on_call((monday_s + hours * 3600) * S);
    assert_eq!(on_call(0), Some("x"));
    assert_eq!(on_call(7 * 24), Some("x"), "it is eight o'clock");
    assert_eq!(on_call(7 * 24 + 1), Some("y"));
    let stored = serde_json::to_string(&rotation).unwrap();
    assert_eq!(serde_json::from_str::<Rotation>(&stored).unwrap(), rotation);
}

#[test]
fn what_is_shown_is_what_there_is() {
    let mut notifier = Notifier::new("prod", policy());
    notifier.hear(alert(&[("incident", "1"), ("route", "a")], true), 0);
    let silence = |id: &str| Silence {
        id: id.into(),
        matchers: vec![is("route", "b")],
        until_ms: 500 * S,
        by: "ops".into(),
        reason: "known".into(),
    };
    notifier.silence(silence("one"), 0).unwrap();
    notifier.silence(silence("two"), 0).unwrap();
    assert!(notifier.end_silence("one") && !notifier.end_silence("one"));
    assert_eq!(notifier.silences(), [silence("two")]);
    notifier.tick(10 * S);
    let groups = notifier.groups();
    assert_eq!((groups.len(), groups[0].said_ms), (1, 10 * S));
    assert_eq!(notifier.deliveries()[0].attempts(), 0);
    assert!(!notifier.is_idle());
    // A message to try a receiver with goes out by itself, to that one only.
    notifier.say("second", alert(&[("test", "yes")], true), 10 * S);
    let taken = notifier.take(10 * S);
    assert_eq!(taken.len(), 2);
    assert_ne!(taken[0].key, taken[1].key);
    assert_eq!(taken[1].to, "second");
}

#[test]
fn another_policy_holds_from_the_next_look_on() {
    let mut notifier = Notifier::new("prod", policy());
    notifier.hear(alert(&[("incident", "1")], true), 0);
    assert_eq!(run(&mut notifier, 0..20).len(), 1);
    let mut other = policy();
    other.escalation.steps = vec![step(0, "third")];
    other.repeat_ms = 120 * S;
    notifier.follow(other, 20 * S);
    let arrived = run(&mut notifier, 20..200);
    assert_eq!(arrived, [(130, "third".to_owned(), 1, 0)]);
}
