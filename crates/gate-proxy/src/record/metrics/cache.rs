//! Counts of caches of answers: by route what exchanges found, by cache what it holds and lost.

use super::exposition::{Exposition, Kind};
use super::series::Shard;
use super::table::Counts;
use gate_flow::{CacheCounts, CacheFacts, CacheStatus};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the exchanges of one route found.
#[derive(Debug, Default)]
pub(super) struct CacheSeries {
    looked: Counts<CacheStatus>,
    saved_input: u64,
    saved_output: u64,
}

impl CacheSeries {
    pub(super) fn observe(&mut self, facts: &CacheFacts) {
        self.looked.add(facts.status, 1);
        self.saved_input += facts.saved_input_tokens;
        self.saved_output += facts.saved_output_tokens;
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        self.looked.absorb(&other.looked);
        self.saved_input += other.saved_input;
        self.saved_output += other.saved_output;
    }
}

/// Families by route.
pub(super) fn routes(page: &mut Exposition, sum: &Shard) {
    let rows = sum.routes.sorted();
    let help = "Requests by what a cache of answers had for them.";
    page.family("tidegate_cache_requests", Kind::Counter, "", help);
    for (route, series) in &rows {
        for (status, count) in series.cache.looked.iter() {
            page.sample(&[("route", route), ("status", status.as_str())], count);
        }
    }
    let help = "Tokens that answers from a cache had cost when they were made.";
    page.family("tidegate_cache_saved_tokens", Kind::Counter, "", help);
    for (route, series) in &rows {
        let saved = [
            ("input", series.cache.saved_input),
            ("output", series.cache.saved_output),
        ];
        for (kind, tokens) in saved.into_iter().filter(|(_, tokens)| *tokens > 0) {
            page.sample(&[("route", route), ("type", kind)], tokens);
        }
    }
}

/// Name, meaning, and where it is counted.
type Count = (&'static str, &'static str, fn(&CacheCounts) -> u64);

const COUNTERS: [Count; 13] = [
    (
        "tidegate_cache_stored",
        "Answers that were kept.",
        |counts| counts.stored.sum(),
    ),
    (
        "tidegate_cache_oversized",
        "Answers that were not kept because they are too large.",
        |counts| counts.oversized.sum(),
    ),
    (
        "tidegate_cache_evicted",
        "Answers that went to make room.",
        |counts| counts.evicted.sum(),
    ),
    (
        "tidegate_cache_hits",
        "Requests that were answered with what was kept.",
        |counts| counts.hits.sum(),
    ),
    (
        "tidegate_cache_misses",
        "Requests that the target was asked for, though they might have been answered here.",
        |counts| counts.misses.sum(),
    ),
    (
        "tidegate_cache_stale_hits",
        "Answers that were given though they are too old: meanwhile, or instead of an error.",
        |counts| counts.stale.sum(),
    ),
    (
        "tidegate_cache_collapsed_hits",
        "Hits that waited for the answer to the same request.",
        |counts| counts.collapsed.sum(),
    ),
    (
        "tidegate_cache_purged",
        "Answers that were purged.",
        |counts| counts.purged.sum(),
    ),
    (
        "tidegate_cache_disk_reads",
        "Answers that were read from disk.",
        |counts| counts.disk_read.sum(),
    ),
    (
        "tidegate_cache_disk_broken",
        "Files of answers that were ignored: cut short, changed, or of another version.",
        |counts| counts.disk_broken.sum(),
    ),
    (
        "tidegate_cache_disk_unwritten",
        "Answers that could not be written to disk.",
        |counts| counts.disk_unwritten.sum(),
    ),
    (
        "tidegate_cache_store_errors",
        "Questions that a shared store did not answer, or was not asked because it is down.",
        |counts| counts.store_errors.sum(),
    ),
    (
        "tidegate_cache_embedding_errors",
        "Embeddings that could not be had.",
        |counts| counts.embedding_errors.sum(),
    ),
];

/// Name, unit, meaning, and where it is.
type Gauge = (
    &'static str,
    &'static str,
    &'static str,
    fn(&CacheCounts) -> u64,
);

const GAUGES: [Gauge; 2] = [
    (
        "tidegate_cache_disk_entries",
        "",
        "Answers on disk.",
        |counts| counts.disk_entries.load(Ordering::Relaxed),
    ),
    (
        "tidegate_cache_disk_size_bytes",
        "bytes",
        "Bytes of answers on disk.",
        |counts| counts.disk_bytes.load(Ordering::Relaxed),
    ),
];

/// Families by cache, which is named by its route and its position there; nothing without one.
pub fn page(page: &mut Exposition, caches: &[(String, Arc<CacheCounts>)]) {
    if caches.is_empty() {
        return;
    }
    for (name, help, pick) in COUNTERS {
        page.family(name, Kind::Counter, "", help);
        for (cache, counts) in caches {
            page.sample(&[("cache", cache)], pick(counts));
        }
    }
    labels(page, caches);
    held(page, caches);
}

fn labels(page: &mut Exposition, caches: &[(String, Arc<CacheCounts>)]) {
    let help =
        "Comparisons of a similar request's answer with the model's own, by whether they agreed.";
    page.family("tidegate_cache_labels", Kind::Counter, "", help);
    for (cache, counts) in caches {
        page.sample(
            &[("cache", cache), ("same", "true")],
            counts.labels_same.sum(),
        );
        page.sample(
            &[("cache", cache), ("same", "false")],
            counts.labels_other.sum(),
        );
    }
}

fn held(page: &mut Exposition, caches: &[(String, Arc<CacheCounts>)]) {
    let help = "Answers in memory.";
    page.family("tidegate_cache_entries", Kind::Gauge, "", help);
    for (cache, counts) in caches {
        page.sample(&[("cache", cache)], counts.entries.load(Ordering::Relaxed));
    }
    let help = "Bytes of answers in memory, with what they take beside their texts.";
    page.family("tidegate_cache_size_bytes", Kind::Gauge, "bytes", help);
    for (cache, counts) in caches {
        page.sample(&[("cache", cache)], counts.bytes.load(Ordering::Relaxed));
    }
    for (name, unit, help, pick) in GAUGES {
        page.family(name, Kind::Gauge, unit, help);
        for (cache, counts) in caches {
            page.sample(&[("cache", cache)], pick(counts));
        }
    }
}

/// Writes every family once, with one cache: what the reference shows.
pub fn example(to: &mut Exposition) {
    page(to, &[("route/0/cache".into(), Arc::default())]);
}
