//! Revisions that were taken back, as signals with their facts.
//!
//! They are read from the store and not told by whoever took them back: so a gateway that dies between
//! taking back and telling loses no incident. Which rollouts have been looked at is kept with the desk,
//! in the same write as the incidents.

use crate::rollouts;
use gate_api::document::{Document, diff};
use gate_api::types as api;
use gate_kit::order::Gather;
use gate_ops::attribution::{Attribution, Cells, Settings, attribute};
use gate_ops::incident::{Impact, Opening, Query, Signal, Subject, What};
use gate_ops::slo::Count;
use gate_store::control::{ControlError, ControlStore, RolloutRow};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Rollouts that are looked at together.
const ROLLOUTS_MAX: usize = 50;
/// Most resources and fields that a difference names.
const LINES_MAX: usize = 20;
const FIELDS_MAX: usize = 4;
/// Most bytes of a value that is shown.
const VALUE_MAX: usize = 80;
/// Dimensions of the evidence.
const DIMENSIONS: [&str; 3] = ["revision", "arm", "route"];

/// A revision that was taken back.
#[derive(Debug, Clone)]
pub(super) struct TakenBack {
    /// The rollout's id.
    pub rollout: String,
    /// What to tell the desk.
    pub signal: Signal,
    /// Facts beside it, with their times.
    pub facts: Vec<(u64, What, Query)>,
    /// What it failed, and on how many routes: how bad it was where no objective says so.
    pub failed: (Count, usize),
}

/// What an environment's rollouts say behind `after`, the number of the last one that was looked at
/// (none: nothing was ever, and then only what is to come counts), and where to go on.
///
/// # Errors
/// Where the store failed.
pub(super) fn taken_back(
    store: &mut dyn ControlStore,
    environment: &str,
    after: Option<u64>,
) -> Result<(Vec<TakenBack>, Option<u64>), ControlError> {
    let mut rows = store.rollouts(environment, None, ROLLOUTS_MAX)?;
    rows.reverse();
    let mut found = Vec::new();
    // 0 is before the first.
    let mut at = after.unwrap_or(0);
    for row in rows.iter().filter(|row| row.number > after.unwrap_or(0)) {
        if matches!(row.state.as_str(), "running" | "held") {
            break;
        }
        at = row.number;
        if after.is_some() && row.state == "rolled_back" {
            found.extend(one(store, row)?);
        }
    }
    Ok((found, Some(at)))
}

/// The incident of a rollout, unless a person ended one that was well.
fn one(store: &mut dyn ControlStore, row: &RolloutRow) -> Result<Option<TakenBack>, ControlError> {
    let shown = rollouts::show(row, &store.evidence(&row.id)?);
    let is_by_hand = rollouts::is_by_hand(&shown);
    let bad: u64 = shown.evidence.iter().map(|line| line.candidate.bad).sum();
    if is_by_hand && bad == 0 {
        return Ok(None);
    }
    let difference = difference(store, row)?;
    let (started_ms, ended_ms) = (unsigned(row.started_ms), unsigned(row.changed_ms));
    let revision = row.candidate.to_string();
    let query = |of: String| Query {
        of,
        filter: BTreeMap::new(),
        from_ms: started_ms,
        until_ms: ended_ms,
    };
    let of_rollout = || query(format!("rollouts/{}", row.id));
    let applied = What::Revision {
        revision: revision.clone(),
        difference,
    };
    let by = if is_by_hand { "a person" } else { "gateway" };
    let mut facts = vec![(started_ms, applied, query(format!("revisions/{revision}")))];
    let strongest = strongest(&shown);
    if let Some(line) = strongest {
        let evidence = What::Evidence {
            of: format!("{} on {}", line.signal, slice(line)),
            log: line.e_value.max(1.0).ln(),
        };
        facts.push((ended_ms, evidence, of_rollout()));
    }
    let text = format!("revision {revision} was taken back: {}", shown.reason);
    let action = What::Action {
        text: text.clone(),
        by: by.to_owned(),
    };
    facts.push((ended_ms, action, of_rollout()));
    facts.push((ended_ms, What::Impact(impact(&shown)), of_rollout()));
    let hit = of_one_signal(&shown).filter(|line| line.candidate.bad > 0);
    let routes: BTreeSet<&str> = hit.map(|line| line.slice.as_str()).into_set();
    let route = strongest.map(|line| line.slice.clone());
    let signal = Signal {
        opening: Opening::Rollback,
        subject: Subject {
            objective: None,
            route: route.filter(|route| !route.is_empty()),
            revision: Some(revision),
        },
        attribution: attribution(&shown),
        query: of_rollout(),
        experiment: None,
        text,
    };
    Ok(Some(TakenBack {
        rollout: row.id.clone(),
        signal,
        facts,
        failed: (impact(&shown).count, routes.len()),
    }))
}

