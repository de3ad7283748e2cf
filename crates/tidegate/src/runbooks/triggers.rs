//! What starts runs besides people: incidents, and things that happen.

use super::stored::Stored;
use crate::incidents::{self, Shelf};
use crate::promises::Promises;
use gate_kit::order::Gather;
use gate_model::resources::{Resources, Runbook, RunbookEvent, RunbookTrigger};
use gate_ops::incident::{Incident, Life, Opening};
use gate_ops::runbook::Cause;
use gate_proxy::process::Process;
use gate_store::control::ControlError;
use std::collections::{BTreeMap, BTreeSet};

/// Most things that are known to be on.
const HEARD_MAX: usize = 1_000;
/// Rollouts that are looked at for what was taken back.
const ROLLOUTS_MAX: usize = 10;

/// A run that is to start.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub runbook: String,
    pub cause: Cause,
    pub key: String,
}

/// Something that is on: an event of this name, of what, in which occurrence.
type On = (RunbookEvent, String, String);

/// Whether any runbook waits for something of this kind.
fn waits(resources: &Resources, is_meant: impl Fn(&RunbookTrigger) -> bool) -> bool {
    let mut triggers = resources.runbooks.values().flat_map(|book| &book.on);
    triggers.any(is_meant)
}

/// Runs that open incidents want, each once.
pub(super) fn by_incidents(
    resources: &Resources,
    shelf: &Shelf,
) -> Result<Vec<Wanted>, ControlError> {
    if !waits(resources, |one| {
        matches!(one, RunbookTrigger::Incident { .. })
    }) {
        return Ok(Vec::new());
    }
    let burning: Vec<Incident> = incidents::on_desk(shelf)?
        .into_iter()
        .filter(|one| matches!(one.life, Life::Detected | Life::Triaged))
        .collect();
    let mut wanted = Vec::new();
    for (name, book) in &resources.runbooks {
        for incident in burning.iter().filter(|one| fits(book, one)) {
            wanted.push(Wanted {
                runbook: name.clone(),
                cause: Cause::Incident {
                    id: incident.id.clone(),
                },
                key: incident.id.clone(),
            });
        }
    }
    Ok(wanted)
}

fn fits(book: &Runbook, incident: &Incident) -> bool {
    book.on.iter().any(|trigger| match trigger {
        RunbookTrigger::Incident {
            route,
            objective,
            opening,
            severity,
        } => {
            let is_of = |name: &Option<String>, all: &BTreeSet<String>| {
                name.as_ref().is_none_or(|name| all.contains(name))
            };
            is_of(route, &incident.routes)
                && is_of(objective, &incident.objectives)
                && opening
                    .as_ref()
                    .is_none_or(|word| *word == word_of(incident.opening))
                && severity.is_none_or(|most| incident.severity.is_some_and(|one| one.0 <= most))
        }
        RunbookTrigger::Event { .. } => false,
    })
}

fn word_of(opening: Opening) -> String {
    match serde_json::to_value(opening) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// What is on now, by name.
fn on(
    process: &Process,
    stored: &Stored,
    resources: &Resources,
) -> Result<BTreeMap<String, On>, ControlError> {
    let is = |event: RunbookEvent| move |one: &RunbookTrigger| matches!(one, RunbookTrigger::Event { name, .. } if *name == event);
    let mut all = BTreeMap::new();
    let mut add = |event: RunbookEvent, of: &str, which: String| {
        all.insert(
            format!("{} {which}", event.as_str()),
            (event, of.to_owned(), which),
        );
    };
    let now = process.shared().clock.now();
    for (name, upstream) in process.shared().upstreams.load().iter() {
        for endpoint in upstream.picker.endpoints() {
            let which = || format!("{name} {}", endpoint.address);
            if endpoint.is_ejected(now) {
                add(RunbookEvent::EndpointEjected, name, which());
            }
            if !endpoint.is_healthy() {
                add(RunbookEvent::EndpointUnhealthy, name, which());
            }
        }
    }
    let promises = Promises::of(process);
    for name in resources.objectives.keys() {
        let spent = promises.burning(name).map_or(0.0, |burn| burn.spent);
        if spent >= 0.5 {
            add(RunbookEvent::BudgetHalfSpent, name, name.clone());
        }
        if spent >= 1.0 {
            add(RunbookEvent::BudgetSpent, name, name.clone());
        }
    }
    if stored.follows && waits(resources, is(RunbookEvent::RevisionRolledBack)) {
        let environment = stored.environment();
        let rows = stored
            .shelf
            .ask(|store| store.rollouts(environment, None, ROLLOUTS_MAX))?;
        for row in rows.iter().filter(|row| row.state == "rolled_back") {
            let of = row.candidate.to_string();
            add(RunbookEvent::RevisionRolledBack, &of, row.id.clone());
        }
    }
    all.retain(|_, (event, ..)| waits(resources, is(*event)));
    Ok(all)
}

/// What has come on since it was looked last, as runs; `heard` is what was on then, and is brought up to
/// date. What is on when it is looked for the first time has not happened just now.
pub(super) fn by_events(
    process: &Process,
    stored: &Stored,
    resources: &Resources,
    heard: &BTreeMap<String, String>,
    now_ms: u64,
) -> Result<(Vec<Wanted>, BTreeMap<String, String>), ControlError> {
    const LOOKED: &str = "looked";
    if !waits(resources, |one| matches!(one, RunbookTrigger::Event { .. })) {
        return Ok((Vec::new(), BTreeMap::new()));
    }
    let on = on(process, stored, resources)?;
    let mut next: BTreeMap<String, String> = heard
        .iter()
        .filter(|(name, _)| name.as_str() == LOOKED || on.contains_key(*name))
        .map(|(name, at)| (name.clone(), at.clone()))
        .into_map();
    let is_first = next.insert(LOOKED.to_owned(), String::new()).is_none();
    let mut wanted = Vec::new();
    for (name, (event, of, which)) in on {
        if next.contains_key(&name) || next.len() >= HEARD_MAX {
            continue;
        }
        next.insert(name.clone(), now_ms.to_string());
        if is_first {
            continue;
        }
        for (runbook, book) in &resources.runbooks {
            let is_meant = book.on.iter().any(|trigger| {
                matches!(trigger, RunbookTrigger::Event { name, of: wanted }
                    if *name == event && wanted.as_ref().is_none_or(|wanted| *wanted == of))
            });
            if is_meant {
                wanted.push(Wanted {
                    runbook: runbook.clone(),
                    cause: Cause::Event {
                        name: event.as_str().to_owned(),
                        of: which.clone(),
                    },
                    key: format!("{name} {now_ms}"),
                });
            }
        }
    }
    Ok((wanted, next))
}
