//! Many small files into few large ones.

use super::{BYTES_MAX, Done, FILES_MAX, Keeper, ROWS_MAX, damaged};
use crate::catalog::{Change, FileEntry, Version, hour_of, settled_path};
use crate::columns::Batch;
use crate::file::{Effort, decode, encode};
use crate::schema::Dataset;
use gate_kit::order::{Gather, Order};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long after its end an hour gets no more rows, for the most part.
const LATE: Duration = Duration::from_secs(600);

impl Keeper {
    /// Settles fresh files, as many as one pass holds in memory.
    pub(super) fn settle(
        &self,
        base: &Version,
        dataset: Dataset,
        unix: Duration,
        change: &mut Change,
        done: &mut Done,
    ) -> io::Result<()> {
        let removed: BTreeSet<&str> = base.removed.iter().map(|one| &*one.path).into_set();
        let mut fresh = self.catalog.fresh(dataset)?;
        fresh.retain(|file| !removed.contains(&*file.path));
        // Names begin with the time at which they were made.
        fresh.order_by(|a, b| a.path.cmp(&b.path));
        let Some(oldest) = fresh.first() else {
            return Ok(());
        };
        let age = oldest.made_at().map(|at| unix.saturating_sub(at));
        let is_due = age.is_none_or(|age| age >= self.rules.settle_after);
        if !is_due && fresh.len() < self.rules.settle_files {
            return Ok(());
        }
        let batch = self.gather(dataset, &fresh, |file| {
            change.settled.push(file.path.clone());
            done.settled += 1;
        })?;
        let files = self.write(batch, unix)?;
        change.add.extend(files);
        Ok(())
    }

    /// Makes larger files of the small ones of an hour and team: of one of them a pass.
    pub(super) fn merge(
        &self,
        base: &Version,
        dataset: Dataset,
        unix: Duration,
        change: &mut Change,
        done: &mut Done,
    ) -> io::Result<()> {
        let is_small = |file: &FileEntry| file.rows < ROWS_MAX / 2 && file.bytes < BYTES_MAX / 2;
        let mut groups: BTreeMap<(i64, String), Vec<Arc<FileEntry>>> = BTreeMap::new();
        for file in self.catalog.settled(base, dataset)? {
            if is_small(&file) && !change.removes(&file.path) {
                let team = file.team.clone().unwrap_or_default();
                let place = groups.entry((hour_of(file.start_us), team));
                place.or_default().push(file);
            }
        }
        let over = hour_of(unix.saturating_sub(LATE).as_micros() as i64);
        let is_due =
            |hour: i64, files: usize| files >= self.rules.merge_files || (hour < over && files > 1);
        let due = groups
            .into_iter()
            .filter(|((hour, _), files)| is_due(*hour, files.len()))
            .max_by_key(|(_, files)| files.len());
        let Some((_, mut files)) = due else {
            return Ok(());
        };
        files.order_by(|a, b| (a.start_us, &a.path).cmp(&(b.start_us, &b.path)));
        let entries: Vec<FileEntry> = files.iter().map(|file| FileEntry::clone(file)).collect();
        let mut taken = 0;
        let batch = self.gather(dataset, &entries, |_| taken += 1)?;
        if taken < 2 {
            return Ok(());
        }
        for file in files.into_iter().take(taken) {
            change.remove(file);
            done.merged += 1;
        }
        let files = self.write(batch, unix)?;
        change.add.extend(files);
        Ok(())
    }

    /// Rows of the first files, as many as are held in memory, of one file at least.
    fn gather(
        &self,
        dataset: Dataset,
        files: &[FileEntry],
        mut taken: impl FnMut(&FileEntry),
    ) -> io::Result<Batch> {
        let mut batch = Batch::new(dataset);
        let (mut rows, mut bytes) = (0, 0);
        for file in files.iter().take(FILES_MAX) {
            let fits = rows + file.rows <= ROWS_MAX && bytes + file.bytes <= BYTES_MAX;
            if rows > 0 && !fits {
                break;
            }
            let more = self.read(dataset, file)?;
            batch.extend(&more, &more.all_rows());
            rows += file.rows;
            bytes += file.bytes;
            taken(file);
        }
        Ok(batch)
    }

    /// All rows of a file.
    pub(super) fn read(&self, dataset: Dataset, file: &FileEntry) -> io::Result<Batch> {
        let bytes = self.catalog.objects().get(&file.path, None)?;
        decode(bytes, dataset).map_err(damaged(&file.path))
    }

    /// Writes rows as settled files, one per hour and team. They count when they are committed.
    pub(super) fn write(&self, batch: Batch, unix: Duration) -> io::Result<Vec<Arc<FileEntry>>> {
        let dataset = batch.dataset();
        let batch = batch.sorted();
        let team = batch.place("team").unwrap_or_default();
        let mut parts: BTreeMap<(i64, &str), Vec<u32>> = BTreeMap::new();
        for (row, &time) in batch.times().iter().enumerate() {
            let team = batch.word(team, row).unwrap_or_default();
            let part = parts.entry((hour_of(time), team)).or_default();
            part.push(row as u32);
        }
        let mut files = Vec::new();
        for ((hour, team), rows) in parts {
            let mut part = Batch::new(dataset);
            part.extend(&batch, &rows);
            let (start_us, end_us) = part.span().expect("a part has the rows that made it");
            let path = settled_path(dataset, hour, team, unix);
            let bytes = encode(part, Effort::Small).map_err(damaged(&path))?;
            self.catalog.objects().put_new(&path, &bytes)?;
            files.push(Arc::new(FileEntry {
                path,
                dataset: dataset.name().into(),
                team: Some(team.to_owned()),
                start_us,
                end_us,
                rows: rows.len() as u64,
                bytes: bytes.len() as u64,
            }));
        }
        Ok(files)
    }
}