fn slice(line: &api::Evidence) -> &str {
    if line.slice.is_empty() {
        "all routes"
    } else {
        &line.slice
    }
}

/// The line with most evidence.
fn strongest(shown: &api::Rollout) -> Option<&api::Evidence> {
    let lines = shown.evidence.iter();
    lines.max_by(|one, other| one.e_value.total_cmp(&other.e_value))
}

/// The lines of the signal that says most: each signal counts the same exchanges again.
fn of_one_signal(shown: &api::Rollout) -> impl Iterator<Item = &api::Evidence> {
    let signal = strongest(shown).map(|line| line.signal.clone());
    let lines = shown.evidence.iter();
    // Where slices are counted, the line of all counts them again.
    let has_slices = lines.clone().any(|line| !line.slice.is_empty());
    lines.filter(move |line| {
        signal.as_ref() == Some(&line.signal) && (!has_slices || !line.slice.is_empty())
    })
}

/// Where the excess is, by the exact counts of all gateways: the control says what was to be expected.
fn attribution(shown: &api::Rollout) -> Option<Attribution> {
    let (candidate, control) = (shown.candidate.to_string(), shown.control.to_string());
    let mut cells = Cells::new(&DIMENSIONS);
    for line in of_one_signal(shown) {
        let before = Count::new(line.control.total, line.control.bad);
        let now = Count::new(line.candidate.total, line.candidate.bad);
        cells.before(&[&control, "control", &line.slice], before);
        cells.now(&[&control, "control", &line.slice], before);
        cells.now(&[&candidate, "candidate", &line.slice], now);
    }
    let mut found = attribute(&cells, &Settings::default());
    // Revision and arm say the same here; one of them is said.
    let mut seen = BTreeSet::new();
    for answer in &mut found.answers {
        for cause in &mut answer.causes {
            if cause.contains_key("arm") {
                let is_candidate = cause.remove("arm").as_deref() == Some("candidate");
                let revision = if is_candidate { &candidate } else { &control };
                cause.insert("revision".into(), revision.clone());
            }
        }
    }
    found
        .answers
        .retain(|answer| seen.insert(answer.causes.clone()));
    (!found.answers.is_empty()).then_some(found)
}

/// What the candidate cost, exactly; consumers and money are what records add.
fn impact(shown: &api::Rollout) -> Impact {
    let mut count = Count::default();
    for line in of_one_signal(shown) {
        count = Count::new(
            count.total + line.candidate.total,
            count.bad + line.candidate.bad,
        );
    }
    Impact {
        count,
        ..Impact::default()
    }
}

/// What the revision changed, in a few words.
fn difference(store: &mut dyn ControlStore, row: &RolloutRow) -> Result<String, ControlError> {
    let mut read = |number: u64| -> Result<Document, ControlError> {
        let revision = store.revision(number)?;
        let text = match revision {
            Some(revision) => store.document(&revision.digest)?,
            None => None,
        };
        let text = text.unwrap_or_else(|| "{}".into());
        Ok(serde_json::from_str(&text).unwrap_or_default())
    };
    let before = match row.control {
        Some(number) => read(number)?,
        None => Document::default(),
    };
    let after = read(row.candidate)?;
    Ok(in_words(&diff(&before, &after)))
}

/// Changes in a few words; the link of the fact shows all of them.
pub(super) fn in_words(changes: &[api::Change]) -> String {
    let mut lines: Vec<String> = changes.iter().take(LINES_MAX).map(line).collect();
    if changes.len() > LINES_MAX {
        lines.push(format!("{} further resources", changes.len() - LINES_MAX));
    }
    match lines.is_empty() {
        true => "nothing that the control does not hold".to_owned(),
        false => lines.join("; "),
    }
}

fn line(change: &api::Change) -> String {
    let name = format!("{}/{}", change.kind, change.name);
    match change.action {
        api::Action::Create => return format!("{name} is new"),
        api::Action::Delete => return format!("{name} is gone"),
        _ => {}
    }
    let fields = change.fields.iter().take(FIELDS_MAX).map(|field| {
        let (before, after) = (value(field.before.as_ref()), value(field.after.as_ref()));
        format!("{} from {before} to {after}", field.path)
    });
    let mut fields: Vec<String> = fields.collect();
    if change.fields.len() > FIELDS_MAX {
        fields.push(format!(
            "{} further fields",
            change.fields.len() - FIELDS_MAX
        ));
    }
    format!("{name}: {}", fields.join(", "))
}

fn value(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    match text.len() > VALUE_MAX {
        true => format!("{}...", &text[..text.floor_char_boundary(VALUE_MAX)]),
        false => text,
    }
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
