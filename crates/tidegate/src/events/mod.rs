//! The gateway's own events, and what schedules publish: the thread that brings them into the journal.
//!
//! Every gateway tells what happens in it alone ([`here`], [`drift`]): addresses that are left out,
//! what ends soon, that it does not run what it should. Thresholds of budgets ([`crossed`]) are not brought: they
//! are told by the commit that crosses them. What an environment's gateways have in common (revisions, rollouts,
//! incidents, alerts, schedules) is told by one, under a lease ([`lead`]), which remembers in the store
//! how far it came. Keys say what happened and not who saw it, so that a gateway that dies between
//! telling and remembering leaves nothing twice. A gateway without a store tells nobody.

pub(crate) mod drift;
mod here;
mod lead;
mod looks;
mod schedules;
mod state;

use crate::follow::{self, Followed, OpenStore};
use drift::Drift;
use gate_kit::clock::Clock;
use gate_ops::event::cloud::CloudEvent;
use gate_ops::event::own::{BudgetThreshold, event, time};
use gate_ops::notify::Alert;
use gate_proxy::events::{key_in, published};
use gate_proxy::process::Process;
use gate_store::Journal;
use gate_store::journal::{AppendError, NewEvent};
use gate_store::ledger::Crossed;
use here::Here;
use lead::Lead;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Alerts that may wait; those that are still on are sent again by whoever sends them.
const ALERTS_MAX: usize = 1_024;
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Events that wait while the journal cannot be written; the oldest are dropped, and said.
const WAITING_MAX: usize = 10_000;
/// The environment of a gateway that follows none.
const NO_ENVIRONMENT: &str = "file";

/// Where alerts go, and who hears them.
pub(crate) fn ears() -> (SyncSender<Alert>, Receiver<Alert>) {
    sync_channel(ALERTS_MAX)
}

/// Starts the thread; it ends with the process, or with whoever sends alerts. Without a store there
/// is none.
///
/// # Errors
/// When the system has no thread.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    open: Option<OpenStore>,
    folder: PathBuf,
    alerts: Receiver<Alert>,
) -> Result<(), String> {
    let Some(open) = open else {
        return Ok(());
    };
    let environment = followed.map_or(NO_ENVIRONMENT, |followed| &followed.environment);
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    let mut work = Work {
        process: Arc::downgrade(process),
        here: Here::new(&instance, folder),
        drift: Drift::of(process),
        instance: instance.clone(),
        lead: Lead::new(environment, &instance, followed.is_some(), open),
        waiting: VecDeque::new(),
        said: String::new(),
    };
    let thread = std::thread::Builder::new().name("events".into());
    thread
        .spawn(move || work.run(&alerts))
        .map(drop)
        .map_err(|error| format!("no thread for events: {error}"))
}

struct Work {
    process: Weak<Process>,
    here: Here,
    drift: Arc<Drift>,
    instance: String,
    lead: Lead,
    /// Events of this gateway alone that are not in the journal yet.
    waiting: VecDeque<CloudEvent>,
    said: String,
}

impl Work {
    fn run(&mut self, alerts: &Receiver<Alert>) {
        let mut is_heard = true;
        loop {
            let first = match is_heard {
                true => alerts.recv_timeout(LOOK),
                false => {
                    std::thread::sleep(LOOK);
                    Err(RecvTimeoutError::Timeout)
                }
            };
            is_heard &= !matches!(first, Err(RecvTimeoutError::Disconnected));
            let Some(process) = self.process.upgrade() else {
                return;
            };
            let Some(journal) = process.shared().journal.get().cloned() else {
                continue;
            };
            self.lead.hear(first.into_iter().chain(alerts.try_iter()));
            self.waiting.extend(self.here.look(&process));
            let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
            let environment = self.lead.environment();
            let drift = self.drift.news(&self.instance, environment, now_ms);
            self.waiting.extend(drift);
            while self.waiting.len() > WAITING_MAX {
                self.waiting.pop_front();
                tracing::warn!("an event of this gateway is lost: too many wait for the journal");
            }
            let told = self.tell(&process, &journal);
            drop(process);
            match told {
                Ok(()) => self.said.clear(),
                Err(error) if error != self.said => {
                    tracing::warn!(error, "events wait for the store");
                    self.said = error;
                }
                Err(_) => {}
            }
        }
    }

    fn tell(&mut self, process: &Process, journal: &Journal) -> Result<(), String> {
        let kept = keep(journal, self.waiting.iter(), self.lead.environment());
        kept.map_err(|error| error.to_string())?;
        self.waiting.clear();
        self.lead.tick(process, journal)
    }
}

/// An event of the gateway's own as the journal takes it: its environment's alone, where there is one.
pub(crate) fn entry(event: &CloudEvent, environment: &str) -> NewEvent {
    let event = published(event, "");
    NewEvent {
        key: match environment == NO_ENVIRONMENT {
            true => event.key,
            false => key_in(environment, &event.key).into(),
        },
        kind: event.kind,
        consumer: event.consumer,
        payload: event.payload,
    }
}

/// What subscribers are told of a budget's threshold that was crossed. The ledger appends it in the
/// commit that crosses it, so that no end of this process can be in between.
pub(crate) fn crossed(crossed: &Crossed) -> NewEvent {
    let data = BudgetThreshold {
        budget: crossed.budget.to_string(),
        period: time(crossed.period.saturating_mul(1_000)).unwrap_or_default(),
        threshold: crossed.threshold,
        settled: crossed.settled,
        unsettled: crossed.unsettled,
    };
    let id = format!("threshold/{}/{}", crossed.period, crossed.threshold);
    let source = format!("budget:{}", data.budget);
    let told = event(&source, id, &data.budget, crossed.at_ms, &data);
    // Budgets are the store's, which several environments may share.
    entry(&told, NO_ENVIRONMENT)
}

/// Brings events into the journal; they are safe when this returns. Blocks.
pub(crate) fn keep<'a>(
    journal: &Journal,
    events: impl Iterator<Item = &'a CloudEvent>,
    environment: &str,
) -> Result<(), AppendError> {
    let mut tickets = Vec::new();
    for event in events {
        tickets.push(journal.append(entry(event, environment))?);
    }
    for ticket in tickets {
        ticket.wait()?;
    }
    Ok(())
}
