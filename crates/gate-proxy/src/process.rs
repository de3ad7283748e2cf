//! The process around the workers: start, reload, hand-over, drain.
//!
//! A reload compiles the new document completely aside and swaps one pointer at the end; whatever
//! fails before that leaves everything as it was. Workers hear about listeners only.

mod files;
mod listeners;

pub use listeners::listener_path;

use crate::actions::Actions;
use crate::compile::{Compiled, Compiler, Registry};
use crate::events::Keeper;
use crate::experiments::Experiments;
use crate::listener::ListenerState;
use crate::money::metrics;
use crate::money::store::open_books;
use crate::objectives;
use crate::quic;
use crate::record::Readers;
use crate::record::admin::Health;
use crate::record::metrics::{
    BatchCounts, Exposition, Format, JobCounts, NoticeCounts, SubscriberCounts, cache,
    certificates, contract, jobs, journal, notices, products, subscribers,
};
use crate::secret_files::SecretFiles;
use crate::target::mcp::stdio::Host;
use crate::target::model::Models;
use crate::trials::Trials;
use crate::upstream::{Upstream, health};
use crate::versions::{Files, KeptFiles};
use crate::worker::{self, Command};
use arc_swap::ArcSwap;
use gate_flow::{SecretSource, SharedState, Snapshot};
use gate_kit::clock::Clock;
use gate_kit::order::Order;
use gate_model::document::Document;
use gate_model::finding::Finding;
use gate_model::resources::Gateway;
use gate_net::dns::Dns;
use gate_net::handover::Inheritance;
use gate_net::tls::{ClientTls, ClientTlsOptions};
use gate_store::{Books, Journal};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Upstreams by name.
pub type Upstreams = HashMap<Arc<str>, Arc<Upstream>>;

/// What all workers share.
pub struct Shared {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Its upstreams.
    pub upstreams: ArcSwap<Upstreams>,
    /// Its providers and models.
    pub(crate) models: ArcSwap<Models>,
    /// The candidate beside it, while a rollout is under way.
    pub trials: Trials,
    /// Failures that are brought about on purpose.
    pub experiments: Experiments,
    /// What is done about trouble for a while.
    pub actions: Actions,
    /// The clock of the process.
    pub clock: Clock,
    /// Readers of finished records.
    pub readers: Readers,
    /// State that outlives revisions.
    pub state: SharedState,
    /// Name resolution.
    pub dns: Dns,
    /// TLS towards public services that policies fetch from.
    pub fetch_tls: ClientTls,
    /// Bounds CPU-heavy work off the workers.
    pub offload: Arc<Semaphore>,
    /// Number of workers.
    pub workers: usize,
    /// The ledger, where there is a store.
    pub books: Option<Arc<Books>>,
    /// The journal, once it is open, where there is a store. Whoever appends to it from a worker
    /// waits for its ticket in a task.
    pub journal: OnceLock<Arc<Journal>>,
    /// Whether the journal answered of late.
    pub(crate) keeper: Keeper,
    open: Vec<AtomicUsize>,
    draining: AtomicBool,
}

