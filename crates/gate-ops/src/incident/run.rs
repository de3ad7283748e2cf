//! Runs of experiments: each is an incident that says from the start what makes it.
//!
//! A [`Run`] opens its incident when the first gateway begins it and ends when none runs it any more.
//! Alerts that it explains join that incident ([`Run::explains`]), all others make incidents of their
//! own, so that a real trouble is not lost among those that are made. What was noticed of a run is
//! scored in `score.rs`.

use super::desk::{Place, compare};
use super::{Desk, Effect, Incident, Opening, Query, Subject, What};
use crate::attribution::{Attribution, Conjunction};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So long after its end, an alert that begins may still be a run's doing, in milliseconds: windows of
/// alerts reach back.
const LATE_MS: u64 = 300_000;
/// So long after the time at which it has to be over, a run is over whatever was heard of it.
const OVERDUE_MS: u64 = 5_000;

/// One run of an experiment, over all gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The experiment's name.
    pub experiment: String,
    /// SHA-256 of its resource in hexadecimal.
    pub digest: String,
    /// The revision that was in force when it began; empty where there is none.
    pub revision: String,
    /// What goes wrong, in a word.
    pub inject: String,
    /// Where, as its resource says.
    pub scope: BTreeMap<String, String>,
    /// Places that are right answers to where it fails: each holds what has to be named at least.
    pub places: Vec<Conjunction>,
    /// Routes that it may touch.
    pub routes: BTreeSet<String>,
    /// When the first gateway began it, in UNIX milliseconds.
    pub began_ms: u64,
    /// When it ends at the latest.
    pub ends_ms: u64,
    /// When it ended on the last gateway.
    pub ended_ms: Option<u64>,
    /// Gateways on which it runs.
    pub gateways: BTreeSet<String>,
    /// What was hoped for, where it is a game day.
    pub plan: Option<GamePlan>,
}

/// What a game day hopes for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GamePlan {
    /// Its name.
    pub name: String,
    /// The objective that has to notice; empty for any.
    pub objective: String,
    /// Texts, one of which has to be named as the place; the experiment's scope when empty.
    pub names: Vec<String>,
    /// How soon an alert has to be on, in milliseconds.
    pub detect_within_ms: u64,
    /// How soon after its end all has to be well, in milliseconds.
    pub recover_within_ms: u64,
}

/// What an objective that alarms is about, as far as it says.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// Its route.
    pub route: Option<&'a str>,
    /// Its provider.
    pub provider: Option<&'a str>,
    /// Its model.
    pub model: Option<&'a str>,
    /// Its consumer.
    pub consumer: Option<&'a str>,
}

impl Run {
    /// Whether it may be what makes an objective alarm that is about `about`, since `since_ms`. Where
    /// the excess is decides; where that is not known, or says nothing for or against, the routes do.
    #[must_use]
    pub fn explains(
        &self,
        about: About<'_>,
        attribution: Option<&Attribution>,
        since_ms: u64,
    ) -> bool {
        // Alarms are marked by the second in which they are seen.
        let is_late = |ended_ms: u64| since_ms > ended_ms.saturating_add(LATE_MS);
        if since_ms + 999 < self.began_ms || self.ended_ms.is_some_and(is_late) {
            return false;
        }
        let first = attribution.and_then(|found| found.answers.first());
        let causes: &[Conjunction] = first.map_or(&[], |answer| &answer.causes);
        if compare(&self.places, causes) == Place::Same {
            return true;
        }
        if !causes.is_empty() && causes.iter().all(|cause| self.is_elsewhere(cause)) {
            return false;
        }
        let differs = |field: &str, of: Option<&str>| {
            let own = self.scope.get(field);
            own.zip(of).is_some_and(|(own, of)| own != of)
        };
        about.route.is_none_or(|route| self.routes.contains(route))
            && !differs("provider", about.provider)
            && !differs("model", about.model)
            && !differs("consumer", about.consumer)
    }

    /// Whether a place names something that this run is not at.
    fn is_elsewhere(&self, cause: &Conjunction) -> bool {
        cause.iter().any(|(key, value)| {
            if key == "route" {
                return !self.routes.contains(value);
            }
            let mut own = self.places.iter().filter_map(|place| place.get(key));
            own.clone().next().is_some() && !own.any(|own| own == value)
        })
    }

