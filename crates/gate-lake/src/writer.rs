//! From rows to fresh files.
//!
//! Rows gather in columns; a flush writes them as one file per data set, after which they count. A
//! file that could not be written is kept and tried again under the same name, so that a place that
//! answers late shows its rows once; when too much waits, the oldest rows are lost and counted.

use crate::catalog::fresh_path;
use crate::columns::Batch;
use crate::file::{Effort, encode};
use crate::objects::Objects;
use crate::redact::Redaction;
use crate::schema::{BodyRow, Dataset, Refused, Row};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Rows that are gathered before a file is due.
pub const ROWS_MAX: usize = 64 * 1024;
/// Bytes of bodies that are gathered before a file is due.
pub const CONTENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of files that may wait for the place to answer again.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that are in the lake.
    pub rows: u64,
    /// Rows that were refused at the door.
    pub refused: u64,
    /// Rows that were lost because the place did not answer for long.
    pub lost: u64,
    /// Files that were written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that is not in the lake yet.
struct Waiting {
    path: String,
    bytes: Vec<u8>,
    rows: u64,
}

/// Writes rows of one gateway.
pub struct Writer {
    objects: Arc<dyn Objects>,
    records: Batch,
    bodies: Batch,
    redactions: [Redaction; 2],
    waiting: VecDeque<Waiting>,
    counts: Counts,
}

impl Writer {
    /// A writer into the lake that lies there; what is redacted never leaves it. The redactions are
    /// in the order of [`Dataset::ALL`].
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, redactions: [Redaction; 2]) -> Self {
        Self {
            objects,
            records: Batch::new(Dataset::Records),
            bodies: Batch::new(Dataset::Bodies),
            redactions,
            waiting: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// What is wrong with it; it is counted.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), Refused> {
        let checked = row.check();
        match checked {
            Ok(()) => self.records.push(row),
            Err(_) => self.counts.refused += 1,
        }
        checked
    }

    /// Takes a body.
    ///
    /// # Errors
    /// What is wrong with it; it is counted.
    pub fn push_body(&mut self, row: &BodyRow<'_>) -> Result<(), Refused> {
        let checked = row.check();
        match checked {
            Ok(()) => self.bodies.push_body(row),
            Err(_) => self.counts.refused += 1,
        }
        checked
    }

    /// Whether so much has gathered that it should be flushed before its time.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.records.len() >= ROWS_MAX || self.bodies.content_bytes() >= CONTENT_BYTES_MAX
    }

    /// Whether nothing has gathered and nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.bodies.is_empty() && self.waiting.is_empty()
    }

    /// Writes what has gathered. Blocks.
    ///
    /// # Errors
    /// The place's; the rows are kept for the next time.
    pub fn flush(&mut self, unix: Duration) -> io::Result<()> {
        self.seal(unix)?;
        self.put()
    }

    /// Makes files of what has gathered without writing them, so that it takes little room.
    ///
    /// # Errors
    /// When rows cannot be encoded, which are lost then.
    pub fn seal(&mut self, unix: Duration) -> io::Result<()> {
        for (dataset, redaction) in Dataset::ALL.into_iter().zip(&self.redactions) {
            let gathered = match dataset {
                Dataset::Records => &mut self.records,
                Dataset::Bodies => &mut self.bodies,
            };
            let Some(span) = gathered.span() else {
                continue;
            };
            let mut batch = std::mem::replace(gathered, Batch::new(dataset));
            redaction.apply(&mut batch);
            let rows = batch.len();
            let path = fresh_path(dataset, span, rows, unix);
            let bytes = encode(batch, Effort::Quick).map_err(|error| {
                self.counts.lost += rows as u64;
                io::Error::other(error)
            })?;
            self.waiting.push_back(Waiting {
                path,
                bytes,
                rows: rows as u64,
            });
        }
        self.bound();
        Ok(())
    }

    fn put(&mut self) -> io::Result<()> {
        while let Some(file) = self.waiting.front() {
            // False says that an earlier try has written it after all.
            self.objects.put_new(&file.path, &file.bytes)?;
            self.counts.rows += file.rows;
            self.counts.files += 1;
            self.counts.bytes += file.bytes.len() as u64;
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn bound(&mut self) {
        let mut bytes: usize = self.waiting.iter().map(|file| file.bytes.len()).sum();
        while bytes > WAITING_BYTES_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            bytes -= oldest.bytes.len();
            self.counts.lost += oldest.rows;
        }
    }

    /// Rows that are not in the lake yet.
    #[must_use]
    pub fn waiting_rows(&self) -> u64 {
        let gathered = self.records.len() + self.bodies.len();
        gathered as u64 + self.waiting.iter().map(|file| file.rows).sum::<u64>()
    }

    /// What has been done so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}