impl Shared {
    /// Counts a connection (or an HTTP/2 stream) of a worker in.
    pub fn connection_opened(&self, worker: usize) {
        self.open[worker].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts it out.
    pub fn connection_closed(&self, worker: usize) {
        self.open[worker].fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the process is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Connections and streams of a worker.
    #[must_use]
    pub fn connections_of(&self, worker: usize) -> usize {
        self.open[worker].load(Ordering::Relaxed)
    }
}

/// How a process is set up.
pub struct Setup {
    /// Kinds of policies, and the compiler of conditions.
    pub registry: Registry,
    /// Folder that relative paths in the document start from.
    pub folder: PathBuf,
    /// Where secrets come from.
    pub secrets: Box<dyn SecretSource + Send + Sync>,
    /// The clock.
    pub clock: Clock,
    /// Sockets of a predecessor to take over.
    pub inheritance: Option<Inheritance>,
}

/// A revision of an environment, as records, metrics and acknowledgements name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionName {
    /// Its number in the store.
    pub number: u64,
    /// SHA-256 of its canonical JSON, in hexadecimal: of what is kept, before variables.
    pub digest: String,
}

/// Why a process cannot start or reload.
#[derive(Debug)]
pub enum StartError {
    /// The document is not valid.
    Findings(Vec<Finding>),
    /// Something else failed, named.
    Other(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Other(text) => f.write_str(text),
            StartError::Findings(findings) => {
                for (index, finding) in findings.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{finding}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for StartError {}

/// A running gateway.
pub struct Process {
    shared: Arc<Shared>,
    setup: Setup,
    secret_files: SecretFiles,
    /// The files of APIs' documents that are in force.
    files: Mutex<Arc<Files>>,
    listeners: Mutex<HashMap<String, Arc<ListenerState>>>,
    commands: Vec<mpsc::Sender<Command>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    checks: tokio::sync::mpsc::UnboundedSender<Arc<Upstream>>,
    revision: AtomicU64,
    /// Held over a reload, so that two never mix.
    reloading: Mutex<()>,
    ready: AtomicBool,
}

impl Process {
    /// Compiles a document, binds its listeners and starts serving.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub fn start(document: &Document, setup: Setup) -> Result<Arc<Self>, StartError> {
        Self::start_revision(document, None, setup)
    }

    /// Like [`Process::start`], with a document that holds a revision of an environment.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub fn start_revision(
        document: &Document,
        revision: Option<&RevisionName>,
        mut setup: Setup,
    ) -> Result<Arc<Self>, StartError> {
        let other = |error: String| StartError::Other(error);
        let fetch_tls =
            ClientTls::load(&ClientTlsOptions::default()).map_err(|e| other(e.to_string()))?;
        let clock = setup.clock.clone();
        let dns = Dns::system(clock.clone());
        let readers = Readers::new(clock.clone(), fetch_tls.config());
        let state = SharedState::default();
        let secret_files = SecretFiles::default();
        let compiler = Compiler {
            registry: &setup.registry,
            state: &state,
            secrets: &secret_files.watch(&*setup.secrets),
            clock: &clock,
            dns: &dns,
            folder: &setup.folder,
            books: None,
        };
        let number = revision.map_or(1, |revision| revision.number);
        let (mut compiled, books) = compile_first(document, number, &compiler)?;
        name(&mut compiled, revision);
        let gateway = &compiled.snapshot.resources.gateway;
        if !gateway.name_servers.is_empty() {
            dns.ask_only(&gateway.name_servers);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = gateway.workers.map_or(cores, usize::from).clamp(1, 256);
        let prepared = readers
            .prepare(gateway, &setup.folder, &*setup.secrets)
            .map_err(|e| other(e.to_string()))?;
        readers.apply(prepared).map_err(|e| other(e.to_string()))?;
        readers.lake().watch(&compiled.snapshot.resources);
        readers
            .metrics()
            .config_applied(number, &compiled.snapshot.digest);
        let inheritance = setup.inheritance.take();
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::new(compiled.snapshot),
            upstreams: ArcSwap::from_pointee(compiled.upstreams),
            models: ArcSwap::from_pointee(compiled.models),
            trials: Trials::default(),
            experiments: Experiments::default(),
            actions: Actions::default(),
            clock,
            readers,
            state,
            dns,
            fetch_tls,
            offload: Arc::new(Semaphore::new(256)),
            workers,
            books,
            journal: OnceLock::new(),
            keeper: Keeper::default(),
            open: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            draining: AtomicBool::new(false),
        });
        shared.experiments.set(compiled.experiments);
        if let Some(books) = &shared.books {
            books.watch_callers(shared.readers.caller_source());
        }
        let checks = start_checks();
        let (commands, threads) = start_workers(&shared).map_err(other)?;
        let process = Arc::new(Self {
            shared,
            setup,
            secret_files,
            files: Mutex::default(),
            listeners: Mutex::default(),
            commands,
            threads: Mutex::new(threads),
            checks,
            revision: AtomicU64::new(number),
            reloading: Mutex::default(),
            ready: AtomicBool::new(true),
        });
        process.remember_files(&Files::new());
        let bound = process.listen(compiled.listeners, inheritance);
        if let Err(error) = bound {
            process.drain(Duration::ZERO);
            return Err(other(error));
        }
        process.watch_health();
        Ok(process)
    }

