//! Which signal opens an incident, and which joins one.
//!
//! Two signals are about the same trouble when they name the same objective, route or revision, or
//! are attributed to the same place, or begin within two minutes of one another and are not
//! attributed to different places. So two hundred alerts from one cause are one incident, and a second
//! trouble somewhere else is another.

use super::{Hypothesis, Incident, Life, Query, Standing, What};
use crate::attribution::{Attribution, Conjunction};
use gate_kit::order::Gather;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most incidents that are open at a time; what comes then joins the latest.
pub const OPEN_MAX: usize = 100;
/// Signals that begin so close together are about the same unless something speaks against it.
const TOGETHER_MS: u64 = 120_000;
/// So long after it was resolved, a signal opens it again.
const REOPEN_MS: u64 = 30 * 60_000;
/// So long all must be quiet before it is resolved.
const QUIET_MS: u64 = 10 * 60_000;
/// Runners-up that are kept as hypotheses, the answer included.
const HYPOTHESES: usize = 4;

/// What kind of signal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The fast signal, with attribution.
    Suspicion,
    /// A revision was taken back.
    Rollback,
    /// A page.
    Page,
    /// A ticket: joins, and opens nothing.
    Ticket,
    /// An experiment began: see `run.rs`. No signal is of this kind.
    Experiment,
}

/// What a signal is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The objective that burns.
    pub objective: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The revision that is suspected or was taken back.
    pub revision: Option<String>,
}

/// A signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Its kind.
    pub opening: Opening,
    /// What it is about.
    pub subject: Subject,
    /// Where the excess is, as far as is known.
    pub attribution: Option<Attribution>,
    /// What shows it.
    pub query: Query,
    /// The experiment that is under way there, if any.
    pub experiment: Option<String>,
    /// In words.
    pub text: String,
}

/// What the desk did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// An incident is new.
    Opened(String),
    /// The signal is part of this incident.
    Joined(String),
    /// This incident was over and is not.
    Reopened(String),
    /// The signal alone opens nothing: a ticket, or a suspicion that could not be attributed.
    Ignored,
}

/// An incident that has been quiet long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed(pub String);

/// All incidents that signals may join.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Desk {
    incidents: BTreeMap<String, Incident>,
    opened: u64,
}

impl Desk {
    /// A desk as it was kept: its incidents, and how many were opened so far.
    #[must_use]
    pub fn of(incidents: impl IntoIterator<Item = Incident>, opened: u64) -> Self {
        let incidents = incidents.into_iter();
        Self {
            incidents: incidents.map(|one| (one.id.clone(), one)).into_map(),
            opened,
        }
    }

