//! Two gateways on one store, over PostgreSQL too: the one that runs a job is killed, the other goes on with
//! it, and each item is in the ledger once.

use super::killed::{Calls, configuration, each_once, provider};
use super::{Desk, LONG, SECRETS};
use crate::plans::stores;
use crate::support::{Gateway, eventually_within};
use gate_store::postgres::Postgres;
use gate_store::sqlite::Sqlite;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ITEMS: u32 = 600;

/// Whether a gateway has run items of the job.
fn runs(desk: &Desk) -> bool {
    desk.node.metrics().contains("tidegate_job_items_total{")
}

#[test]
fn another_gateway_goes_on_where_the_one_that_ran_a_job_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, server) in stores(folder.path()) {
        let calls = Calls::default();
        // Two thirds are answered before the kill at most, so that it comes midway.
        let is_killed = Arc::new(AtomicBool::new(false));
        let goes_on = is_killed.clone();
        let provider = provider(&calls, move |different| {
            let until = Instant::now() + LONG;
            let is_held = || different as u32 > ITEMS / 3 * 2 && !goes_on.load(Ordering::Relaxed);
            while is_held() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let configuration = configuration(&provider.address);
        let store = format!(", store: {{ engine: {engine} }}");
        let mut desks = [(); 2].map(|()| Desk {
            node: Gateway::with(&configuration, &store, &SECRETS),
        });
        let id = desks[0].submit(&json!({
            "path": "/v1/chat/completions", "queue": "night", "consumer": "shop",
            "consumer_key": "web", "count": ITEMS,
            "body": {
                "model": "assistant", "max_tokens": 20,
                "messages": [{ "role": "user", "content": "{{job}}/{{index}}" }],
            },
        }));
        eventually_within(LONG, "a third was called, by one of them", || {
            calls.lock().unwrap().len() as u32 > ITEMS / 3 && desks.iter().any(runs)
        });
        let leader = desks.iter().position(runs).unwrap();
        assert!(!runs(&desks[1 - leader]), "one of them runs it");
        let killed = &mut desks[leader].node.process;
        killed.child.kill().unwrap();
        killed.ended();
        is_killed.store(true, Ordering::Relaxed);
        let called = calls.lock().unwrap().len() as u32;
        assert!(called < ITEMS, "it ended midway");
        let heir = &desks[1 - leader];
        let shown = heir.until(&id, "succeeded");
        assert_eq!(shown["job"]["succeeded"], ITEMS, "{shown}");
        assert!(runs(heir));
        let results = heir.results(&id);
        let is_next = |(at, one): (usize, &serde_json::Value)| one["item"] == at as u64;
        assert!(results.len() as u32 == ITEMS && results.iter().enumerate().all(is_next));
        // What the dead one had reserved is settled by whoever finds it dead.
        let calls = calls.lock().unwrap();
        match server {
            Some(_) => {
                let address = std::fs::read_to_string(folder.path().join("address")).unwrap();
                let mut store = Postgres::connect(&address).unwrap();
                each_once(&mut store, &[id], ITEMS, &calls);
            }
            None => {
                let mut store = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
                each_once(&mut store, &[id], ITEMS, &calls);
            }
        }
    }
}
