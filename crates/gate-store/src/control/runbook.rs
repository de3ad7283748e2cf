//! Runs of runbooks, and actions in force. What they mean is the engine's business; here they are kept,
//! with a version, so that the gateway that leads and people write them side by side.

use super::row::{Row, before, clean, limit, number, row, rows};
use super::{Answer, ControlError, Lease, NewAudit, audit, fleet, revision};
use crate::StoreError;
use crate::database::{Database, transaction};
use serde::Serialize;

/// Most bytes of a desk, of a run, and of a name or key.
const DESK_MAX: usize = 16 << 20;
const RUN_MAX: usize = 4 << 20;
const NAME_MAX: usize = 1 << 10;
/// Runs of an environment that are kept, those under way besides.
pub const RUNS_KEPT: u64 = 1_000;
/// How long keys are known, in milliseconds: 400 days.
const KEYS_MS: i64 = 400 * 86_400_000;

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// Its environment.
    pub environment: String,
    /// Its place among the runs of its environment, from 1.
    pub number: u64,
    /// Its runbook.
    pub runbook: String,
    /// What it awaits, or how it ended.
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// All of it, as JSON.
    pub data: String,
    /// When it began, in UNIX milliseconds.
    pub began_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A run to write.
#[derive(Debug, Clone, Copy)]
pub struct RunSave<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its place among the runs of its environment, from 1.
    pub number: u64,
    /// Its runbook.
    pub runbook: &'a str,
    /// Where it is new: its key, which no other run of its runbook may have had.
    pub key: Option<&'a str>,
    /// What it awaits, or how it ended.
    pub state: &'a str,
    /// Whether it has ended.
    pub is_over: bool,
    /// All of it, as JSON; at most 4 MiB.
    pub data: &'a str,
    /// When it began, in UNIX milliseconds.
    pub began_ms: i64,
}

/// A desk to write, with runs of it and lines of the audit log.
#[derive(Debug, Clone, Copy)]
pub struct RunbooksSave<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The version that the caller has seen; 0 for none.
    pub expected: u64,
    /// The desk, as JSON; at most 16 MiB.
    pub data: &'a str,
    /// Runs that changed.
    pub runs: &'a [RunSave<'a>],
    /// What is written down of it.
    pub audit: &'a [NewAudit<'a>],
    /// The lease that the caller acts under, when only its holder may.
    pub lease: Option<&'a Lease>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

const COLUMNS: &str =
    "id, environment, number, runbook, state, is_over, data, began_ms, changed_ms";

fn read(row: &mut Row) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: row.text(),
        environment: row.text(),
        number: row.number(),
        runbook: row.text(),
        state: row.text(),
        is_over: row.flag(),
        data: row.text(),
        began_ms: row.time(),
        changed_ms: row.time(),
    })
}

pub(super) fn desk<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Option<(u64, String)>> {
    let sql = "SELECT version, data FROM runbook_desk WHERE environment = $1";
    row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok((row.number(), row.text()))
    })
}

pub(super) fn version<D: Database>(database: &mut D, environment: &str) -> Answer<u64> {
    let sql = "SELECT version FROM runbook_desk WHERE environment = $1";
    let version = row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok(row.number())
    })?;
    Ok(version.unwrap_or(0))
}

pub(super) fn run<D: Database>(database: &mut D, id: &str) -> Answer<Option<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM runbook_run WHERE id = $1");
    row(database, &sql, &[id.into()], read)
}

pub(super) fn runs<D: Database>(
    database: &mut D,
    environment: &str,
    runbook: &str,
    before_number: Option<u64>,
    most: usize,
) -> Answer<Vec<RunRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runbook_run
         WHERE environment = $1 AND ($2 = '' OR runbook = $3) AND number < $4
         ORDER BY number DESC LIMIT $5"
    );
    let values = [
        environment.into(),
        runbook.into(),
        runbook.into(),
        before(before_number),
        limit(most),
    ];
    rows(database, &sql, &values, read)
}

pub(super) fn of_key<D: Database>(
    database: &mut D,
    environment: &str,
    runbook: &str,
    key: &str,
) -> Answer<Option<String>> {
    let sql = "SELECT run FROM runbook_key WHERE environment = $1 AND runbook = $2 AND key = $3";
    let values = [environment.into(), runbook.into(), key.into()];
    row(database, sql, &values, |row: &mut Row| Ok(row.text()))
}

/// Writes a desk with what belongs to it, all or nothing; returns its new version.
pub(super) fn save<D: Database>(database: &mut D, save: &RunbooksSave<'_>) -> Answer<u64> {
    revision::fits("desk of runbooks", save.data.len(), DESK_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        if let Some(lease) = save.lease {
            fleet::must_lead(database, lease)?;
        }
        let current = version(database, save.environment)?;
        if current != save.expected {
            let expected = save.expected;
            return Err(ControlError::Stale { expected, current });
        }
        for one in save.runs {
            put(database, save, one)?;
        }
        database.execute(
            "INSERT INTO runbook_desk (environment, data, version, changed_ms)
             VALUES ($1, $2, $3, $4) ON CONFLICT (environment) DO UPDATE SET
             data = excluded.data, version = excluded.version, changed_ms = excluded.changed_ms",
            &[
                save.environment.into(),
                clean(save.data, DESK_MAX).into(),
                number(current + 1),
                save.now_ms.into(),
            ],
        )?;
        for line in save.audit {
            audit::append(database, line, save.now_ms)?;
        }
        Ok(current + 1)
    })
}

fn put<D: Database>(database: &mut D, save: &RunbooksSave<'_>, run: &RunSave<'_>) -> Answer<()> {
    revision::fits("run", run.data.len(), RUN_MAX)?;
    if let Some(key) = run.key {
        take_key(database, save, run, key)?;
    }
    database.execute(
        "INSERT INTO runbook_run (id, environment, number, runbook, state, is_over, data, began_ms,
         changed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET
         state = excluded.state, is_over = excluded.is_over, data = excluded.data,
         changed_ms = excluded.changed_ms",
        &[
            run.id.into(),
            save.environment.into(),
            number(run.number),
            clean(run.runbook, NAME_MAX).into(),
            clean(run.state, NAME_MAX).into(),
            i64::from(run.is_over).into(),
            clean(run.data, RUN_MAX).into(),
            run.began_ms.into(),
            save.now_ms.into(),
        ],
    )?;
    if run.key.is_some() && run.number > RUNS_KEPT {
        database.execute(
            "DELETE FROM runbook_run WHERE environment = $1 AND number <= $2 AND is_over = 1",
            &[save.environment.into(), number(run.number - RUNS_KEPT)],
        )?;
    }
    Ok(())
}

/// Takes a key that no run of the runbook has had.
fn take_key<D: Database>(
    database: &mut D,
    save: &RunbooksSave<'_>,
    run: &RunSave<'_>,
    key: &str,
) -> Answer<()> {
    revision::fits("key", key.len(), NAME_MAX)?;
    database.execute(
        "DELETE FROM runbook_key WHERE environment = $1 AND at_ms < $2",
        &[
            save.environment.into(),
            save.now_ms.saturating_sub(KEYS_MS).into(),
        ],
    )?;
    let taken = database.execute(
        "INSERT INTO runbook_key (environment, runbook, key, run, at_ms)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        &[
            save.environment.into(),
            run.runbook.into(),
            clean(key, NAME_MAX).into(),
            run.id.into(),
            save.now_ms.into(),
        ],
    )?;
    match taken {
        1 => Ok(()),
        _ => Err(ControlError::Exists(format!("a run with the key `{key}`"))),
    }
}
