//! What other gateways of the store were asked to forget: each such request is a line of the audit log,
//! and every gateway that comes upon it takes away what it keeps itself, and says so in another line.
//!
//! One that was down reads the lines when it starts, however old they are: what is meant ends with the
//! moment of the request, so that doing it twice takes nothing that came later.

use super::{Done, GATHERED, LOOK, PATIENCE, here, now_ms};
use crate::follow::{self, OpenStore};
use gate_proxy::batches::DeskPlace;
use gate_proxy::process::Process;
use gate_proxy::record::recent::forget::Wanted;
use gate_store::control::{AuditRow, ControlError, ControlStore, NewAudit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The action of requests, and of what a gateway says that has done its part.
pub(super) const ASKED: &str = "forget";
const HERE: &str = "forget.here";
/// The outcome of a request that is not over.
pub(super) const BEGUN: &str = "asked";
/// How often the log is looked at, and the pause after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Gateways that said something within this many milliseconds are waited for.
const ALIVE_MS: i64 = 30_000;

/// What a line says of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// The consumer.
    consumer: String,
    /// What it did until then is meant, in UNIX milliseconds.
    until_ms: u64,
    /// The gateway that was asked.
    by: String,
}

/// What a line says of a gateway's part.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    /// The line of the request.
    line: u64,
    /// What was deleted, or why not.
    said: String,
}

fn subject(consumer: &str) -> String {
    format!("consumers/{consumer}")
}

/// Says to all gateways of the store that a consumer is to be forgotten; the number of the line.
pub(super) fn ask_all(
    store: &mut dyn ControlStore,
    (actor, role): (&str, &str),
    consumer: &str,
    until_ms: u64,
    by: &str,
) -> Result<u64, String> {
    let request = Request {
        consumer: consumer.to_owned(),
        until_ms,
        by: by.to_owned(),
    };
    let detail = serde_json::to_string(&request).map_err(|error| error.to_string())?;
    let line = NewAudit {
        actor,
        role,
        action: ASKED,
        subject: &subject(consumer),
        outcome: BEGUN,
        detail: &detail,
    };
    let written = store.audit(&line, now_ms());
    written.map_err(|error| error.to_string())
}

/// Waits until every other gateway of an environment that lives has done its part of a request.
pub(super) fn others(store: &mut dyn ControlStore, environment: &str, by: &str, line: u64) -> Done {
    let until = Instant::now() + PATIENCE;
    loop {
        let answered = answered(store, line).map_err(|error| error.to_string())?;
        let acks = store.acks(environment, now_ms() - ALIVE_MS);
        let acks = acks.map_err(|error| error.to_string())?;
        let others = acks.iter().map(|ack| &ack.instance);
        let missing: Vec<&String> = others
            .filter(|one| *one != by && !answered.contains_key(*one))
            .collect();
        if missing.is_empty() {
            let failed: Vec<String> = answered
                .iter()
                .filter(|(_, (is_done, _))| !is_done)
                .map(|(name, (_, said))| format!("{name}: {said}"))
                .collect();
            return match failed.is_empty() {
                true => Ok((answered.len() as u64, String::new())),
                false => Err(failed.join("; ")),
            };
        }
        if Instant::now() >= until {
            let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
            return Err(format!("no word from {}", names.join(", ")));
        }
        std::thread::sleep(LOOK);
    }
}

/// Gateways that have done their part, whether they could, and what they say of it.
fn answered(
    store: &mut dyn ControlStore,
    line: u64,
) -> Result<BTreeMap<String, (bool, String)>, ControlError> {
    let (mut found, mut seen) = (BTreeMap::new(), line);
    loop {
        let (newest, lines) = store.audit_of(HERE, seen)?;
        let is_all = newest == seen || lines.is_empty();
        seen = newest;
        for row in lines {
            let part = serde_json::from_str::<Part>(&row.detail);
            if let Some(part) = part.ok().filter(|part| part.line == line) {
                let name = row.actor.trim_start_matches("instance/").to_owned();
                found.insert(name, (row.outcome == "done", part.said));
            }
        }
        if is_all {
            return Ok(found);
        }
    }
}

/// Starts the thread; it ends with the process that it serves.
///
/// # Errors
/// When the system has no thread.
pub(super) fn start(
    process: &Arc<Process>,
    instance: String,
    folder: PathBuf,
) -> Result<(), String> {
    let process = Arc::downgrade(process);
    let thread = std::thread::Builder::new().name("forget-heard".into());
    let running = thread.spawn(move || run(&process, &instance, &folder));
    running
        .map(drop)
        .map_err(|error| format!("no thread to hear who is to be forgotten: {error}"))
}

