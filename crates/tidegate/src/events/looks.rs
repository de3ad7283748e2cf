//! What the store and alerts say has happened to an environment, as events.

use super::state::State;
use gate_ops::event::cloud::CloudEvent;
use gate_ops::event::own::{
    AlertCleared, AlertRaised, IncidentOpened, IncidentResolved, RevisionApplied,
    RevisionRolledBack, RolloutChanged, event, time,
};
use gate_ops::notify::Alert;
use gate_store::control::{Cause, ControlError, ControlStore, IncidentQuery, IncidentRow};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

/// Rows of history that are read at once.
const HISTORY: usize = 200;
/// Newest rollouts whose state is looked at.
const ROLLOUTS: usize = 20;
/// Incidents that may be open at a time.
const INCIDENTS: usize = 500;
/// Alerts that may be on at a time and are told.
const ALERTS: usize = 5_000;
/// What is older than this when nothing was told yet is not told, in milliseconds.
const NEWS_MS: i64 = 60_000;

/// A look at one environment.
pub(super) struct Look<'a> {
    pub(super) store: &'a mut dyn ControlStore,
    pub(super) environment: &'a str,
    pub(super) now_ms: i64,
    /// Whether nothing was ever told: what lies long behind is only noted.
    pub(super) is_first: bool,
    pub(super) events: Vec<CloudEvent>,
}

