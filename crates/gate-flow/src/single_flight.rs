//! One attempt at a time at something that all workers share, such as fetching keys or a token.
//!
//! Whoever needs the result while an attempt is under way waits for it. After failures there is a
//! pause that doubles, so that a source that is down is left alone. This is the bookkeeping; it
//! lives in its owner's state, under its owner's lock, which is never held across a wait.

use crate::Services;
use gate_kit::clock::Moment;
use gate_kit::random;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longest pause after failures; the first is a second, each doubles it.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is known about attempts.
#[derive(Debug, Default)]
pub struct SingleFlight {
    flying: bool,
    landed: u64,
    failures: u32,
    pause_until: Moment,
    waiting: Vec<Waker>,
}

/// An attempt to wait for, by the number of those that ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight(u64);

impl SingleFlight {
    /// Whether an attempt is under way.
    #[must_use]
    pub const fn is_flying(&self) -> bool {
        self.flying
    }

    /// Whether one may begin: none is under way, and the pause after failures is over.
    #[must_use]
    pub fn may_begin(&self, now: Moment) -> bool {
        !self.flying && now >= self.pause_until
    }

    /// Begins one.
    pub const fn begin(&mut self) {
        self.flying = true;
    }

    /// The attempt that is under way, or the next one.
    #[must_use]
    pub const fn current(&self) -> Flight {
        Flight(self.landed)
    }

    /// Ends the attempt. The wakers are of those who waited, to be woken once the lock is open.
    #[must_use]
    pub fn end(&mut self, succeeded: bool, now: Moment) -> Vec<Waker> {
        if succeeded {
            self.failures = 0;
        } else {
            let pause = Duration::from_secs(1 << self.failures.min(6)).min(PAUSE_MAX);
            // Jitter keeps the gateways of a fleet from asking at the same moment.
            self.pause_until = now.plus(pause.mul_f64(0.5 + random::fraction() / 2.0));
            self.failures = self.failures.saturating_add(1);
        }
        self.flying = false;
        self.landed += 1;
        std::mem::take(&mut self.waiting)
    }

    /// Whether an attempt has ended; notes who waits when it has not.
    pub fn poll(&mut self, flight: Flight, cx: &Context<'_>) -> Poll<()> {
        if self.landed != flight.0 {
            return Poll::Ready(());
        }
        if !self.waiting.iter().any(|known| known.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Waits until `look`, which asks [`SingleFlight::poll`] under its owner's lock, says that an attempt
/// has ended; at most so long. May be dropped.
pub async fn landed(
    services: &Rc<dyn Services>,
    patience: Duration,
    mut look: impl FnMut(&Context<'_>) -> Poll<()>,
) {
    let mut deadline = services.sleep(patience);
    poll_fn(|cx| match look(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => deadline.as_mut().poll(cx),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn one_is_under_way_and_failures_pause_the_next() {
        let mut flight = SingleFlight::default();
        let now = Moment(0);
        assert!(flight.may_begin(now));
        flight.begin();
        assert!(flight.is_flying() && !flight.may_begin(now));
        let waker = Waker::from(Arc::new(Nobody));
        let cx = Context::from_waker(&waker);
        let awaited = flight.current();
        assert!(flight.poll(awaited, &cx).is_pending() && flight.poll(awaited, &cx).is_pending());
        assert_eq!(
            flight.end(false, now).len(),
            1,
            "whoever asks twice waits once"
        );
        assert!(flight.poll(awaited, &cx).is_ready());
        assert!(!flight.may_begin(now.plus(Duration::from_millis(499))));
        assert!(flight.may_begin(now.plus(Duration::from_secs(1))));
        flight.begin();
        assert!(flight.end(true, now).is_empty() && flight.failures == 0);
    }
}
