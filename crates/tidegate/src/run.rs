//! `tidegate run`: starts the gateway, keeps its configuration current, and ends it in order.
//!
//! The thread that runs this is the control thread: it hears signals, looks at the file, and
//! serves the admin address. Requests are served by the workers of [`Process`], which need nothing
//! from here to go on.

use crate::admin::{Admin, Desk};
use crate::delivery::{Delivery, forecasts};
use crate::events;
use crate::events::drift::FileDrift;
use crate::follow::{self, Followed, Follower, OpenStore};
use crate::host::Gateway;
use crate::incidents::{self, Incidents, Neighbours, Shelf};
use crate::jobs::{self, Jobs};
use crate::log::{self, LogFormat, LogLevel};
use crate::notices::{self, Notices};
use crate::promises::{self, Promises};
use crate::runbooks::{self, Runbooks};
use crate::secrets::Kept;
use crate::subscribers::Subscribers;
use crate::watch::{Look, Watched};
use crate::{
    batches, certificates, config, forget, journal, resident, sign_outs, stored, subscribers,
};
use clap::Args;
use gate_kit::clock::Clock;
use gate_model::document::Document;
use gate_model::environment;
use gate_model::finding::Finding;
use gate_net::handover::{self, Offer};
use gate_net::tls::ServerTls;
use gate_ops::incident::Signal as Trouble;
use gate_ops::notify::Alert;
use gate_proxy::process::{Process, Setup};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

/// How often files are looked at: a key that is taken from the file is refused within a second.
const LOOK: Duration = Duration::from_millis(500);
/// When what only the start needed is given back: by this look everything has had its first turn.
const SETTLED_LOOK: u32 = 10;
/// How long a hand-over may take.
const HANDOVER: Duration = Duration::from_secs(10);

/// Within this time after the first, another signal is taken for its echo.
const ECHO: Duration = Duration::from_millis(500);

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The configuration, in YAML or JSON; applied again on SIGHUP and whenever it changes.
    pub(crate) file: PathBuf,
    /// Unix socket through which listening sockets pass from a running gateway to this one, and
    /// later from this one to its successor. Its folder must exist.
    #[arg(long, value_name = "PATH")]
    pub(crate) handover: Option<PathBuf>,
    /// How the operator's log is written to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log: LogFormat,
    /// Least severity that is logged.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,
}

/// Runs the command until the gateway has ended.
pub(crate) fn run(options: &RunOptions) -> Result<ExitCode, String> {
    let _log = log::start(options.log, options.log_level)?;
    serve(options, |_, _| Ok(()))?;
    Ok(ExitCode::SUCCESS)
}

