//! What people do: pause, resume, look at what failed, redrive, replay; by the command line and the API.

use super::support::{arrived, asked, cli, ids, post, shows, start, taker, webhook};
use crate::support::{Reply, Upstream, eventually};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A receiver that can be made to refuse.
fn service() -> (Upstream, Arc<AtomicBool>) {
    let is_bad = Arc::new(AtomicBool::new(false));
    let bad = is_bad.clone();
    let upstream = Upstream::start(move |_| match bad.load(Ordering::Relaxed) {
        true => Reply::text("broken").status(500),
        false => Reply::text("taken"),
    });
    (upstream, is_bad)
}

#[test]
fn a_subscriber_stands_still_until_it_may_go_on() {
    let (receiver, other) = (taker(), taker());
    let subscribers = json!({ "hook": webhook(&receiver), "other": webhook(&other) });
    let (gateway, tap) = start(&subscribers, &[]);
    tap.publish("1", "order.placed", json!({}));
    arrived(&receiver, 1);
    let said = cli(
        &gateway,
        &["subscribers", "pause", "hook", "--reason", "the shop moves"],
    );
    assert!(
        said.contains("paused") && said.contains("the shop moves"),
        "{said}"
    );
    // What was being read while it was held may come; what comes once another has that may not.
    tap.publish("2", "order.placed", json!({}));
    arrived(&other, 2);
    tap.publish("3", "order.placed", json!({}));
    arrived(&other, 3);
    assert!(!ids(&receiver.seen()).contains_key("3"));
    let listed = cli(&gateway, &["subscribers", "list"]);
    assert!(
        listed.contains("hook") && listed.contains("paused"),
        "{listed}"
    );
    cli(&gateway, &["subscribers", "resume", "hook"]);
    arrived(&receiver, 3);
    shows(&gateway, "hook", "it runs", |shown| {
        shown["subscriber"]["state"] == "running"
    });
    let lines = asked(&gateway, "/audit?limit=10")["items"].to_string();
    assert!(
        lines.contains("pauseSubscriber") && lines.contains("resumeSubscriber"),
        "{lines}"
    );
    post(
        &gateway,
        "/subscribers/none/pause",
        &json!({ "reason": "" }),
    )
    .expect(404);
}

#[test]
fn dead_letters_are_delivered_again() {
    let (receiver, is_bad) = service();
    is_bad.store(true, Ordering::Relaxed);
    let mut hook = webhook(&receiver);
    hook["retry"]["attempts"] = json!(2);
    let (gateway, tap) = start(&json!({ "hook": hook }), &[]);
    for id in 1..=5 {
        tap.publish(&id.to_string(), "order.placed", json!({ "n": id }));
    }
    shows(&gateway, "hook", "five are dead", |shown| {
        shown["subscriber"]["dead_letters"] == 5
    });
    let dead = asked(&gateway, "/subscribers/hook/dead-letters?limit=3");
    let rows = dead["items"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["key"]), (3, &json!("/shop 5")));
    assert_eq!(
        (&rows[0]["attempts"], &rows[0]["kind"]),
        (&json!(2), &json!("order.placed"))
    );
    assert!(
        rows[0]["reason"].as_str().unwrap().contains("500"),
        "{dead}"
    );
    assert!(dead["next"].is_string());
    // While it is still broken, one that is driven again is dead again.
    let place = rows[0]["place"].as_u64().unwrap();
    let before = receiver.seen().len();
    cli(
        &gateway,
        &[
            "subscribers",
            "redrive",
            "hook",
            "--place",
            &place.to_string(),
        ],
    );
    eventually("it is tried twice more", || {
        receiver.seen().len() == before + 2
    });
    shows(&gateway, "hook", "it is dead again", |shown| {
        shown["subscriber"]["dead"] == 6
    });
    is_bad.store(false, Ordering::Relaxed);
    let before = receiver.seen().len();
    let said = cli(&gateway, &["subscribers", "redrive", "hook", "--all"]);
    assert!(said.contains("5 dead letters"), "{said}");
    eventually("all are delivered", || receiver.seen().len() == before + 5);
    shows(&gateway, "hook", "none is left", |shown| {
        shown["subscriber"]["dead_letters"] == 0
    });
    let keys: std::collections::BTreeSet<String> = (receiver.seen().iter())
        .map(|one| one.header("webhook-id").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 5, "the same key in each attempt, however late");
    post(
        &gateway,
        "/subscribers/hook/redrive",
        &json!({ "place": place }),
    )
    .expect(404);
    post(&gateway, "/subscribers/hook/redrive", &json!({})).expect(422);
}

#[test]
fn what_fails_now_is_shown_with_its_reason() {
    let (receiver, is_bad) = service();
    is_bad.store(true, Ordering::Relaxed);
    let mut hook = webhook(&receiver);
    hook["retry"] = json!({ "pause": "30s", "longest": "30s" });
    let (gateway, tap) = start(&json!({ "hook": hook }), &[]);
    let place = tap.publish("1", "order.placed", json!({}));
    let shown = shows(&gateway, "hook", "it fails", |shown| {
        shown["subscriber"]["state"] == "failing" && shown["failures"][0]["attempts"] == 1
    });
    assert_eq!(shown["failures"][0]["place"], place);
    let text = cli(&gateway, &["subscribers", "show", "hook"]);
    assert!(text.contains("it answered with status 500"), "{text}");
}

