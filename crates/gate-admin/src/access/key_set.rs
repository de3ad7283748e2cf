//! The keys that an issuer signs with: a JWK Set (RFC 7517) from a file or a URL.
//!
//! A file is read at start. A URL is asked again when a token names an unknown key, at most every
//! 30 seconds, and at least every 10 minutes. While it cannot be reached, keys that are known go on
//! counting for an hour.

use super::ask::Asker;
use gate_identity::jose::KeySet as Set;
use gate_kit::clock::Moment;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two fetches that unknown keys cause.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);
/// How long a fetched set is used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// How long it is used while its source cannot be reached.
const STALE: Duration = Duration::from_secs(3_600);

/// Keys as they are known.
#[derive(Default)]
pub(super) struct KeySet {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    set: Option<Arc<Set>>,
    /// When the set was read; none before the first time.
    read: Option<Moment>,
    /// When it was last asked for.
    asked: Option<Moment>,
}

impl Known {
    /// Whether the source is to be asked for a key.
    fn is_due(&self, id: Option<&str>, now: Moment) -> bool {
        let old = self.read.is_none_or(|read| now.since(read) > FRESH);
        let patient = |asked| now.since(asked) < UNKNOWN_EVERY;
        (old || !self.knows(id)) && !self.asked.is_some_and(patient)
    }

    /// Whether a key of this name is known; any, where a token names none.
    fn knows(&self, id: Option<&str>) -> bool {
        let set = self.set.as_ref();
        set.is_some_and(|set| id.is_none_or(|id| set.knows(id)))
    }

    fn take(&mut self, fetched: Result<Set, String>, now: Moment) {
        match fetched {
            Ok(set) => {
                self.set = Some(Arc::new(set));
                self.read = Some(now);
            }
            Err(problem) => tracing::warn!(problem, "keys of the issuer"),
        }
    }
}

impl KeySet {
    /// The keys of a file.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(super) fn of_file(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let known = Known {
            set: Some(Arc::new(Set::read(&text, false).map_err(wrong)?)),
            ..Known::default()
        };
        Ok(Self {
            known: Mutex::new(known),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are known.
    pub(super) fn keys(&self) -> Result<Arc<Set>, String> {
        let known = self.lock().set.clone();
        known.ok_or_else(|| "the issuer's keys cannot be had".to_owned())
    }

    /// The same, from a URL that `url` finds when it is to be asked.
    pub(super) fn keys_from(
        &self,
        url: impl FnOnce() -> Result<String, String>,
        asker: &Asker,
        id: Option<&str>,
        now: Moment,
    ) -> Result<Arc<Set>, String> {
        let fetch = || Set::read(&asker.get(&url()?, None)?, false);
        let mut known = self.lock();
        if known.is_due(id, now) {
            known.asked = Some(now);
            if known.read.is_none() {
                // Nobody can be let in before: the others wait for the first answer.
                known.take(fetch(), now);
            } else {
                drop(known);
                let fetched = fetch();
                known = self.lock();
                known.take(fetched, now);
            }
        }
        if known.read.is_none_or(|read| now.since(read) > STALE) {
            return Err("the issuer's keys cannot be had".to_owned());
        }
        drop(known);
        self.keys()
    }
}
