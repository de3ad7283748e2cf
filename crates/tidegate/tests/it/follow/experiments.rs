//! Failures on purpose in an environment: begun by a change, ended by a command on one gateway,
//! which the others hear.

use super::fleet::{self, Fleet, fixed};
use crate::support::{Gateway, Reply, Upstream, command, curl, eventually_within, tidegate};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn experiments(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["experiments"], arguments].concat();
    let mut command = command(&arguments);
    let server = format!("http://{}", gateway.address("admin"));
    command.env("TIDEGATE_SERVER", server);
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(text).expect("text"),
    )
}

#[test]
fn a_stop_on_one_gateway_reaches_the_other() {
    for fleet in Fleet::all() {
        let service = crate::http_cache::counting();
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.variables(&[]);
        let mut document = fixed("unused");
        document["upstreams"] = json!({ "service": { "endpoints": [service.address] } });
        document["routes"] = json!({ "all": {
            "match": { "path": "/{*rest}" }, "target": { "upstream": "service" },
        } });
        document["experiments"] = json!({ "broken": {
            "inject": { "abort": { "status": 503 } }, "scope": { "upstream": "service" }, "for": "1h",
        } });
        let revision = fleet.apply(document);
        fleet.acks_of(revision.number, 2);
        for node in [&a, &b] {
            fleet::eventually_answers(node, &[], 503);
        }
        let (done, text) = experiments(&a, &["list"]);
        let columns = ["broken", "abort", "upstream=service", "running"];
        assert!(
            done && columns.iter().all(|column| text.contains(column)),
            "{text}"
        );
        let (done, text) = experiments(&a, &["stop", "broken", "--reason", "seen enough"]);
        assert!(
            done && text.starts_with("broken is stopped after "),
            "{text}"
        );
        assert_eq!(fleet::ask(&a, &[]).status, 200);
        let stopped = || fleet::ask(&b, &[]).status == 200;
        eventually_within(Duration::from_secs(30), "the other stops", stopped);
        let (done, text) = experiments(&a, &["stop", "broken"]);
        assert!(!done && text.contains("does not run"), "{text}");
        let (done, text) = experiments(&a, &["stop", "other"]);
        assert!(!done && text.contains("there is no experiment"), "{text}");
        let audit = fleet::admin(&a, "/api/v1/audit");
        assert!(audit.body.contains("stopExperiment") && audit.body.contains("seen enough"));
    }
}

