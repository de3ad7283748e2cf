//! Runs batches: one thread beside the workers, a task for each batch that is under way.
//!
//! A batch goes through `check` (its file is read for what is wrong), `relay` (a provider's own batch
//! API runs it, where that is wanted; `theirs` keeps what it answered), `ours` (its requests are a job,
//! which `crate::jobs` runs beside all others) and `finish` (what was answered becomes files). Each of
//! them may be cut off by a kill and is done again with the same outcome. Of several processes over one
//! folder, the one with its lock leads the batches through, the others wait for it.

mod check;
mod finish;
mod left;
mod ours;
mod provider;
mod relay;
mod source;
mod theirs;

use crate::config::Secrets;
use crate::jobs;
use gate_ai::batch::{Api, BatchState};
use gate_proxy::batches::{BatchData, Desk, Kept, Shelf, ShelfError};
use gate_proxy::money::store::open_files;
use gate_proxy::process::Process;
use gate_proxy::record::metrics::BatchCounts;
use gate_store::control::ControlError;
use gate_store::files::BatchRow;
use std::collections::HashSet;
use std::fmt;
use std::fs::TryLockError;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

/// Batches that are under way at a time; further ones wait for their turn.
const BATCHES_MAX: usize = 256;
/// How often the list of batches is looked at, where nobody says that it changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often files and batches are looked at whose time is over.
const SWEEP: Duration = Duration::from_secs(30);
/// The pause after something that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Batches that run; dropped, they stop where they are, and go on in the next process.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told.
            let _ = thread.join();
        }
    }
}

/// Opens the folder of callers' files, where there is one.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn open(process: &Process, folder: &Path) -> Result<Option<Desk>, String> {
    let gateway = process.shared().snapshot.load().resources.gateway.clone();
    let Some(settings) = gateway.store else {
        return Ok(None);
    };
    let base = folder.to_owned();
    let open = move || open_files(&settings, &Secrets, &base);
    gate_proxy::batches::open(process, folder, Box::new(open))
}

