//! The tier on disk: a file for each answer, an index of them in memory, one thread that writes.
//!
//! Files are named by their keys and written whole under another name first. A restart reads the
//! beginnings of all files back into the index, in the background: until it comes to one, that one
//! is a miss. The folder has one user at a time, whoever holds its lock; another process waits for
//! it without this tier.
//!
//! What cannot be written is not there: an older answer under the same key goes, so that no restart
//! finds it. A disk that takes nothing is left alone for a while, and costs nothing but this tier.

use super::key::Key;
use bytes::Bytes;
use gate_cache::file::{self, About};
use gate_cache::{Draft, Kept, Shelf};
use gate_flow::{CacheCounts, Purge, Purged, Services};
use gate_kit::clock::{Clock, Moment};
use gate_kit::random;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks of the index.
const LOCKS: usize = 16;
/// Writes that may wait; more are dropped, and their answers stay in memory only.
const WAITING_MAX: usize = 1_024;
/// Bytes of bodies that may wait to be written.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long nothing is written after something could not be.
const REST: Duration = Duration::from_secs(5);
/// Bytes of a file in which everything that the index needs stands.
const BEGINNING: u64 = 16 * 1024;
/// What an entry of the index takes beside its texts, and a file beside its bytes.
const OVERHEAD: usize = 4_096;
/// How often the folder's lock is tried.
const LOCK_STEP: Duration = Duration::from_secs(1);

/// The tier on disk.
pub(super) struct Disk {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
}

struct Shared {
    folder: PathBuf,
    /// What purges look at of each file, packed.
    index: Shelf<Key, Box<[u8]>>,
    counts: Arc<CacheCounts>,
    waiting_bytes: AtomicUsize,
    /// Whether the folder is ours.
    is_open: AtomicBool,
    /// When the newest purge was asked for, in milliseconds of UNIX time; held while a file is
    /// written, so that none comes to lie there that a purge meant.
    purged_ms: Mutex<u64>,
}

enum Job {
    Write(Key, Box<Draft>, Bytes),
    Remove(Key),
}

impl Disk {
    /// Opens a folder, which is made if it is not there, for so many bytes, and gives the secret that
    /// its keys are made with.
    ///
    /// # Errors
    /// What cannot be made or read.
    pub(super) fn open(
        folder: &Path,
        bytes: usize,
        counts: Arc<CacheCounts>,
    ) -> io::Result<(Self, [u8; 16])> {
        fs::create_dir_all(folder)?;
        let secret = secret(&folder.join("key"))?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            index: Shelf::new(bytes, LOCKS),
            counts,
            waiting_bytes: AtomicUsize::new(0),
            is_open: AtomicBool::new(false),
            purged_ms: Mutex::default(),
        });
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let own = shared.clone();
        std::thread::Builder::new()
            .name("cache-disk".into())
            .spawn(move || own.run(&waiting))?;
        Ok((Self { shared, jobs }, secret))
    }

    /// Whether something lies there under this key.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.shared.index.has(key)
    }

    /// Reads what lies under a key; nothing, and nothing lies there any more, where it is broken.
    pub(super) async fn read(
        &self,
        services: &Rc<dyn Services>,
        key: Key,
    ) -> Option<(Draft, Bytes)> {
        let shared = self.shared.clone();
        let place: Arc<Mutex<Option<(Draft, Bytes)>>> = Arc::default();
        let result = place.clone();
        let work = Box::new(move || {
            let stored = shared.read(key);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = stored;
        });
        services.offload(work).await.ok()?;
        place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes an answer soon. Where too many wait, nothing lies under its key any more.
    pub(super) fn write(&self, key: Key, draft: Draft, body: Bytes) {
        if !self.shared.is_open.load(Ordering::Relaxed) {
            return;
        }
        let bytes = body.len();
        let waiting = self
            .shared
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let is_sent = waiting + bytes <= WAITING_BYTES_MAX
            && self
                .jobs
                .try_send(Job::Write(key, Box::new(draft), body))
                .is_ok();
        if !is_sent {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            self.shared.counts.disk_unwritten.add(1);
            self.remove(key);
        }
    }

    /// Removes what lies under a key: from the index now, from disk soon.
    pub(super) fn remove(&self, key: Key) {
        let gone = self.shared.index.remove(&key);
        self.shared.moved(&gone);
        if !gone.gone.is_empty() && self.jobs.try_send(Job::Remove(key)).is_err() {
            self.shared.delete(key);
        }
    }

    /// Removes what a purge means, from disk as well before this returns; says how many went.
    pub(super) fn sweep(&self, purge: &Purge, route: &str) -> u64 {
        let mut purged = self.shared.purged();
        *purged = purge.at_ms.max(*purged);
        let gone = self.shared.index.retain(|_, packed| {
            !About::unpack(packed, |tags, place, stored_ms| {
                purge.means(&Purged {
                    place,
                    tags,
                    route,
                    stored_ms,
                })
            })
        });
        self.shared.moved(&gone);
        gone.gone
            .iter()
            .for_each(|(key, _)| self.shared.delete(*key));
        gone.gone.len() as u64
    }
}

impl Shared {
    fn run(&self, waiting: &Receiver<Job>) {
        let Some(_lock) = self.lock(waiting) else {
            return;
        };
        if let Err(error) = self.scan(waiting) {
            tracing::warn!(folder = %self.folder.display(), %error, "the cache's folder cannot be read");
        }
        let mut rest = None;
        while let Ok(job) = waiting.recv() {
            self.work(job, &mut rest);
        }
    }

