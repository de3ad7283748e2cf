//! A gateway that is killed over and over while it runs a job through a model under a budget: each item is
//! in the ledger once, and whatever was called twice was written down.
//!
//! `TIDEGATE_JOB_ITEMS` and `TIDEGATE_JOB_KILLS` make it longer: the bar is 50,000 and 20.

use super::{Desk, LONG};
use crate::support::{Reply, Upstream, eventually_within};
use gate_kit::random;
use gate_store::Database;
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// How often the provider was called, by what it was asked.
pub(super) type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

/// A provider that counts what it is asked. `before` is told how many different calls there were, before
/// one is answered.
pub(super) fn provider(calls: &Calls, before: impl Fn(usize) + Send + Sync + 'static) -> Upstream {
    let calls = calls.clone();
    Upstream::start(move |seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let asked = body["messages"][0]["content"].as_str().unwrap().to_owned();
        let different = {
            let mut calls = calls.lock().unwrap();
            *calls.entry(asked).or_default() += 1;
            calls.len()
        };
        before(different);
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{
                "index": 0, "message": { "role": "assistant", "content": "yes" },
                "finish_reason": "stop",
            }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
        });
        Reply::text(body.to_string())
            .header("content-type", "application/json")
            .after(Duration::from_millis(2))
    })
}

pub(super) fn configuration(provider: &str) -> String {
    format!(
        "consumers: {{ shop: {{ team: sales, keys: [{{ sha256: '{key}', id: web }}] }} }}\n\
         budgets: {{ all: {{ of: {{ team: sales }}, limit: {{ tokens: 900000000 }}, per: month }} }}\n\
         providers: {{ gpt: {{ openai: {{ base_url: 'http://{provider}/v1', credentials: [{{ env: OPENAI_API_KEY }}] }} }} }}\n\
         models: {{ assistant: {{ targets: [{{ provider: gpt, model: gpt-4o-mini }}] }} }}\n\
         queues: {{ night: {{ concurrency: 48, pacing: {{ first: 24 }} }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}], target: {{ models: [assistant] }} }} }}\n",
        key = "a".repeat(64),
    )
}

#[test]
fn each_item_is_in_the_ledger_once() {
    let (items, kills) = (
        number("TIDEGATE_JOB_ITEMS", 1_200),
        number("TIDEGATE_JOB_KILLS", 6),
    );
    random::seed(number("TIDEGATE_JOB_SEED", 1).into());
    let calls = Calls::default();
    let provider = provider(&calls, |_| {});
    let mut desk = Desk::start(&configuration(&provider.address));
    let jobs: Vec<String> = (0..items.div_ceil(10_000))
        .map(|part| {
            desk.submit(&json!({
                "path": "/v1/chat/completions", "queue": "night", "consumer": "shop",
                "consumer_key": "web", "count": (items - part * 10_000).min(10_000), "key": part.to_string(),
                "body": {
                    "model": "assistant", "max_tokens": 20,
                    "messages": [{ "role": "user", "content": "{{job}}/{{index}}" }],
                },
            }))
        })
        .collect();
    let called = || calls.lock().unwrap().len() as u32;
    for kill in 1..=kills {
        // Somewhere within each part of the work.
        let part = items / (kills + 1);
        let at = kill * part + random::below(part.max(2) as usize) as u32;
        eventually_within(LONG * 10, "so many were called", || {
            called() >= at.min(items)
        });
        desk.kill();
    }
    let mut shown = Vec::new();
    for id in &jobs {
        eventually_within(LONG * 10, "it has ended", || {
            desk.show(id)["job"]["is_over"] == true
        });
        shown.push(desk.show(id));
    }
    let sum = |field: &str| -> u64 {
        shown
            .iter()
            .map(|one| one["job"][field].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum("succeeded"), u64::from(items), "{shown:?}");
    let mut store = Sqlite::open(&desk.node.path().join("store.db")).unwrap();
    let extra = each_once(&mut store, &jobs, items, &calls.lock().unwrap());
    assert!(sum("repeats") > 0, "kills met calls under way");
    println!(
        "{items} items, {kills} kills: {} repeats written, {extra} calls beyond the first, {} retries",
        sum("repeats"),
        sum("retries")
    );
    for (id, one) in jobs.iter().zip(&shown) {
        let results = desk.results(id);
        assert_eq!(results.len() as u64, one["job"]["items"].as_u64().unwrap());
        assert!(
            results
                .iter()
                .enumerate()
                .all(|(at, one)| one["item"] == at as u64)
        );
    }
}

/// An entry in the ledger for each item, nothing that a dead gateway had reserved for one, and every call
/// beyond the first of an item written down; how many of these there were.
pub(super) fn each_once<D: Database>(
    store: &mut D,
    jobs: &[String],
    items: u32,
    calls: &BTreeMap<String, u32>,
) -> u32 {
    let sql = "SELECT exchange FROM entry WHERE kind = 'settle' AND exchange LIKE 'job/%'";
    let entries = store.query(sql, &[]).unwrap();
    let distinct: BTreeSet<&str> = entries.iter().map(|row| row[0].text()).collect();
    let of_items = distinct.iter().filter(|id| !id.contains('+')).count();
    assert_eq!(of_items, items as usize);
    assert_eq!(entries.len(), distinct.len());
    let sql = "SELECT COUNT(*) FROM entry AS one WHERE kind = 'unsettled' AND exchange LIKE 'job/%'
               AND NOT EXISTS (SELECT 1 FROM entry AS other WHERE other.exchange = one.exchange
                               AND other.kind IN ('settle', 'release'))";
    assert_eq!(store.query(sql, &[]).unwrap()[0][0].int(), 0);
    let written = "SELECT item, COUNT(*) FROM job_note WHERE job = $1 GROUP BY item";
    let mut again: BTreeMap<String, i64> = BTreeMap::new();
    for id in jobs {
        for row in store.query(written, &[id.as_str().into()]).unwrap() {
            again.insert(format!("{id}/{}", row[0].int()), row[1].int());
        }
    }
    assert_eq!(calls.len(), items as usize);
    let mut extra = 0;
    for (item, count) in calls.iter().filter(|(_, count)| **count > 1) {
        let known = again.get(item).copied().unwrap_or(0);
        assert!(
            known >= i64::from(*count) - 1,
            "{item}: {count} calls, {known} written"
        );
        extra += count - 1;
    }
    extra
}
