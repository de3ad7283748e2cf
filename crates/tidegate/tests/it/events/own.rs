//! The gateway's own events, through failures that are made here: each keeps to the schema that is
//! committed for it. Those of environments are in `follow/events.rs`.

use super::{STORE, read};
use crate::support::{Gateway, Reply, Upstream, eventually_within};
use gate_ops::event::own::TYPES;
use gate_store::journal::Event;
use serde_json::{Value, json};
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
