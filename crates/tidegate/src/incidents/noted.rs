//! What other loops write into incidents: what runs of runbooks have done.

use super::Shelf;
use gate_ops::incident::{Incident, Query, What};
use gate_store::control::{ControlError, DeskSave, IncidentQuery, IncidentSave, PAGE_MAX};
use std::collections::BTreeMap;

/// How often a write is made anew on what another wrote.
const ATTEMPTS: u32 = 10;

/// Incidents that signals may still join.
///
/// # Errors
/// What the store says.
pub(crate) fn on_desk(shelf: &Shelf) -> Result<Vec<Incident>, ControlError> {
    let query = IncidentQuery {
        environment: &shelf.environment,
        on_desk: true,
        limit: PAGE_MAX,
        ..IncidentQuery::default()
    };
    if shelf.is_untouched() {
        return Ok(Vec::new());
    }
    let rows = shelf.ask(|store| store.incidents(&query))?;
    Ok(rows.iter().filter_map(super::answer::read).collect())
}

/// Notes what a run has done in its incident, each line once, with its time; a line links to the run.
///
/// # Errors
/// What the store says.
pub(crate) fn note_run(
    shelf: &Shelf,
    incident: &str,
    run: &str,
    lines: &[(u64, String)],
) -> Result<(), ControlError> {
    let mut attempt = 0;
    loop {
        let Some(row) = shelf.ask(|store| store.incident(incident))? else {
            return Ok(());
        };
        let Some(mut found) = super::answer::read(&row) else {
            return Ok(());
        };
        let before = found.facts.len();
        for (at_ms, text) in lines {
            let query = Query {
                of: format!("runbook-runs/{run}"),
                filter: BTreeMap::new(),
                from_ms: *at_ms,
                until_ms: *at_ms,
            };
            let what = What::Action {
                text: text.clone(),
                by: "gateway".to_owned(),
            };
            let is_known = found
                .facts
                .iter()
                .any(|fact| fact.at_ms == *at_ms && fact.what == what && fact.query == query);
            if !is_known {
                found.note(*at_ms, what, query);
            }
        }
        if found.facts.len() == before {
            return Ok(());
        }
        let saved = [IncidentSave {
            id: incident,
            expected: row.version,
            life: &row.life,
            on_desk: row.on_desk,
            data: &serde_json::json!(found).to_string(),
            opened_ms: row.opened_ms,
        }];
        let save = DeskSave {
            environment: &shelf.environment,
            desk: None,
            incidents: &saved,
            lease: None,
            now_ms: row.changed_ms,
        };
        match shelf.ask(|store| store.save_incidents(&save)) {
            Err(ControlError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
            other => return other.map(|_| ()),
        }
    }
}
