//! Where accounts, challenges and certificates lie, and who orders.

use crate::AcmeError;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Most bytes of one piece.
pub(crate) const PIECE_BYTES_MAX: u64 = 60 * 1024;

/// What is kept for all gateways, by place. Places are like paths: `acme/certificates/NAME`. Calls
/// may block for as long as a disk or a network takes, with limits.
pub trait Shelf: Send {
    /// Every place below `acme/`, with a number that differs whenever the piece there does.
    ///
    /// # Errors
    /// Why it is not known now.
    fn list(&mut self) -> Result<BTreeMap<String, u64>, AcmeError>;

    /// The piece at a place.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn get(&mut self, place: &str) -> Result<Option<Vec<u8>>, AcmeError>;

    /// Lays a piece on a place, instead of what lies there.
    ///
    /// # Errors
    /// Why it does not lie there now.
    fn put(&mut self, place: &str, piece: &[u8]) -> Result<(), AcmeError>;

    /// Whether this gateway is the one that orders, for at least the next two minutes.
    ///
    /// # Errors
    /// Why that is not known, which means no.
    fn leads(&mut self) -> Result<bool, AcmeError>;

    /// Gives up being the one, if it is.
    fn resign(&mut self);

    /// Whether other gateways take from here too, so that they need a moment to do so.
    fn is_shared(&self) -> bool;
}

/// A folder of one gateway: files that only its user may read. There is nobody to agree with.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A shelf in this folder, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: PathBuf) -> Result<Self, AcmeError> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path);
        made.map_err(|error| AcmeError::of(&path.display().to_string(), error))?;
        Ok(Self { path })
    }

    /// One file per place; slashes become what no place has.
    fn file(&self, place: &str) -> PathBuf {
        self.path.join(format!("{}.json", place.replace('/', "__")))
    }

    fn problem(&self, error: impl std::fmt::Display) -> AcmeError {
        AcmeError::of(&self.path.display().to_string(), error)
    }
}

impl Shelf for Folder {
    fn list(&mut self) -> Result<BTreeMap<String, u64>, AcmeError> {
        let mut places = BTreeMap::new();
        let entries = std::fs::read_dir(&self.path).map_err(|error| self.problem(error))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.problem(error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(place) = name.strip_suffix(".json") else {
                continue;
            };
            let facts = entry.metadata().map_err(|error| self.problem(error))?;
            let changed = facts.modified().map_err(|error| self.problem(error))?;
            let since = changed
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            places.insert(
                place.replace("__", "/"),
                since.as_nanos() as u64 ^ facts.len(),
            );
        }
        Ok(places)
    }

    fn get(&mut self, place: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        let file = self.file(place);
        match std::fs::metadata(&file) {
            Ok(facts) if facts.len() > PIECE_BYTES_MAX => Err(self.problem("a file is too large")),
            Ok(_) => std::fs::read(&file)
                .map(Some)
                .map_err(|error| self.problem(error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.problem(error)),
        }
    }

    fn put(&mut self, place: &str, piece: &[u8]) -> Result<(), AcmeError> {
        let file = self.file(place);
        let new = file.with_extension("new");
        // Written whole and then renamed, so that a crash leaves the old or the new one.
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut open| open.write_all(piece).and_then(|()| open.sync_all()))
            .and_then(|()| std::fs::rename(&new, &file));
        written.map_err(|error| self.problem(error))
    }

    fn leads(&mut self) -> Result<bool, AcmeError> {
        Ok(true)
    }

    fn resign(&mut self) {}

    fn is_shared(&self) -> bool {
        false
    }
}
