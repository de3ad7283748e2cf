//! Time, from one place, so that a test can own it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point of monotonic time, in nanoseconds since the process asked first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Time from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved forward; saturates.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Moment {
        let nanos = duration.as_nanos();
        let nanos = if nanos > u64::MAX as u128 {
            u64::MAX
        } else {
            nanos as u64
        };
        Moment(self.0.saturating_add(nanos))
    }
}

/// The source of time. Clones of a manual clock share their hands.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clocks.
    #[default]
    System,
    /// Hands that only a test moves.
    Manual(Arc<ManualClock>),
}

/// Time that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// Moves the hands forward.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).expect("tests move less than 584 years");
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock {
    /// A clock that a test moves, starting at zero monotonic and zero UNIX time.
    #[must_use]
    pub fn manual() -> (Self, Arc<ManualClock>) {
        let hands = Arc::new(ManualClock::default());
        (Clock::Manual(hands.clone()), hands)
    }

    /// Monotonic time, for durations and deadlines.
    #[must_use]
    pub fn now(&self) -> Moment {
        match self {
            Clock::System => {
                // 64 bits of nanoseconds are 584 years.
                Moment(monotonic_ns().saturating_sub(origin().0))
            }
            Clock::Manual(hands) => Moment(hands.nanos.load(Ordering::SeqCst)),
        }
    }

    /// `after` past `moment` on the clock that the runtime's timers use. A manual clock has no
    /// place there; its moments count as now.
    #[must_use]
    pub fn deadline(&self, moment: Moment, after: Duration) -> Instant {
        match self {
            Clock::System => origin().1 + Duration::from_nanos(moment.0) + after,
            Clock::Manual(_) => Instant::now() + after,
        }
    }

    /// Time since the UNIX epoch, for what people and other machines read.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system"
    )]
    pub fn unix(&self) -> Duration {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            Clock::Manual(hands) => Duration::from_nanos(hands.nanos.load(Ordering::SeqCst)),
        }
    }
}

/// The moment zero on both clocks: the one that is asked and the one that timers use.
fn origin() -> (u64, Instant) {
    static ORIGIN: OnceLock<(u64, Instant)> = OnceLock::new();
    *ORIGIN.get_or_init(|| (monotonic_ns(), Instant::now()))
}

/// The monotonic clock in nanoseconds. `Instant` asks the same clock, but takes three times the
/// instructions to say so, and every exchange asks four times.
#[allow(unsafe_code, reason = "calls libc, see the proof")]
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live, writable `timespec`. The call cannot fail for this clock on
    // Linux (clock_gettime(2)); if it did, the time would stand still at zero.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_time_is_that_of_timers() {
        let clock = Clock::default();
        let (before, moment, after) = (Instant::now(), clock.now(), Instant::now());
        let shown = clock.deadline(moment, Duration::ZERO);
        // Both clocks were first asked within this long of one another.
        let slack = Duration::from_secs(10);
        assert!(before <= shown + slack && shown <= after + slack);
        assert!(clock.now() >= moment);
    }

    #[test]
    fn manual_time_moves_only_by_hand() {
        let (clock, hands) = Clock::manual();
        let start = clock.now();
        assert_eq!(clock.now().since(start), Duration::ZERO);
        hands.advance(Duration::from_millis(7));
        assert_eq!(clock.now().since(start), Duration::from_millis(7));
        assert_eq!(start.since(clock.now()), Duration::ZERO);
    }
}