fn run(process: &Weak<Process>, instance: &str, folder: &Path) {
    let mut log = Log::default();
    let mut said = false;
    loop {
        let Some(process) = process.upgrade() else {
            return;
        };
        let looked = log.look(&process, instance, folder);
        if let Err(error) = &looked
            && !said
        {
            tracing::warn!(%error, "the store does not answer: who is to be forgotten is heard of later");
        }
        said = looked.is_err();
        drop(process);
        std::thread::sleep(PAUSE);
    }
}

/// The log, as far as it was read.
#[derive(Default)]
struct Log {
    open: Option<OpenStore>,
    store: Option<Box<dyn ControlStore>>,
    seen: u64,
}

impl Log {
    fn look(
        &mut self,
        process: &Process,
        instance: &str,
        folder: &Path,
    ) -> Result<(), ControlError> {
        if self.open.is_none() {
            let snapshot = process.shared().snapshot.load();
            self.open = follow::opener(&snapshot.resources.gateway, folder);
        }
        let Some(open) = &self.open else {
            return Ok(());
        };
        let mut store = match self.store.take() {
            Some(store) => store,
            None => open()?,
        };
        loop {
            let (newest, lines) = store.audit_of(ASKED, self.seen)?;
            let asked: Vec<(u64, Request)> = lines
                .iter()
                .filter_map(request)
                .filter(|(_, request)| request.by != instance)
                .collect();
            if !asked.is_empty() {
                take(process, &mut *store, instance, &asked)?;
            }
            let is_all = newest == self.seen || lines.is_empty();
            self.seen = newest;
            if is_all {
                break;
            }
        }
        self.store = Some(store);
        Ok(())
    }
}

fn request(line: &AuditRow) -> Option<(u64, Request)> {
    let is_asked = line.outcome == BEGUN;
    let request = serde_json::from_str(&line.detail).ok();
    request.filter(|_| is_asked).map(|it| (line.sequence, it))
}

/// Takes away what is kept here, and says so where somebody may wait for that, or something was there.
fn take(
    process: &Process,
    store: &mut dyn ControlStore,
    instance: &str,
    asked: &[(u64, Request)],
) -> Result<(), ControlError> {
    let has_files = DeskPlace::of(&process.shared().state).get().is_some();
    let mut wanted = Wanted::new();
    let mut done = Vec::new();
    for (_, request) in asked {
        let (consumer, mut until_ms) = (&request.consumer, request.until_ms);
        let files = match has_files {
            true => here::files(process, consumer, until_ms, false),
            false => Ok((0, String::new())),
        };
        if matches!(&files, Ok((_, note)) if note == here::CANCELLED) {
            // What it left until now is meant as well.
            std::thread::sleep(GATHERED);
            until_ms = u64::try_from(now_ms()).unwrap_or(until_ms);
        }
        let until = wanted.entry(consumer.clone()).or_default();
        *until = until_ms.max(*until);
        done.push((files, here::answers(process, consumer, until_ms)));
    }
    let records = here::records(process, &wanted);
    for ((line, request), (files, answers)) in asked.iter().zip(done) {
        let (consumer, until_ms) = (&request.consumer, request.until_ms);
        let (is_done, said) = match (&records, &files) {
            (Ok((records, _)), Ok((files, _))) => (
                true,
                format!("records: {records}; files: {files}; answers: {answers}"),
            ),
            (Err(problem), _) | (_, Err(problem)) => (false, problem.clone()),
        };
        let age_ms = u128::try_from(now_ms())
            .unwrap_or(0)
            .saturating_sub(u128::from(until_ms));
        let is_old = age_ms > 2 * PATIENCE.as_millis();
        let found = answers + files.map_or(0, |(files, _)| files);
        if is_done && is_old && found == 0 {
            continue;
        }
        let part = Part { line: *line, said };
        let detail = serde_json::to_string(&part).unwrap_or_default();
        let line = NewAudit {
            actor: &format!("instance/{instance}"),
            role: "system",
            action: HERE,
            subject: &subject(consumer),
            outcome: if is_done { "done" } else { "failed" },
            detail: &detail,
        };
        store.audit(&line, now_ms())?;
    }
    Ok(())
}
