//! What schedules publish: plans of the revision in force, asked what is due.

use super::state::{Seen, State};
use gate_kit::order::Gather;
use gate_model::resources::{Resources, Schedule, ScheduleTarget};
use gate_ops::event::cloud::{CloudEvent, Data};
use gate_ops::event::own::{encoded, time};
use gate_ops::event::schedule::Plan;
use gate_proxy::events::OWN_SOURCES;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// The plans of a set of resources.
#[derive(Default)]
pub(super) struct Plans {
    of: Option<Arc<Resources>>,
    /// A hash of all schedules as they are written: 16 digits.
    pub(super) print: String,
    plans: BTreeMap<String, Plan>,
}

impl Plans {
    /// Takes over the schedules of these resources.
    pub(super) fn follow(&mut self, resources: &Arc<Resources>) {
        if self
            .of
            .as_ref()
            .is_some_and(|of| Arc::ptr_eq(of, resources))
        {
            return;
        }
        self.plans = resources
            .schedules
            .iter()
            // What is wrong was refused when the revision was compiled.
            .filter_map(|(name, schedule)| Some((name.clone(), Plan::of(schedule).ok()?)))
            .into_map();
        let text = serde_json::to_vec(&resources.schedules).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        self.print = format!("{:016x}", hasher.finish());
        self.of = Some(resources.clone());
    }

    /// Events that are due, noted in the state as looked after.
    pub(super) fn due(&self, environment: &str, state: &mut State, now_ms: i64) -> Vec<CloudEvent> {
        let Some(resources) = &self.of else {
            return Vec::new();
        };
        let mut events = Vec::new();
        state
            .schedules
            .retain(|name, _| self.plans.contains_key(name));
        for (name, plan) in &self.plans {
            let Some(schedule) = resources.schedules.get(name) else {
                continue;
            };
            let at = written(schedule);
            let seen = state.schedules.get(name).filter(|seen| seen.at == at);
            // Nothing was missed of what is new.
            let until_ms = seen.map_or(now_ms, |seen| seen.until_ms);
            let due = plan.due(until_ms, now_ms);
            if due.left_out > 0 {
                tracing::warn!(
                    schedule = name,
                    runs = due.left_out,
                    "missed runs are left out"
                );
            }
            events.extend(
                due.runs
                    .iter()
                    .map(|run| made(environment, name, schedule, *run)),
            );
            let seen = Seen {
                until_ms: due.seen_ms,
                at,
            };
            state.schedules.insert(name.clone(), seen);
        }
        events
    }
}

/// When a schedule is due, as text.
fn written(schedule: &Schedule) -> String {
    format!(
        "{:?} {} {:?}",
        schedule.at, schedule.time_zone, schedule.from
    )
}

/// The event of a run.
fn made(environment: &str, name: &str, schedule: &Schedule, run_ms: i64) -> CloudEvent {
    let ScheduleTarget::Event(scheduled) = &schedule.target;
    let at = time(run_ms);
    CloudEvent {
        id: at.clone().unwrap_or_else(|| run_ms.to_string()),
        source: encoded(&format!("{OWN_SOURCES}schedule:{environment}/{name}")),
        kind: scheduled.kind.clone(),
        subject: scheduled.subject.clone(),
        time: at,
        schema: scheduled.dataschema.clone(),
        data: match &scheduled.data {
            Some(data) => Data::Json(data.to_string().into()),
            None => Data::None,
        },
        ..CloudEvent::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resources(every: &str) -> Arc<Resources> {
        let made = json!({ "schedules": { "tick": {
            "at": { "every": every },
            "missed": "once",
            "target": { "event": { "type": "com.example.tick", "data": { "a": 1 } } },
        } } });
        let document =
            gate_model::document::Document::parse(made.to_string().as_bytes(), "test").unwrap();
        Arc::new(Resources::read(&document).unwrap())
    }

    #[test]
    fn a_run_is_the_same_event_whoever_tells_it_and_a_new_schedule_has_missed_nothing() {
        let mut plans = Plans::default();
        plans.follow(&resources("10s"));
        let mut state = State::default();
        let start = 1_795_262_400_000;
        assert_eq!(plans.due("main", &mut state, start), []);
        let told = plans.due("main", &mut state.clone(), start + 10_500);
        let [one] = &told[..] else { panic!("{told:?}") };
        assert_eq!(one.check(), Ok(()));
        assert_eq!(one.id, "2026-11-21T12:00:10Z");
        assert_eq!(one.source, "urn:tidegate:schedule:main/tick");
        // Told later, by another one that knows as much.
        assert_eq!(plans.due("main", &mut state.clone(), start + 11_000), told);
        plans.due("main", &mut state, start + 10_500);
        // An hour later one stands for all that was missed, beside those that are on time.
        let late = plans.due("main", &mut state, start + 3_600_000);
        assert_eq!(late.len(), 1 + 7);
        // Another rhythm begins anew.
        plans.follow(&resources("20s"));
        assert_eq!(plans.due("main", &mut state, start + 7_200_000), []);
        // What is gone is forgotten.
        plans.follow(&Arc::default());
        plans.due("main", &mut state, start + 7_200_001);
        assert!(state.schedules.is_empty());
    }
}
