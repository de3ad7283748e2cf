//! What copies for a comparison come to in one process: how many are under way, and what they cost
//! beside what callers' own calls cost.

use super::reading::nanos;
use crate::Record;
use gate_model::units::Money;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most copies under way at once. Each may hold a request and the beginning of two answers.
const OPEN_MAX: u64 = 64;

/// Counts of the copies of one comparison. All numbers are totals but the open ones.
#[derive(Debug, Default)]
pub struct Copies {
    open: AtomicU64,
    made: AtomicU64,
    callers_nanos: AtomicU64,
    copies_nanos: AtomicU64,
}

impl Copies {
    /// A place for another copy; `None` while too many are under way, or while copies have cost
    /// more than `spend`, a share, of what callers' own calls did.
    #[must_use]
    pub fn begin(self: &Arc<Self>, spend: f64) -> Option<CopyPlace> {
        let (callers, copies) = (&self.callers_nanos, &self.copies_nanos);
        let allowed = callers.load(Ordering::Relaxed) as f64 * spend;
        if copies.load(Ordering::Relaxed) as f64 > allowed {
            return None;
        }
        let place = CopyPlace(self.clone());
        // Given back by the place when there are too many.
        if self.open.fetch_add(1, Ordering::Relaxed) >= OPEN_MAX {
            return None;
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        Some(place)
    }

    /// Adds what a caller's own call cost.
    pub(super) fn add_caller(&self, record: &Record) {
        if let Some(cost) = record.ai.as_ref().and_then(|ai| ai.cost) {
            add(&self.callers_nanos, cost);
        }
    }

    /// How many were made.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// What they cost.
    #[must_use]
    pub fn cost(&self) -> Money {
        let nanos = self.copies_nanos.load(Ordering::Relaxed);
        Money::from_picodollars(i64::try_from(nanos.saturating_mul(1000)).unwrap_or(i64::MAX))
    }
}

fn add(to: &AtomicU64, cost: Money) {
    to.fetch_add(nanos(cost), Ordering::Relaxed);
}

/// The place of a copy that is under way; free again when dropped.
#[derive(Debug)]
pub struct CopyPlace(Arc<Copies>);

impl CopyPlace {
    /// Adds what the copy cost.
    pub fn paid(&self, cost: Money) {
        add(&self.0.copies_nanos, cost);
    }
}

impl Drop for CopyPlace {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AiFacts;

    #[test]
    fn copies_cost_no_more_than_a_share_of_what_callers_spend() {
        let copies = Arc::new(Copies::default());
        let dollars = |count: i64| Money::from_picodollars(count * 1_000_000_000_000);
        let called = |cost| {
            let ai = AiFacts {
                cost: Some(cost),
                ..AiFacts::default()
            };
            copies.add_caller(&Record {
                ai: Some(Box::new(ai)),
                ..Record::default()
            });
        };
        // Where nothing costs anything, nothing is too dear.
        copies.begin(0.2).unwrap().paid(dollars(1));
        assert!(copies.begin(0.2).is_none());
        called(dollars(4));
        assert!(copies.begin(0.2).is_none());
        called(dollars(1));
        assert!(copies.begin(0.2).is_some());
        assert_eq!((copies.made(), copies.cost()), (2, dollars(1)));
    }

    #[test]
    fn only_so_many_are_under_way() {
        let copies = Arc::new(Copies::default());
        let places: Vec<_> = std::iter::from_fn(|| copies.begin(1.0)).collect();
        assert_eq!(places.len() as u64, OPEN_MAX);
        drop(places);
        assert!(copies.begin(1.0).is_some());
    }
}
