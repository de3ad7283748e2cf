//! What happens to an environment is told once, however many gateways see it.

use super::fleet::{self, Fleet, fixed};
use crate::events::own::of;
use crate::support::eventually_within;
use serde_json::json;
use std::time::Duration;

/// Longer than a lease of a gateway that was killed.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn revisions_are_told_once_by_a_fleet() {
    for fleet in Fleet::all() {
        let nodes = [fleet.node("a", &[]), fleet.node("b", &[])];
        let numbers = ["one", "two", "three"].map(|text| {
            let applied = fleet.apply(fixed(text));
            fleet::eventually_serves(&nodes[0], text);
            fleet::eventually_serves(&nodes[1], text);
            applied.number
        });
        let mut told = Vec::new();
        eventually_within(PATIENCE, "every revision is told", || {
            told = of(&fleet.journal(), "tidegate.revision.applied");
            told.len() >= 3
        });
        let revisions: Vec<u64> = told
            .iter()
            .map(|event| event["data"]["revision"].as_u64().unwrap())
            .collect();
        assert_eq!(revisions, numbers);
        assert_eq!(told[0]["source"], "urn:tidegate:environment:main");
    }
}

/// The gateway that leads is killed; what it did not tell the other one tells, and what it told stays
/// told once. Who goes back says why.
#[test]
fn the_next_gateway_goes_on_and_going_back_is_told() {
    for fleet in Fleet::all() {
        let mut a = fleet.node("a", &[]);
        let first = fleet.apply(fixed("one"));
        let applied = || of(&fleet.journal(), "tidegate.revision.applied").len();
        eventually_within(PATIENCE, "the first is told", || applied() == 1);
        a.process.child.kill().unwrap();
        a.process.ended();
        fleet.apply_until(fixed("two"), Duration::from_millis(1));
        let b = fleet.node("b", &[]);
        fleet::eventually_serves(&b, "one");
        let back = || of(&fleet.journal(), "tidegate.revision.rolled_back");
        eventually_within(PATIENCE, "going back is told", || !back().is_empty());
        let told = back();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["data"]["cause"], "revert");
        assert_eq!(told[0]["data"]["digest"], first.digest.as_str());
        assert_eq!(applied(), 2);
    }
}

/// One of two gateways cannot put a revision into force and runs the one before; the other says nothing.
#[test]
fn a_gateway_that_refuses_a_revision_tells_of_drift() {
    let fleet = Fleet::sqlite();
    let a = fleet.node("a", &[("ONLY_AT_A", "secret-of-a")]);
    let b = fleet.node("b", &[]);
    let first = fleet.apply(fixed("one"));
    fleet::eventually_serves(&b, "one");
    let mut second = fixed("two");
    second["providers"] = json!({ "x": { "openai": { "credentials": [{ "env": "ONLY_AT_A" }] } } });
    let second = fleet.apply(second);
    fleet::eventually_serves(&a, "two");
    let told = |kind| of(&fleet.journal(), kind);
    let found = || told("tidegate.drift.found");
    eventually_within(PATIENCE, "drift is told", || !found().is_empty());
    let found = found();
    assert_eq!(found.len(), 1, "{found:?}");
    let data = &found[0]["data"];
    assert_eq!(
        (&data["of"], &data["environment"], &data["revision"]),
        (&json!("revision"), &json!("main"), &json!(second.number))
    );
    assert_eq!(
        (&data["wanted"], &data["running"]),
        (&json!(second.digest), &json!(first.digest))
    );
    assert!(
        data["reason"].as_str().unwrap().contains("ONLY_AT_A"),
        "{data}"
    );
    assert!(told("tidegate.drift.mended").is_empty());
    fleet.apply(fixed("three"));
    fleet::eventually_serves(&b, "three");
    let mended = || told("tidegate.drift.mended");
    eventually_within(PATIENCE, "its end is told", || !mended().is_empty());
    assert_eq!(mended()[0]["data"]["gateway"], data["gateway"]);
}