    /// What workers share, for the admin pages and tests.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The metrics page, with the families of budgets and of caches.
    #[must_use]
    pub fn metrics_page(&self, format: Format) -> Vec<u8> {
        let caches = self.shared.state.all::<gate_flow::CacheCounts>();
        let contracts = self.shared.state.all::<gate_flow::ContractCounts>();
        let managed = self.shared.state.all::<gate_net::tls::Managed>();
        let told = self.shared.state.all::<NoticeCounts>();
        let ran = self.shared.state.all::<JobCounts>();
        let led = self.shared.state.all::<BatchCounts>();
        let delivered = self.shared.state.all::<SubscriberCounts>();
        let standings = (self.shared.state).get_or_insert("", objectives::Standings::default);
        let more = |page: &mut Exposition| {
            metrics::page(page, self.shared.books.as_deref());
            journal::page(
                page,
                self.shared.journal.get().map(|journal| journal.counts()),
            );
            cache::page(page, &caches);
            certificates::page(page, &managed);
            contract::page(page, &contracts);
            notices::page(page, &told);
            jobs::page(page, &ran);
            jobs::batches(page, &led);
            subscribers::page(page, &delivered);
            products::page(page, &self.lake().freshness());
            self.shared.trials.page(page);
            objectives::page(page, &standings.all());
            self.shared.experiments.page(page);
        };
        self.shared.readers.metrics_page(format, more)
    }

    /// The lake that records go to.
    #[must_use]
    pub fn lake(&self) -> &crate::record::lake::LakeWriter {
        self.shared.readers.lake()
    }