/// Starts everything that a gateway is and serves until it is ended. `ready` is called once all of it
/// answers, with the process and its admin address; what it refuses ends the gateway.
///
/// # Errors
/// One text for people about what cannot be started.
pub(crate) fn serve(
    options: &RunOptions,
    ready: impl FnOnce(&Process, Option<&str>) -> Result<(), String>,
) -> Result<(), String> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the control thread: {error}"))?;
    // Before anything is served: until it is heard, a signal ends the process there and then.
    let signals = runtime.block_on(async { Signals::hear() })?;
    let bytes = config::read(&options.file)?;
    let Started {
        process,
        environment,
        document,
        kept,
    } = start(options, &bytes)?;
    let name = environment
        .as_ref()
        .map(|(followed, _)| followed.environment.clone());
    let folder = config::folder(&options.file);
    let journal = journal::open(&process, &folder)?;
    let (heard, alerts) = events::ears();
    let (secrets, home) = (kept.clone(), folder.clone());
    let notices = notices::start(&process, name.as_deref(), secrets, home, heard)?;
    let gateway = process.shared().snapshot.load().resources.gateway.clone();
    let open = follow::opener(&gateway, &folder);
    let followed = environment.as_ref().map(|(followed, _)| followed);
    events::start(&process, followed, open.clone(), folder.clone(), alerts)?;
    let delivery = Arc::new(Delivery::new(open, kept.clone(), folder.clone()));
    forecasts::start(
        &process,
        &notices,
        folder.clone(),
        name.as_deref().unwrap_or_default(),
    )?;
    certificates::start(&process, kept.clone(), folder.clone())?;
    sign_outs::start(&process, folder.clone())?;
    let follower = match &environment {
        Some((followed, store)) => Some(Follower::start(&process, followed, store.clone())?),
        None => None,
    };
    let (troubles, incidents) =
        write_incidents(&process, environment.as_ref(), &folder, notices.alerts())?;
    let followed = environment.as_ref().map(|(followed, _)| followed);
    let desk = batches::open(&process, &folder)?;
    let jobs = Arc::new(jobs::start(&process, followed, &folder, desk.as_ref())?);
    let forgetting = forget::start(&process, followed, &folder, jobs.shelf.clone())?;
    let runbooks = run_runbooks(&process, followed, &folder, &incidents, &notices)?;
    let subscribers = subscribers::start(&process, followed, kept, &folder, jobs.shelf.clone())?;
    let ears = promises::Ears {
        incidents: Some(troubles),
        notices: Some(notices.alerts()),
        open: Some(open_incidents(&incidents.shelf)),
    };
    let keeper = promises::start(&process, name, folder.clone(), ears)?;
    let batches = batches::start(&process, desk, jobs.shelf.as_ref())?;
    let drift = FileDrift::new(&process, &bytes);
    let process = Current {
        process,
        followed: environment.map(|(followed, _)| followed),
        notices,
        delivery,
        file: Arc::new(Mutex::new(document)),
        drift: Arc::new(drift),
        shelf: Some(incidents.shelf.clone()),
        runbooks: Some(runbooks.clone()),
        jobs: Some(jobs.clone()),
        subscribers: Some(subscribers.clone()),
    };
    let watched = Watched::new(&options.file, bytes);
    let controlling = control(options, &process, watched, signals, ready);
    let result = tokio::task::LocalSet::new().block_on(&runtime, controlling);
    drop((
        follower,
        keeper,
        incidents,
        runbooks,
        jobs,
        subscribers,
        batches,
        forgetting,
    ));
    if result.is_err() {
        process.process.drain(Duration::ZERO);
    }
    // Last of all, so that what others append while they end is written.
    drop(journal);
    // A look at a file that hangs must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// Starts the loop that writes incidents; signals go to the sender.
fn write_incidents(
    process: &Arc<Process>,
    environment: Option<&(Arc<Followed>, OpenStore)>,
    folder: &Path,
    alerts: SyncSender<Alert>,
) -> Result<(SyncSender<Trouble>, Incidents), String> {
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let open = follow::opener(gateway, folder);
    let followed = environment.map(|(followed, _)| followed);
    let promises = Promises::of(process);
    let counted = promises.clone();
    let neighbours = Neighbours {
        alerts: Some(alerts),
        burning: Some(Arc::new(move |name| promises.burning(name))),
        seconds: Some(Arc::new(move |name| counted.seconds(name))),
    };
    incidents::start(process, followed, open, neighbours)
}

/// Starts the loop that runs runbooks.
fn run_runbooks(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    folder: &Path,
    incidents: &Incidents,
    notices: &Notices,
) -> Result<Arc<Runbooks>, String> {
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let open = follow::opener(gateway, folder);
    let neighbours = runbooks::Neighbours {
        incidents: incidents.shelf.clone(),
        alerts: notices.alerts(),
    };
    runbooks::start(process, followed, open, neighbours).map(Arc::new)
}

/// Asks the store which incidents are open; none where it does not answer, which lets no change pass
/// that would not pass without one.
fn open_incidents(shelf: &Arc<Shelf>) -> promises::OpenIncidents {
    let shelf = shelf.clone();
    Arc::new(move || shelf.open_ids().unwrap_or_default())
}

