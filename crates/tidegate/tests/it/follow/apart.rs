//! Two environments on one store: what callers publish in one of them is nobody's business in the other.

use super::fleet::{self, Fleet};
use crate::support::{Gateway, Reply, Seen, Upstream, curl, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A document that takes events and tells all of them to a receiver.
fn document(receiver: &Upstream) -> Value {
    json!({
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "routes": { "events": { "match": { "path": "/events" }, "target": { "events": {} } } },
        "subscribers": { "all": {
            "start": "beginning",
            "target": { "webhook": { "url": format!("http://{}/", receiver.address) } },
        } },
    })
}

/// Publishes an event; says its place in the journal.
fn publish(node: &Gateway, id: &str) -> u64 {
    let url = format!("http://{}/events", node.late_address("public"));
    let event = json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "placed" });
    let answer = curl(&[
        &url,
        "-H",
        "content-type: application/cloudevents+json",
        "-d",
        &event.to_string(),
    ]);
    answer.expect(202).json()["events"][0]["place"]
        .as_u64()
        .expect("its place")
}

/// What callers published of what a receiver was told.
fn told(receiver: &Upstream) -> BTreeSet<String> {
    let of = |one: &Seen| {
        let is_own = one
            .header("ce-source")
            .is_some_and(|of| of.starts_with("urn:tidegate:"));
        (!is_own).then(|| one.header("ce-id").unwrap_or_default().to_owned())
    };
    receiver.seen().iter().filter_map(of).collect()
}

#[test]
fn subscribers_see_their_own_environment_alone() {
    for fleet in Fleet::all() {
        let receivers = [(); 2].map(|()| Upstream::start(|_| Reply::text("taken")));
        let nodes = ["main", "staging"].map(|environment| {
            let folder = fleet.folder(environment, "");
            let file = folder.path().join("gate.yaml");
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.replace("environment: main", &format!("environment: {environment}"));
            std::fs::write(&file, text).unwrap();
            fleet.restart(folder, &[])
        });
        for (environment, receiver) in ["main", "staging"].iter().zip(&receivers) {
            fleet.apply_in(environment, document(receiver));
        }
        for node in &nodes {
            eventually("events are taken", || {
                let page = fleet::admin(node, "/metrics").body;
                fleet::revision(&page).is_some()
            });
        }
        // The same source and id in another environment are another event; a repeat is none.
        let [main, staging] = &nodes;
        let first = publish(main, "both");
        assert_eq!(publish(main, "both"), first);
        assert_ne!(publish(staging, "both"), first);
        publish(main, "of-main");
        publish(staging, "of-staging");
        let last = [
            publish(main, "last-of-main"),
            publish(staging, "last-of-staging"),
        ];
        // Each receiver has the last of its own, which is behind everything of the other but one.
        let expected = [
            ["both", "of-main", "last-of-main"],
            ["both", "of-staging", "last-of-staging"],
        ];
        for (receiver, expected) in receivers.iter().zip(expected) {
            let expected: BTreeSet<String> = expected.map(str::to_owned).into();
            eventually("its own events are told", || {
                told(receiver).is_superset(&expected)
            });
        }
        // One more of each, so that both have passed by all of the other's.
        for node in &nodes {
            publish(node, "end");
        }
        for (receiver, expected) in receivers.iter().zip(expected) {
            eventually("the end is told", || told(receiver).contains("end"));
            let mut expected: BTreeSet<String> = expected.map(str::to_owned).into();
            expected.insert("end".to_owned());
            assert_eq!(told(receiver), expected, "{} {last:?}", fleet.name());
        }
        let keys: Vec<String> = fleet.journal().into_iter().map(|event| event.key).collect();
        for environment in ["main", "staging"] {
            let key = format!("{environment}\t/shop both");
            assert!(keys.contains(&key), "{keys:?}");
        }
    }
}
