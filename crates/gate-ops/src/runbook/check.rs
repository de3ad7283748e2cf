//! What traffic says to a check.

use crate::rules::{compile, free, holds};
use cel::{Context, to_value};
use gate_model::resources::{Check, Runbook, RunbookProblem, StepWork};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// What is counted over the window of a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Exchanges, or tries at an endpoint.
    pub total: u64,
    /// Bad ones of them.
    pub bad: u64,
    /// How long half of them took at most, in milliseconds; 0 where there were none.
    pub p50_ms: f64,
    /// How long 99 of 100 took at most.
    pub p99_ms: f64,
    /// Endpoints of what is looked at.
    pub endpoints: u64,
    /// Those that may be called.
    pub available: u64,
    /// Objectives by name.
    pub objectives: BTreeMap<String, ObjectiveFigures>,
}

/// Where an objective stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveFigures {
    /// How many times as fast as allowed its budget burns.
    pub rate: f64,
    /// Share of its budget that is spent.
    pub spent: f64,
    /// Whether anything about it alarms.
    pub is_on: bool,
}

/// What figures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    HoldsNot,
    /// There was too little traffic to say.
    TooFew,
    /// The expression has no value: as if it did not hold.
    Broken,
}

const VARIABLES: [&str; 8] = [
    "total",
    "bad",
    "share",
    "p50_ms",
    "p99_ms",
    "endpoints",
    "available",
    "objectives",
];

/// Whether a check's expression can be evaluated at all.
///
/// # Errors
/// A sentence.
pub fn check(expression: &str) -> Result<(), String> {
    let program = compile(expression)?;
    match free(&program.expression().expr, &mut Vec::new(), &VARIABLES) {
        Some(name) => Err(format!(
            "there is no variable `{name}` here; there are {}",
            VARIABLES.join(", ")
        )),
        None => Ok(()),
    }
}

/// What is wrong with the expressions of a runbook.
#[must_use]
pub fn problems(runbook: &Runbook) -> Vec<RunbookProblem> {
    let conditions = [
        ("precondition", &runbook.precondition),
        ("postcondition", &runbook.postcondition),
    ];
    let conditions = conditions
        .into_iter()
        .filter_map(|(field, check)| Some((field.to_owned(), check.as_ref()?)));
    let steps = runbook.steps.iter().enumerate();
    let steps = steps.filter_map(|(place, step)| match &step.work {
        StepWork::Check(check) => Some((format!("steps.{place}.do.check"), check)),
        _ => None,
    });
    let all = conditions.chain(steps);
    all.filter_map(|(field, one)| Some((format!("{field}.holds"), check(&one.holds).err()?)))
        .collect()
}

/// Holds figures against a check; says why in a few words.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "a share is a float, and counts of ten minutes fit it"
)]
pub fn judge(check: &Check, figures: &Figures) -> (Verdict, String) {
    let share = figures.bad as f64 / figures.total.max(1) as f64;
    let seen = format!(
        "{} of {} were bad ({:.2} %), p99 {:.0} ms",
        figures.bad,
        figures.total,
        100.0 * share,
        figures.p99_ms
    );
    if figures.total < check.least {
        return (
            Verdict::TooFew,
            format!("{seen}; {} are needed", check.least),
        );
    }
    let program = match compile(&check.holds) {
        Ok(program) => program,
        Err(error) => return (Verdict::Broken, format!("{seen}; {error}")),
    };
    let values = json!({
        "total": figures.total, "bad": figures.bad, "share": share,
        "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms,
        "endpoints": figures.endpoints, "available": figures.available,
        "objectives": figures.objectives,
    });
    let mut context = Context::default();
    for name in VARIABLES {
        // Counts are signed, so that literals such as `20` compare with them.
        let value = match &values[name] {
            serde_json::Value::Number(number) if number.is_u64() => {
                cel::Value::Int(number.as_i64().unwrap_or(i64::MAX))
            }
            other => to_value(other).unwrap_or(cel::Value::Null),
        };
        context.add_variable_from_value(name, value);
    }
    match holds(&program, &context) {
        Ok(true) => (Verdict::Holds, format!("{seen}: `{}`", check.holds)),
        Ok(false) => (Verdict::HoldsNot, format!("{seen}: not `{}`", check.holds)),
        Err(error) => (Verdict::Broken, format!("{seen}; {error}")),
    }
}
