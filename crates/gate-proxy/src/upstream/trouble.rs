//! When something that is called worked last, and when and how it failed last: for people who look,
//! never for a decision.
//!
//! All of it is atomics. A success is noted once a second at most, so that a busy resource's cache
//! line stays shared between workers; the first one after a failure is noted at once. What failed
//! may be seen for an instant with the time of the failure before; nothing depends on it.

use gate_ai::ErrorClass;
use gate_flow::Attempt;
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How seldom a success is noted, in nanoseconds.
const SELDOM_NS: u64 = 1_000_000_000;
/// Further from any moment than [`SELDOM_NS`]: the next success is noted, also in a process's first
/// second.
const NOT_NOTED: u64 = 1 << 63;
/// Where the codes of faults begin; those of error classes stand before them.
const FAULTS: u32 = 0x100;

/// How something failed: in words of ours, never in those of whoever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// There was no answer, or none that could be used.
    Fault(FaultCode),
    /// It answered with an error of this class and status.
    Class(ErrorClass, u16),
    /// It answered with this status.
    Status(u16),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Fault(code) => f.write_str(code.as_str()),
            Wrong::Class(class, status) => write!(f, "{} ({status})", class.as_str()),
            Wrong::Status(status) => write!(f, "status {status}"),
        }
    }
}

impl From<&Attempt> for Wrong {
    fn from(attempt: &Attempt) -> Self {
        match attempt.fault {
            Some(code) => Wrong::Fault(code),
            None => Wrong::Status(attempt.status),
        }
    }
}

impl Wrong {
    /// The status in the upper half, what it was in the lower one; never zero.
    fn encode(self) -> u32 {
        match self {
            Wrong::Fault(code) => FAULTS + code as u32,
            Wrong::Class(class, status) => u32::from(status) << 16 | (class as u32 + 1),
            Wrong::Status(status) => u32::from(status) << 16 | 0xFFFF,
        }
    }

    fn decode(bits: u32) -> Option<Self> {
        let (status, what) = ((bits >> 16) as u16, bits & 0xFFFF);
        match what {
            0 => None,
            0xFFFF => Some(Wrong::Status(status)),
            FAULTS.. => {
                let code = FaultCode::ALL.get((what - FAULTS) as usize);
                code.copied().map(Wrong::Fault)
            }
            _ => {
                let class = ErrorClass::ALL.get(what as usize - 1);
                class.map(|class| Wrong::Class(*class, status))
            }
        }
    }
}

/// What is remembered of successes and failures.
#[derive(Debug)]
pub struct Trouble {
    /// Nanoseconds of the last success that was noted; [`NOT_NOTED`] after a failure.
    noted: AtomicU64,
    worked: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU32,
}

impl Default for Trouble {
    fn default() -> Self {
        Self {
            noted: AtomicU64::new(NOT_NOTED),
            worked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            wrong: AtomicU32::new(0),
        }
    }
}

impl Trouble {
    /// Notes a success.
    #[inline]
    pub fn worked(&self, now: Moment) {
        if now.0.wrapping_sub(self.noted.load(Ordering::Relaxed)) > SELDOM_NS {
            self.noted.store(now.0, Ordering::Relaxed);
            self.worked.store(now.0.max(1), Ordering::Relaxed);
        }
    }

    /// Notes a failure.
    pub fn failed(&self, now: Moment, wrong: Wrong) {
        self.wrong.store(wrong.encode(), Ordering::Relaxed);
        self.failed.store(now.0.max(1), Ordering::Relaxed);
        self.noted.store(NOT_NOTED, Ordering::Relaxed);
    }

    /// When it worked last, to the second.
    #[must_use]
    pub fn last_success(&self) -> Option<Moment> {
        at(&self.worked)
    }

    /// When it failed last, and how.
    #[must_use]
    pub fn last_failure(&self) -> Option<(Moment, Wrong)> {
        let wrong = Wrong::decode(self.wrong.load(Ordering::Relaxed))?;
        Some((at(&self.failed)?, wrong))
    }

    /// Whether the last thing that is known of it is a failure.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed != 0 && failed >= self.worked.load(Ordering::Relaxed)
    }
}

fn at(nanoseconds: &AtomicU64) -> Option<Moment> {
    let at = nanoseconds.load(Ordering::Relaxed);
    (at != 0).then_some(Moment(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_wrong_comes_back_as_it_was_noted() {
        let faults = FaultCode::ALL.iter().copied().map(Wrong::Fault);
        let classes = ErrorClass::ALL
            .into_iter()
            .map(|class| Wrong::Class(class, 429));
        for wrong in faults.chain(classes).chain([Wrong::Status(503)]) {
            assert_eq!(Wrong::decode(wrong.encode()), Some(wrong));
        }
        assert_eq!(Wrong::decode(0), None);
    }

    #[test]
    fn the_first_success_behind_a_failure_is_noted_at_once() {
        let trouble = Trouble::default();
        trouble.worked(Moment(3));
        assert_eq!(
            trouble.last_success(),
            Some(Moment(3)),
            "in the first second"
        );
        let trouble = Trouble::default();
        assert!(!trouble.is_failing() && trouble.last_success().is_none());
        trouble.worked(Moment(5_000_000_000));
        trouble.worked(Moment(5_500_000_000));
        assert_eq!(trouble.last_success(), Some(Moment(5_000_000_000)));
        trouble.failed(Moment(5_600_000_000), Wrong::Status(503));
        assert!(trouble.is_failing());
        trouble.worked(Moment(5_700_000_000));
        assert!(!trouble.is_failing());
        assert_eq!(trouble.last_success(), Some(Moment(5_700_000_000)));
        let failure = (Moment(5_600_000_000), Wrong::Status(503));
        assert_eq!(trouble.last_failure(), Some(failure));
    }
}
