//! Webhooks: what is sent, what is wanted, what is tried again, and what is given up.

use super::support::{arrived, ids, start, taker, url, webhook};
use crate::support::{Gateway, Reply, Seen, Upstream, eventually, tidegate};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn a_webhook_is_told_and_can_hold_it_against_the_signature() {
    let receiver = taker();
    let mut hook = webhook(&receiver);
    hook["target"]["webhook"]["secret"] = json!({ "env": "HOOK_SECRET" });
    hook["target"]["webhook"]["headers"] = json!({ "x-team": "shop" });
    let mut whole = hook.clone();
    whole["target"]["webhook"]["mode"] = json!("structured");
    whole["target"]["webhook"]["url"] = json!(format!("http://{}/whole?a=b", receiver.address));
    let subscribers = json!({ "binary": hook, "structured": whole });
    let (_gateway, tap) = start(&subscribers, &[("HOOK_SECRET", SECRET)]);
    tap.publish("o-1", "order.placed", json!({ "total": 7 }));
    eventually("both are told", || receiver.seen().len() >= 2);
    let seen = receiver.seen();
    let key = STANDARD.decode(&SECRET[6..]).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    for one in &seen {
        let text = |name: &str| {
            one.header(name)
                .unwrap_or_else(|| panic!("{name}: {one:?}"))
        };
        let mut signed =
            format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).into_bytes();
        signed.extend(&one.body);
        let signature = text("webhook-signature").strip_prefix("v1,").unwrap();
        hmac::verify(&key, &signed, &STANDARD.decode(signature).unwrap()).expect("its signature");
        assert_eq!(text("idempotency-key"), text("webhook-id"));
        assert_eq!((text("x-team"), text("tidegate-attempt")), ("shop", "1"));
    }
    let of = |path: &str| -> Seen {
        seen.iter()
            .find(|one| one.target == path)
            .cloned()
            .unwrap_or_else(|| panic!("{path}"))
    };
    let binary = of("/hook");
    assert_eq!(
        (binary.method.as_str(), binary.header("ce-type")),
        ("POST", Some("order.placed"))
    );
    assert_eq!(binary.header("ce-source"), Some("/shop"));
    assert_eq!(binary.header("content-type"), Some("application/json"));
    assert_eq!(binary.body, br#"{"total":7}"#);
    let structured = of("/whole?a=b");
    assert_eq!(
        structured.header("content-type"),
        Some("application/cloudevents+json")
    );
    let event: Value = serde_json::from_slice(&structured.body).unwrap();
    assert_eq!(
        (&event["id"], &event["data"]["total"]),
        (&json!("o-1"), &json!(7))
    );
    assert_ne!(binary.header("webhook-id"), structured.header("webhook-id"));
}

