//! Being passed over for a while, longer with each repetition.
//!
//! Two atomics, read without a lock. Whatever is benched is only passed over while something else
//! can take a call; it is never a reason to refuse one.

use gate_kit::clock::Moment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Until when something is passed over, and how often that happened in a row.
#[derive(Debug, Default)]
pub(in super::super) struct Bench {
    until: AtomicU64,
    strikes: AtomicU32,
}

impl Bench {
    /// Whether it is passed over now.
    pub(in super::super) fn is_out(&self, now: Moment) -> bool {
        self.until.load(Ordering::Relaxed) > now.0
    }

    /// Until when; in the past when it is not passed over.
    pub(in super::super) fn until(&self) -> Moment {
        Moment(self.until.load(Ordering::Relaxed))
    }

    /// Whether it was passed over by itself and has not worked since.
    pub(in super::super) fn is_struck(&self) -> bool {
        self.strikes.load(Ordering::Relaxed) != 0
    }

    /// Passes it over until then, at least.
    pub(in super::super) fn rest(&self, until: Moment) {
        self.until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Passes it over for `first`, doubled with every strike in a row up to `most`. Calls that
    /// failed together are one strike: while it is out, nothing is added. Whether this was one.
    pub(in super::super) fn strike(&self, now: Moment, first: Duration, most: Duration) -> bool {
        if self.is_out(now) {
            return false;
        }
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed).min(20);
        let time = first.saturating_mul(1 << strikes).min(most);
        self.rest(now.plus(time));
        true
    }

    /// Notes that it works again. A time that has not passed yet still counts, because the call
    /// that worked may have begun before.
    pub(in super::super) fn forgive(&self) {
        // Reading first keeps the cache line shared in the ordinary case.
        if self.strikes.load(Ordering::Relaxed) != 0 {
            self.strikes.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);
    const MOST: Duration = Duration::from_secs(60);

    fn seconds(n: u64) -> Moment {
        Moment(n * 1_000_000_000)
    }

    #[test]
    fn the_time_grows_with_strikes_in_a_row_up_to_a_limit() {
        let bench = Bench::default();
        assert!(!bench.is_out(seconds(1)));
        let mut now = seconds(1);
        for expected in [10, 20, 40, 60, 60] {
            assert!(bench.strike(now, FIRST, MOST));
            assert_eq!(bench.until().since(now), Duration::from_secs(expected));
            now = bench.until();
            assert!(!bench.is_out(now));
        }
        bench.forgive();
        bench.strike(now, FIRST, MOST);
        assert_eq!(bench.until().since(now), FIRST);
    }

    #[test]
    fn calls_that_fail_together_are_one_strike() {
        let bench = Bench::default();
        assert!(bench.strike(seconds(1), FIRST, MOST));
        assert!((0..100).all(|_| !bench.strike(seconds(1), FIRST, MOST)));
        assert_eq!(bench.until(), seconds(11));
    }

    #[test]
    fn a_shorter_rest_does_not_cut_a_longer_one() {
        let bench = Bench::default();
        bench.rest(seconds(9));
        bench.rest(seconds(4));
        assert_eq!(bench.until(), seconds(9));
    }
}
