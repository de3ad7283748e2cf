//! Callers' files and batches: what is known of them. A file's bytes lie elsewhere; what a batch's data
//! means is not known here.
//!
//! A file is written down only once its bytes are all there, and forgotten before they go, so that a
//! row always has its bytes. A batch carries a version: its runner and its owner write it side by side,
//! and who comes second reads again.

mod sql;

pub use sql::SqlFiles;

use crate::StoreError;

/// Most rows of a page.
pub const PAGE_MAX: usize = 1_000;
/// Most bytes of a batch's data.
const DATA_MAX: usize = 1 << 20;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Its place in the order in which files were made; 0 before it is written.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was made, in UNIX milliseconds.
    pub created_ms: i64,
    /// When it is forgotten, in UNIX milliseconds.
    pub expires_ms: Option<i64>,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Its place in the order in which batches were made; 0 before it is written.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Whose API it was handed in at.
    pub api: String,
    /// Where it is.
    pub state: String,
    /// Whether nothing of it changes any more.
    pub is_over: bool,
    /// All else; at most 1 MiB.
    pub data: String,
    /// How often it was written.
    pub version: u64,
    /// When it was made, in UNIX milliseconds.
    pub created_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// What an owner may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of files together.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Batches that are not over.
    pub batches: u64,
}

/// Which rows of an owner make up a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<'a> {
    /// Whose.
    pub owner: &'a str,
    /// Only those of this purpose (files) or API (batches); all where it is empty.
    pub of: &'a str,
    /// Only those behind the one of this id, in the page's order.
    pub after: Option<&'a str>,
    /// Whether the oldest come first.
    pub oldest_first: bool,
    /// Most rows, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// Why something was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FilesError {
    /// The owner would have more than it may.
    #[error("the owner would have more than it may")]
    Quota,
    /// There is nothing of this id.
    #[error("there is nothing of this id")]
    Absent,
    /// Another wrote it since it was read.
    #[error("it was written since it was read")]
    Stale,
    /// It is too large to be kept.
    #[error("it is too large to be kept")]
    TooLarge,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Answer<T> = Result<T, FilesError>;

/// What is known of callers' files and batches, in one of the databases.
pub trait FilesStore: Send {
    /// Writes a file down, whose bytes are there.
    ///
    /// # Errors
    /// [`FilesError::Quota`], [`FilesError::Store`].
    fn add_file(&mut self, row: &FileRow, quota: &Quota) -> Answer<()>;

    /// A file of this owner.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn file(&mut self, owner: &str, id: &str) -> Answer<Option<FileRow>>;

    /// A page of an owner's files.
    ///
    /// # Errors
    /// [`FilesError::Absent`] where the owner has nothing of the id `after`; [`FilesError::Store`].
    fn files(&mut self, page: &Page<'_>) -> Answer<Vec<FileRow>>;

    /// How many files an owner has, and their bytes.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn used(&mut self, owner: &str) -> Answer<(u64, u64)>;

    /// Forgets a file; false where there is none.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn remove_file(&mut self, owner: &str, id: &str) -> Answer<bool>;

    /// Files whose time is over at `now_ms`.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn expired_files(&mut self, now_ms: i64, limit: usize) -> Answer<Vec<FileRow>>;

    /// Whether any owner has a file of this id.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn has_file(&mut self, id: &str) -> Answer<bool>;

    /// Whether any owner has a batch of this id.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn has_batch(&mut self, id: &str) -> Answer<bool>;

    /// Writes a batch down, with version 1.
    ///
    /// # Errors
    /// [`FilesError::Quota`], [`FilesError::TooLarge`], [`FilesError::Store`].
    fn add_batch(&mut self, row: &BatchRow, quota: &Quota) -> Answer<()>;

    /// A batch of this owner.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn batch(&mut self, owner: &str, id: &str) -> Answer<Option<BatchRow>>;

    /// A page of an owner's batches.
    ///
    /// # Errors
    /// [`FilesError::Absent`] where the owner has nothing of the id `after`; [`FilesError::Store`].
    fn batches(&mut self, page: &Page<'_>) -> Answer<Vec<BatchRow>>;

    /// Batches of all owners that are not over and whose data name this folder, the oldest first. Who
    /// asks looks at the data: they may name it elsewhere.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn open_batches(&mut self, folder: &str, limit: usize) -> Answer<Vec<BatchRow>>;

    /// Batches of all owners, the newest first; with `open`, only those that are not over.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn all_batches(&mut self, open: bool, limit: usize) -> Answer<Vec<BatchRow>>;

    /// Batches that are over since before `until_ms`, the oldest first.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn old_batches(&mut self, until_ms: i64, limit: usize) -> Answer<Vec<BatchRow>>;

    /// Writes a batch again: state, data and whether it is over. `row.version` is what was read; the
    /// new one is returned. With `files`, files of it are written down with it, both or neither; a file
    /// that is known already stays as it is.
    ///
    /// # Errors
    /// [`FilesError::Stale`], [`FilesError::TooLarge`], [`FilesError::Store`].
    fn save_batch(&mut self, row: &BatchRow, files: &[FileRow], now_ms: i64) -> Answer<u64>;

    /// Forgets a batch; false where there is none.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    fn remove_batch(&mut self, owner: &str, id: &str) -> Answer<bool>;
}
