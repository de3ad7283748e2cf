//! What is written beside a revision's content: where it comes from, what was checked, in numbers what
//! changes.

use super::bounded;
use crate::call::is_manager;
use crate::convert::time;
use gate_api::problem::{Code, Problem};
use gate_api::types::{Action, DocumentInput, Plan, PlanSummary};
use gate_model::units::Timestamp;
use serde_json::json;

/// What else is known about where a revision comes from; it is kept among its checks.
#[derive(Debug, Clone, Default)]
pub(super) struct Provenance {
    /// When its commit was made, as RFC 3339.
    pub(super) committed_at: Option<String>,
    /// The incident that it mends.
    pub(super) mends: Option<String>,
}

impl Provenance {
    /// That of a revision, which a promotion takes with it.
    pub(super) fn of(checks: &str) -> Self {
        let checks: serde_json::Value = serde_json::from_str(checks).unwrap_or_default();
        let text = |name: &str| checks.get(name)?.as_str().map(str::to_owned);
        Self {
            committed_at: text("committed_at"),
            mends: text("mends"),
        }
    }

    /// What a writer says.
    pub(super) fn told(input: &DocumentInput) -> Self {
        let at = |at: Timestamp| time(i64::try_from(at.unix_s() * 1000).unwrap_or(i64::MAX));
        Self {
            committed_at: input.committed_at.map(at),
            mends: input.fixes.clone(),
        }
    }
}

/// A plan in numbers.
pub(super) fn summary(plan: &Plan) -> PlanSummary {
    let count = |action: Action| {
        let of = plan.changes.iter().filter(|change| change.action == action);
        of.count() as u64
    };
    PlanSummary {
        created: count(Action::Create),
        updated: count(Action::Update),
        deleted: count(Action::Delete),
        findings: plan.findings.len() as u64,
    }
}

/// What was checked, and where it comes from, as JSON.
pub(super) fn checks(plan: &Plan, provenance: &Provenance) -> String {
    let warnings = plan.findings.len();
    let replayed = plan.effect.as_ref().map(|effect| effect.records);
    let mut checks = json!({
        "compile": "passed",
        "findings": format!("{warnings}"),
        "replay": replayed.map_or("not asked for".to_owned(), |records| format!("{records} records")),
    });
    let known = [
        ("committed_at", &provenance.committed_at),
        ("mends", &provenance.mends),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            checks[name] = value.as_str().into();
        }
    }
    checks.to_string()
}

/// Refuses what no document can be written with.
pub(super) fn check(input: &DocumentInput) -> Result<(), Problem> {
    if !is_manager(&input.manager) {
        let text = "`manager` must be api, console, file:NAME or terraform:NAME";
        return Err(Problem::new(Code::Invalid, text));
    }
    bounded("message", &input.message, 16 << 10)?;
    bounded("fixes", input.fixes.as_deref().unwrap_or_default(), 128)?;
    if let Some(commit) = &input.source_commit {
        bounded("source_commit", commit, 256)?;
        if commit.contains(char::is_control) {
            let text = "`source_commit` may hold no control characters";
            return Err(Problem::new(Code::Invalid, text));
        }
    }
    Ok(())
}
