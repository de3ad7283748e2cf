//! A file on its way in.

use super::Kept;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file on its way in; it is removed where it is not finished.
#[derive(Debug)]
pub struct Incoming {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
    /// It has its place, and stays.
    pub(super) kept: bool,
}

impl Incoming {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, bytes: &[u8]) -> Kept<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Where it is until it has its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that were written.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            // The next start removes what is left here.
            let _ = fs::remove_file(&self.path);
        }
    }
}
