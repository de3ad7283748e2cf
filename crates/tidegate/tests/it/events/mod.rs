//! Events that callers publish: by curl in every mode, by the SDK of CloudEvents, against schemas,
//! over a gateway that is killed and a store that goes away.

mod guide;
pub(crate) mod own;
mod schedules;

use crate::sdk::venv;
use crate::support::postgres::Server;
use crate::support::{Answer, Gateway, eventually, tidegate};
use gate_store::journal::{Event, ReadJournal, Reading};
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::process::Command;

/// The key of the consumer `shop`: its SHA-256 is in the configuration.
const KEY: &str = "authorization: Bearer secret-of-shop";
const STRUCTURED: &str = "content-type: application/cloudevents+json";
const BATCH: &str = "content-type: application/cloudevents-batch+json";

const STORE: &str = ", store: { engine: { sqlite: { path: ledger.db } } }";

/// Every route of these tests.
fn configuration() -> String {
    // SHA-256 of `secret-of-shop`.
    let sha256 = "12f27fa94cbef259460ca7b4abf73b50ab8ade216ef714aeec3f7957ac270e63";
    let schema = |more: &str| {
        format!(
            "{{ type: object, required: [id], properties: {{ id: {{ type: string }}, parts: {{ type: array, items: {{ $ref: '#/$defs/part' }} }}{more} }}, $defs: {{ part: {{ type: object, properties: {{ bytes: {{ type: integer, minimum: 0 }} }} }} }} }}"
        )
    };
    format!(
        r#"
consumers: {{ shop: {{ keys: [{{ sha256: "{sha256}" }}] }} }}
event_types:
  com.example.upload:
    summary: Something was uploaded.
    versions:
      "1": {{ schema: {one} }}
      "2": {{ dataschema: "https://example.com/upload/2", schema: {two} }}
  com.example.strict: {{ unnamed: refuse, versions: {{ "1": {{ schema: {one} }} }} }}
  com.example.plain: {{}}
routes:
  events:
    match: {{ path: /events }}
    policies: [{{ auth_key: {{}} }}]
    target: {{ events: {{}} }}
  few:
    match: {{ path: /few }}
    target: {{ events: {{ types: ["com.example.*"], sources: ["/shop/*", "/one"], registered_only: true, event: 2KiB, batch: 4KiB, batch_events: 3 }} }}
"#,
        one = schema(""),
        two = schema(", size: { type: integer }"),
    )
}

fn post(gateway: &Gateway, path: &str, fields: &[&str], body: &str) -> Answer {
    let mut arguments = vec!["-X", "POST", "--data-binary", body, "-H", KEY];
    for field in fields {
        arguments.extend(["-H", field]);
    }
    gateway.curl(path, &arguments)
}

