//! Where the lake's files lie: a folder or a bucket, as five calls.
//!
//! An object is written whole or not at all, and [`Objects::put_new`] never replaces one: that is
//! all that the catalog and the lock are built on. Calls block; never make one on a worker.

mod directory;
pub mod s3;

pub use directory::Directory;
pub use s3::S3;

use bytes::Bytes;
use std::io;
use std::ops::Range;

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its path in the lake.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A folder or a bucket.
pub trait Objects: Send + Sync {
    /// Writes an object that is not there yet; false when it is, which is then left as it is.
    ///
    /// # Errors
    /// When it cannot be known to be written whole and durable.
    fn put_new(&self, path: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Writes an object, or replaces it.
    ///
    /// # Errors
    /// As for [`Self::put_new`].
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// An object, or a part of it: as much of the range as there is.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none.
    fn get(&self, path: &str, range: Option<Range<u64>>) -> io::Result<Bytes>;

    /// The objects whose path begins so, in the order of their paths. `prefix` ends with `/`.
    ///
    /// # Errors
    /// When the list is not complete.
    fn list(&self, prefix: &str) -> io::Result<Vec<Object>>;

    /// Removes an object, whether it is there or not.
    ///
    /// # Errors
    /// When it may still be there.
    fn delete(&self, path: &str) -> io::Result<()>;

    /// Where others find an object: a URI, or an absolute path.
    fn location(&self, path: &str) -> String;
}

/// A name for a new object: the time in front, so that names are in its order, and 64 random bits.
#[must_use]
pub fn name(unix: std::time::Duration) -> String {
    let millis = unix.as_millis() as u64 & ((1 << 48) - 1);
    format!("{millis:012x}-{:016x}", gate_kit::random::bits())
}

/// When a name was made, as [`name`] wrote it into it; none for other names.
#[must_use]
pub fn made_at(path: &str) -> Option<std::time::Duration> {
    let name = path.rsplit('/').next()?;
    let (millis, rest) = name.split_once('-')?;
    if millis.len() != 12 || rest.len() < 16 {
        return None;
    }
    let millis = u64::from_str_radix(millis, 16).ok()?;
    Some(std::time::Duration::from_millis(millis))
}
