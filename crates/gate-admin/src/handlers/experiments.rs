//! Experiments: how they stand, and stopping them.
//!
//! A stop is a line in the audit log, which every gateway of the environment reads, and is in force
//! here before it is answered.

use super::{bounded, clean, not_found, page_of};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Experiment, ExperimentState, ExperimentStop, ReasonInput};
use gate_store::control::NewAudit;

/// The action under which stops stand in the audit log.
pub const STOP: &str = "stopExperiment";

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.experiments())?)
}

fn found(inner: &Inner, name: &str) -> Result<Experiment, Problem> {
    let mut all = inner.host.experiments().into_iter();
    let found = all.find(|one| one.name == name);
    found.ok_or_else(|| not_found(format_args!("experiment `{name}`")))
}

pub(super) fn stop(inner: &Inner, call: &Call) -> Answer {
    let input: ReasonInput = call.json()?;
    bounded("reason", &input.reason, 4 << 10)?;
    let name = call.value(0);
    let one = found(inner, name)?;
    if one.state != ExperimentState::Running {
        let text = format!("the experiment `{name}` does not run");
        return Err(Problem::new(Code::Conflict, text));
    }
    let stop = ExperimentStop {
        name: name.to_owned(),
        digest: one.digest,
        reason: clean(&input.reason),
    };
    if let Some(environment) = inner.host.environment() {
        let detail = serde_json::to_string(&stop)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let line = NewAudit {
            actor: &call.who.actor,
            role: call.who.role.as_str(),
            action: STOP,
            subject: &environment,
            outcome: "done",
            detail: &detail,
        };
        // The way out must not depend on a store that may be a part of what fails.
        let told = inner.store().and_then(|mut store| {
            let told = store.audit(&line, inner.now_ms());
            told.map_err(|error| Problem::new(Code::StoreUnavailable, error.to_string()))
        });
        if let Err(problem) = told {
            inner.host.stop_experiment(&stop);
            return Err(problem);
        }
    }
    inner.host.stop_experiment(&stop);
    Reply::json(&found(inner, name)?)
}
