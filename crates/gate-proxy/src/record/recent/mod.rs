//! Recent records, kept on this machine: for searches, and so that a plan can say what a change
//! would have done to them.
//!
//! A worker copies what the running snapshot's rules read of a request and queues it; one thread
//! hashes credentials, writes lines ([`line`]) and compresses them into segments ([`segment`]).
//! A full queue costs rows, which are counted, and never a request. A row is found about a second
//! after its exchange ended.

mod encode;
pub mod forget;
pub(crate) mod keeps;
pub mod line;
pub mod search;
pub mod secret;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use encode::Item;
pub(crate) use keeps::with_keeps;

use super::finished_within;
use encode::Encoder;
use forget::Wanted;
use gate_kit::clock::{Clock, Moment};
use gate_kit::queue::BoundedQueue;
use gate_model::resources::Records;
use line::{Basis, Line};
use search::Place;
use secret::Secret;
use segment::{FRAME_BYTES, Segment, Segments};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows that may wait. A row takes about 1 KiB, at most 80 KiB.
const ROWS_MAX: usize = 8192;
/// Rows taken at a time.
const BATCH: usize = 1024;
/// How long rows gather, so that a busy gateway wakes the thread 50 times a second and not once
/// per request.
const LINGER: Duration = Duration::from_millis(20);
/// How long the thread sleeps on an empty queue.
const PATIENCE: Duration = Duration::from_millis(250);
/// How old lines may get before they are written.
const AGE_MAX: Duration = Duration::from_secs(1);

/// A folder for records, opened and checked.
#[derive(Debug)]
pub(super) struct RecordsTarget {
    folder: PathBuf,
    secret: Secret,
    segments: Segments,
}

impl RecordsTarget {
    /// Opens the folder, and makes it and its key if need be. A relative path starts from `folder`.
    ///
    /// # Errors
    /// A sentence naming what cannot be opened.
    pub(super) fn open(settings: &Records, folder: &Path) -> Result<Self, String> {
        let folder = folder.join(&settings.folder);
        let failed =
            |error: io::Error| format!("the records' folder `{}`: {error}", folder.display());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(failed)?;
        segment::list(&folder).map_err(failed)?;
        Ok(Self {
            secret: Secret::open(&folder)?,
            segments: Segments::new(folder.clone(), settings.size.bytes()),
            folder,
        })
    }
}

/// The queue of records and its thread, which starts with the first folder.
pub(super) struct RecordsWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: BoundedQueue<Item>,
    /// A new folder, not yet taken up.
    next: Mutex<Option<RecordsTarget>>,
    folder: Mutex<Option<PathBuf>>,
    /// Those who wait until everything that is queued is in segments that are not written to again.
    sealing: Mutex<Vec<Sealing>>,
    clock: Clock,
    written: AtomicU64,
    lost: AtomicU64,
}

/// Who waits for a seal, and how often the queue was emptied since.
struct Sealing {
    drains: usize,
    done: SyncSender<()>,
}

impl RecordsWriter {
    pub(super) fn new(clock: Clock) -> Self {
        let shared = Shared {
            queue: BoundedQueue::new(ROWS_MAX),
            next: Mutex::default(),
            folder: Mutex::default(),
            sealing: Mutex::default(),
            clock,
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            thread: Mutex::default(),
        }
    }

    /// Rows go to this folder from now on.
    pub(super) fn set_target(&self, target: RecordsTarget) -> io::Result<()> {
        *lock(&self.shared.folder) = Some(target.folder.clone());
        *lock(&self.shared.next) = Some(target);
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = self.shared.clone();
            let run = move || write_rows(&shared);
            *thread = Some(
                std::thread::Builder::new()
                    .name("records".into())
                    .spawn(run)?,
            );
        }
        Ok(())
    }

    /// Queues a row, or drops and counts it.
    pub(super) fn push(&self, item: Item) {
        self.shared.queue.push(item);
    }

    /// Where rows go; none when none are kept.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        lock(&self.shared.folder).clone()
    }

    /// Deletes what consumers have left of rows that ended until now, those included that wait to be
    /// written; says how many rows that were, none where no rows are kept. Blocks: reads and writes as
    /// much as is kept, beside the thread that writes new rows.
    ///
    /// # Errors
    /// A sentence, when the disk or the thread fails; it can be asked for again.
    pub(super) fn forget(
        &self,
        wanted: &Wanted,
        patience: Duration,
    ) -> Result<Option<u64>, String> {
        let Some(folder) = self.folder() else {
            return Ok(None);
        };
        let (done, sealed) = sync_channel(1);
        lock(&self.shared.sealing).push(Sealing { drains: 0, done });
        if sealed.recv_timeout(patience).is_err() {
            return Err("rows that wait could not be written".into());
        }
        let failed = |error: io::Error| format!("`{}`: {error}", folder.display());
        let newest = segment::list(&folder).map_err(failed)?.pop();
        let newest = newest.map_or(0, |(number, _)| number);
        forget::without(&folder, newest, wanted)
            .map(Some)
            .map_err(failed)
    }

    /// Rows written, and rows lost to a full queue or a failing disk.
    pub(super) fn counts(&self) -> (u64, u64) {
        let lost = self.shared.lost.load(Ordering::Relaxed) + self.shared.queue.dropped();
        (self.shared.written.load(Ordering::Relaxed), lost)
    }

    /// Takes no more rows and waits until the queued ones are written, up to `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        self.shared.queue.close();
        finished_within(&self.thread, patience)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines that wait for their frame.
