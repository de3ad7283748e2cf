//! Objectives through real traffic: counts that are exact, over restarts and over gateways; alerts;
//! and the gate that holds changes up while a budget is spent.

use super::fleet::{self, Fleet, fixed};
use crate::support::{Gateway, Reply, Upstream, curl, eventually, eventually_within, tidegate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_store::control::PromiseRow;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Answers as the path says: `/503` with that status.
fn obedient() -> Upstream {
    Upstream::start(|seen| match seen.target.trim_start_matches('/').parse() {
        Ok(status @ 400..=599_u16) => Reply::text("no").status(status),
        _ => Reply::text("yes"),
    })
}

/// A document with a promise about its route.
fn document(upstream: &Upstream, more: &Value) -> Value {
    let mut document = fixed("unused");
    document["upstreams"] = json!({ "service": { "endpoints": [upstream.address] } });
    document["routes"] = json!({ "all": {
        "match": { "path": "/{*rest}" }, "target": { "upstream": "service" },
    } });
    let mut objective = json!({ "route": "all", "target": "99 %", "service": "shop" });
    for (key, value) in more.as_object().unwrap() {
        objective[key] = value.clone();
    }
    document["objectives"] = json!({ "available": objective });
    document
}

/// Sends so many requests on one connection, the first of them bad.
fn ask(node: &Gateway, total: usize, bad: usize) {
    let mut stream = TcpStream::connect(node.late_address("public")).unwrap();
    stream.set_read_timeout(Some(MINUTE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for number in 0..total {
        let path = if number < bad { "/503" } else { "/fine" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
    }
}

fn state(node: &Gateway) -> Value {
    fleet::admin(node, "/api/v1/objectives/available").json()
}

fn counted(node: &Gateway) -> (u64, u64) {
    let state = state(node);
    let number = |field: &str| state[field].as_u64().unwrap_or_default();
    (number("total"), number("bad"))
}

fn has_alert(node: &Gateway, alert: &str) -> bool {
    let state = state(node);
    let alerts = state["alerts"].as_array().into_iter().flatten();
    alerts.into_iter().any(|one| one["alert"] == alert)
}

#[test]
fn counts_are_exact_over_gateways_and_restarts() {
    for fleet in Fleet::all() {
        let upstream = obedient();
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.variables(&[]);
        let mut promised = document(&upstream, &json!({}));
        promised["objectives"]["yearly"] =
            json!({ "route": "all", "target": "99 %", "calendar": { "per": "year" } });
        let revision = fleet.apply(promised);
        fleet.acks_of(revision.number, 2);
        ask(&a, 1000, 7);
        ask(&b, 500, 3);
        for node in [&a, &b] {
            eventually_within(MINUTE, "both count as one", || counted(node) == (1500, 10));
        }
        // A counter is of its own process.
        let page = a.metrics();
        for line in [
            "tidegate_objective_events_total{objective=\"available\"} 1000",
            "tidegate_objective_bad_events_total{objective=\"available\"} 7",
            "tidegate_objective_alert{objective=\"available\",alert=\"page\"} 0",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        let left = state(&a)["budget_left"].as_f64().unwrap();
        // Ten of fifteen that may be bad.
        assert!((left - 1.0 / 3.0).abs() < 1e-9, "{left}");
        // What was counted in the very last second is there after a restart.
        ask(&a, 20, 0);
        let folder = a.folder.clone();
        let mut a = a;
        a.process.signal(rustix::process::Signal::TERM);
        assert!(a.process.ended().success());
        drop(a);
        let a = fleet.restart(folder, &[]);
        eventually_within(MINUTE, "it goes on", || counted(&a) == (1520, 10));
        eventually_within(MINUTE, "the other hears it", || counted(&b) == (1520, 10));
        assert_eq!(state(&a)["is_stored"], true);
        let yearly = fleet::admin(&a, "/api/v1/objectives/yearly").json();
        assert_eq!(
            (&yearly["total"], &yearly["bad"], &yearly["window"]),
            (&json!(1520), &json!(10), &json!("year UTC"))
        );
    }
}

#[test]
fn total_failure_pages_within_seconds_and_says_where() {
    let fleet = Fleet::sqlite();
    let upstream = obedient();
    let node = fleet.node("a", &[]);
    fleet.variables(&[]);
    let revision = fleet.apply(document(&upstream, &json!({})));
    fleet.acks_of(revision.number, 1);
    ask(&node, 200, 0);
    eventually_within(MINUTE, "they are counted", || counted(&node).0 == 200);
    assert!(!has_alert(&node, "page") && !has_alert(&node, "suspicion"));
    ask(&node, 200, 200);
    eventually_within(MINUTE, "somebody is woken", || has_alert(&node, "page"));
    eventually_within(MINUTE, "it is suspected", || has_alert(&node, "suspicion"));
    eventually_within(MINUTE, "all are counted", || counted(&node) == (400, 200));
    let state = state(&node);
    assert_eq!(state["forecast"]["soonest_s"], 0);
    let shown = command(&node, &["objectives"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        text.contains("available") && text.contains("page"),
        "{text}"
    );
}

#[test]
fn a_suspicion_outlives_a_killed_gateway() {
    for fleet in Fleet::all() {
        let upstream = obedient();
        let mut node = fleet.node("a", &[]);
        fleet.variables(&[]);
        let revision = fleet.apply(document(&upstream, &json!({})));
        fleet.acks_of(revision.number, 1);
        ask(&node, 200, 0);
        eventually_within(MINUTE, "they are counted", || counted(&node).0 == 200);
        ask(&node, 200, 200);
        let since = |node: &Gateway| -> Option<u64> {
            let state = state(node);
            let alerts = state["alerts"].as_array()?;
            let suspicion = alerts.iter().find(|one| one["alert"] == "suspicion")?;
            suspicion["since_ms"].as_u64()
        };
        eventually_within(MINUTE, "it is suspected", || since(&node).is_some());
        let before = since(&node).unwrap();
        // What is suspected is written with the counts that it is from.
        let is_noted = || {
            fleet.ask(|store| {
                let rows = store.promises((0, "", ""), "main", 100).unwrap();
                let noted = |row: &PromiseRow| {
                    let noted: Option<Value> = serde_json::from_str(&row.suspicion).ok();
                    noted.is_some_and(|noted| noted["since_s"].as_u64() == Some(before / 1000))
                };
                rows.iter().any(noted)
            })
        };
        eventually_within(MINUTE, "it is noted", is_noted);
        let folder = node.folder.clone();
        node.process.child.kill().unwrap();
        node.process.ended();
        drop(node);
        // Nobody asks for anything any more: the next life has counted nothing that it could suspect.
        let node = fleet.restart(folder, &[]);
        eventually_within(MINUTE, "it is still suspected", || since(&node).is_some());
        assert_eq!(since(&node), Some(before), "on {}", fleet.name());
    }
}

/// Runs the command line against a gateway.
fn command(node: &Gateway, arguments: &[&str]) -> Output {
    let server = format!("http://{}", node.address("admin"));
    tidegate(&[arguments, &["--server", &server]].concat())
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

/// Applies a document by the command line.
fn apply(node: &Gateway, folder: &Path, document: &Value) -> Output {
    let file = folder.join("resources.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let file = file.to_str().unwrap();
    command(node, &["apply", file, "--manager", "file:resources"])
}

#[test]
fn a_spent_budget_lets_only_rollbacks_and_signed_words_pass() {
    let folder = tempfile::tempdir().unwrap();
    let pair = said(&tidegate(&["objectives", "new-key"]));
    let line = |name: &str| {
        let own = pair.lines().find_map(|line| line.strip_prefix(name));
        own.unwrap_or_else(|| panic!("{pair}")).trim().to_owned()
    };
    let (key, public) = (line("key:"), line("override_keys:"));
    assert_eq!(STANDARD.decode(&public).unwrap().len(), 32);
    let key_file = folder.path().join("signing.key");
    std::fs::write(&key_file, key).unwrap();
    let fleet = Fleet::sqlite();
    let upstream = obedient();
    let admin = format!(", override_keys: {{ ops: \"{public}\" }}");
    let node = fleet.node_with("a", "workers: 1", &admin, &[]);
    fleet.variables(&[]);
    let need = json!({ "changes_need": "10 %" });
    let first = document(&upstream, &need);
    let mut second = first.clone();
    second["routes"]["all"]["match"]["path"] = json!("/{*more}");
    let mut third = first.clone();
    third["routes"]["all"]["match"]["path"] = json!("/{*other}");
    let applied = apply(&node, folder.path(), &first);
    assert!(applied.status.success(), "{}", said(&applied));
    fleet.acks_of(1, 1);
    // With a whole budget anything passes.
    let applied = apply(&node, folder.path(), &second);
    assert!(applied.status.success(), "{}", said(&applied));
    fleet.acks_of(2, 1);
    ask(&node, 100, 50);
    eventually_within(MINUTE, "the budget is spent", || {
        counted(&node) == (100, 50)
    });
    let refused = apply(&node, folder.path(), &third);
    let text = said(&refused);
    assert!(!refused.status.success(), "{text}");
    assert!(text.contains("objective `available` has -"), "{text}");
    let digest = text
        .split("--digest ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let digest = digest
        .unwrap_or_else(|| panic!("no digest in {text}"))
        .to_owned();
    // What does not touch the route passes.
    let mut beside = second.clone();
    beside["objectives"]["more"] = json!({ "target": "90 %" });
    let applied = apply(&node, folder.path(), &beside);
    assert!(applied.status.success(), "{}", said(&applied));
    // Going back passes, and says what was in its way.
    let back = command(&node, &["rollback", "--to", "1"]);
    assert!(back.status.success(), "{}", said(&back));
    eventually("it went back", || fleet.row().revision == Some(4));
    // A signed word lets this one revision pass.
    let key_file = key_file.to_str().unwrap();
    let sign = |digest: &str, by: &str| {
        let arguments = ["objectives", "override", "--digest", digest, "--by", by];
        let more = ["--signing-key", key_file, "--reason", "prices are wrong"];
        command(&node, &[&arguments[..], &more].concat())
    };
    let stranger = sign(&digest, "guest");
    assert!(!stranger.status.success(), "{}", said(&stranger));
    let refused = apply(&node, folder.path(), &third);
    let text = said(&refused);
    let digest = text
        .split("--digest ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let signed = sign(digest.unwrap_or_else(|| panic!("{text}")), "ops");
    assert!(signed.status.success(), "{}", said(&signed));
    let applied = apply(&node, folder.path(), &third);
    assert!(applied.status.success(), "{}", said(&applied));
    let audit = fleet::admin(&node, "/api/v1/audit").json();
    let says = |action: &str, text: &str| {
        let mut lines = audit["items"].as_array().unwrap().iter();
        lines.any(|line| line["action"] == action && line["detail"].to_string().contains(text))
    };
    assert!(says("override", "prices are wrong"), "{audit:#}");
    assert!(says("apply", "`ops` signed for it"), "{audit:#}");
    assert!(says("rollback", "it goes back"), "{audit:#}");
}

#[test]
fn a_freeze_holds_for_its_route() {
    let fleet = Fleet::sqlite();
    let upstream = obedient();
    let folder = tempfile::tempdir().unwrap();
    let node = fleet.node("a", &[]);
    fleet.variables(&[]);
    let first = document(&upstream, &json!({}));
    assert!(apply(&node, folder.path(), &first).status.success());
    fleet.acks_of(1, 1);
    let freeze = [
        "objectives",
        "freeze",
        "--route",
        "all",
        "--reason",
        "the sale",
        "--for",
        "1h",
    ];
    let frozen = command(&node, &freeze);
    assert!(
        said(&frozen).contains("route all: the sale"),
        "{}",
        said(&frozen)
    );
    let mut second = first.clone();
    second["routes"]["all"]["match"]["path"] = json!("/{*more}");
    let refused = apply(&node, folder.path(), &second);
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("route `all` is frozen: the sale"),
        "{}",
        said(&refused)
    );
    let mut beside = first.clone();
    beside["routes"]["more"] = json!({
        "match": { "path": "/more" }, "target": { "fixed": { "status": 200, "body": "x" } },
    });
    let applied = apply(&node, folder.path(), &beside);
    assert!(applied.status.success(), "{}", said(&applied));
    let thawed = command(&node, &["objectives", "thaw", "--route", "all"]);
    assert!(
        said(&thawed).contains("nothing is frozen"),
        "{}",
        said(&thawed)
    );
    beside["routes"]["all"] = second["routes"]["all"].clone();
    let applied = apply(&node, folder.path(), &beside);
    assert!(applied.status.success(), "{}", said(&applied));
}

#[test]
fn without_a_store_a_gateway_knows_its_own_counts() {
    let upstream = obedient();
    let node = Gateway::start(&format!(
        "upstreams: {{ up: {{ endpoints: ['{}'] }} }}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n\
         objectives: {{ available: {{ target: 99.9 %, calendar: {{ per: month, time_zone: Europe/Berlin }} }} }}\n",
        upstream.address
    ));
    ask(&node, 100, 2);
    eventually_within(MINUTE, "it counts", || counted(&node) == (100, 2));
    let state = state(&node);
    assert_eq!(state["is_stored"], false);
    assert_eq!(state["window"], "month Europe/Berlin");
    let admin = node.address("admin");
    let missing = curl(&[&format!("http://{admin}/api/v1/objectives/none")]);
    assert_eq!(missing.status, 404);
}
