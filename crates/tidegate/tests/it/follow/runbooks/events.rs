//! What happens starts runs, each time once.

use super::*;
use std::collections::BTreeSet;

/// Notes that there was traffic: what is of interest is that it was started.
fn noting(event: &str) -> Value {
    json!({
        "about": "Something has happened.",
        "on": [{ "event": { "name": event } }],
        "steps": [{ "name": "note", "do": { "check": {
            "least": 1, "over": "1s", "holds": "total > 0", "within": "60s",
        } } }],
    })
}

const EVENTS: [&str; 5] = [
    "endpoint_ejected",
    "endpoint_unhealthy",
    "revision_rolled_back",
    "budget_half_spent",
    "budget_spent",
];

#[test]
fn each_thing_that_happens_starts_its_runbook_once() {
    let (good, bad) = (
        Service::failing_with("good", 503),
        Service::failing_with("good", 503),
    );
    let desk = desk("");
    let mut document = balanced(good.address(), bad.address());
    document["upstreams"]["service"]["outlier"] = json!({ "failures": 3, "ejection": "60s" });
    document["upstreams"]["service"]["health"] =
        json!({ "http": { "path": "/health", "interval": "1s" } });
    document["routes"]["broken"] = json!({
        "match": { "path": "/broken" }, "target": { "fixed": { "status": 503 } },
    });
    document["objectives"] = json!({ "kept": { "route": "broken", "target": "99 %" } });
    let mut books = serde_json::Map::new();
    for event in EVENTS {
        books.insert(event.replace('_', "-"), noting(event));
    }
    let mut first = noting("budget_spent");
    first["on"] = json!([]);
    first["steps"][0]["do"]["check"]["over"] = json!("3s");
    books.insert("first".into(), first);
    document["runbooks"] = Value::Object(books);
    desk.apply_document(&document);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 2);
    // What is on when it is looked for the first time has not just happened: it is looked by then.
    desk.run(&["runbooks", "run", "first", "--wait", "100"], 0);
    bad.fail(true);
    let broken = format!("http://{}/broken", desk.node.late_address("public"));
    (0..20).for_each(|_| assert_eq!(curl(&[&broken]).status, 503));
    let mut worse = document.clone();
    worse["routes"]["all"]["target"] = json!({ "fixed": { "status": 503 } });
    let file = desk.write("document.json", &worse.to_string());
    let ramp = r#"{"steps":["20%","50%"],"step_minimum":"500ms","signals":["errors"]}"#;
    desk.run(&["apply", &file, "--canary", ramp], 0);
    let mut runs = Value::Null;
    eventually_within(LONG, "each has started", || {
        runs = desk.json(&["runbooks", "runs"]);
        let all = runs.as_array().unwrap().iter();
        let started: BTreeSet<&str> = all.filter_map(|run| run["runbook"].as_str()).collect();
        EVENTS
            .iter()
            .all(|event| started.contains(&*event.replace('_', "-")))
    });
    load.end();
    for event in EVENTS {
        let name = event.replace('_', "-");
        let of_it = runs
            .as_array()
            .unwrap()
            .iter()
            .filter(|run| run["runbook"] == name);
        assert_eq!(of_it.count(), 1, "{event}: {runs}");
    }
}
