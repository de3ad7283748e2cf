//! What a cache keeps: a shelf in memory, a folder on disk behind it, what is under way, and what
//! is not worth waiting for. Outlives snapshots.

use super::disk::Disk;
use super::give::Given;
use super::key::{Key, KeyMaker};
use super::searches::Searches;
use super::stored::as_purged;
use bytes::Bytes;
use gate_cache::{Draft, Heads, Kept, Shelf, Stored, Varied};
use gate_flow::{CacheCounts, Flights, Purge, Purges, Services, Sweep};
use gate_kit::clock::Moment;
use gate_kit::http::{Growing, HeaderId, Headers};
use gate_kit::random;
use rustc_hash::{FxHashMap, FxHashSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Locks of the shelf; more than workers, so that two rarely meet.
pub(super) const LOCKS: usize = 16;
/// Sets of selecting values that entries share at most.
const SHARED_MAX: usize = 1_024;
/// Places whose answers are not kept that are remembered.
const PASSING_MAX: usize = 4_096;
/// How long they are: their requests do not wait for each other meanwhile.
const PASSING: Duration = Duration::from_secs(10);

/// A request that others wait for.
pub(super) type Flown = gate_flow::Flown<Key, Arc<Coming>>;

/// An answer whose body still comes.
#[derive(Debug)]
pub(super) struct Coming {
    /// Its head.
    pub(super) stored: Arc<Stored>,
    pub(super) body: Arc<Growing>,
    /// The rule for queries that it states.
    pub(super) search: Option<u64>,
}

/// What a cache keeps.
pub(super) struct Store {
    shelf: Shelf<Key, Arc<Stored>>,
    pub(super) disk: Option<Disk>,
    pub(super) keys: KeyMaker,
    /// What kept heads are written with.
    pub(super) heads: Arc<Heads>,
    /// Which queries get the same answers.
    pub(super) searches: Searches,
    /// What selects among answers, once for all that the same selects.
    shared: Mutex<FxHashSet<Arc<Varied>>>,
    pub(super) flights: Arc<Flights<Key, Arc<Coming>>>,
    pub(super) purges: Arc<Purges>,
    pub(super) counts: Arc<CacheCounts>,
    route: String,
    passing: Mutex<FxHashMap<Key, Moment>>,
}

/// What looking comes to.
pub(super) enum Peek {
    /// This is kept.
    Found(Arc<Stored>),
    /// Something is, on disk under this key.
    OnDisk(Key),
    /// Nothing is that this request selects; something of its place where that is said.
    Nothing(bool),
}

impl Store {
    /// Room for so many bytes in memory. A route's purges reach it once it has joined them.
    pub(super) fn new(
        bytes: usize,
        disk: Option<Disk>,
        keys: KeyMaker,
        heads: Arc<Heads>,
        purges: Arc<Purges>,
        counts: Arc<CacheCounts>,
        route: &str,
    ) -> Self {
        Self {
            shelf: Shelf::new(bytes, LOCKS),
            disk,
            keys,
            heads,
            searches: Searches::default(),
            shared: Mutex::default(),
            flights: Arc::default(),
            purges,
            counts,
            route: route.to_owned(),
            passing: Mutex::default(),
        }
    }

    /// What is kept for a request; with `part`, a part of an answer counts as well.
    pub(super) fn peek(&self, key: Key, request: &Headers, part: bool) -> Peek {
        let mut is_other = false;
        match self.get(&key) {
            Some(stored) if stored.selects(request) => return Peek::Found(stored),
            Some(stored) => {
                is_other = true;
                let variant = self.variant(key, &stored, request);
                match self.get(&variant).filter(|stored| stored.selects(request)) {
                    Some(stored) => return Peek::Found(stored),
                    None if self.is_on_disk(&variant) => return Peek::OnDisk(variant),
                    None => {}
                }
            }
            None if self.is_on_disk(&key) => return Peek::OnDisk(key),
            None => {}
        }
        if part {
            let part = self.keys.part(key);
            if let Some(stored) = self.get(&part).filter(|stored| stored.selects(request)) {
                return Peek::Found(stored);
            }
        }
        Peek::Nothing(is_other)
    }

    /// What is under a key, unless it was purged.
    fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let stored = self.shelf.get(key)?;
        let newest = self.purges.newest();
        if stored.seen.load(Ordering::Relaxed) == newest || self.outlives(&stored, newest) {
            return Some(stored);
        }
        self.moved(&self.shelf.remove(key));
        self.counts.purged.add(1);
        None
    }

    /// Holds an entry against the purges since it was last; false where one took it away.
    #[cold]
    fn outlives(&self, stored: &Stored, newest: u64) -> bool {
        let seen = stored.seen.load(Ordering::Relaxed);
        let by_time = stored.from_disk && seen == 0;
        let hit = as_purged(stored, &self.route, |entry| {
            self.purges.hits(entry, seen, by_time)
        });
        match hit {
            Some(true) => return false,
            Some(false) => stored.is_soft.store(true, Ordering::Relaxed),
            None => {}
        }
        stored.seen.store(newest, Ordering::Relaxed);
        true
    }

    /// What answers are made of.
    pub(super) fn give<'a>(&'a self, stored: &'a Arc<Stored>) -> Given<'a> {
        Given {
            stored,
            heads: &self.heads,
        }
    }

    fn is_on_disk(&self, key: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.has(key))
    }

    /// Reads what lies on disk under a key into memory; nothing where it cannot be read any more.
    pub(super) async fn load(&self, services: &Rc<dyn Services>, key: Key) -> Option<Arc<Stored>> {
        let (mut draft, body) = self.disk.as_ref()?.read(services, key).await?;
        draft.varied = draft.varied.map(|varied| self.share(varied));
        let stored = Arc::new(draft.pack(&self.heads, Some(body)));
        let newest = self.purges.newest();
        if !self.outlives(&stored, newest) {
            return None;
        }
        self.put(key, stored.clone());
        Some(stored)
    }

    fn variant(&self, key: Key, stored: &Stored, request: &Headers) -> Key {
        self.keys.variant(key, stored.family(), |write| {
            if let Some(varied) = &stored.varied {
                varied.write_values(request, write);
            }
        })
    }

    /// Keeps an answer to a request under its place, beside the other answers of the place that other
    /// requests select, or in place of the one that this request selected. Parts become one of at
    /// most `most` bytes.
    pub(super) fn keep(
        &self,
        primary: Key,
        mut draft: Draft,
        mut body: Bytes,
        request: &Headers,
        most: usize,
    ) -> Arc<Stored> {
        let mut key = primary;
        draft.varied = draft.varied.map(|varied| self.share(varied));
        draft.family = random::bits();
        if draft.part.is_some() {
            key = self.keys.part(primary);
            (draft, body) = self.joined(key, draft, body, request, most);
            if draft.part.is_none() {
                self.forget_part(primary);
                key = primary;
            }
        }
        if draft.part.is_none()
            && let Some(other) = self.get(&primary)
        {
            let same_names = match (&draft.varied, &other.varied) {
                (Some(new), Some(old)) => new.has_names_of(old),
                _ => false,
            };
            if same_names {
                draft.family = other.family();
                if !other.selects(request) {
                    key = self.variant(primary, &other, request);
                }
            }
        }
        if let Some(disk) = &self.disk {
            disk.write(key, draft.clone(), body.clone());
        }
        let stored = Arc::new(draft.pack(&self.heads, Some(body)));
        self.put(key, stored.clone());
        self.counts.stored.add(1);
        stored
    }

    /// A part with the part that is kept already, where they are of the same and leave nothing out
    /// between them (RFC 9111 section 3.4); a whole answer once nothing is missing.
    fn joined(
        &self,
        key: Key,
        mut draft: Draft,
        body: Bytes,
        request: &Headers,
        most: usize,
    ) -> (Draft, Bytes) {
        let other = self.get(&key).filter(|other| other.selects(request));
        let (Some(part), Some(other)) = (draft.part, other) else {
            return (draft, body);
        };
        let tag = draft.headers.get(HeaderId::ETag);
        let is_same = tag.is_some_and(|tag| {
            // Only a strong validator says that the bytes are of the same.
            let kept = other.headers(&self.heads);
            tag.starts_with(b"\"") && kept.get(HeaderId::ETag) == Some(tag)
        });
        let both = other
            .part()
            .and_then(|held| Some((held, part.joined(&held)?)));
        let Some((held, whole)) = both.filter(|_| is_same) else {
            return (draft, body);
        };
        if whole.length() > most as u64 {
            return (draft, body);
        }
        let kept = other.body();
        let skipped = |before: u64| usize::try_from(before).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(skipped(whole.length()));
        let (first, second, overlap) = match held.first <= part.first {
            true => (&kept, &body, (held.last + 1).saturating_sub(part.first)),
            false => (&body, &kept, (part.last + 1).saturating_sub(held.first)),
        };
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second.get(skipped(overlap)..).unwrap_or_default());
        if bytes.len() as u64 != whole.length() {
            return (draft, body);
        }
        draft.length = whole.length();
        draft.part = Some(whole).filter(|whole| !whole.is_whole());
        if draft.part.is_none() {
            draft.status = 200;
            draft.headers.remove(HeaderId::ContentRange);
        }
        (draft, Bytes::from(bytes))
    }

    /// The same set of selecting values once for all.
    fn share(&self, varied: Arc<Varied>) -> Arc<Varied> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(&varied) {
            return known.clone();
        }
        if shared.len() >= SHARED_MAX {
            shared.retain(|known| Arc::strong_count(known) > 1);
        }
        if shared.len() < SHARED_MAX {
            shared.insert(varied.clone());
        }
        varied
    }

    fn put(&self, key: Key, stored: Arc<Stored>) {
        let weight = stored.weight();
        let kept = self.shelf.put(key, stored, weight, |_| false);
        if kept.oversized {
            self.counts.oversized.add(1);
        }
        if !kept.gone.is_empty() {
            self.counts.evicted.add(kept.gone.len() as u64);
        }
        self.moved(&kept);
    }

    /// Forgets what is kept of a place, whatever selects among it.
    pub(super) fn forget(&self, primary: Key) {
        self.forget_one(primary);
        self.forget_part(primary);
    }

    fn forget_part(&self, primary: Key) {
        self.forget_one(self.keys.part(primary));
    }

    fn forget_one(&self, key: Key) {
        self.moved(&self.shelf.remove(&key));
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }

    fn moved(&self, kept: &Kept<Key, Arc<Stored>>) {
        self.counts.bytes.fetch_add(kept.bytes, Ordering::Relaxed);
        self.counts
            .entries
            .fetch_add(kept.entries, Ordering::Relaxed);
    }

    /// Remembers that the answers of a place are not kept, so that nobody waits for one.
    pub(super) fn pass(&self, key: Key, now: Moment) {
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        if passing.len() >= PASSING_MAX {
            passing.clear();
        }
        passing.insert(key, now.plus(PASSING));
    }

    /// Whether the answers of a place were not kept lately.
    pub(super) fn passes(&self, key: &Key, now: Moment) -> bool {
        let passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        passing.get(key).is_some_and(|until| now < *until)
    }
}

impl Sweep for Store {
    fn sweep(&self, purge: &Purge) -> u64 {
        let mut softened = 0;
        let kept = self.shelf.retain(|_, stored| {
            let meant = as_purged(stored, &self.route, |entry| purge.means(entry));
            if meant && purge.soft {
                stored.is_soft.store(true, Ordering::Relaxed);
                softened += 1;
            }
            !meant || purge.soft
        });
        self.moved(&kept);
        let mut swept = kept.gone.len() as u64;
        // On disk a soft purge is a hard one: what lies there could not say that it is stale.
        if let Some(disk) = &self.disk {
            let gone = disk.sweep(purge, &self.route);
            swept = swept.max(gone);
        }
        self.counts.purged.add(swept + softened);
        swept + softened
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let left = self.shelf.retain(|_, _| false);
        self.moved(&left);
    }
}
