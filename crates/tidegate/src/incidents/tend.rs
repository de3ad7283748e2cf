//! What the thread does beside hearing signals and reading records: follows experiments, takes away what
//! is old, and says what an incident is as an alert.

use super::{SHORT_MS, Work, id, signed, tell};
use crate::incidents::answer;
use crate::incidents::seen::BEFORE_MS;
use crate::runs::News;
use gate_kit::order::Gather;
use gate_model::resources::KeptIncidents;
use gate_ops::incident::{Incident, Life, Moment, Query, What};
use gate_ops::notify::Alert;
use gate_store::control::{ControlError, IncidentKeep};
use std::collections::BTreeMap;

/// How often incidents that are kept no longer are taken away, and how soon again where there are more.
const PRUNE_MS: u64 = 3_600_000;
const PRUNE_AGAIN_MS: u64 = 5_000;
/// Gateways that said something within this many milliseconds take part.
const ALIVE_MS: i64 = 30_000;

impl Work {
    /// A revision that was taken back is over once every gateway serves another.
    pub(super) fn serves_without(
        &self,
        incident: &Incident,
        now_ms: u64,
    ) -> Result<Option<Query>, ControlError> {
        let environment = &self.shelf.environment;
        let since_ms = signed(now_ms).saturating_sub(ALIVE_MS);
        self.shelf.ask(|store| {
            let Some(row) = store.environment(environment)? else {
                return Ok(None);
            };
            let is_there = |number: u64| incident.revisions.contains(&number.to_string());
            let is_named = row.revision.is_some_and(is_there)
                || row
                    .candidate
                    .as_ref()
                    .is_some_and(|it| is_there(it.revision));
            let acks = store.acks(environment, since_ms)?;
            let serves = |ack: &gate_store::control::AckRow| {
                ack.applied && Some(ack.revision) == row.revision
            };
            let is_over = !is_named && !acks.is_empty() && acks.iter().all(serves);
            Ok(is_over.then(|| Query {
                of: format!("environments/{environment}/acks"),
                filter: BTreeMap::new(),
                from_ms: incident.opened_ms,
                until_ms: now_ms,
            }))
        })
    }

    /// Opens incidents for experiments that began here, and says which are over here.
    pub(super) fn follow_runs(&mut self) -> Result<(), ControlError> {
        let (news, instance) = (self.runs.news(), self.instance.clone());
        let environment = self.shelf.environment.clone();
        let effects = self.change(false, |next, now_ms| {
            let named = |number| id(&environment, number);
            let mut effects = Vec::new();
            for one in &news {
                match one {
                    News::Began(run) => {
                        effects.push(next.desk.begin(run, &instance, now_ms, named));
                    }
                    News::Ended(run, how) => {
                        let at_ms = run.ended_ms.unwrap_or(now_ms);
                        let (name, digest) = (&run.experiment, &run.digest);
                        next.desk.end(name, digest, &instance, how, at_ms);
                    }
                }
            }
            effects
        })?;
        self.runs.told();
        effects.iter().for_each(tell);
        Ok(())
    }

    /// Takes away what is kept no longer.
    pub(super) fn prune(&mut self) -> Result<(), ControlError> {
        let now_ms = self.now_ms();
        if now_ms < self.prune_ms {
            return Ok(());
        }
        self.prune_ms = now_ms + PRUNE_MS;
        let resources = self.process.shared().snapshot.load().resources.clone();
        let store = resources.gateway.store.as_ref();
        let kept = store.map_or_else(KeptIncidents::default, |store| store.history.incidents);
        let age = kept.age.duration().as_millis();
        let keep = IncidentKeep {
            most: kept.most.into(),
            age_ms: i64::try_from(age).unwrap_or(i64::MAX),
        };
        let environment = &self.shelf.environment;
        let gone = self
            .shelf
            .ask(|store| store.prune_incidents(environment, &keep, signed(now_ms)))?;
        if gone > 0 {
            tracing::info!(gone, "old incidents were taken away from the store");
            self.prune_ms = now_ms + PRUNE_AGAIN_MS;
        }
        Ok(())
    }

    /// What the objective that was heard of first counted of late; empty where it is not known here.
    pub(super) fn seconds(&self, incident: &Incident) -> Vec<Moment> {
        let Some(seconds) = &self.neighbours.seconds else {
            return Vec::new();
        };
        let first = incident.facts.iter().find_map(|fact| match &fact.what {
            What::Signal { .. } => fact.query.of.strip_prefix("objectives/"),
            _ => None,
        });
        let all = first.map(seconds.as_ref()).unwrap_or_default();
        let from_ms = incident.opened_ms.saturating_sub(BEFORE_MS);
        all.into_iter().filter(|one| one.at_ms >= from_ms).collect()
    }
}

/// The alert of an incident. Its labels stay the same over its life.
pub(super) fn alert(incident: &Incident, environment: &str) -> Alert {
    let mut labels = vec![
        ("alertname", "incident"),
        ("incident", &incident.id),
        ("environment", environment),
    ];
    labels.extend(
        incident
            .experiment
            .as_ref()
            .map(|name| ("experiment", name.as_str())),
    );
    // An experiment that hurts nothing is nobody's alert.
    let is_noticed = incident.run.is_none() || incident.signals > 0;
    let severity = incident
        .severity
        .map_or_else(String::new, |severity| format!(", severity {}", severity.0));
    Alert {
        labels: labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_map(),
        text: format!("{}{severity}: {}", incident.id, answer::headline(incident)),
        since_ms: incident.opened_ms,
        is_on: is_noticed && matches!(incident.life, Life::Detected | Life::Triaged),
    }
}

/// Whether an experiment makes it, or did so a short while ago: its curve says how that went.
pub(super) fn is_tried(incident: &Incident, now_ms: u64) -> bool {
    incident.run.as_ref().is_some_and(|run| {
        let ended_ms = run.ended_ms.unwrap_or(now_ms);
        now_ms.saturating_sub(ended_ms) <= SHORT_MS
    })
}
