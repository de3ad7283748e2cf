//! Histograms of durations: what each life of a gateway saw of a route or a model since it began.
//!
//! They lie beside the counts of objectives (`promise.rs`), are numbered as those are, and are added up
//! in the same way when lives are over.

use super::promise::next;
use super::row::{Row, limit, number, rows};
use super::{Answer, ControlError, PAGE_MAX, PAST};
use crate::database::{Database, transaction};

/// Most bytes of one histogram.
pub const DURATIONS_BYTES_MAX: usize = 20 << 10;

/// What one life of a gateway saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationsRow {
    /// The environment; empty where a file rules.
    pub environment: String,
    /// What the durations are of; what that means is not known here.
    pub subject: String,
    /// The gateway, in one of its lives; or [`PAST`].
    pub node: String,
    /// Grows with each write; given by the store, and ignored where one is written.
    pub number: u64,
    /// When it was written, in UNIX milliseconds.
    pub at_ms: i64,
    /// The histogram, at most [`DURATIONS_BYTES_MAX`]; what it means is not known here.
    pub durations: Vec<u8>,
}

/// Writes histograms, each in the place of the one before of the same node.
pub(super) fn write<D: Database>(database: &mut D, rows: &[DurationsRow]) -> Answer<()> {
    if rows.is_empty() {
        return Ok(());
    }
    transaction(database, |database| {
        let given = next(database)?;
        rows.iter().try_for_each(|row| put(database, row, given))
    })
}

fn put<D: Database>(database: &mut D, row: &DurationsRow, given: u64) -> Answer<()> {
    if row.durations.len() > DURATIONS_BYTES_MAX {
        return Err(ControlError::TooLarge {
            what: "a histogram of durations",
            bytes: row.durations.len(),
            limit: DURATIONS_BYTES_MAX,
        });
    }
    database.execute(
        "INSERT INTO promise_duration (environment, subject, node, number, at_ms, durations)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (environment, subject, node) DO UPDATE
         SET number = excluded.number, at_ms = excluded.at_ms, durations = excluded.durations",
        &[
            row.environment.as_str().into(),
            row.subject.as_str().into(),
            row.node.as_str().into(),
            number(given),
            row.at_ms.into(),
            row.durations.as_slice().into(),
        ],
    )?;
    Ok(())
}

pub(super) fn of<D: Database>(
    database: &mut D,
    environment: &str,
    subject: &str,
) -> Answer<Vec<DurationsRow>> {
    let sql = "SELECT environment, subject, node, number, at_ms, durations FROM promise_duration
               WHERE environment = $1 AND subject = $2 ORDER BY node <> $3, node LIMIT $4";
    let values = [
        environment.into(),
        subject.into(),
        PAST.into(),
        limit(PAGE_MAX),
    ];
    rows(database, sql, &values, |row: &mut Row| {
        Ok(DurationsRow {
            environment: row.text(),
            subject: row.text(),
            node: row.text(),
            number: row.number(),
            at_ms: row.time(),
            durations: row.bytes(),
        })
    })
}

pub(super) fn crowded<D: Database>(
    database: &mut D,
    environment: &str,
    before_ms: i64,
    most: usize,
) -> Answer<Vec<String>> {
    let sql = "SELECT subject FROM promise_duration
               WHERE environment = $1 AND at_ms < $2 AND node <> $3
               GROUP BY subject HAVING COUNT(*) >= 8 ORDER BY subject LIMIT $4";
    let values = [
        environment.into(),
        before_ms.into(),
        PAST.into(),
        limit(most),
    ];
    rows(database, sql, &values, |row: &mut Row| Ok(row.text()))
}

/// Puts one row in the place of several of the same subject, all or nothing.
pub(super) fn fold<D: Database>(
    database: &mut D,
    into: &DurationsRow,
    nodes: &[(String, u64)],
) -> Answer<bool> {
    let folded = transaction(database, |database| {
        // Whoever comes second waits here for the first, so that what is read below stays so.
        let given = next(database)?;
        for (node, seen) in nodes {
            let sql = "DELETE FROM promise_duration WHERE environment = $1 AND subject = $2
                       AND node = $3 AND number = $4";
            let values = [
                into.environment.as_str().into(),
                into.subject.as_str().into(),
                node.as_str().into(),
                number(*seen),
            ];
            if database.execute(sql, &values)? != 1 {
                return Err(ControlError::Missing(format!("durations of {node}")));
            }
        }
        put(database, into, given)
    });
    match folded {
        Ok(()) => Ok(true),
        Err(ControlError::Missing(_)) => Ok(false),
        Err(other) => Err(other),
    }
}
