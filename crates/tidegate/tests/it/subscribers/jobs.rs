//! Events that start jobs: once each, whatever comes again, and over routes that nobody else chooses.

use super::support::{LONG, again, asked, cli, shows, start_with};
use crate::support::{Gateway, Reply, Seen, Upstream, eventually_within, tidegate};
use gate_store::Database;
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The digest of the key `secret-of-shop`.
const KEY: &str = "12f27fa94cbef259460ca7b4abf73b50ab8ade216ef714aeec3f7957ac270e63";

/// Routes that only `gallery` may call, over this upstream.
fn routes(upstream: &Upstream) -> Value {
    json!({
        "consumers": { "gallery": { "team": "pictures", "keys": [{ "sha256": KEY }] } },
        "upstreams": { "parts": { "endpoints": [upstream.address] } },
        "queues": { "checks": {}, "labels": {} },
        "routes": { "all": {
            "match": { "path": "/{*rest}" }, "policies": [{ "auth_key": {} }],
            "target": { "upstream": "parts" },
        } },
    })
}

/// A subscriber that starts a job of each event of a type.
fn starts(kind: &str, job: Value) -> Value {
    let mut target = json!({ "listener": "public", "consumer": "gallery", "pause": "10ms" });
    for (name, value) in job.as_object().unwrap() {
        target[name] = value.clone();
    }
    json!({
        "start": "beginning", "filter": { "pattern": { "type": [kind] } },
        "target": { "job": target }, "retry": { "pause": "50ms", "longest": "200ms" },
    })
}

