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
}

impl Timer {
    /// Forgets whom it wakes, when the connection passes from one task to another: a task that has
    /// ended is kept in memory by whoever could wake it.
    pub fn forget(&mut self) {
        self.wakes = None;
    }

    /// Ready once `deadline` has passed. The deadline may differ from call to call.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let known = |wakes: &Waker| wakes.will_wake(cx.waker());
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if self.wakes.as_ref().is_some_and(known) && !sleep.is_elapsed() {
            // Armed early enough, and for this task: there is nothing to tell the runtime.
            return Poll::Pending;
        }
        self.wakes = None;
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                self.wakes = Some(cx.waker().clone());
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
}
