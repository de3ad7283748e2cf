//! When the store of the environment answered last, for gateways that follow one.
//!
//! What is served does not depend on it, so that its silence shows here and in the log, and nowhere
//! else until somebody wants to change something.

use super::exposition::{Exposition, Kind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long whoever follows may say nothing at all before the store counts as hanging.
const HANGS: Duration = Duration::from_secs(10);

/// What is known of the store; nothing until somebody follows an environment.
#[derive(Debug, Default)]
pub struct Contact {
    /// UNIX milliseconds at which following began; 0 for never.
    begun: AtomicU64,
    /// UNIX milliseconds of the last answer; 0 for none.
    answered: AtomicU64,
    failed: AtomicBool,
}

impl Contact {
    /// Notes that an environment is followed from now on. `unix` is now.
    pub fn begins(&self, unix: Duration) {
        self.begun.store(millis(unix).max(1), Ordering::Relaxed);
    }

    /// Notes an answer of the store.
    pub fn answered(&self, unix: Duration) {
        self.answered.store(millis(unix).max(1), Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
    }

    /// Notes that the store did not answer.
    pub fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// How long the store has been silent; zero while it answers, none where none is followed.
    #[must_use]
    pub fn silence(&self, unix: Duration) -> Option<Duration> {
        let begun = self.begun.load(Ordering::Relaxed);
        if begun == 0 {
            return None;
        }
        let last = self.answered.load(Ordering::Relaxed).max(begun);
        let age = Duration::from_millis(millis(unix).saturating_sub(last));
        let silent = self.failed.load(Ordering::Relaxed) || age > HANGS;
        Some(if silent { age } else { Duration::ZERO })
    }

    /// Writes its families, where an environment is followed.
    pub(super) fn page(&self, page: &mut Exposition, unix: Duration) {
        let Some(silence) = self.silence(unix) else {
            return;
        };
        let help =
            "How long the store of the followed environment has not answered; 0 while it does.";
        let name = "tidegate_store_unreachable_seconds";
        page.single(name, Kind::Gauge, "seconds", help, silence.as_secs_f64());
        let help =
            "UNIX time at which the store of the followed environment answered last; 0 for never.";
        let name = "tidegate_store_contact_timestamp_seconds";
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        page.single(name, Kind::Gauge, "seconds", help, answered.as_secs_f64());
    }
}

fn millis(unix: Duration) -> u64 {
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_answer_and_ends_with_the_next() {
        let at = Duration::from_secs;
        let contact = Contact::default();
        assert_eq!(contact.silence(at(5)), None);
        contact.begins(at(100));
        assert_eq!(contact.silence(at(101)), Some(Duration::ZERO));
        contact.failed();
        assert_eq!(
            contact.silence(at(103)),
            Some(at(3)),
            "it has never answered"
        );
        contact.answered(at(104));
        assert_eq!(contact.silence(at(105)), Some(Duration::ZERO));
        contact.failed();
        assert_eq!(contact.silence(at(164)), Some(at(60)));
        contact.answered(at(170));
        assert_eq!(contact.silence(at(180)), Some(Duration::ZERO));
        assert_eq!(contact.silence(at(181)), Some(at(11)), "it hangs");
    }
}