/// Runs the batches of a folder; none where there is no folder, or nothing to keep jobs in.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn start(
    process: &Arc<Process>,
    desk: Option<Desk>,
    jobs: Option<&Arc<jobs::Shelf>>,
) -> Result<Option<Running>, String> {
    let Some((desk, jobs)) = desk.zip(jobs) else {
        return Ok(None);
    };
    let wrong = |error: std::io::Error| format!("cannot run batches: {error}");
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(wrong)?;
    let runner = Runner {
        process: process.clone(),
        desk: Arc::new(desk),
        jobs: jobs.clone(),
        counts: process
            .shared()
            .state
            .get_or_insert("", BatchCounts::default),
    };
    let run = move || {
        LocalSet::new().block_on(&runtime, async move {
            tokio::select! {
                // Dropped, the sender says so as well.
                _ = stopped => {}
                () = runner.run() => {}
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("batches".into())
        .spawn(run);
    Ok(Some(Running {
        stop: Some(stop),
        thread: Some(thread.map_err(wrong)?),
    }))
}

/// What all batches share.
#[derive(Clone)]
struct Runner {
    process: Arc<Process>,
    desk: Arc<Desk>,
    /// Who runs their requests.
    jobs: Arc<jobs::Shelf>,
    counts: Arc<BatchCounts>,
}

/// Why a batch does not go on for now.
#[derive(Debug)]
enum Halt {
    /// The process is about to end.
    Ending,
    /// Its owner has deleted it, or what is known of it is broken.
    Gone,
    /// The desk has too much to do.
    Slow,
    /// Disk or store.
    Shelf(ShelfError),
    /// Its job cannot be kept or asked for.
    Job(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending => f.write_str("the process is about to end"),
            Self::Gone => f.write_str("the batch is gone"),
            Self::Slow => f.write_str("files and batches are not answered"),
            Self::Shelf(error) => error.fmt(f),
            Self::Job(error) => write!(f, "its job: {error}"),
        }
    }
}

impl From<ShelfError> for Halt {
    fn from(error: ShelfError) -> Self {
        Self::Shelf(error)
    }
}

impl From<ControlError> for Halt {
    fn from(error: ControlError) -> Self {
        Self::Job(error.to_string())
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        Self::Shelf(error.into())
    }
}

impl Runner {
    async fn run(self) {
        let _lock = self.lock().await;
        let cleared = self.desk.ask(|shelf| shelf.clear_incoming()).await;
        if let Ok(Err(error)) = cleared {
            tracing::warn!(%error, "what an earlier process left of files is not removed");
        }
        let (ended, mut ends) = mpsc::channel::<String>(BATCHES_MAX);
        let mut under_way = HashSet::new();
        let (mut swept, mut looked) = (Instant::now(), None::<Instant>);
        loop {
            let open = self.desk.ask(own_batches);
            let open = match open.await {
                Ok(Ok(open)) => open,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "batches wait");
                    sleep(PAUSE).await;
                    continue;
                }
                Err(_) => continue,
            };
            let kinds = open
                .iter()
                .map(|row| kind(row, BatchData::of(row).as_ref()));
            self.counts.open(kinds);
            for row in open {
                if under_way.len() < BATCHES_MAX && under_way.insert(row.id.clone()) {
                    let (runner, ended) = (self.clone(), ended.clone());
                    tokio::task::spawn_local(async move {
                        let id = row.id.clone();
                        runner.take(row).await;
                        // The list is read again anyway.
                        let _ = ended.send(id).await;
                    });
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep().await;
            }
            if looked.is_none_or(|at| at.elapsed() >= left::EVERY) {
                looked = Some(Instant::now());
                self.remove_left().await;
            }
            tokio::select! {
                Some(id) = ends.recv() => {
                    under_way.remove(&id);
                }
                () = self.desk.change() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Waits until no other process runs the folder's batches. The lock goes with the process.
    async fn lock(&self) -> Option<std::fs::File> {
        loop {
            if let Ok(Ok(file)) = self.desk.ask(|shelf| shelf.lock_file()).await {
                match file.try_lock() {
                    Ok(()) => return Some(file),
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => {
                        tracing::error!(%error, "the folder of files cannot be locked");
                    }
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn sweep(&self) {
        loop {
            match self.desk.ask(|shelf| shelf.sweep()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "old files are not removed");
                    return;
                }
            }
        }
    }

    /// Brings a batch as far as it comes.
    async fn take(&self, row: BatchRow) {
        let id = row.id.clone();
        let Some(mut batch) = Batch::of(self, row) else {
            tracing::error!(
                batch = id,
                "what is known of a batch cannot be read; it is left"
            );
            // Others must not wait for it.
            std::future::pending::<()>().await;
            return;
        };
        match batch.run().await {
            Ok(()) | Err(Halt::Gone) => {}
            // The next process goes on with it.
            Err(Halt::Ending) => std::future::pending().await,
            Err(error) => {
                tracing::warn!(batch = id, %error, "a batch waits");
                sleep(PAUSE).await;
            }
        }
    }
}

/// How a batch is counted: its API, its state, and who runs it.
fn kind(row: &BatchRow, data: Option<&BatchData>) -> (&'static str, &'static str, &'static str) {
    let api = Api::named(&row.api).unwrap_or(Api::OpenAi);
    let state = BatchState::named(&row.state).unwrap_or(BatchState::Failed);
    let relayed = data.and_then(|data| data.relayed.as_ref());
    let by = match relayed.is_some_and(|relayed| !relayed.is_over || relayed.left == 0) {
        true => "provider",
        false => "gateway",
    };
    (api.as_str(), state.as_str(), by)
}

/// Batches of this folder that are not over. Those of another one are its gateway's.
fn own_batches(shelf: &mut Shelf) -> Kept<Vec<BatchRow>> {
    let folder = shelf.folder_id().to_owned();
    let mut open = shelf.store(|store| store.open_batches(&folder, BATCHES_MAX))?;
    open.retain(|row| BatchData::of(row).is_none_or(|data| data.folder == folder));
    Ok(open)
}

/// A batch on its way.
struct Batch<'a> {
    runner: &'a Runner,
    row: BatchRow,
    data: BatchData,
    api: Api,
}

impl<'a> Batch<'a> {
    fn of(runner: &'a Runner, row: BatchRow) -> Option<Self> {
        Some(Self {
            runner,
            data: BatchData::of(&row)?,
            api: Api::named(&row.api)?,
            row,
        })
    }

    fn state(&self) -> BatchState {
        BatchState::named(&self.row.state).unwrap_or(BatchState::Failed)
    }

    async fn run(&mut self) -> Result<(), Halt> {
        if self.state() == BatchState::Validating {
            self.check().await?;
        }
        if self.state().is_over() {
            return Ok(());
        }
        self.relay().await?;
        let rest = self.ours().await?;
        self.finish(rest).await
    }

    /// Has the shelf do something.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf) -> Kept<T> + Send + 'static,
    ) -> Result<T, Halt> {
        let asked = self.runner.desk.ask(work).await.map_err(|_| Halt::Slow)?;
        Ok(asked?)
    }

    async fn now_ms(&self) -> Result<i64, Halt> {
        self.ask(|shelf| Ok(shelf.now_ms())).await
    }

    /// Writes what is known of it, in its state or the next one. Where its owner has cancelled it
    /// meanwhile, that stays, and the caller sees it in `state`.
    async fn save(&mut self, next: Option<BatchState>) -> Result<(), Halt> {
        loop {
            let now = self.now_ms().await?;
            let state = next.filter(|next| self.state().may_become(*next));
            match state {
                Some(state) => self.data.write(&mut self.row, state, now),
                None => self.data.keep(&mut self.row),
            }
            let row = self.row.clone();
            let saved =
                self.ask(move |shelf| shelf.store(|store| store.save_batch(&row, &[], now)));
            match saved.await {
                Ok(version) => {
                    self.row.version = version;
                    return Ok(());
                }
                Err(Halt::Shelf(error)) if error.is_stale() => self.look().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes over what its owner has changed.
    async fn look(&mut self) -> Result<(), Halt> {
        let (owner, id) = (self.row.owner.clone(), self.row.id.clone());
        let found = self.ask(move |shelf| shelf.store(|store| store.batch(&owner, &id)));
        let row = found.await?.ok_or(Halt::Gone)?;
        if row.version != self.row.version {
            let data = BatchData::of(&row).ok_or(Halt::Gone)?;
            self.data.times.cancelling = data.times.cancelling;
            self.row = row;
        }
        Ok(())
    }
}
