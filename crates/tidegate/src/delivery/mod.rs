//! Delivery metrics of this process's store: revisions, rollouts, incidents, deployments that were
//! reported.
//!
//! What the figures are made of is `gate_ops::dora`'s business; here it is read and shown.
//! [`reports`] takes reports in, [`forecasts`] says what runs out.

pub(crate) mod forecasts;
mod headroom;
mod reports;
mod routes;
pub(crate) mod spend;
mod used;
mod usual;

use crate::follow::OpenStore;
use gate_admin::DeploymentReport;
use gate_admin::convert::time;
use gate_api::problem::{Code, Problem};
use gate_api::types::{DeploymentReported, DoraFigure, DoraMetrics, DoraReport};
use gate_kit::clock::Clock;
use gate_kit::order::{Gather, Order};
use gate_model::resources::Resources;
use gate_ops::dora::incidents::{Attributed, attributed};
use gate_ops::dora::own::{self, Revision, Trial};
use gate_ops::dora::reported::{Reported, unix_ms};
use gate_ops::dora::{self, Deployment, EVENTS_MAX, Failure};
use gate_ops::incident::Incident;
use gate_store::ControlError;
use gate_store::control::{
    Cause, ControlStore, DeploymentRow, IncidentQuery, PAGE_MAX, RevisionQuery, RevisionRow,
    RolloutRow,
};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Most incidents that are read, the newest, and how many at once: one has at most 4 MiB.
const INCIDENTS_MAX: usize = 10_000;
const INCIDENTS_AT_ONCE: usize = 50;

/// Deployments of this process's store.
pub(crate) struct Delivery {
    open: Option<OpenStore>,
    /// A connection, until it fails.
    store: Mutex<Option<Box<dyn ControlStore>>>,
    /// Where files of secrets start from.
    folder: PathBuf,
    kept: crate::secrets::Kept,
}

#[allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]
impl Delivery {
    pub(crate) fn new(
        open: Option<OpenStore>,
        kept: crate::secrets::Kept,
        folder: PathBuf,
    ) -> Self {
        Self {
            open,
            store: Mutex::new(None),
            folder,
            kept,
        }
    }

    /// Metrics from a time to before another; of these teams only, of all when absent.
    ///
    /// # Errors
    /// The problem to answer with.
    pub(crate) fn dora(
        &self,
        from_ms: u64,
        until_ms: u64,
        teams: Option<&[String]>,
    ) -> Result<DoraReport, Problem> {
        let (mut deployments, failures) =
            self.ask(|store| events(store, signed(from_ms), signed(until_ms)))?;
        if let Some(teams) = teams {
            deployments.retain(|one| teams.contains(&one.team));
        }
        deployments.order_by_key(|one| one.at_ms);
        let report = dora::report(&deployments, &failures, from_ms, until_ms);
        let shown = |metrics: std::collections::BTreeMap<String, dora::Metrics>| {
            let metrics = metrics.into_iter();
            metrics.map(|(name, own)| (name, shown(&own))).into_map()
        };
        Ok(DoraReport {
            from: time(signed(from_ms)),
            until: time(signed(until_ms)),
            services: shown(report.services),
            teams: shown(report.teams),
            failures_from: "incidents".to_owned(),
        })
    }

    /// Takes a report in, once it has proved itself.
    ///
    /// # Errors
    /// The problem to answer with.
    pub(crate) fn report(
        &self,
        report: &DeploymentReport<'_>,
        resources: &Resources,
    ) -> Result<DeploymentReported, Problem> {
        if self.open.is_none() {
            let text = "deployments are kept in `gateway.store`, which is missing";
            return Err(Problem::new(Code::NotSupported, text));
        }
        let now_ms = u64::try_from(Clock::System.unix().as_millis()).unwrap_or(0);
        let found = reports::read(report, resources, &self.kept, &self.folder, now_ms)?;
        let Some(found) = found else {
            return Ok(DeploymentReported { id: None });
        };
        let data = serde_json::to_string(&found)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let row = DeploymentRow {
            id: found.id.clone(),
            service: found.deployment.service.clone(),
            team: found.deployment.team.clone(),
            data,
            at_ms: signed(found.deployment.at_ms),
        };
        self.ask(|store| store.put_deployment(&row, signed(now_ms)))?;
        Ok(DeploymentReported { id: Some(found.id) })
    }

    /// Asks over the connection; one that failed is not kept.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&mut dyn ControlStore) -> Result<T, ControlError>,
    ) -> Result<T, Problem> {
        let missing = || {
            let text = "this gateway keeps no revisions (`gateway.store`)";
            Problem::new(Code::NotSupported, text)
        };
        let open = self.open.as_ref().ok_or_else(missing)?;
        let fail =
            |error: &dyn std::fmt::Display| Problem::new(Code::StoreUnavailable, error.to_string());
        let mut held = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match held.take() {
            Some(store) => store,
            None => open().map_err(|error| fail(&error))?,
        };
        let answer = ask(&mut *store).map_err(|error| fail(&error))?;
        *held = Some(store);
        Ok(answer)
    }
}