    /// How this process was set up.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Health for `/healthz` and `/readyz`.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            ready: self.ready.load(Ordering::Relaxed),
            draining: self.shared.draining.load(Ordering::Relaxed),
        }
    }

    /// Compiles a new document and swaps it in. Blocks on files; not for a worker.
    ///
    /// Exchanges in flight end on the snapshot they began with. Listeners whose address stays keep
    /// their sockets and their connections.
    ///
    /// # Errors
    /// What is wrong; nothing has changed then.
    pub fn reload(&self, document: &Document) -> Result<u64, StartError> {
        self.reload_revision(document, None)
    }

    /// Like [`Process::reload`], with a document that holds a revision of an environment.
    ///
    /// # Errors
    /// What is wrong; nothing has changed then.
    pub fn reload_revision(
        &self,
        document: &Document,
        revision: Option<&RevisionName>,
    ) -> Result<u64, StartError> {
        let alone = self.reloading.lock();
        let _alone = alone.unwrap_or_else(PoisonError::into_inner);
        let result = self.try_reload(document, revision);
        if result.is_err() {
            self.shared.readers.metrics().config_refused();
        }
        result
    }

    /// Says whether `/readyz` may say so: not before the first revision of an environment is in
    /// force. A process is ready from its start otherwise.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn try_reload(
        &self,
        document: &Document,
        name_of: Option<&RevisionName>,
    ) -> Result<u64, StartError> {
        let next = self.revision.load(Ordering::Relaxed) + 1;
        let revision = name_of.map_or(next, |revision| revision.number);
        let held = self.held(document)?;
        let mut compiled = self.compile_with(document, revision, &held)?;
        name(&mut compiled, name_of);
        let other = |error: String| StartError::Other(error);
        let gateway = &compiled.snapshot.resources.gateway;
        if let Some(field) = fixed_field(&self.shared.snapshot.load().resources.gateway, gateway) {
            let message = format!("`gateway.{field}` changes only with a restart");
            return Err(other(message));
        }
        let readers = &self.shared.readers;
        let prepared = readers
            .prepare(gateway, &self.setup.folder, &*self.setup.secrets)
            .map_err(|e| other(e.to_string()))?;
        let (kept, added, removed) = self.compare(compiled.listeners);
        let kept = kept.into_iter().map(|(state, options)| {
            let wanted = options.http3.is_some() && state.quic().is_none();
            let quic = wanted.then(|| quic::bind_again(&state, self.shared.workers));
            let quic = quic.transpose().map_err(|error| {
                let name = &state.name;
                StartError::Other(format!("listener `{name}`: HTTP/3: {error}"))
            })?;
            Ok((state, options, quic))
        });
        let kept = kept.collect::<Result<Vec<_>, StartError>>()?;
        let bound = self.bind(added, None).map_err(other)?;
        // Nothing can fail from here on but threads of sinks, which keep their old target then.
        if let Err(error) = readers.apply(prepared) {
            tracing::error!(%error, "the new log or trace target is not in use");
        }
        readers.lake().watch(&compiled.snapshot.resources);
        readers
            .metrics()
            .config_applied(revision, &compiled.snapshot.digest);
        self.shared.upstreams.store(Arc::new(compiled.upstreams));
        self.shared.models.store(Arc::new(compiled.models));
        self.shared.snapshot.store(compiled.snapshot);
        self.shared.experiments.set(compiled.experiments);
        self.revision.store(revision, Ordering::Relaxed);
        self.remember_files(&held);
        for (state, options, quic) in kept {
            self.keep(&state, options, quic);
        }
        for name in removed {
            self.lock_listeners().remove(&name);
            for worker in &self.commands {
                let _ = worker.try_send(Command::Unlisten(name.as_str().into()));
            }
        }
        for state in bound {
            self.announce(&state).map_err(other)?;
        }
        self.watch_health();
        self.shared.state.sweep();
        Ok(revision)
    }

    /// Compiles a document over the process's state, and changes nothing.
    pub(crate) fn compile(
        &self,
        document: &Document,
        revision: u64,
    ) -> Result<Compiled, StartError> {
        self.compile_with(document, revision, &Files::new())
    }

    /// The same with files as they are held.
    fn compile_with(
        &self,
        document: &Document,
        revision: u64,
        held: &Files,
    ) -> Result<Compiled, StartError> {
        let watched = self.secret_files.watch(&*self.setup.secrets);
        let compiler = Compiler {
            registry: &self.setup.registry,
            state: &self.shared.state,
            secrets: &KeptFiles::new(held, &self.setup.folder, &watched),
            clock: &self.shared.clock,
            dns: &self.shared.dns,
            folder: &self.setup.folder,
            books: self.shared.books.as_ref(),
        };
        compiler
            .compile(document, revision)
            .map_err(StartError::Findings)
    }

    /// What workers are told by, those with the fewest connections first.
    pub(crate) fn least_busy(&self) -> impl Iterator<Item = &mpsc::Sender<Command>> {
        let mut order: Vec<usize> = (0..self.commands.len()).collect();
        order.order_by_key(|worker| self.shared.connections_of(*worker));
        order.into_iter().map(|worker| &self.commands[worker])
    }

    /// The components that the binary was built with.
    pub(crate) fn registry(&self) -> &Registry {
        &self.setup.registry
    }

    /// Whether a file that a secret, or a document of an API or its like, was read from holds
    /// something else; told once. What runs has the old one until the document is applied again.
    pub fn secrets_changed(&self) -> bool {
        self.secret_files.changed(&*self.setup.secrets)
    }

    /// Accepts nothing more, lets what is in flight finish within `patience`, and ends the workers.
    /// Blocks until they have ended.
    pub fn drain(&self, patience: Duration) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for worker in &self.commands {
            let _ = worker.try_send(Command::Drain(patience));
        }
        self.lock_listeners()
            .values()
            .for_each(|state| state.close());
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by panic");
            }
        }
        let host = self.shared.state.get_or_insert("mcp-host", Host::default);
        host.close(Duration::from_secs(8));
        if let Some(books) = &self.shared.books
            && !books.close(Duration::from_secs(5))
        {
            tracing::error!("the ledger's last entries were not written; they are charged later");
        }
        self.shared.readers.flush(Duration::from_secs(5));
    }

    /// Says that the process is about to drain, so that `/readyz` turns while it still accepts.
    pub fn announce_drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    fn watch_health(&self) {
        self.watch_upstreams(&self.shared.upstreams.load());
    }

    /// Checks the health of these, as long as something refers to them.
    pub(crate) fn watch_upstreams(&self, upstreams: &Upstreams) {
        for upstream in upstreams.values() {
            if upstream.settings.health.is_some() {
                let _ = self.checks.send(upstream.clone());
            }
        }
    }
}

