//! Reading the lake: a columnar scan over Parquet files, without arrow and without SQL.
//!
//! [`rows`] walks files, prunes what cannot match (partition, row group, bloom filter, page) and gives
//! batches of columns; [`group`] counts and sums them by keys without making rows of them. Footers and
//! decompressed pages come from the `parquet` crate; values are decoded here ([`decode`]), a page at a
//! time, because group-bys are mostly decoding. Nothing here knows SQL ([`crate::sql`]) or who asks.
//!
//! Whatever the query, memory is bounded: by one page and one batch per column, one column chunk of the
//! file, and [`Limits`] on groups and on what they take.

pub(crate) mod bits;
mod cursor;
mod decode;
mod filter;
mod group;
pub(crate) mod keys;
mod known;
mod prune;
mod rows;
mod sketch;
mod source;
mod vector;

pub use filter::{Filter, Test};
pub use group::{Aggregate, Function, Group, Grouped, Groups, Key, gather, group};
pub use keys::KeyValue;
pub(crate) use keys::hex;
pub use known::Known;
pub use rows::{Batch, Scanner};
pub use sketch::{SKETCH_ERROR, Sketch};
pub use source::{Blob, Bound, FileBlob, MemoryBlob, Source};
pub use vector::{Cell, Vector};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a query may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// Most groups of a group-by.
    pub groups: usize,
    /// Most bytes that keys and sketches of a group-by, or a result, may take.
    pub bytes: usize,
    /// Most rows that may be read.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            groups: 100_000,
            bytes: 256 * 1024 * 1024,
            rows: 10_000_000_000,
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A file of the lake cannot be read.
    #[error("`{file}` cannot be read: {problem}")]
    File {
        /// Its name.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The query takes more than it may.
    #[error("the query takes more than {limit} {what}; narrow it, best by `time`")]
    Limit {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The query was cancelled.
    #[error("the query was cancelled")]
    Cancelled,
    /// The query itself is wrong.
    #[error("{0}")]
    Invalid(String),
}

impl QueryError {
    pub(crate) fn file(name: &str, problem: impl std::fmt::Display) -> Self {
        QueryError::File {
            file: name.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// How far a query has come with what it may take. Clones share the flag that ends it.
#[derive(Debug, Clone)]
pub struct Allowance {
    limits: Limits,
    until: Instant,
    cancelled: Arc<AtomicBool>,
}

impl Allowance {
    /// Starts the time of a query.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            until: now
                .checked_add(limits.time)
                .unwrap_or(now + Duration::from_secs(3600)),
            limits,
            cancelled: Arc::default(),
        }
    }

    /// What it may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same with so many times as many groups.
    #[must_use]
    pub(crate) fn with_groups(&self, times: usize) -> Self {
        let mut more = self.clone();
        more.limits.groups = more.limits.groups.saturating_mul(times);
        more
    }

    /// The same, which ends as soon as another thread sets this flag.
    #[must_use]
    pub fn ended_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancelled = flag;
        self
    }

    /// Whether it may go on.
    ///
    /// # Errors
    /// When its time is over or it was cancelled.
    pub fn check(&self) -> Result<(), QueryError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(QueryError::Cancelled);
        }
        if Instant::now() > self.until {
            return Err(QueryError::Limit {
                what: "milliseconds",
                limit: u64::try_from(self.limits.time.as_millis()).unwrap_or(u64::MAX),
            });
        }
        Ok(())
    }

    pub(crate) fn rows(&self, read: u64) -> Result<(), QueryError> {
        over(read, self.limits.rows, "rows read")
    }

    pub(crate) fn groups(&self, groups: usize) -> Result<(), QueryError> {
        over(groups as u64, self.limits.groups as u64, "groups")
    }

    pub(crate) fn bytes(&self, bytes: usize) -> Result<(), QueryError> {
        over(bytes as u64, self.limits.bytes as u64, "bytes of memory")
    }
}

fn over(found: u64, limit: u64, what: &'static str) -> Result<(), QueryError> {
    match found > limit {
        true => Err(QueryError::Limit { what, limit }),
        false => Ok(()),
    }
}
