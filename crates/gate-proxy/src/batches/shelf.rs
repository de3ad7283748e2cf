//! The folder with callers' files, and what the store knows of them.
//!
//! A file that comes in is written under `incoming/` and moved to `files/` once it is whole and on the
//! disk, before the store hears of it; what a process that ended left in `incoming/` is removed at the
//! next start. Everything of a batch is in `batches/`, under its id. Names are ids that were made here.

use super::{BatchData, Incoming};
use gate_ai::batch::BatchState;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_model::resources::Files;
use gate_store::StoreError;
use gate_store::files::{BatchRow, FileRow, FilesError, FilesStore, PAGE_MAX, Page, Quota};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files and batches that are forgotten in one go.
const SWEPT_MAX: usize = 100;

/// Opens the store; called again after it has been lost.
pub type OpenFiles = Box<dyn FnMut() -> Result<Box<dyn FilesStore>, StoreError> + Send>;

/// Why something could not be kept, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The disk.
    #[error("files cannot be kept: {0}")]
    Disk(#[from] io::Error),
    /// The store, or what it says of the owner.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl ShelfError {
    /// Whether another wrote it since it was read.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Files(FilesError::Stale))
    }
}

/// A result of the shelf.
pub type Kept<T> = Result<T, ShelfError>;

/// What was forgotten of an owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Files.
    pub files: u64,
    /// Batches.
    pub batches: u64,
    /// Batches that still are under way, and are to be cancelled.
    pub open: u64,
}

/// The next page of what an owner has, the oldest first.
fn page_of<'a>(owner: &'a str, after: Option<&'a str>) -> Page<'a> {
    Page {
        owner,
        of: "",
        after,
        oldest_first: true,
        limit: PAGE_MAX,
    }
}

