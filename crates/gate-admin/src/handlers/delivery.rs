//! Delivery metrics, reports of deployments, forecasts.

use super::page_of;
use crate::api::Inner;
use crate::call::{Call, bad};
use crate::host::DeploymentReport;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_model::units::Timestamp;

/// How far back metrics look when nothing is asked for, in milliseconds.
const SPAN_MS: u64 = 90 * 86_400_000;

pub(super) fn dora(inner: &Inner, call: &Call) -> Answer {
    let day = |name: &str| -> Result<Option<u64>, Problem> {
        let Some(text) = call.parameter(name) else {
            return Ok(None);
        };
        let day: Result<Timestamp, _> = text.parse();
        let day = day.map_err(|_| bad(format!("`{name}` is no day")))?;
        Ok(Some(day.unix_s() * 1000))
    };
    let now_ms = u64::try_from(inner.now_ms()).unwrap_or(0);
    let until_ms = day("until")?.unwrap_or(now_ms);
    let from_ms = day("from")?.unwrap_or(until_ms.saturating_sub(SPAN_MS));
    let teams = call.who.teams.as_deref();
    Reply::json(&inner.host.dora(from_ms, until_ms, teams)?)
}

pub(super) fn report(inner: &Inner, call: &Call) -> Answer {
    if call.body.is_empty() {
        return Err(Problem::new(Code::Malformed, "the report is empty"));
    }
    let is_forge = call.operation.id == "reportDeploymentFrom";
    let report = DeploymentReport {
        source: is_forge.then(|| call.value(0)),
        headers: &call.event,
        body: &call.body,
    };
    Reply::json(&inner.host.report_deployment(&report)?)
}

pub(super) fn forecasts(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.forecasts()?)?)
}
