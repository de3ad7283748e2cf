//! What people and the audit log are told of runs and actions.

use super::stored::Told;
use gate_kit::order::Gather;
use gate_model::resources::StepWork;
use gate_ops::notify::Alert;
use gate_ops::runbook::{Act, Run, State};

/// What people are told that a run awaits of them; its labels stay the same.
pub(super) fn alert(run: &Run, environment: &str) -> Option<Alert> {
    let what = match run.state {
        State::AwaitsApproval => format!("somebody to agree: tidegate runbooks approve {}", run.id),
        State::AwaitsAnswer => {
            let StepWork::Ask {
                question, answers, ..
            } = &run.step()?.work
            else {
                return None;
            };
            let answers = answers.join(", ");
            format!(
                "an answer: {question} ({answers}): tidegate runbooks answer {}",
                run.id
            )
        }
        _ => return None,
    };
    let labels = [
        ("alertname", "runbook"),
        ("runbook", &run.runbook),
        ("run", &run.id),
        ("environment", environment),
    ];
    Some(Alert {
        labels: labels
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_map(),
        text: format!("run {} of {} awaits {what}", run.id, run.runbook),
        since_ms: run.since_ms,
        is_on: true,
    })
}

/// The audit log's line about a run that was started.
pub(super) fn begun(run: &Run, by: &str, role: &str) -> Told {
    Told {
        actor: by.to_owned(),
        role: role.to_owned(),
        action: "startRun",
        subject: format!("runbooks/{}", run.runbook),
        outcome: "done",
        detail: serde_json::json!({
            "run": run.id, "key": run.key, "cause": run.cause.in_words(), "dry_run": run.is_dry,
        })
        .to_string(),
    }
}

/// The audit log's line about an action that was begun.
pub(super) fn acted(act: &Act, by: &str, role: &str) -> Told {
    Told {
        actor: by.to_owned(),
        role: role.to_owned(),
        action: "act",
        subject: format!("actions/{}", act.id),
        outcome: "done",
        detail: serde_json::json!({
            "action": act.what, "until_ms": act.until_ms, "reason": act.reason, "run": act.run,
        })
        .to_string(),
    }
}

/// The audit log's line about an action that ended.
pub(super) fn undone(act: &Act, by: &str, reason: &str) -> Told {
    Told {
        actor: by.to_owned(),
        role: "system".to_owned(),
        action: "undoAction",
        subject: format!("actions/{}", act.id),
        outcome: "done",
        detail: serde_json::json!({ "action": act.what, "reason": reason }).to_string(),
    }
}