/// A process, and where its configuration comes from.
struct Started {
    process: Arc<Process>,
    /// The environment that it follows, where its file names one.
    environment: Option<(Arc<Followed>, OpenStore)>,
    /// Its own file.
    document: Document,
    /// Its secrets.
    kept: Kept,
}

fn start(options: &RunOptions, bytes: &[u8]) -> Result<Started, String> {
    let document = config::parse(bytes, &options.file).map_err(|findings| lines(&findings))?;
    let inheritance = match &options.handover {
        Some(path) => handover::inherit(path, HANDOVER)
            .map_err(|error| format!("hand-over at {}: {error}", path.display()))?,
        None => None,
    };
    let kept = Kept::of(&document, &config::folder(&options.file));
    let setup = |inheritance| Setup {
        registry: config::REGISTRY,
        folder: config::folder(&options.file),
        secrets: Box::new(kept.clone()),
        clock: Clock::System,
        inheritance,
    };
    if let Some(environment) = environment::followed(&document).map(str::to_owned) {
        let file = document.clone();
        let booted = follow::boot(&environment, document, &options.file, inheritance, setup)?;
        return Ok(Started {
            process: booted.process,
            environment: Some((booted.followed, booted.store)),
            document: file,
            kept,
        });
    }
    let process = Process::start(&document, setup(inheritance));
    Ok(Started {
        process: process.map_err(|error| error.to_string())?,
        environment: None,
        document,
        kept,
    })
}

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// A process, and how new contents of its file take effect.
#[derive(Clone)]
struct Current {
    process: Arc<Process>,
    followed: Option<Arc<Followed>>,
    /// Who is told what is wrong.
    notices: Arc<Notices>,
    /// How changes fare.
    delivery: Arc<Delivery>,
    /// The file as it was last applied.
    file: Arc<Mutex<Document>>,
    /// Whether it is what is in the file.
    drift: Arc<FileDrift>,
    /// Where its incidents are kept.
    shelf: Option<Arc<Shelf>>,
    /// Its runbooks.
    runbooks: Option<Arc<Runbooks>>,
    /// Its jobs.
    jobs: Option<Arc<Jobs>>,
    /// Its subscribers.
    subscribers: Option<Arc<Subscribers>>,
}

impl Current {
    /// Applies new contents of the file, or says why not; what runs stays untouched then.
    async fn apply(&self, file: &Path, bytes: Vec<u8>) {
        let (this, file) = (self.clone(), file.to_owned());
        let wanted = gate_api::document::hex_sha256(&bytes);
        let applying = tokio::task::spawn_blocking(move || this.try_apply(&file, &bytes));
        match applying.await {
            Ok(Ok(revision)) => {
                self.drift.applied(wanted);
                tracing::info!(revision, "configuration applied");
            }
            Ok(Err(error)) => {
                self.drift.refused(wanted, &error);
                tracing::error!("configuration not applied; the running one stays\n{error}");
            }
            Err(error) => {
                self.drift.refused(wanted, &error.to_string());
                tracing::error!(%error, "configuration not applied; the running one stays");
            }
        }
    }

    /// What answers on this process's admin address.
    fn desk(&self, file: &Path) -> Rc<Desk> {
        let gateway = &self.process.shared().snapshot.load().resources.gateway;
        let open = follow::opener(gateway, &config::folder(file));
        let host = Gateway::new(
            &self.process,
            self.followed.as_ref(),
            &self.file,
            &self.notices,
            &self.delivery,
            file,
        )
        .with_incidents(self.shelf.as_ref())
        .with_runbooks(self.runbooks.as_ref())
        .with_jobs(self.jobs.as_ref(), self.shelf.as_ref())
        .with_subscribers(self.subscribers.as_ref());
        let folder = config::folder(file);
        let keys = stored::keys_of(gateway, &folder);
        let host = Arc::new(host);
        Rc::new(Desk::new(&self.process, host, open, keys, folder))
    }

