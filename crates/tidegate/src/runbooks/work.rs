//! The thread: puts actions in force, and leads runs where it holds the lease.
//!
//! A step is stored as begun before it is done, and only by who holds the lease; whatever another has
//! begun in another life is resumed by the engine's rules.

use super::stored::{Stored, Told, now_ms, signed};
use super::told::{alert, begun, undone};
use super::triggers::{self, Wanted};
use super::{Neighbours, acts};
use crate::incidents;
use gate_kit::order::Gather;
use gate_ops::notify::Alert;
use gate_ops::runbook::{Desk, Run};
use gate_proxy::process::Process;
use gate_store::control::{ControlError, Lease};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How often it is looked what is to be done.
const LOOK: Duration = Duration::from_millis(250);
/// How long is waited after a store that did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long a lease lasts without being renewed, and how often it is, in milliseconds; as for rollouts.
const LEASE_MS: i64 = 3_000;
const RENEW_MS: u64 = 1_000;
/// How often triggers are looked for.
const TRIGGER_MS: u64 = 1_000;
/// How often what is awaited of people is said again.
const AGAIN_MS: u64 = 10_000;
/// How often counting by the second is asked for again.
const WATCH_MS: u64 = 60_000;
/// Incidents whose trigger is known to have started its run, or never will.
const TRIED_MAX: usize = 10_000;

/// The thread's own.
pub(super) struct Work {
    pub(super) process: Arc<Process>,
    pub(super) stored: Arc<Stored>,
    pub(super) instance: String,
    /// Who begins steps: one life of this gateway.
    pub(super) life: String,
    neighbours: Neighbours,
    lease: Option<Lease>,
    renew_ms: u64,
    trigger_ms: u64,
    watch_ms: u64,
    again_ms: u64,
    /// The desk as it was read last.
    seen: Option<(u64, Desk)>,
    /// Programs that run, by run.
    pub(super) running: BTreeMap<String, Receiver<Result<String, String>>>,
    /// Triggers that need not be tried again.
    tried: BTreeSet<(String, String)>,
    /// What people were told is awaited, by run.
    told: BTreeMap<String, Alert>,
    /// How many lines of a run its incident knows, by run.
    noted: BTreeMap<String, usize>,
}

impl Work {
    pub(super) fn new(
        process: &Arc<Process>,
        stored: &Arc<Stored>,
        (instance, life): (String, String),
        neighbours: Neighbours,
    ) -> Self {
        Self {
            process: process.clone(),
            stored: stored.clone(),
            instance,
            life,
            neighbours,
            lease: None,
            renew_ms: 0,
            trigger_ms: 0,
            watch_ms: 0,
            again_ms: 0,
            seen: None,
            running: BTreeMap::new(),
            tried: BTreeSet::new(),
            told: BTreeMap::new(),
            noted: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self, ends: &AtomicBool) {
        let mut is_down = false;
        while !ends.load(Ordering::Acquire) {
            match self.step() {
                Ok(()) => is_down = false,
                Err(ControlError::NotLeader(_)) => self.lease = None,
                Err(error) => {
                    if !is_down {
                        tracing::warn!(%error, "runbooks wait for the store");
                    }
                    is_down = true;
                }
            }
            std::thread::sleep(if is_down { BACKOFF } else { LOOK });
        }
    }

    fn step(&mut self) -> Result<(), ControlError> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        // Nothing to lead, and nothing was ever.
        if resources.runbooks.is_empty() && self.stored.shelf.is_untouched() {
            return Ok(());
        }
        self.refresh()?;
        self.watch(!resources.runbooks.is_empty());
        if let Some((_, desk)) = &self.seen {
            acts::apply(&self.process, desk);
        }
        self.renew()?;
        if !self.leads() {
            self.told.clear();
            return Ok(());
        }
        self.end_late()?;
        let now_ms = now_ms();
        if now_ms >= self.trigger_ms {
            self.trigger_ms = now_ms + TRIGGER_MS;
            self.trigger()?;
        }
        let open: Vec<String> = self.desk().runs.iter().map(|run| run.id.clone()).collect();
        for id in &open {
            self.advance(id)?;
        }
        self.running.retain(|id, _| open.contains(id));
        self.refresh()?;
        self.tell();
        Ok(())
    }

    pub(super) fn desk(&self) -> Desk {
        self.seen
            .as_ref()
            .map(|(_, desk)| desk.clone())
            .unwrap_or_default()
    }

    fn refresh(&mut self) -> Result<(), ControlError> {
        let version = self.stored.version()?;
        if self.seen.as_ref().map(|(seen, _)| *seen) != Some(version) {
            self.seen = Some(self.stored.load()?);
        }
        Ok(())
    }

    /// Has traffic be counted by the second while there is a runbook that may ask for it.
    fn watch(&mut self, is_wanted: bool) {
        let now_ms = now_ms();
        if is_wanted && now_ms >= self.watch_ms {
            self.watch_ms = now_ms + WATCH_MS;
            if let Err(error) = self.process.shared().readers.watch_traffic() {
                tracing::error!(%error, "checks of runbooks see no traffic");
            }
        }
    }

    fn renew(&mut self) -> Result<(), ControlError> {
        let now = now_ms();
        if now < self.renew_ms {
            return Ok(());
        }
        let kind = if self.stored.follows {
            "environments"
        } else {
            "runbooks"
        };
        let name = format!("{kind}/{}", self.stored.environment());
        let (instance, now_ms) = (&self.instance, signed(now));
        let lease = self
            .stored
            .shelf
            .ask(|store| store.take_lease(&name, instance, now_ms, LEASE_MS))?;
        self.lease = Some(lease);
        self.renew_ms = now + RENEW_MS;
        Ok(())
    }

