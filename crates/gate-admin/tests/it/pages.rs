//! The bar on lists: a page of 10,000 rows in under 100 ms, over real HTTP, on both stores.

use crate::support::{Place, Server, document, open};
use gate_api::client::{Client, Seen};
use gate_api::types::DocumentInput;
use gate_store::ControlStore;
use gate_store::control::{
    Cause, Change, Edit, EnvironmentRow, Expected, NewAudit, NewRevision, Set, Target,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Rows of each list.
const ROWS: usize = 10_000;
/// What a page may take.
const BAR: Duration = Duration::from_millis(100);

/// One small revision after the other, each with its line in the audit log.
fn fill(store: &mut dyn ControlStore, mut row: EnvironmentRow) {
    for number in 0..ROWS {
        let document = json!({ "routes": { "r": { "path": format!("/{number}") } } }).to_string();
        let edit = Edit {
            revision: Set::To(Target::New),
            stable: Set::To(Target::New),
            ..Edit::default()
        };
        let change = Change {
            id: &format!("fill-{number}"),
            environment: &row.name,
            expected: Expected::Generation(row.generation),
            revision: Some(NewRevision {
                document: &document,
                managers: r#"{"routes/r":"api"}"#,
                files: None,
                parent: row.revision,
                author: "somebody",
                cause: Cause::Apply,
                message: "one of very many",
                source_commit: Some("0123456789abcdef0123456789abcdef01234567"),
                plan: Some(r#"{"created":0,"updated":1,"deleted":0,"findings":0}"#),
                checks: r#"{"compile":"passed"}"#,
            }),
            edit,
            rollout: None,
            lease: None,
            despite_lock: false,
            audit: NewAudit {
                actor: "somebody",
                role: "operator",
                action: "apply",
                subject: "environments/staging",
                outcome: "done",
                detail: r#"{"changes":1}"#,
            },
            now_ms: 1_700_000_000_000 + i64::try_from(number).unwrap(),
        };
        row = store.change(&change).unwrap().environment;
    }
}

/// Reads a list to its end; how long each page took.
fn read(client: &Client, list: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    let (mut cursor, mut rows) = (String::new(), 0);
    loop {
        let began = Instant::now();
        let path = format!("/api/v1/{list}limit=1000{cursor}");
        let reply = client.send("GET", &path, &[], b"").unwrap();
        times.push(began.elapsed());
        assert_eq!(reply.status, 200);
        let page: Value = serde_json::from_slice(&reply.body).unwrap();
        rows += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(rows >= ROWS, "{list} {rows}");
    times
}

#[test]
#[ignore = "a bar, to be read on a quiet machine with --release --nocapture"]
fn a_page_of_ten_thousand_takes_less_than_a_tenth_of_a_second() {
    for place in Place::all() {
        let server = Server::at(&place, open(), Some("staging"));
        let client = server.staging();
        let row = place.open().environment("staging").unwrap().unwrap();
        fill(&mut *place.open(), row);
        let routes = (0..ROWS).map(|number| {
            let route = json!({
                "match": { "host": "api.example.com", "path": format!("/v1/things/{number}/{{*rest}}") },
                "policies": [{ "limit_rate": { "requests": 100, "per": "1m" } }],
                "target": { "upstream": format!("things-{}", number % 100) },
            });
            (format!("route-{number:05}"), route)
        });
        let routes: serde_json::Map<_, _> = routes.collect();
        let input = DocumentInput::sync(document(json!({ "routes": routes })), "api");
        client.apply("staging", Seen::Any, &input).unwrap();
        for list in ["environments/staging/resources?", "revisions?", "audit?"] {
            // The first reading of a revision parses it; it is a page like any other.
            let times = read(&client, list);
            let most = times.iter().max().unwrap();
            let sum: Duration = times.iter().sum();
            let mean = sum / u32::try_from(times.len()).unwrap();
            eprintln!(
                "{}: {list} {} pages, {mean:?} each, {most:?} at most",
                place.name(),
                times.len()
            );
            assert!(*most < BAR, "{} {list}: {most:?}", place.name());
        }
    }
}
