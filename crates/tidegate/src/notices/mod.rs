//! Who is told what is wrong: the thread around `gate_ops::notify`.
//!
//! Everything that is to be known enters as an order ([`gate_admin::NoticeOrder`]): alerts of this
//! process by a bounded channel, those of others and what people say by the admin API. Any gateway
//! puts orders into the store; one, under a lease, takes them in, decides and sends. It stores what
//! it knows, with the orders that are in it, before it sends and again when it is known how that
//! went: a gateway that dies leaves messages that the next one sends again under the same key
//! ([`shelf`] stores, [`state`] decides, [`send`] sends). A gateway without a store keeps all of it
//! in its memory, until it ends.

#![allow(
    clippy::result_large_err,
    reason = "problems are what the admin API answers"
)]

mod http;
mod people;
mod send;
mod shelf;
mod shown;
pub(crate) mod smtp;
mod state;

use crate::follow;
use crate::secrets::Kept;
use gate_admin::NoticeOrder;
use gate_api::problem::{Code, Problem};
use gate_api::types::Notices as Shown;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_model::resources::Resources;
use gate_ops::notify::Alert;
use gate_proxy::process::Process;
use gate_proxy::record::metrics::NoticeCounts;
use gate_store::ControlError;
use send::Sender;
use shelf::{Shelf, Take};
use state::State;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Alerts that may wait for the thread; more are dropped by who sends them, and come again at its
/// next look.
const ALERTS_MAX: usize = 4_096;
/// How often it is looked for orders, and for what is due.
const LOOK: Duration = Duration::from_millis(250);
/// The pause before a store that is down is asked again.
const BACKOFF: Duration = Duration::from_secs(1);
/// Orders that are taken in at once.
const ORDERS: usize = 500;
/// What environments are called where a file rules.
const FILE: &str = "file";

/// Notifications of this process, for who asks and who reports.
pub(crate) struct Notices {
    shelf: Mutex<Shelf>,
    alerts: SyncSender<Alert>,
    process: Weak<Process>,
    /// Why the last attempt of each delivery failed here, by its key.
    problems: Mutex<BTreeMap<String, String>>,
}

