//! What this process makes of a candidate: compiled, compared, replayed, and held against the rules.

use super::Gateway;
use crate::check;
use crate::follow::resolve;
use crate::promises::{Promises, gate};
use gate_admin::{Candidate, Judged};
use gate_api::types::{Effect, Finding, Plan, Severity, Verdict};
use gate_model::document::Document as Located;
use gate_model::environment;
use gate_ops::rules::Facts;
use gate_ops::slo::Purpose;
use gate_proxy::replay::ReplayError;
use gate_store::control::Cause;
use serde_json::Value;

/// What this process makes of a candidate. Changes nothing.
pub(super) fn judge(gateway: &Gateway, candidate: &Candidate<'_>) -> Judged {
    let whole = match whole(gateway, candidate, &candidate.document.canonical()) {
        Ok(whole) => whole,
        Err(findings) => {
            return Judged {
                findings: findings.iter().map(Finding::from).collect(),
                effect: None,
            };
        }
    };
    let found = check::compile(&whole, &gateway.path);
    let mut findings: Vec<Finding> = found.iter().map(Finding::from).collect();
    if found.iter().any(gate_model::finding::Finding::is_error) {
        return Judged {
            findings,
            effect: None,
        };
    }
    let json = |text: String| serde_json::from_str(&text).unwrap_or(Value::Null);
    let (before, after) = (
        json(candidate.base.canonical()),
        json(candidate.document.canonical()),
    );
    let now = gate_kit::clock::Clock::System.unix().as_secs();
    let known = |finding: &Finding| {
        let same = |known: &Finding| known.code == finding.code && known.path == finding.path;
        findings.iter().any(same)
    };
    let mut doubts = gate_ops::plan::findings(&before, &after, now);
    doubts.retain(|finding| !known(finding));
    findings.append(&mut doubts);
    findings.extend(broken(gateway, candidate, &whole, now));
    findings.extend(held_up(gateway, candidate, (&before, &after), now));
    let effect = match candidate.with_effect {
        true => effect(gateway, candidate, &whole, &mut findings),
        false => None,
    };
    if let Ok(resources) = gate_proxy::compile::read(&whole) {
        let plan = Plan {
            base: None,
            digest: String::new(),
            changes: candidate.changes.to_vec(),
            findings: Vec::new(),
            effect: effect.clone(),
            verdict: Verdict::Allowed,
        };
        let facts = Facts {
            environment: candidate.environment,
            document: &after,
            plan: Some(&plan),
        };
        findings.extend(gate_ops::rules::evaluate(&resources.rules, &facts));
    }
    Judged { findings, effect }
}

/// What a spent error budget or a freeze says of the candidate.
fn held_up(
    gateway: &Gateway,
    candidate: &Candidate<'_>,
    (before, after): (&Value, &Value),
    now_s: u64,
) -> Vec<Finding> {
    // A gateway knows how the promises of its own environment stand, and of no other.
    let own = gateway
        .followed
        .as_ref()
        .map(|own| own.environment.as_str());
    if own != Some(candidate.environment) || candidate.changes.is_empty() {
        return Vec::new();
    }
    let routes = gate_ops::rollout::touched(before, after);
    if routes.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    let purpose = match (candidate.cause, candidate.fixes) {
        (Cause::Rollback | Cause::AutoRollback | Cause::Revert, _) => Purpose::Rollback,
        (_, Some(incident)) => Purpose::Fix(incident.to_owned()),
        _ => Purpose::Change,
    };
    let question = gate::Question {
        held: candidate.gate,
        digest: &candidate.document.digest(),
        purpose,
        routes: routes.as_deref(),
        keys: &gateway.override_keys(),
        now_s,
    };
    gate::findings(&Promises::of(&gateway.process), &question)
}

/// What the candidate breaks of the APIs that the environment serves now.
fn broken(
    gateway: &Gateway,
    candidate: &Candidate<'_>,
    whole_candidate: &Located,
    now: u64,
) -> Vec<Finding> {
    let Ok(current) = whole(gateway, candidate, &candidate.base.canonical()) else {
        return Vec::new();
    };
    let read = gate_proxy::compile::read;
    let (Ok(before), Ok(after)) = (read(&current), read(whole_candidate)) else {
        return Vec::new();
    };
    let (before, after) = ((&current, &before), (whole_candidate, &after));
    let folder = gateway.folder();
    let found = gate_proxy::versions::between(&crate::config::Secrets, &folder, before, after, now);
    found.iter().map(Finding::from).collect()
}

/// Resources with their variables, beside what this process's file says of the process.
fn whole(
    gateway: &Gateway,
    candidate: &Candidate<'_>,
    json: &str,
) -> Result<Located, Vec<gate_model::finding::Finding>> {
    let resources = resolve(json, candidate.variables, candidate.environment)?;
    Ok(environment::compose(&gateway.file(), resources))
}

/// What the candidate would have done to recent traffic. That it cannot be told is a warning.
fn effect(
    gateway: &Gateway,
    candidate: &Candidate<'_>,
    whole_candidate: &Located,
    findings: &mut Vec<Finding>,
) -> Option<Effect> {
    let current = whole(gateway, candidate, &candidate.base.canonical()).ok()?;
    let message = match gateway.process.effect(&current, whole_candidate) {
        Ok(effect) => return effect,
        Err(ReplayError::Records(message)) => message,
        Err(ReplayError::Findings(found)) => found
            .first()
            .map_or_else(String::new, |finding| finding.message.to_string()),
    };
    findings.push(Finding {
        severity: Severity::Warning,
        ..Finding::error(
            "effect_unknown",
            "",
            format!("records cannot be replayed: {message}"),
        )
    });
    None
}
