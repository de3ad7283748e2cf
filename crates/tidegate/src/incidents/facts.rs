//! What is noted in incidents by itself: of a revision that was taken back, and of kept records.

use super::Burning;
use super::rollback::TakenBack;
use super::seen::Seen;
use gate_ops::incident::{Desk, Effect, Hypothesis, Impact, Incident, Query, Standing, What};
use std::collections::{BTreeMap, BTreeSet};

/// Notes the facts of a revision that was taken back in its incident.
pub(super) fn fill(
    desk: &mut Desk,
    effect: &Effect,
    back: &TakenBack,
    trail: &[(u64, String, f64)],
    now_ms: u64,
) {
    let (Effect::Opened(id) | Effect::Joined(id) | Effect::Reopened(id)) = effect else {
        return;
    };
    let Some(incident) = desk.incident(id) else {
        return;
    };
    for (at_ms, of, log) in trail {
        let (of, log) = (of.clone(), *log);
        incident.note(
            *at_ms,
            What::Evidence { of, log },
            back.signal.query.clone(),
        );
    }
    for (at_ms, what, query) in &back.facts {
        incident.note(*at_ms, what.clone(), query.clone());
    }
    if incident.objectives.is_empty() {
        let (count, routes) = back.failed;
        incident.triage_by_share(count, routes, now_ms);
    }
}

/// Notes what records say.
pub(super) fn note(
    incident: &mut Incident,
    seen: &Seen,
    burning: Option<(&Burning, f64)>,
    now_ms: u64,
) {
    let has = |incident: &Incident, is: fn(&What) -> bool| {
        incident.facts.iter().any(|fact| is(&fact.what))
    };
    if let Some((at_ms, onset)) = &seen.onset
        && !has(incident, |what| matches!(what, What::Onset { .. }))
    {
        let (before, since) = (onset.before, onset.since);
        let query = of_records(incident, *at_ms, now_ms);
        incident.note(*at_ms, What::Onset { before, since }, query);
    }
    if let Some((at_ms, exchange)) = &seen.first_bad
        && !has(incident, |what| matches!(what, What::FirstBad { .. }))
    {
        let query = Query {
            of: format!("records/{exchange}"),
            ..of_records(incident, *at_ms, *at_ms)
        };
        let exchange = exchange.clone();
        incident.note(*at_ms, What::FirstBad { exchange }, query);
    }
    impact(incident, seen, burning, now_ms);
    suppose(incident, seen);
}

/// The exact counts of all gateways stand where there are any; records add whom it touched.
fn impact(incident: &mut Incident, seen: &Seen, burning: Option<(&Burning, f64)>, now_ms: u64) {
    let known = incident.impact().unwrap_or_default();
    let spent = burning.and_then(|(burning, before)| {
        let all = incident.objectives.iter().filter_map(|name| burning(name));
        let most = all.map(|one| one.spent).reduce(f64::max)?;
        Some((most - before).max(0.0))
    });
    let next = Impact {
        count: if known.count.bad >= seen.count.bad {
            known.count
        } else {
            seen.count
        },
        consumers: known.consumers.max(seen.consumers.len() as u64),
        budget: spent.map_or(known.budget, |spent| spent.max(known.budget)),
        money_micros: known.money_micros.max(seen.money_micros),
    };
    if next != known {
        let query = of_records(incident, incident.onset_ms(), now_ms);
        incident.note(now_ms, What::Impact(next), query);
    }
}

/// Adds what records attribute it to, where that is another place than is known.
fn suppose(incident: &mut Incident, seen: &Seen) {
    let first = seen
        .attribution
        .as_ref()
        .and_then(|found| found.answers.first());
    let fact = incident
        .facts
        .iter()
        .find(|fact| matches!(fact.what, What::FirstBad { .. }))
        .map(|fact| fact.id);
    let (Some(answer), Some(fact)) = (first, fact) else {
        return;
    };
    let is_known = |one: &Hypothesis| one.cell == answer.causes;
    if incident.hypotheses.iter().any(is_known)
        || incident.hypotheses.iter().any(|one| one.facts == [fact])
    {
        return;
    }
    let _ = incident.suppose(Hypothesis {
        text: answer.to_string(),
        cell: answer.causes.clone(),
        explained: answer.explained,
        standing: Standing::Open,
        facts: vec![fact],
    });
}

/// The question to the records that shows an incident's exchanges that failed.
pub(super) fn of_records(incident: &Incident, from_ms: u64, until_ms: u64) -> Query {
    let mut filter = BTreeMap::from([("status".to_owned(), "5xx".to_owned())]);
    let only = |set: &BTreeSet<String>| match set.len() {
        1 => set.first().cloned(),
        _ => None,
    };
    filter.extend(only(&incident.routes).map(|route| ("route".to_owned(), route)));
    let is_revision = |cause: &gate_ops::attribution::Conjunction| cause.contains_key("revision");
    if incident.cell.len() == 1 && incident.cell.iter().all(is_revision) {
        let revision = incident.cell[0]["revision"].clone();
        filter.insert("revision".to_owned(), revision);
    }
    Query {
        of: "records".to_owned(),
        filter,
        from_ms,
        until_ms,
    }
}
