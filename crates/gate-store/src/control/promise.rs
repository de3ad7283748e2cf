//! What gateways counted for objectives, and what an environment's gate holds.

use super::row::{Row, limit, number, row, rows};
use super::{Answer, ControlError};
use crate::StoreError;
use crate::database::{Database, transaction};

/// The node that stands for gateways that are gone: their counts, added up.
pub const PAST: &str = "past";

/// What one life of a gateway counted for an objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromiseRow {
    /// The environment; empty where a file rules.
    pub environment: String,
    /// The objective.
    pub objective: String,
    /// The gateway, in one of its lives; or [`PAST`].
    pub node: String,
    /// Grows with each write; given by the store, and ignored where one is written.
    pub number: u64,
    /// When it was written, in UNIX milliseconds.
    pub at_ms: i64,
    /// The counts; what they mean is not known here.
    pub counts: Vec<u8>,
    /// What it suspected then; what that means is not known here. Empty for nothing.
    pub suspicion: String,
}

/// Where one life of a gateway saw exchanges fail of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacesRow {
    /// The environment; empty where a file rules.
    pub environment: String,
    /// The gateway, in one of its lives.
    pub node: String,
    /// Grows with each write, as that of [`PromiseRow`]; given by the store, and ignored where one is
    /// written.
    pub number: u64,
    /// When it was written, in UNIX milliseconds.
    pub at_ms: i64,
    /// The places, at most [`PLACES_BYTES_MAX`]; what they mean is not known here.
    pub places: Vec<u8>,
}

/// Most bytes of a gateway's places.
pub const PLACES_BYTES_MAX: usize = 512 << 10;

/// Writes a gateway's places over those before, and forgets those of gateways that have written none
/// since a time.
pub(super) fn write_places<D: Database>(
    database: &mut D,
    row: &PlacesRow,
    forget_ms: i64,
) -> Answer<()> {
    if row.places.len() > PLACES_BYTES_MAX {
        return Err(ControlError::TooLarge {
            what: "where exchanges fail",
            bytes: row.places.len(),
            limit: PLACES_BYTES_MAX,
        });
    }
    transaction(database, |database| {
        let given = next(database)?;
        let sql = "DELETE FROM promise_place WHERE environment = $1 AND at_ms < $2";
        database.execute(sql, &[row.environment.as_str().into(), forget_ms.into()])?;
        database.execute(
            "INSERT INTO promise_place (environment, node, number, at_ms, places)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (environment, node) DO UPDATE
             SET number = excluded.number, at_ms = excluded.at_ms, places = excluded.places",
            &[
                row.environment.as_str().into(),
                row.node.as_str().into(),
                number(given),
                row.at_ms.into(),
                row.places.as_slice().into(),
            ],
        )?;
        Ok(())
    })
}

/// Places that were written after that number, in that order.
pub(super) fn places<D: Database>(
    database: &mut D,
    environment: &str,
    after: u64,
    most: usize,
) -> Answer<Vec<PlacesRow>> {
    let sql = "SELECT environment, node, number, at_ms, places FROM promise_place
               WHERE environment = $1 AND number > $2 ORDER BY number LIMIT $3";
    let values = [environment.into(), number(after), limit(most)];
    rows(database, sql, &values, |row: &mut Row| {
        Ok(PlacesRow {
            environment: row.text(),
            node: row.text(),
            number: row.number(),
            at_ms: row.time(),
            places: row.bytes(),
        })
    })
}

/// Writes readings, each in the place of the one before of the same node.
pub(super) fn write<D: Database>(database: &mut D, rows: &[PromiseRow]) -> Answer<()> {
    if rows.is_empty() {
        return Ok(());
    }
    transaction(database, |database| {
        let number = next(database)?;
        rows.iter().try_for_each(|row| put(database, row, number))
    })
}

/// Puts one row in the place of several of the same objective, all or nothing.
pub(super) fn fold<D: Database>(
    database: &mut D,
    into: &PromiseRow,
    nodes: &[(String, u64)],
) -> Answer<bool> {
    transaction(database, |database| {
        // Whoever comes second waits here for the first, so that what is read below stays so.
        let given = next(database)?;
        for (node, seen) in nodes {
            let sql = "DELETE FROM promise WHERE environment = $1 AND objective = $2 AND node = $3
                       AND number = $4";
            let values = [
                into.environment.as_str().into(),
                into.objective.as_str().into(),
                node.as_str().into(),
                number(*seen),
            ];
            if database.execute(sql, &values)? != 1 {
                return Err(ControlError::Missing(format!("counts of {node}")));
            }
        }
        put(database, into, given)
    })
    .map(|()| true)
    .or_else(|error| match error {
        ControlError::Missing(_) => Ok(false),
        other => Err(other),
    })
}