    /// Waits for the folder's lock; nothing when the cache is gone first.
    fn lock(&self, waiting: &Receiver<Job>) -> Option<File> {
        loop {
            let file = File::create(self.folder.join("lock")).ok();
            if let Some(file) = file
                && file.try_lock().is_ok()
            {
                self.is_open.store(true, Ordering::Relaxed);
                return Some(file);
            }
            match waiting.recv_timeout(LOCK_STEP) {
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Reads the beginnings of all files into the index; work that comes meanwhile is done between.
    fn scan(&self, waiting: &Receiver<Job>) -> io::Result<()> {
        let mut rest = None;
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let path = file?.path();
                if !self.take(&path) {
                    self.counts.disk_broken.add(1);
                    // What cannot go either stays, and is none of the index.
                    let _ = fs::remove_file(path);
                }
                while let Ok(job) = waiting.try_recv() {
                    self.work(job, &mut rest);
                }
            }
        }
        Ok(())
    }

    /// Adds a file to the index; false where it is none of ours.
    fn take(&self, path: &Path) -> bool {
        let read = || -> io::Result<(Vec<u8>, u64)> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut beginning = Vec::new();
            file.take(BEGINNING).read_to_end(&mut beginning)?;
            Ok((beginning, length))
        };
        let key = path.file_name().and_then(|name| key_of(name.to_str()?));
        let (Some(key), Ok((beginning, length))) = (key, read()) else {
            return false;
        };
        let Some(about) = file::about(&beginning) else {
            return false;
        };
        if !self.index.has(&key) {
            self.add(key, &about, usize::try_from(length).unwrap_or(usize::MAX));
        }
        true
    }

    /// Reads a file; one that is broken goes.
    fn read(&self, key: Key) -> Option<(Draft, Bytes)> {
        let file = fs::read(self.path(key));
        let is_there = file.is_ok();
        let stored = file.ok().and_then(file::decode);
        match &stored {
            Some(_) => self.counts.disk_read.add(1),
            None => {
                self.counts.disk_broken.add(u64::from(is_there));
                self.drop_file(key);
            }
        }
        stored
    }

    fn add(&self, key: Key, about: &About, length: usize) {
        let weight = length.saturating_add(OVERHEAD);
        let kept = self.index.put(key, about.pack(), weight, |_| false);
        self.moved(&kept);
        kept.gone.iter().for_each(|(key, _)| self.delete(*key));
        if kept.oversized {
            self.drop_file(key);
        }
    }

    fn moved(&self, kept: &Kept<Key, Box<[u8]>>) {
        let counts = &self.counts;
        counts.disk_bytes.fetch_add(kept.bytes, Ordering::Relaxed);
        counts
            .disk_entries
            .fetch_add(kept.entries, Ordering::Relaxed);
    }

    /// Does what waits. `rest` is until when nothing is written, after something could not be.
    fn work(&self, job: Job, rest: &mut Option<Moment>) {
        let (key, draft, body) = match job {
            Job::Remove(key) => return self.delete(key),
            Job::Write(key, draft, body) => (key, draft, body),
        };
        self.waiting_bytes.fetch_sub(body.len(), Ordering::Relaxed);
        let now = Clock::System.now();
        if rest.is_some_and(|until| now < until) {
            self.counts.disk_unwritten.add(1);
            return self.drop_file(key);
        }
        let purged = self.purged();
        if draft.stored_ms <= *purged {
            return;
        }
        let bytes = file::encode(&draft, &body);
        if let Err(error) = self.write(key, &bytes) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "a kept answer was not written; the disk rests");
            self.counts.disk_unwritten.add(1);
            *rest = Some(now.plus(REST));
            return self.drop_file(key);
        }
        let about = About {
            place: draft.place,
            tags: draft.tags.into(),
            stored_ms: draft.stored_ms,
        };
        self.add(key, &about, bytes.len());
    }

    /// Takes a file out of the index and off the disk.
    fn drop_file(&self, key: Key) {
        self.moved(&self.index.remove(&key));
        self.delete(key);
    }

    fn purged(&self) -> MutexGuard<'_, u64> {
        self.purged_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let unfinished = self.folder.join("unfinished");
        let written = File::create(&unfinished).and_then(|mut file| file.write_all(bytes));
        if let Err(error) = written {
            // A part of it would only take room from others.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        fs::rename(unfinished, path)
    }

    fn delete(&self, key: Key) {
        // What is not there any more need not go.
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: Key) -> PathBuf {
        let name = format!("{:016x}{:016x}", key.0[0], key.0[1]);
        self.folder.join(&name[..2]).join(name)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The gauges tell of what is there for somebody.
        self.moved(&self.index.retain(|_, _| false));
    }
}

fn key_of(name: &str) -> Option<Key> {
    let (first, second) = name.split_at_checked(16)?;
    let part = |text| u64::from_str_radix(text, 16).ok();
    (second.len() == 16).then(|| Some(Key([part(first)?, part(second)?])))?
}

/// The secret of a folder's keys, made when there is none.
fn secret(path: &Path) -> io::Result<[u8; 16]> {
    if let Ok(known) = fs::read(path)
        && let Ok(secret) = known.try_into()
    {
        return Ok(secret);
    }
    let secret: [u8; 16] = random::secret().map_err(|error| io::Error::other(error.to_string()))?;
    fs::write(path, secret)?;
    Ok(secret)
}