    /// What it does, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let fields = self.scope.iter();
        let scope: Vec<String> = fields
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        format!(
            "the experiment `{}` injects `{}` at {}",
            self.experiment,
            self.inject,
            scope.join(", ")
        )
    }

    /// Whether what another gateway begins is this run.
    fn is_same(&self, other: &Run) -> bool {
        let is_one =
            self.ended_ms.is_none() || self.revision == other.revision && !self.revision.is_empty();
        self.experiment == other.experiment && self.digest == other.digest && is_one
    }

    /// What shows it: the revision that has it, or else its incident.
    fn query(&self, incident: &str, until_ms: u64) -> Query {
        let of = match self.revision.as_str() {
            "" => format!("incidents/{incident}"),
            revision => format!("revisions/{revision}"),
        };
        Query {
            of,
            filter: BTreeMap::new(),
            from_ms: self.began_ms,
            until_ms,
        }
    }
}

impl Desk {
    /// A gateway began a run: it opens an incident, or joins that of the same run elsewhere. `id` is
    /// asked for a new incident's name.
    pub fn begin(
        &mut self,
        run: &Run,
        gateway: &str,
        now_ms: u64,
        id: impl FnOnce(u64) -> String,
    ) -> Effect {
        // An alert of it may have been heard before it.
        let is_its = |one: &&mut Incident| match &one.run {
            Some(known) => known.is_same(run),
            None => one.life.is_open() && one.experiment.as_ref() == Some(&run.experiment),
        };
        let known = self.all().find(is_its).map(|one| one.id.clone());
        let (id, is_new) = match known {
            Some(id) => (id, false),
            None => {
                let name = Some(run.experiment.clone());
                (self.open(Opening::Experiment, name, now_ms, id), true)
            }
        };
        let incident = self.incident(&id).expect("found or opened above");
        incident.heard_ms = now_ms;
        let is_first = incident.run.is_none();
        let held = incident.run.get_or_insert_with(|| run.clone());
        held.gateways.insert(gateway.to_owned());
        held.ended_ms = None;
        held.began_ms = held.began_ms.min(run.began_ms);
        held.ends_ms = held.ends_ms.max(run.ends_ms);
        if is_first {
            let subject = Subject {
                route: run.scope.get("route").cloned(),
                ..Subject::default()
            };
            incident.routes.extend(subject.route);
            let ends = super::postmortem::stamp(run.ends_ms);
            let text = format!("{}, until {ends} at the latest", run.words());
            let query = run.query(&id, run.ends_ms);
            if is_new {
                incident.enter(super::Life::Detected, "an experiment began".into(), now_ms);
            }
            incident.note(run.began_ms, What::Experiment { text }, query);
        }
        match is_new {
            true => Effect::Opened(id),
            false => Effect::Joined(id),
        }
    }

    /// A run is over on a gateway: `how` says why, in words. Says the incident whose run is over with
    /// it everywhere.
    pub fn end(
        &mut self,
        experiment: &str,
        digest: &str,
        gateway: &str,
        how: &str,
        now_ms: u64,
    ) -> Option<String> {
        let incident = self.all().find(|one| {
            let run = one.run.as_ref();
            run.is_some_and(|run| {
                run.experiment == experiment && run.digest == digest && run.ended_ms.is_none()
            })
        })?;
        let run = incident.run.as_mut()?;
        run.gateways.remove(gateway);
        run.gateways
            .is_empty()
            .then(|| incident.run_over(how, now_ms))
    }

    /// Ends runs that have to be over: gateways that ended do not say so.
    pub fn expire(&mut self, now_ms: u64) {
        for incident in self.all() {
            let run = incident.run.as_ref();
            let overdue = run.filter(|run| {
                run.ended_ms.is_none() && now_ms > run.ends_ms.saturating_add(OVERDUE_MS)
            });
            if let Some(ends_ms) = overdue.map(|run| run.ends_ms) {
                incident.run_over("its time was over", ends_ms);
            }
        }
    }
}

impl Incident {
    fn run_over(&mut self, how: &str, at_ms: u64) -> String {
        if let Some(run) = &mut self.run {
            run.gateways.clear();
            run.ended_ms = Some(at_ms);
            let query = run.query(&self.id, at_ms);
            let text = format!("the experiment `{}` ended: {how}", run.experiment);
            self.heard_ms = self.heard_ms.max(at_ms);
            self.note(at_ms, What::Experiment { text }, query);
        }
        self.id.clone()
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