/// Starts the thread; it ends with the process that it serves. Alerts go to [`Notices::alerts`], and
/// from there to `heard` as well.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    environment: Option<&str>,
    kept: Kept,
    folder: PathBuf,
    heard: SyncSender<Alert>,
) -> Result<Arc<Notices>, String> {
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let open = follow::opener(gateway, &folder);
    let name = environment.unwrap_or(FILE).to_owned();
    let (alerts, received) = sync_channel(ALERTS_MAX);
    let notices = Arc::new(Notices {
        shelf: Mutex::new(Shelf::new(&name, open.clone())),
        alerts,
        process: Arc::downgrade(process),
        problems: Mutex::default(),
    });
    let counts = process
        .shared()
        .state
        .get_or_insert("", NoticeCounts::default);
    let mut work = Work {
        notices: Arc::downgrade(&notices),
        process: Arc::downgrade(process),
        own: open.map(|open| Shelf::new(&name, Some(open))),
        environment: name,
        holder: format!("notices-{:016x}", random::bits()),
        led: None,
        lease: None,
        sender: Sender::new(kept, folder, counts.clone()),
        counts,
        heard,
        said: String::new(),
        carried: Vec::new(),
    };
    let thread = std::thread::Builder::new().name("notices".into());
    let running = thread.spawn(move || work.run(&received));
    running
        .map(|_| notices)
        .map_err(|error| format!("no thread for notifications: {error}"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> u64 {
    u64::try_from(Clock::System.unix().as_millis()).unwrap_or(u64::MAX)
}

impl Notices {
    /// Where parts of this process report their alerts. A full channel drops; what is still on is
    /// to be sent again at the next look.
    pub(crate) fn alerts(&self) -> SyncSender<Alert> {
        self.alerts.clone()
    }

    /// Puts an order where the gateway that leads takes it in; stored when this returns, where there
    /// is a store.
    ///
    /// # Errors
    /// The problem to answer with.
    pub(crate) fn order(&self, order: &NoticeOrder) -> Result<(), Problem> {
        let put = locked(&self.shelf).put(std::slice::from_ref(order), now_ms());
        put.map_err(|error| problem(&error))
    }

    /// What there is.
    ///
    /// # Errors
    /// The problem to answer with.
    pub(crate) fn shown(&self) -> Result<Shown, Problem> {
        let process = self.process.upgrade();
        let process = process.ok_or_else(|| Problem::new(Code::Internal, "the process ends"))?;
        let resources = process.shared().snapshot.load().resources.clone();
        let (state, pending, is_stored) = {
            let mut shelf = locked(&self.shelf);
            let state = shelf.load().map_err(|error| problem(&error))?;
            let pending = shelf.orders(ORDERS).map_err(|error| problem(&error))?;
            (state, pending, shelf.is_stored())
        };
        let mut state = state.map(|(_, state)| state).unwrap_or_default();
        let count = pending.len() as u64;
        // What was ordered shows at once, though nobody has taken it in yet.
        for (_, order) in pending {
            state.order(order, &resources, now_ms());
        }
        let problems = locked(&self.problems).clone();
        let mut shown = shown::shown(&state, &resources, &problems, now_ms());
        (shown.stored, shown.pending) = (is_stored, count);
        Ok(shown)
    }
}

#[allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]
fn problem(error: &ControlError) -> Problem {
    let code = match error {
        ControlError::TooLarge { .. } => Code::TooLarge,
        _ => Code::StoreUnavailable,
    };
    Problem::new(code, error.to_string())
}

/// The thread's own.
struct Work {
    notices: Weak<Notices>,
    process: Weak<Process>,
    environment: String,
    /// Its own connection to the store; none where the memory of [`Notices`] is all there is.
    own: Option<Shelf>,
    holder: String,
    /// What it knows while it leads, with its version.
    led: Option<(u64, State)>,
    lease: Option<shelf::Led>,
    sender: Sender,
    counts: Arc<NoticeCounts>,
    /// Who makes events of alerts.
    heard: SyncSender<Alert>,
    said: String,
    /// Alerts that are in no store yet, because it is down.
    carried: Vec<NoticeOrder>,
}

impl Work {
    fn run(&mut self, alerts: &Receiver<Alert>) {
        loop {
            match alerts.recv_timeout(LOOK) {
                Ok(first) => self.carry(first, alerts),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let (Some(process), Some(notices)) = (self.process.upgrade(), self.notices.upgrade())
            else {
                return;
            };
            let resources = process.shared().snapshot.load().resources.clone();
            drop(process);
            let stepped = match self.own.take() {
                Some(mut shelf) => {
                    let stepped = self.step(&mut shelf, &notices, &resources);
                    self.own = Some(shelf);
                    stepped
                }
                None => self.step(&mut locked(&notices.shelf), &notices, &resources),
            };
            drop(notices);
            if let Err(error) = stepped {
                // Who came too late looks again; a store that is down is asked again.
                self.led = None;
                self.sender.forget();
                let is_late = matches!(
                    error,
                    ControlError::Stale { .. } | ControlError::NotLeader(_)
                );
                self.tell(&error, is_late);
                if !is_late {
                    std::thread::sleep(BACKOFF);
                }
            } else {
                self.said.clear();
            }
        }
    }

    fn tell(&mut self, error: &ControlError, is_late: bool) {
        let text = error.to_string();
        if !is_late && text != self.said {
            tracing::warn!(%error, "notifications wait for the store");
        }
        self.said = text;
    }

    /// Takes over what waits in the channel, as far as there is room.
    fn carry(&mut self, first: Alert, alerts: &Receiver<Alert>) {
        for alert in std::iter::once(first).chain(alerts.try_iter()) {
            // A full channel is no loss: what is still on is said again.
            let _ = self.heard.try_send(alert.clone());
            if self.carried.len() >= ALERTS_MAX {
                self.counts.dropped();
                continue;
            }
            self.carried.push(NoticeOrder::Alert {
                labels: alert.labels,
                text: alert.text,
                since_ms: alert.since_ms,
                is_on: alert.is_on,
            });
        }
    }

    fn step(
        &mut self,
        shelf: &mut Shelf,
        notices: &Notices,
        resources: &Arc<Resources>,
    ) -> Result<(), ControlError> {
        let now = now_ms();
        if !self.carried.is_empty() {
            shelf.put(&self.carried, now)?;
            self.carried.clear();
        }
        // Where nothing is configured, nobody is asked; what was ordered waits.
        let is_used = !resources.receivers.is_empty() || self.led.is_some();
        if !is_used || !self.leads(shelf, now)? {
            self.led = None;
            self.sender.forget();
            return Ok(());
        }
        let (version, mut state) = match self.led.take() {
            Some(led) => led,
            None => {
                let (version, mut state) = shelf.load()?.unwrap_or_default();
                state.take_over(now);
                (version, state)
            }
        };
        let mut has_changed = self.settle(&mut state, notices, now);
        has_changed |= state.follow(&self.environment, resources, now);
        let orders = shelf.orders(ORDERS)?;
        let mut taken = Vec::with_capacity(orders.len());
        for (number, order) in orders {
            taken.push(number);
            self.counts.unrouted(state.order(order, resources, now));
        }
        has_changed |= !taken.is_empty() || state.is_due(now);
        state.tick(now);
        let version = match (has_changed, &self.lease) {
            (true, Some(lease)) => shelf.save(&Take {
                expected: version,
                state: &state,
                taken: &taken,
                led: lease,
                now_ms: now,
            })?,
            _ => version,
        };
        self.counts.now(state.waiting(), state.lost());
        // What is handed out was stored above, at the latest.
        for (notifier, delivery) in state.take(now) {
            self.sender.take(notifier, delivery);
        }
        self.sender.begin(resources);
        self.led = Some((version, state));
        Ok(())
    }

    /// Whether this gateway leads; renews its lease.
    fn leads(&mut self, shelf: &mut Shelf, now: u64) -> Result<bool, ControlError> {
        let is_fresh = self.lease.as_ref().is_some_and(|led| led.renew_ms > now);
        if !is_fresh {
            self.lease = shelf.lead(&self.holder, now)?;
        }
        Ok(self.lease.is_some())
    }

    /// Takes in how attempts went.
    fn settle(&mut self, state: &mut State, notices: &Notices, now: u64) -> bool {
        let mut has_changed = false;
        for done in self.sender.ended() {
            has_changed = true;
            state.settle(&done.notifier, &done.key, done.problem.is_none(), now);
            let mut problems = locked(&notices.problems);
            match done.problem {
                None => drop(problems.remove(&done.key)),
                Some(problem) => {
                    // They are of waiting deliveries, which are bounded; others' are forgotten.
                    if problems.len() > 10_000 {
                        problems.clear();
                    }
                    problems.insert(done.key, problem);
                }
            }
        }
        has_changed
    }
}

/// The folder that files of a receiver start from.
fn placed(folder: &Path, file: Option<&PathBuf>) -> Option<PathBuf> {
    file.map(|file| folder.join(file))
}
