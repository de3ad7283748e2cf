//! People beside runs: who agrees, who answers, who ends one.

use super::*;
use crate::follow::change::hashed;

const ANN: &str = "ann-key-0123456789";
const BOB: &str = "bob-key-0123456789";

fn with(book: Value) -> Value {
    let mut document = fixed("served");
    let mut runbook = json!({
        "about": "Asks people.",
        "steps": [{ "name": "look", "do": { "check": {
            "over": "1s", "least": 1, "holds": "share < 0.5", "within": "60s",
        } } }],
    });
    for (field, value) in book.as_object().unwrap() {
        runbook[field] = value.clone();
    }
    document["runbooks"] = json!({ "asks": runbook });
    document
}

#[test]
fn who_starts_a_run_does_not_agree_to_it() {
    let (ann, bob) = (hashed(ANN), hashed(BOB));
    let keys = format!(
        ", keys: {{ ann: {{ sha256: {ann}, role: operator }}, bob: {{ sha256: {bob}, role: operator }} }}"
    );
    let desk = Desk::with(&keys, ANN);
    desk.apply_document(&with(json!({ "approval": { "within": "10m" } })));
    fleet::eventually_serves(&desk.node, "served");
    let load = Load::start(&desk.node.late_address("public"), 1);
    desk.run(&["runbooks", "run", "asks", "--reason", "a page"], 0);
    let shown = desk.only_run("it awaits somebody", |shown| {
        shown["run"]["state"] == "awaits_approval"
    });
    let id = shown["run"]["id"].as_str().unwrap();
    let refused = desk.run(&["runbooks", "approve", id], 1);
    assert!(
        refused.contains("whoever started it cannot agree to it"),
        "{refused}"
    );
    let second = desk.run(&["runbooks", "run", "asks"], 1);
    assert!(second.contains("is under way"), "{second}");
    desk.present(BOB);
    desk.run(&["runbooks", "approve", id, "--reason", "go"], 0);
    let shown = desk.ended();
    assert_eq!(shown["run"]["state"], "done", "{}", text(&shown));
    assert!(text(&shown).contains("bob agreed: go"), "{}", text(&shown));
    let audit = desk.run(&["audit"], 0);
    assert!(
        audit.contains("approveRun") && audit.contains("refused"),
        "{audit}"
    );
    load.end();
}

#[test]
fn people_are_asked_and_answer() {
    let desk = desk("");
    let steps = json!([{ "name": "sale", "do": { "ask": {
        "question": "Is the sale over?", "answers": ["yes", "no"], "goes_on": ["yes"],
    } } }]);
    let hook = Upstream::start(|_| Reply::text("heard"));
    let mut document = with(json!({ "steps": steps }));
    document["receivers"] =
        json!({ "hook": { "webhook": { "url": format!("http://{}/", hook.address) } } });
    document["notifications"] =
        json!({ "all": { "wait": "100ms", "steps": [{ "receivers": ["hook"] }] } });
    desk.apply_document(&document);
    fleet::eventually_serves(&desk.node, "served");
    desk.run(&["runbooks", "run", "asks"], 0);
    let shown = desk.only_run("it asks", |shown| shown["run"]["state"] == "awaits_answer");
    assert_eq!(shown["question"], "Is the sale over?");
    let id = shown["run"]["id"].as_str().unwrap();
    eventually_within(LONG, "people are told", || {
        let heard = hook.seen();
        let mut texts = heard.iter().map(|one| String::from_utf8_lossy(&one.body));
        texts.any(|text| text.contains("Is the sale over?"))
    });
    let refused = desk.run(&["runbooks", "answer", id, "perhaps"], 1);
    assert!(
        refused.contains("it is answered by one of: yes, no"),
        "{refused}"
    );
    desk.run(&["runbooks", "answer", id, "yes"], 0);
    assert_eq!(desk.ended()["run"]["state"], "done");
    let list = desk.run(&["runbooks", "list"], 0);
    assert!(list.contains("asks") && list.contains("done"), "{list}");
}

#[test]
fn a_run_that_is_cancelled_undoes_what_it_began() {
    let desk = desk("");
    let steps = json!([
        { "name": "stop", "do": { "act": { "action": { "freeze": {} }, "for": "1h" } } },
        { "name": "sale", "do": { "ask": { "question": "Go on?", "answers": ["yes"] } } },
    ]);
    let book = json!({ "steps": steps, "postcondition": { "holds": "total >= 0" } });
    desk.apply_document(&with(book));
    fleet::eventually_serves(&desk.node, "served");
    desk.run(&["runbooks", "run", "asks"], 0);
    let shown = desk.only_run("it asks", |shown| shown["run"]["state"] == "awaits_answer");
    let refused = desk.try_document(&fixed("other"), 1);
    assert!(refused.contains("gate_shut"), "{refused}");
    let id = shown["run"]["id"].as_str().unwrap();
    desk.run(&["runbooks", "cancel", id, "--reason", "not now"], 0);
    assert_eq!(desk.ended()["run"]["state"], "cancelled");
    desk.apply_document(&fixed("other"));
    fleet::eventually_serves(&desk.node, "other");
}
