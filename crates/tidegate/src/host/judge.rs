//! What this process makes of a candidate: compiled, compared, replayed, and held against the rules.

use super::{Gateway, documents};
use crate::check;
use crate::follow::resolve;
use crate::promises::{Promises, gate};
use gate_admin::{Candidate, Host, Judged};
use gate_api::document::add;
use gate_api::types::{Change, Effect, Finding, Plan, Severity, Verdict};
use gate_model::document::Document as Located;
use gate_model::environment;
use gate_model::resources::Resources;
use gate_ops::rules::Facts;
use gate_ops::slo::Purpose;
use gate_proxy::products;
use gate_proxy::replay::ReplayError;
use gate_proxy::versions::{self, Files, KeptFiles, Side};
use gate_store::control::Cause;
use serde_json::Value;

const DAY_S: u64 = 24 * 3600;

/// What this process makes of a candidate. Changes nothing.
pub(super) fn judge(gateway: &Gateway, candidate: &Candidate<'_>) -> Judged {
    let whole = match whole(gateway, candidate, &candidate.document.canonical()) {
        Ok(whole) => whole,
        Err(findings) => {
            return Judged {
                findings: findings.iter().map(Finding::from).collect(),
                ..Judged::default()
            };
        }
    };
    let found = check::compile(&whole, &gateway.path);
    let mut findings: Vec<Finding> = found.iter().map(Finding::from).collect();
    contracts(gateway, candidate, &mut findings);
    if found.iter().any(gate_model::finding::Finding::is_error) {
        return Judged {
            findings,
            ..Judged::default()
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
    let mut named = Named::default();
    if let Ok(resources) = Resources::read(&whole) {
        named = files(gateway, candidate, &whole, &resources, now);
        findings.append(&mut named.findings);
    }
    findings.extend(held_up(gateway, candidate, (&before, &after), now));
    let effect = match candidate.with_effect {
        true => effect(gateway, candidate, &whole, &mut findings),
        false => None,
    };
    let mut changes = candidate.changes.to_vec();
    add(&mut changes, named.changes.clone());
    findings.extend(by_rules(
        candidate,
        &whole,
        &after,
        changes,
        effect.as_ref(),
    ));
    Judged {
        findings,
        effect,
        changes: named.changes,
        files: named.kept,
    }
}

/// A contract of a data product that the candidate breaks, and that what is in force keeps, stands against
/// it. One that is broken already keeps nobody from changing something else.
fn contracts(gateway: &Gateway, candidate: &Candidate<'_>, findings: &mut [Finding]) {
    let is_broken = |finding: &Finding| finding.code == products::BROKEN;
    if !findings.iter().any(is_broken) {
        return;
    }
    let base = whole(gateway, candidate, &candidate.base.canonical());
    let known = base.map(|base| check::compile(&base, &gateway.path));
    let known: Vec<Finding> = known.iter().flatten().map(Finding::from).collect();
    for finding in findings.iter_mut().filter(|finding| is_broken(finding)) {
        let same = |known: &Finding| {
            is_broken(known) && known.path == finding.path && known.message == finding.message
        };
        if !known.iter().any(same) {
            finding.severity = Severity::Error;
        }
    }
}

/// What there is to say of the files that a candidate names.
#[derive(Default)]
struct Named {
    /// What is kept beside its revision.
    kept: Option<String>,
    findings: Vec<Finding>,
    /// Resources whose files hold something else than what is in force.
    changes: Vec<Change>,
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
    // A weaker promise touches its route, too: else a spent budget could be made to last.
    let touched = gate_ops::rollout::touched(before, after);
    let weaker = gate_ops::slo::loosened(before, after);
    let routes = touched.zip(weaker).map(|(mut routes, weaker)| {
        routes.extend(weaker);
        routes
    });
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

/// What the operator's own rules say of the candidate.
fn by_rules(
    candidate: &Candidate<'_>,
    whole: &Located,
    after: &Value,
    changes: Vec<Change>,
    effect: Option<&Effect>,
) -> Vec<Finding> {
    let Ok(resources) = Resources::read(whole) else {
        return Vec::new();
    };
    let plan = Plan {
        base: None,
        digest: String::new(),
        changes,
        findings: Vec::new(),
        effect: effect.cloned(),
        verdict: Verdict::Allowed,
    };
    let facts = Facts {
        environment: candidate.environment,
        document: after,
        plan: Some(&plan),
    };
    gate_ops::rules::evaluate(&resources.rules, &facts)
}

/// The files of the candidate's documents of APIs, to be kept with its revision, and what the candidate
/// breaks of the APIs that the environment serves now. Those are read as they were when its revision was
/// made, or as they are in force here, so that a file that was overwritten in place is seen.
fn files(
    gateway: &Gateway,
    candidate: &Candidate<'_>,
    whole_candidate: &Located,
    resources: &Resources,
    now: u64,
) -> Named {
    let folder = gateway.folder();
    let source = &crate::config::Secrets;
    let mut findings = Vec::new();
    let now_there = versions::files(source, &folder, resources);
    if now_there.is_none() {
        let text = format!(
            "documents of APIs have more than {} bytes together: what changes inside one of them later is \
             not compared",
            versions::FILES_MAX
        );
        findings.push(Finding {
            severity: Severity::Warning,
            ..Finding::error("documents_not_kept", "apis", text)
        });
    }
    let before = before(gateway, candidate);
    let mut changes = Vec::new();
    if let Some(now_there) = &now_there {
        let changed = documents::changed(&before, now_there, resources, now / DAY_S);
        findings.extend(changed.findings);
        changes = changed.changes;
    }
    if let Ok(current) = whole(gateway, candidate, &candidate.base.canonical())
        && let Ok(known) = Resources::read(&current)
    {
        let before = Side {
            file: &current.file,
            resources: &known,
            files: &KeptFiles::new(&before, &folder, source),
        };
        let after = Side {
            file: &whole_candidate.file,
            resources,
            files: source,
        };
        let found = versions::between(&folder, &before, &after, now);
        findings.extend(found.iter().map(Finding::from));
        let less = products::loosened(&known, resources);
        findings.extend(less.iter().map(Finding::from));
    }
    let now_there = now_there.filter(|files| !files.is_empty());
    let kept = now_there.and_then(|files| serde_json::to_string(&files).ok());
    Named {
        kept,
        findings,
        changes,
    }
}

/// The files as they were when the revision in force was made, or as they are in force here.
fn before(gateway: &Gateway, candidate: &Candidate<'_>) -> Files {
    let kept: Option<Files> = candidate
        .files
        .and_then(|text| serde_json::from_str(text).ok());
    let in_force = || {
        (gateway
            .environment()
            .is_none_or(|name| name == candidate.environment))
        .then(|| (*gateway.process.files()).clone())
    };
    kept.or_else(in_force).unwrap_or_default()
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
