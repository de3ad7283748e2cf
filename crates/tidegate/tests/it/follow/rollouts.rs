//! Rollouts over several gateways: one decides, all serve their share, and what a rollout ends in
//! is in the store. Traffic is real; nobody helps.

use super::fleet::{self, Fleet, fixed};
use super::load::Load;
use crate::support::{Gateway, eventually_within};
use gate_store::control::{Cause, ControlStore, EvidenceRow, RolloutRow};
use serde_json::{Value, json};
use std::time::Duration;

/// Quick steps: a test has no ten minutes.
fn quick() -> Value {
    json!({
        "steps": ["20%", "50%"], "step_minimum": "500ms", "step_patience": "60s",
        "signals": ["errors"], "negligible": "5%",
    })
}

fn failing() -> Value {
    let mut document = fixed("bad");
    document["routes"]["all"]["target"]["fixed"]["status"] = json!(503);
    document
}

fn over(fleet: &Fleet, id: &str) -> RolloutRow {
    let mut row = None;
    eventually_within(Duration::from_secs(60), "the rollout is over", || {
        row = fleet
            .rollout(id)
            .filter(|row| fleet.row().candidate.is_none() && row.state != "running");
        row.is_some()
    });
    row.unwrap()
}

fn loads(nodes: &[&Gateway]) -> Vec<Load> {
    nodes
        .iter()
        .map(|node| Load::start(&node.late_address("public"), 2))
        .collect()
}

#[test]
fn a_revision_that_fails_is_taken_back_on_every_gateway() {
    for fleet in Fleet::all() {
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        let good = fleet.apply(fixed("good"));
        fleet::eventually_serves(&a, "good");
        fleet::eventually_serves(&b, "good");
        let loads = loads(&[&a, &b]);
        fleet.try_out("r-bad", failing(), &quick());
        let row = over(&fleet, "r-bad");
        assert_eq!(row.state, "rolled_back", "{}", row.data);
        let data: Value = serde_json::from_str(&row.data).unwrap();
        let reason = data["reason"].as_str().unwrap();
        assert!(reason.contains("errors on `all`"), "{reason}");
        // What was in force comes back as a revision of its own, which says why.
        let environment = fleet.row();
        let now = fleet.revision(environment.revision.unwrap());
        assert_eq!(
            (now.cause, &now.digest),
            (Cause::AutoRollback, &good.digest)
        );
        assert!(
            now.number > good.number && now.message.contains(reason),
            "{now:?}"
        );
        assert_eq!(environment.stable, environment.revision);
        for node in [&a, &b] {
            eventually_within(Duration::from_secs(5), "the share is 0", || {
                node.metrics()
                    .contains("tidegate_rollout_share_ratio{rollout=\"r-bad\"} 0\n")
            });
            (0..30).for_each(|_| fleet::serves(node, "good"));
        }
        let reported: Vec<EvidenceRow> = fleet.evidence("r-bad");
        let mut instances: Vec<_> = reported.iter().map(|row| &row.instance).collect();
        instances.sort();
        instances.dedup();
        assert!(!instances.is_empty(), "{reported:?}");
        assert_eq!(fleet.last_audit().action, "rollout.roll_back");
        loads.into_iter().for_each(|load| drop(load.end()));
    }
}

#[test]
fn a_revision_that_works_is_promoted_though_the_leader_died() {
    for fleet in Fleet::all() {
        let (mut a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.apply(fixed("one"));
        fleet::eventually_serves(&a, "one");
        fleet::eventually_serves(&b, "one");
        let on_b = loads(&[&b]);
        let candidate = fleet.try_out("r-good", fixed("two"), &quick());
        eventually_within(Duration::from_secs(120), "both serve", || {
            fleet
                .evidence("r-good")
                .iter()
                .any(|row| row.candidate_total > 0)
        });
        a.process.child.kill().unwrap();
        a.process.ended();
        let row = over(&fleet, "r-good");
        assert_eq!(row.state, "promoted", "{}", row.data);
        let environment = fleet.row();
        assert_eq!(environment.revision, Some(candidate.number));
        assert_eq!(environment.stable, Some(candidate.number));
        // The store knows first; until the gateway has followed, the candidate serves its share.
        eventually_within(Duration::from_secs(10), "it is in force", || {
            fleet::revision(&b.metrics()) == Some(candidate.number)
        });
        (0..30).for_each(|_| fleet::serves(&b, "two"));
        // No request was lost on the way, whoever served it.
        for load in on_b {
            load.end().expect_only(&["one", "two"]);
        }
    }
}

#[test]
fn what_no_gateway_can_serve_is_taken_back_at_once_with_the_reason() {
    let fleet = Fleet::all().remove(0);
    let node = fleet.node("a", &[]);
    let good = fleet.apply(fixed("good"));
    fleet::eventually_serves(&node, "good");
    let mut moved = fixed("elsewhere");
    moved["listeners"]["second"] = json!({ "address": "127.0.0.1:0" });
    fleet.try_out("r-listener", moved, &quick());
    let row = over(&fleet, "r-listener");
    assert_eq!(row.state, "rolled_back");
    assert!(row.data.contains("not_gradual"), "{}", row.data);
    let now = fleet.revision(fleet.row().revision.unwrap());
    assert_eq!(now.digest, good.digest);
    fleet::serves(&node, "good");
}

/// Reads what tests of rollouts want from the store.
impl Fleet {
    fn rollout(&self, id: &str) -> Option<RolloutRow> {
        self.ask(|store: &mut dyn ControlStore| store.rollout(id).unwrap())
    }

    fn evidence(&self, id: &str) -> Vec<EvidenceRow> {
        self.ask(|store: &mut dyn ControlStore| store.evidence(id).unwrap())
    }

    fn last_audit(&self) -> gate_store::control::AuditRow {
        self.ask(|store: &mut dyn ControlStore| store.audit_lines(None, 1).unwrap().remove(0))
    }
}