#[test]
fn a_webhook_is_not_led_to_this_machine_by_another_name() {
    // What leads here on Linux, and does not say so.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let hook = |allowed: bool| {
        json!({
            "start": "beginning",
            "target": { "webhook": { "url": format!("https://0.0.0.0:{port}/hook"), "allow_private": allowed } },
            "retry": { "pause": "30s", "longest": "30s" },
        })
    };
    let (gateway, tap) = start(&json!({ "hook": hook(false) }), &[]);
    tap.publish("1", "order.placed", json!({}));
    shows(&gateway, "hook", "it fails", |shown| {
        shown["subscriber"]["state"] == "failing" && shown["failures"][0]["attempts"] == 1
    });
    let text = cli(&gateway, &["subscribers", "show", "hook"]);
    assert!(text.contains("the host is this machine"), "{text}");
    assert!(listener.accept().is_err(), "nobody connects");
    let (_allowed, tap) = start(&json!({ "hook": hook(true) }), &[]);
    tap.publish("1", "order.placed", json!({}));
    eventually("it connects where that is allowed", || {
        listener.accept().is_ok()
    });
}

#[test]
fn a_replay_tells_again_beside_what_is_told_anyway() {
    let receiver = taker();
    let (gateway, tap) = start(&json!({ "hook": webhook(&receiver) }), &[]);
    let first = tap.publish("1", "order.placed", json!({}));
    let later = |id: u64| tap.publish(&id.to_string(), "order.placed", json!({}));
    let [_, third, _] = [2, 3, 4].map(later);
    arrived(&receiver, 4);
    let (from, until) = (first.to_string(), third.to_string());
    let arguments = [
        "subscribers",
        "replay",
        "hook",
        "--from",
        &from,
        "--until",
        &until,
    ];
    let said = cli(&gateway, &arguments);
    assert!(said.contains("replay 1"), "{said}");
    eventually("2 and 3 come again", || {
        ids(&receiver.seen())
            == [
                ("1".into(), 1),
                ("2".into(), 2),
                ("3".into(), 2),
                ("4".into(), 1),
            ]
            .into()
    });
    let again: Vec<Option<String>> = (receiver.seen().iter())
        .filter(|one| one.header("ce-id") == Some("2"))
        .map(|one| one.header("tidegate-replay").map(str::to_owned))
        .collect();
    assert_eq!(again, [None, Some("1".to_owned())]);
    shows(&gateway, "hook", "the replay is done", |shown| {
        shown["subscriber"]["replays"][0]["state"] == "done"
    });
    tap.publish("5", "order.placed", json!({}));
    arrived(&receiver, 5);
    // From a time on; all of it is after 2020.
    let body = json!({ "since": "2020-01-01T00:00:00Z", "reason": "the index was lost" });
    let shown: Value = post(&gateway, "/subscribers/hook/replays", &body)
        .expect(200)
        .json();
    assert_eq!(
        shown["subscriber"]["replays"][0]["reason"],
        "the index was lost"
    );
    eventually("all come again", || {
        ids(&receiver.seen()).values().all(|count| *count >= 2)
    });
    post(
        &gateway,
        "/subscribers/hook/replays",
        &json!({ "from": 9_999 }),
    )
    .expect(422);
    post(&gateway, "/subscribers/hook/replays/77/cancel", &json!({})).expect(404);
}

#[test]
fn events_are_listed_and_followed() {
    let receiver = taker();
    let (gateway, tap) = start(&json!({ "hook": webhook(&receiver) }), &[]);
    for (id, kind) in [
        ("1", "order.placed"),
        ("2", "order.paid"),
        ("3", "order.placed"),
    ] {
        tap.publish(id, kind, json!({ "n": id }));
    }
    let lines = |text: &str| -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let listed = lines(&cli(
        &gateway,
        &["events", "list", "--type", "order.placed"],
    ));
    let found: Vec<&Value> = listed.iter().map(|one| &one["event"]["id"]).collect();
    assert_eq!(found, ["1", "3"]);
    let tailed = cli(
        &gateway,
        &[
            "events",
            "tail",
            "--after",
            "0",
            "--type",
            "order.paid",
            "--count",
            "1",
        ],
    );
    assert_eq!(lines(&tailed)[0]["event"]["data"]["n"], "2");
    // Publishing goes to wherever events are taken.
    let taken = taker();
    let url = format!("http://{}/events", taken.address);
    let arguments = [
        "events",
        "publish",
        &url,
        "--type",
        "order.placed",
        "--data",
        "{\"n\":1}",
    ];
    let output = crate::support::tidegate(&arguments);
    assert!(output.status.success(), "{output:?}");
    let event: Value = serde_json::from_slice(&taken.seen()[0].body).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["n"]),
        (&json!("order.placed"), &json!(1))
    );
}