/// An event as JSON.
fn event(id: &str, more: Value) -> Value {
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": "/shop/1", "type": "com.example.upload",
        "data": { "id": "a" },
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// Events of callers in the journal of a gateway: type, consumer and key of each, in order.
fn journal(gateway: &Gateway) -> Vec<(String, String, String)> {
    let events = read(gateway).into_iter();
    let events = events.filter(|event| event.kind.starts_with("com."));
    events
        .map(|event| (event.kind, event.consumer, event.key))
        .collect()
}

/// Every event in the journal of a gateway on SQLite.
pub(crate) fn read(gateway: &Gateway) -> Vec<Event> {
    let file = gateway.path().join("ledger.db");
    let mut reading = Reading::new(Sqlite::open(&file).unwrap());
    reading.behind(0, 1_000).unwrap()
}

#[test]
fn events_are_taken_in_every_mode_and_answered_with_their_place() {
    let gateway = Gateway::with(&configuration(), STORE, &[]);
    let binary = [
        "ce-specversion: 1.0",
        "ce-id: b1",
        "ce-source: /shop/1",
        "ce-type: com.example.upload",
        "content-type: application/json",
    ];
    let answer = post(&gateway, "/events", &binary, r#"{"id":"a"}"#).expect(202);
    let place = |answer: &Answer, at: usize| answer.json()["events"][at]["place"].as_u64().unwrap();
    let first = place(&answer, 0);
    assert_eq!(answer.json()["events"][0]["id"], "b1");
    let one = event("s1", json!({})).to_string();
    let answer = post(&gateway, "/events", &[STRUCTURED], &one).expect(202);
    assert!(place(&answer, 0) > first);
    let batch = json!([
        event("c1", json!({})),
        event("c2", json!({ "source": "/shop/2" }))
    ]);
    let answer = post(&gateway, "/events", &[BATCH], &batch.to_string()).expect(202);
    assert_eq!(answer.json()["events"][1]["source"], "/shop/2");
    // A repeat is answered as the first time, whatever else it says, and kept once.
    let again = post(&gateway, "/events", &binary, r#"{"id":"other"}"#).expect(202);
    assert_eq!(place(&again, 0), first);
    let empty = post(&gateway, "/events", &[BATCH], "[]").expect(202);
    assert_eq!(empty.json()["events"], json!([]));
    let kept = journal(&gateway);
    let keys: Vec<&str> = kept.iter().map(|(_, _, key)| &**key).collect();
    assert_eq!(
        keys,
        ["/shop/1 b1", "/shop/1 s1", "/shop/1 c1", "/shop/2 c2"]
    );
    assert!(
        kept.iter()
            .all(|(kind, consumer, _)| kind == "com.example.upload" && consumer == "shop")
    );
}

#[test]
fn what_is_no_event_or_breaks_its_schema_is_refused_with_its_place() {
    let gateway = Gateway::with(&configuration(), STORE, &[]);
    let of = |more: Value| event("x", more);
    let long = "x".repeat(3_000);
    for (path, body, status, code, told) in [
        (
            "/events",
            of(json!({ "id": "" })),
            400,
            "event_invalid",
            "`id`",
        ),
        (
            "/events",
            of(json!({ "specversion": "0.3" })),
            400,
            "event_invalid",
            "specversion",
        ),
        (
            "/events",
            of(json!({ "time": "yesterday" })),
            400,
            "event_invalid",
            "`time`",
        ),
        (
            "/events",
            of(json!({ "data": { "id": 7 } })),
            400,
            "event_invalid",
            "/data/id",
        ),
        (
            "/events",
            of(json!({ "data": { "id": "a", "parts": [{ "bytes": -1 }] } })),
            400,
            "event_invalid",
            "/data/parts/0/bytes",
        ),
        (
            "/events",
            of(json!({ "dataschema": "https://example.com/upload/9" })),
            400,
            "event_version_unknown",
            "urn:tidegate:event:com.example.upload:1",
        ),
        (
            "/events",
            of(
                json!({ "dataschema": "https://example.com/upload/2", "data": { "id": "a", "size": "b" } }),
            ),
            400,
            "event_invalid",
            "/data/size",
        ),
        (
            "/events",
            of(json!({ "type": "com.example.strict" })),
            400,
            "event_version_unknown",
            "is missing",
        ),
        (
            "/events",
            of(json!({ "type": "tidegate.revision.applied" })),
            403,
            "event_forbidden",
            "gateway alone",
        ),
        (
            "/events",
            of(json!({ "source": "urn:tidegate:environment:main" })),
            403,
            "event_forbidden",
            "gateway alone",
        ),
        (
            "/few",
            of(json!({ "type": "org.other" })),
            403,
            "event_forbidden",
            "type",
        ),
        (
            "/few",
            of(json!({ "source": "/elsewhere" })),
            403,
            "event_forbidden",
            "source",
        ),
        (
            "/few",
            of(json!({ "type": "com.example.new" })),
            400,
            "event_version_unknown",
            "not registered",
        ),
        (
            "/few",
            of(json!({ "subject": long })),
            413,
            "body_too_large",
            "limit",
        ),
    ] {
        let answer = post(&gateway, path, &[STRUCTURED], &body.to_string()).expect(status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.json()["code"], code, "{body} {answer:?}");
        assert!(answer.body.contains(told), "{told}: {answer:?}");
    }
    // A batch is taken whole or not at all, and says which event is at fault.
    let batch = json!([
        of(json!({})),
        of(json!({ "id": "y", "data": { "id": [] } }))
    ])
    .to_string();
    let answer = post(&gateway, "/events", &[BATCH], &batch).expect(400);
    assert!(
        answer.body.contains("Event 1 of the batch") && answer.body.contains("/1/data/id"),
        "{answer:?}"
    );
    let four: Vec<Value> = (0..4).map(|n| event(&n.to_string(), json!({}))).collect();
    let answer = post(&gateway, "/few", &[BATCH], &json!(four).to_string()).expect(400);
    assert!(answer.body.contains("3 are the most"), "{answer:?}");
    let answer = post(
        &gateway,
        "/events",
        &["content-type: application/cloudevents+avro"],
        "x",
    );
    assert!(answer.expect(400).body.contains("only JSON is read"));
    assert_eq!(gateway.curl("/events", &["-H", KEY]).status, 405);
    let missing = gateway.curl("/events", &["-X", "POST", "-H", STRUCTURED, "-d", "{}"]);
    assert_eq!(missing.status, 401);
    assert_eq!(journal(&gateway), []);
    // Versions that are named are read by their own schema, types without versions take all.
    for (id, more) in [
        (
            "1",
            json!({ "dataschema": "https://example.com/upload/2", "data": { "id": "a", "size": 1 } }),
        ),
        (
            "2",
            json!({ "dataschema": "urn:tidegate:event:com.example.upload:1" }),
        ),
        (
            "3",
            json!({ "type": "com.example.plain", "data": "anything" }),
        ),
        ("4", json!({ "type": "com.example.new", "data": null })),
    ] {
        let body = event(id, more).to_string();
        post(&gateway, "/events", &[STRUCTURED], &body).expect(202);
    }
    assert_eq!(journal(&gateway).len(), 4);
}

/// What was answered is there after a kill, in its place, and a repeat finds it.
#[test]
fn what_was_answered_outlives_a_kill() {
    let mut gateway = Gateway::with(&configuration(), STORE, &[]);
    let mut places = Vec::new();
    for id in 0..20 {
        let body = event(&id.to_string(), json!({})).to_string();
        let answer = post(&gateway, "/events", &[STRUCTURED], &body).expect(202);
        places.push(answer.json()["events"][0]["place"].clone());
    }
    gateway.process.child.kill().unwrap();
    gateway.process.ended();
    let gateway = Gateway::run_in(gateway.folder.clone(), &[], &[]);
    for (id, place) in places.iter().enumerate() {
        let body = event(&id.to_string(), json!({})).to_string();
        let answer = post(&gateway, "/events", &[STRUCTURED], &body).expect(202);
        assert_eq!(answer.json()["events"][0]["place"], *place);
    }
    assert_eq!(journal(&gateway).len(), 20);
}

/// A store that cannot be written to: refused with Retry-After, taken again when it can.
#[test]
fn a_store_that_is_away_is_said_and_comes_back() {
    let Some(server) = Server::start() else {
        eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)");
        return;
    };
    let address = server.database();
    let store = ", store: { engine: { postgres: { address: { env: STORE } } } }";
    let node = Gateway::with(&configuration(), store, &[("STORE", &address)]);
    let body = |id: &str| event(id, json!({})).to_string();
    post(&node, "/events", &[STRUCTURED], &body("1")).expect(202);
    server.stop();
    let mut refused = post(&node, "/events", &[STRUCTURED], &body("2"));
    eventually("the store's silence is answered", || {
        refused = post(&node, "/events", &[STRUCTURED], &body("2"));
        refused.status == 503
    });
    assert_eq!(refused.json()["code"], "events_unavailable");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // Its port may be another's for a moment.
    eventually("the store starts again", || server.run());
    eventually("events are taken again", || {
        post(&node, "/events", &[STRUCTURED], &body("2")).status == 202
    });
}

#[test]
fn check_refuses_what_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = tidegate(&["check", file.to_str().unwrap()]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout),
        )
    };
    let listener = "listeners: { public: { address: \"127.0.0.1:0\" } }\n";
    let store = format!(
        "gateway: {{ {} }}\n{listener}",
        STORE.trim_start_matches(", ")
    );
    let route = "routes: { e: { match: { path: /e }, target: { events: {} } } }\n";
    let (code, said) = check(&format!("{listener}{route}"));
    assert!(code == Some(1) && said.contains("store_missing"), "{said}");
    let schedule = |at: &str, more: &str| {
        format!(
            "{listener}schedules: {{ s: {{ at: {at}, target: {{ event: {{ type: com.example.t{more} }} }} }} }}\n{route}"
        )
    };
    let (code, said) = check(&schedule("{ every: 1h }", ""));
    assert!(code == Some(1) && said.contains("schedules.s"), "{said}");
    for (text, told) in [
        (schedule("{ cron: \"61 * * * *\" }", ""), "minute"),
        (schedule("{ every: 1ms }", ""), "a second apart"),
        (
            schedule("{ every: 1h }", ", data: 7")
                + "event_types: { com.example.t: { versions: { \"1\": { schema: { type: string } } } } }\n",
            "breaks its schema",
        ),
        (
            format!("{listener}{route}event_types: {{ tidegate.x: {{}} }}\n"),
            "gateway's own",
        ),
        (
            format!(
                "{listener}{route}event_types: {{ a: {{ versions: {{ one: {{ schema: {{}} }} }} }} }}\n"
            ),
            "versions are 1, 2, 3",
        ),
        (
            format!(
                "{listener}{route}event_types: {{ a: {{ versions: {{ \"1\": {{ schema: {{ type: sometimes }} }} }} }} }}\n"
            ),
            "invalid_schema",
        ),
        (
            format!(
                "{listener}{route}event_types: {{ a: {{ versions: {{ \"1\": {{ schema: {{ $ref: \"https://example.com\" }} }} }} }} }}\n"
            ),
            "invalid_schema",
        ),
    ] {
        let text = text.replace(listener, &store);
        let (code, said) = check(&text);
        assert!(code == Some(1) && said.contains(told), "{told}: {said}");
    }
    let (code, said) =
        check(&(schedule("{ cron: \"0 9 * * MON-FRI\" }", "").replace(listener, &store)));
    assert_eq!(code, Some(0), "{said}");
}

/// The SDK of CloudEvents publishes in its two modes.
#[test]
fn the_python_sdk_publishes() {
    let Some(python) = venv("cloud-events", "cloudevents==2.2.0\nrequests==2.32.5") else {
        return;
    };
    let gateway = Gateway::with(&configuration(), STORE, &[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/events/publish.py");
    let output = Command::new(python)
        .arg(script)
        .args([gateway.url("/events"), "secret-of-shop".to_owned()])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    let kept = journal(&gateway);
    let kinds: Vec<&str> = kept.iter().map(|(kind, _, _)| &**kind).collect();
    assert_eq!(
        kinds,
        [
            "com.example.upload",
            "com.example.upload",
            "com.example.plain"
        ]
    );
}
