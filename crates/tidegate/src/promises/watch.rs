//! The state of all objectives of this process: what was counted, how each stands, and what is to be
//! told. It is given readings and the time, and knows neither threads nor stores.

#[path = "words.rs"]
mod words;

use super::places::{Places, Since};
use crate::incidents::Burn;
use gate_flow::{CellCounts, Score, SharedState};
use gate_kit::order::{Gather, Order};
use gate_model::resources::Resources;
use gate_ops::attribution::Attribution;
use gate_ops::incident::Signal;
use gate_ops::notify::Alert;
use gate_ops::slo::{
    Change, Count, Definition, Fleet, Good, Monitor, Rings, Severity, Suspicion, Turn,
};
use gate_proxy::record::metrics::Subject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is on is told again after so many seconds, so that whoever heard it knows that it goes on.
const AGAIN_S: u64 = 60;
/// So long after it is over, that is told.
const OVER_S: u64 = 120;
/// Counts that say nothing alarming are written so often, in seconds.
const WRITE_S: u64 = 10;
/// What was written once is written again so often, in seconds, though nothing was counted: a row that
/// is a day old is taken for one of a life that has ended, and added to the past.
const ALIVE_S: u64 = 3600;

/// Something that is on or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Page,
    Ticket,
    Vanished,
    Suspicion,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Page, Kind::Ticket, Kind::Vanished, Kind::Suspicion];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Kind::Page => "page",
            Kind::Ticket => "ticket",
            Kind::Vanished => "vanished",
            Kind::Suspicion => "suspicion",
        }
    }
}

/// Since when something is on, and who knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Raised {
    /// Since when, in UNIX seconds.
    pub(super) since_s: Option<u64>,
    /// When it was told last, in this process.
    told_s: Option<u64>,
    /// Since when it was on, and when it ended, until that is told.
    over: Option<(u64, u64)>,
    /// The experiment that made it, as far as could be told when it began. It stays, because it is a
    /// part of what tells the alert from others.
    experiment: Option<String>,
}

/// One objective.
pub(super) struct Watched {
    pub(super) definition: Definition,
    score: Arc<Score>,
    /// What this process has counted.
    pub(super) counted: Count,
    pub(super) monitor: Monitor,
    /// This process's own counts, where they are written.
    own: Option<Rings>,
    /// Others' counts, and those of earlier lives of this one.
    others: Fleet,
    /// Whether something was counted that is not written, and whether that is urgent.
    unwritten: bool,
    urgent: bool,
    written_s: u64,
    /// When the suspicion of an earlier life that it goes on from was noted; 0 for none.
    resumed_ms: i64,
    pub(super) raised: [Raised; Kind::ALL.len()],
    pub(super) attribution: Option<Attribution>,
}

/// Something to be told. Whether it could be is said to [`Watch::told`].
pub(super) struct Word {
    objective: Arc<str>,
    kind: Kind,
    /// For whoever keeps incidents; none for what is over.
    pub(super) signal: Option<Signal>,
    /// For whoever is told; none for suspicions.
    pub(super) alert: Option<Alert>,
}

/// A reading to be written.
pub(super) struct Unwritten {
    pub(super) objective: Arc<str>,
    pub(super) counts: Vec<u8>,
    /// What is suspected, as JSON.
    pub(super) suspicion: String,
}

/// All objectives.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) objectives: BTreeMap<Arc<str>, Watched>,
    pub(super) places: Places,
    /// The resources that the objectives are from.
    of: Option<Arc<Resources>>,
    now_s: u64,
}

impl Watch {
    /// Takes up what a configuration promises. Objectives that stay keep what they know.
    pub(super) fn follow(&mut self, resources: &Arc<Resources>, state: &SharedState, keeps: bool) {
        if self
            .of
            .as_ref()
            .is_some_and(|of| Arc::ptr_eq(of, resources))
        {
            return;
        }
        self.of = Some(resources.clone());
        self.objectives
            .retain(|name, _| resources.objectives.contains_key(&**name));
        for (name, resource) in &resources.objectives {
            let definition = gate_ops::slo::definition(name, resource);
            let known = self.objectives.get_mut(&**name);
            if known
                .as_ref()
                .is_some_and(|known| known.definition == definition)
            {
                continue;
            }
            let mut monitor = match Monitor::new(&definition.objective) {
                Ok(monitor) => monitor,
                // It was checked before it came into force.
                Err(unfit) => {
                    tracing::error!(objective = name, %unfit, "the objective is not watched");
                    continue;
                }
            };
            if let Some(known) = known {
                monitor.take_over(&known.monitor);
                (known.monitor, known.definition) = (monitor, definition);
                continue;
            }
            if let Some(other) = self.objectives.values().next() {
                monitor.share(&other.monitor);
            }
            let score = state.get_or_insert(name, Score::default);
            let watched = Watched {
                definition,
                score,
                counted: Count::default(),
                monitor,
                own: keeps.then(Rings::default),
                others: Fleet::default(),
                unwritten: false,
                urgent: false,
                written_s: 0,
                resumed_ms: 0,
                raised: Default::default(),
                attribution: None,
            };
            self.objectives.insert(name.as_str().into(), watched);
        }
    }

