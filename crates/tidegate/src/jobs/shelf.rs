//! Where jobs are kept: one connection, which the runner and the admin API share.

use gate_kit::clock::Clock;
use gate_kit::random;
use gate_ops::job::order::{Input, Order};
use gate_ops::job::{Problem, Progress, State};
use gate_store::control::ControlError;
use gate_store::jobs::{JobQuery, JobRow, JobStore, NewJob, PAGE};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Opens the store anew.
pub(crate) type OpenJobs = Arc<dyn Fn() -> Result<Box<dyn JobStore>, ControlError> + Send + Sync>;

/// The jobs of an environment. Nobody holds the connection for longer than a question.
pub(crate) struct Shelf {
    /// The environment; `file` for a gateway that follows none.
    pub environment: String,
    /// The folder of batches that this gateway has.
    pub(super) folder: Option<Folder>,
    open: OpenJobs,
    store: Mutex<Option<Box<dyn JobStore>>>,
    /// Woken when a job was submitted, or something is wanted of one.
    changed: Notify,
}

/// A folder that files of jobs are in.
pub(super) struct Folder {
    /// What it is known by.
    pub(super) id: String,
    /// Where it is here.
    pub(super) path: PathBuf,
}

/// Why a job was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It cannot be run.
    Problem(String),
    /// The store did not take it.
    Store(ControlError),
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        Refused::Store(error)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused::Problem(problem.0)
    }
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(Clock::System.unix().as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A new job's id.
pub(crate) fn new_id() -> String {
    format!("job-{:016x}", random::bits())
}

/// Where a job stands, as its row says.
pub(crate) fn progress(row: &JobRow) -> Progress {
    serde_json::from_str(&row.progress).unwrap_or_default()
}

/// A state by its word; what a newer gateway calls otherwise counts as waiting.
pub(crate) fn state(word: &str) -> State {
    serde_json::from_value(word.into()).unwrap_or(State::Waiting)
}

impl Shelf {
    pub(super) fn new(environment: &str, open: OpenJobs, folder: Option<Folder>) -> Self {
        Self {
            environment: environment.to_owned(),
            folder,
            open,
            store: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Asks the store, which is opened where that is needed.
    ///
    /// # Errors
    /// What the store says; a connection that failed is opened anew the next time.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&mut dyn JobStore) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let mut place = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match place.take() {
            Some(store) => store,
            None => (self.open)()?,
        };
        let answer = question(&mut *store);
        if !matches!(&answer, Err(ControlError::Store(_))) {
            *place = Some(store);
        }
        answer
    }

    /// Submits a job. Its id (unless it has one), number and time are filled in; its file, if it has
    /// one, is read once to count its lines. The same key finds the job that was submitted under it
    /// before. Returns the id, and whether the job is new.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn submit(
        &self,
        mut order: Order,
        key: &str,
        name: &str,
    ) -> Result<(String, bool), Refused> {
        let mut parents = Vec::new();
        for after in &order.spec.after {
            let row = self.ask(|store| store.job(&after.job))?;
            let row = row.filter(|row| row.environment == self.environment);
            if row.as_ref().is_some_and(|row| row.folder != order.folder()) {
                let problem = format!("`{}` is a batch, which no job waits for", after.job);
                return Err(Refused::Problem(problem));
            }
            parents.push(row.map(|row| u32::try_from(row.items).unwrap_or(u32::MAX)));
        }
        let offsets = match &order.input {
            Input::Lines { .. } => {
                let (count, offsets) = lines(&self.file(&order)).map_err(Refused::Problem)?;
                order.spec.count = count;
                Some(offsets)
            }
            Input::Template { .. } => None,
        };
        if order.spec.id.is_empty() {
            order.spec.id = new_id();
        }
        order.spec.submitted_ms = now_ms();
        order.check(&parents)?;
        let spec = serde_json::to_string(&order);
        let spec = spec.map_err(|error| Refused::Problem(error.to_string()))?;
        let key = if key.is_empty() {
            order.spec.id.as_str()
        } else {
            key
        };
        let job = NewJob {
            id: &order.spec.id,
            environment: &self.environment,
            key,
            queue: &order.spec.queue,
            team: &order.spec.team,
            owner: order.call.consumer.as_deref().unwrap_or_default(),
            name,
            folder: order.folder(),
            items: order.spec.count,
            spec: &spec,
            offsets: offsets.as_deref(),
            now_ms: signed(order.spec.submitted_ms),
        };
        let submitted = self.ask(|store| store.submit(&job))?;
        self.changed.notify_one();
        Ok(submitted)
    }

    /// Where the file of a job's lines is on this machine; nowhere for a job without one.
    pub(super) fn file(&self, order: &Order) -> PathBuf {
        let Input::Lines { file, folder, .. } = &order.input else {
            return PathBuf::new();
        };
        match &self.folder {
            Some(known) if known.id == *folder => known.path.join(file),
            _ => PathBuf::from(file),
        }
    }

    /// Asks for something (`pause`, `resume`, `cancel`) of a job; whether there is one that has not ended.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn wish(&self, id: &str, wish: &str) -> Result<bool, ControlError> {
        let done = self.ask(|store| store.wish(id, wish, signed(now_ms())));
        self.changed.notify_one();
        done
    }

    /// Waits until this process was asked for something.
    pub(super) async fn wished(&self) {
        self.changed.notified().await;
    }

    /// A job of this environment.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn job(&self, id: &str) -> Result<Option<JobRow>, ControlError> {
        let row = self.ask(|store| store.job(id))?;
        Ok(row.filter(|row| row.environment == self.environment))
    }

    /// Jobs of this environment that have not ended, the newest first.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn open_jobs(&self) -> Result<Vec<JobRow>, ControlError> {
        let query = JobQuery {
            environment: &self.environment,
            open: true,
            limit: gate_store::jobs::OPEN_MAX,
            ..JobQuery::default()
        };
        self.ask(|store| store.jobs(&query))
    }

    /// What a job asks for.
    ///
    /// # Errors
    /// What the store says, or that a newer gateway wrote it otherwise.
    pub(crate) fn order(&self, row: &JobRow) -> Result<Order, String> {
        let spec = self.ask(|store| store.spec(&row.id));
        let spec = spec.map_err(|error| error.to_string())?;
        let order: Result<Order, _> = serde_json::from_str(&spec.unwrap_or_default());
        let mut order = order.map_err(|error| format!("`{}` cannot be read: {error}", row.id))?;
        order.spec.number = row.number;
        Ok(order)
    }
}

