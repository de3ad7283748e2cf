//! Asking on while there is no answer, as over a restart of the gateway that is asked: for commands that go
//! on until they are ended.

use crate::output;
use std::time::{Duration, Instant};

/// Longest pause between two tries, and how long there may be no answer.
const PAUSE_MAX: Duration = Duration::from_secs(10);
const GIVE_UP: Duration = Duration::from_secs(600);

/// How it goes with something that is asked again and again.
pub(crate) struct Again {
    every: Duration,
    /// Since when there is no answer.
    failing: Option<Instant>,
}

impl Again {
    /// Something that is asked so often while it answers.
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            failing: None,
        }
    }

    /// Waits until it is to be asked next: as long again as there has been no answer, 10 seconds at most.
    pub(crate) fn pause(&self) {
        let pause = self.failing.map_or(self.every, |since| since.elapsed());
        std::thread::sleep(pause.max(self.every).min(PAUSE_MAX));
    }

    /// Whether there was no answer the last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// There was an answer.
    pub(crate) fn answered(&mut self) {
        self.failing = None;
    }

    /// There was none, and why; said the first time.
    ///
    /// # Errors
    /// The same, once there was none for ten minutes.
    pub(crate) fn failed(&mut self, error: String) -> Result<(), String> {
        match self.failing {
            None => {
                output::tell(&format!(
                    "there is no answer now, it is asked again: {error}"
                ));
                self.failing = Some(Instant::now());
                Ok(())
            }
            Some(since) if since.elapsed() >= GIVE_UP => Err(error),
            Some(_) => Ok(()),
        }
    }
}