pub(super) fn next<D: Database>(database: &mut D) -> Answer<u64> {
    database.execute(
        "UPDATE promise_newest SET number = number + 1 WHERE id = 1",
        &[],
    )?;
    newest(database)
}

pub(super) fn newest<D: Database>(database: &mut D) -> Answer<u64> {
    let sql = "SELECT number FROM promise_newest WHERE id = 1";
    Ok(row(database, sql, &[], |row: &mut Row| Ok(row.number()))?.unwrap_or(0))
}

fn put<D: Database>(database: &mut D, row: &PromiseRow, given: u64) -> Answer<()> {
    database.execute(
        "INSERT INTO promise (environment, objective, node, number, at_ms, counts, suspicion)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (environment, objective, node) DO UPDATE
         SET number = excluded.number, at_ms = excluded.at_ms, counts = excluded.counts,
             suspicion = excluded.suspicion",
        &[
            row.environment.as_str().into(),
            row.objective.as_str().into(),
            row.node.as_str().into(),
            number(given),
            row.at_ms.into(),
            row.counts.as_slice().into(),
            row.suspicion.as_str().into(),
        ],
    )?;
    Ok(())
}

fn read(row: &mut Row) -> Result<PromiseRow, StoreError> {
    Ok(PromiseRow {
        environment: row.text(),
        objective: row.text(),
        node: row.text(),
        number: row.number(),
        at_ms: row.time(),
        counts: row.bytes(),
        suspicion: row.text(),
    })
}

const COLUMNS: &str =
    "SELECT environment, objective, node, number, at_ms, counts, suspicion FROM promise";

pub(super) fn after<D: Database>(
    database: &mut D,
    after: (u64, &str, &str),
    environment: &str,
    most: usize,
) -> Answer<Vec<PromiseRow>> {
    let (seen, objective, node) = after;
    let sql = format!(
        "{COLUMNS} WHERE (number > $1 OR number = $1 AND (objective > $2
         OR objective = $2 AND node > $3)) AND environment = $4
         ORDER BY number, objective, node LIMIT $5"
    );
    let values = [
        number(seen),
        objective.into(),
        node.into(),
        environment.into(),
        limit(most),
    ];
    rows(database, &sql, &values, read)
}

pub(super) fn of<D: Database>(
    database: &mut D,
    environment: &str,
    objective: &str,
) -> Answer<Vec<PromiseRow>> {
    let sql = format!("{COLUMNS} WHERE environment = $1 AND objective = $2 ORDER BY node");
    rows(
        database,
        &sql,
        &[environment.into(), objective.into()],
        read,
    )
}

pub(super) fn crowded<D: Database>(
    database: &mut D,
    environment: &str,
    before_ms: i64,
    most: usize,
) -> Answer<Vec<String>> {
    let sql = "SELECT objective FROM promise WHERE environment = $1 AND at_ms < $2 AND node <> $3
               GROUP BY objective HAVING COUNT(*) >= 8 ORDER BY objective LIMIT $4";
    let values = [
        environment.into(),
        before_ms.into(),
        PAST.into(),
        limit(most),
    ];
    rows(database, sql, &values, |row: &mut Row| Ok(row.text()))
}

pub(super) fn gate<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Option<(u64, String)>> {
    let sql = "SELECT version, data FROM promise_gate WHERE environment = $1";
    row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok((row.number(), row.text()))
    })
}

/// Writes what a gate holds, if it is still of the version that was read (0: there is none).
pub(super) fn save_gate<D: Database>(
    database: &mut D,
    environment: &str,
    expected: u64,
    data: &str,
) -> Answer<bool> {
    transaction(database, |database| {
        let changed = match expected {
            0 => database.execute(
                "INSERT INTO promise_gate (environment, version, data) VALUES ($1, 1, $2)
                 ON CONFLICT DO NOTHING",
                &[environment.into(), data.into()],
            )?,
            expected => database.execute(
                "UPDATE promise_gate SET version = version + 1, data = $1
                 WHERE environment = $2 AND version = $3",
                &[data.into(), environment.into(), number(expected)],
            )?,
        };
        Ok(changed == 1)
    })
}