    fn leads(&self) -> bool {
        let lease = self.lease.as_ref();
        lease.is_some_and(|lease| lease.is_held_by(&self.instance, signed(now_ms())))
    }

    /// Changes the desk, as who leads.
    pub(super) fn change<T>(
        &mut self,
        mut change: impl FnMut(&mut Desk, &mut Vec<Told>, u64) -> T,
    ) -> Result<T, ControlError> {
        let changed = self
            .stored
            .change(self.lease.as_ref(), |desk, told, now_ms| {
                Ok::<T, std::convert::Infallible>(change(desk, told, now_ms))
            })?;
        self.refresh()?;
        let Ok(changed) = changed;
        Ok(changed)
    }

    /// Takes actions out of force whose time is over. They have ended in every process already.
    fn end_late(&mut self) -> Result<(), ControlError> {
        if self.desk().late(now_ms()).is_empty() {
            return Ok(());
        }
        let by = self.instance.clone();
        self.change(|desk, told, now_ms| {
            for id in desk.late(now_ms) {
                if let Some(act) = desk.undo(&id) {
                    told.push(undone(&act, &by, "its time is over"));
                }
            }
        })
    }

    /// Starts what incidents and events want.
    fn trigger(&mut self) -> Result<(), ControlError> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        let mut wanted = triggers::by_incidents(&resources, &self.neighbours.incidents)?;
        wanted.retain(|one| !self.tried.contains(&(one.runbook.clone(), one.key.clone())));
        let heard = self.desk().heard;
        let (process, stored) = (self.process.clone(), self.stored.clone());
        let (more, next) = triggers::by_events(&process, &stored, &resources, &heard, now_ms())?;
        if next != heard {
            self.change(|desk, _, _| desk.heard.clone_from(&next))?;
        }
        wanted.extend(more);
        for one in wanted {
            self.start(&resources, &one)?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        resources: &gate_model::resources::Resources,
        wanted: &Wanted,
    ) -> Result<(), ControlError> {
        let Some(book) = resources.runbooks.get(&wanted.runbook) else {
            return Ok(());
        };
        let environment = self.stored.environment().to_owned();
        let by = self.instance.clone();
        let (name, key) = (wanted.runbook.as_str(), wanted.key.clone());
        let known = self
            .stored
            .shelf
            .ask(|store| store.runbook_key(&environment, name, &key))?;
        let mark = (wanted.runbook.clone(), wanted.key.clone());
        if known.is_some() {
            self.remember(mark);
            return Ok(());
        }
        let started = self
            .stored
            .change(self.lease.as_ref(), |desk, told, now_ms| {
                let cause = (wanted.cause.clone(), key.clone());
                let run = desk.start(&environment, (name, book), cause, false, now_ms)?;
                told.push(begun(run, &by, "system"));
                Ok::<String, gate_ops::runbook::StartError>(run.id.clone())
            })?;
        match started {
            Ok(run) => {
                tracing::warn!(run, runbook = name, "a runbook runs");
                self.remember(mark);
            }
            // It is tried again while the trigger is on.
            Err(reason) => tracing::debug!(runbook = name, %reason, "a runbook does not start"),
        }
        self.refresh()
    }

    fn remember(&mut self, mark: (String, String)) {
        if self.tried.len() >= TRIED_MAX {
            self.tried.clear();
        }
        self.tried.insert(mark);
    }

    /// Writes what is new of a run into the incident that started it.
    pub(super) fn note(&mut self, run: &Run) {
        let Some(incident) = run.incident() else {
            return;
        };
        let known = self.noted.get(&run.id).copied().unwrap_or(0);
        let new: Vec<(u64, String)> = run
            .lines
            .iter()
            .skip(known)
            .filter(|line| line.text != "begun")
            .map(|line| {
                (
                    line.at_ms,
                    format!("runbook {}, {}: {}", run.runbook, line.of, line.text),
                )
            })
            .collect();
        let noted = incidents::note_run(&self.neighbours.incidents, incident, &run.id, &new);
        match noted {
            Ok(()) if run.state.is_over() => {
                self.noted.remove(&run.id);
            }
            Ok(()) => {
                self.noted.insert(run.id.clone(), run.lines.len());
            }
            // It is tried again with the run's next line; facts that are there are not noted twice.
            Err(error) => tracing::warn!(incident, run = run.id, %error, "a run is not noted"),
        }
    }

    /// Says what is awaited of people, at once where that changed and again now and then.
    fn tell(&mut self) {
        let now_ms = now_ms();
        let is_due = now_ms >= self.again_ms;
        if is_due {
            self.again_ms = now_ms + AGAIN_MS;
        }
        let desk = self.desk();
        let awaited: BTreeMap<String, Alert> = desk
            .runs
            .iter()
            .filter_map(|run| Some((run.id.clone(), alert(run, self.stored.environment())?)))
            .into_map();
        for (id, alert) in &awaited {
            if is_due || self.told.get(id) != Some(alert) {
                let _ = self.neighbours.alerts.try_send(alert.clone());
            }
        }
        for (id, alert) in &self.told {
            if !awaited.contains_key(id) {
                let over = Alert {
                    is_on: false,
                    ..alert.clone()
                };
                let _ = self.neighbours.alerts.try_send(over);
            }
        }
        self.told = awaited;
    }
}
