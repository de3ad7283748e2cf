//! Which files hold what: the one answer to "what is in the lake".
//!
//! Two kinds of files count. *Fresh* files are written by gateways, about one a second each; their
//! names say what they hold, and being there is what makes them count. *Settled* files are made of
//! them by whoever keeps the lake, and count when a *version* of the catalog names them. Versions
//! are numbered objects that are never replaced: who writes number N + 1 first has changed the
//! catalog, anybody else reads again and decides anew. A version names a list of files per day and
//! data set, and says which files are *removed*: those are fresh ones that settled files stand for,
//! and settled ones that were rewritten. They lie around a little longer for those who still read
//! them.
//!
//! Whoever reads looks at the fresh files first and at the version after: a fresh file that has been
//! settled in between is then named as removed, or gone, so that no row is missed and none is seen
//! twice. Where a file is gone, the reader looks again.

mod entry;
mod lock;
#[cfg(test)]
mod tests;
mod version;

pub use entry::{FileEntry, fresh_path, hour_of, settled_path};
pub use lock::{Lock, LockState};
pub use version::{DayList, Removed, Version};

use crate::objects::Objects;
use crate::scan::Known;
use crate::schema::Dataset;
use gate_kit::order::{Gather, Order};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use version::{DAYS, VERSIONS, version_path};

/// Lists of days that are remembered; they never change.
const REMEMBERED_MAX: usize = 1024;
/// Files of which something is remembered: of each some 300 bytes. The oldest go first.
const KNOWN_MAX: usize = 16 * 1024;
/// How often a reader looks again while files vanish under it.
const LOOKS_MAX: usize = 8;
/// Versions that are kept behind the newest one.
const VERSIONS_KEPT: u64 = 8;

/// The catalog of a lake.
pub struct Catalog {
    objects: Arc<dyn Objects>,
    remembered: Mutex<BTreeMap<String, Arc<Vec<Arc<FileEntry>>>>>,
    known: Mutex<BTreeMap<String, Arc<Known>>>,
}

/// What a data set holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The version of the catalog.
    pub version: u64,
    /// Its files, the settled ones in the order of time, the fresh ones behind them.
    pub files: Vec<Arc<FileEntry>>,
}

