//! How many retries an upstream may cause.
//!
//! Retries multiply load exactly when there is too much of it, so they are bounded by a share of
//! the requests of the last ten to twenty seconds (two adjacent windows), plus a few so that quiet
//! upstreams can retry at all.

use gate_kit::clock::Moment;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Length of one window.
const WINDOW_NANOS: u64 = 10_000_000_000;
/// Retries always allowed per window.
const ALWAYS: f64 = 10.0;

/// Counts requests and retries of one upstream, over the whole process.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<Windows>);

#[derive(Debug, Default, Clone, Copy)]
struct Windows {
    index: u64,
    requests: [f64; 2],
    retries: [f64; 2],
}

impl Windows {
    fn roll(&mut self, now: Moment) {
        let index = now.0 / WINDOW_NANOS;
        match index.saturating_sub(self.index) {
            0 => return,
            1 => {
                self.requests = [0.0, self.requests[0]];
                self.retries = [0.0, self.retries[0]];
            }
            _ => {
                self.requests = [0.0; 2];
                self.retries = [0.0; 2];
            }
        }
        self.index = index;
    }
}

impl RetryBudget {
    /// Counts a request that was not a retry.
    pub fn request(&self, now: Moment) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.roll(now);
        windows.requests[0] += 1.0;
    }

    /// Takes a retry from the budget, when `share` of the requests allows one more.
    pub fn retry(&self, now: Moment, share: f64) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.roll(now);
        let requests: f64 = windows.requests.iter().sum();
        let retries: f64 = windows.retries.iter().sum();
        let allowed = retries + 1.0 <= ALWAYS + requests * share;
        if allowed {
            windows.retries[0] += 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_their_share() {
        let budget = RetryBudget::default();
        let now = Moment(5);
        (0..100).for_each(|_| budget.request(now));
        let granted = (0..100).filter(|_| budget.retry(now, 0.2)).count();
        assert_eq!(
            granted, 30,
            "20 % of 100 and the ten that are always allowed"
        );
    }

    #[test]
    fn old_requests_earn_nothing() {
        let budget = RetryBudget::default();
        (0..1000).for_each(|_| budget.request(Moment(0)));
        let later = Moment(3 * WINDOW_NANOS);
        assert_eq!((0..100).filter(|_| budget.retry(later, 0.5)).count(), 10);
    }
}