/// Asks for both routes, again and again, until told to stop.
struct Traffic {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Traffic {
    fn start(node: &Gateway) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ended, address) = (over.clone(), node.late_address("public"));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for path in ["orders", "search"] {
                    let url = format!("http://{address}/{path}");
                    curl(&["--silent", "--max-time", "10", &url]);
                }
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_game_day_scores_what_was_noticed() {
    let fleet = Fleet::sqlite();
    let node = fleet.node("a", &[]);
    fleet.variables(&[]);
    let (orders, search) = (
        Upstream::start(|_| Reply::text("an order")),
        Upstream::start(|_| Reply::text("a result")),
    );
    let mut document = fixed("unused");
    document["upstreams"] = json!({
        "orders": { "endpoints": [orders.address] }, "search": { "endpoints": [search.address] },
    });
    document["routes"] = json!({
        "orders": { "match": { "path": "/orders" }, "target": { "upstream": "orders" } },
        "search": { "match": { "path": "/search" }, "target": { "upstream": "search" } },
    });
    document["objectives"] = json!({ "available": { "target": "99 %" } });
    let revision = fleet.apply(document);
    fleet.acks_of(revision.number, 1);
    let _traffic = Traffic::start(&node);
    let asked = || {
        let state: Value = fleet::admin(&node, "/api/v1/objectives/available").json();
        state["total"].as_u64().unwrap_or(0)
    };
    let minute = Duration::from_secs(60);
    eventually_within(minute, "there is traffic", || asked() >= 300);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "name: orders-fail\nobjective: available\nexperiment:\n  inject: {{ abort: {{ status: 503 }} }}\n  \
         scope: {{ upstream: orders }}\n  for: 5m\nnames: [orders, '{}']\n",
        orders.address
    );
    std::fs::write(&plan, text).unwrap();
    let server = format!("http://{}", node.address("admin"));
    let output = tidegate(&["gameday", plan.to_str().unwrap(), "--server", &server]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("orders-fail: passed"), "{said}");
    // The incident has it, and keeps it.
    let output = tidegate(&["gameday", "--json", "--server", &server]);
    let days: Value = serde_json::from_slice(&output.stdout).unwrap();
    let day = &days[0];
    assert_eq!(days.as_array().map(Vec::len), Some(1), "{days}");
    assert_eq!(
        (&day["plan"], &day["passed"]),
        (&json!("orders-fail"), &json!(true))
    );
    for time in ["suspected_s", "mitigated_s", "recovered_s"] {
        assert!(
            day[time].as_f64().is_some_and(|time| time >= 0.0),
            "{time}: {day}"
        );
    }
    assert!(
        (1..=3).contains(&day["rank"].as_u64().unwrap_or(0)),
        "{day}"
    );
    let incidents: Value = fleet::admin(&node, "/api/v1/incidents").json();
    let incidents = incidents["items"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "what it made is its own: {incidents:?}");
    assert_eq!(incidents[0]["opening"], "experiment");
    assert_eq!(incidents[0]["experiment"], "orders-fail");
    assert_eq!(incidents[0]["objectives"], json!(["available"]));
    let path = format!("/api/v1/incidents/{}", day["incident"].as_str().unwrap());
    let detail: Value = fleet::admin(&node, &path).json();
    let facts = detail["facts"].as_array().unwrap();
    let of_run = facts.iter().filter(|fact| fact["kind"] == "experiment");
    let texts: Vec<&str> = of_run.filter_map(|fact| fact["text"].as_str()).collect();
    let begin = "the experiment `orders-fail` injects `abort` at upstream orders, until ";
    assert!(texts.len() == 2 && texts[0].starts_with(begin), "{texts:?}");
    assert!(texts[1].contains("it was stopped, after "), "{texts:?}");
    // Nothing is left of it.
    eventually_within(minute, "it is gone", || {
        experiments(&node, &["list"]).1.lines().count() == 1
    });
}

#[test]
fn an_error_budget_that_runs_low_stops_an_experiment() {
    let fleet = Fleet::sqlite();
    let node = fleet.node("a", &[]);
    fleet.variables(&[]);
    let (orders, search) = (
        Upstream::start(|_| Reply::text("an order")),
        Upstream::start(|_| Reply::text("a result")),
    );
    let mut document = fixed("unused");
    document["upstreams"] = json!({
        "orders": { "endpoints": [orders.address] }, "search": { "endpoints": [search.address] },
    });
    document["routes"] = json!({
        "orders": { "match": { "path": "/orders" }, "target": { "upstream": "orders" } },
        "search": { "match": { "path": "/search" }, "target": { "upstream": "search" } },
    });
    document["objectives"] = json!({ "available": { "target": "90 %" } });
    // The guard of the data plane would let all of them fail.
    document["experiments"] = json!({ "broken": {
        "inject": { "abort": { "status": 503 } }, "scope": { "upstream": "orders" }, "for": "1h",
        "stop_at": {
            "bad": "100 %", "least": 4_000_000, "budget": { "objective": "available", "left": "50 %" },
        },
    } });
    let revision = fleet.apply(document);
    fleet.acks_of(revision.number, 1);
    let _traffic = Traffic::start(&node);
    let minute = Duration::from_secs(60);
    let state = || {
        let all: Value = fleet::admin(&node, "/api/v1/experiments").json();
        all["items"][0]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    eventually_within(minute, "the budget stops it", || {
        state() == "stopped_by_budget"
    });
    let url = format!("http://{}/orders", node.late_address("public"));
    let well = || curl(&[&url]).status == 200;
    eventually_within(minute, "it strikes no more", well);
    let ended = || {
        let page: Value = fleet::admin(&node, "/api/v1/game-days").json();
        page["items"][0]["ended"].is_string()
    };
    eventually_within(minute, "its incident says so", ended);
    let page: Value = fleet::admin(&node, "/api/v1/game-days").json();
    let path = format!(
        "/api/v1/incidents/{}",
        page["items"][0]["incident"].as_str().unwrap()
    );
    let detail = fleet::admin(&node, &path).body;
    assert!(
        detail.contains("an error budget ran low, after "),
        "{detail}"
    );
}
