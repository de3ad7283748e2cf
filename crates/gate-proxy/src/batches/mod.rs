//! Files and batches that the gateway keeps for callers of models.
//!
//! A [`Desk`] is one thread that owns the folder and a connection to the store ([`Shelf`]); workers
//! hand it work and wait for it without blocking, and so does who runs the batches, which is not known
//! here. What callers see is answered by `target/batch`.

mod data;
mod incoming;
mod left;
mod shelf;

pub use data::{BatchData, Owner, Part, Place, Relayed};
pub use incoming::Incoming;
pub use left::untouched;
pub use shelf::{Forgotten, Kept, OpenFiles, Shelf, ShelfError, new_id};

use crate::process::Process;
use arc_swap::ArcSwapOption;
use gate_ai::provider::{BatchApi, BatchFormat};
use gate_ai::{Operation, TranslateOptions};
use gate_flow::Fault;
use gate_model::fault::FaultCode;
use gate_model::resources::Files;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// How ids of files begin that were given out here.
pub const FILE: &str = "file-tg_";
/// Work that may wait for the desk.
const WAITING_MAX: usize = 256;
/// How long work may take, its wait included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Identity of the desk in the state that outlives revisions.
const IDENTITY: &str = "batches";

type Work = Box<dyn FnOnce(&mut Shelf) + Send>;

/// Where files and batches are kept. Cloning is cheap.
#[derive(Clone)]
pub struct Desk {
    work: mpsc::Sender<Work>,
    settings: Arc<Files>,
    /// What its folder is known by.
    folder_id: Arc<str>,
    folder: Arc<Path>,
    /// Woken when a batch was handed in or cancelled.
    changed: Arc<Notify>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The desk of a process, once there is one; kept in the state that outlives revisions.
#[derive(Default)]
pub struct DeskPlace {
    desk: ArcSwapOption<Desk>,
}

impl DeskPlace {
    /// That of a process.
    #[must_use]
    pub fn of(state: &gate_flow::SharedState) -> Arc<Self> {
        state.get_or_insert(IDENTITY, Self::default)
    }

    /// Says which desk it is.
    pub fn set(&self, desk: Desk) {
        self.desk.store(Some(Arc::new(desk)));
    }

    /// The desk.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Desk>> {
        self.desk.load_full()
    }
}

/// Opens the folder that `gateway.files` names, for callers to find; none where it is not set. `base` is
/// where relative paths start from.
///
/// # Errors
/// A sentence for the operator.
pub fn open(process: &Process, base: &Path, open: OpenFiles) -> Result<Option<Desk>, String> {
    let shared = process.shared();
    let settings = shared.snapshot.load().resources.gateway.files.clone();
    let Some(settings) = settings else {
        return Ok(None);
    };
    let folder = base.join(&settings.folder);
    let wrong = |error: ShelfError| format!("gateway.files: {}: {error}", folder.display());
    let shelf = Shelf::new(&folder, settings, shared.clock.clone(), open).map_err(wrong)?;
    let desk = Desk::start(shelf)?;
    DeskPlace::of(&shared.state).set(desk.clone());
    Ok(Some(desk))
}

/// A provider's model whose provider has a batch API of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTarget {
    /// The provider.
    pub provider: String,
    /// Its name for the model.
    pub model: String,
    /// The format of its batch API.
    pub format: BatchFormat,
}

/// What it takes to speak a provider's batch API.
#[derive(Debug, Clone)]
pub struct BatchAccount {
    /// The API.
    pub api: BatchApi,
    /// The path before those of the API, without a slash at its end.
    pub base: String,
    /// How requests are translated for the provider.
    pub options: TranslateOptions,
}

/// Who runs a batch's requests for this operation to a model: the first of its targets that has a batch
/// API which does, in the order that the model's strategy gives.
#[must_use]
pub fn batch_target(process: &Process, operation: Operation, model: &str) -> Option<BatchTarget> {
    let shared = process.shared();
    let now = shared.clock.now();
    shared.models.load().batch_target(operation, model, now)
}

/// How the batch API of this provider is spoken; none where it has none.
#[must_use]
pub fn batch_account(process: &Process, provider: &str) -> Option<BatchAccount> {
    process.shared().models.load().batch_account(provider)
}

impl Desk {
    /// Starts the thread.
    ///
    /// # Errors
    /// A sentence where there can be none.
    pub fn start(mut shelf: Shelf) -> Result<Self, String> {
        let settings = shelf.settings().clone();
        let folder_id = shelf.folder_id().into();
        let folder = shelf.folder().into();
        let (sender, mut receiver) = mpsc::channel::<Work>(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("files".into())
            .spawn(move || {
                while let Some(work) = receiver.blocking_recv() {
                    work(&mut shelf);
                }
            })
            .map_err(|error| format!("no thread for files: {error}"))?;
        Ok(Self {
            work: sender,
            settings,
            folder_id,
            folder,
            changed: Arc::default(),
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Has the desk's thread do something, and waits for it. Where the caller goes away, what was
    /// begun is done all the same.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] where the desk has no time for it within half a minute.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |shelf| {
            // Nobody waits any more.
            let _ = sender.send(work(shelf));
        });
        let asked = async {
            self.work.send(work).await.ok()?;
            receiver.await.ok()
        };
        let slow =
            || Fault::new(FaultCode::Overloaded).detail("files and batches are not answered");
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.ok().flatten().ok_or_else(slow)
    }

    /// The same for who may block; none where the desk has no time for it.
    pub fn ask_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let work: Work = Box::new(move |shelf| {
            // Nobody waits any more.
            let _ = sender.send(work(shelf));
        });
        self.work.try_send(work).ok()?;
        receiver.recv_timeout(PATIENCE).ok()
    }

    /// Settings of files and batches.
    #[must_use]
    pub fn settings(&self) -> &Files {
        &self.settings
    }

    /// What its folder is known by.
    #[must_use]
    pub fn folder_id(&self) -> &str {
        &self.folder_id
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says that a batch was handed in or cancelled.
    pub fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits until a batch was handed in or cancelled since the last wait.
    pub async fn change(&self) {
        self.changed.notified().await;
    }

    /// Ends the thread once everybody has let go of the desk; waits for it.
    pub fn join(self) {
        let thread = self.thread.clone();
        drop(self);
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been told.
            let _ = thread.join();
        }
    }
}
