//! Rollouts of an environment: what is kept of them, and the two parts that gateways play.
//!
//! Every gateway lets the candidate serve its share and reports what it counts ([`Arms`]); one of
//! them, which holds the environment's lease, asks the engine of `gate-ops` and writes what it
//! decides ([`Leader`]). Both work from the store's rows, so that any gateway can go on where
//! another stopped. What the evidence means is the engine's business.

mod arms;
mod lead;

pub(crate) use arms::Arms;
pub(crate) use lead::Leader;

use gate_admin::{RolloutStart, convert};
use gate_api::document::Document;
use gate_api::types as api;
use gate_flow::{Histogram, Observed, Tally};
use gate_model::resources::Rollout as Strategy;
use gate_ops::rollout::{Report, Rollout};
use gate_store::control::{EvidenceRow, RolloutRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The strategy that is there without being written down.
const USUAL: &str = "default";

/// What [`RolloutRow::data`] holds. The row's state is above it: a person who holds a rollout
/// changes the row, and the leader has the engine follow.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Data {
    /// The name of its `rollouts` resource, or `inline`.
    strategy: String,
    /// Its settings, as written.
    settings: Value,
    #[serde(default)]
    share: f64,
    #[serde(default)]
    step: u32,
    #[serde(default)]
    reason: String,
    /// The engine; none before the leader has begun.
    #[serde(default)]
    engine: Option<Rollout>,
}

impl Data {
    fn read(row: &RolloutRow) -> Result<Self, String> {
        serde_json::from_str(&row.data)
            .map_err(|error| format!("rollout {} cannot be read: {error}", row.id))
    }

    fn settings(&self) -> Result<Strategy, String> {
        serde_json::from_value(self.settings.clone()).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        json!(self).to_string()
    }
}

/// How a rollout of `document` would begin.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn start(
    canary: &api::Canary,
    document: &Document,
) -> Result<RolloutStart, Vec<api::Finding>> {
    let (name, place, settings) = match canary {
        api::Canary::Settings(settings) => ("inline", "canary".to_owned(), settings.clone()),
        api::Canary::Rollout(name) => {
            let known = document.get("rollouts", name);
            let usual = (name == USUAL).then(|| json!({}));
            let missing = || {
                let text = format!("there is no rollout `{name}`");
                vec![api::Finding::error("unknown_reference", "rollouts", text)]
            };
            let settings = known.cloned().or(usual).ok_or_else(missing)?;
            (name.as_str(), format!("rollouts.{name}"), settings)
        }
    };
    let wrong = |text: String| vec![api::Finding::error("invalid_rollout", place.clone(), text)];
    let strategy: Strategy =
        serde_json::from_value(settings.clone()).map_err(|error| wrong(error.to_string()))?;
    let problems = strategy.problems().into_iter();
    let problems: Vec<_> = problems
        .map(|(field, problem)| {
            api::Finding::error("invalid_rollout", format!("{place}.{field}"), problem)
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    for (signal, expression) in &strategy.expressions {
        gate_policies::when::compile_for_records(expression).map_err(|problem| {
            let place = format!("{place}.expressions.{signal}");
            vec![api::Finding::error("invalid_expression", place, problem)]
        })?;
    }
    let data = Data {
        strategy: name.to_owned(),
        settings,
        reason: "waits for a gateway to begin it".into(),
        ..Data::default()
    };
    Ok(RolloutStart {
        strategy: name.to_owned(),
        data: data.write(),
    })
}

/// A rollout as it is shown: with what the evidence says now.
pub(crate) fn show(row: &RolloutRow, evidence: &[EvidenceRow]) -> api::Rollout {
    let mut shown = convert::rollout(row, evidence);
    let Some(engine) = Data::read(row).ok().and_then(|data| data.engine) else {
        return shown;
    };
    let assessed = engine.assess(&reports(evidence));
    let counts = |pair: gate_ops::rollout::Pair| api::Counts {
        total: pair.total,
        bad: pair.bad,
    };
    shown.evidence = assessed
        .lines
        .into_iter()
        .map(|line| api::Evidence {
            slice: line.slice,
            signal: line.signal,
            control: counts(line.control),
            candidate: counts(line.candidate),
            // JSON has no infinity.
            e_value: line.log_evidence.min(700.0).exp(),
        })
        .collect();
    shown
}

/// Whether a person ended a rollout: then its reason says so, as the admin API writes it.
pub(crate) fn is_by_hand(shown: &api::Rollout) -> bool {
    shown.reason.starts_with("rollBack by ") || shown.reason.starts_with("promote by ")
}

/// Sizes of both arms, as [`EvidenceRow::data`] holds them.
#[derive(Serialize, Deserialize)]
struct Sizes {
    control: Histogram,
    candidate: Histogram,
}

/// What this instance counted, as rows.
fn rows(rollout: &str, instance: &str, counts: Vec<Observed>, at_ms: i64) -> Vec<EvidenceRow> {
    let row = |counted: Observed| {
        let has_sizes = counted.control.sizes.total() + counted.candidate.sizes.total() > 0;
        let sizes = Sizes {
            control: counted.control.sizes,
            candidate: counted.candidate.sizes,
        };
        EvidenceRow {
            rollout: rollout.to_owned(),
            instance: instance.to_owned(),
            step: u64::from(counted.step),
            slice: counted.slice,
            signal: counted.signal,
            control_total: counted.control.total,
            control_bad: counted.control.bad,
            candidate_total: counted.candidate.total,
            candidate_bad: counted.candidate.bad,
            data: match has_sizes {
                true => json!(sizes).to_string(),
                false => String::new(),
            },
            at_ms,
        }
    };
    counts.into_iter().map(row).collect()
}

/// Rows of all instances, as the engine wants them.
fn reports(rows: &[EvidenceRow]) -> Vec<Report> {
    let mut instances: BTreeMap<&str, Vec<Observed>> = BTreeMap::new();
    for row in rows {
        let sizes = serde_json::from_str::<Sizes>(&row.data).ok();
        let (control, candidate) =
            sizes.map_or_else(Default::default, |sizes| (sizes.control, sizes.candidate));
        let tally = |total, bad, sizes| Tally { total, bad, sizes };
        instances.entry(&row.instance).or_default().push(Observed {
            step: u32::try_from(row.step).unwrap_or(u32::MAX),
            slice: row.slice.clone(),
            signal: row.signal.clone(),
            control: tally(row.control_total, row.control_bad, control),
            candidate: tally(row.candidate_total, row.candidate_bad, candidate),
        });
    }
    let report = |(instance, rows): (&str, Vec<Observed>)| Report {
        instance: instance.to_owned(),
        rows,
    };
    instances.into_iter().map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_from_the_store_as_they_were() {
        let mut sizes = Histogram::default();
        (0..100).for_each(|size| sizes.add(size * 1000));
        let counted = vec![
            Observed {
                step: 3,
                slice: "orders".into(),
                signal: "latency".into(),
                control: Tally {
                    total: 100,
                    bad: 0,
                    sizes,
                },
                candidate: Tally::default(),
            },
            Observed {
                signal: "errors".into(),
                candidate: Tally {
                    total: 7,
                    bad: 2,
                    ..Tally::default()
                },
                ..Observed::default()
            },
        ];
        let rows = rows("r", "one", counted.clone(), 5);
        assert_eq!(rows[1].data, "");
        let reports = reports(&rows);
        assert_eq!((reports.len(), &reports[0].rows), (1, &counted));
    }
}
