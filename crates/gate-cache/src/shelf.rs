//! A bounded map for what is kept: sharded, bounded in bytes, evicted by S3-FIFO.
//!
//! S3-FIFO (Yang et al., SOSP 2023, "FIFO queues are all you need for cache eviction"): newcomers
//! wait in a small queue and are gone soon unless they are asked for again; what is, moves to the
//! main queue, where each hit earns another round; what left the small queue is remembered by its
//! hash and, should it come back, goes to the main queue at once. A flood of requests that come once
//! passes through the small tenth and leaves the rest alone. Locks are held for a few map
//! operations and never across a wait.

use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Part of a shard's bytes for newcomers.
const SMALL_PART: usize = 10;
/// Hits that are remembered for an entry.
const HITS_MAX: u8 = 3;
/// Outlived or withdrawn places that are cleared for each newcomer.
const CLEARED: usize = 8;
/// Hashes of what left that are remembered for each entry that is here, at least.
const GHOSTS_MIN: usize = 64;
/// Entries that a sweep looks at under one lock.
const SWEPT: usize = 256;

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
pub struct Kept<V> {
    /// Whether it was too large to be kept.
    pub oversized: bool,
    /// What went to make room, or was taken away.
    pub gone: Vec<V>,
    /// What stood in its place before.
    pub replaced: Option<V>,
    /// Bytes more than before; wraps below zero, so that sums of it are right in any order.
    pub bytes: u64,
    /// Entries more than before, the same way.
    pub entries: u64,
}

impl<V> Default for Kept<V> {
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
    entries: FxHashMap<K, Slot<V>>,
    small: VecDeque<Place<K>>,
    main: VecDeque<Place<K>>,
    ghosts: VecDeque<u32>,
    ghost_set: FxHashSet<u32>,
    bytes: usize,
    small_bytes: usize,
    serial: u32,
}

#[derive(Debug)]
struct Slot<V> {
    value: V,
    weight: u32,
    /// Which place in a queue is this entry's; comes again after four billion, when the place that
    /// had it has long gone.
    serial: u32,
    hits: u8,
    is_main: bool,
}