    /// Takes what was counted since the last time, which is the second before `now_s`, and decides.
    /// Time that does not go on changes nothing.
    pub(super) fn tick(&mut self, cells: Vec<CellCounts>, now_s: u64) {
        if now_s <= self.now_s {
            return;
        }
        self.now_s = now_s;
        self.places.add(cells, now_s - 1);
        for (name, watched) in &mut self.objectives {
            watched.take(now_s);
            let changes = watched.monitor.evaluate(now_s);
            watched.mark(now_s);
            for change in changes {
                let since = match change {
                    Change::Suspicion(Turn::Opened) => Since::Now,
                    Change::Burn {
                        severity: Severity::Page,
                        on: true,
                    } => Since::Minutes,
                    _ => continue,
                };
                let with_status = !matches!(
                    watched.definition.good,
                    Good::Available {} | Good::Holds { .. }
                );
                let found = self.places.attribute(name, since, with_status);
                // A slow burn is in what was before, too; what was found when it began says more.
                if !found.answers.is_empty() || watched.attribution.is_none() {
                    watched.attribution = Some(found);
                }
            }
        }
    }

    /// Where an objective stands; none for one without events.
    pub(super) fn burning(&self, name: &str) -> Option<Burn> {
        let watched = self.objectives.get(name)?;
        let budget = watched.monitor.budget();
        Some(Burn {
            rate: budget.burn?,
            spent: 1.0 - budget.left?,
            is_on: watched.raised.iter().any(|raised| raised.since_s.is_some()),
        })
    }

    /// What the objectives' durations are of, each once.
    pub(super) fn subjects(&self) -> BTreeSet<Subject> {
        let all = self.objectives.values();
        all.filter_map(|one| super::durations::subject(&one.definition))
            .into_set()
    }

    /// What is to be told by whoever speaks for all gateways.
    pub(super) fn words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        for (name, watched) in &self.objectives {
            for (kind, raised) in Kind::ALL.into_iter().zip(&watched.raised) {
                let is_due =
                    |told_s: Option<u64>| told_s.is_none_or(|at_s| self.now_s >= at_s + AGAIN_S);
                let of = (raised, kind);
                if let Some(since_s) = raised.since_s.filter(|_| is_due(raised.told_s)) {
                    words.push(watched.word(name, of, since_s, true, self.now_s));
                } else if let Some((since_s, _)) = raised.over {
                    words.push(watched.word(name, of, since_s, false, self.now_s));
                }
            }
        }
        words
    }

    /// A word was heard.
    pub(super) fn told(&mut self, word: &Word) {
        if let Some(watched) = self.objectives.get_mut(&word.objective) {
            let raised = &mut watched.raised[word.kind as usize];
            match raised.since_s {
                Some(_) => raised.told_s = Some(self.now_s),
                None => raised.over = None,
            }
        }
    }

    /// Somebody else speaks for all gateways.
    pub(super) fn be_silent(&mut self) {
        for raised in self.objectives.values_mut().flat_map(|one| &mut one.raised) {
            raised.told_s = None;
        }
    }

    /// Readings that are due to be written, what is alarming first, at most so many.
    pub(super) fn unwritten(&self, most: usize, all: bool) -> Vec<Unwritten> {
        let is_due = |one: &Watched| {
            let changed =
                one.unwritten && (all || one.urgent || self.now_s >= one.written_s + WRITE_S);
            changed || (one.written_s > 0 && self.now_s >= one.written_s + ALIVE_S)
        };
        let mut due: Vec<_> = self
            .objectives
            .iter()
            .filter(|(_, one)| is_due(one))
            .collect();
        due.order_by_key(|(_, one)| (!one.urgent, one.written_s));
        due.truncate(most);
        let reading = |(name, one): (&Arc<str>, &Watched)| {
            Some(Unwritten {
                objective: name.clone(),
                counts: one.own.as_ref()?.encode(),
                suspicion: serde_json::to_string(one.monitor.suspicion()).unwrap_or_default(),
            })
        };
        due.into_iter().filter_map(reading).collect()
    }

    /// A reading was written. What was counted since it was taken stands in the next one.
    pub(super) fn written(&mut self, objective: &str) {
        if let Some(one) = self.objectives.get_mut(objective) {
            (one.unwritten, one.urgent, one.written_s) = (false, false, self.now_s);
        }
    }

    /// Hears what another node counted.
    pub(super) fn hear(&mut self, objective: &str, node: &str, reading: &Rings) {
        let Some(one) = self.objectives.get_mut(objective) else {
            return;
        };
        let before = one.others.counted(node);
        if one.others.absorb(node, reading).is_err() {
            tracing::warn!(
                objective,
                node,
                "too many gateways count; this one is left out"
            );
            return;
        }
        let after = one.others.counted(node).unwrap_or_default();
        // What a node had counted before it was heard of is nothing new.
        let heard = before.map_or(Count::default(), |before| {
            let bad = after.bad.saturating_sub(before.bad);
            Count::new(after.total.saturating_sub(before.total), bad)
        });
        one.sum(heard);
    }

    /// Hears all that others counted of an objective, in the place of what was heard.
    pub(super) fn hear_all(&mut self, objective: &str, readings: &[(String, Rings)]) {
        let Some(one) = self.objectives.get_mut(objective) else {
            return;
        };
        one.others = Fleet::default();
        for (node, reading) in readings {
            if one.others.absorb(node, reading).is_err() {
                tracing::warn!(
                    objective,
                    node,
                    "too many gateways count; this one is left out"
                );
            }
        }
        one.sum(Count::default());
    }

    /// Goes on from what another life suspected; the last that was noted counts.
    pub(super) fn resume(&mut self, objective: &str, noted: &str, at_ms: i64, now_ms: i64) {
        let Some(one) = self.objectives.get_mut(objective) else {
            return;
        };
        // What this life has seen begin is newer than anything noted.
        let is_own = one.resumed_ms == 0 && one.monitor.suspicion().since_s().is_some();
        if is_own || at_ms <= one.resumed_ms {
            return;
        }
        let ago_s = u64::try_from(now_ms - at_ms).unwrap_or(0) / 1000;
        let suspicion = serde_json::from_str::<Suspicion>(noted).ok();
        if let Some(suspicion) = suspicion.and_then(|noted| noted.resumed(ago_s)) {
            one.monitor.resume(suspicion);
            one.resumed_ms = at_ms;
        }
    }

    /// Begins another life: what was counted so far and could not be told to the others for so long
    /// stays with this process alone.
    pub(super) fn forget_own(&mut self) {
        for one in self.objectives.values_mut() {
            if let Some(own) = &mut one.own {
                *own = Rings::default();
            }
        }
    }
}

