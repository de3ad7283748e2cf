//! Files that secrets were read from, and whether they hold something else by now.
//!
//! Access tokens are often written by a helper that renews them, so that a file's change matters as
//! much as the configuration's. Only digests are kept. Whoever looks (the control thread, once a
//! second) applies the same document again when something changed.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use gate_flow::{Ask, SecretSource};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files, and what was last seen in them.
#[derive(Default)]
pub(crate) struct SecretFiles(Mutex<HashMap<PathBuf, Digest>>);

impl SecretFiles {
    /// A source that remembers the files read from it.
    pub(crate) fn watch<'a>(&'a self, source: &'a dyn SecretSource) -> Watching<'a> {
        Watching {
            files: self,
            source,
        }
    }

    /// Whether a file holds another secret than when this was last asked; told once. One that
    /// cannot be read now, or is empty, is being written.
    pub(crate) fn changed(&self, source: &dyn SecretSource) -> bool {
        let known: Vec<PathBuf> = self.lock().keys().cloned().collect();
        let mut changed = false;
        for path in known {
            if let Ok(secret) = source.file(&path) {
                changed |= self.note(&path, &secret);
            }
        }
        changed | source.changed()
    }

    /// Notes what a file holds; whether it held something else.
    fn note(&self, path: &Path, secret: &str) -> bool {
        let new = digest(&SHA256, secret.as_bytes());
        let old = self.lock().insert(path.to_owned(), new);
        old.is_some_and(|old| old.as_ref() != new.as_ref())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source whose files are remembered.
pub(crate) struct Watching<'a> {
    files: &'a SecretFiles,
    source: &'a dyn SecretSource,
}

impl SecretSource for Watching<'_> {
    fn env(&self, name: &str) -> Result<String, String> {
        self.source.env(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let secret = self.source.file(path)?;
        self.files.note(path, &secret);
        Ok(secret)
    }

    fn placeholder(&self) -> Option<&str> {
        self.source.placeholder()
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        self.source.public_file(path)
    }

    fn stored(&self, name: &str) -> Result<String, String> {
        self.source.stored(name)
    }

    fn ask(&self, ask: &Ask<'_>) -> Result<String, String> {
        self.source.ask(ask)
    }

    fn changed(&self) -> bool {
        self.source.changed()
    }
}