impl Catalog {
    /// The catalog of the lake that lies there; an empty place is an empty lake.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self {
            objects,
            remembered: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// What queries remember of a file, by its path.
    pub(crate) fn known(&self, path: &str) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(path) {
            return known.clone();
        }
        while known.len() >= KNOWN_MAX {
            known.pop_first();
        }
        known.entry(path.into()).or_default().clone()
    }

    /// Where the lake lies.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// The files of a data set that may hold rows of these times (microseconds of UNIX time, the
    /// end not included).
    ///
    /// # Errors
    /// When the place does not answer, or lists vanish faster than they are read.
    pub fn look(&self, dataset: Dataset, times: std::ops::Range<i64>) -> io::Result<Listing> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the lake changed while it was read");
        for _ in 0..LOOKS_MAX {
            match self.look_once(dataset, &times) {
                Err(error) if error.kind() == ErrorKind::NotFound => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    fn look_once(&self, dataset: Dataset, times: &std::ops::Range<i64>) -> io::Result<Listing> {
        // The order matters: see the module.
        let fresh = self.fresh(dataset)?;
        let version = self.newest()?;
        let mut files = Vec::new();
        for day in version.days_of(dataset) {
            if day.overlaps(times) {
                let list = self.day(&day.path)?;
                files.extend(list.iter().filter(|file| file.overlaps(times)).cloned());
            }
        }
        files.order_by(|a, b| (a.start_us, &a.path).cmp(&(b.start_us, &b.path)));
        let removed: BTreeSet<&str> = version.removed.iter().map(|one| &*one.path).into_set();
        let is_new = |file: &FileEntry| !removed.contains(&*file.path) && file.overlaps(times);
        files.extend(fresh.into_iter().filter(is_new).map(Arc::new));
        Ok(Listing {
            version: version.number,
            files,
        })
    }

    /// The fresh files of a data set, whether settled or not, in the order of their first rows.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn fresh(&self, dataset: Dataset) -> io::Result<Vec<FileEntry>> {
        let listed = self.objects.list(&format!("{}/fresh/", dataset.name()))?;
        let entry = |object| FileEntry::of_fresh(dataset, object);
        Ok(listed.into_iter().filter_map(entry).collect())
    }

    /// The newest version; of an empty lake, number zero.
    ///
    /// # Errors
    /// When the place does not answer or the version is damaged.
    pub fn newest(&self) -> io::Result<Version> {
        let mut last = None;
        for _ in 0..LOOKS_MAX {
            let listed = self.objects.list(VERSIONS)?;
            let Some(newest) = listed.last() else {
                return Ok(Version::default());
            };
            match self.read(&newest.path) {
                // Nine versions have been written since the list.
                Err(error) if error.kind() == ErrorKind::NotFound => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::NotFound.into()))
    }

    /// The files of a day.
    ///
    /// # Errors
    /// When the list is gone or damaged.
    pub fn day(&self, path: &str) -> io::Result<Arc<Vec<Arc<FileEntry>>>> {
        let lock = || {
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(list) = lock().get(path) {
            return Ok(list.clone());
        }
        let list: Arc<Vec<Arc<FileEntry>>> = Arc::new(self.read(path)?);
        let mut remembered = lock();
        while remembered.len() >= REMEMBERED_MAX {
            remembered.pop_first();
        }
        remembered.insert(path.into(), list.clone());
        Ok(list)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> io::Result<T> {
        let bytes = self.objects.get(path, None)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let cause = format!("`{path}` is damaged: {error}");
            io::Error::new(ErrorKind::InvalidData, cause)
        })
    }

    /// All settled files of a version.
    ///
    /// # Errors
    /// When a list is gone or damaged.
    pub fn settled(&self, version: &Version, dataset: Dataset) -> io::Result<Vec<Arc<FileEntry>>> {
        let mut files = Vec::new();
        for day in version.days_of(dataset) {
            files.extend(self.day(&day.path)?.iter().cloned());
        }
        Ok(files)
    }

    /// Writes the version behind `base`, in which the settled files have changed so. None when
    /// somebody else was faster: nothing has changed then, and the caller decides anew.
    ///
    /// # Errors
    /// When the place does not answer; whether the version was written is not known then.
    pub fn commit(
        &self,
        base: &Version,
        change: &Change,
        unix: Duration,
    ) -> io::Result<Option<Version>> {
        let mut next = base.after(change, unix);
        for (dataset, day) in change.days() {
            let old = base.days_of(dataset).find(|list| list.day == day);
            let mut files: Vec<Arc<FileEntry>> = Vec::new();
            if let Some(old) = old {
                let stays = |file: &&Arc<FileEntry>| !change.remove.contains(&file.path);
                files.extend(self.day(&old.path)?.iter().filter(stays).cloned());
                next.removed.push(Removed::new(old.path.clone(), unix));
            }
            let added = change.add.iter();
            files.extend(added.filter(|file| file.is_of(dataset, day)).cloned());
            files.order_by(|a, b| (a.start_us, &a.path).cmp(&(b.start_us, &b.path)));
            next.days
                .retain(|list| !(list.dataset == dataset.name() && list.day == day));
            if files.is_empty() {
                continue;
            }
            let path = format!("{DAYS}{}.json", crate::objects::name(unix));
            self.objects.put_new(&path, &json(&files)?)?;
            next.days.push(DayList::new(dataset, day, path, &files));
        }
        next.days
            .order_by(|a, b| (&a.dataset, a.day).cmp(&(&b.dataset, b.day)));
        let path = version_path(next.number);
        if !self.objects.put_new(&path, &json(&next)?)? {
            return Ok(None);
        }
        if let Some(old) = next.number.checked_sub(VERSIONS_KEPT + 1)
            && old > 0
        {
            self.objects.delete(&version_path(old))?;
        }
        Ok(Some(next))
    }

    /// Removes all versions but the newest one. For deletions that leave nothing behind.
    ///
    /// # Errors
    /// When the place does not answer.
    pub fn forget_old_versions(&self) -> io::Result<()> {
        let listed = self.objects.list(VERSIONS)?;
        for old in listed.iter().rev().skip(1) {
            self.objects.delete(&old.path)?;
        }
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

/// What becomes of the settled files.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Files that count from now on.
    pub add: Vec<Arc<FileEntry>>,
    /// Settled files that count no more.
    pub removed_files: Vec<Arc<FileEntry>>,
    /// Fresh files that the added ones stand for.
    pub settled: Vec<String>,
    /// Removed files that are gone for good.
    pub gone: BTreeSet<String>,
    /// Paths of `removed_files`.
    remove: BTreeSet<String>,
}

impl Change {
    /// Names a settled file that counts no more.
    pub fn remove(&mut self, file: Arc<FileEntry>) {
        self.remove.insert(file.path.clone());
        self.removed_files.push(file);
    }

    /// Whether a settled file has been named already.
    #[must_use]
    pub fn removes(&self, path: &str) -> bool {
        self.remove.contains(path)
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.removed_files.is_empty()
            && self.settled.is_empty()
            && self.gone.is_empty()
    }

    /// Days whose list changes.
    fn days(&self) -> BTreeSet<(Dataset, i64)> {
        let files = self.add.iter().chain(&self.removed_files);
        files.filter_map(|file| file.place()).into_set()
    }
}
