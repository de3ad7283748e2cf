//! Keeping the lake: what the one gateway that holds the lock does every few seconds.
//!
//! Fresh files become settled ones by hour and team ([`compact`]), small settled ones become larger
//! ones, what is older than its data set keeps goes, and what was removed is deleted once nobody
//! reads it any more. Every pass reads a bounded number of rows at a time. Whatever step a crash or
//! an error ends it at, the next pass goes on from the catalog, in which nothing is half done.

mod compact;
mod forget;
#[cfg(test)]
mod tests;

pub use forget::{Forgotten, Who};

use crate::catalog::{Catalog, Change, Version};
use crate::file::FileError;
use crate::schema::Dataset;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Rows that a pass holds in memory, and that a settled file has, at most.
pub const ROWS_MAX: u64 = 256 * 1024;
/// Bytes of files that a pass holds in memory, at most.
pub const BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Files that one step reads.
const FILES_MAX: usize = 512;
/// Files that are removed in one pass.
const SWEEP_MAX: usize = 2048;

/// What keeping is told.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How old the oldest fresh file gets before fresh files are settled.
    pub settle_after: Duration,
    /// How many fresh files are settled before that age.
    pub settle_files: usize,
    /// How many small files of an hour and team become a larger one.
    pub merge_files: usize,
    /// How long files that count no more stay for those who still read them.
    pub linger: Duration,
    /// After how long a file that no version names is what a crash has left.
    pub orphan_after: Duration,
    /// How long rows are kept, in the order of [`Dataset::ALL`]; none keeps them for good.
    pub keep: [Option<Duration>; 2],
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            settle_after: Duration::from_secs(60),
            settle_files: 240,
            merge_files: 8,
            linger: Duration::from_secs(60),
            orphan_after: Duration::from_secs(3600),
            keep: [None, None],
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Fresh files that were settled.
    pub settled: u64,
    /// Settled files that were rewritten into larger ones.
    pub merged: u64,
    /// Rows that were older than they are kept.
    pub expired_rows: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Whether the catalog has changed.
    pub changed: bool,
}

/// Keeps a lake. Whoever calls holds the [`crate::catalog::Lock`].
pub struct Keeper {
    catalog: Arc<Catalog>,
    rules: Rules,
    /// When everything was last looked through for what a crash has left.
    swept: Option<Duration>,
}

impl Keeper {
    /// A keeper of the lake with this catalog.
    #[must_use]
    pub const fn new(catalog: Arc<Catalog>, rules: Rules) -> Self {
        Self {
            catalog,
            rules,
            swept: None,
        }
    }

    /// The catalog.
    #[must_use]
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// One pass at this time. Blocks, for as long as it takes to read and write up to
    /// [`ROWS_MAX`] rows of each data set.
    ///
    /// # Errors
    /// When the place does not answer or a file is damaged; what was committed before stays.
    pub fn pass(&mut self, unix: Duration) -> io::Result<Done> {
        let mut done = Done::default();
        let base = self.catalog.newest()?;
        let mut change = Change::default();
        self.sweep_removed(&base, unix, &mut change, &mut done)?;
        for (index, dataset) in Dataset::ALL.into_iter().enumerate() {
            self.expire(
                &base,
                dataset,
                self.rules.keep[index],
                unix,
                &mut change,
                &mut done,
            )?;
            self.settle(&base, dataset, unix, &mut change, &mut done)?;
            if change.settled.is_empty() {
                self.merge(&base, dataset, unix, &mut change, &mut done)?;
            }
        }
        if !change.is_empty() {
            done.changed = self.catalog.commit(&base, &change, unix)?.is_some();
        }
        let due = self.rules.orphan_after / 2;
        if self.swept.is_none_or(|at| unix.saturating_sub(at) >= due) {
            done.deleted += self.sweep_orphans(unix)?;
            self.swept = Some(unix);
        }
        Ok(done)
    }

    /// Deletes what has counted no more for long enough.
    fn sweep_removed(
        &self,
        base: &Version,
        unix: Duration,
        change: &mut Change,
        done: &mut Done,
    ) -> io::Result<()> {
        let linger = self.rules.linger.as_millis() as u64;
        let now = unix.as_millis() as u64;
        let due = |since: u64| since.saturating_add(linger) <= now;
        let due = base.removed.iter().filter(|one| due(one.since_ms));
        for removed in due.take(SWEEP_MAX) {
            self.catalog.objects().delete(&removed.path)?;
            change.gone.insert(removed.path.clone());
            done.deleted += 1;
        }
        Ok(())
    }

    /// Removes files whose rows are all older than they are kept.
    fn expire(
        &self,
        base: &Version,
        dataset: Dataset,
        keep: Option<Duration>,
        unix: Duration,
        change: &mut Change,
        done: &mut Done,
    ) -> io::Result<()> {
        let Some(keep) = keep else { return Ok(()) };
        let oldest = unix.saturating_sub(keep).as_micros() as i64;
        for day in base.days_of(dataset).filter(|day| day.start_us < oldest) {
            for file in self.catalog.day(&day.path)?.iter() {
                if file.end_us < oldest {
                    done.expired_rows += file.rows;
                    change.remove(file.clone());
                }
            }
        }
        Ok(())
    }

    /// Deletes files that no version names and that are too old to be on their way into one.
    fn sweep_orphans(&self, unix: Duration) -> io::Result<u64> {
        let objects = self.catalog.objects();
        let mut listed = objects.list("catalog/days/")?;
        for dataset in Dataset::ALL {
            listed.extend(objects.list(&format!("{}/data/", dataset.name()))?);
        }
        // Behind the list: what a version has come to name since is not taken for an orphan.
        let version = self.catalog.newest()?;
        let mut named: BTreeSet<String> = BTreeSet::new();
        named.extend(version.removed.iter().map(|one| one.path.clone()));
        named.extend(version.days.iter().map(|day| day.path.clone()));
        for dataset in Dataset::ALL {
            let files = self.catalog.settled(&version, dataset)?;
            named.extend(files.iter().map(|file| file.path.clone()));
        }
        let mut deleted = 0;
        for object in listed {
            let made = crate::objects::made_at(&object.path);
            let is_old = made.is_some_and(|at| unix.saturating_sub(at) > self.rules.orphan_after);
            if is_old && !named.contains(&object.path) {
                objects.delete(&object.path)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}

/// A damaged file as an error of the place.
fn damaged(path: &str) -> impl Fn(FileError) -> io::Error + '_ {
    move |error| io::Error::new(ErrorKind::InvalidData, format!("`{path}`: {error}"))
}
