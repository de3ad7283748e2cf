//! The thread: hears signals, stores what the desk makes of them, and leads where it holds the lease.
//!
//! Nothing is told or shown that is not stored. A write that another overtook is made anew on what that
//! one wrote.

use super::facts::{fill, note, of_records};
use super::rollback::{TakenBack, taken_back};
use super::seen::{self, Seen, seen};
use super::{Neighbours, Shelf, board, failover};
use crate::runs::Runs;
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_ops::incident::{Desk, Effect, Incident, Life, Query, Signal, Subject, What};
use gate_proxy::process::Process;
use gate_store::control::{ControlError, DeskSave, IncidentQuery, IncidentSave, Lease, PAGE_MAX};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

#[path = "tend.rs"]
mod tend;

use tend::{alert, is_tried};

/// How long signals are waited for before something else may be due.
const WAIT: Duration = Duration::from_millis(400);
/// How long is waited after a store that did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// Signals that wait for the store; further ones are dropped, because their alert stays on.
const PENDING_MAX: usize = 1024;
/// How often a write is made anew on what another wrote.
const ATTEMPTS: u32 = 10;
/// How long a lease lasts without being renewed, and how often it is, in milliseconds; as for rollouts.
const LEASE_MS: i64 = 3_000;
const RENEW_MS: u64 = 1_000;
/// How often records are looked at for an incident that began a short while ago, and later on.
const LOOK_MS: u64 = 1_000;
const LOOK_LATER_MS: u64 = 10_000;
const SHORT_MS: u64 = 120_000;
/// How often what is over is resolved and put away.
const SWEEP_MS: u64 = 5_000;
/// How often what is on is said again.
const AGAIN_MS: u64 = 10_000;
/// The same signal within this time says nothing new.
const SAME_MS: u64 = 60_000;
/// So long nothing must have failed, or been signalled, before an incident counts as over.
const QUIET_MS: u64 = 30_000;
/// Where the share of bad events is below this, or twice what it was, promises are kept again.
const USUAL: f64 = 0.01;
/// Facts about evidence that one rollout leaves.
const TRAIL_MAX: usize = 60;

/// What the leader remembers beside the incidents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// How many incidents were opened.
    opened: u64,
    /// Which share of its objectives' budgets was spent when an incident of the desk was opened.
    spent: BTreeMap<String, f64>,
    /// The number of the last rollout that was looked at; none before the first look.
    rollouts: Option<u64>,
}

/// The desk as it is in the store.
#[derive(Debug, Clone, Default)]
struct Known {
    desk: Desk,
    memory: Memory,
    /// The desk's version; 0 before the first write.
    version: u64,
    /// Versions of the incidents on it.
    versions: BTreeMap<String, u64>,
    /// Those that leave it with the next write.
    left: Vec<Incident>,
}

/// The thread's own.
pub(super) struct Work {
    process: Arc<Process>,
    shelf: Arc<Shelf>,
    instance: String,
    /// Whether there are revisions that can be taken back.
    follows: bool,
    receiver: Receiver<Signal>,
    neighbours: Neighbours,
    clock: Clock,
    pending: VecDeque<Signal>,
    /// When a signal was last heard, by what it says.
    heard: BTreeMap<(Subject, String), u64>,
    known: Known,
    lease: Option<Lease>,
    renew_ms: u64,
    /// The generation of the environment when rollouts were last looked at.
    generation: Option<u64>,
    /// When each incident is looked at again.
    look_ms: BTreeMap<String, u64>,
    /// Evidence of the rollout under way: its id, and what it said when.
    trail: (String, Vec<(u64, String, f64)>),
    trail_ms: u64,
    board: board::Board,
    again_ms: u64,
    sweep_ms: u64,
    prune_ms: u64,
    told: BTreeMap<String, (bool, String)>,
    /// The experiments of this process.
    runs: Runs,
}

impl Work {
    pub(super) fn new(
        process: &Arc<Process>,
        shelf: &Arc<Shelf>,
        instance: String,
        follows: bool,
        receiver: Receiver<Signal>,
        neighbours: Neighbours,
    ) -> Self {
        Self {
            process: process.clone(),
            shelf: shelf.clone(),
            instance,
            follows,
            receiver,
            neighbours,
            clock: Clock::System,
            pending: VecDeque::new(),
            heard: BTreeMap::new(),
            known: Known::default(),
            lease: None,
            renew_ms: 0,
            generation: None,
            look_ms: BTreeMap::new(),
            trail: (String::new(), Vec::new()),
            trail_ms: 0,
            board: board::Board::default(),
            again_ms: 0,
            sweep_ms: 0,
            prune_ms: 0,
            told: BTreeMap::new(),
            runs: Runs::default(),
        }
    }