#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    rows: u64,
    since: Option<Moment>,
    encoder: Encoder,
}

impl Pending {
    fn add(&mut self, item: &Item, target: &RecordsTarget, now: Moment) {
        if self.rows == 0 {
            self.since = Some(now);
            if target.segments.begins() {
                self.encoder.begin();
            }
        }
        self.encoder.append(&mut self.lines, item, &target.secret);
        self.rows += 1;
    }

    fn is_due(&self, now: Moment) -> bool {
        self.lines.len() >= FRAME_BYTES || self.since.is_some_and(|at| now.since(at) >= AGE_MAX)
    }

    fn write(&mut self, target: &mut RecordsTarget, shared: &Shared) {
        let rows = std::mem::take(&mut self.rows);
        self.since = None;
        if rows == 0 {
            return;
        }
        let counter = match target.segments.append(&self.lines) {
            Ok(()) => &shared.written,
            Err(error) => {
                tracing::warn!(%error, rows, "kept records were lost");
                self.encoder.begin();
                &shared.lost
            }
        };
        counter.fetch_add(rows, Ordering::Relaxed);
        self.lines.clear();
        self.lines.shrink_to(2 * FRAME_BYTES);
    }
}

/// The thread: gathers, hashes, writes.
fn write_rows(shared: &Shared) {
    let mut target: Option<RecordsTarget> = None;
    let mut pending = Pending::default();
    let mut items = Vec::new();
    loop {
        let open = shared.queue.drain(&mut items, BATCH, PATIENCE);
        if let Some(next) = lock(&shared.next).take() {
            if let Some(target) = &mut target {
                pending.write(target, shared);
            }
            pending.encoder.begin();
            target = Some(next);
        }
        // The thread starts after the first folder was set.
        let Some(target) = &mut target else { return };
        let count = items.len();
        for item in items.drain(..) {
            pending.add(&item, target, shared.clock.now());
            if pending.lines.len() >= FRAME_BYTES {
                pending.write(target, shared);
            }
        }
        if !open || pending.is_due(shared.clock.now()) {
            pending.write(target, shared);
        }
        seal(shared, target, &mut pending, count);
        if !open {
            return;
        }
        if count > 0 && count < BATCH {
            std::thread::sleep(LINGER);
        }
    }
}

/// Writes what waits and lets go of the open segment, where somebody asked for that and the queue was
/// empty since, or was emptied as often as it can have been full.
fn seal(shared: &Shared, target: &mut RecordsTarget, pending: &mut Pending, count: usize) {
    let mut sealing = lock(&shared.sealing);
    for one in sealing.iter_mut() {
        one.drains += 1;
    }
    let is_ready = |one: &mut Sealing| count < BATCH || one.drains > ROWS_MAX / BATCH;
    let ready: Vec<Sealing> = sealing.extract_if(.., is_ready).collect();
    drop(sealing);
    if ready.is_empty() {
        return;
    }
    pending.write(target, shared);
    target.segments.seal();
    for one in ready {
        // It may have given up.
        let _ = one.done.try_send(());
    }
}

/// Goes through the newest rows of a folder, at most `most`, oldest first, each with its basis.
/// Rows that cannot be read are passed over.
///
/// # Errors
/// When the folder cannot be listed.
pub fn replay(
    folder: &Path,
    most: u64,
    mut visit: impl FnMut(&Basis, &Place, &Line<'_>),
) -> io::Result<()> {
    let mut segments = Vec::new();
    let mut rows: u64 = 0;
    // Newest first, until there are enough; a segment takes a few megabytes compressed.
    for (number, path) in segment::list(folder)?.into_iter().rev() {
        let Ok(segment) = Segment::read(&path) else {
            continue;
        };
        let lines = |text: String| text.lines().filter(|line| !search::is_basis(line)).count();
        let frames = segment.frames.iter();
        let counts: Vec<u64> = frames
            .map(|&frame| segment.lines(frame).map_or(0, |text| lines(text) as u64))
            .collect();
        rows += counts.iter().sum::<u64>();
        segments.push((number, segment));
        if rows >= most {
            break;
        }
    }
    let mut skip = rows.saturating_sub(most);
    for (number, segment) in segments.into_iter().rev() {
        let mut bases: Vec<Basis> = Vec::new();
        for &frame in &segment.frames {
            let Some(text) = segment.lines(frame) else {
                continue;
            };
            for (index, line) in text.lines().enumerate() {
                if search::is_basis(line) {
                    bases.extend(serde_json::from_str::<Basis>(line));
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let Ok(line) = serde_json::from_str::<Line<'_>>(line) else {
                    continue;
                };
                let basis = bases.iter().rev().find(|known| known.basis == line.basis);
                if let Some(basis) = basis {
                    visit(basis, &Place(number, frame.offset, index), &line);
                }
            }
        }
    }
    Ok(())
}