    /// How many were opened so far; the number of the newest.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// The incidents on the desk: open ones, and those resolved a short while ago.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// One of them, to note something in.
    pub fn incident(&mut self, id: &str) -> Option<&mut Incident> {
        self.incidents.get_mut(id)
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Incident> {
        self.incidents.values_mut()
    }

    /// Takes a signal. `id` is asked for a new incident's name, which must be unique.
    pub fn hear(&mut self, signal: Signal, now_ms: u64, id: impl FnOnce(u64) -> String) -> Effect {
        if let Some(found) = self.find(&signal, now_ms) {
            let incident = self.incidents.get_mut(&found).expect("found among these");
            // A ticket is about days; it says nothing about whether this goes on.
            let was_over = !incident.life.is_open() && signal.opening != Opening::Ticket;
            // What was mitigated and burns again is not.
            if was_over || incident.life == Life::Mitigated && signal.opening == Opening::Page {
                incident.enter(Life::Triaged, format!("again: {}", signal.text), now_ms);
            }
            join(incident, signal, now_ms);
            return match was_over {
                true => Effect::Reopened(found),
                false => Effect::Joined(found),
            };
        }
        let is_attributed = signal
            .attribution
            .as_ref()
            .is_some_and(|found| !found.answers.is_empty());
        match signal.opening {
            Opening::Ticket | Opening::Experiment => return Effect::Ignored,
            Opening::Suspicion if !is_attributed => return Effect::Ignored,
            Opening::Suspicion | Opening::Rollback | Opening::Page => {}
        }
        let experiment = signal.experiment.clone();
        let id = self.open(signal.opening, experiment, now_ms, id);
        let incident = self.incidents.get_mut(&id).expect("it was opened above");
        incident.enter(Life::Detected, signal.text.clone(), now_ms);
        join(incident, signal, now_ms);
        Effect::Opened(id)
    }

    /// Puts an incident on the desk about which nothing is known yet.
    pub(super) fn open(
        &mut self,
        opening: Opening,
        experiment: Option<String>,
        now_ms: u64,
        id: impl FnOnce(u64) -> String,
    ) -> String {
        self.opened += 1;
        let id = id(self.opened);
        let incident = Incident {
            id: id.clone(),
            life: Life::Detected,
            severity: None,
            opened_ms: now_ms,
            heard_ms: now_ms,
            opening,
            experiment,
            run: None,
            objectives: BTreeSet::new(),
            routes: BTreeSet::new(),
            revisions: BTreeSet::new(),
            cell: Vec::new(),
            signals: 0,
            facts: Vec::new(),
            facts_left_out: 0,
            hypotheses: Vec::new(),
            roles: BTreeMap::new(),
            updates: Vec::new(),
            series: Vec::new(),
        };
        self.incidents.insert(id.clone(), incident);
        id
    }

    /// Which incident a signal is about: the one with most in common, of equals the latest.
    fn find(&self, signal: &Signal, now_ms: u64) -> Option<String> {
        let near = |incident: &&Incident| {
            incident.life.is_open() || now_ms.saturating_sub(incident.heard_ms) <= REOPEN_MS
        };
        let candidates = self.incidents.values().filter(near);
        let weighed = candidates
            .filter(|incident| incident.life != Life::Reviewed)
            .map(|incident| {
                (
                    in_common(incident, signal, now_ms),
                    incident.opened_ms,
                    &incident.id,
                )
            });
        let best = weighed.filter(|(common, ..)| *common > 0).max();
        if best.is_none()
            && self
                .incidents
                .values()
                .filter(|one| one.life.is_open())
                .count()
                >= OPEN_MAX
        {
            let latest = self.incidents.values().filter(|one| one.life.is_open());
            return latest
                .max_by_key(|one| one.opened_ms)
                .map(|one| one.id.clone());
        }
        best.map(|(.., id)| id.clone())
    }

    /// Says that nothing about an incident burns any more (or does).
    pub fn quiet(&mut self, id: &str, is_quiet: bool, query: Query, now_ms: u64) {
        let Some(incident) = self.incidents.get_mut(id).filter(|one| one.life.is_open()) else {
            return;
        };
        if !is_quiet {
            incident.heard_ms = now_ms;
        } else if incident.life != Life::Mitigated {
            incident.heard_ms = now_ms;
            // An experiment that nothing noticed has nothing to recover from.
            let reason = match incident.run.is_some() && incident.signals == 0 {
                true => "the experiment is over",
                false => {
                    incident.note(now_ms, What::Recovery {}, query);
                    "the objectives are kept again"
                }
            };
            incident.enter(Life::Mitigated, reason.into(), now_ms);
        }
    }

    /// Resolves what has been quiet long enough, and hands over what no signal joins any more, to be
    /// kept elsewhere. Call it about once a minute.
    pub fn sweep(&mut self, now_ms: u64) -> (Vec<Closed>, Vec<Incident>) {
        let mut closed = Vec::new();
        for incident in self.incidents.values_mut() {
            let quiet_ms = now_ms.saturating_sub(incident.heard_ms);
            if incident.life == Life::Mitigated && quiet_ms >= QUIET_MS {
                incident.enter(Life::Resolved, "quiet for 10 minutes".into(), now_ms);
                closed.push(Closed(incident.id.clone()));
            }
        }
        let is_done = |incident: &Incident| {
            !incident.life.is_open() && now_ms.saturating_sub(incident.heard_ms) > REOPEN_MS
        };
        let done: Vec<String> = self
            .incidents
            .values()
            .filter(|one| is_done(one))
            .map(|one| one.id.clone())
            .collect();
        let done = done
            .iter()
            .filter_map(|id| self.incidents.remove(id))
            .collect();
        (closed, done)
    }
}

/// How much a signal has in common with an incident; 0 is nothing.
fn in_common(incident: &Incident, signal: &Signal, now_ms: u64) -> u32 {
    let has = |set: &BTreeSet<String>, name: &Option<String>| {
        name.as_ref().is_some_and(|name| set.contains(name))
    };
    let cell = first(signal);
    let place = compare(&incident.cell, cell);
    // What an experiment explains is not mixed with what it does not.
    if incident.experiment != signal.experiment {
        return 0;
    }
    if incident.experiment.is_some() {
        return 4;
    }
    let subject = &signal.subject;
    let is_named = has(&incident.objectives, &subject.objective)
        || has(&incident.revisions, &subject.revision)
        || has(&incident.routes, &subject.route);
    let is_together = now_ms.saturating_sub(incident.opened_ms) <= TOGETHER_MS;
    match place {
        Place::Same => 3,
        _ if is_named => 2,
        Place::Unknown if is_together => 1,
        Place::Unknown | Place::Other => 0,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One is within the other.
    Same,
    /// One of them is not known, or nothing speaks for or against.
    Unknown,
    /// They name different values of the same dimension.
    Other,
}

pub(super) fn compare(one: &[Conjunction], other: &[Conjunction]) -> Place {
    if one.is_empty() || other.is_empty() {
        return Place::Unknown;
    }
    let within =
        |a: &Conjunction, b: &Conjunction| a.iter().all(|(key, value)| b.get(key) == Some(value));
    let differ = |a: &Conjunction, b: &Conjunction| {
        a.iter()
            .any(|(key, value)| b.get(key).is_some_and(|other| other != value))
    };
    let pairs = || one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    if pairs().any(|(a, b)| within(a, b) || within(b, a)) {
        return Place::Same;
    }
    match pairs().all(|(a, b)| differ(a, b)) {
        true => Place::Other,
        false => Place::Unknown,
    }
}

fn first(signal: &Signal) -> &[Conjunction] {
    let answers = signal.attribution.as_ref().map(|found| &found.answers[..]);
    let first = answers.and_then(<[_]>::first);
    first.map_or(&[], |answer| &answer.causes)
}

fn join(incident: &mut Incident, signal: Signal, now_ms: u64) {
    incident.signals += 1;
    incident.heard_ms = now_ms;
    let add = |set: &mut BTreeSet<String>, name: &Option<String>| {
        if set.len() < super::LINES_MAX {
            set.extend(name.clone());
        }
    };
    add(&mut incident.objectives, &signal.subject.objective);
    add(&mut incident.routes, &signal.subject.route);
    add(&mut incident.revisions, &signal.subject.revision);
    let what = What::Signal {
        text: signal.text.clone(),
        opening: Some(signal.opening),
    };
    let fact = incident.note(now_ms, what, signal.query);
    let (Some(found), Some(fact)) = (signal.attribution, fact) else {
        return;
    };
    if !incident.cell.is_empty() {
        return;
    }
    if let Some(first) = found.answers.first() {
        incident.cell.clone_from(&first.causes);
    }
    for answer in found.answers.into_iter().take(HYPOTHESES) {
        let revisions = answer
            .causes
            .iter()
            .filter_map(|cause| cause.get("revision"));
        incident.revisions.extend(revisions.cloned());
        let _ = incident.suppose(Hypothesis {
            text: answer.to_string(),
            cell: answer.causes,
            explained: answer.explained,
            standing: Standing::Open,
            facts: vec![fact],
        });
    }
}