    pub(super) fn run(&mut self, ends: &AtomicBool) {
        let mut is_down = false;
        while !ends.load(Ordering::Acquire) {
            let wait = if is_down { BACKOFF } else { WAIT };
            match self.receiver.recv_timeout(wait) {
                Ok(signal) => self.take(signal),
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever sent has ended; there is still what the store says.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
            }
            while let Ok(signal) = self.receiver.try_recv() {
                self.take(signal);
            }
            match self.step() {
                Ok(()) => is_down = false,
                Err(error) => {
                    if !is_down {
                        tracing::warn!(%error, "incidents wait for the store");
                    }
                    is_down = true;
                }
            }
        }
    }

    /// Takes a signal, unless it says again what was just said.
    fn take(&mut self, signal: Signal) {
        let now_ms = self.now_ms();
        self.heard
            .retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < SAME_MS);
        let said = (signal.subject.clone(), signal.text.clone());
        let is_new = !self.heard.contains_key(&said);
        if is_new && self.pending.len() < PENDING_MAX {
            self.heard.insert(said, now_ms);
            self.pending.push_back(signal);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX)
    }

    fn step(&mut self) -> Result<(), ControlError> {
        let now_ms = self.now_ms();
        self.runs.look(&self.process, now_ms);
        let has_news = !self.runs.news().is_empty();
        if self.shelf.is_untouched() && self.pending.is_empty() && !has_news {
            self.board
                .show(&self.process, &self.shelf, 0, self.now_ms())?;
            return Ok(());
        }
        self.refresh()?;
        self.renew()?;
        if has_news {
            self.follow_runs()?;
        }
        if !self.pending.is_empty() {
            self.hear()?;
        }
        if self.leads() {
            self.watch_rollouts()?;
            self.look()?;
            self.sweep()?;
            self.prune()?;
            self.alert();
        }
        let (version, now_ms) = (self.known.version, self.now_ms());
        self.board.show(&self.process, &self.shelf, version, now_ms)
    }

    fn renew(&mut self) -> Result<(), ControlError> {
        let now = self.now_ms();
        if now < self.renew_ms {
            return Ok(());
        }
        let kind = if self.follows {
            "environments"
        } else {
            "incidents"
        };
        let name = format!("{kind}/{}", self.shelf.environment);
        let (instance, now_ms) = (&self.instance, signed(now));
        let lease = self
            .shelf
            .ask(|store| store.take_lease(&name, instance, now_ms, LEASE_MS))?;
        self.lease = Some(lease);
        self.renew_ms = now + RENEW_MS;
        Ok(())
    }

    fn leads(&self) -> bool {
        let now_ms = signed(self.now_ms());
        let lease = self.lease.as_ref();
        lease.is_some_and(|lease| lease.is_held_by(&self.instance, now_ms))
    }

    /// Reads the desk where another wrote it.
    fn refresh(&mut self) -> Result<(), ControlError> {
        let environment = &self.shelf.environment;
        let row = self.shelf.ask(|store| store.incident_desk(environment))?;
        let Some(row) = row.filter(|row| row.version != self.known.version) else {
            return Ok(());
        };
        let query = IncidentQuery {
            environment,
            on_desk: true,
            limit: PAGE_MAX,
            ..IncidentQuery::default()
        };
        let rows = self.shelf.ask(|store| store.incidents(&query))?;
        let memory: Memory = serde_json::from_str(&row.data).unwrap_or_default();
        let mut versions = BTreeMap::new();
        let mut incidents = Vec::new();
        for row in rows {
            match serde_json::from_str::<Incident>(&row.data) {
                Ok(incident) => {
                    versions.insert(row.id, row.version);
                    incidents.push(incident);
                }
                Err(error) => {
                    tracing::error!(incident = row.id, %error, "an incident cannot be read");
                }
            }
        }
        self.known = Known {
            desk: Desk::of(incidents, memory.opened),
            memory,
            version: row.version,
            versions,
            left: Vec::new(),
        };
        Ok(())
    }

    /// Changes the desk and stores it, on what is in the store then. Returns what `change` did.
    fn change<T>(
        &mut self,
        must_lead: bool,
        mut change: impl FnMut(&mut Known, u64) -> T,
    ) -> Result<T, ControlError> {
        let mut attempt = 0;
        loop {
            let mut next = self.known.clone();
            let now_ms = self.now_ms();
            let done = change(&mut next, now_ms);
            match self.store(&mut next, must_lead, now_ms) {
                Ok(()) => {
                    self.known = next;
                    return Ok(done);
                }
                Err(ControlError::Stale { .. }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    self.refresh()?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn store(&self, next: &mut Known, must_lead: bool, now_ms: u64) -> Result<(), ControlError> {
        let before: BTreeMap<&str, &Incident> = self
            .known
            .desk
            .incidents()
            .map(|one| (one.id.as_str(), one))
            .into_map();
        next.memory.opened = next.desk.opened();
        let on_desk = next.desk.incidents().map(|one| (one, true));
        let all = on_desk.chain(next.left.iter().map(|one| (one, false)));
        let changed: Vec<(&Incident, bool, String)> = all
            .filter(|(one, on_desk)| !on_desk || before.get(one.id.as_str()) != Some(one))
            .map(|(one, on_desk)| (one, on_desk, serde_json::json!(one).to_string()))
            .collect();
        if changed.is_empty() && next.memory == self.known.memory {
            return Ok(());
        }
        let saves: Vec<IncidentSave<'_>> = changed
            .iter()
            .map(|(one, on_desk, data)| IncidentSave {
                id: &one.id,
                expected: next.versions.get(&one.id).copied().unwrap_or(0),
                life: one.life.as_str(),
                on_desk: *on_desk,
                data,
                opened_ms: signed(one.opened_ms),
            })
            .collect();
        let data = serde_json::json!(next.memory).to_string();
        let save = DeskSave {
            environment: &self.shelf.environment,
            desk: Some((next.version, &data)),
            incidents: &saves,
            lease: self.lease.as_ref().filter(|_| must_lead),
            now_ms: signed(now_ms),
        };
        let version = self.shelf.ask(|store| store.save_incidents(&save))?;
        let written: Vec<String> = changed.iter().map(|(one, ..)| one.id.clone()).collect();
        next.version = version;
        for id in written {
            *next.versions.entry(id).or_insert(0) += 1;
        }
        for one in std::mem::take(&mut next.left) {
            next.versions.remove(&one.id);
        }
        Ok(())
    }

    /// Has the desk hear what came in.
    fn hear(&mut self) -> Result<(), ControlError> {
        let signals: Vec<Signal> = self.pending.iter().cloned().collect();
        let environment = self.shelf.environment.clone();
        let effects = self.change(false, |next, now_ms| {
            let named = |number| id(&environment, number);
            let hear = |signal: &Signal| next.desk.hear(signal.clone(), now_ms, named);
            signals.iter().map(hear).collect::<Vec<Effect>>()
        })?;
        self.pending.clear();
        effects.iter().for_each(tell);
        self.triage()
    }

    /// Judges open incidents by how their objectives burn.
    fn triage(&mut self) -> Result<(), ControlError> {
        let Some(burning) = self.neighbours.burning.clone() else {
            return Ok(());
        };
        self.change(false, |next, now_ms| {
            for id in ids(&next.desk) {
                let Some(incident) = next.desk.incident(&id).filter(|one| one.life.is_open())
                else {
                    continue;
                };
                let burns = incident.objectives.iter().filter_map(|name| burning(name));
                let worst = burns
                    .map(|one| (one.rate, one.spent))
                    .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)));
                if let Some((burn, spent)) = worst {
                    let before = *next.memory.spent.entry(id).or_insert(spent);
                    incident.triage(burn, (spent - before).max(0.0), now_ms);
                }
            }
        })
    }

    /// Opens incidents for what was taken back, and remembers how evidence grew.
    fn watch_rollouts(&mut self) -> Result<(), ControlError> {
        if !self.follows {
            return Ok(());
        }
        self.follow_evidence()?;
        let environment = self.shelf.environment.clone();
        let generation = self.shelf.ask(|store| store.generation(&environment))?;
        if self.generation == Some(generation) && self.known.memory.rollouts.is_some() {
            return Ok(());
        }
        let after = self.known.memory.rollouts;
        let (found, at) = self
            .shelf
            .ask(|store| taken_back(store, &environment, after))?;
        if found.is_empty() && at == after {
            self.generation = Some(generation);
            return Ok(());
        }
        let (trail_of, trail) = std::mem::take(&mut self.trail);
        let lead = self.change(true, |next, now_ms| {
            if next.memory.rollouts != after {
                // Another gateway led meanwhile, and did this.
                return Vec::new();
            }
            next.memory.rollouts = at;
            let open = |back: &TakenBack| {
                let effect = next.desk.hear(back.signal.clone(), now_ms, |number| {
                    id(&environment, number)
                });
                let trail = if back.rollout == trail_of {
                    &trail[..]
                } else {
                    &[]
                };
                fill(&mut next.desk, &effect, back, trail, now_ms);
                effect
            };
            found.iter().map(open).collect::<Vec<Effect>>()
        });
        match lead {
            Ok(effects) => effects.iter().for_each(tell),
            Err(ControlError::NotLeader(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// Notes what the evidence of the rollout under way says, once a second.
    fn follow_evidence(&mut self) -> Result<(), ControlError> {
        let now_ms = self.now_ms();
        if now_ms < self.trail_ms {
            return Ok(());
        }
        self.trail_ms = now_ms + LOOK_MS;
        let environment = &self.shelf.environment;
        let shown = self.shelf.ask(|store| {
            let candidate = store
                .environment(environment)?
                .and_then(|row| row.candidate);
            let Some(candidate) = candidate else {
                return Ok(None);
            };
            let evidence = store.evidence(&candidate.rollout)?;
            let row = store.rollout(&candidate.rollout)?;
            Ok(row.map(|row| crate::rollouts::show(&row, &evidence)))
        })?;
        let Some(shown) = shown else {
            return Ok(());
        };
        if self.trail.0 != shown.id {
            self.trail = (shown.id.clone(), Vec::new());
        }
        let lines = shown.evidence.iter();
        let strongest = lines.max_by(|one, other| one.e_value.total_cmp(&other.e_value));
        if let Some(line) = strongest.filter(|line| line.e_value > 1.0) {
            let of = format!("{} on {}", line.signal, line.slice);
            self.trail.1.push((now_ms, of, line.e_value.ln()));
            if self.trail.1.len() > TRAIL_MAX {
                self.trail.1.remove(0);
            }
        }
        Ok(())
    }

    /// Fills in what records say, and sees what is over.
    fn look(&mut self) -> Result<(), ControlError> {
        let now_ms = self.now_ms();
        let due: Vec<Incident> = self
            .known
            .desk
            .incidents()
            .filter(|one| {
                matches!(one.life, Life::Detected | Life::Triaged)
                    || is_fresh(one, now_ms)
                    || is_tried(one, now_ms)
            })
            .filter(|one| {
                self.look_ms
                    .get(&one.id)
                    .is_none_or(|at_ms| now_ms >= *at_ms)
            })
            .cloned()
            .collect();
        let Some(first_ms) = due.iter().map(|one| one.opened_ms).min() else {
            return Ok(());
        };
        let folder = self.process.shared().readers.records_folder();
        let since_ms = first_ms.saturating_sub(seen::BEFORE_MS);
        let events = seen::events(folder.as_deref(), since_ms);
        let mut looks = Vec::new();
        for incident in &due {
            let seen = seen(incident, &events);
            let is_over = self.is_over(incident, &seen, now_ms)?;
            let seconds = self.seconds(incident);
            looks.push((incident.id.clone(), seen, is_over, seconds));
            let pause_ms = match is_fresh(incident, now_ms) || is_tried(incident, now_ms) {
                true => LOOK_MS,
                false => LOOK_LATER_MS,
            };
            self.look_ms.insert(incident.id.clone(), now_ms + pause_ms);
        }
        let on_desk: BTreeSet<String> = ids(&self.known.desk).into_iter().into_set();
        self.look_ms.retain(|id, _| on_desk.contains(id));
        let spent = self.neighbours.burning.clone();
        let providers = self.process.providers();
        let resources = self.process.shared().snapshot.load_full().resources.clone();
        let written = self.change(true, |next, now_ms| {
            for (id, seen, is_over, seconds) in &looks {
                let Some(incident) = next.desk.incident(id) else {
                    continue;
                };
                let before = next.memory.spent.get(id).copied().unwrap_or(0.0);
                let spent = spent.as_ref().map(|burning| (burning, before));
                // The exact counts of all gateways, where there are any, say more than records.
                incident.curve(if seconds.is_empty() {
                    &seen.series
                } else {
                    seconds
                });
                note(incident, seen, spent, now_ms);
                failover::note(incident, &resources, &providers, now_ms);
                if let Some(query) = is_over {
                    next.desk.quiet(id, true, query.clone(), now_ms);
                }
            }
        });
        match written {
            Err(ControlError::NotLeader(_)) => Ok(()),
            // What burns on gets worse.
            Ok(()) => self.triage(),
            Err(error) => Err(error),
        }
    }

    /// Whether what an incident is about is over, and what shows it.
    fn is_over(
        &self,
        incident: &Incident,
        seen: &Seen,
        now_ms: u64,
    ) -> Result<Option<Query>, ControlError> {
        if !matches!(incident.life, Life::Detected | Life::Triaged) {
            return Ok(None);
        }
        if let Some(run) = &incident.run
            && incident.objectives.is_empty()
        {
            return Ok(run.ended_ms.map(|ended_ms| Query {
                of: format!("incidents/{}", incident.id),
                filter: BTreeMap::new(),
                from_ms: run.began_ms,
                until_ms: ended_ms,
            }));
        }
        if incident.objectives.is_empty() && self.follows {
            return self.serves_without(incident, now_ms);
        }
        if let Some(is_on) = self.burns(incident) {
            let of = incident
                .objectives
                .first()
                .map(|name| format!("objectives/{name}"));
            return Ok((!is_on).then(|| Query {
                of: of.unwrap_or_default(),
                filter: BTreeMap::new(),
                from_ms: incident.opened_ms,
                until_ms: now_ms,
            }));
        }
        let from_ms = now_ms.saturating_sub(QUIET_MS);
        let recent = seen.series.iter().filter(|one| one.at_ms >= from_ms);
        let (mut total, mut bad) = (0, 0);
        for one in recent {
            total += one.count.total;
            bad += one.count.bad;
        }
        let before = incident.facts.iter().find_map(|fact| match &fact.what {
            What::Onset { before, .. } => before.ratio(),
            _ => None,
        });
        let usual = before.map_or(USUAL, |before| (2.0 * before).max(USUAL));
        let is_silent = now_ms.saturating_sub(incident.heard_ms) >= QUIET_MS;
        // Nothing that is counted is no proof.
        let is_kept = total > 0 && (bad as f64) <= usual * total as f64;
        Ok((is_silent && is_kept).then(|| of_records(incident, from_ms, now_ms)))
    }

    /// Whether anything about an incident's objectives is on; none where none of them is known.
    fn burns(&self, incident: &Incident) -> Option<bool> {
        let burning = self.neighbours.burning.as_ref()?;
        let known = incident.objectives.iter().filter_map(|name| burning(name));
        known.map(|one| one.is_on).reduce(|one, other| one || other)
    }

    fn sweep(&mut self) -> Result<(), ControlError> {
        let now_ms = self.now_ms();
        if now_ms < self.sweep_ms {
            return Ok(());
        }
        self.sweep_ms = now_ms + SWEEP_MS;
        let written = self.change(true, |next, now_ms| {
            next.desk.expire(now_ms);
            let (closed, done) = next.desk.sweep(now_ms);
            for one in &done {
                next.memory.spent.remove(&one.id);
            }
            next.left = done;
            closed
        });
        match written {
            Ok(closed) => {
                for closed in closed {
                    tracing::info!(incident = closed.0, "the incident is resolved");
                }
                Ok(())
            }
            Err(ControlError::NotLeader(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says which incidents are on: at once where that changed, and again now and then, so that who
    /// lost it hears it.
    fn alert(&mut self) {
        let Some(alerts) = &self.neighbours.alerts else {
            return;
        };
        let now_ms = self.now_ms();
        let is_due = now_ms >= self.again_ms;
        if is_due {
            self.again_ms = now_ms + AGAIN_MS;
        }
        let mut told = BTreeMap::new();
        for incident in self.known.desk.incidents() {
            let alert = alert(incident, &self.shelf.environment);
            let state = (alert.is_on, alert.text.clone());
            let is_same = self.told.get(&incident.id) == Some(&state);
            // What finds no place is said again at the next look.
            if (is_same && !is_due) || alerts.try_send(alert).is_ok() {
                told.insert(incident.id.clone(), state);
            }
        }
        self.told = told;
    }
}

fn id(environment: &str, number: u64) -> String {
    format!("inc-{environment}-{number}")
}

fn ids(desk: &Desk) -> Vec<String> {
    desk.incidents().map(|one| one.id.clone()).collect()
}

fn tell(effect: &Effect) {
    match effect {
        Effect::Opened(incident) => tracing::warn!(incident, "an incident is open"),
        Effect::Reopened(incident) => tracing::warn!(incident, "an incident is open again"),
        Effect::Joined(_) | Effect::Ignored => {}
    }
}

/// Whether it was opened so short a while ago that records of its beginning may still come.
fn is_fresh(incident: &Incident, now_ms: u64) -> bool {
    incident.life != Life::Reviewed && now_ms.saturating_sub(incident.opened_ms) <= SHORT_MS
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
