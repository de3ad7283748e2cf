//! The desk as it is in the store, changed by whoever has seen its newest version.

use crate::incidents::Shelf;
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_ops::runbook::{Desk, Run};
use gate_store::control::{ControlError, Lease, NewAudit, RunRow, RunSave, RunbooksSave};
use std::collections::BTreeMap;

/// How often a change is made anew on what another wrote.
const ATTEMPTS: u32 = 10;

/// A line for the audit log.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub actor: String,
    pub role: String,
    pub action: &'static str,
    pub subject: String,
    pub outcome: &'static str,
    pub detail: String,
}

impl Told {
    fn line(&self) -> NewAudit<'_> {
        NewAudit {
            actor: &self.actor,
            role: &self.role,
            action: self.action,
            subject: &self.subject,
            outcome: self.outcome,
            detail: &self.detail,
        }
    }
}

/// Where runs and actions are kept.
pub(crate) struct Stored {
    pub(super) shelf: Shelf,
    /// Whether there are revisions to go back from.
    pub(super) follows: bool,
}

pub(super) fn now_ms() -> u64 {
    u64::try_from(Clock::System.unix().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Stored {
    pub(super) fn new(shelf: Shelf, follows: bool) -> Self {
        Self { shelf, follows }
    }

    pub(super) fn environment(&self) -> &str {
        &self.shelf.environment
    }

    /// The desk's version.
    pub(super) fn version(&self) -> Result<u64, ControlError> {
        let environment = self.environment();
        self.shelf
            .ask(|store| store.runbook_desk_version(environment))
    }

    /// The desk with its version.
    pub(super) fn load(&self) -> Result<(u64, Desk), ControlError> {
        let environment = self.environment();
        let row = self.shelf.ask(|store| store.runbook_desk(environment))?;
        let Some((version, data)) = row else {
            return Ok((0, Desk::default()));
        };
        // A desk that a newer gateway wrote otherwise must not be overwritten.
        let desk = serde_json::from_str(&data).map_err(|error| {
            ControlError::Store(gate_store::StoreError::Broken(format!(
                "the desk of runbooks cannot be read: {error}"
            )))
        })?;
        Ok((version, desk))
    }

    /// A run that is under way or has ended.
    pub(super) fn run(&self, id: &str) -> Result<Option<Run>, ControlError> {
        let row = self.shelf.ask(|store| store.runbook_run(id))?;
        let row = row.filter(|row| row.environment == self.environment());
        Ok(row.and_then(|row| read(&row)))
    }

    /// Changes the desk and stores it with the runs that changed and what is told of it; runs that ended
    /// leave it. What `change` refuses is not stored.
    pub(super) fn change<T, E>(
        &self,
        lease: Option<&Lease>,
        mut change: impl FnMut(&mut Desk, &mut Vec<Told>, u64) -> Result<T, E>,
    ) -> Result<Result<T, E>, ControlError> {
        let mut attempt = 0;
        loop {
            let (version, before) = self.load()?;
            let mut desk = before.clone();
            let (mut told, now_ms) = (Vec::new(), now_ms());
            let done = match change(&mut desk, &mut told, now_ms) {
                Ok(done) => done,
                Err(error) => return Ok(Err(error)),
            };
            match self.save((version, &before), desk, &told, lease, now_ms) {
                Ok(()) => return Ok(Ok(done)),
                Err(ControlError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn save(
        &self,
        (version, before): (u64, &Desk),
        mut desk: Desk,
        told: &[Told],
        lease: Option<&Lease>,
        now_ms: u64,
    ) -> Result<(), ControlError> {
        let over = desk.sweep(now_ms);
        if desk == *before && over.is_empty() && told.is_empty() {
            return Ok(());
        }
        let known: BTreeMap<&str, &Run> = before
            .runs
            .iter()
            .map(|run| (run.id.as_str(), run))
            .into_map();
        let changed: Vec<(&Run, String)> = desk
            .runs
            .iter()
            .chain(&over)
            .filter(|run| known.get(run.id.as_str()) != Some(run))
            .map(|run| (run, serde_json::json!(run).to_string()))
            .collect();
        let runs: Vec<RunSave<'_>> = changed
            .iter()
            .map(|(run, data)| RunSave {
                id: &run.id,
                number: number(run),
                runbook: &run.runbook,
                key: (!known.contains_key(run.id.as_str())).then_some(&*run.key),
                state: run.state.as_str(),
                is_over: run.state.is_over(),
                data,
                began_ms: signed(run.began_ms),
            })
            .collect();
        let lines: Vec<NewAudit<'_>> = told.iter().map(Told::line).collect();
        let save = RunbooksSave {
            environment: self.environment(),
            expected: version,
            data: &serde_json::json!(desk).to_string(),
            runs: &runs,
            audit: &lines,
            lease,
            now_ms: signed(now_ms),
        };
        self.shelf
            .ask(|store| store.save_runbooks(&save))
            .map(|_| ())
    }
}

/// The run of a row; rows that a newer gateway wrote otherwise are passed over.
pub(super) fn read(row: &RunRow) -> Option<Run> {
    serde_json::from_str(&row.data).ok()
}

/// Its place in the order of starting, which its id ends with.
fn number(run: &Run) -> u64 {
    let number = run.id.rsplit('-').next();
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}
