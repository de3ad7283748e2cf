//! Canaries from a person's side: begun, shown, held, resumed, promoted and taken back by command,
//! against a real gateway on a real store.

use super::change::hashed;
use super::commands::Desk;
use super::fleet::{self, fixed};
use super::load::Load;
use crate::support::{eventually, eventually_within};
use serde_json::{Value, json};
use std::time::Duration;

const VIEWER: &str = "tg_test-key-of-a-viewer";
const OPERATOR: &str = "tg_test-key-of-an-operator";

/// Half of the exchanges, for longer than a test takes.
const STANDING: &str = r#"{"steps":["50%"],"step_minimum":"1h","step_patience":"2h"}"#;

impl Desk {
    fn rollout(&self, id: &str) -> Value {
        self.json(&["rollouts", "show", id])
    }

    #[track_caller]
    fn apply_canary(&self, document: &Value, canary: &str) -> String {
        let file = self.write("shop.json", &document.to_string());
        let applied = self.json(&["apply", &file, "--canary", canary]);
        let id = applied["rollout"].as_str();
        id.unwrap_or_else(|| panic!("{applied}")).to_owned()
    }

    /// Waits until a rollout is in a state.
    #[track_caller]
    fn until(&self, id: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        eventually_within(Duration::from_secs(60), state, || {
            shown = self.rollout(id);
            shown["state"] == state
        });
        shown
    }
}

#[test]
fn a_canary_that_fails_is_taken_back_by_its_evidence() {
    let desk = Desk::start();
    let good = desk.write("shop.json", &fixed("good").to_string());
    desk.run(&["apply", &good], 0);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 2);
    let mut failing = fixed("bad");
    failing["routes"]["all"]["target"]["fixed"]["status"] = json!(503);
    let bad = desk.write("shop.json", &failing.to_string());
    let refused = desk.run(&["apply", &bad, "--canary", "nobody"], 1);
    let missing = "there is no rollout `nobody`";
    assert!(refused.contains(missing), "{refused}");
    let settings = r#"{"steps":["20%","50%"],"step_minimum":"500ms","signals":["errors"]}"#;
    let id = desk.apply_canary(&failing, settings);
    let shown = desk.until(&id, "rolled_back");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("errors on `all`"), "{shown}");
    let evidence = &shown["evidence"][0];
    assert_eq!(evidence["signal"], "errors");
    assert!(evidence["e_value"].as_f64().unwrap() > 1000.0, "{shown}");
    let newest = &desk.json(&["revisions"])[0];
    assert_eq!(newest["cause"], "auto_rollback");
    let message = newest["message"].as_str().unwrap();
    assert!(message.contains(reason), "{newest}");
    fleet::eventually_serves(&desk.node, "good");
    let answers = load.end();
    let bad = answers.total_of("HTTP/1.1 503");
    assert_eq!(answers.total_of("good") + bad, answers.total());
}

#[test]
fn people_steer_a_canary_as_far_as_their_role_goes() {
    let (viewer, operator) = (hashed(VIEWER), hashed(OPERATOR));
    let keys = format!(
        ", keys: {{ v: {{ sha256: {viewer}, role: viewer }}, o: {{ sha256: {operator}, role: operator }} }}"
    );
    let desk = Desk::with(&keys, OPERATOR);
    let file = desk.write("shop.json", &fixed("one").to_string());
    desk.run(&["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "one");
    let load = Load::start(&desk.node.late_address("public"), 2);
    let id = desk.apply_canary(&fixed("two"), STANDING);
    eventually("a gateway has begun it", || {
        desk.rollout(&id)["share"] == 0.5
    });
    let other = desk.write("shop.json", &fixed("three").to_string());
    let refused = desk.run(&["apply", &other], 1);
    assert!(refused.contains("a rollout runs"), "{refused}");

    may_only_look(&desk, &id, &other);
    // Who may change it does.
    desk.present(OPERATOR);
    let held = desk.run(&["rollouts", "hold", &id, "--reason", "lunch"], 0);
    assert!(held.contains("held") && held.contains("lunch"), "{held}");
    let listed = desk.run(&["rollouts"], 0);
    assert!(listed.contains("held"), "{listed}");
    desk.run(&["rollouts", "resume", &id, "--reason", "back"], 0);
    desk.until(&id, "running");
    let back = ["rollouts", "rollback", &id, "--reason", "no good"];
    let back = desk.run(&back, 0);
    assert!(back.contains("rolled back"), "{back}");
    eventually("no candidate serves", || {
        let none = format!("tidegate_rollout_share_ratio{{rollout=\"{id}\"}} 0\n");
        desk.node.metrics().contains(&none)
    });
    (0..30).for_each(|_| fleet::serves(&desk.node, "one"));
    let refused = desk.run(&["rollouts", "resume", &id], 1);
    assert!(refused.contains("has ended"), "{refused}");

    let id = desk.apply_canary(&fixed("two"), STANDING);
    desk.run(&["rollouts", "promote", &id, "--reason", "good"], 0);
    let shown = desk.until(&id, "promoted");
    eventually("it is in force", || {
        fleet::revision(&desk.node.metrics()) == shown["candidate"].as_u64()
    });
    (0..30).for_each(|_| fleet::serves(&desk.node, "two"));
    load.end().expect_only(&["one", "two"]);
    says_who_did_it(&desk);
}

/// Who may only look sees everything and changes nothing.
fn may_only_look(desk: &Desk, id: &str, other: &str) {
    desk.present(VIEWER);
    let listed = desk.run(&["rollouts"], 0);
    assert!(listed.contains(id) && listed.contains("50 %"), "{listed}");
    eventually("both have been counted", || {
        let counts = &desk.rollout(id)["evidence"][0];
        counts["candidate"]["total"].as_u64() > Some(0) && counts["control"]["total"] != 0
    });
    let shown = desk.run(&["rollouts", "show", id], 0);
    assert!(shown.contains("state       running"), "{shown}");
    assert!(shown.contains("errors"), "{shown}");
    for action in ["hold", "resume", "promote", "rollback"] {
        let refused = desk.run(&["rollouts", action, id], 1);
        assert!(refused.contains("role"), "{refused}");
    }
    let refused = desk.run(&["apply", other, "--canary", STANDING], 1);
    assert!(refused.contains("role"), "{refused}");
    assert_eq!(desk.rollout(id)["state"], "running");
}

/// Each order of a person stands in the audit log, with its reason.
fn says_who_did_it(desk: &Desk) {
    let audit = desk.json(&["audit", "--limit", "1000"]);
    let lines = audit.as_array().unwrap();
    for (action, reason) in [
        ("holdRollout", "lunch"),
        ("resumeRollout", "back"),
        ("rollBackRollout", "no good"),
        ("promoteRollout", "good"),
    ] {
        let mut of = lines.iter().filter(|line| line["action"] == action);
        let done = of.find(|line| line["outcome"] == "done");
        let detail = done.and_then(|line| line["detail"].as_str());
        let detail = detail.unwrap_or_else(|| panic!("no {action}: {audit}"));
        assert!(detail.contains(reason), "{action}: {detail}");
    }
    desk.run(&["audit", "verify"], 0);
}