    fn try_apply(&self, file: &Path, bytes: &[u8]) -> Result<u64, String> {
        let document = config::parse(bytes, file).map_err(|findings| {
            self.process.shared().readers.metrics().config_refused();
            lines(&findings)
        })?;
        let applied = match &self.followed {
            Some(followed) => followed.apply_file(&self.process, document.clone()),
            None => self.process.reload(&document),
        };
        let revision = applied.map_err(|error| error.to_string())?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = document;
        Ok(revision)
    }
}

async fn control(
    options: &RunOptions,
    current: &Current,
    mut watched: Watched,
    signals: Signals,
    ready: impl FnOnce(&Process, Option<&str>) -> Result<(), String>,
) -> Result<(), String> {
    let process = &current.process;
    let Signals {
        mut hangup,
        mut ends,
    } = signals;
    let mut admin = None;
    let desk = current.desk(&options.file);
    follow_admin(&mut admin, &desk, process)?;
    announce(process, admin.as_ref());
    ready(process, admin.as_ref().map(|admin| &*admin.local))?;
    let offered = offer(options.handover.as_deref(), process)?;
    let mut taken = std::pin::pin!(taken(offered));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u32;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                process.shared().readers.reopen();
                match watched.read() {
                    Ok(bytes) => current.apply(watched.file(), bytes).await,
                    Err(error) => tracing::error!(%error, "configuration not applied"),
                }
                if let Err(error) = follow_admin(&mut admin, &desk, process) {
                    tracing::error!(%error, "the admin address stays as it was");
                }
            }
            _ = look.tick() => {
                looks = looks.saturating_add(1);
                if looks == SETTLED_LOOK {
                    resident::give_back();
                }
                let tls = admin.as_ref().and_then(Admin::tls);
                watched = look_at(current, watched, tls).await?;
                if let Err(error) = follow_admin(&mut admin, &desk, process) {
                    tracing::error!(%error, "the admin address stays as it was");
                }
            }
            () = any(&mut ends) => {
                tracing::info!("draining");
                return drain(process, &mut ends).await;
            }
            () = &mut taken => {
                tracing::info!("a successor serves; draining");
                drop(admin);
                return drain(process, &mut ends).await;
            }
        }
    }
}

/// The signals that a gateway heeds. One that comes while it starts is heeded once it has started.
struct Signals {
    /// Reads its files anew.
    hangup: Signal,
    /// End it.
    ends: [Signal; 2],
}

impl Signals {
    fn hear() -> Result<Self, String> {
        let hear = |kind| signal(kind).map_err(|error| format!("cannot hear signals: {error}"));
        Ok(Self {
            hangup: hear(SignalKind::hangup())?,
            ends: [
                hear(SignalKind::terminate())?,
                hear(SignalKind::interrupt())?,
            ],
        })
    }
}

/// Looks at the file, the certificates and the files of secrets off this thread, because a file
/// system may hang.
async fn look_at(
    current: &Current,
    mut watched: Watched,
    admin_tls: Option<Arc<ServerTls>>,
) -> Result<Watched, String> {
    let worker = current.process.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let look = watched.look();
        let mut failures = worker.reload_certificates();
        let admin = admin_tls.and_then(|tls| tls.reload().err());
        failures.extend(admin.map(|error| format!("admin address: {error}")));
        for failure in watched.new_failures(failures) {
            tracing::error!(failure, "a certificate stays as it was");
        }
        (watched, look, worker.secrets_changed())
    });
    let (watched, look, secrets) = looking.await.map_err(|error| error.to_string())?;
    match look {
        Look::Same if secrets => {
            let seen = watched.seen().to_vec();
            current.apply(watched.file(), seen).await;
            if let Some(followed) = &current.followed {
                followed.rotated();
            }
        }
        Look::Same if watched.is_readable() => current.drift.is_back(watched.seen()),
        Look::Same => {}
        Look::Changed(bytes) => current.apply(watched.file(), bytes).await,
        Look::Unreadable(error) => {
            tracing::error!(%error, "the running configuration stays");
            current.drift.refused(String::new(), &error);
        }
    }
    Ok(watched)
}

