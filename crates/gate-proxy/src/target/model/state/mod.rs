//! What is learnt about targets and credentials from one call and used by the next.
//!
//! All of it is keyed by the identity of its resource, shared by all workers, bounded by what is
//! configured, and survives reloads: it lives in [`gate_flow::SharedState`]. Reading it takes no
//! lock. Nothing here knows sockets or calls.

pub(super) mod bench;
pub(super) mod budget;
pub(super) mod headroom;
pub(super) mod latency;
pub(super) mod limiter;

pub(super) use bench::Bench;
pub(super) use budget::ExtraCalls;
pub(super) use headroom::Lane;
pub(super) use latency::Latency;
pub(super) use limiter::{Bounds, Limiter, Permit, Place, Priority};

use crate::upstream::trouble::{Trouble, Wrong};
use gate_kit::clock::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Failures of a target in a row after which it is passed over.
const FAILURES_MAX: u32 = 5;
/// How long a failing target is passed over, first and at most.
const TARGET_OUT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// What is known about one provider's model.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    /// Calls in flight, of models that have a choice.
    in_flight: AtomicU32,
    failures: AtomicU32,
    /// Passed over because it is overloaded or keeps failing.
    pub(super) bench: Bench,
    /// An action passes it over until this moment (nanoseconds); 0 for none.
    held_until: AtomicU64,
    /// How many calls it takes at a time, for models that limit them.
    pub(super) limiter: Arc<Limiter>,
    /// From a try's start to the first token of its stream.
    pub(super) first_token: Latency,
    /// From a try's start to its whole answer, where it is no stream.
    pub(super) whole: Latency,
    /// When it worked and failed last, for people who look.
    pub(super) trouble: Trouble,
}

impl TargetState {
    /// The measure for calls that are streamed or not.
    pub(super) fn latency(&self, stream: bool) -> &Latency {
        match stream {
            true => &self.first_token,
            false => &self.whole,
        }
    }

    /// Until when an action passes it over; in the past when none does.
    pub(super) fn held_until(&self) -> Moment {
        Moment(self.held_until.load(Ordering::Relaxed))
    }

    /// Passes it over until then, or no longer.
    pub(super) fn hold_out(&self, until: Option<Moment>) {
        let until = until.map_or(0, |until| until.0);
        self.held_until.store(until, Ordering::Relaxed);
    }

    /// Calls in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call in until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Notes an answer.
    pub(super) fn succeeded(&self, now: Moment) {
        self.trouble.worked(now);
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.bench.forgive();
    }

    /// Notes a failure that is the target's own; whether it is passed over from now on. One that
    /// says when to come back is believed.
    pub(super) fn failed(&self, now: Moment, wrong: Wrong, come_back: Option<Duration>) -> bool {
        self.trouble.failed(now, wrong);
        if let Some(after) = come_back {
            self.bench.rest(now.plus(after.min(TARGET_OUT.1)));
            return true;
        }
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES_MAX {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.bench.strike(now, TARGET_OUT.0, TARGET_OUT.1)
    }
}

/// A call in flight on a target.
#[derive(Debug)]
pub(super) struct Busy(Arc<TargetState>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_put_a_target_out() {
        let state = TargetState::default();
        let now = Moment(1);
        for _ in 0..FAILURES_MAX - 1 {
            assert!(!state.failed(now, Wrong::Status(503), None));
        }
        state.succeeded(now);
        for _ in 0..FAILURES_MAX - 1 {
            assert!(!state.failed(now, Wrong::Status(503), None));
        }
        assert!(state.failed(now, Wrong::Status(503), None));
        assert!(state.bench.is_out(now));
        assert!(!state.bench.is_out(now.plus(TARGET_OUT.0)));
    }

    #[test]
    fn a_target_that_names_a_time_is_believed_up_to_a_limit() {
        let state = TargetState::default();
        let now = Moment(1);
        assert!(state.failed(now, Wrong::Status(503), Some(Duration::from_secs(7))));
        assert!(state.bench.is_out(now.plus(Duration::from_secs(6))));
        assert!(!state.bench.is_out(now.plus(Duration::from_secs(8))));
        state.failed(now, Wrong::Status(503), Some(Duration::from_secs(86_400)));
        assert!(!state.bench.is_out(now.plus(TARGET_OUT.1)));
    }

    #[test]
    fn calls_in_flight_are_counted_in_and_out() {
        let state = Arc::new(TargetState::default());
        let guard = state.enter();
        assert_eq!(state.in_flight(), 1);
        drop(guard);
        assert_eq!(state.in_flight(), 0);
    }
}
