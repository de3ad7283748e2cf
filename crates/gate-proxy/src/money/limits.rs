//! How much may be asked per time, with a key, by a consumer, by a team, of a provider: requests, and
//! tokens.
//!
//! Each rate is a bucket that is full at first and fills evenly (GCRA, kept as the time at which it
//! would be full again), in one atomic number: a check takes no lock.

use gate_flow::{AiFacts, Fault};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use gate_model::resources::CallLimits;
use gate_model::units::Rate;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The limits of a key, a consumer, a team or a provider on this gateway.
#[derive(Debug)]
pub struct Meter {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Meter {
    /// Full buckets.
    #[must_use]
    pub fn new(limits: &CallLimits) -> Self {
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

    /// How long it takes until one request and so many tokens are there; zero when they are now.
    #[must_use]
    pub fn wait(&self, tokens: u64, now: Moment) -> Duration {
        let of = |bucket: &Option<Bucket>, amount| {
            let wait = bucket.as_ref().map(|bucket| bucket.wait(amount, now));
            wait.unwrap_or_default()
        };
        of(&self.requests, 1).max(of(&self.tokens, tokens))
    }

    /// Gives back what a call took that was refused elsewhere.
    fn give_back(&self, tokens: u64) {
        let all = [(&self.requests, 1), (&self.tokens, tokens)];
        for (bucket, amount) in all {
            if let Some(bucket) = bucket {
                bucket.give_back(amount);
            }
        }
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

/// The limits that the calls with one key fall under, each with the word for whose it is.
#[derive(Debug)]
pub struct Meters(Vec<(&'static str, Arc<Meter>)>);

impl Meters {
    /// All of these; none where there are none.
    pub(super) fn of<const N: usize>(
        all: [Option<(&'static str, Arc<Meter>)>; N],
    ) -> Option<Arc<Self>> {
        let all: Vec<_> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| Arc::new(Self(all)))
    }

    /// Takes one request and so many tokens of each.
    ///
    /// # Errors
    /// The fault to answer with where one has no room, to be tried again when all have; nothing is
    /// taken then.
    pub(super) fn take(&self, tokens: u64, now: Moment) -> Result<(), Fault> {
        for (at, (whose, meter)) in self.0.iter().enumerate() {
            let Err(wait) = meter.take(tokens, now) else {
                continue;
            };
            self.0[..at]
                .iter()
                .for_each(|(_, meter)| meter.give_back(tokens));
            let all = self.0.iter().map(|(_, meter)| meter.wait(tokens, now));
            let wait = all.max().unwrap_or_default().max(wait);
            let message = format!("The limit of this {whose} is reached.");
            return Err(over_limit(wait, message).detail(format!("limit of the {whose}")));
        }
        Ok(())
    }

    /// Corrects the tokens that were taken to what was used.
    pub(super) fn settle(&self, taken: u64, used: u64, now: Moment) {
        self.0
            .iter()
            .for_each(|(_, meter)| meter.settle(taken, used, now));
    }
}

/// Takes a try of about so many tokens from the limits of its provider; what it did use is settled
/// with the call.
///
/// # Errors
/// The fault to answer with where nobody else can be asked; nothing is taken then.
pub(crate) fn take_provider(
    meter: Option<&Meter>,
    provider: &Arc<str>,
    tokens: u64,
    facts: Option<&Rc<RefCell<Box<AiFacts>>>>,
    now: Moment,
) -> Result<(), Fault> {
    let Some(meter) = meter else { return Ok(()) };
    meter
        .take(tokens, now)
        .map_err(|wait| provider_over_limit(provider, wait))?;
    if let Some(facts) = facts {
        facts.borrow_mut().taken.push((provider.clone(), tokens));
    }
    Ok(())
}

/// The fault of a call whose only providers have reached their limits.
pub(crate) fn provider_over_limit(provider: &str, wait: Duration) -> Fault {
    let message = "No provider of this model has room for the call now.".to_owned();
    over_limit(wait, message).detail(format!("limit of the provider `{provider}`"))
}

fn over_limit(wait: Duration, message: String) -> Fault {
    Fault::new(FaultCode::RateLimited)
        .message(message)
        .retry_after(wait.max(Duration::from_secs(1)))
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
        let taken = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now.0).saturating_add(cost);
                let wait = next.saturating_sub(now.0).saturating_sub(whole);
                // What exceeds a whole bucket may go when the bucket is full, or it never could.
                (wait == 0 || (cost > whole && full_at <= now.0)).then_some(next)
            });
        taken
            .map(drop)
            .map_err(|_| self.wait(amount, now).max(Duration::from_nanos(1)))
    }

    /// How long it takes until so much can be taken; zero when it can be now.
    fn wait(&self, amount: u64, now: Moment) -> Duration {
        let whole = self.refill(self.rate.count().into());
        let cost = self.refill(amount);
        let full_at = self.full_at.load(Ordering::Acquire);
        let next = full_at.max(now.0).saturating_add(cost);
        let wait = next.saturating_sub(now.0).saturating_sub(whole);
        match cost > whole {
            // It may go when the bucket is full.
            true => Duration::from_nanos(full_at.saturating_sub(now.0)),
            false => Duration::from_nanos(wait),
        }
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

    fn meter(requests: &str, tokens: &str) -> Meter {
        Meter::new(&CallLimits {
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
        let meter = Meter::new(&CallLimits {
            requests: "1/s".parse().ok(),
            tokens: "10/s".parse().ok(),
        });
        meter.settle(0, 10, now);
        assert!(meter.take(10, now).is_err());
        meter.settle(10, 0, now);
        assert!(meter.take(10, now).is_ok());
    }
}
