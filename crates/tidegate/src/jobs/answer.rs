//! What the admin API asks about jobs: [`JobBook`] over what is kept of them.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::lane::lane;
use super::shelf::{Refused, Shelf, now_ms, progress, signed};
use crate::incidents;
use gate_admin::convert::time;
use gate_admin::{Asker, JobBook, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_model::resources::{ListenerProtocol, Resources};
use gate_ops::job::order::{Call, Input, Order};
use gate_ops::job::{After, Link, Progress, Retry, Spec, State};
use gate_proxy::process::Process;
use gate_store::control::NewAudit;
use gate_store::jobs::{JobQuery, JobRow};
use serde_json::Value;
use std::sync::Arc;

/// Notes of a job that are shown.
const NOTES: usize = 1_000;
/// Most bytes of results of one page.
const PAGE_BYTES: usize = 8 << 20;
/// Longest time that a job may take, in milliseconds.
const WITHIN_MAX_MS: u64 = 30 * 86_400_000;

/// The book of a process.
pub(crate) struct Book {
    pub(super) shelf: Arc<Shelf>,
    /// Where the audit log is.
    audit: Option<Arc<incidents::Shelf>>,
    pub(super) process: Arc<Process>,
}

pub(super) fn problem(code: Code, text: impl Into<String>) -> Problem {
    Problem::new(code, text)
}

fn missing(id: &str) -> Problem {
    problem(Code::NotFound, format!("there is no job `{id}`"))
}

impl Book {
    pub(crate) fn new(
        shelf: &Arc<Shelf>,
        audit: Option<&Arc<incidents::Shelf>>,
        process: &Arc<Process>,
    ) -> Self {
        Self {
            shelf: shelf.clone(),
            audit: audit.cloned(),
            process: process.clone(),
        }
    }

    fn note(&self, by: Asker<'_>, action: &str, id: &str) -> Result<(), Problem> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let line = NewAudit {
            actor: by.actor,
            role: by.role,
            action,
            subject: &format!("job {id}"),
            outcome: "done",
            detail: "",
        };
        let noted = audit.ask(|store| store.audit(&line, signed(now_ms())));
        noted.map(|_| ()).map_err(refused)
    }

    fn row(&self, id: &str) -> Result<JobRow, Problem> {
        let row = self.shelf.job(id).map_err(refused)?;
        row.or_else(|| self.of_batch(id)).ok_or_else(|| missing(id))
    }
}

impl JobBook for Book {
    fn environment(&self) -> &str {
        &self.shelf.environment
    }

    fn submit(&self, input: &api::JobInput, by: Asker<'_>) -> Result<api::JobSummary, Problem> {
        let resources = self.process.shared().snapshot.load().resources.clone();
        let order = order(input, &resources)?;
        let submitted = self.shelf.submit(order, &input.key, &input.name);
        let (id, is_new) = submitted.map_err(|error| match error {
            Refused::Problem(text) => problem(Code::Invalid, text),
            Refused::Store(error) => refused(error),
        })?;
        if is_new {
            self.note(by, "submit_job", &id)?;
        }
        Ok(summary(&self.row(&id)?))
    }

    fn jobs(
        &self,
        queue: &str,
        open: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, api::JobSummary)>, Problem> {
        let query = JobQuery {
            environment: &self.shelf.environment,
            owner: "",
            queue,
            open,
            before,
            limit,
        };
        let rows = self
            .shelf
            .ask(|store| store.jobs(&query))
            .map_err(refused)?;
        Ok(rows.iter().map(|row| (row.number, summary(row))).collect())
    }

    fn job(&self, id: &str) -> Result<api::JobDetail, Problem> {
        let row = self.row(id)?;
        let notes = self.shelf.ask(|store| store.notes(id, 0, NOTES));
        let order = self.shelf.order(&row).ok();
        let calls = order.as_ref().map(|order| match &order.input {
            Input::Template { method, path, .. } => format!("{method} {path}"),
            Input::Lines { url, .. } => format!("POST {url}"),
        });
        let after = order.map(|order| order.spec.after).unwrap_or_default();
        let after = after.into_iter().map(|after| api::JobAfter {
            each: after.link == Link::Each,
            job: after.job,
        });
        let notes = notes
            .map_err(refused)?
            .into_iter()
            .map(|note| api::JobNote {
                at: time(note.at_ms),
                item: note.item,
                attempt: note.attempt,
                kind: note.kind,
                reason: note.reason,
            });
        Ok(api::JobDetail {
            job: summary(&row),
            after: after.collect(),
            calls: calls.unwrap_or_default(),
            notes: notes.collect(),
        })
    }

    fn wish(&self, id: &str, wish: &str, by: Asker<'_>) -> Result<api::JobSummary, Problem> {
        self.row(id)?;
        let done = self.shelf.wish(id, wish);
        if !done.map_err(refused)? {
            return Err(problem(
                Code::Conflict,
                format!("`{id}` has ended, or is a batch that a provider runs"),
            ));
        }
        let action = match wish {
            "pause" => "pause_job",
            "resume" => "resume_job",
            _ => "cancel_job",
        };
        self.note(by, action, id)?;
        Ok(summary(&self.row(id)?))
    }