impl Watched {
    /// Whether counts are written to a store.
    pub(super) fn is_stored(&self) -> bool {
        self.own.is_some()
    }

    #[cfg(test)]
    fn own_bytes(&self) -> usize {
        self.own.as_ref().map_or(0, Rings::heap_bytes)
    }

    /// Takes what was counted.
    fn take(&mut self, now_s: u64) {
        let added = self.score.take();
        if added.total == 0 {
            return;
        }
        let count = Count::new(added.total, added.bad);
        self.counted = Count::new(
            self.counted.total + count.total,
            self.counted.bad + count.bad,
        );
        self.monitor.record(now_s - 1, count);
        if let Some(own) = &mut self.own {
            own.record(now_s - 1, count);
            self.unwritten = true;
            self.urgent |= count.bad > 0;
        }
    }

    /// Has the windows show what all nodes counted.
    fn sum(&mut self, heard: Count) {
        let mut sum = self.others.sum();
        if let Some(own) = &self.own {
            sum.add(own);
        }
        self.monitor.replace(sum, heard);
    }

    /// Notes since when what is on is on.
    fn mark(&mut self, now_s: u64) {
        let alerts = self.monitor.alerts();
        let suspicion = self.monitor.suspicion().since_s();
        let on = [
            alerts.page,
            alerts.ticket,
            alerts.vanished,
            suspicion.is_some(),
        ];
        for ((kind, raised), on) in Kind::ALL.into_iter().zip(&mut self.raised).zip(on) {
            match (raised.since_s, on) {
                (None, true) => {
                    // A suspicion of an earlier life is as old as it was.
                    let since_s = suspicion.filter(|_| kind == Kind::Suspicion);
                    *raised = Raised {
                        since_s: Some(since_s.unwrap_or(now_s)),
                        ..Raised::default()
                    };
                }
                (Some(since_s), false) => {
                    *raised = Raised {
                        over: Some((since_s, now_s)),
                        experiment: raised.experiment.take(),
                        ..Raised::default()
                    };
                }
                _ => {}
            }
            if raised.over.is_some_and(|(_, at_s)| now_s > at_s + OVER_S) {
                raised.over = None;
            }
        }
        if on == [false; 4] {
            self.attribution = self
                .attribution
                .take()
                .filter(|_| self.raised.iter().any(|r| r.over.is_some()));
        }
    }
}

#[path = "told.rs"]
mod told;

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
