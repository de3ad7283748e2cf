//! How many retries and hedges may run at a time.
//!
//! Extra calls multiply load exactly when there is too much of it, so they are bounded by a share
//! of the calls in flight, plus a few so that a quiet model can retry at all. Counting calls in
//! flight costs an ordinary call nothing, because its provider counts them anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Extra calls that are always allowed.
const ALWAYS: u32 = 3;

/// Extra calls of one model over the whole process.
#[derive(Debug, Default)]
pub(in super::super) struct ExtraCalls(Arc<AtomicU32>);

/// An extra call; counted until it is dropped.
#[derive(Debug)]
pub(in super::super) struct Extra(Arc<AtomicU32>);

impl ExtraCalls {
    /// Allows one more extra call, when `share` of the calls `in_flight` has room for it.
    pub(in super::super) fn take(&self, in_flight: u32, share: f64) -> Option<Extra> {
        let most = (f64::from(in_flight) * share) as u32;
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let extra = Extra(self.0.clone());
        (before < most.max(ALWAYS)).then_some(extra)
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_calls_stay_within_their_share_and_come_back() {
        let extra = ExtraCalls::default();
        let taken: Vec<_> = (0..100).map_while(|_| extra.take(100, 0.2)).collect();
        assert_eq!(taken.len(), 20);
        assert!(extra.take(100, 0.2).is_none());
        drop(taken);
        let few: Vec<_> = (0..100).map_while(|_| extra.take(1, 0.2)).collect();
        assert_eq!(few.len(), ALWAYS as usize);
    }
}
