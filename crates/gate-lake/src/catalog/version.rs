//! A version of the catalog, as it lies in the lake.

use super::{Change, FileEntry};
use crate::schema::Dataset;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Where versions lie.
pub(super) const VERSIONS: &str = "catalog/versions/";
/// Where lists of days lie.
pub(super) const DAYS: &str = "catalog/days/";

/// The path of a version. Its digits are as many in every one, so that the last in a list is the
/// newest.
pub(super) fn version_path(number: u64) -> String {
    format!("{VERSIONS}{number:020}.json")
}

/// A version of the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number; the first is one.
    pub number: u64,
    /// When it was written, in milliseconds of UNIX time.
    pub written_ms: u64,
    /// Lists of settled files.
    pub days: Vec<DayList>,
    /// Files that count no more and may still be there.
    pub removed: Vec<Removed>,
}

/// The settled files of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayList {
    /// The data set's name.
    pub dataset: String,
    /// The day, counted from 1970.
    pub day: i64,
    /// Where the list lies.
    pub path: String,
    /// The time of its first row, in microseconds of UNIX time.
    pub start_us: i64,
    /// The time of its last row.
    pub end_us: i64,
    /// How many files.
    pub files: u64,
    /// How many rows.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// A file that counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its path.
    pub path: String,
    /// Since when, in milliseconds of UNIX time.
    pub since_ms: u64,
}

impl Removed {
    pub(super) fn new(path: String, unix: Duration) -> Self {
        Self {
            path,
            since_ms: unix.as_millis() as u64,
        }
    }
}

impl DayList {
    pub(super) fn new(dataset: Dataset, day: i64, path: String, files: &[Arc<FileEntry>]) -> Self {
        let times = || files.iter().flat_map(|file| [file.start_us, file.end_us]);
        Self {
            dataset: dataset.name().into(),
            day,
            path,
            start_us: times().min().unwrap_or(0),
            end_us: times().max().unwrap_or(0),
            files: files.len() as u64,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
        }
    }

    pub(super) fn overlaps(&self, times: &std::ops::Range<i64>) -> bool {
        self.start_us < times.end && self.end_us >= times.start
    }
}

impl Version {
    /// The lists of a data set, in the order of time.
    pub fn days_of(&self, dataset: Dataset) -> impl Iterator<Item = &DayList> {
        let name = dataset.name();
        self.days.iter().filter(move |list| list.dataset == name)
    }

    /// Files, rows and bytes that are settled.
    #[must_use]
    pub fn totals(&self, dataset: Dataset) -> (u64, u64, u64) {
        self.days_of(dataset)
            .fold((0, 0, 0), |(files, rows, bytes), day| {
                (files + day.files, rows + day.rows, bytes + day.bytes)
            })
    }

    /// The next version, its lists of days still those of this one.
    pub(super) fn after(&self, change: &Change, unix: Duration) -> Self {
        let mut next = self.clone();
        next.number += 1;
        next.written_ms = unix.as_millis() as u64;
        next.removed
            .retain(|removed| !change.gone.contains(&removed.path));
        let files = change.removed_files.iter().map(|file| file.path.clone());
        let removed = files.chain(change.settled.iter().cloned());
        next.removed
            .extend(removed.map(|path| Removed::new(path, unix)));
        next
    }
}
