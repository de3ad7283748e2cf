//! Batches that a provider runs while it cannot be asked for a while: it is asked again, because it runs
//! and bills them all the same.

use super::batches::{KEY, batch, create, prompts, upload};
use super::relayed::{cost, relaying, with_batches};
use crate::support::{Gateway, Reply, Seen, Upstream, eventually, eventually_within};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest that a batch may take here: its results are asked for again after pauses.
const LONG: Duration = Duration::from_secs(60);

/// Hands in a batch of so many requests; its id.
fn hand_in(gateway: &Gateway, count: usize) -> String {
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, count);
    create(gateway, &upload(gateway, &file))
}

/// How often the provider was asked for this.
fn asked(upstream: &Upstream, method: &str, target: &str) -> usize {
    let seen = upstream.seen();
    let own = |one: &&Seen| one.method == method && one.target == target;
    seen.iter().filter(own).count()
}

/// Waits until the batch is completed; the provider ran two of its three requests, once.
#[track_caller]
fn ran_once(gateway: &Gateway, upstream: &Upstream, id: &str) {
    eventually_within(LONG, "the batch is completed", || {
        batch(gateway, id)["status"] == "completed"
    });
    let done = batch(gateway, id);
    let counts = json!({"total": 3, "completed": 3, "failed": 0});
    assert_eq!(done["request_counts"], counts, "{done}");
    assert_eq!(asked(upstream, "POST", "/v1/batches"), 1);
    // What the provider left over is run here, and nothing else.
    assert_eq!(asked(upstream, "POST", "/v1/chat/completions"), 1);
    eventually("what it billed is charged", || {
        cost(gateway).contains("0.0750")
    });
}

/// It does not know its batch, answers with a page, and has no results for longer than a few tries.
#[test]
fn a_provider_that_stumbles_runs_a_batch_once() {
    let (looks, prefix) = (AtomicUsize::new(0), Mutex::default());
    let (stumbled, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let errors = AtomicUsize::new(0);
    let upstream = Upstream::start(move |seen| match (&*seen.method, &*seen.target) {
        ("GET", "/v1/batches/batch_theirs") => match stumbled.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::text("{}").status(404),
            1 => Reply::text("{}").status(401),
            2 => Reply::text("<html>Back soon.</html>"),
            _ => with_batches(seen, &looks, &prefix),
        },
        ("GET", "/v1/files/file-out/content") if refused.fetch_add(1, Ordering::Relaxed) < 5 => {
            Reply::text("{}").status(403)
        }
        // What it answered with success has been read to its end by then, and is not settled again.
        ("GET", "/v1/files/file-bad/content") if errors.fetch_add(1, Ordering::Relaxed) < 1 => {
            Reply::text("{}").status(404)
        }
        _ => with_batches(seen, &looks, &prefix),
    });
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let id = hand_in(&gateway, 3);
    ran_once(&gateway, &upstream, &id);
}

/// A change takes the provider away for a while.
#[test]
fn a_provider_that_is_not_configured_for_a_while_runs_a_batch_once() {
    let (looks, prefix) = (AtomicUsize::new(0), Mutex::default());
    let is_done = Arc::new(AtomicBool::new(false));
    let known = is_done.clone();
    let upstream = Upstream::start(move |seen| {
        let is_look = (&*seen.method, &*seen.target) == ("GET", "/v1/batches/batch_theirs");
        if is_look && !known.load(Ordering::Relaxed) {
            // Its first look finds the batch under way.
            return with_batches(seen, &AtomicUsize::new(0), &prefix);
        }
        with_batches(seen, &looks, &prefix)
    });
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let id = hand_in(&gateway, 3);
    let looked = || asked(&upstream, "GET", "/v1/batches/batch_theirs");
    eventually("it is looked at", || looked() > 0);
    let before = std::fs::read_to_string(gateway.file()).unwrap();
    let without = before.replace("plain", "other");
    gateway.rewrite(|_| without);
    // It says once that it cannot ask.
    let says = || {
        gateway
            .process
            .lines()
            .iter()
            .any(|line| line.contains(&id))
    };
    eventually("the provider is gone", says);
    gateway.rewrite(|_| before);
    is_done.store(true, Ordering::Relaxed);
    ran_once(&gateway, &upstream, &id);
}

/// A provider that is too busy to cancel is asked again.
#[test]
fn a_provider_is_asked_to_cancel_until_it_does() {
    let prefix = Mutex::default();
    let cancels = AtomicUsize::new(0);
    let upstream = Upstream::start(move |seen| {
        let shown = |status: &str| {
            let value = json!({
                "id": "batch_theirs", "object": "batch", "status": status,
                "endpoint": "/v1/chat/completions",
                "request_counts": {"total": 3, "completed": 0, "failed": 0},
            });
            Reply::text(value.to_string()).header("content-type", "application/json")
        };
        match (&*seen.method, &*seen.target) {
            ("POST", "/v1/batches/batch_theirs/cancel") => {
                match cancels.fetch_add(1, Ordering::Relaxed) {
                    0 => Reply::text("{}").status(503),
                    1 => Reply::text("{}").status(403),
                    _ => shown("cancelling"),
                }
            }
            ("GET", "/v1/batches/batch_theirs") => match cancels.load(Ordering::Relaxed) {
                0..3 => shown("in_progress"),
                _ => shown("cancelled"),
            },
            _ => with_batches(seen, &AtomicUsize::new(0), &prefix),
        }
    });
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let id = hand_in(&gateway, 3);
    let looked = || asked(&upstream, "GET", "/v1/batches/batch_theirs");
    eventually("it is looked at", || looked() > 0);
    let path = format!("/v1/batches/{id}/cancel");
    gateway.curl(&path, &["-X", "POST", "-H", KEY]).expect(200);
    let mut shown = Value::Null;
    eventually_within(LONG, "the batch is cancelled", || {
        shown = batch(&gateway, &id);
        shown["status"] == "cancelled"
    });
    assert_eq!(
        asked(&upstream, "POST", "/v1/batches/batch_theirs/cancel"),
        3
    );
    assert_eq!(asked(&upstream, "POST", "/v1/chat/completions"), 0);
}
