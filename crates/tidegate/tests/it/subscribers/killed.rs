//! Gateways that are killed while they deliver: every event arrives, under one key each.

use super::support::{Tap, again, configuration, ids, webhook};
use crate::support::{Gateway, Reply, Upstream, eventually_within};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Events of a run, and how often the gateway is killed.
const EVENTS: usize = 600;
const KILLS: usize = 6;

#[test]
fn every_event_arrives_though_the_gateway_is_killed() {
    // One of twenty fails at first, so that kills find events that wait for another attempt.
    let receiver = Upstream::start(|seen| {
        let id: usize = seen
            .header("ce-id")
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        let first = seen.header("tidegate-attempt") == Some("1");
        match first && id.is_multiple_of(20) {
            true => Reply::text("later").status(503),
            false => Reply::text("taken").after(Duration::from_millis(3)),
        }
    });
    let mut hook = webhook(&receiver);
    hook["order_by"] = json!("data.of");
    hook["filter"] = json!({ "pattern": { "type": ["order.changed"] } });
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let text = configuration(&json!({}), &json!({ "hook": hook }));
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let mut gateway = Gateway::run_in(folder.clone(), &[], &[]);
    let tap = Tap::new(folder.path());
    let events: Vec<(String, &str, serde_json::Value)> = (1..=EVENTS)
        .map(|id| (id.to_string(), "order.changed", json!({ "of": id % 7 })))
        .collect();
    tap.publish_all(&events);
    for kill in 1..=KILLS {
        let come = EVENTS * kill / (KILLS + 2);
        eventually_within(Duration::from_secs(120), "some have come", || {
            ids(&receiver.seen()).len() >= come
        });
        gateway.process.child.kill().unwrap();
        gateway.process.ended();
        gateway = again(&folder, &[]);
    }
    eventually_within(Duration::from_secs(240), "all have come", || {
        ids(&receiver.seen()).len() == EVENTS
    });
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in receiver.seen() {
        let header = |name: &str| one.header(name).unwrap_or_default().to_owned();
        keys.entry(header("ce-id"))
            .or_default()
            .insert(header("webhook-id"));
    }
    assert!(
        keys.values().all(|of_one| of_one.len() == 1),
        "a key for each event: {keys:?}"
    );
    let all: BTreeSet<&String> = keys.values().flatten().collect();
    assert_eq!(all.len(), EVENTS, "no key for two events");
    // Whatever came again, each key's events came for the first time in their order.
    let mut first: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for one in receiver.seen() {
        let id: usize = one.header("ce-id").unwrap().parse().unwrap();
        if known.insert(id) {
            first.entry(id % 7).or_default().push(id);
        }
    }
    assert!(first.values().all(|ids| ids.is_sorted()), "{first:?}");
}
