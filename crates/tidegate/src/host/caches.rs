//! Caches of answers of this process: how they do, and what they are to forget.

#![allow(clippy::result_large_err, reason = "problems are what the API answers")]

use gate_admin::Told;
use gate_api::problem::Problem;
use gate_api::types::{CacheState, PurgeInput};
use gate_flow::{CacheCounts, Purge, PurgeWhat, Purges};
use gate_proxy::process::Process;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How each cache does, by its place.
pub(super) fn states(process: &Process) -> Vec<CacheState> {
    let caches = process.shared().state.all::<CacheCounts>();
    let state = |(name, counts): (String, std::sync::Arc<CacheCounts>)| {
        let (hits, misses) = (counts.hits.sum(), counts.misses.sum());
        let asked = (hits + misses).max(1);
        CacheState {
            name,
            entries: counts.entries.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
            hits,
            misses,
            hit_ratio: hits as f64 / asked as f64,
            stale: counts.stale.sum(),
            collapsed: counts.collapsed.sum(),
            disk_entries: counts.disk_entries.load(Ordering::Relaxed),
            disk_bytes: counts.disk_bytes.load(Ordering::Relaxed),
            stored: counts.stored.sum(),
            evicted: counts.evicted.sum(),
            oversized: counts.oversized.sum(),
            purged: counts.purged.sum(),
        }
    };
    caches.into_iter().map(state).collect()
}

/// Most lines of the audit log that are remembered as done here. The log is followed within a second.
const DONE_MAX: usize = 256;

/// The lines of the audit log whose purges this process was asked for itself.
#[derive(Debug, Default)]
struct Done(Mutex<VecDeque<u64>>);

/// Does what was asked of this process, once it stands in the audit log. The log's reader waits
/// meanwhile: it neither does this purge before it is counted here, nor again later, when what was
/// kept since would be lost.
pub(super) fn purge_told(
    process: &Process,
    input: &PurgeInput,
    told: Told<'_>,
) -> Result<u64, Problem> {
    let done = process.shared().state.get_or_insert("", Done::default);
    let mut done = done.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(line) = told()? {
        done.push_back(line);
        if done.len() > DONE_MAX {
            done.pop_front();
        }
    }
    Ok(purge(process, input, process.shared().clock.unix()))
}

/// Does what a line of the audit log says was asked for at this UNIX time, unless this process was
/// the one that was asked.
pub(crate) fn purge_heard(process: &Process, line: u64, input: &PurgeInput, at: Duration) {
    let done = process.shared().state.get_or_insert("", Done::default);
    let done = done.0.lock().unwrap_or_else(PoisonError::into_inner);
    if !done.contains(&line) {
        purge(process, input, at);
    }
}

/// Has the caches forget what was asked for at this UNIX time; says how many entries went.
fn purge(process: &Process, input: &PurgeInput, at: Duration) -> u64 {
    let what = match (&input.key, &input.prefix, &input.tag) {
        (Some(key), ..) => PurgeWhat::Key(place(key)),
        (_, Some(prefix), _) => PurgeWhat::Prefix(place(prefix)),
        (.., Some(tag)) => PurgeWhat::Tag(tag.clone()),
        _ => PurgeWhat::All,
    };
    let purges = process.shared().state.get_or_insert("", Purges::default);
    purges.purge(Purge {
        what,
        route: input.route.clone(),
        soft: input.soft,
        at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
    })
}

/// A place as caches name it, whether it was written as a URL or without a scheme: the host in
/// lower case, no scheme.
fn place(written: &str) -> String {
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{}{path}", host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_places_name_the_same() {
        for written in ["https://Shop.example/A?b", "shop.EXAMPLE/A?b"] {
            assert_eq!(place(written), "shop.example/A?b");
        }
    }
}