/// How many lines a file has, and where the first of each page of items begins. Memory is that of one
/// buffer.
fn lines(path: &Path) -> Result<(u32, Vec<u64>), String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(wrong)?);
    let (mut count, mut at, mut line, mut blank) = (0_u32, 0_u64, 0_u64, true);
    let mut offsets = Vec::new();
    loop {
        let buffer = reader.fill_buf().map_err(wrong)?;
        if buffer.is_empty() {
            break;
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        blank &= is_blank(&buffer[..taken]);
        reader.consume(taken);
        at += taken as u64;
        if end.is_some() {
            note(&mut count, &mut offsets, line, blank);
            (line, blank) = (at, true);
        }
    }
    note(&mut count, &mut offsets, line, blank);
    Ok((count, offsets))
}

/// Whether nothing is asked in (a part of) a line. A mark of byte order is nothing.
pub(super) fn is_blank(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    line.iter().all(u8::is_ascii_whitespace)
}

/// Counts a line that began there, unless it is blank.
fn note(count: &mut u32, offsets: &mut Vec<u64>, line: u64, blank: bool) {
    if blank {
        return;
    }
    if count.is_multiple_of(PAGE) {
        offsets.push(line);
    }
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_pages_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let text: String = (0..5_000).map(|at| format!("{{\"n\":{at}}}\n\n")).collect();
        std::fs::write(&path, text.trim_end()).unwrap();
        let (count, offsets) = lines(&path).unwrap();
        assert_eq!(count, 5_000);
        assert_eq!(offsets.len(), 2);
        let from = usize::try_from(offsets[1]).unwrap();
        assert!(text[from..].starts_with("{\"n\":4096}"));
        assert!(lines(&folder.path().join("none")).is_err());
    }
}
