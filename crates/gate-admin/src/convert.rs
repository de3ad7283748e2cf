//! Rows of the store as the shapes of the API.

use gate_api::types as api;
use gate_kit::order::Gather;
use gate_store::control as row;
use serde_json::Value;
use std::collections::BTreeMap;

/// UNIX milliseconds as RFC 3339 in UTC, to the second.
#[must_use]
pub fn time(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    let text = gate_model::units::Timestamp::from_unix_s(seconds).to_string();
    // A day alone means its beginning there; here every time has its clock.
    match text.contains('T') {
        true => text,
        false => format!("{text}T00:00:00Z"),
    }
}

/// An environment.
#[must_use]
pub fn environment(row: row::EnvironmentRow) -> api::Environment {
    api::Environment {
        name: row.name,
        generation: row.generation,
        revision: row.revision,
        stable: row.stable,
        confirm_until: row.confirm_until_ms.map(time),
        candidate: row.candidate.map(|candidate| api::Candidate {
            revision: candidate.revision,
            rollout: candidate.rollout,
        }),
        variables: row.variables,
        lock: row.lock.map(|lock| api::Lock {
            holder: lock.holder,
            reason: lock.reason,
            since: time(lock.since_ms),
        }),
        promotes_to: row.promotes_to,
    }
}

/// A revision.
#[must_use]
pub fn revision(row: row::RevisionRow) -> api::Revision {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let checks = match read(&row.checks) {
        Value::Object(checks) => checks
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .into_map(),
        _ => BTreeMap::new(),
    };
    api::Revision {
        number: row.number,
        digest: row.digest,
        parent: row.parent,
        environment: row.environment,
        author: row.author,
        cause: cause(row.cause),
        message: row.message,
        source_commit: row.source_commit,
        created: time(row.created_ms),
        plan: row
            .plan
            .and_then(|plan| serde_json::from_str::<api::PlanSummary>(&plan).ok()),
        checks,
    }
}

const fn cause(cause: row::Cause) -> api::Cause {
    match cause {
        row::Cause::Apply => api::Cause::Apply,
        row::Cause::Edit => api::Cause::Edit,
        row::Cause::Rollback => api::Cause::Rollback,
        row::Cause::Promote => api::Cause::Promote,
        row::Cause::AutoRollback => api::Cause::AutoRollback,
        row::Cause::Revert => api::Cause::Revert,
        row::Cause::Rotate => api::Cause::Rotate,
    }
}

/// An acknowledgement.
#[must_use]
pub fn ack(row: row::AckRow) -> api::Ack {
    api::Ack {
        instance: row.instance,
        environment: row.environment,
        revision: row.revision,
        digest: row.digest,
        state: match row.applied {
            true => api::AckState::Applied,
            false => api::AckState::Refused,
        },
        reason: (!row.reason.is_empty()).then_some(row.reason),
        at: time(row.at_ms),
    }
}

/// A line of the audit log.
#[must_use]
pub fn audit(row: row::AuditRow) -> api::AuditEntry {
    api::AuditEntry {
        sequence: row.sequence,
        at: time(row.at_ms),
        actor: row.actor,
        role: row.role,
        action: row.action,
        subject: row.subject,
        outcome: match row.outcome.as_str() {
            "done" => api::AuditOutcome::Done,
            "refused" => api::AuditOutcome::Refused,
            _ => api::AuditOutcome::Failed,
        },
        detail: row.detail,
        previous_hash: row.previous_hash,
        hash: row.hash,
    }
}

/// A rollout whose own words stand in its data, with counts summed over instances.
#[must_use]
pub fn rollout(row: &row::RolloutRow, evidence: &[row::EvidenceRow]) -> api::Rollout {
    let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let step = data["step"].as_u64().unwrap_or_default();
    let mut sums: BTreeMap<(&str, &str), (api::Counts, api::Counts, f64)> = BTreeMap::new();
    for row in evidence {
        let sum = sums.entry((&row.slice, &row.signal)).or_default();
        sum.0.total += row.control_total;
        sum.0.bad += row.control_bad;
        sum.1.total += row.candidate_total;
        sum.1.bad += row.candidate_bad;
    }
    let known = data["evidence"].as_array().map_or(&[][..], Vec::as_slice);
    for entry in known {
        let (Some(slice), Some(signal)) = (entry["slice"].as_str(), entry["signal"].as_str())
        else {
            continue;
        };
        if let Some(sum) = sums.get_mut(&(slice, signal)) {
            sum.2 = entry["e_value"].as_f64().unwrap_or_default();
        }
    }
    let evidence = sums
        .into_iter()
        .map(
            |((slice, signal), (control, candidate, e_value))| api::Evidence {
                slice: if slice.is_empty() { "*" } else { slice }.to_owned(),
                signal: signal.to_owned(),
                control,
                candidate,
                e_value,
            },
        )
        .collect();
    api::Rollout {
        id: row.id.clone(),
        environment: row.environment.clone(),
        candidate: row.candidate,
        control: row.control.unwrap_or_default(),
        state: match row.state.as_str() {
            "running" => api::RolloutState::Running,
            "promoted" => api::RolloutState::Promoted,
            "rolled_back" => api::RolloutState::RolledBack,
            _ => api::RolloutState::Held,
        },
        share: data["share"].as_f64().unwrap_or_default(),
        step: u32::try_from(step).unwrap_or(u32::MAX),
        started: time(row.started_ms),
        updated: Some(time(row.changed_ms)),
        evidence,
        reason: text("reason"),
        strategy: text("strategy"),
        settings: data["settings"].clone(),
    }
}

/// A Terraform state.
#[must_use]
pub fn state(row: row::StateRow) -> api::State {
    let version = row.version.as_ref();
    api::State {
        version: version.map(|version| version.version),
        serial: version.map(|version| version.serial),
        lineage: version.map(|version| version.lineage.clone()),
        updated: version.map(|version| time(version.created_ms)),
        lock: row.lock.as_ref().map(lock),
        name: row.name,
    }
}

/// A lock as Terraform wrote it.
#[must_use]
pub fn lock(row: &row::StateLock) -> api::StateLock {
    let known = serde_json::from_str::<api::StateLock>(&row.info).unwrap_or_default();
    api::StateLock {
        id: row.id.clone(),
        who: match known.who.is_empty() {
            true => row.holder.clone(),
            false => known.who,
        },
        ..known
    }
}

/// A version of a state.
#[must_use]
pub fn state_version(row: row::StateVersionRow) -> api::StateVersion {
    api::StateVersion {
        version: row.version,
        serial: row.serial,
        lineage: row.lineage,
        digest: row.digest,
        bytes: row.size,
        at: time(row.created_ms),
        author: row.author,
    }
}
