//! Who has used how much: a sharded table of theoretical arrival times.
//!
//! The algorithm is GCRA in its virtual-scheduling form (ITU-T I.371, annex A; the ATM Forum's
//! af-tm-0056, section 4.4.2). One number per window is kept: the time at which the caller's
//! allowance will be whole again. A request is admitted while that time lies at most `tolerance`
//! ahead, and moves it by `interval`. Several windows are decided together under one lock, so that
//! a refused request consumes nothing anywhere.
//!
//! The table knows keys only as 64-bit hashes, keyed per process with SipHash: nobody outside can
//! find two names that share an entry. It is bounded; see [`Table::admit`].

use gate_kit::clock::Moment;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most windows of one limit: an entry holds one number for each, used or not.
pub(crate) const WINDOWS_MAX: usize = 4;
/// Locks per table; far more than workers, so that two rarely meet.
const SHARDS: usize = 64;
/// Most entries per shard: 131,072 callers per table, at 40 bytes each plus the map's slack.
const ENTRIES_MAX: usize = 2048;
/// Nanoseconds between two sweeps of a shard that is not full.
const SWEEP_EVERY: u64 = 10_000_000_000;
/// Entries that go at once when a shard is full of callers who have not recovered.
const EVICTED: usize = ENTRIES_MAX / 8;

/// One window, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Between two requests at the steady rate.
    pub(crate) interval: u64,
    /// How far ahead the arrival time may lie: `interval x (burst - 1)`.
    pub(crate) tolerance: u64,
}

/// What is left of one window after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// Requests that would be admitted at once.
    pub(crate) remaining: u64,
    /// Until the allowance is whole again.
    pub(crate) whole_in: Duration,
    /// Until one more request would be admitted; zero when it would be now.
    pub(crate) wait: Duration,
}

/// A decision, with what is left of each window.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// Whether the request may pass.
    pub(crate) admitted: bool,
    /// In the order of the windows.
    pub(crate) standings: SmallVec<[Standing; WINDOWS_MAX]>,
}

/// The table. One per limit and process; shared by all workers.
pub(crate) struct Table {
    shards: Box<[Shard]>,
    secret: [u64; 2],
}

/// On a cache line of its own, so that neighbours' locks do not disturb each other.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Entries>);

type Arrivals = [u64; WINDOWS_MAX];

#[derive(Default)]
struct Entries {
    map: HashMap<u64, Arrivals, BuildHasherDefault<Hashed>>,
    swept: u64,
}

impl Table {
    /// An empty table whose hashes are keyed with this secret.
    pub(crate) fn new(secret: [u64; 2]) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, secret }
    }

    /// Decides about one request at `now`, whose caller is known by some bytes and their domain
    /// (so that an address never equals a name).
    ///
    /// When a shard is full, entries whose allowance is whole again are dropped, which changes
    /// nothing for them. If those are few, the eighth nearest to that goes too: they get their rest
    /// early, while callers who use most are kept longest.
    pub(crate) fn admit(
        &self,
        domain: u8,
        key: &[u8],
        windows: &[Window],
        now: Moment,
    ) -> Decision {
        debug_assert!(windows.len() <= WINDOWS_MAX);
        let hash = self.hash(domain, key);
        let shard = &self.shards[hash as usize % SHARDS].0;
        let mut entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arrivals) = entries.map.get_mut(&hash) {
            return decide(arrivals, windows, now.0);
        }
        make_room(&mut entries, now.0);
        decide(
            entries.map.entry(hash).or_insert([0; WINDOWS_MAX]),
            windows,
            now.0,
        )
    }

    /// What is left for a caller, of whom nothing is taken.
    pub(crate) fn look(&self, domain: u8, key: &[u8], window: &Window, now: Moment) -> Standing {
        let hash = self.hash(domain, key);
        let shard = &self.shards[hash as usize % SHARDS].0;
        let entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = entries.map.get(&hash).copied().unwrap_or_default();
        standing(arrivals[0], window, now.0)
    }

    /// Gives back what one request took of the first window, because it was refused elsewhere.
    pub(crate) fn give_back(&self, domain: u8, key: &[u8], window: &Window) {
        let hash = self.hash(domain, key);
        let shard = &self.shards[hash as usize % SHARDS].0;
        let mut entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arrivals) = entries.map.get_mut(&hash) {
            arrivals[0] = arrivals[0].saturating_sub(window.interval);
        }
    }

    #[allow(
        deprecated,
        reason = "SipHash with a key of ours; std offers no other constructor"
    )]
    fn hash(&self, domain: u8, key: &[u8]) -> u64 {
        let mut hasher = std::hash::SipHasher::new_with_keys(self.secret[0], self.secret[1]);
        hasher.write_u8(domain);
        hasher.write(key);
        hasher.finish()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.0.lock().unwrap().map.len())
            .sum()
    }
}

