//! The gateway's own events, through failures that are made here: each keeps to the schema that is
//! committed for it. Those of environments are in `follow/events.rs`.

use super::{STORE, read};
use crate::support::{Gateway, Reply, Upstream, eventually_within};
use gate_ops::event::own::TYPES;
use gate_store::journal::Event;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);

/// The events of a type, each held against its schema.
pub(crate) fn of(events: &[Event], kind: &str) -> Vec<Value> {
    let events = events.iter().filter(|event| event.kind == kind);
    let read = events.map(|event| {
        let event: Value = serde_json::from_slice(event.payload.as_deref().unwrap()).unwrap();
        conforms(&event, kind);
        event
    });
    read.collect()
}

/// Holds an event against the schema of its type.
#[track_caller]
pub(crate) fn conforms(event: &Value, kind: &str) {
    let own = TYPES.iter().find(|own| own.kind == kind).unwrap();
    let schema = (own.schema)();
    let schema = gate_contract::event::compile(schema.as_object().unwrap()).unwrap();
    assert!(schema.holds(&event["data"]), "{event}");
    assert_eq!(event["type"], kind);
    assert_eq!(event["dataschema"], own.dataschema());
}

#[test]
fn a_model_that_fails_and_is_well_again_is_told() {
    let is_well = Arc::new(AtomicBool::new(false));
    let known = is_well.clone();
    let provider = Upstream::start(move |_| match known.load(Ordering::Relaxed) {
        true => {
            let message = json!({"role": "assistant", "content": "Hi."});
            let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
            let body = json!({"id": "c", "object": "chat.completion", "created": 1,
                "model": "m-1", "choices": choices});
            Reply::text(body.to_string()).header("content-type", "application/json")
        }
        false => Reply::text("{}").status(500),
    });
    let configuration = format!(
        r#"
providers: {{ shaky: {{ compatible: {{ base_url: "http://{}/v1" }} }} }}
models: {{ assistant: {{ targets: [{{ provider: shaky, model: m-1 }}] }} }}
routes: {{ ai: {{ match: {{ path: "/v1/{{*rest}}" }}, target: {{ models: [assistant] }} }} }}
"#,
        provider.address
    );
    let gateway = Gateway::with(&configuration, STORE, &[]);
    let asked = r#"{"model":"assistant","messages":[{"role":"user","content":"Hi"}]}"#;
    let told = |kind: &str| {
        let mut told = Vec::new();
        eventually_within(PATIENCE, kind, || {
            gateway.curl("/v1/chat/completions", &["-d", asked]);
            told = of(&read(&gateway), kind);
            !told.is_empty()
        });
        told[0]["data"].clone()
    };
    let opened = told("tidegate.breaker.opened");
    assert_eq!(
        (&opened["provider"], &opened["model"]),
        (&json!("shaky"), &json!("m-1"))
    );
    is_well.store(true, Ordering::Relaxed);
    let closed = told("tidegate.breaker.closed");
    assert_eq!(closed["model"], "m-1");
}

#[test]
fn addresses_that_fail_and_keys_that_end_are_told() {
    let well = Upstream::start(|_| Reply::text("fine"));
    let sha256 = "12f27fa94cbef259460ca7b4abf73b50ab8ade216ef714aeec3f7957ac270e63";
    let ends = gate_kit::clock::Clock::System.unix() + Duration::from_secs(86_400);
    let ends = gate_model::units::Timestamp::from_unix_s(ends.as_secs());
    let configuration = format!(
        r#"
consumers: {{ shop: {{ keys: [{{ id: main, sha256: "{sha256}", expires: "{ends}" }}] }} }}
upstreams:
  orders:
    endpoints: ["{}", "127.0.0.1:1"]
    outlier: {{ failures: 2, ejection: 2s }}
routes: {{ orders: {{ match: {{ path: /orders }}, target: {{ upstream: orders }} }} }}
"#,
        well.address
    );
    let gateway = Gateway::with(&configuration, STORE, &[]);
    let kinds = [
        "tidegate.endpoint.ejected",
        "tidegate.endpoint.returned",
        "tidegate.key.expiring",
        // Of the forecast that the key ends.
        "tidegate.alert.raised",
    ];
    eventually_within(PATIENCE, "all of it is told", || {
        gateway.curl("/orders", &[]);
        let events = read(&gateway);
        kinds.iter().all(|kind| !of(&events, kind).is_empty())
    });
    let events = read(&gateway);
    let ejected = &of(&events, kinds[0])[0];
    assert_eq!(ejected["data"]["upstream"], "orders");
    let keys = of(&events, kinds[2]);
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["data"]["key"], json!("shop/main"));
}