/// Deployments that matter from a time to before another, and what failed.
fn events(
    store: &mut dyn ControlStore,
    from_ms: i64,
    until_ms: i64,
) -> Result<(Vec<Deployment>, Vec<Failure>), ControlError> {
    let revisions = revisions(store, from_ms)?;
    let (trials, incidents) = (trials(store, from_ms)?, incidents(store, from_ms)?);
    let (mut deployments, failures) = own::deployments(&revisions, &trials, &incidents);
    let mut after = (0, String::new());
    while deployments.len() < EVENTS_MAX {
        let page = store.deployments(from_ms, &after, PAGE_MAX)?;
        let is_last = page.len() < PAGE_MAX;
        for row in page {
            after = (row.at_ms, row.id);
            // What a newer gateway wrote in another form counts there.
            if row.at_ms < until_ms
                && let Ok(reported) = serde_json::from_str::<Reported>(&row.data)
            {
                deployments.push(reported.deployment);
            }
        }
        if is_last {
            break;
        }
    }
    Ok((deployments, failures))
}

/// Incidents since a time that are failures of revisions, the newest.
fn incidents(store: &mut dyn ControlStore, from_ms: i64) -> Result<Vec<Attributed>, ControlError> {
    let (mut found, mut before) = (Vec::new(), None);
    for _ in 0..INCIDENTS_MAX / INCIDENTS_AT_ONCE {
        let page = store.incidents(&IncidentQuery {
            before,
            limit: INCIDENTS_AT_ONCE,
            ..IncidentQuery::default()
        })?;
        let is_last =
            page.len() < INCIDENTS_AT_ONCE || page.iter().any(|row| row.opened_ms < from_ms);
        before = page.last().map(|row| row.number);
        // What a newer gateway wrote in another form counts there.
        let read = page.iter().filter_map(|row| {
            let incident: Incident = serde_json::from_str(&row.data).ok()?;
            Some(attributed(&row.environment, &incident))
        });
        found.extend(read.flatten());
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// Revisions since a time, in the order in which they were made.
fn revisions(store: &mut dyn ControlStore, from_ms: i64) -> Result<Vec<Revision>, ControlError> {
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < EVENTS_MAX {
        let page = store.revisions(&RevisionQuery {
            environment: "",
            before,
            limit: PAGE_MAX,
        })?;
        let is_last = page.len() < PAGE_MAX || page.iter().any(|row| row.created_ms < from_ms);
        before = page.last().map(|row| row.number);
        found.extend(page.iter().map(revision));
        if is_last {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

fn revision(row: &RevisionRow) -> Revision {
    let checks: Value = serde_json::from_str(&row.checks).unwrap_or_default();
    let text = |name: &str| checks.get(name).and_then(Value::as_str);
    Revision {
        number: row.number,
        environment: row.environment.clone(),
        parent: row.parent,
        cause: match row.cause {
            Cause::Apply | Cause::Edit | Cause::Promote => own::Cause::Change,
            Cause::Rollback | Cause::Revert => own::Cause::TakeBack,
            Cause::AutoRollback | Cause::Rotate => own::Cause::Other,
        },
        committed_ms: text("committed_at").and_then(unix_ms),
        mends: text("mends").map(str::to_owned),
        at_ms: u64::try_from(row.created_ms).unwrap_or(0),
    }
}

/// Rollouts since a time, of all environments.
fn trials(store: &mut dyn ControlStore, from_ms: i64) -> Result<Vec<Trial>, ControlError> {
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < EVENTS_MAX {
        let page = store.rollouts("", before, PAGE_MAX)?;
        let is_last = page.len() < PAGE_MAX || page.iter().any(|row| row.started_ms < from_ms);
        before = page.last().map(|row| row.number);
        found.extend(page.iter().map(trial));
        if is_last {
            break;
        }
    }
    Ok(found)
}

fn trial(row: &RolloutRow) -> Trial {
    Trial {
        candidate: row.candidate,
        is_promoted: match row.state.as_str() {
            "promoted" => Some(true),
            "rolled_back" => Some(false),
            _ => None,
        },
        began_ms: u64::try_from(row.started_ms).unwrap_or(0),
        ended_ms: u64::try_from(row.changed_ms).unwrap_or(0),
    }
}

fn shown(metrics: &dora::Metrics) -> DoraMetrics {
    let figure = |figure: dora::Figure| DoraFigure {
        value: figure.value,
        count: figure.count,
        interval: figure.interval,
    };
    DoraMetrics {
        lead_time_s: figure(metrics.lead_time_s),
        deployments_per_day: figure(metrics.deployments_per_day),
        change_fail_rate: figure(metrics.change_fail_rate),
        recovery_s: figure(metrics.recovery_s),
        rework_rate: figure(metrics.rework_rate),
        unrecovered: metrics.unrecovered,
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
