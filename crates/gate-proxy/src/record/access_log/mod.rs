//! The access log: one row per finished exchange, written by one thread in batches.
//!
//! Workers only queue rows; a sink that is slow or dead costs rows, which are counted, and never a
//! request. Settings change without losing what is queued. How a row looks: [`format`].

mod apis;
mod format;
#[cfg(test)]
mod tests;

use super::finished_within;
use super::row::Row;
use gate_kit::queue::BoundedQueue;
use gate_model::resources::{AccessLog, LogFormat, LogSink};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows that may wait. A row takes about 1 KiB, at most 12 KiB.
const ROWS_MAX: usize = 8192;
/// Rows written with one system call.
const BATCH: usize = 1024;
/// How long rows gather after a batch, so that a busy gateway writes and wakes 50 times a second
/// and not once per request.
const LINGER: Duration = Duration::from_millis(20);
/// How long the thread sleeps on an empty queue before it looks at new settings and SIGHUP.
const PATIENCE: Duration = Duration::from_millis(250);

/// Settings of a log whose sink has been opened.
#[derive(Debug)]
pub(super) struct LogTarget {
    format: LogFormat,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stdout,
    File {
        path: PathBuf,
        file: File,
    },
    #[cfg(test)]
    Other(tests::TestSink),
}

impl LogTarget {
    /// Opens the sink. Relative paths start from `folder`.
    ///
    /// # Errors
    /// A sentence naming the file, when it cannot be opened for appending.
    pub(super) fn open(settings: &AccessLog, folder: &Path) -> Result<Self, String> {
        let sink = match &settings.to {
            LogSink::Stdout {} => Sink::Stdout,
            LogSink::File { path } => {
                let path = folder.join(path);
                let file = append_to(&path).map_err(|error| {
                    format!(
                        "the access log `{}` cannot be opened: {error}",
                        path.display()
                    )
                })?;
                Sink::File { path, file }
            }
        };
        Ok(Self {
            format: settings.format,
            sink,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Sink::File { file, .. } => file.write_all(bytes),
            #[cfg(test)]
            Sink::Other(sink) => sink.write_all(bytes),
        }
    }

    /// Opens the file again under its name; keeps the old one when that fails.
    fn reopen(&mut self) {
        if let Sink::File { path, file } = &mut self.sink
            && let Ok(new) = append_to(path)
        {
            *file = new;
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The log's queue and its thread, which starts with the first target.
pub(super) struct LogWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: BoundedQueue<Arc<Row>>,
    /// A new target, not yet taken up.
    next: Mutex<Option<LogTarget>>,
    reopen: AtomicBool,
    closed: AtomicBool,
    written: AtomicU64,
    lost: AtomicU64,
}

impl LogWriter {
    pub(super) fn new() -> Self {
        let shared = Shared {
            queue: BoundedQueue::new(ROWS_MAX),
            next: Mutex::default(),
            reopen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            thread: Mutex::default(),
        }
    }

    /// Rows go here from now on; rows still queued may go here too.
    pub(super) fn set_target(&self, target: LogTarget) -> io::Result<()> {
        *self
            .shared
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(target);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let run = move || write_rows(&shared);
            *thread = Some(
                std::thread::Builder::new()
                    .name("access-log".into())
                    .spawn(run)?,
            );
        }
        Ok(())
    }

    /// Queues a row, or drops and counts it.
    pub(super) fn push(&self, row: Arc<Row>) {
        self.shared.queue.push(row);
    }

    /// Has the file opened again within [`PATIENCE`], after it was renamed.
    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Rows written, and rows lost to a full queue or a failing sink.
    pub(super) fn counts(&self) -> (u64, u64) {
        let lost = self.shared.lost.load(Ordering::Relaxed) + self.shared.queue.dropped();
        (self.shared.written.load(Ordering::Relaxed), lost)
    }

    /// Takes no more rows and waits until the queued ones are written, up to `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.queue.close();
        finished_within(&self.thread, patience)
    }
}

/// The thread: gathers, formats, writes.
fn write_rows(shared: &Shared) {
    let mut target = None;
    let mut rows = Vec::new();
    let mut text = Vec::new();
    loop {
        let open = shared.queue.drain(&mut rows, BATCH, PATIENCE);
        if let Some(next) = shared
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            target = Some(next);
        }
        // The thread starts after the first target was set.
        let Some(target) = &mut target else { return };
        if shared.reopen.swap(false, Ordering::AcqRel) {
            target.reopen();
        }
        if !open {
            return;
        }
        if rows.is_empty() {
            continue;
        }
        let count = rows.len() as u64;
        for row in rows.drain(..) {
            match target.format {
                LogFormat::Json => format::write_json(&mut text, &row),
                LogFormat::Text => format::write_text(&mut text, &row),
            }
        }
        let counter = if target.write(&text).is_ok() {
            &shared.written
        } else {
            &shared.lost
        };
        counter.fetch_add(count, Ordering::Relaxed);
        text.clear();
        text.shrink_to(256 * 1024);
        if count < BATCH as u64 && !shared.closed.load(Ordering::Acquire) {
            std::thread::sleep(LINGER);
        }
    }
}