fn jobs(gateway: &Gateway) -> Vec<Value> {
    asked(gateway, "/jobs?limit=500")["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// All jobs, once so many have succeeded.
#[track_caller]
fn succeeded(gateway: &Gateway, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    eventually_within(LONG, &format!("{count} jobs succeed"), || {
        all = jobs(gateway);
        let well = all.iter().filter(|job| job["state"] == "succeeded");
        well.count() >= count
    });
    all
}

/// What was asked for, and how often.
fn calls(seen: &[Seen]) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for one in seen {
        *calls.entry(one.target.clone()).or_default() += 1;
    }
    calls
}

/// Kills the gateway and has it tell of all events again, as if it had never been kept that it had.
#[track_caller]
fn told_anew(mut gateway: Gateway, events: usize) -> Gateway {
    // Nobody remembers that they were delivered: all of them are again.
    gateway.process.child.kill().unwrap();
    gateway.process.ended();
    let mut store = Sqlite::open(&gateway.path().join("gate.db")).unwrap();
    let forget = "DELETE FROM delivery_course WHERE subscriber = 'check'";
    store.execute(forget, &[]).unwrap();
    drop(store);
    let gateway = again(&gateway.folder.clone(), &[]);
    shows(&gateway, "check", "it told of all again", |shown| {
        shown["subscriber"]["delivered"].as_u64() >= Some(events as u64)
    });
    assert_eq!(jobs(&gateway).len(), events, "nothing was started again");
    gateway
}

#[test]
fn an_event_starts_one_job_however_often_it_comes() {
    let events = 40;
    let upstream = Upstream::start(|seen| Reply::text(seen.target.clone()));
    let job = json!({
        "path": "/uploads/{{event.data.upload}}/{{item.file}}", "items": "data.parts",
        "name": "upload {{event.data.upload}}", "queue": "checks",
        "body": { "of": "{{event.data.by}}", "n": "{{index}}" },
    });
    let mut check = starts("upload.finished", job);
    check["transform"] = json!({ "cel": "{'upload': event.data.id, 'by': event.source, \
        'parts': event.data.files.map(f, {'file': f})}" });
    let subscribers = json!({ "check": check });
    let (mut gateway, tap) = start_with(&routes(&upstream), &subscribers, &[]);
    let upload = |id: usize| {
        let data = json!({ "id": format!("u {id}"), "files": ["a.png", "b ?c"] });
        (id.to_string(), "upload.finished", data)
    };
    let all: Vec<_> = (0..events).map(upload).collect();
    tap.publish_all(&all);
    // Killed wherever it is, a few times.
    for kill in 1..=3 {
        let come = events * kill / 5;
        eventually_within(LONG, "some jobs are there", || jobs(&gateway).len() >= come);
        gateway.process.child.kill().unwrap();
        gateway.process.ended();
        gateway = again(&gateway.folder.clone(), &[]);
    }
    let done = succeeded(&gateway, events);
    let names: BTreeSet<_> = done.iter().map(|job| job["name"].to_string()).collect();
    assert_eq!((done.len(), names.len()), (events, events));
    let shared = json!(["checks", "pictures", "gallery", 2]);
    for job in &done {
        let of = json!([job["queue"], job["team"], job["consumer"], job["items"]]);
        assert_eq!(of, shared, "{job}");
    }
    let gateway = told_anew(gateway, events);
    let calls = calls(&upstream.seen());
    assert_eq!(calls.len(), 2 * events);
    assert!(calls.contains_key("/uploads/u%207/b%20%3Fc"), "{calls:?}");
    let seen = upstream.seen();
    let one = seen.iter().find(|one| one.target == "/uploads/u%203/a.png");
    let body: Value = serde_json::from_slice(&one.unwrap().body).unwrap();
    assert_eq!(body, json!({ "of": "/shop", "n": 0 }));
    // A replay is meant to do it again.
    let since = [
        "subscribers",
        "replay",
        "check",
        "--since",
        "2020-01-01T00:00:00Z",
    ];
    cli(&gateway, &since);
    succeeded(&gateway, 2 * events);
}

/// Checks, then labels item by item, then a page; or a refusal.
fn pipeline() -> Value {
    let done = |queue: &str, state: &str, job: Value| {
        let mut one = starts("tidegate.job.done", job);
        one["filter"]["pattern"]["data"] = json!({ "queue": [queue], "state": [state] });
        one
    };
    json!({
        "check": starts("upload.finished", json!({
            "path": "/checks/{{item}}", "items": "data.parts", "queue": "checks",
            "name": "{{event.data.upload}}",
        })),
        "label": done("checks", "succeeded", json!({
            "path": "/labels/{{index}}", "after": { "each": true }, "queue": "labels",
            "name": "{{event.data.name}}", "body": { "checked": "{{parent.of}}" },
        })),
        "page": done("labels", "succeeded", json!({
            "path": "/pages/{{event.data.name}}", "after": {}, "method": "PUT",
            "body": { "labels": "{{parent}}" },
        })),
        "refuse": done("checks", "failed", json!({ "path": "/refused/{{event.data.name}}" })),
    })
}

#[test]
fn a_job_that_is_done_starts_the_next_and_what_cannot_start_is_a_dead_letter() {
    let upstream = Upstream::start(|seen| match seen.target.contains("broken") {
        true => Reply::text("this is no picture").status(422),
        false => Reply::text(json!({ "of": seen.target }).to_string()),
    });
    let (gateway, tap) = start_with(&routes(&upstream), &pipeline(), &[]);
    tap.publish(
        "1",
        "upload.finished",
        json!({ "upload": "one", "parts": ["a", "b", "c"] }),
    );
    tap.publish(
        "2",
        "upload.finished",
        json!({ "upload": "two", "parts": ["a", "broken"] }),
    );
    for (id, data) in [
        ("3", json!({ "upload": "three" })),
        ("4", json!({ "upload": "four", "parts": [] })),
        ("5", json!({ "parts": ["a"] })),
        ("6", json!({ "upload": "six", "parts": vec![1; 10_001] })),
    ] {
        tap.publish(id, "upload.finished", data);
    }
    let mut calls = BTreeMap::new();
    eventually_within(LONG, "a page and a refusal", || {
        calls = self::calls(&upstream.seen());
        calls.contains_key("/pages/one") && calls.contains_key("/refused/two")
    });
    assert!(!calls.contains_key("/pages/two"), "{calls:?}");
    let seen = upstream.seen();
    let body = |target: &str| -> Value {
        let one = seen.iter().find(|one| one.target == target).unwrap();
        serde_json::from_slice(&one.body).unwrap()
    };
    assert_eq!(body("/labels/1"), json!({ "checked": "/checks/b" }));
    let labels = [0, 1, 2].map(|n| json!({ "of": format!("/labels/{n}") }));
    assert_eq!(body("/pages/one"), json!({ "labels": labels }));
    shows(&gateway, "check", "four are dead", |shown| {
        shown["subscriber"]["dead_letters"] == 4
    });
    let dead = asked(&gateway, "/subscribers/check/dead-letters")["items"].to_string();
    for why in [
        "no list at `data.parts`",
        "is empty",
        "has no `upload`",
        "10000 items",
    ] {
        assert!(dead.contains(why), "{why}: {dead}");
    }
}

#[test]
fn what_a_job_asks_for_is_checked_before_it_runs() {
    let upstream = "127.0.0.1:1";
    let folder = tempfile::tempdir().unwrap();
    let job = json!({
        "listener": "publc", "consumer": "galery", "queue": "nigth", "path": "/{{itm}}",
        "items": "data..parts", "attempts": 99,
    });
    let text = json!({
        "gateway": { "store": { "engine": { "sqlite": { "path": "gate.db" } } } },
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "consumers": { "gallery": { "keys": [{ "sha256": KEY }] } },
        "queues": { "night": {} },
        "upstreams": { "parts": { "endpoints": [upstream] } },
        "routes": { "all": { "target": { "upstream": "parts" } } },
        "subscribers": { "check": { "target": { "job": job } } },
    });
    let file = folder.path().join("gate.yaml");
    std::fs::write(&file, text.to_string()).unwrap();
    let output = tidegate(&["check", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (place, why) in [
        ("target.job.listener", "publc"),
        ("target.job.consumer", "galery"),
        ("target.job.queue", "nigth"),
        ("target.job.path", "no place `itm`"),
        ("target.job.items", "field of the event"),
    ] {
        assert!(
            said.contains(place) && said.contains(why),
            "{place}: {said}"
        );
    }
}

#[test]
fn each_subscriber_has_its_own_job_of_an_event_that_is_published_twice() {
    let upstream = Upstream::start(|seen| Reply::text(seen.target.clone()));
    let one = |path: &str| starts("upload.finished", json!({ "path": path }));
    let subscribers = json!({ "one": one("/one"), "other": one("/other") });
    let (gateway, tap) = start_with(&routes(&upstream), &subscribers, &[]);
    for id in ["1", "1", "2"] {
        tap.publish(id, "upload.finished", json!({}));
    }
    succeeded(&gateway, 4);
    let calls = calls(&upstream.seen());
    assert_eq!((calls["/one"], calls["/other"]), (2, 2));
    assert_eq!(jobs(&gateway).len(), 4);
}
