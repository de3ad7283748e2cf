//! A bounded map for what is kept: sharded, bounded in bytes, evicted by S3-FIFO.
//!
//! S3-FIFO (Yang et al., SOSP 2023, "FIFO queues are all you need for cache eviction"): newcomers
//! wait in a small queue and are gone soon unless they are asked for again; what is, moves to the
//! main queue, where each hit earns another round; what left the small queue is remembered by its
//! hash and, should it come back, goes to the main queue at once. A flood of requests that come once
//! passes through the small tenth and leaves the rest alone. Locks are held for a few map
//! operations and never across a wait.
//!
//! A million entries are a usual size, so that each costs little here: its key, weight and place in
//! a queue lie in one slot (`slots.rs`), and the map holds numbers of slots.

use crate::slots::{Queue, Slot, Slots};
use hashbrown::HashTable;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Part of a shard's bytes for newcomers.
const SMALL_PART: usize = 10;
/// Hits that are remembered for an entry.
const HITS_MAX: u8 = 3;
/// Outlived entries that are cleared for each newcomer and queue.
const CLEARED: usize = 8;
/// Hashes of what left that are remembered for each entry that is here, at least.
const GHOSTS_MIN: usize = 64;
/// Entries that a sweep looks at under one lock.
const SWEPT: usize = 256;
/// What an entry takes in the map and the queues besides its value, in bytes, with the room that the
/// map keeps free: for whoever weighs entries.
pub const SHELF_OVERHEAD: usize = 64;

/// A key that is a good hash already.
pub trait Shelved: Copy + Eq + Hash {
    /// Some bits of it, as random as its whole.
    fn bits(&self) -> u64;
}

/// A bounded map of shared values.
#[derive(Debug)]
pub struct Shelf<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    /// Bytes per shard.
    room: usize,
}

/// What keeping or taking away did.
#[derive(Debug)]
pub struct Kept<K, V> {
    /// Whether it was too large to be kept.
    pub oversized: bool,
    /// What went to make room, or was taken away.
    pub gone: Vec<(K, V)>,
    /// What stood in its place before.
    pub replaced: Option<V>,
    /// Bytes more than before; wraps below zero, so that sums of it are right in any order.
    pub bytes: u64,
    /// Entries more than before, the same way.
    pub entries: u64,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            oversized: false,
            gone: Vec::new(),
            replaced: None,
            bytes: 0,
            entries: 0,
        }
    }
}

#[derive(Debug)]
struct Shard<K, V> {
    map: HashTable<Found>,
    slots: Slots<K, V>,
    small: Queue,
    main: Queue,
    ghosts: VecDeque<u32>,
    ghost_set: FxHashSet<u32>,
    bytes: usize,
    small_bytes: usize,
}

/// Where a key's slot is. The hash stands beside it, so that the map grows without looking into slots.
#[derive(Debug, Clone, Copy)]
struct Found {
    slot: u32,
    hash: u32,
}

impl<K: Shelved, V: Clone> Shelf<K, V> {
    /// Room for so many bytes under so many locks; an entry may have a lock's part of the bytes.
    ///
    /// # Panics
    /// Without a lock.
    #[must_use]
    pub fn new(bytes: usize, locks: usize) -> Self {
        assert!(locks > 0, "there is nothing without a lock");
        Self {
            shards: (0..locks).map(|_| Mutex::new(Shard::new())).collect(),
            room: bytes / locks,
        }
    }

    /// Most bytes of one entry.
    #[must_use]
    pub const fn entry_max(&self) -> usize {
        self.room
    }

    /// The value under this key; asking counts as a hit.
    #[allow(clippy::must_use_candidate, reason = "asking is remembered")]
    pub fn get(&self, key: &K) -> Option<V> {
        let mut shard = self.shard(key);
        let at = shard.find(key)?;
        let slot = shard.slots.at_mut(at);
        slot.hits = HITS_MAX.min(slot.hits + 1);
        slot.value.clone()
    }