fn decide(arrivals: &mut Arrivals, windows: &[Window], now: u64) -> Decision {
    let pairs = || arrivals.iter().zip(windows);
    let admitted =
        pairs().all(|(&arrival, window)| arrival <= now.saturating_add(window.tolerance));
    let mut standings = SmallVec::new();
    for (arrival, window) in arrivals.iter_mut().zip(windows) {
        if admitted {
            *arrival = (*arrival).max(now).saturating_add(window.interval);
        }
        standings.push(standing(*arrival, window, now));
    }
    Decision {
        admitted,
        standings,
    }
}

fn standing(arrival: u64, window: &Window, now: u64) -> Standing {
    let ahead = arrival.saturating_sub(now);
    let room = (window.tolerance + window.interval).saturating_sub(ahead);
    Standing {
        remaining: room / window.interval,
        whole_in: Duration::from_nanos(ahead),
        wait: Duration::from_nanos(ahead.saturating_sub(window.tolerance)),
    }
}

/// Sees to it that one more entry fits, by one scan for many newcomers, and that memory falls back
/// after a burst.
fn make_room(entries: &mut Entries, now: u64) {
    let full = entries.map.len() >= ENTRIES_MAX;
    if !full && now < entries.swept.saturating_add(SWEEP_EVERY) {
        return;
    }
    entries.swept = now;
    let entries = &mut entries.map;
    let latest = |arrivals: &Arrivals| arrivals.iter().copied().max().unwrap_or_default();
    entries.retain(|_, arrivals| latest(arrivals) > now);
    if entries.len() <= ENTRIES_MAX - EVICTED {
        return entries.shrink_to(entries.len() * 2);
    }
    let mut arrivals: Vec<u64> = entries.values().map(latest).collect();
    let (_, &mut nearest, _) = arrivals.select_nth_unstable(EVICTED - 1);
    let mut left = EVICTED;
    entries.retain(|_, arrivals| {
        let goes = left > 0 && latest(arrivals) <= nearest;
        left -= usize::from(goes);
        !goes
    });
}

