//! How much may be asked with a key per time: requests, and tokens.
//!
//! Each rate is a bucket that is full at first and fills evenly (GCRA, kept as the time at which it
//! would be full again), in one atomic number: a check takes no lock.

use gate_kit::clock::Moment;
use gate_model::resources::KeyLimits;
use gate_model::units::Rate;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The limits of one key on this gateway.
#[derive(Debug)]
pub struct KeyMeter {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl KeyMeter {
    /// Full buckets.
    #[must_use]
    pub fn new(limits: &KeyLimits) -> Self {
        Self {
            requests: limits.requests.map(Bucket::new),
            tokens: limits.tokens.map(Bucket::new),
        }
    }

    /// Takes one request and so many tokens.
    ///
    /// # Errors
    /// How long to wait until both would be there; nothing is taken then.
    pub fn take(&self, tokens: u64, now: Moment) -> Result<(), Duration> {
        if let Some(requests) = &self.requests {
            requests.take(1, now)?;
        }
        let taken = self
            .tokens
            .as_ref()
            .map_or(Ok(()), |bucket| bucket.take(tokens, now));
        if taken.is_err()
            && let Some(requests) = &self.requests
        {
            requests.give_back(1);
        }
        taken
    }

    /// Corrects the tokens that were taken to what was used.
    pub fn settle(&self, taken: u64, used: u64, now: Moment) {
        let Some(bucket) = &self.tokens else { return };
        match used.checked_sub(taken) {
            Some(more) => bucket.owe(more, now),
            None => bucket.give_back(taken - used),
        }
    }
}

/// One rate.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// When it would be full again, as a [`Moment`].
    full_at: AtomicU64,
}

impl Bucket {
    const fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: AtomicU64::new(0),
        }
    }

    /// How long it takes until so much has come back, in nanoseconds.
    fn refill(&self, amount: u64) -> u64 {
        let nanos = self.rate.per().duration().as_nanos() * u128::from(amount);
        u64::try_from(nanos / u128::from(self.rate.count())).unwrap_or(u64::MAX)
    }

    fn take(&self, amount: u64, now: Moment) -> Result<(), Duration> {
        let whole = self.refill(self.rate.count().into());
        let cost = self.refill(amount);
        let mut wait = 0;
        let taken = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now.0).saturating_add(cost);
                wait = next.saturating_sub(now.0).saturating_sub(whole);
                // What exceeds a whole bucket may go when the bucket is full, or it never could.
                (wait == 0 || (cost > whole && full_at <= now.0)).then_some(next)
            });
        taken.map(drop).map_err(|_| Duration::from_nanos(wait))
    }

    fn owe(&self, amount: u64, now: Moment) {
        let cost = self.refill(amount);
        let owe = |full_at: u64| Some(full_at.max(now.0).saturating_add(cost));
        let _ = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, owe);
    }

    fn give_back(&self, amount: u64) {
        let cost = self.refill(amount);
        let back = |full_at: u64| Some(full_at.saturating_sub(cost));
        let _ = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn meter(requests: &str, tokens: &str) -> KeyMeter {
        KeyMeter::new(&KeyLimits {
            requests: requests.parse().ok(),
            tokens: tokens.parse().ok(),
        })
    }

    #[test]
    fn requests_come_back_evenly() {
        let meter = meter("2/s", "");
        let take = |at: u64| meter.take(9, Moment(at)).map_err(|wait| wait.as_millis());
        assert_eq!(
            [take(SECOND), take(SECOND), take(SECOND)],
            [Ok(()), Ok(()), Err(500)]
        );
        assert_eq!(
            [take(SECOND * 3 / 2), take(SECOND * 3 / 2)],
            [Ok(()), Err(500)]
        );
    }

    #[test]
    fn tokens_are_corrected_when_a_call_ends() {
        let meter = meter("", "100/s");
        let now = Moment(5 * SECOND);
        assert!(meter.take(60, now).is_ok() && meter.take(60, now).is_err());
        meter.settle(60, 10, now);
        assert!(meter.take(60, now).is_ok());
        meter.settle(60, 260, now);
        // 270 are used, of which 100 come back in each second.
        assert!(meter.take(1, Moment(6 * SECOND)).is_err());
        assert!(meter.take(1, Moment(8 * SECOND)).is_ok());
        let huge = meter.take(1_000, Moment(60 * SECOND));
        assert!(huge.is_ok() && meter.take(1, Moment(61 * SECOND)).is_err());
    }

    #[test]
    fn a_refused_call_takes_nothing() {
        let meter = meter("1/s", "10/s");
        let now = Moment(SECOND);
        assert!(meter.take(10, now).is_ok());
        let meter = KeyMeter::new(&KeyLimits {
            requests: "1/s".parse().ok(),
            tokens: "10/s".parse().ok(),
        });
        meter.settle(0, 10, now);
        assert!(meter.take(10, now).is_err());
        meter.settle(10, 0, now);
        assert!(meter.take(10, now).is_ok());
    }
}
