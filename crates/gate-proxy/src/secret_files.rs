//! Files that a configuration was compiled from besides its own, and whether they hold something else
//! by now.
//!
//! Access tokens are often written by a helper that renews them, and the documents of APIs come from
//! their services' builds, so that a file's change matters as much as the configuration's. Only
//! digests are kept. Whoever looks (the control thread, once a second) applies the same document
//! again when something changed; what cannot be applied leaves what runs as it is.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use gate_flow::{Ask, SecretSource};
use gate_kit::clock::Clock;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Seconds after which the clock of a file system has moved on, however coarse it is.
const SETTLED_S: i64 = 2;

/// The files, and what was last seen in them.
#[derive(Default)]
pub(crate) struct SecretFiles(Mutex<HashMap<(PathBuf, Kind), Seen>>);

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// A secret: a few bytes, so that it is read at every look.
    Secret,
    /// Text that is no secret.
    Text,
    /// Anything that is no secret, of so many bytes at most.
    Bytes(u64),
}

/// What was last seen in a file.
struct Seen {
    digest: Digest,
    /// None where it is to be read at the next look whatever its stamp says.
    stamp: Option<Stamp>,
    /// It could not be read at the last look: somebody may have needed it meanwhile.
    absent: bool,
}

/// What tells two files at one path apart without reading them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: (found.dev(), found.ino()),
            bytes: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether the file changed so long ago that writing it again would give it another time.
    fn is_settled(&self) -> bool {
        let now = i64::try_from(Clock::System.unix().as_secs()).unwrap_or(i64::MAX);
        self.changed.0.saturating_add(SETTLED_S) < now
    }
}

impl Kind {
    /// The digest of what a file holds now; none where it cannot be read.
    fn read(self, source: &dyn SecretSource, path: &Path) -> Option<Digest> {
        let of = |bytes: &[u8]| digest(&SHA256, bytes);
        match self {
            Self::Secret => source.file(path).ok().map(|text| of(text.as_bytes())),
            Self::Text => source
                .public_file(path)
                .ok()
                .map(|text| of(text.as_bytes())),
            Self::Bytes(most) => source.public_bytes(path, most).ok().map(|bytes| of(&bytes)),
        }
    }

    /// What to compare before reading; none where only reading tells. Taken in front of a reading,
    /// so that what is written in between counts as a change later.
    fn stamp(self, path: &Path) -> Option<Stamp> {
        match self {
            Self::Secret => None,
            Self::Text | Self::Bytes(_) => Stamp::of(path).filter(Stamp::is_settled),
        }
    }
}

impl SecretFiles {
    /// A source that remembers the files read from it.
    pub(crate) fn watch<'a>(&'a self, source: &'a dyn SecretSource) -> Watching<'a> {
        Watching {
            files: self,
            source,
        }
    }

    /// Whether a file holds something else than when this was last asked, or than when it was first
    /// read, or is there again; told once. One that cannot be read now, or is empty, is being written.
    pub(crate) fn changed(&self, source: &dyn SecretSource) -> bool {
        let known: Vec<(PathBuf, Kind)> = self.lock().keys().cloned().collect();
        let mut changed = false;
        for (path, kind) in known {
            changed |= self.look(source, path, kind);
        }
        changed | source.changed()
    }

    fn look(&self, source: &dyn SecretSource, path: PathBuf, kind: Kind) -> bool {
        let stamp = kind.stamp(&path);
        if let (Some(stamp), Some(seen)) = (stamp, self.lock().get(&(path.clone(), kind)))
            && seen.stamp == Some(stamp)
        {
            return false;
        }
        let new = kind.read(source, &path);
        let mut files = self.lock();
        let Some(new) = new else {
            if let Some(seen) = files.get_mut(&(path, kind)) {
                (seen.absent, seen.stamp) = (true, None);
            }
            return false;
        };
        let old = files.get(&(path.clone(), kind));
        let changed = old.is_some_and(|old| old.absent || old.digest.as_ref() != new.as_ref());
        files.insert(
            (path, kind),
            Seen {
                digest: new,
                stamp,
                absent: false,
            },
        );
        changed
    }

    /// Notes what a file holds, if it was not known. What is known stays, so that a change is told
    /// also where somebody else (a plan) was the first to read it.
    fn note(&self, path: &Path, kind: Kind, bytes: &[u8]) {
        let seen = || Seen {
            digest: digest(&SHA256, bytes),
            stamp: None,
            absent: false,
        };
        let mut files = self.lock();
        files.entry((path.to_owned(), kind)).or_insert_with(seen);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PathBuf, Kind), Seen>> {
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
        self.files.note(path, Kind::Secret, secret.as_bytes());
        Ok(secret)
    }

    fn placeholder(&self) -> Option<&str> {
        self.source.placeholder()
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        let text = self.source.public_file(path)?;
        self.files.note(path, Kind::Text, text.as_bytes());
        Ok(text)
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        let bytes = self.source.public_bytes(path, most)?;
        self.files.note(path, Kind::Bytes(most), &bytes);
        Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;

    impl SecretSource for Plain {
        fn env(&self, name: &str) -> Result<String, String> {
            Err(name.to_owned())
        }

        fn file(&self, path: &Path) -> Result<String, String> {
            std::fs::read_to_string(path).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn what_changes_is_told_once_whoever_read_it_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let files = SecretFiles::default();
        let watched = files.watch(&Plain);
        let reads: [fn(&Watching<'_>, &Path) -> bool; 3] = [
            |source, path| source.file(path).is_ok(),
            |source, path| source.public_file(path).is_ok(),
            |source, path| source.public_bytes(path, 10).is_ok(),
        ];
        for read in reads {
            std::fs::write(&file, "one").unwrap();
            assert!(read(&watched, &file));
            while files.changed(&Plain) {}
            for _ in 0..3 {
                assert!(!files.changed(&Plain));
            }
            std::fs::write(&file, "two").unwrap();
            // A plan reads it before the look.
            assert!(read(&watched, &file));
            assert!(files.changed(&Plain));
            assert!(!files.changed(&Plain));
            std::fs::remove_file(&file).unwrap();
            assert!(!files.changed(&Plain), "it is being written");
            std::fs::write(&file, "six").unwrap();
            assert!(files.changed(&Plain));
            std::fs::remove_file(&file).unwrap();
            assert!(!files.changed(&Plain));
            std::fs::write(&file, "six").unwrap();
            assert!(files.changed(&Plain), "it was needed meanwhile, perhaps");
            assert!(!files.changed(&Plain));
        }
        assert!(watched.public_bytes(&file, 2).is_err());
    }
}