/// The keys are hashes already. The low bits chose the shard, so they are turned away from where
/// the map looks.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed with this");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_right(SHARDS.trailing_zeros());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const SECOND: u64 = 1_000_000_000;

    fn window(interval: u64, burst: u64) -> Window {
        Window {
            interval,
            tolerance: interval * (burst - 1),
        }
    }

    proptest! {
        /// Whatever the arrivals, any stretch of time t admits at most burst + t / interval.
        #[test]
        fn no_stretch_of_time_admits_more_than_the_limit(
            gaps in prop::collection::vec(0u64..3 * SECOND, 1..200),
            limits in prop::collection::vec((1u64..2 * SECOND, 1u64..20), 1..=WINDOWS_MAX),
        ) {
            let table = Table::new([1, 2]);
            let windows: Vec<_> = limits.iter().map(|&(i, b)| window(i, b)).collect();
            let mut admitted = Vec::new();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                if table.admit(0, b"k", &windows, Moment(now)).admitted {
                    admitted.push(now);
                }
            }
            prop_assert!(!admitted.is_empty());
            for (first, start) in admitted.iter().enumerate() {
                for (further, end) in admitted[first..].iter().enumerate() {
                    for &(interval, burst) in &limits {
                        let count = further as u64 + 1;
                        let most = burst + (end - start) / interval;
                        prop_assert!(count <= most, "{} of {}", count, most);
                    }
                }
            }
        }

        /// A caller who keeps to the slowest interval is never refused.
        #[test]
        fn a_steady_caller_is_never_refused(
            limits in prop::collection::vec((1u64..SECOND, 1u64..20), 1..=WINDOWS_MAX),
        ) {
            let table = Table::new([1, 2]);
            let windows: Vec<_> = limits.iter().map(|&(i, b)| window(i, b)).collect();
            let slowest = limits.iter().map(|limit| limit.0).max().unwrap();
            for turn in 0..100 {
                prop_assert!(table.admit(0, b"k", &windows, Moment(turn * slowest)).admitted);
            }
        }
    }

    #[test]
    fn a_refused_request_consumes_nothing() {
        let table = Table::new([1, 2]);
        let windows = [window(SECOND, 1), window(SECOND, 10)];
        assert!(table.admit(0, b"k", &windows, Moment(0)).admitted);
        for _ in 0..50 {
            let refused = table.admit(0, b"k", &windows, Moment(0));
            assert!(!refused.admitted);
            assert_eq!(refused.standings[0].wait, Duration::from_secs(1));
            assert_eq!(
                refused.standings[1].remaining, 9,
                "the second window keeps its rest"
            );
        }
        assert!(table.admit(0, b"k", &windows, Moment(SECOND)).admitted);
    }

    #[test]
    fn threads_together_get_no_more_than_one_would() {
        let table = Table::new([1, 2]);
        let windows = [window(SECOND / 1000, 50)];
        let (clock, admitted) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        let now = clock.fetch_add(SECOND / 20_000, Ordering::SeqCst);
                        let decision = table.admit(0, b"k", &windows, Moment(now));
                        admitted.fetch_add(u64::from(decision.admitted), Ordering::SeqCst);
                    }
                });
            }
        });
        let intervals = clock.load(Ordering::SeqCst) / windows[0].interval;
        let admitted = admitted.load(Ordering::SeqCst);
        assert!(
            admitted <= 50 + intervals,
            "{admitted} of {}",
            50 + intervals
        );
        assert!(
            admitted >= intervals,
            "{admitted}: the rate itself is granted"
        );
    }

    #[test]
    fn callers_do_not_share_and_domains_differ() {
        let table = Table::new([1, 2]);
        let windows = [window(SECOND, 1)];
        for (domain, key) in [(0, &b"a"[..]), (0, b"b"), (1, b"a"), (1, b"")] {
            assert!(table.admit(domain, key, &windows, Moment(0)).admitted);
            assert!(!table.admit(domain, key, &windows, Moment(0)).admitted);
        }
    }

    #[test]
    fn a_flood_of_callers_is_bounded_and_spares_the_heaviest() {
        let table = Table::new([1, 2]);
        let windows = [window(SECOND, 100)];
        for _ in 0..100 {
            assert!(table.admit(0, b"heavy", &windows, Moment(0)).admitted);
        }
        for n in 0..(SHARDS * ENTRIES_MAX * 2) as u64 {
            table.admit(1, &n.to_le_bytes(), &windows, Moment(0));
        }
        assert!(table.len() <= SHARDS * ENTRIES_MAX, "{}", table.len());
        assert!(
            table.len() > SHARDS * ENTRIES_MAX * 3 / 4,
            "{}",
            table.len()
        );
        assert!(!table.admit(0, b"heavy", &windows, Moment(0)).admitted);
        // Once everybody has recovered, the first newcomer of each shard sweeps it.
        for n in 0..10_000_u64 {
            table.admit(2, &n.to_le_bytes(), &windows, Moment(200 * SECOND));
        }
        assert!(table.len() <= 10_000, "{}", table.len());
    }
}
