//! Runs batches: one thread beside the workers, a task for each batch that is under way.
//!
//! A batch goes through `check` (its file is read for what is wrong), `relay` (a provider's own batch
//! API runs it, where that is wanted), `items` (its requests are asked of the gateway itself, as its
//! owner) and `finish` (its results become files). What of it has been
//! done lies in `log`, so that a process that is killed goes on where it was: a request whose result is
//! in the log is not asked again, one that was under way is. Of several processes over one folder, the
//! one with its lock runs the batches, the others wait for it.

mod check;
mod finish;
mod items;
mod log;
mod one;
mod provider;
mod relay;
mod settling;
mod source;

use super::{BatchData, Desk, DeskPlace, OpenFiles, Shelf, ShelfError};
use crate::process::Process;
use gate_ai::batch::{Api, BatchState};
use gate_store::files::BatchRow;
use std::collections::HashSet;
use std::fs::TryLockError;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
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
pub struct Running {
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

/// Opens the folder that `gateway.files` names and runs its batches; none where it is not set.
/// `base` is where relative paths start from.
///
/// # Errors
/// A sentence for the operator.
pub fn start(
    process: &Arc<Process>,
    base: &Path,
    open: OpenFiles,
) -> Result<Option<Running>, String> {
    let shared = process.shared();
    let settings = shared.snapshot.load().resources.gateway.files.clone();
    let Some(settings) = settings else {
        return Ok(None);
    };
    let folder = base.join(&settings.folder);
    let wrong =
        |error: &dyn std::fmt::Display| format!("gateway.files: {}: {error}", folder.display());
    let at_once = usize::from(settings.at_once);
    let shelf = Shelf::new(&folder, settings, shared.clock.clone(), open);
    let desk = Desk::start(shelf.map_err(|error| wrong(&error))?)?;
    DeskPlace::of(&shared.state).set(desk.clone());
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| wrong(&error))?;
    let runner = Runner {
        process: process.clone(),
        desk: Arc::new(desk),
        permits: Arc::new(Semaphore::new(at_once)),
        at_once,
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
        thread: Some(thread.map_err(|error| wrong(&error))?),
    }))
}

/// What all batches share.
#[derive(Clone)]
struct Runner {
    process: Arc<Process>,
    desk: Arc<Desk>,
    /// Requests that may be under way, of all batches together; who waits longest is next, so that
    /// batches take turns.
    permits: Arc<Semaphore>,
    at_once: usize,
}

/// Why a batch does not go on for now.
#[derive(Debug, thiserror::Error)]
enum Halt {
    /// The process is about to end.
    #[error("the process is about to end")]
    Ending,
    /// Its owner has deleted it, or what is known of it is broken.
    #[error("the batch is gone")]
    Gone,
    /// The desk has too much to do.
    #[error("files and batches are not answered")]
    Slow,
    /// Disk or store.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
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
        let mut swept = Instant::now();
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

/// Batches of this folder that are not over. Those of another one are its gateway's.
fn own_batches(shelf: &mut Shelf) -> super::Kept<Vec<BatchRow>> {
    let mut open = shelf.store(|store| store.open_batches(BATCHES_MAX))?;
    open.retain(|row| BatchData::of(row).is_none_or(|data| data.folder == shelf.folder_id()));
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
        let rest = self.items().await?;
        self.finish(rest).await
    }

    /// Has the shelf do something.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf) -> super::Kept<T> + Send + 'static,
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
