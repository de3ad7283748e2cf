//! What the admin API is told of batches: those that are jobs, and those that providers run.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::answer::{Book, problem};
use super::shelf::{now_ms, progress, signed};
use gate_admin::convert::time;
use gate_ai::batch::BatchState;
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_ops::job::{Progress, State};
use gate_proxy::batches::{BatchData, DeskPlace, Relayed};
use gate_store::files::BatchRow;
use gate_store::jobs::JobRow;

/// Batches that are looked at for one that is no job.
const BATCHES: usize = 1_000;

/// What a batch awaits, as a job would.
fn as_job(state: &str, is_at_provider: bool) -> State {
    match BatchState::named(state) {
        Some(BatchState::Completed) => State::Succeeded,
        Some(BatchState::Failed) => State::Failed,
        Some(BatchState::Expired) => State::Expired,
        Some(BatchState::Cancelling) => State::Cancelling,
        Some(BatchState::Cancelled) => State::Cancelled,
        _ if is_at_provider => State::Running,
        _ => State::Waiting,
    }
}

impl Book {
    /// Batches of all owners, the newest first.
    fn batch_rows(&self, open: bool, limit: usize) -> Result<Vec<BatchRow>, Problem> {
        let Some(desk) = DeskPlace::of(&self.process.shared().state).get() else {
            return Ok(Vec::new());
        };
        let answer = desk.ask_now(move |shelf| shelf.store(|store| store.all_batches(open, limit)));
        let slow = || problem(Code::StoreUnavailable, "batches are not answered");
        let rows = answer.ok_or_else(slow)?;
        rows.map_err(|error| problem(Code::StoreUnavailable, error.to_string()))
    }

    /// Batches of all owners in short, the newest first.
    pub(super) fn all_batches(
        &self,
        open: bool,
        limit: usize,
    ) -> Result<Vec<api::BatchSummary>, Problem> {
        let rows = self.batch_rows(open, limit)?;
        let shown = rows
            .iter()
            .filter_map(|row| Some((row, BatchData::of(row)?)));
        Ok(shown.map(|(row, data)| self.batch(row, &data)).collect())
    }

    /// A batch that is no job, or not yet, as one: it is being read, or a provider runs it.
    pub(super) fn of_batch(&self, id: &str) -> Option<JobRow> {
        let rows = self.batch_rows(false, BATCHES).ok()?;
        let row = rows.into_iter().find(|row| row.id == id)?;
        let data = BatchData::of(&row)?;
        let shown = self.batch(&row, &data);
        let state = as_job(&row.state, shown.provider.is_some());
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let wide = |at: i64| u64::try_from(at).ok();
        let progress = Progress {
            state,
            started: narrow(data.counts.succeeded + data.counts.failed),
            succeeded: narrow(data.counts.succeeded),
            failed: narrow(data.counts.failed),
            began_ms: data.times.began.and_then(wide),
            ended_ms: data.times.ended().and_then(wide),
            estimate_ms: estimate(&row, &data).and_then(wide),
            reason: shown.provider.map_or_else(String::new, |provider| {
                format!("the provider `{provider}` runs it")
            }),
            ..Progress::default()
        };
        Some(JobRow {
            id: row.id,
            environment: self.shelf.environment.clone(),
            number: 0,
            key: String::new(),
            queue: String::new(),
            team: String::new(),
            owner: shown.consumer,
            name: String::new(),
            folder: data.folder,
            items: data.counts.total,
            state: state.as_str().to_owned(),
            is_over: row.is_over,
            wish: String::new(),
            progress: serde_json::to_string(&progress).unwrap_or_default(),
            submitted_ms: data.times.created,
            changed_ms: row.changed_ms,
        })
    }

    /// A batch's row in short.
    fn batch(&self, row: &BatchRow, data: &BatchData) -> api::BatchSummary {
        let provider = data.relayed.as_ref().filter(|relayed| !relayed.is_over);
        let job = match row.is_over {
            true => None,
            false => self.shelf.job(&row.id).ok().flatten(),
        };
        let estimate = match &job {
            Some(job) => progress(job).estimate_ms.map(signed),
            None => estimate(row, data),
        };
        let counts = &data.counts;
        api::BatchSummary {
            id: row.id.clone(),
            api: row.api.clone(),
            endpoint: data.endpoint.clone(),
            consumer: data.owner.consumer.clone().unwrap_or_default(),
            model: data.model.clone(),
            provider: provider.map(Relayed::providers),
            is_job: job.is_some(),
            state: row.state.clone(),
            is_over: row.is_over,
            requests: counts.total,
            succeeded: counts.succeeded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            expired: counts.expired,
            created: time(data.times.created),
            ended: data.times.ended().map(time),
            estimate: estimate.map(time),
            expires: time(data.times.expires),
        }
    }
}

/// When a batch is likely to end that a provider runs, from what it has done since it began.
fn estimate(row: &BatchRow, data: &BatchData) -> Option<i64> {
    let began = data.times.began.filter(|_| !row.is_over)?;
    let done = i64::try_from(data.counts.succeeded + data.counts.failed).ok()?;
    let left = i64::try_from(data.counts.total).ok()?.saturating_sub(done);
    let now = signed(now_ms());
    let took = now.saturating_sub(began).saturating_mul(left);
    (done > 0).then(|| now.saturating_add(took / done))
}