#[test]
fn each_is_told_what_it_wants_as_it_wants_it() {
    let (large, templated, mail) = (taker(), taker(), taker());
    let mut dear = webhook(&large);
    dear["filter"] = json!({ "pattern": {
        "type": [{ "prefix": "order." }], "data": { "total": [{ "numeric": [">", 100] }] },
    } });
    let mut made = webhook(&templated);
    made["filter"] = json!({ "cel": "event.type == 'order.placed'" });
    made["transform"] =
        json!({ "template": { "text": "Order {data.id}", "total": "{data.total}" } });
    let mut counted = webhook(&mail);
    counted["filter"] = json!({ "pattern": { "type": ["order.paid"] } });
    counted["transform"] = json!({ "cel": "{'twice': event.data.total * 2}" });
    let (gateway, tap) = start(
        &json!({ "dear": dear, "made": made, "counted": counted }),
        &[],
    );
    for (id, kind, total) in [
        ("1", "order.placed", 7),
        ("2", "order.placed", 700),
        ("3", "order.paid", 300),
        ("4", "invoice.sent", 900),
    ] {
        tap.publish(id, kind, json!({ "id": format!("o-{id}"), "total": total }));
    }
    let told = |receiver: &Upstream, count: usize| -> BTreeMap<String, Value> {
        let read = |one: &Seen| {
            let id = one.header("ce-id").unwrap().to_owned();
            (id, serde_json::from_slice(&one.body).unwrap())
        };
        arrived(receiver, count).iter().map(read).collect()
    };
    let dear = told(&large, 2);
    assert_eq!(dear.keys().collect::<Vec<_>>(), ["2", "3"]);
    let made = told(&templated, 2);
    assert_eq!(made["1"], json!({ "text": "Order o-1", "total": 7 }));
    assert_eq!(made.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(
        told(&mail, 1),
        [("3".to_owned(), json!({ "twice": 600 }))].into()
    );
    // What was told is counted, and nothing lags behind.
    eventually("all of it is counted", || {
        let page = gateway.metrics();
        page.contains(
            "tidegate_subscriber_events_total{subscriber=\"dear\",outcome=\"delivered\"} 2",
        ) && page.contains("tidegate_subscriber_lag{subscriber=\"made\"} 0")
    });
    assert_eq!(
        (
            large.seen().len(),
            templated.seen().len(),
            mail.seen().len()
        ),
        (2, 2, 1)
    );
}

#[test]
fn what_fails_is_tried_again_and_what_is_refused_is_given_up() {
    let failures = Arc::new(AtomicUsize::new(0));
    let count = failures.clone();
    let flaky = Upstream::start(move |seen| match seen.header("ce-id") {
        Some("bad") => Reply::text("no").status(422),
        _ if count.fetch_add(1, Ordering::Relaxed) < 3 => Reply::text("later").status(503),
        _ => Reply::text("taken"),
    });
    let never = Upstream::start(|_| Reply::text("broken").status(500));
    let mut short = webhook(&never);
    short["retry"]["attempts"] = json!(3);
    let (gateway, tap) = start(&json!({ "flaky": webhook(&flaky), "never": short }), &[]);
    tap.publish("1", "order.placed", json!({}));
    tap.publish("bad", "order.placed", json!({}));
    eventually("it is told in the end", || {
        let page = gateway.metrics();
        page.contains(
            "tidegate_subscriber_events_total{subscriber=\"flaky\",outcome=\"delivered\"} 1",
        ) && page
            .contains("tidegate_subscriber_events_total{subscriber=\"flaky\",outcome=\"dead\"} 1")
            && page.contains(
                "tidegate_subscriber_events_total{subscriber=\"never\",outcome=\"dead\"} 2",
            )
    });
    let of_one: Vec<Seen> = flaky
        .seen()
        .into_iter()
        .filter(|one| one.header("ce-id") == Some("1"))
        .collect();
    assert_eq!(of_one.len(), 4, "three failures and a delivery");
    let keys: std::collections::BTreeSet<_> = of_one
        .iter()
        .map(|one| one.header("webhook-id").unwrap())
        .collect();
    assert_eq!(keys.len(), 1, "the same key in every attempt");
    assert_eq!(
        ids(&never.seen()),
        [("1".into(), 3), ("bad".into(), 3)].into()
    );
}

#[test]
fn what_is_too_old_is_given_up_before_its_attempts_are() {
    let never = Upstream::start(|_| Reply::text("broken").status(500));
    let mut hook = webhook(&never);
    hook["retry"] = json!({ "attempts": 1_000, "pause": "100ms", "longest": "400ms", "age": "1s" });
    let (gateway, tap) = start(&json!({ "never": hook }), &[]);
    tap.publish("1", "order.placed", json!({}));
    eventually("it is a dead letter", || {
        let name = "tidegate_subscriber_events_total{subscriber=\"never\",outcome=\"dead\"} 1";
        gateway.metrics().contains(name)
    });
    let attempts = never.seen().len();
    assert!((2..=20).contains(&attempts), "{attempts} attempts");
}

#[test]
fn events_of_one_key_come_one_after_the_other() {
    // Each key's first event fails twice; others of the key must wait, other keys must not.
    let tries: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let held = tries.clone();
    let receiver = Upstream::start(move |seen| {
        let id = seen.header("ce-id").unwrap_or_default().to_owned();
        let mut tries = held.lock().unwrap();
        let tried = tries.entry(id.clone()).or_default();
        *tried += 1;
        match id.ends_with("-0") && *tried < 3 {
            true => Reply::text("later").status(503),
            false => Reply::text("taken").after(Duration::from_millis(2)),
        }
    });
    let mut hook = webhook(&receiver);
    hook["order_by"] = json!("data.order");
    let (_gateway, tap) = start(&json!({ "ordered": hook }), &[]);
    let all: Vec<(String, &str, Value)> = (0..10)
        .flat_map(|n| (0..5).map(move |order| (order, n)))
        .map(|(order, n)| {
            (
                format!("k{order}-{n}"),
                "order.changed",
                json!({ "order": order }),
            )
        })
        .collect();
    tap.publish_all(&all);
    let seen = arrived(&receiver, 50);
    for order in 0..5 {
        let mut came: Vec<&str> = seen
            .iter()
            .filter_map(|one| one.header("ce-id"))
            .filter(|id| id.starts_with(&format!("k{order}-")))
            .collect();
        came.dedup();
        let wanted: Vec<String> = (0..10).map(|n| format!("k{order}-{n}")).collect();
        assert_eq!(came, wanted);
    }
}

#[test]
fn what_says_the_same_again_is_passed_over() {
    let receiver = taker();
    let mut hook = webhook(&receiver);
    hook["dedupe"] = json!({ "by": "data.order", "within": "1h" });
    let (gateway, tap) = start(&json!({ "once": hook }), &[]);
    for (id, order) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")] {
        tap.publish(id, "order.changed", json!({ "order": order }));
    }
    tap.publish("5", "order.changed", json!({ "none": 1 }));
    arrived(&receiver, 3);
    eventually("two are passed over", || {
        let name = "tidegate_subscriber_events_total{subscriber=\"once\",outcome=\"repeated\"} 2";
        gateway.metrics().contains(name)
    });
    let told: Vec<String> = ids(&receiver.seen()).into_keys().collect();
    assert_eq!(told, ["1", "3", "5"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let text = r#"
gateway: { store: { engine: { sqlite: { path: gate.db } } } }
subscribers:
  orders:
    filter:
      pattern:
        data:
          total: [{ numeric: [">", "x"] }]
    order_by: "a..b"
    target:
      webhook: { url: "http://shop.example/hook" }
  other:
    filter: { cel: "evnt.type == 'x'" }
    transform: { template: { text: "{" } }
    target: { route: { listener: none, path: /x } }
"#;
    std::fs::write(&file, text).unwrap();
    let output = tidegate(&["check", &file.display().to_string()]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    for wanted in [
        "gate.yaml:8:",
        "gate.yaml:9:",
        "gate.yaml:11:",
        "gate.yaml:13:",
        "gate.yaml:14:",
        "gate.yaml:15:",
        "evnt",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    // Without a store there is no journal.
    let text = format!(
        "subscribers: {{ a: {{ target: {{ webhook: {{ url: \"{}\" }} }} }} }}\n",
        url(&taker())
    );
    std::fs::write(&file, text).unwrap();
    let output = tidegate(&["check", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("gateway.store"),
        "{said}"
    );
}

#[test]
fn a_subscriber_that_is_new_begins_where_it_says() {
    let (now, later, beginning) = (taker(), taker(), taker());
    let (since, never, second) = (taker(), taker(), taker());
    let mut first = webhook(&now);
    first["start"] = json!("now");
    let (gateway, tap) = start(&json!({ "now": first }), &[]);
    let page = |gateway: &Gateway| gateway.metrics();
    eventually("it has begun", || {
        page(&gateway).contains("tidegate_subscriber_lag{subscriber=\"now\"}")
    });
    let place = tap.publish("1", "a", json!({}));
    // A whole second between the two.
    let clock = gate_kit::clock::Clock::System;
    let between_s = clock.unix().as_secs() + 1;
    eventually("that second is over", || clock.unix().as_secs() > between_s);
    let between = gate_model::units::Timestamp::from_unix_s(between_s).to_string();
    let end = tap.publish("2", "a", json!({}));
    arrived(&now, 2);
    let mut at = webhook(&later);
    at["start"] = json!({ "place": place });
    at["end"] = json!({ "place": end });
    let from = |receiver: &Upstream, time: &str| {
        let mut hook = webhook(receiver);
        hook["start"] = json!({ "time": time });
        hook
    };
    let subscribers = json!({
        "now": first, "later": at, "beginning": webhook(&beginning),
        "since": from(&since, "2020-01-01T00:00:00Z"), "never": from(&never, "2100-01-01"),
        "second": from(&second, &between),
    });
    gateway.rewrite(|_| super::support::configuration(&json!({}), &subscribers));
    arrived(&beginning, 2);
    arrived(&later, 1);
    arrived(&since, 2);
    tap.publish("3", "a", json!({}));
    arrived(&now, 3);
    arrived(&beginning, 3);
    assert_eq!(
        ids(&now.seen()),
        [("1".into(), 1), ("2".into(), 1), ("3".into(), 1)].into()
    );
    arrived(&since, 3);
    arrived(&second, 2);
    assert_eq!(
        ids(&second.seen()),
        [("2".into(), 1), ("3".into(), 1)].into()
    );
    assert!(ids(&never.seen()).is_empty(), "nothing came so late");
    // It has come to its end.
    assert_eq!(ids(&later.seen()), [("2".into(), 1)].into());
}