/// A new id of this kind: 128 random bits behind `kind`.
///
/// # Errors
/// Where the system has no randomness to give.
pub fn new_id(kind: &str) -> Kept<String> {
    use std::fmt::Write as _;
    let bits = random::secret::<16>();
    let bits = bits.map_err(|error| io::Error::other(error.to_string()))?;
    let mut id = kind.to_owned();
    for byte in bits {
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    Ok(id)
}

/// The folder and the store.
pub struct Shelf {
    folder: PathBuf,
    /// What the folder is known by: gateways that share a store need not share a folder.
    id: String,
    /// What this process's files on their way in begin with.
    process: String,
    settings: Arc<Files>,
    clock: Clock,
    open: OpenFiles,
    store: Option<Box<dyn FilesStore>>,
}

impl Shelf {
    /// Over a folder, which is made where it is not there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(folder: &Path, settings: Files, clock: Clock, open: OpenFiles) -> Kept<Self> {
        for part in ["", "incoming", "files", "batches"] {
            private_folder(&folder.join(part))?;
        }
        Ok(Self {
            id: folder_id(&folder.join("id"))?,
            folder: folder.to_owned(),
            process: new_id("")?,
            settings: Arc::new(settings),
            clock,
            open,
            store: None,
        })
    }

    /// Removes what earlier processes left half done. Only the process that holds the folder's lock may
    /// ask.
    ///
    /// # Errors
    /// What the disk says.
    pub fn clear_incoming(&self) -> Kept<()> {
        for entry in fs::read_dir(self.folder.join("incoming"))? {
            let entry = entry?;
            if !entry
                .file_name()
                .to_string_lossy()
                .starts_with(&self.process)
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// What the folder is known by.
    #[must_use]
    pub fn folder_id(&self) -> &str {
        &self.id
    }

    /// Settings of files and batches.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Files> {
        &self.settings
    }

    /// Now, in UNIX milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.unix().as_millis()).unwrap_or(i64::MAX)
    }

    /// What an owner may have at most.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota {
            bytes: self.settings.owner_size.bytes(),
            files: self.settings.owner_files.into(),
            batches: self.settings.owner_batches.into(),
        }
    }

    /// Asks the store. One that was lost is opened anew, next time.
    ///
    /// # Errors
    /// What it says.
    pub fn store<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn FilesStore) -> Result<T, FilesError>,
    ) -> Kept<T> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)().map_err(FilesError::from)?,
        };
        let answer = ask(&mut *store);
        if !matches!(answer, Err(FilesError::Store(_))) {
            self.store = Some(store);
        }
        Ok(answer?)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(&self) -> Kept<Incoming> {
        let path = self.folder.join("incoming").join(new_id(&self.process)?);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Incoming {
            path,
            file,
            bytes: 0,
            kept: false,
        })
    }

    /// Keeps a whole file: `row` says whose it is and what for; its bytes are counted here.
    ///
    /// # Errors
    /// [`FilesError::Quota`], what disk and store say; the file is not kept then.
    pub fn keep(&mut self, mut incoming: Incoming, mut row: FileRow) -> Kept<FileRow> {
        row.bytes = incoming.bytes;
        let path = self.file_path(&row.id);
        self.settle(&mut incoming, &path)?;
        let quota = self.quota();
        let added = self.store(|store| store.add_file(&row, &quota));
        if added.is_err() {
            fs::remove_file(&path)?;
        }
        added.map(|()| row)
    }

    /// Moves a whole file to its place in `batches/`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep_requests(&self, mut incoming: Incoming, batch: &str) -> Kept<()> {
        let path = self.batch_path(batch, "requests");
        self.settle(&mut incoming, &path)
    }

    fn settle(&self, incoming: &mut Incoming, path: &Path) -> Kept<()> {
        incoming.file.sync_all()?;
        fs::rename(&incoming.path, path)?;
        incoming.kept = true;
        self.sync_folder_of(path)
    }

    /// The file by whose lock one process alone runs the folder's batches.
    ///
    /// # Errors
    /// What the disk says.
    pub fn lock_file(&self) -> Kept<File> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        Ok(options.open(self.folder.join("lock"))?)
    }

    /// Makes names in the folder of `path` last.
    fn sync_folder_of(&self, path: &Path) -> Kept<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// Gives a batch its requests from a file, which its owner may then delete.
    ///
    /// # Errors
    /// What the disk says.
    pub fn link_requests(&self, file: &str, batch: &str) -> Kept<()> {
        let path = self.batch_path(batch, "requests");
        fs::hard_link(self.file_path(file), &path)?;
        self.sync_folder_of(&path)
    }

    /// Gives a finished part of a batch the name of a file, whose row the store then gets.
    ///
    /// # Errors
    /// What the disk says.
    pub fn move_to_files(&self, batch: &str, part: &str, file: &str) -> Kept<u64> {
        let (from, to) = (self.batch_path(batch, part), self.file_path(file));
        match fs::rename(&from, &to) {
            // It was moved before the process ended that wanted to write it down.
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => {}
            moved => moved?,
        }
        self.sync_folder_of(&to)?;
        Ok(fs::metadata(&to)?.len())
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open_file(&self, id: &str) -> Kept<File> {
        Ok(File::open(self.file_path(id))?)
    }

    /// Forgets a file, then removes it; false where there is none.
    ///
    /// # Errors
    /// What store and disk say.
    pub fn remove_file(&mut self, owner: &str, id: &str) -> Kept<bool> {
        let (owner, name) = (owner.to_owned(), id.to_owned());
        let removed = self.store(|store| store.remove_file(&owner, &name))?;
        if removed {
            remove(&self.file_path(id))?;
        }
        Ok(removed)
    }

    /// Removes what was only needed while a batch ran.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_work(&self, batch: &str) -> Kept<()> {
        for part in ["requests", "results", "theirs", "rest", "sent"] {
            remove(&self.batch_path(batch, part))?;
        }
        Ok(())
    }

    /// Removes everything of a batch but its row.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_parts(&self, batch: &str) -> Kept<()> {
        self.remove_work(batch)?;
        for part in ["output", "errors"] {
            remove(&self.batch_path(batch, part))?;
        }
        Ok(())
    }

    /// Forgets what an owner has kept until a moment: its files, and those of its batches that are over.
    /// Batches that are under way in this folder are cancelled; it is asked again until none is.
    /// With `all`, also what lies in no folder any more, or in one of another gateway.
    ///
    /// # Errors
    /// What store and disk say; what was forgotten until then stays forgotten.
    pub fn forget(&mut self, owner: &str, until_ms: i64, all: bool) -> Kept<Forgotten> {
        let mut forgotten = Forgotten::default();
        let known = |row: &BatchRow| (row.id.clone(), row.created_ms);
        for row in self.until(owner, until_ms, known, |store, page| store.batches(page))? {
            let Some(data) = BatchData::of(&row).filter(|data| all || data.folder == self.id)
            else {
                continue;
            };
            if !row.is_over {
                forgotten.open += 1;
                self.cancel(row, data)?;
                continue;
            }
            // What it answered may be younger than the moment that is meant.
            for file in [&data.output, &data.errors].into_iter().flatten() {
                forgotten.files += u64::from(self.remove_file(owner, file)?);
            }
            self.store(|store| store.remove_batch(owner, &row.id))?;
            self.remove_parts(&row.id)?;
            forgotten.batches += 1;
        }
        let known = |row: &FileRow| (row.id.clone(), row.created_ms);
        for file in self.until(owner, until_ms, known, |store, page| store.files(page))? {
            if (all || self.file_path(&file.id).exists()) && self.remove_file(owner, &file.id)? {
                forgotten.files += 1;
            }
        }
        Ok(forgotten)
    }

    /// All rows of an owner that were made until a moment, read page by page. `known` tells a row's id
    /// and when it was made.
    fn until<T>(
        &mut self,
        owner: &str,
        until_ms: i64,
        known: fn(&T) -> (String, i64),
        read: fn(&mut dyn FilesStore, &Page<'_>) -> Result<Vec<T>, FilesError>,
    ) -> Kept<Vec<T>> {
        let mut found: Vec<T> = Vec::new();
        loop {
            let after = found.last().map(|row| known(row).0);
            let page = page_of(owner, after.as_deref());
            let rows = self.store(|store| read(store, &page))?;
            let is_last = rows.len() < PAGE_MAX;
            found.extend(rows);
            if is_last {
                found.retain(|row| known(row).1 <= until_ms);
                return Ok(found);
            }
        }
    }

    /// Wants a batch cancelled, where it still can be. Its runner may write it at the same time; it is
    /// asked for again then.
    fn cancel(&mut self, mut row: BatchRow, mut data: BatchData) -> Kept<()> {
        let state = BatchState::named(&row.state);
        if !state.is_some_and(|state| state.may_become(BatchState::Cancelling)) {
            return Ok(());
        }
        let now = self.now_ms();
        data.write(&mut row, BatchState::Cancelling, now);
        match self.store(|store| store.save_batch(&row, &[], now)) {
            Err(error) if !error.is_stale() => Err(error),
            _ => Ok(()),
        }
    }

    /// Forgets files whose time is over, and batches that ended long ago; whether there may be more.
    ///
    /// # Errors
    /// What store and disk say.
    pub fn sweep(&mut self) -> Kept<bool> {
        let now = self.now_ms();
        let files = self.store(|store| store.expired_files(now, SWEPT_MAX))?;
        for file in &files {
            self.remove_file(&file.owner, &file.id)?;
        }
        let keep = i64::try_from(self.settings.keep.duration().as_millis()).unwrap_or(i64::MAX);
        let until = now.saturating_sub(keep);
        let batches = self.store(|store| store.old_batches(until, SWEPT_MAX))?;
        for batch in &batches {
            let (owner, id) = (batch.owner.clone(), batch.id.clone());
            self.store(|store| store.remove_batch(&owner, &id))?;
            self.remove_parts(&batch.id)?;
        }
        Ok(files.len() == SWEPT_MAX || batches.len() == SWEPT_MAX)
    }

    /// Where a file lies.
    #[must_use]
    pub fn file_path(&self, id: &str) -> PathBuf {
        self.folder.join("files").join(id)
    }

    /// Where a part of a batch lies.
    #[must_use]
    pub fn batch_path(&self, batch: &str, part: &str) -> PathBuf {
        self.folder.join(Self::batch_name(batch, part))
    }

    /// The same, seen from the folder: whoever has it may have it elsewhere.
    #[must_use]
    pub fn batch_name(batch: &str, part: &str) -> String {
        format!("batches/{batch}.{part}")
    }

    /// The folder, as its name was spelled.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Kept<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a folder is known by: made when it is first used, whoever comes first.
fn folder_id(path: &Path) -> Kept<String> {
    if !path.exists() {
        let id = new_id("")?;
        let aside = path.with_file_name(&id);
        fs::write(&aside, &id)?;
        let linked = fs::hard_link(&aside, path);
        fs::remove_file(&aside)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    Ok(fs::read_to_string(path)?)
}

/// Makes a folder that only its user reads.
fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
