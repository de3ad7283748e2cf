//! How often one caller may ask: a bucket per caller, bounded in number.

use gate_kit::clock::Moment;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most callers that are remembered; full buckets are forgotten first.
const CALLERS_MAX: usize = 4_096;
/// How many seconds' worth may come at once.
const BURST_S: f64 = 10.0;

/// Buckets by caller.
#[derive(Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<String, (f64, Moment)>>,
}

impl Rates {
    /// Takes one request from a caller's bucket; whether there was one.
    pub(crate) fn take(&self, caller: &str, per_second: u32, now: Moment) -> bool {
        let rate = f64::from(per_second.max(1));
        let burst = rate * BURST_S;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(caller) {
            let filled = |(left, at): &(f64, Moment)| left + now.since(*at).as_secs_f64() * rate;
            buckets.retain(|_, bucket| filled(bucket) < burst);
            if buckets.len() >= CALLERS_MAX {
                return false;
            }
        }
        let (left, at) = buckets.entry(caller.to_owned()).or_insert((burst, now));
        *left = (*left + now.since(*at).as_secs_f64() * rate).min(burst);
        *at = now;
        let allowed = *left >= 1.0;
        if allowed {
            *left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_granted_once_and_then_the_rate() {
        let rates = Rates::default();
        let start = Moment::default();
        let granted = (0..30).filter(|_| rates.take("a", 2, start)).count();
        assert_eq!(granted, 20);
        assert!(rates.take("b", 2, start));
        let later = start.plus(Duration::from_secs(1));
        let granted = (0..30).filter(|_| rates.take("a", 2, later)).count();
        assert_eq!(granted, 2);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let rates = Rates::default();
        let start = Moment::default();
        let granted = (0..10_000).filter(|n| rates.take(&n.to_string(), 1, start));
        assert_eq!(granted.count(), CALLERS_MAX);
        let later = start.plus(Duration::from_secs(60));
        assert!(rates.take("new", 1, later));
    }
}