/// Compiles the first document, and opens the store that it names: only for a document that is
/// valid, because opening makes what is not there.
fn compile_first(
    document: &Document,
    revision: u64,
    compiler: &Compiler<'_>,
) -> Result<(Compiled, Option<Arc<Books>>), StartError> {
    let compiled = compiler
        .compile(document, revision)
        .map_err(StartError::Findings)?;
    let Some(store) = &compiled.snapshot.resources.gateway.store else {
        return Ok((compiled, None));
    };
    let (secrets, folder) = (compiler.secrets, compiler.folder);
    let crossed = compiler.registry.crossed;
    let books = open_books(store, secrets, folder, compiler.clock, crossed)
        .map_err(|error| StartError::Other(format!("gateway.store: {error}")))?;
    let compiler = Compiler {
        books: Some(&books),
        ..*compiler
    };
    let compiled = compiler
        .compile(document, revision)
        .map_err(StartError::Findings)?;
    Ok((compiled, Some(books)))
}

/// Gives a snapshot the digest of the revision that it was compiled from, which is not that of the
/// document: variables and the process's own settings are in that.
fn name(compiled: &mut Compiled, revision: Option<&RevisionName>) {
    if let Some(revision) = revision
        && let Some(snapshot) = Arc::get_mut(&mut compiled.snapshot)
    {
        snapshot.digest.clone_from(&revision.digest);
    }
}

/// The first field of `gateway` that differs and cannot while the process runs.
fn fixed_field(running: &Gateway, wanted: &Gateway) -> Option<&'static str> {
    let same = [
        ("store", running.store == wanted.store),
        ("environment", running.environment == wanted.environment),
        ("last_good", running.last_good == wanted.last_good),
        ("files", running.files == wanted.files),
    ];
    let differing = same.into_iter().find(|(_, same)| !same);
    differing.map(|(field, _)| field)
}

/// The thread that runs health checks, apart from the workers.
#[allow(
    clippy::disallowed_methods,
    reason = "holds at most one entry per upstream of a reload, and its reader never waits"
)]
fn start_checks() -> mpsc::UnboundedSender<Arc<Upstream>> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Arc<Upstream>>();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            while let Some(upstream) = receiver.recv().await {
                tokio::task::spawn_local(health::watch(Arc::downgrade(&upstream)));
            }
        });
    };
    if let Err(error) = std::thread::Builder::new().name("health".into()).spawn(run) {
        tracing::error!(%error, "health checks do not run");
    }
    sender
}

type Workers = (Vec<mpsc::Sender<Command>>, Vec<std::thread::JoinHandle<()>>);

fn start_workers(shared: &Arc<Shared>) -> Result<Workers, String> {
    let (mut commands, mut threads) = (Vec::new(), Vec::new());
    for index in 0..shared.workers {
        let (sender, receiver) = mpsc::channel(1024);
        let shared = shared.clone();
        let run = move || worker::run(index, &shared, receiver);
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(run);
        threads.push(thread.map_err(|error| format!("worker {index}: {error}"))?);
        commands.push(sender);
    }
    Ok((commands, threads))
}
