//! Promises kept: once a second, what was counted for objectives is taken from the workers, weighed,
//! shared with other gateways over the store, and told where it alarms.
//!
//! [`start`] begins a thread that does this on its own time; workers need nothing from it to go on.
//! What each gateway counted lies in the store as a row per objective and life of the gateway, so that
//! a restart loses at most what the last second counted, and every gateway of an environment shows the
//! same sum. One of them, under a lease, speaks for all: to whoever keeps incidents, and to whoever
//! is told of alerts. Without a store a gateway knows its own counts, as long as it runs.
//! Where exchanges fail is told over the store, too, so that whoever speaks attributes what all saw.
//!
//! How long exchanges took lies in the store as well, at a slower pace ([`durations`]).
//!
//! The state is in [`watch`], the places of bad exchanges in [`places`], the exchange with the store in
//! [`stored`], how it is shown in [`show`].

mod durations;
pub(crate) mod gate;
mod places;
mod shared;
mod show;
mod stored;
mod watch;

use crate::follow;
use crate::incidents::Burn;
use crate::runs::Runs;
use gate_flow::Cells;
use gate_kit::clock::Clock;
use gate_ops::incident::{Moment, Signal};
use gate_ops::notify::Alert;
use gate_proxy::objectives::Standings;
use gate_proxy::process::Process;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use stored::Stored;
use watch::Watch;

/// How long the end of a process waits for the last counts to be written.
const LAST: Duration = Duration::from_secs(8);
/// Most words that are told within a second.
const WORDS_MAX: usize = 1_000;

/// Where alarming things are told; each part works without the others.
#[derive(Default)]
pub(crate) struct Ears {
    /// Whoever keeps incidents.
    pub incidents: Option<SyncSender<Signal>>,
    /// Whoever tells people.
    pub notices: Option<SyncSender<Alert>>,
    /// Which incidents are open, by name: a change that mends one passes a spent budget.
    pub open: Option<OpenIncidents>,
}

/// Says which incidents are open.
pub(crate) type OpenIncidents = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// The objectives of this process, for whoever shows or asks them. It lies in the process's shared
/// state.
#[derive(Default)]
pub(crate) struct Promises {
    watch: Mutex<Watch>,
    /// Words that found no room and are told again.
    unheard: AtomicU64,
    /// Who says which incidents are open.
    open: OnceLock<OpenIncidents>,
    /// How long exchanges took.
    clocked: durations::Clocked,
}

impl Promises {
    /// Those of a process.
    pub(crate) fn of(process: &Process) -> Arc<Self> {
        process.shared().state.get_or_insert("", Promises::default)
    }

    /// Incidents that are open.
    fn open_incidents(&self) -> Vec<String> {
        self.open.get().map_or_else(Vec::new, |open| open())
    }

    /// Where an objective stands; none for one that is not known or has no events.
    pub(crate) fn burning(&self, name: &str) -> Option<Burn> {
        self.watch().burning(name)
    }

    /// Where most failed in the last two minutes on all gateways of the store, by the objective that saw
    /// most of it; none where nothing failed for any objective.
    pub(crate) fn worst(&self) -> Option<gate_ops::attribution::Attribution> {
        self.watch().places.worst()
    }

