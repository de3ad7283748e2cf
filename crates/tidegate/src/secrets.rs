//! Where this process's secrets come from: its environment, its files, its own store, and the
//! services that `gate-secrets` asks.
//!
//! Stored secrets are read by a function that whoever opens the control store hands over; their
//! last values stay in use while the store is down.

use crate::config::Secrets;
use crate::stored;
use gate_flow::{Ask, SecretSource};
use gate_kit::clock::{Clock, Moment};
use gate_model::document::{Document, Path as DocumentPath};
use gate_model::resources::Gateway;
use gate_secrets::Keeper;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Time between two looks at the stored secrets that are in use.
const LOOK: Duration = Duration::from_secs(5);
/// Most stored secrets that are remembered.
const NAMES_MAX: usize = 1_000;

/// Reads a stored secret; blocks, with a limit. Errors name the secret and never show it.
pub(crate) type Stored = dyn Fn(&str) -> Result<String, String> + Send + Sync;

/// The secrets of this process.
#[derive(Clone)]
pub(crate) struct Kept {
    own: Arc<Own>,
    keeper: Arc<Keeper>,
}

/// What needs no service.
struct Own {
    clock: Clock,
    stored: OnceLock<Arc<Stored>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    values: HashMap<String, String>,
    looked: Moment,
    changed: bool,
}

impl Kept {
    /// The secrets of a process that runs on this file. The store is the one that it starts with.
    pub(crate) fn of(file: &Document, folder: &Path) -> Self {
        let kept = Self::new(Clock::System);
        let gateway: Option<Gateway> = file.read(&DocumentPath::root().key("gateway")).ok();
        let settings = gateway.and_then(|gateway| gateway.store);
        if let Some(read) = settings.and_then(|settings| stored::reader(&settings, folder)) {
            kept.read_stored_by(read);
        }
        kept
    }

    /// Secrets without a store.
    fn new(clock: Clock) -> Self {
        let own = Arc::new(Own {
            clock: clock.clone(),
            stored: OnceLock::new(),
            known: Mutex::default(),
        });
        let keeper = Arc::new(Keeper::new(clock, own.clone()));
        Self { own, keeper }
    }

    /// Says how stored secrets are read; the first word counts.
    fn read_stored_by(&self, read: Arc<Stored>) {
        let _ = self.own.stored.set(read);
    }
}

impl Own {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the stored secrets that are in use, where it is time.
    fn look(&self) -> bool {
        let now = self.clock.now();
        let names: Vec<String> = {
            let mut known = self.lock();
            if now.since(known.looked) < LOOK {
                return std::mem::take(&mut known.changed);
            }
            known.looked = now;
            known.values.keys().cloned().collect()
        };
        for name in names {
            let _ = self.stored(&name);
        }
        std::mem::take(&mut self.lock().changed)
    }
}

impl SecretSource for Own {
    fn env(&self, name: &str) -> Result<String, String> {
        Secrets.env(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Secrets.file(path)
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        Secrets.public_file(path)
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        Secrets.public_bytes(path, most)
    }

    fn stored(&self, name: &str) -> Result<String, String> {
        let Some(read) = self.stored.get() else {
            return Err(format!(
                "the stored secret `{name}` cannot be read: `gateway.store.key` is missing"
            ));
        };
        let read = read(name);
        let mut known = self.lock();
        match (read, known.values.get(name)) {
            (Ok(value), Some(old)) if *old == value => Ok(value),
            (Ok(value), old) => {
                known.changed |= old.is_some();
                if known.values.len() >= NAMES_MAX {
                    known.values.clear();
                }
                known.values.insert(name.to_owned(), value.clone());
                Ok(value)
            }
            (Err(why), Some(last)) => {
                tracing::warn!(secret = name, why, "a stored secret keeps its last value");
                Ok(last.clone())
            }
            (Err(why), None) => Err(why),
        }
    }
}

impl SecretSource for Kept {
    fn env(&self, name: &str) -> Result<String, String> {
        self.own.env(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.own.file(path)
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        self.own.public_file(path)
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        self.own.public_bytes(path, most)
    }

    fn stored(&self, name: &str) -> Result<String, String> {
        self.own.stored(name)
    }

    fn ask(&self, ask: &Ask<'_>) -> Result<String, String> {
        self.keeper.ask(ask)
    }

    fn changed(&self) -> bool {
        // Both are told once, so both are asked.
        self.keeper.changed() | self.own.look()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn stored_secrets_change_and_outlive_their_store() {
        let (clock, hands) = Clock::manual();
        let kept = Kept::new(clock);
        assert!(
            kept.stored("a")
                .is_err_and(|why| why.contains("gateway.store.key"))
        );
        let value = Arc::new(Mutex::new(Ok("one".to_owned())));
        let read = value.clone();
        kept.read_stored_by(Arc::new(move |_: &str| read.lock().unwrap().clone()));
        assert_eq!(kept.stored("a"), Ok("one".into()));
        hands.advance(LOOK);
        assert!(!kept.changed());
        *value.lock().unwrap() = Ok("two".into());
        assert!(!kept.changed(), "it is not time to look");
        hands.advance(LOOK);
        assert!(kept.changed());
        assert!(!kept.changed(), "told once");
        *value.lock().unwrap() = Err("down".into());
        hands.advance(LOOK);
        assert!(!kept.changed());
        assert_eq!(kept.stored("a"), Ok("two".into()));
        assert!(kept.stored("b").is_err());
    }
}
