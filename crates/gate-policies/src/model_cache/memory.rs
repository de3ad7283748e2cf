//! Answers in memory: a [`Shelf`] whose doings are counted.

use super::entry::Entry;
use super::key::Key;
use gate_cache::{Kept, Shelf, Shelved};
use gate_flow::{CacheCounts, Purge, PurgeWhat, Sweep, tag_hash};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Locks; more than workers, so that two rarely meet.
pub(super) const SHARDS: usize = 16;

/// The answers of one cache.
pub(super) struct Memory {
    shelf: Shelf<Key, Arc<Entry>>,
    counts: Arc<CacheCounts>,
}

impl Shelved for Key {
    fn bits(&self) -> u64 {
        self.short()
    }
}

impl Memory {
    /// Room for so many bytes. Counts go to `counts`.
    pub(super) fn new(bytes: usize, counts: Arc<CacheCounts>) -> Self {
        Self {
            shelf: Shelf::new(bytes, SHARDS),
            counts,
        }
    }

    /// The answer under this key, of whatever age.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.shelf.get(key)
    }

    /// Keeps an answer in place of any other under its key; what is older than `ttl` may go first.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, now_unix: Duration, ttl: Duration) {
        let weight = entry.weight();
        let outlived = |entry: &Arc<Entry>| entry.age(now_unix) >= ttl;
        let kept = self.shelf.put(key, entry, weight, outlived);
        if kept.oversized {
            self.counts.oversized.add(1);
            return;
        }
        self.counts.stored.add(1);
        self.moved(&kept);
        // Those that outlived their time were nobody's any more.
        let evicted = kept
            .gone
            .iter()
            .filter(|(_, entry)| !outlived(entry))
            .count();
        if evicted > 0 {
            self.counts.evicted.add(evicted as u64);
        }
    }

    /// Tells the gauges; they wrap over zero and back, so that the order of workers is no matter.
    fn moved(&self, kept: &Kept<Key, Arc<Entry>>) {
        self.counts.bytes.fetch_add(kept.bytes, Ordering::Relaxed);
        self.counts
            .entries
            .fetch_add(kept.entries, Ordering::Relaxed);
    }
}

impl Sweep for Memory {
    /// Takes away what a consumer asked for until the purge was; other purges are of answers by their
    /// place, which these do not have.
    fn sweep(&self, purge: &Purge) -> u64 {
        let PurgeWhat::Tag(tag) = &purge.what else {
            return 0;
        };
        let owner = tag_hash(tag);
        let kept = self.shelf.retain(|_, entry| {
            entry.about.owner != owner || entry.about.stored_unix_ms > purge.at_ms
        });
        self.moved(&kept);
        self.counts.purged.add(kept.gone.len() as u64);
        kept.gone.len() as u64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let left = self.shelf.retain(|_, _| false);
        self.moved(&left);
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