    /// Whether something is under this key; asking counts as a hit.
    #[allow(clippy::must_use_candidate, reason = "asking is remembered")]
    pub fn has(&self, key: &K) -> bool {
        let mut shard = self.shard(key);
        let Some(at) = shard.find(key) else {
            return false;
        };
        let slot = shard.slots.at_mut(at);
        slot.hits = HITS_MAX.min(slot.hits + 1);
        true
    }

    /// Keeps a value of this weight in place of any other under its key. Of what waits longest, what
    /// `outlived` says so of goes first.
    pub fn put(
        &self,
        key: K,
        value: V,
        weight: usize,
        outlived: impl Fn(&V) -> bool,
    ) -> Kept<K, V> {
        let mut kept = Kept::default();
        let weight = match u32::try_from(weight) {
            Ok(weight) if weight as usize <= self.room => weight,
            _ => {
                kept.oversized = true;
                return kept;
            }
        };
        let mut shard = self.shard(&key);
        let before = shard.totals();
        shard.clear_front(&outlived, &mut kept.gone);
        kept.replaced = shard.put(key, value, weight);
        while shard.bytes > self.room {
            kept.gone.extend(shard.evict(self.room));
        }
        kept.count(before, shard.totals());
        kept
    }

    /// Takes away what is under a key.
    pub fn remove(&self, key: &K) -> Kept<K, V> {
        let mut kept = Kept::default();
        let mut shard = self.shard(key);
        let before = shard.totals();
        if let Some(at) = shard.find(key) {
            kept.gone.extend(shard.take(at));
        }
        kept.count(before, shard.totals());
        kept
    }

    /// Takes away everything that `keep` does not want, a few entries under each lock, so that
    /// nobody waits long. What comes meanwhile may be missed.
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> Kept<K, V> {
        let mut kept = Kept::default();
        for shard in &self.shards {
            let mut from = 0;
            loop {
                let mut shard = lock(shard);
                let end = shard.slots.end();
                if from >= end {
                    break;
                }
                let before = shard.totals();
                let until = end.min(from + SWEPT as u32);
                for at in from..until {
                    let slot = shard.slots.at(at);
                    let value = slot.value.as_ref();
                    if value.is_some_and(|value| !keep(&slot.key, value)) {
                        kept.gone.extend(shard.take(at));
                    }
                }
                from = until;
                kept.count(before, shard.totals());
            }
        }
        kept
    }

    /// Bytes and entries, counted one by one: for checks, not for gauges.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| lock(shard).audited());
        shards.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        // The map takes the lowest bits, so that the shard goes by higher ones.
        lock(&self.shards[(key.bits() >> 40) as usize % self.shards.len()])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> Kept<K, V> {
    fn count(&mut self, before: (usize, usize), after: (usize, usize)) {
        let more = |before: usize, after: usize| (after as u64).wrapping_sub(before as u64);
        self.bytes = self.bytes.wrapping_add(more(before.0, after.0));
        self.entries = self.entries.wrapping_add(more(before.1, after.1));
    }
}

impl<K: Shelved, V> Shard<K, V> {
    fn new() -> Self {
        Self {
            map: HashTable::new(),
            slots: Slots::default(),
            small: Queue::default(),
            main: Queue::default(),
            ghosts: VecDeque::new(),
            ghost_set: FxHashSet::default(),
            bytes: 0,
            small_bytes: 0,
        }
    }

    fn totals(&self) -> (usize, usize) {
        (self.bytes, self.map.len())
    }

    fn audited(&self) -> (usize, usize) {
        let (mut all, mut small) = (0, 0);
        for slot in self.map.iter().map(|found| self.slots.at(found.slot)) {
            all += slot.weight as usize;
            small += if slot.is_main {
                0
            } else {
                slot.weight as usize
            };
            debug_assert!(slot.value.is_some());
        }
        debug_assert_eq!((all, small), (self.bytes, self.small_bytes));
        debug_assert_eq!(
            self.small.count(&self.slots) + self.main.count(&self.slots),
            self.map.len()
        );
        (all, self.map.len())
    }

