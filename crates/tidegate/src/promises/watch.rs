//! The state of all objectives of this process: what was counted, how each stands, and what is to be
//! told. It is given readings and the time, and knows neither threads nor stores.

use super::places::{Places, Since};
use crate::incidents::Burn;
use gate_flow::{CellCounts, Score, SharedState};
use gate_model::resources::Resources;
use gate_ops::attribution::Attribution;
use gate_ops::incident::{About, Moment, Opening, Query, Run, Signal, Subject};
use gate_ops::notify::{Alert, Labels};
use gate_ops::slo::{Change, Count, Definition, Fleet, Good, Monitor, Rings, Severity, Turn};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is on is told again after so many seconds, so that whoever heard it knows that it goes on.
const AGAIN_S: u64 = 60;
/// So long after it is over, that is told.
const OVER_S: u64 = 120;
/// Counts that say nothing alarming are written so often, in seconds.
const WRITE_S: u64 = 10;
/// Seconds that are known one by one.
const SECONDS: u64 = 120;

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

    /// Marks what has just begun as made by the run that explains it, if one does.
    pub(super) fn explain<'a>(&mut self, runs: impl Iterator<Item = &'a Run> + Clone) {
        let now_s = self.now_s;
        for watched in self.objectives.values_mut() {
            let scope = &watched.definition.scope;
            let about = About {
                route: scope.route.as_deref(),
                provider: scope.provider.as_deref(),
                model: scope.model.as_deref(),
                consumer: scope.consumer.as_deref(),
            };
            let attribution = watched.attribution.as_ref();
            let is_new = |raised: &&mut Raised| raised.since_s == Some(now_s);
            for raised in watched.raised.iter_mut().filter(is_new) {
                let explains = |run: &&Run| run.explains(about, attribution, now_s * 1000);
                let by = runs.clone().find(explains);
                raised.experiment = by.map(|run| run.experiment.clone());
            }
        }
    }

    /// Share of an objective's error budget that is left; none without events.
    pub(super) fn left(&self, name: &str) -> Option<f64> {
        self.objectives.get(name)?.monitor.budget().left
    }

    /// What was counted for an objective in each of the last two minutes' seconds, in order.
    pub(super) fn seconds(&self, name: &str) -> Vec<Moment> {
        let Some(watched) = self.objectives.get(name) else {
            return Vec::new();
        };
        let rings = watched.monitor.counts().rings();
        let (now_s, mut before) = (rings.now_s(), Count::default());
        let mut seconds = Vec::new();
        for age in 0..SECONDS.min(now_s) {
            let sum = rings.sum(0, age + 1);
            let (total, bad) = (sum.total - before.total, sum.bad - before.bad);
            before = sum;
            seconds.push(Moment {
                at_ms: (now_s - age) * 1000,
                count: Count::new(total, bad),
            });
        }
        // The second that has begun is not whole yet.
        seconds.into_iter().skip(1).rev().collect()
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
            one.unwritten && (all || one.urgent || self.now_s >= one.written_s + WRITE_S)
        };
        let mut due: Vec<_> = self
            .objectives
            .iter()
            .filter(|(_, one)| is_due(one))
            .collect();
        due.sort_by_key(|(_, one)| (!one.urgent, one.written_s));
        due.truncate(most);
        let reading = |(name, one): (&Arc<str>, &Watched)| {
            Some(Unwritten {
                objective: name.clone(),
                counts: one.own.as_ref()?.encode(),
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
        for (raised, on) in self.raised.iter_mut().zip(on) {
            match (raised.since_s, on) {
                (None, true) => {
                    *raised = Raised {
                        since_s: Some(now_s),
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

    fn word(
        &self,
        name: &Arc<str>,
        (raised, kind): (&Raised, Kind),
        since_s: u64,
        on: bool,
        now_s: u64,
    ) -> Word {
        let severity = match kind {
            Kind::Page => Some(Severity::Page),
            Kind::Ticket => Some(Severity::Ticket),
            Kind::Vanished => Some(self.definition.objective.policy.vanished),
            Kind::Suspicion => None,
        };
        let mut text = self.text(name, kind);
        if let Some(experiment) = &raised.experiment {
            text += &format!("; the experiment `{experiment}` explains it");
        }
        let alert = severity.map(|severity| Alert {
            labels: self.labels(name, kind, severity, raised.experiment.as_ref()),
            text: text.clone(),
            since_ms: since_s * 1000,
            is_on: on,
        });
        let opening = match severity {
            None => Opening::Suspicion,
            Some(Severity::Page) => Opening::Page,
            Some(Severity::Ticket) => Opening::Ticket,
        };
        Word {
            objective: name.clone(),
            kind,
            signal: on.then(|| Signal {
                experiment: raised.experiment.clone(),
                ..self.signal(name, opening, text, since_s, now_s)
            }),
            alert,
        }
    }

    fn signal(
        &self,
        name: &Arc<str>,
        opening: Opening,
        text: String,
        since_s: u64,
        now_s: u64,
    ) -> Signal {
        let of = self.attribution.as_ref();
        let first = of.and_then(|found| found.answers.first());
        // The place that explains it may name what changed.
        let revision = first.and_then(|answer| match &answer.causes[..] {
            [only] => only.get("revision").cloned(),
            _ => None,
        });
        Signal {
            opening,
            subject: Subject {
                objective: Some(name.to_string()),
                route: self.definition.scope.route.clone(),
                revision,
            },
            attribution: self.attribution.clone(),
            query: Query {
                of: format!("objectives/{name}"),
                filter: BTreeMap::new(),
                from_ms: since_s.saturating_sub(300) * 1000,
                until_ms: now_s * 1000,
            },
            experiment: None,
            text,
        }
    }

    fn text(&self, name: &str, kind: Kind) -> String {
        let budget = self.monitor.budget();
        let burn = budget.burn.unwrap_or_default();
        let left = budget.left.unwrap_or(1.0) * 100.0;
        let mut text = match kind {
            Kind::Page | Kind::Ticket => format!(
                "objective `{name}` burns its error budget {burn:.1} times as fast as allowed; {left:.1} % is left"
            ),
            Kind::Vanished => format!(
                "objective `{name}` has had no exchanges for 5 minutes, where some were to be expected"
            ),
            Kind::Suspicion => {
                format!("objective `{name}` seems to burn: more exchanges are bad than should be")
            }
        };
        let first = self
            .attribution
            .as_ref()
            .and_then(|found| found.answers.first());
        if let Some(first) = first {
            text.push_str("; ");
            text.push_str(&first.to_string());
        }
        text
    }

    fn labels(
        &self,
        name: &str,
        kind: Kind,
        severity: Severity,
        experiment: Option<&String>,
    ) -> Labels {
        let alert = match kind {
            Kind::Vanished => "ObjectiveVanished",
            _ => "ObjectiveBurns",
        };
        let definition = &self.definition;
        let mut labels = Labels::from([
            ("alertname".to_owned(), alert.to_owned()),
            ("objective".to_owned(), name.to_owned()),
            ("severity".to_owned(), severity.as_str().to_owned()),
        ]);
        for (key, value) in [
            ("service", &definition.service),
            ("runbook", &definition.runbook),
        ] {
            if !value.is_empty() {
                labels.insert(key.to_owned(), value.clone());
            }
        }
        let scope = &definition.scope;
        let more = [
            ("route", scope.route.as_ref()),
            ("team", scope.team.as_ref()),
            ("experiment", experiment),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                labels.insert(key.to_owned(), value.clone());
            }
        }
        labels
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
