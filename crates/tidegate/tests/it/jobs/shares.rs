//! Teams that have work in one queue share what runs by their weights, in a running gateway.

use super::{Desk, LONG};
use crate::support::{Reply, Upstream, eventually_within};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Calls that are left out once both teams are there.
const EARLY: u32 = 100;
/// Calls that are counted.
const COUNTED: u32 = 3_000;

#[test]
fn teams_share_a_queue_by_their_weights() {
    // Calls of each team after the first ones; and all since both are there.
    let calls: Arc<[AtomicU32; 3]> = Arc::default();
    let counted = calls.clone();
    // Items of both take the same time, so that shares of calls are shares of time, however busy the
    // machine is.
    let upstream = Upstream::start(move |seen| {
        let team = usize::from(seen.target.starts_with("/two"));
        // The team that was first has the queue to itself until the other is there.
        let is_both = team == 1 || counted[2].load(Ordering::SeqCst) > 0;
        let before = match is_both {
            true => counted[2].fetch_add(1, Ordering::SeqCst),
            false => 0,
        };
        if (EARLY..EARLY + COUNTED).contains(&before) {
            counted[team].fetch_add(1, Ordering::SeqCst);
        }
        Reply {
            delay: Duration::from_millis(30),
            ..Reply::text("done")
        }
    });
    let consumer = |team: &str, digit: char| {
        let sha256 = digit.to_string().repeat(64);
        format!("of-{team}: {{ team: {team}, keys: [{{ sha256: '{sha256}', id: web }}] }}")
    };
    let desk = Desk::start(&format!(
        "upstreams: {{ up: {{ endpoints: ['{}'] }} }}\n\
         routes: {{ all: {{ match: {{ path: '/{{*rest}}' }}, policies: [{{ auth_key: {{}} }}], \
         target: {{ upstream: up }} }} }}\n\
         teams: {{ one: {{}}, two: {{}} }}\n\
         consumers: {{ {}, {} }}\n\
         queues: {{ night: {{ concurrency: 16, weights: {{ one: 3, two: 1 }}, \
         pacing: {{ first: 16 }} }} }}\n",
        upstream.address,
        consumer("one", 'a'),
        consumer("two", 'b'),
    ));
    for team in ["one", "two"] {
        desk.submit(&json!({
            "path": format!("/{team}/{{{{index}}}}"), "queue": "night",
            "consumer": format!("of-{team}"), "consumer_key": "web", "count": 5_000,
        }));
    }
    eventually_within(LONG, "enough was called", || {
        calls[2].load(Ordering::SeqCst) >= EARLY + COUNTED
    });
    let shares = [0, 1]
        .map(|team: usize| f64::from(calls[team].load(Ordering::SeqCst)) / f64::from(COUNTED));
    println!("shares {shares:?} of weights 3 and 1");
    for (share, wanted) in shares.iter().zip([0.75, 0.25]) {
        assert!((share / wanted - 1.0).abs() < 0.05, "{shares:?}");
    }
}