    fn find(&self, key: &K) -> Option<u32> {
        let hash = key.bits() as u32;
        let is_it = |found: &Found| found.hash == hash && self.slots.at(found.slot).key == *key;
        Some(self.map.find(spread(hash), is_it)?.slot)
    }

    fn put(&mut self, key: K, value: V, weight: u32) -> Option<V> {
        let before = self.find(&key);
        let hits = before.map_or(0, |at| self.slots.at(at).hits);
        let is_main = hits > 0 || self.ghost_set.contains(&ghost(&key));
        let replaced = before.and_then(|at| self.take(at)).map(|(_, value)| value);
        let at = self.slots.add(Slot::new(key, value, weight, is_main));
        match is_main {
            true => self.main.push_back(&mut self.slots, at),
            false => {
                self.small.push_back(&mut self.slots, at);
                self.small_bytes += weight as usize;
            }
        }
        self.bytes += weight as usize;
        let hash = key.bits() as u32;
        let found = Found { slot: at, hash };
        self.map
            .insert_unique(spread(hash), found, |found| spread(found.hash));
        replaced
    }

    /// Takes what a slot holds out of everything.
    fn take(&mut self, at: u32) -> Option<(K, V)> {
        let slot = self.slots.at(at);
        let (key, weight, is_main) = (slot.key, slot.weight as usize, slot.is_main);
        let hash = key.bits() as u32;
        let entry = self.map.find_entry(spread(hash), |found| found.slot == at);
        entry.ok()?.remove();
        self.bytes -= weight;
        match is_main {
            true => self.main.unlink(&mut self.slots, at),
            false => {
                self.small.unlink(&mut self.slots, at);
                self.small_bytes -= weight;
            }
        }
        Some((key, self.slots.free(at)?))
    }

    /// Takes a step towards more room; gives what went, if anything did.
    fn evict(&mut self, room: usize) -> Option<(K, V)> {
        let small = self.small_bytes > room / SMALL_PART || self.main.is_empty();
        match small && !self.small.is_empty() {
            true => self.evict_small(),
            false => self.evict_main(),
        }
    }

    fn evict_small(&mut self) -> Option<(K, V)> {
        let at = self.small.front()?;
        let slot = self.slots.at_mut(at);
        if slot.hits > 0 {
            slot.hits = 0;
            slot.is_main = true;
            self.small_bytes -= slot.weight as usize;
            self.small.unlink(&mut self.slots, at);
            self.main.push_back(&mut self.slots, at);
            return None;
        }
        let hash = ghost(&slot.key);
        self.remember(hash);
        self.take(at)
    }

    fn evict_main(&mut self) -> Option<(K, V)> {
        let at = self.main.front()?;
        let slot = self.slots.at_mut(at);
        if slot.hits > 0 {
            slot.hits -= 1;
            self.main.unlink(&mut self.slots, at);
            self.main.push_back(&mut self.slots, at);
            return None;
        }
        self.take(at)
    }

    fn remember(&mut self, hash: u32) {
        if self.ghost_set.insert(hash) {
            self.ghosts.push_back(hash);
        }
        while self.ghosts.len() > self.map.len().max(GHOSTS_MIN) {
            if let Some(hash) = self.ghosts.pop_front() {
                self.ghost_set.remove(&hash);
            }
        }
    }

    /// Takes entries that have outlived their use from the front of both queues.
    fn clear_front(&mut self, outlived: &impl Fn(&V) -> bool, gone: &mut Vec<(K, V)>) {
        for is_main in [false, true] {
            for _ in 0..CLEARED {
                let queue = if is_main { &self.main } else { &self.small };
                let Some(at) = queue.front() else { break };
                if !self.slots.at(at).value.as_ref().is_some_and(outlived) {
                    break;
                }
                gone.extend(self.take(at));
            }
        }
    }
}

/// A map's hash of a key's bits: the map goes by the lowest and the highest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What is remembered of what left: a mistake of one in some thousands is no harm.
fn ghost<K: Shelved>(key: &K) -> u32 {
    (key.bits() >> 16) as u32
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
