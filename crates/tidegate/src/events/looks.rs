//! What the store and alerts say has happened to an environment, as events.

use super::state::State;
use gate_ops::event::cloud::CloudEvent;
use gate_ops::event::own::{
    AlertCleared, AlertRaised, IncidentOpened, IncidentResolved, RevisionApplied,
    RevisionRolledBack, RolloutChanged, event, time,
};
use gate_ops::incident::{Incident, What};
use gate_ops::notify::Alert;
use gate_store::control::{Cause, ControlError, ControlStore, IncidentQuery, IncidentRow};
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
                    let ended = was_open.unwrap_or(true) && !is_open;
                    let opened_again = was_open == Some(false) && is_open;
                    if (ended || opened_again) && self.is_news(row.changed_ms) {
                        let told = self.incident(&row, is_open);
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
        let kept: Option<Incident> = serde_json::from_str(&row.data).ok();
        let (times, entered_ms) = kept.as_ref().map_or((1, None), |kept| turns(kept, is_open));
        let routes = kept.map_or_else(Vec::new, |kept| kept.routes.into_iter().collect());
        let environment = self.environment.to_owned();
        let (incident, opened) = (row.id.clone(), time(row.opened_ms).unwrap_or_default());
        let source = self.source();
        let word = if is_open { "opened" } else { "resolved" };
        let id = match times {
            0 | 1 => format!("incident/{}/{word}", row.id),
            times => format!("incident/{}/{word}/{times}", row.id),
        };
        if is_open {
            let data = IncidentOpened {
                environment,
                incident,
                routes,
                opened,
            };
            let at_ms = entered_ms.filter(|_| times > 1).unwrap_or(row.opened_ms);
            event(&source, id, &row.id, at_ms, &data)
        } else {
            let data = IncidentResolved {
                environment,
                incident,
                routes,
                opened,
            };
            let at_ms = entered_ms.unwrap_or(row.changed_ms);
            event(&source, id, &row.id, at_ms, &data)
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

/// How often an incident was opened, or was over, and since when it is so, in UNIX milliseconds. It is
/// read from what the incident keeps of its life, so that whoever tells it again says the same.
fn turns(incident: &Incident, is_open: bool) -> (u32, Option<i64>) {
    let (mut times, mut since_ms, mut was_open) = (0, None, None);
    for fact in &incident.facts {
        let What::Life { life, .. } = &fact.what else {
            continue;
        };
        if was_open.replace(life.is_open()) != Some(is_open) && life.is_open() == is_open {
            times += 1;
            since_ms = i64::try_from(fact.at_ms).ok();
        }
    }
    (times, since_ms)
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

#[cfg(test)]
mod tests {
    use super::*;
    use gate_ops::event::own::TYPES;
    use gate_ops::incident::{Desk, Effect, Life, Opening, Query, Role, Signal, Subject};
    use gate_store::control::{DeskSave, IncidentSave, SqlControl};
    use gate_store::sqlite::Sqlite;
    use serde_json::Value;

    const NOW: i64 = 1_800_000_000_000;

    fn store() -> SqlControl<Sqlite> {
        SqlControl::open(Sqlite::in_memory().unwrap()).unwrap()
    }

    fn look(store: &mut dyn ControlStore, now_ms: i64) -> Look<'_> {
        Look {
            store,
            environment: "prod",
            now_ms,
            is_first: false,
            events: Vec::new(),
        }
    }

    /// The data of an event that keeps to its type's schema.
    #[track_caller]
    fn data(event: &CloudEvent) -> Value {
        let own = TYPES.iter().find(|own| own.kind == event.kind).unwrap();
        let schema = (own.schema)();
        let schema = gate_contract::event::compile(schema.as_object().unwrap()).unwrap();
        let gate_ops::event::cloud::Data::Json(text) = &event.data else {
            panic!("{event:?}");
        };
        let data: Value = serde_json::from_str(text).unwrap();
        assert!(schema.holds(&data), "{data}");
        data
    }

    fn page() -> Signal {
        let route = Some("pay".to_owned());
        Signal {
            opening: Opening::Page,
            subject: Subject {
                route,
                ..Subject::default()
            },
            attribution: None,
            query: Query {
                of: "records".into(),
                filter: BTreeMap::new(),
                from_ms: 0,
                until_ms: 1,
            },
            experiment: None,
            text: "it burns".to_owned(),
        }
    }

    /// Writes the desk's one incident down and tells of it: the kinds and ids of what was told.
    #[track_caller]
    fn told(
        store: &mut SqlControl<Sqlite>,
        state: &mut State,
        desk: &Desk,
        version: &mut u64,
        now_ms: i64,
    ) -> Vec<(String, String)> {
        let incident = desk.incidents().next().unwrap();
        let data_text = serde_json::to_string(incident).unwrap();
        let save = IncidentSave {
            id: &incident.id,
            expected: *version,
            life: incident.life.as_str(),
            on_desk: true,
            data: &data_text,
            opened_ms: NOW,
        };
        let save = DeskSave {
            environment: "prod",
            desk: None,
            incidents: &[save],
            lease: None,
            now_ms,
        };
        store.save_incidents(&save).unwrap();
        *version += 1;
        let mut look = look(store, now_ms);
        look.incidents(state).unwrap();
        look.incidents(state).unwrap();
        let kinds = look.events.iter().map(|event| {
            assert_eq!(data(event)["routes"], serde_json::json!(["pay"]));
            (event.kind.clone(), event.id.clone())
        });
        kinds.collect()
    }

    #[test]
    fn an_incident_is_told_each_time_that_it_opens_and_is_over() {
        let (mut store, mut state, mut version) = (store(), State::default(), 0);
        let mut desk = Desk::of([], 0);
        let mut at = NOW;
        let opened = |times: &str| {
            (
                "tidegate.incident.opened".to_owned(),
                format!("incident/i-1/opened{times}"),
            )
        };
        let over = |times: &str| {
            (
                "tidegate.incident.resolved".to_owned(),
                format!("incident/i-1/resolved{times}"),
            )
        };
        for times in ["", "/2", "/3"] {
            let now_ms = u64::try_from(at).unwrap();
            let effect = desk.hear(page(), now_ms, |n| format!("i-{n}"));
            assert!(!matches!(effect, Effect::Ignored), "{effect:?}");
            let mut tell = |desk: &Desk, at| told(&mut store, &mut state, desk, &mut version, at);
            assert_eq!(tell(&desk, at), [opened(times)]);
            // Another signal of the same is no news.
            desk.hear(page(), now_ms, |n| format!("i-{n}"));
            assert_eq!(tell(&desk, at), []);
            let incident = desk.incident("i-1").unwrap();
            incident
                .go_to(Life::Resolved, Role::Commander, now_ms)
                .unwrap();
            assert_eq!(tell(&desk, at), [over(times)]);
            at += 60_000;
        }
    }

    #[test]
    fn an_alert_is_told_when_it_goes_on_and_when_it_goes_off() {
        let (mut store, mut state) = (store(), State::default());
        let alert = |is_on| Alert {
            labels: [("alertname".to_owned(), "burn".to_owned())].into(),
            text: "it burns".to_owned(),
            since_ms: 1_800_000_000_000,
            is_on,
        };
        let mut look = look(&mut store, NOW + 5_000);
        look.alerts(&[alert(false), alert(true), alert(true)], &mut state);
        look.alerts(&[alert(false), alert(false)], &mut state);
        let kinds: Vec<&str> = look.events.iter().map(|event| &*event.kind).collect();
        assert_eq!(kinds, ["tidegate.alert.raised", "tidegate.alert.cleared"]);
        let (raised, cleared) = (&look.events[0], &look.events[1]);
        assert_eq!(data(raised)["since"], data(cleared)["since"]);
        assert_eq!(data(cleared)["labels"]["alertname"], "burn");
        assert_eq!(cleared.time, time(NOW + 5_000));
        assert_ne!(raised.id, cleared.id);
    }
}