/// Serves the admin address of the configuration in force.
fn follow_admin(
    admin: &mut Option<Admin>,
    desk: &Rc<Desk>,
    process: &Arc<Process>,
) -> Result<(), String> {
    let snapshot = process.shared().snapshot.load();
    match (&snapshot.resources.gateway.admin, admin.as_mut()) {
        (None, _) => *admin = None,
        (Some(wanted), Some(running)) if running.is(wanted) => {}
        (Some(wanted), Some(running)) if running.configured == wanted.address => {
            running.configure(wanted, desk)?;
        }
        (Some(wanted), _) => *admin = Some(Admin::start(wanted, desk)?),
    }
    Ok(())
}

fn announce(process: &Process, admin: Option<&Admin>) {
    for (listener, address) in process.addresses() {
        tracing::info!(listener, address, "listening");
    }
    if let Some(admin) = admin {
        tracing::info!(
            address = admin.local,
            url = admin.url(),
            "health and metrics"
        );
    }
}

/// Offers the sockets to a successor on a thread of its own, which says when one has taken them.
fn offer(
    path: Option<&Path>,
    process: &Arc<Process>,
) -> Result<Option<oneshot::Receiver<()>>, String> {
    let Some(path) = path else { return Ok(None) };
    let (taken, receiver) = oneshot::channel();
    let offer =
        Offer::listen(path).map_err(|error| format!("hand-over at {}: {error}", path.display()))?;
    let process = process.clone();
    let serve = move || {
        loop {
            let sockets = process.sockets();
            let sockets: Vec<_> = sockets
                .iter()
                .map(|(name, fd)| (name.as_str(), fd.as_fd()))
                .collect();
            match offer.hand_over(&sockets, LOOK, HANDOVER) {
                Ok(true) => {
                    // A control thread that has ended needs no word.
                    let _ = taken.send(());
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a successor did not take over"),
            }
        }
    };
    std::thread::Builder::new()
        .name("handover".into())
        .spawn(serve)
        .map_err(|error| format!("cannot offer a hand-over: {error}"))?;
    Ok(Some(receiver))
}

/// Resolves when a successor has taken the sockets; never where nobody may or the offer broke.
async fn taken(offered: Option<oneshot::Receiver<()>>) {
    if let Some(offered) = offered
        && offered.await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn any(signals: &mut [Signal; 2]) {
    let [first, second] = signals;
    tokio::select! { _ = first.recv() => {}, _ = second.recv() => {} }
}

/// A second signal. One that comes at once is the first again: a supervisor that signals a process
/// and its group reaches it twice.
async fn again(ends: &mut [Signal; 2]) {
    let echo = tokio::time::sleep(ECHO);
    tokio::pin!(echo);
    loop {
        tokio::select! {
            () = &mut echo => break,
            () = any(ends) => {}
        }
    }
    any(ends).await;
}

/// Lets what is in flight finish; a second signal ends it at once.
async fn drain(process: &Arc<Process>, ends: &mut [Signal; 2]) -> Result<(), String> {
    let patience = process
        .shared()
        .snapshot
        .load()
        .resources
        .gateway
        .drain
        .duration();
    process.announce_drain();
    let draining = process.clone();
    let drained = tokio::task::spawn_blocking(move || draining.drain(patience));
    tokio::select! {
        ended = drained => ended.map_err(|error| error.to_string())?,
        () = again(ends) => tracing::warn!("ended by a second signal; exchanges in flight were cut"),
    }
    tracing::info!("ended");
    Ok(())
}

/// As many descriptors as the system lets this process have; the default of 1,024 is a relic.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on descriptors stays");
    }
}
