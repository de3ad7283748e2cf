//! Experiments of this process: how they stand, and stopping them.

use gate_admin::convert::time;
use gate_api::types::{Experiment, ExperimentState, ExperimentStop};
use gate_flow::ExperimentState as State;
use gate_kit::order::Gather;
use gate_proxy::experiments::ExperimentReport;
use gate_proxy::process::Process;
use serde_json::Value;
use std::time::Duration;

/// How each stands, by its name.
pub(super) fn all(process: &Process) -> Vec<Experiment> {
    let reports = process.shared().experiments.reports();
    reports.into_iter().map(shown).collect()
}

fn shown(report: ExperimentReport) -> Experiment {
    let at = |unix: Option<Duration>| {
        unix.map(|unix| time(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)))
    };
    let scope = serde_json::to_value(&report.scope).unwrap_or_default();
    let scope = scope.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let counts = report.counts;
    Experiment {
        name: report.name.to_string(),
        inject: report.kind.to_owned(),
        scope: scope
            .filter_map(|(field, value)| Some((field.clone(), text(value)?)))
            .into_map(),
        state: match counts.state {
            State::Awaited => ExperimentState::Awaited,
            State::Running => ExperimentState::Running,
            State::Ended => ExperimentState::Ended,
            State::Stopped => ExperimentState::Stopped,
            State::StoppedByGuard => ExperimentState::StoppedByGuard,
            State::StoppedByBudget => ExperimentState::StoppedByBudget,
        },
        began: at(counts.began),
        ends: at(counts.ends),
        active: counts.active,
        strikes: counts.strikes,
        spared: counts.spared,
        seen: counts.seen,
        bad: counts.bad,
        digest: report.digest.to_string(),
    }
}

/// Stops an experiment, if it runs here and its resource is the one that is meant.
pub(crate) fn stop(process: &Process, stop: &ExperimentStop) {
    let experiments = &process.shared().experiments;
    let mut reports = experiments.reports().into_iter();
    if reports.any(|one| *one.name == *stop.name && *one.digest == *stop.digest)
        && experiments.stop(&stop.name).is_ok()
    {
        tracing::info!(experiment = stop.name, reason = stop.reason, "stopped");
    }
}
