//! Deleting what a consumer has left: rows are taken out of every file of every data set, and the
//! files that held them are gone when the call returns, not only named no more.

use super::{Keeper, damaged};
use crate::catalog::{Change, FileEntry, Version};
use crate::columns::Batch;
use crate::file::decode;
use crate::schema::Dataset;
use std::io;
use std::time::Duration;

/// How often it is begun anew because somebody else changed the catalog.
const TRIES_MAX: usize = 16;

/// Whose rows are deleted, as the lake names them: a hash where the column is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The name in each data set, in the order of [`Dataset::ALL`]; none where the data set does
    /// not keep it, so that nothing can be deleted there by it.
    pub consumer: [Option<String>; 2],
}

impl Who {
    /// A consumer whose name stands in the lake as it is.
    #[must_use]
    pub fn consumer(name: &str) -> Self {
        let name = Some(name.to_owned());
        Self {
            consumer: [name.clone(), name],
        }
    }
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows.
    pub rows: u64,
    /// Files that were rewritten or removed.
    pub files: u64,
}

/// Goes on only while the lock is held.
fn hold(still: &mut dyn FnMut() -> io::Result<bool>) -> io::Result<()> {
    match still()? {
        true => Ok(()),
        false => Err(io::Error::other("another gateway keeps the lake by now")),
    }
}

impl Keeper {
    /// Deletes a consumer's rows. Rows that gateways still gather, for a second at most, are not
    /// among them; fresh files are. Whoever reads an old version meanwhile finds files gone and
    /// looks again. `still` is asked before every file whether the caller holds the lock of the lake.
    ///
    /// # Errors
    /// When the place does not answer, the lock is lost, or others change the catalog all the time;
    /// what was deleted until then stays deleted, and the call can be made again.
    pub fn forget(
        &mut self,
        who: &Who,
        unix: Duration,
        still: &mut dyn FnMut() -> io::Result<bool>,
    ) -> io::Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        for _ in 0..TRIES_MAX {
            let base = self.catalog.newest()?;
            let mut change = Change::default();
            let mut added = 0;
            for (index, dataset) in Dataset::ALL.into_iter().enumerate() {
                let Some(name) = &who.consumer[index] else {
                    continue;
                };
                let settled = self.catalog.settled(&base, dataset)?;
                for file in settled {
                    hold(still)?;
                    if let Some((kept, rows)) = self.without(dataset, &file, name)? {
                        change.add.extend(self.write(kept, unix)?);
                        change.remove(file);
                        added += rows;
                    }
                }
                let removed = |path: &str| base.removed.iter().any(|one| one.path == path);
                for file in self.catalog.fresh(dataset)? {
                    if removed(&file.path) {
                        continue;
                    }
                    hold(still)?;
                    if let Some((kept, rows)) = self.without(dataset, &file, name)? {
                        change.add.extend(self.write(kept, unix)?);
                        change.settled.push(file.path);
                        added += rows;
                    }
                }
            }
            let files = (change.removed_files.len() + change.settled.len()) as u64;
            let committed = match change.is_empty() {
                true => Some(base),
                false => self.catalog.commit(&base, &change, unix)?,
            };
            let Some(version) = committed else { continue };
            forgotten.rows += added;
            forgotten.files += files;
            if self.delete_left(&version, unix)? {
                return Ok(forgotten);
            }
        }
        Err(io::Error::other("the catalog changed all the time"))
    }

    /// Deletes what counts no more at once, also what was removed earlier: it may hold the rows too.
    /// False where somebody else has changed the catalog.
    fn delete_left(&mut self, version: &Version, unix: Duration) -> io::Result<bool> {
        let mut gone = Change::default();
        for removed in &version.removed {
            self.catalog.objects().delete(&removed.path)?;
            gone.gone.insert(removed.path.clone());
        }
        // Also where nothing changes: who began before this version can commit nothing any more, so
        // that what they have written is nobody's and may go.
        if self.catalog.commit(version, &gone, unix)?.is_none() {
            return Ok(false);
        }
        self.delete_strays(unix)?;
        Ok(true)
    }

    /// Deletes files that no version names, however young: what earlier tries have left. Whoever
    /// holds the lock is the only one who writes such files.
    fn delete_strays(&mut self, unix: Duration) -> io::Result<()> {
        let orphan_after = std::mem::replace(&mut self.rules.orphan_after, Duration::ZERO);
        let swept = self.sweep_orphans(unix + Duration::from_millis(1));
        self.rules.orphan_after = orphan_after;
        swept.map(drop)
    }

    /// The rows of a file that are not the consumer's, and how many are; none where none is.
    fn without(
        &self,
        dataset: Dataset,
        file: &FileEntry,
        name: &str,
    ) -> io::Result<Option<(Batch, u64)>> {
        let bytes = self.catalog.objects().get(&file.path, None)?;
        let batch = decode(bytes, dataset).map_err(damaged(&file.path))?;
        let consumer = batch.place("consumer").unwrap_or_default();
        let is_theirs = |row: &u32| batch.word(consumer, *row as usize) == Some(name);
        let all = batch.all_rows();
        let theirs = all.iter().filter(|row| is_theirs(row)).count() as u64;
        if theirs == 0 {
            return Ok(None);
        }
        let stays: Vec<u32> = all.into_iter().filter(|row| !is_theirs(row)).collect();
        let mut kept = Batch::new(dataset);
        kept.extend(&batch, &stays);
        Ok(Some((kept, theirs)))
    }
}
