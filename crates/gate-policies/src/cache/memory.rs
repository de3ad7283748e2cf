//! Answers in memory: sharded, bounded in bytes, evicted by S3-FIFO.
//!
//! S3-FIFO (Yang et al., SOSP 2023, "FIFO queues are all you need for cache eviction"): newcomers
//! wait in a small queue and are gone soon unless they are asked for again; what is, moves to the
//! main queue, where each hit earns another round; what left the small queue is remembered by its
//! hash and, should it come back, goes to the main queue at once. A flood of questions that are asked once
//! passes through the small tenth and leaves the rest alone. Locks are held for a few map
//! operations and never across a wait.

use super::entry::Entry;
use super::key::Key;
use gate_flow::CacheCounts;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Locks; more than workers, so that two rarely meet.
pub(super) const SHARDS: usize = 16;
/// Part of a shard's bytes for newcomers.
const SMALL_PART: usize = 10;
/// Hits that are remembered for an entry.
const HITS_MAX: u8 = 3;
/// Outlived or withdrawn places that are cleared for each newcomer.
const CLEARED: usize = 8;
/// Hashes of what left that are remembered for each entry that is here, at least.
const GHOSTS_MIN: usize = 64;

/// The answers of one cache.
pub(super) struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// Bytes per shard.
    room: usize,
    counts: Arc<CacheCounts>,
}

#[derive(Default)]
struct Shard {
    entries: FxHashMap<Key, Slot>,
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    ghosts: VecDeque<u64>,
    ghost_set: FxHashSet<u64>,
    bytes: usize,
    small_bytes: usize,
    serial: u64,
}

struct Slot {
    entry: Arc<Entry>,
    weight: usize,
    hits: u8,
    is_main: bool,
    /// Which place in a queue is this entry's.
    serial: u64,
}

/// A place in a queue; nobody's once its entry has gone or has another.
struct Place {
    key: Key,
    serial: u64,
}

impl Memory {
    /// Room for so many bytes. Counts go to `counts`.
    pub(super) fn new(bytes: usize, counts: Arc<CacheCounts>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: bytes / SHARDS,
            counts,
        }
    }

    /// The answer under this key, of whatever age.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut shard = self.shard(key);
        let slot = shard.entries.get_mut(key)?;
        slot.hits = HITS_MAX.min(slot.hits + 1);
        Some(slot.entry.clone())
    }

    /// Keeps an answer in place of any other under its key; what is older than `ttl` may go first.
    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, now_unix: Duration, ttl: Duration) {
        let weight = entry.weight();
        if weight > self.room {
            self.counts.oversized.add(1);
            return;
        }
        let mut shard = self.shard(&key);
        let before = (shard.bytes, shard.entries.len());
        shard.clear_front(now_unix, ttl);
        shard.put(key, entry, weight);
        let mut evicted = 0;
        while shard.bytes > self.room {
            evicted += u64::from(shard.evict(self.room));
        }
        let after = (shard.bytes, shard.entries.len());
        drop(shard);
        self.counts.stored.add(1);
        if evicted > 0 {
            self.counts.evicted.add(evicted);
        }
        self.moved(before, after);
    }

    fn shard(&self, key: &Key) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[usize::from(key.0[31]) % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the gauges; they wrap over zero and back, so that the order of workers is no matter.
    fn moved(&self, before: (usize, usize), after: (usize, usize)) {
        let bytes = (after.0 as u64).wrapping_sub(before.0 as u64);
        let entries = (after.1 as u64).wrapping_sub(before.1 as u64);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.entries.fetch_add(entries, Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let sum = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.bytes, shard.entries.len())
        };
        let each: Vec<_> = self.shards.iter().map(sum).collect();
        each.into_iter().for_each(|left| self.moved(left, (0, 0)));
    }
}

impl Shard {
    fn put(&mut self, key: Key, entry: Arc<Entry>, weight: usize) {
        let hits = self.remove(&key).map_or(0, |slot| slot.hits);
        let is_main = hits > 0 || self.ghost_set.contains(&key.short());
        self.serial += 1;
        let serial = self.serial;
        let place = Place { key, serial };
        match is_main {
            true => self.main.push_back(place),
            false => {
                self.small.push_back(place);
                self.small_bytes += weight;
            }
        }
        self.bytes += weight;
        let slot = Slot {
            entry,
            weight,
            hits: 0,
            is_main,
            serial,
        };
        self.entries.insert(key, slot);
    }

    fn remove(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.entries.remove(key)?;
        self.bytes -= slot.weight;
        if !slot.is_main {
            self.small_bytes -= slot.weight;
        }
        Some(slot)
    }

    /// Whether a place still is its entry's.
    fn holds(&self, place: &Place) -> bool {
        let slot = self.entries.get(&place.key);
        slot.is_some_and(|slot| slot.serial == place.serial)
    }

    /// Takes a step towards more room; says whether an entry went.
    fn evict(&mut self, room: usize) -> bool {
        if self.small_bytes > room / SMALL_PART || self.main.is_empty() {
            return self.evict_small();
        }
        self.evict_main()
    }

    fn evict_small(&mut self) -> bool {
        let Some(place) = self.small.pop_front() else {
            // Nothing waits there: the main queue has it all.
            return self.evict_main();
        };
        if !self.holds(&place) {
            return false;
        }
        let Some(slot) = self.entries.get_mut(&place.key) else {
            return false;
        };
        if slot.hits > 0 {
            slot.hits = 0;
            slot.is_main = true;
            self.small_bytes -= slot.weight;
            self.main.push_back(place);
            return false;
        }
        self.remember(place.key.short());
        self.remove(&place.key).is_some()
    }

    fn evict_main(&mut self) -> bool {
        let Some(place) = self.main.pop_front() else {
            return false;
        };
        if !self.holds(&place) {
            return false;
        }
        if let Some(slot) = self.entries.get_mut(&place.key)
            && slot.hits > 0
        {
            slot.hits -= 1;
            self.main.push_back(place);
            return false;
        }
        self.remove(&place.key).is_some()
    }

    fn remember(&mut self, hash: u64) {
        if self.ghost_set.insert(hash) {
            self.ghosts.push_back(hash);
        }
        while self.ghosts.len() > self.entries.len().max(GHOSTS_MIN) {
            if let Some(hash) = self.ghosts.pop_front() {
                self.ghost_set.remove(&hash);
            }
        }
    }

    /// Takes withdrawn places and entries that have outlived `ttl` from the front of both queues.
    fn clear_front(&mut self, now_unix: Duration, ttl: Duration) {
        for is_main in [false, true] {
            for _ in 0..CLEARED {
                let queue = if is_main { &self.main } else { &self.small };
                let Some(front) = queue.front() else { break };
                let key = front.key;
                let held = self.holds(front);
                let slot = self.entries.get(&key).filter(|_| held);
                if slot.is_some_and(|slot| slot.entry.age(now_unix) < ttl) {
                    break;
                }
                if slot.is_some() {
                    self.remove(&key);
                }
                let queue = if is_main {
                    &mut self.main
                } else {
                    &mut self.small
                };
                queue.pop_front();
            }
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
