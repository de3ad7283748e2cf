//! A deadline that is cheap to move.
//!
//! A request has several deadlines and rarely meets one. Registering each with the runtime's timer
//! wheel would cost more than reading the request, so one timer per connection is armed at most
//! once and moved lazily: when it fires before the deadline now in force, it is armed again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, Sleep, sleep_until};

/// A lazily moved timer. Holds no memory until it is first needed.
#[derive(Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who is woken when it fires.
    wakes: Option<Waker>,
    /// When it fires; told here as well, because the runtime's own entry is rarely in the cache.
    fires: Option<Instant>,
}

impl Timer {
    /// Forgets whom it wakes, when the connection passes from one task to another: a task that has
    /// ended is kept in memory by whoever could wake it.
    pub fn forget(&mut self) {
        self.wakes = None;
    }

    /// The same as [`Self::poll`] for a wait that has begun at `now`, by a clock that has just been
    /// read: a timer that fires later than now cannot have fired, and is not looked at.
    pub fn poll_from(&mut self, cx: &mut Context<'_>, now: Instant, deadline: Instant) -> Poll<()> {
        let armed = self.fires.is_some_and(|at| now < at && at <= deadline);
        if armed && self.wakes_task(cx) {
            return Poll::Pending;
        }
        self.poll(cx, deadline)
    }

    fn wakes_task(&self, cx: &Context<'_>) -> bool {
        let wakes = self.wakes.as_ref();
        wakes.is_some_and(|wakes| wakes.will_wake(cx.waker()))
    }

    /// Ready once `deadline` has passed. The deadline may differ from call to call.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let known = self.wakes_task(cx);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if known && !sleep.is_elapsed() {
            // Armed early enough, and for this task: there is nothing to tell the runtime.
            return Poll::Pending;
        }
        self.wakes = None;
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                self.wakes = Some(cx.waker().clone());
                self.fires = Some(sleep.deadline());
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_deadline_moved_later_fires_later_and_moved_earlier_fires_earlier() {
        let start = Instant::now();
        let mut timer = Timer::default();
        let (first, second) = (
            start + Duration::from_secs(1),
            start + Duration::from_secs(3),
        );
        poll_fn(|cx| {
            assert!(timer.poll(cx, first).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| timer.poll(cx, second)).await;
        assert!(start.elapsed() >= Duration::from_secs(3));
        timer.forget();
        let third = Instant::now() + Duration::from_secs(9);
        poll_fn(|cx| {
            assert!(timer.poll(cx, third).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| timer.poll(cx, third - Duration::from_secs(8))).await;
        assert!(Instant::now() < third);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_wait_that_begins_anew_ends_at_its_own_deadline() {
        let wait = Duration::from_secs(1);
        let mut timer = Timer::default();
        let mut begun = Instant::now();
        for _ in 0..5 {
            begun = Instant::now();
            poll_fn(|cx| {
                assert!(timer.poll_from(cx, begun, begun + wait).is_pending());
                Poll::Ready(())
            })
            .await;
            tokio::time::sleep(wait * 3 / 5).await;
        }
        poll_fn(|cx| timer.poll(cx, begun + wait)).await;
        let waited = begun.elapsed();
        assert!(waited >= wait && waited < wait * 6 / 5, "{waited:?}");
    }
}
