//! Reading environments and their history.

use super::{Candidate, EnvironmentRow, HistoryRow, Lock};
use crate::StoreError;
use crate::control::row::{Row, clean, limit, number, row, rows};
use crate::control::{Answer, Newest};
use crate::database::Database;
use std::time::{Duration, Instant};

/// Most bytes of a change's id.
const ID_MAX: usize = 1 << 10;
const COLUMNS: &str = "name, generation, revision, stable, confirm_until_ms, candidate, rollout, \
                       variables, lock_holder, lock_reason, lock_since_ms, promotes_to, \
                       changed_ms, removed";

/// An environment, and whether it was removed.
fn read(row: &mut Row) -> Result<(EnvironmentRow, bool), StoreError> {
    let name = row.text();
    let environment = EnvironmentRow {
        generation: row.number(),
        revision: row.optional_number(),
        stable: row.optional_number(),
        confirm_until_ms: row.optional_time(),
        candidate: candidate(row),
        variables: serde_json::from_str(&row.text())
            .map_err(|_| StoreError::Broken(format!("the variables of `{name}`")))?,
        lock: lock(row),
        promotes_to: row.optional_text(),
        changed_ms: row.time(),
        name,
    };
    Ok((environment, row.flag()))
}

fn candidate(row: &mut Row) -> Option<Candidate> {
    let (revision, rollout) = (row.optional_number(), row.text());
    revision.map(|revision| Candidate { revision, rollout })
}

fn lock(row: &mut Row) -> Option<Lock> {
    let (holder, reason, since_ms) = (row.optional_text(), row.text(), row.time());
    holder.map(|holder| Lock {
        holder,
        reason,
        since_ms,
    })
}

/// An environment, also one that was removed.
pub(super) fn any<D: Database>(
    database: &mut D,
    name: &str,
) -> Answer<Option<(EnvironmentRow, bool)>> {
    let sql = format!("SELECT {COLUMNS} FROM environment WHERE name = $1");
    row(database, &sql, &[name.into()], read)
}

pub(in crate::control) fn one<D: Database>(
    database: &mut D,
    name: &str,
) -> Answer<Option<EnvironmentRow>> {
    let found = any(database, name)?;
    Ok(found.and_then(|(environment, removed)| (!removed).then_some(environment)))
}

pub(in crate::control) fn page<D: Database>(
    database: &mut D,
    after: &str,
    count: usize,
) -> Answer<Vec<EnvironmentRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM environment WHERE name > $1 AND removed = 0 ORDER BY name LIMIT $2"
    );
    let found = rows(database, &sql, &[after.into(), limit(count)], read)?;
    Ok(found
        .into_iter()
        .map(|(environment, _)| environment)
        .collect())
}

pub(in crate::control) fn generation<D: Database>(database: &mut D, name: &str) -> Answer<u64> {
    let sql = "SELECT generation FROM environment WHERE name = $1 AND removed = 0";
    Ok(row(database, sql, &[name.into()], |row| Ok(row.number()))?.unwrap_or(0))
}

/// The newest of an environment and of the audit log, in one read.
fn newest<D: Database>(database: &mut D, name: &str) -> Answer<Newest> {
    let sql = "SELECT number, (SELECT generation FROM environment WHERE name = $1 AND removed = 0)
         FROM head WHERE name = 'audit'";
    let found = row(database, sql, &[name.into()], |row| {
        let audit = row.number();
        let generation = row.number();
        Ok(Newest { generation, audit })
    })?;
    Ok(found.unwrap_or_default())
}

pub(in crate::control) fn wait<D: Database>(
    database: &mut D,
    name: &str,
    generation: u64,
    audit: Option<u64>,
    at_most: Duration,
) -> Answer<Newest> {
    let began = Instant::now();
    loop {
        let current = newest(database, name)?;
        let left = at_most.saturating_sub(began.elapsed());
        let is_same =
            current.generation == generation && audit.is_none_or(|audit| audit == current.audit);
        if !is_same || left.is_zero() {
            return Ok(current);
        }
        database.wait(left)?;
    }
}

pub(in crate::control) fn history<D: Database>(
    database: &mut D,
    name: &str,
    after: u64,
    count: usize,
) -> Answer<Vec<HistoryRow>> {
    let read = |row: &mut Row| {
        Ok(HistoryRow {
            generation: row.number(),
            at_ms: row.time(),
            actor: row.text(),
            action: row.text(),
            revision: row.optional_number(),
            stable: row.optional_number(),
            candidate: row.optional_number(),
            removed: row.flag(),
        })
    };
    rows(
        database,
        "SELECT generation, at_ms, actor, action, revision, stable, candidate, removed
         FROM environment_history WHERE environment = $1 AND generation > $2
         ORDER BY generation LIMIT $3",
        &[name.into(), number(after), limit(count)],
        read,
    )
}

/// A caller's id as it is kept, apart from those that are made for changes without one.
pub(super) fn change_id(id: &str) -> String {
    format!("id {}", clean(id, ID_MAX))
}

/// The revision that a change wrote before, if that change was made: `Some(None)` when it wrote none.
pub(super) fn done<D: Database>(
    database: &mut D,
    name: &str,
    id: &str,
) -> Answer<Option<Option<u64>>> {
    let sql = "SELECT written FROM environment_history WHERE environment = $1 AND change_id = $2";
    row(database, sql, &[name.into(), change_id(id).into()], |row| {
        Ok(row.optional_number())
    })
}