    /// What was counted for an objective in each of the last seconds, as far as they are kept.
    pub(crate) fn seconds(&self, name: &str) -> Vec<Moment> {
        self.watch().seconds(name)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the thread when dropped, after it has written what is not written yet.
pub(crate) struct Keeper {
    ends: Arc<Ends>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ends {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Ends {
    /// Waits until the next second of the wall clock begins; whether it is time to end.
    fn wait(&self) -> bool {
        let now = Clock::System.unix();
        let rest =
            Duration::from_secs(1).saturating_sub(Duration::from_nanos(now.subsec_nanos().into()));
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(ended, rest, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self
            .ends
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.ends.changed.notify_all();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A store that hangs must not keep the process alive.
        let until = Instant::now() + LAST;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// Starts the thread. `environment` is the one that the process follows, if any.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    environment: Option<String>,
    folder: PathBuf,
    ears: Ears,
) -> Result<Keeper, String> {
    let ends = Arc::new(Ends::default());
    let promises = Promises::of(process);
    if let Some(open) = ears.open.clone() {
        // A process has one list of incidents, however often this is started.
        let _ = promises.open.set(open);
    }
    promises.clocked.ask(Arc::downgrade(process));
    let asked = Arc::downgrade(&promises);
    let standings = process.shared().state.get_or_insert("", Standings::default);
    standings.ask(Arc::new(move || {
        let promises = asked.upgrade();
        promises.map_or_else(Vec::new, |promises| promises.standings())
    }));
    let mut work = Work {
        promises,
        cells: process.shared().state.get_or_insert("", Cells::default),
        process: Arc::downgrade(process),
        environment: environment.unwrap_or_default(),
        folder,
        ears,
        stored: None,
        is_opened: false,
        runs: Runs::default(),
    };
    let ending = ends.clone();
    let thread = std::thread::Builder::new()
        .name("promises".into())
        .spawn(move || {
            // State that nobody holds is forgotten at the next reload.
            let _held = standings;
            work.run(&ending);
        })
        .map_err(|error| format!("cannot watch objectives: {error}"))?;
    Ok(Keeper {
        ends,
        thread: Some(thread),
    })
}

/// The thread's own.
struct Work {
    promises: Arc<Promises>,
    cells: Arc<Cells>,
    process: Weak<Process>,
    environment: String,
    folder: PathBuf,
    ears: Ears,
    stored: Option<Stored>,
    /// Whether it was looked for a store: that is settled at the start of a process.
    is_opened: bool,
    /// The experiments that may be behind what alarms.
    runs: Runs,
}

impl Work {
    fn run(&mut self, ends: &Ends) {
        loop {
            let is_over = ends.wait();
            let Some(process) = self.process.upgrade() else {
                return;
            };
            let now = Clock::System.unix();
            self.second(&process, now.as_secs() + u64::from(is_over), is_over);
            if is_over {
                return;
            }
        }
    }

    /// What is due once a second. At the end, what was counted in the second that has begun counts
    /// for it.
    fn second(&mut self, process: &Process, now_s: u64, is_over: bool) {
        let shared = process.shared();
        let resources = shared.snapshot.load().resources.clone();
        if !resources.objectives.is_empty() && !self.is_opened {
            self.open(&resources.gateway);
        }
        let keeps = self.stored.is_some();
        let cells = self.cells.take();
        {
            let mut watch = self.promises.watch();
            watch.follow(&resources, &shared.state, keeps);
            watch.tick(cells, now_s);
            self.runs.look(process, now_s * 1000);
            watch.explain(self.runs.all());
            let stopped = shared.experiments.stop_for_budgets(|name| watch.left(name));
            for experiment in stopped {
                tracing::warn!(%experiment, "an error budget ran low: the experiment is stopped");
            }
        }
        if resources.objectives.is_empty() {
            return;
        }
        let speaks = match &mut self.stored {
            None => true,
            Some(stored) => stored.exchange(&self.promises, now_s, is_over),
        };
        self.speak(speaks);
    }

    fn open(&mut self, gateway: &gate_model::resources::Gateway) {
        self.is_opened = true;
        match follow::opener(gateway, Path::new(&self.folder)) {
            Some(open) => {
                let instance = follow::instance();
                let clocked = &self.promises.clocked;
                clocked.keep(open.clone(), &self.environment, &instance);
                self.stored = Some(Stored::new(open, &self.environment, instance));
            }
            None => tracing::info!(
                "there is no `gateway.store`: counts of objectives end with this process"
            ),
        }
    }

    /// Tells what is due to be told, if this gateway speaks for all.
    fn speak(&self, speaks: bool) {
        let mut watch = self.promises.watch();
        if !speaks {
            watch.be_silent();
            return;
        }
        for word in watch.words().into_iter().take(WORDS_MAX) {
            let told = tell(self.ears.incidents.as_ref(), word.signal.as_ref())
                & tell(self.ears.notices.as_ref(), word.alert.as_ref());
            match told {
                true => watch.told(&word),
                // It stays on, and is told at the next look.
                false => drop(self.promises.unheard.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }
}

/// Whether nobody is there to hear it, or they have.
fn tell<T: Clone>(to: Option<&SyncSender<T>>, what: Option<&T>) -> bool {
    let (Some(to), Some(what)) = (to, what) else {
        return true;
    };
    match to.try_send(what.clone()) {
        Ok(()) | Err(TrySendError::Disconnected(_)) => true,
        Err(TrySendError::Full(_)) => false,
    }
}