impl Look<'_> {
    fn source(&self) -> String {
        format!("environment:{}", self.environment)
    }

    fn is_news(&self, at_ms: i64) -> bool {
        !self.is_first || at_ms > self.now_ms.saturating_sub(NEWS_MS)
    }

    /// Revisions that came into force.
    pub(super) fn history(&mut self, state: &mut State) -> Result<(), ControlError> {
        loop {
            let rows = self
                .store
                .history(self.environment, state.generation, HISTORY)?;
            let is_last = rows.len() < HISTORY;
            for row in rows {
                state.generation = row.generation;
                if row.revision == state.revision {
                    continue;
                }
                state.revision = row.revision;
                let Some(number) = row.revision.filter(|_| self.is_news(row.at_ms)) else {
                    continue;
                };
                let Some(revision) = self.store.revision(number)? else {
                    continue;
                };
                let id = format!("revision/{}", row.generation);
                let (source, subject) = (self.source(), number.to_string());
                let (environment, generation) = (self.environment.to_owned(), row.generation);
                let went_back = matches!(
                    revision.cause,
                    Cause::Rollback | Cause::AutoRollback | Cause::Revert
                );
                let cause = revision.cause.word().to_owned();
                let (digest, actor, message) = (revision.digest, row.actor, revision.message);
                self.events.push(if went_back {
                    let data = RevisionRolledBack {
                        environment,
                        generation,
                        revision: number,
                        digest,
                        actor,
                        cause,
                        message,
                    };
                    event(&source, id, &subject, row.at_ms, &data)
                } else {
                    let data = RevisionApplied {
                        environment,
                        generation,
                        revision: number,
                        digest,
                        actor,
                        cause,
                        message,
                    };
                    event(&source, id, &subject, row.at_ms, &data)
                });
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Rollouts whose state is another.
    pub(super) fn rollouts(&mut self, state: &mut State) -> Result<(), ControlError> {
        let rows = self.store.rollouts(self.environment, None, ROLLOUTS)?;
        let mut known = BTreeMap::new();
        for row in rows.into_iter().rev() {
            let was = state.rollouts.get(&row.id);
            if was != Some(&row.state) && self.is_news(row.changed_ms) {
                let id = format!("rollout/{}/{}/{}", row.id, row.state, row.version);
                let data = RolloutChanged {
                    environment: self.environment.to_owned(),
                    rollout: row.id.clone(),
                    candidate: row.candidate,
                    control: row.control,
                    state: row.state.clone(),
                };
                let told = event(&self.source(), id, &row.id, row.changed_ms, &data);
                self.events.push(told);
            }
            known.insert(row.id, row.state);
        }
        state.rollouts = known;
        Ok(())
    }

    /// Incidents that were opened, and those that are over.
    pub(super) fn incidents(&mut self, state: &mut State) -> Result<(), ControlError> {
        let query = IncidentQuery {
            environment: self.environment,
            on_desk: true,
            limit: INCIDENTS,
            ..IncidentQuery::default()
        };
        let mut rows = self.store.incidents(&query)?;
        let left: Vec<String> = state
            .incidents
            .keys()
            .filter(|id| !rows.iter().any(|row| row.id == **id))
            .cloned()
            .collect();
        for id in left {
            match self.store.incident(&id)? {
                Some(row) => rows.push(row),
                None => drop(state.incidents.remove(&id)),
            }
        }
        for row in rows {
            let is_open = matches!(&*row.life, "detected" | "triaged" | "mitigated");
            let is_known = state.incidents.contains_key(&row.id);
            if !is_known && self.is_news(row.opened_ms) {
                let told = self.incident(&row, true);
                self.events.push(told);
            }
            match is_open || row.on_desk {
                // One that is resolved and still on the desk may open again.
                true => {
                    let was_open = state.incidents.insert(row.id.clone(), is_open);
                    if was_open.unwrap_or(true) && !is_open && self.is_news(row.changed_ms) {
                        let told = self.incident(&row, false);
                        self.events.push(told);
                    }
                }
                false => {
                    let was_open = state.incidents.remove(&row.id);
                    if was_open == Some(true) {
                        let told = self.incident(&row, false);
                        self.events.push(told);
                    }
                }
            }
        }
        Ok(())
    }

    fn incident(&self, row: &IncidentRow, is_open: bool) -> CloudEvent {
        let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
        let routes = data["routes"].as_array().into_iter().flatten();
        let routes: Vec<String> = routes
            .filter_map(|route| route.as_str().map(str::to_owned))
            .collect();
        let environment = self.environment.to_owned();
        let (incident, opened) = (row.id.clone(), time(row.opened_ms).unwrap_or_default());
        let source = self.source();
        if is_open {
            let data = IncidentOpened {
                environment,
                incident,
                routes,
                opened,
            };
            event(
                &source,
                format!("incident/{}/opened", row.id),
                &row.id,
                row.opened_ms,
                &data,
            )
        } else {
            let data = IncidentResolved {
                environment,
                incident,
                routes,
                opened,
            };
            event(
                &source,
                format!("incident/{}/resolved", row.id),
                &row.id,
                row.changed_ms,
                &data,
            )
        }
    }

    /// Alerts that went on or off.
    pub(super) fn alerts(&mut self, alerts: &[Alert], state: &mut State) {
        for alert in alerts {
            let key = labels_key(alert);
            let since = state.alerts.get(&key).copied();
            let is_full = state.alerts.len() >= ALERTS;
            let since_ms = match (alert.is_on, since) {
                (true, None) if !is_full => {
                    state.alerts.insert(key.clone(), alert.since_ms);
                    alert.since_ms
                }
                (false, Some(since)) => {
                    state.alerts.remove(&key);
                    since
                }
                _ => continue,
            };
            let environment = self.environment.to_owned();
            let (labels, text) = (alert.labels.clone(), alert.text.clone());
            let signed = i64::try_from(since_ms).unwrap_or(i64::MAX);
            let since = time(signed).unwrap_or_default();
            let subject = alert
                .labels
                .get("alertname")
                .or_else(|| alert.labels.get("alert"));
            let subject = subject.cloned().unwrap_or_default();
            let source = self.source();
            self.events.push(if alert.is_on {
                let data = AlertRaised {
                    environment,
                    labels,
                    text,
                    since,
                };
                event(
                    &source,
                    format!("alert/{key}/{since_ms}/on"),
                    &subject,
                    signed,
                    &data,
                )
            } else {
                let data = AlertCleared {
                    environment,
                    labels,
                    text,
                    since,
                };
                let id = format!("alert/{key}/{since_ms}/off");
                event(&source, id, &subject, self.now_ms, &data)
            });
        }
    }
}

/// What tells an alert from others, in 16 digits: the same in every gateway.
fn labels_key(alert: &Alert) -> String {
    let mut hasher = DefaultHasher::new();
    for (name, value) in &alert.labels {
        for text in [name, value] {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
    }
    format!("{:016x}", hasher.finish())
}
