//! Parquet files: columns to bytes ([`encode`]) and back ([`decode`]).
//!
//! Numbers are written as differences, words by dictionaries, pages compressed with zstd; every
//! page has its smallest and largest value in the index, and ids have a bloom filter. Rows are in the order of time. Nothing of the format is ours: any reader of
//! Parquet reads the files.

mod decode;
mod encode;
mod hybrid;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub use decode::{Reader, decode};
pub use encode::{Effort, encode};
pub use table::table;

use parquet::errors::ParquetError;

/// Rows that are compressed together and can be skipped together.
pub const GROUP_ROWS: usize = 128 * 1024;
/// Rows of a page.
const PAGE_ROWS: usize = 16 * 1024;

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The format's own error: for the most part, the file is damaged.
    #[error("{0}")]
    Format(#[from] ParquetError),
    /// It was written by a newer gateway.
    #[error("the file has version {0} of the schema; this gateway understands {newest}", newest = crate::schema::VERSION)]
    Newer(u32),
    /// It is not of the lake.
    #[error("the file is not of the lake: {0}")]
    Foreign(String),
}