    fn batches(&self, open: bool, limit: usize) -> Result<Vec<api::BatchSummary>, Problem> {
        self.all_batches(open, limit)
    }

    fn results(&self, id: &str, from: u32, limit: usize) -> Result<Vec<api::JobResult>, Problem> {
        if !self.row(id)?.folder.is_empty() {
            let text = format!("what `{id}` answers goes to its owner as files, at /v1/batches");
            return Err(problem(Code::Conflict, text));
        }
        let found = self
            .shelf
            .ask(|store| store.results(id, from, limit, PAGE_BYTES));
        let found = found.map_err(refused)?.into_iter();
        let shown = found.map(|result| api::JobResult {
            item: result.index.into(),
            succeeded: result.well,
            status: result.status,
            request: result.request,
            reason: result.reason,
            body: String::from_utf8_lossy(&result.body).into_owned(),
        });
        Ok(shown.collect())
    }
}

/// A job's row in short.
fn summary(row: &JobRow) -> api::JobSummary {
    let progress = progress(row);
    let at = |ms: u64| time(signed(ms));
    api::JobSummary {
        id: row.id.clone(),
        name: row.name.clone(),
        queue: row.queue.clone(),
        team: row.team.clone(),
        consumer: row.owner.clone(),
        state: row.state.clone(),
        is_over: row.is_over,
        reason: reason(&progress),
        items: row.items,
        started: progress.started.into(),
        succeeded: progress.succeeded.into(),
        failed: progress.failed.into(),
        retries: progress.retries.into(),
        repeats: progress.repeats.into(),
        submitted: time(row.submitted_ms),
        began: progress.began_ms.map(at),
        ended: progress.ended_ms.map(at),
        estimate: progress.estimate_ms.map(at),
    }
}

/// Why a job is in its state: what was written down of it, or what its items wait for.
fn reason(progress: &Progress) -> String {
    let Some(awaits) = &progress.awaits else {
        return progress.reason.clone();
    };
    if !progress.reason.is_empty() || progress.state != State::Running {
        return progress.reason.clone();
    }
    match awaits.until_ms {
        Some(until) => format!(
            "items wait until {} ({})",
            time(signed(until)),
            awaits.reason
        ),
        None => format!("items wait ({})", awaits.reason),
    }
}

/// What is asked for, as it is kept.
fn order(input: &api::JobInput, resources: &Resources) -> Result<Order, Problem> {
    let invalid = |text: String| problem(Code::Invalid, text);
    if input.queue != "default" && !resources.queues.contains_key(&input.queue) {
        return Err(invalid(format!("there is no queue `{}`", input.queue)));
    }
    let team = match &input.consumer {
        Some(name) => {
            let consumer = resources.consumers.get(name);
            let consumer =
                consumer.ok_or_else(|| invalid(format!("there is no consumer `{name}`")))?;
            consumer.team.clone().unwrap_or_default()
        }
        None => String::new(),
    };
    let within = milliseconds(input.within);
    if within == 0 || within > WITHIN_MAX_MS {
        return Err(invalid("`within` is from a second to 30 days".into()));
    }
    let items = u32::try_from(input.items.len()).unwrap_or(u32::MAX);
    let count = input.count.unwrap_or(items.max(1));
    let after = input.after.iter().map(|after| After {
        job: after.job.clone(),
        link: if after.each { Link::Each } else { Link::Whole },
    });
    let spec = Spec {
        id: String::new(),
        number: 0,
        queue: input.queue.clone(),
        team,
        priority: input.priority,
        count,
        after: after.collect(),
        sequential: input.sequential,
        retry: Retry {
            attempts: input.attempts,
            pause_ms: milliseconds(input.pause),
            reasons: input.reasons.clone(),
        },
        timeout_ms: milliseconds(input.timeout),
        most: input.concurrency,
        failures: input.failures,
        lane: String::new(),
        submitted_ms: now_ms(),
        until_ms: Some(now_ms().saturating_add(within)),
    };
    let call = Call {
        listener: listener(&input.listener, resources).map_err(invalid)?,
        authority: input.host.clone(),
        consumer: input.consumer.clone(),
        key: input.consumer_key.clone(),
        answer_bytes: 0,
    };
    let input = Input::Template {
        method: input.method.clone(),
        path: input.path.clone(),
        headers: input.headers.clone(),
        body: input.body.clone(),
        items: input.items.clone(),
        event: Value::Null,
    };
    let mut order = Order { spec, call, input };
    order.spec.lane = lane(&order);
    Ok(order)
}

fn milliseconds(period: gate_model::units::Period) -> u64 {
    u64::try_from(period.duration().as_millis()).unwrap_or(u64::MAX)
}

/// The listener by its name, or the only one that there is.
fn listener(name: &str, resources: &Resources) -> Result<String, String> {
    let speaks = |name: &String| {
        let listener = resources.listeners.get(name);
        listener.is_some_and(|listener| listener.protocol == ListenerProtocol::Http)
    };
    if !name.is_empty() {
        return match speaks(&name.to_owned()) {
            true => Ok(name.to_owned()),
            false => Err(format!("no listener `{name}` speaks HTTP")),
        };
    }
    let mut all = resources.listeners.keys().filter(|name| speaks(name));
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err("`listener` says over which listener items are called".into()),
    }
}