/// A place in a queue; nobody's once its entry has gone or has another.
#[derive(Debug)]
struct Place<K> {
    key: K,
    serial: u32,
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
        let slot = shard.entries.get_mut(key)?;
        slot.hits = HITS_MAX.min(slot.hits + 1);
        Some(slot.value.clone())
    }

    /// Keeps a value of this weight in place of any other under its key. Of what waits longest, what
    /// `outlived` says so of goes first.
    pub fn put(&self, key: K, value: V, weight: usize, outlived: impl Fn(&V) -> bool) -> Kept<V> {
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
    pub fn remove(&self, key: &K) -> Kept<V> {
        let mut kept = Kept::default();
        let mut shard = self.shard(key);
        let before = shard.totals();
        kept.gone.extend(shard.remove(key).map(|slot| slot.value));
        kept.count(before, shard.totals());
        kept
    }

    /// Takes away everything that `keep` does not want, a few entries under each lock, so that
    /// nobody waits long. What comes meanwhile may be missed.
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> Kept<V> {
        let mut kept = Kept::default();
        for shard in &self.shards {
            let keys: Vec<K> = lock(shard).entries.keys().copied().collect();
            for some in keys.chunks(SWEPT) {
                let mut shard = lock(shard);
                let before = shard.totals();
                for key in some {
                    let unwanted = shard
                        .entries
                        .get(key)
                        .is_some_and(|slot| !keep(key, &slot.value));
                    if unwanted {
                        kept.gone.extend(shard.remove(key).map(|slot| slot.value));
                    }
                }
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

impl<V> Kept<V> {
    fn count(&mut self, before: (usize, usize), after: (usize, usize)) {
        let more = |before: usize, after: usize| (after as u64).wrapping_sub(before as u64);
        self.bytes = self.bytes.wrapping_add(more(before.0, after.0));
        self.entries = self.entries.wrapping_add(more(before.1, after.1));
    }
}

impl<K: Shelved, V> Shard<K, V> {
    fn new() -> Self {
        Self {
            entries: FxHashMap::default(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            ghost_set: FxHashSet::default(),
            bytes: 0,
            small_bytes: 0,
            serial: 0,
        }
    }

    fn totals(&self) -> (usize, usize) {
        (self.bytes, self.entries.len())
    }

    fn audited(&self) -> (usize, usize) {
        let all = self.entries.values().map(|slot| slot.weight as usize).sum();
        let small = self.entries.values().filter(|slot| !slot.is_main);
        let small: usize = small.map(|slot| slot.weight as usize).sum();
        debug_assert_eq!((all, small), (self.bytes, self.small_bytes));
        debug_assert!(self.small.len() + self.main.len() >= self.entries.len());
        (all, self.entries.len())
    }

    fn put(&mut self, key: K, value: V, weight: u32) -> Option<V> {
        let before = self.remove(&key);
        let hits = before.as_ref().map_or(0, |slot| slot.hits);
        let is_main = hits > 0 || self.ghost_set.contains(&ghost(&key));
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let place = Place { key, serial };
        match is_main {
            true => self.main.push_back(place),
            false => {
                self.small.push_back(place);
                self.small_bytes += weight as usize;
            }
        }
        self.bytes += weight as usize;
        let slot = Slot {
            value,
            weight,
            hits: 0,
            is_main,
            serial,
        };
        self.entries.insert(key, slot);
        before.map(|slot| slot.value)
    }

    fn remove(&mut self, key: &K) -> Option<Slot<V>> {
        let slot = self.entries.remove(key)?;
        self.bytes -= slot.weight as usize;
        if !slot.is_main {
            self.small_bytes -= slot.weight as usize;
        }
        Some(slot)
    }

    /// Whether a place still is its entry's.
    fn holds(&self, place: &Place<K>) -> bool {
        let slot = self.entries.get(&place.key);
        slot.is_some_and(|slot| slot.serial == place.serial)
    }

    /// Takes a step towards more room; gives what went, if anything did.
    fn evict(&mut self, room: usize) -> Option<V> {
        if self.small_bytes > room / SMALL_PART || self.main.is_empty() {
            return self.evict_small();
        }
        self.evict_main()
    }

    fn evict_small(&mut self) -> Option<V> {
        let Some(place) = self.small.pop_front() else {
            // Nothing waits there: the main queue has it all.
            return self.evict_main();
        };
        if !self.holds(&place) {
            return None;
        }
        let slot = self.entries.get_mut(&place.key)?;
        if slot.hits > 0 {
            slot.hits = 0;
            slot.is_main = true;
            self.small_bytes -= slot.weight as usize;
            self.main.push_back(place);
            return None;
        }
        self.remember(ghost(&place.key));
        self.remove(&place.key).map(|slot| slot.value)
    }

    fn evict_main(&mut self) -> Option<V> {
        let place = self.main.pop_front()?;
        if !self.holds(&place) {
            return None;
        }
        if let Some(slot) = self.entries.get_mut(&place.key)
            && slot.hits > 0
        {
            slot.hits -= 1;
            self.main.push_back(place);
            return None;
        }
        self.remove(&place.key).map(|slot| slot.value)
    }

    fn remember(&mut self, hash: u32) {
        if self.ghost_set.insert(hash) {
            self.ghosts.push_back(hash);
        }
        while self.ghosts.len() > self.entries.len().max(GHOSTS_MIN) {
            if let Some(hash) = self.ghosts.pop_front() {
                self.ghost_set.remove(&hash);
            }
        }
    }

    /// Takes withdrawn places and entries that have outlived their use from the front of both queues.
    fn clear_front(&mut self, outlived: &impl Fn(&V) -> bool, gone: &mut Vec<V>) {
        for is_main in [false, true] {
            for _ in 0..CLEARED {
                let queue = if is_main { &self.main } else { &self.small };
                let Some(front) = queue.front() else { break };
                let key = front.key;
                let held = self.holds(front);
                let slot = self.entries.get(&key).filter(|_| held);
                if slot.is_some_and(|slot| !outlived(&slot.value)) {
                    break;
                }
                if slot.is_some() {
                    gone.extend(self.remove(&key).map(|slot| slot.value));
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

/// What is remembered of what left: a mistake of one in some thousands is no harm.
fn ghost<K: Shelved>(key: &K) -> u32 {
    (key.bits() >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    impl Shelved for u64 {
        fn bits(&self) -> u64 {
            self.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        }
    }

    #[test]
    fn whatever_is_done_the_bound_holds_and_the_sums_agree() {
        for seed in 0..10 {
            random::seed(seed);
            let shelf: Shelf<u64, u64> = Shelf::new(256 * 1024, 8);
            let (mut bytes, mut entries, mut gone) = (0u64, 0u64, 0);
            for round in 0..8_000u64 {
                let key = random::below(600) as u64;
                let kept = match random::below(10) {
                    0..5 => {
                        shelf.get(&key);
                        continue;
                    }
                    5 => shelf.remove(&key),
                    _ => shelf.put(key, round, random::below(6_000), |old| old + 4_000 < round),
                };
                bytes = bytes.wrapping_add(kept.bytes);
                entries = entries.wrapping_add(kept.entries);
                gone += kept.gone.len();
            }
            let (held, count) = shelf.totals();
            assert!(held <= 256 * 1024 && gone > 0, "seed {seed}: {held}");
            assert_eq!((bytes, entries), (held as u64, count as u64));
            let kept = shelf.retain(|key, _| key % 2 == 0);
            assert_eq!(count - kept.gone.len(), shelf.totals().1);
            assert_eq!(entries.wrapping_add(kept.entries), shelf.totals().1 as u64);
        }
    }

    #[test]
    fn what_is_asked_for_often_survives_a_flood() {
        let shelf: Shelf<u64, ()> = Shelf::new(1024 * 1024, 16);
        let put = |key| shelf.put(key, (), 2_000, |()| false);
        for often in 0..50 {
            put(often);
            shelf.get(&often);
        }
        for once in 1_000..11_000 {
            put(once);
            shelf.get(&(once % 50));
        }
        let kept = (0..50).filter(|often| shelf.get(often).is_some()).count();
        assert!(kept >= 48, "{kept} of 50");
        assert!(shelf.put(1, (), 1024 * 1024, |()| false).oversized);
    }
}
