//! What a change of resources would mean: compared, judged by the host, with the files it is made with.

use crate::api::Inner;
use crate::host::Candidate;
use crate::reply::refused;
use gate_api::document::{Managed, add, diff};
use gate_api::problem::Problem;
use gate_api::types::{Finding, Plan, Severity, Verdict};
use gate_store::control::{Cause, EnvironmentRow};
use std::collections::BTreeMap;

/// What a change is made for.
#[derive(Clone, Copy)]
pub(super) struct Meant<'a> {
    pub(super) cause: Cause,
    /// The incident that it mends.
    pub(super) fixes: Option<&'a str>,
}

/// The files that an environment's revision was made with, where they were kept.
fn files(inner: &Inner, row: &EnvironmentRow) -> Result<Option<String>, Problem> {
    let Some(number) = row.revision.filter(|_| inner.has_environments()) else {
        return Ok(None);
    };
    let mut store = inner.store()?;
    let found = store.revision(number).map_err(refused)?;
    match found.and_then(|revision| revision.files) {
        None => Ok(None),
        Some(digest) => store.document(&digest).map_err(refused),
    }
}

/// What a change would mean, and the files that it would be made with.
pub(super) fn judge(
    inner: &Inner,
    row: &EnvironmentRow,
    base: &Managed,
    next: &Managed,
    variables: &BTreeMap<String, String>,
    with_effect: bool,
    meant: Meant<'_>,
) -> Result<Judgement, Problem> {
    let mut changes = diff(&base.document, &next.document);
    let (_, gate) = super::objectives::held(inner, &row.name)?;
    let known = files(inner, row)?;
    let judged = inner.host.judge(&Candidate {
        environment: &row.name,
        base: &base.document,
        document: &next.document,
        variables,
        changes: &changes,
        files: known.as_deref(),
        with_effect,
        cause: meant.cause,
        fixes: meant.fixes,
        gate: &gate,
    });
    add(&mut changes, judged.changes);
    let stands_against = |finding: &Finding| finding.severity == Severity::Error;
    let plan = Plan {
        base: row.revision,
        digest: next.document.digest(),
        verdict: match judged.findings.iter().any(stands_against) {
            true => Verdict::Forbidden,
            false => Verdict::Allowed,
        },
        changes,
        findings: judged.findings,
        effect: judged.effect,
    };
    Ok(Judgement {
        plan,
        same_files: known.is_none() || known == judged.files,
        files: judged.files,
    })
}

/// What a change means.
pub(super) struct Judgement {
    pub(super) plan: Plan,
    /// What is kept beside the revision.
    pub(super) files: Option<String>,
    /// Whether these are the files of the revision in force, as far as that is known.
    pub(super) same_files: bool,
}
