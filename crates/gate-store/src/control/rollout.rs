//! Rollouts and their evidence. What a state means is the engine's business; here it is kept.

use super::row::{Row, before, clean, limit, number, optional, row, rows};
use super::{Answer, ControlError, Lease, Target, audit, fleet, revision};
use crate::StoreError;
use crate::database::{Database, transaction};
use gate_kit::order::Order;
use serde::Serialize;

/// Most bytes of a rollout's data, of evidence's data, and of a name.
const DATA_MAX: usize = 1 << 20;
const EVIDENCE_MAX: usize = 64 << 10;
const NAME_MAX: usize = 1 << 10;

/// A rollout to start, or to save together with a change of its environment.
#[derive(Debug, Clone, Copy)]
pub struct NewRollout<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version that the caller has seen; 0 to start it.
    pub expected: u64,
    /// The revision that is tried.
    pub candidate: Target,
    /// The revision that it is compared with.
    pub control: Option<u64>,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: &'a str,
    /// All else, as JSON: share, step, strategy, reason; at most 1 MiB.
    pub data: &'a str,
}

/// A rollout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutRow {
    /// Its id.
    pub id: String,
    /// Its place in the order of starting, from 1; for pages.
    pub number: u64,
    /// Its environment.
    pub environment: String,
    /// The revision that is tried.
    pub candidate: u64,
    /// The revision that it is compared with.
    pub control: Option<u64>,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: String,
    /// All else, as JSON.
    pub data: String,
    /// Grows with each write.
    pub version: u64,
    /// When it was started, in UNIX milliseconds.
    pub started_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A rollout's state to save.
#[derive(Debug, Clone, Copy)]
pub struct RolloutSave<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version that the caller has seen.
    pub expected: u64,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: &'a str,
    /// All else, as JSON; at most 1 MiB.
    pub data: &'a str,
    /// The lease that the caller acts under, when only its holder may.
    pub lease: Option<&'a Lease>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// What one instance has counted in one step of a rollout, since that step began. All numbers are
/// totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// The rollout.
    pub rollout: String,
    /// The instance.
    pub instance: String,
    /// The step, in which the candidate's weight stays the same.
    pub step: u64,
    /// What part of the traffic: a route's name; empty for all.
    pub slice: String,
    /// `errors`, `latency`, `time_to_first_token`, `cost`, or the name of an expression.
    pub signal: String,
    /// Exchanges on the control.
    pub control_total: u64,
    /// Bad ones of them.
    pub control_bad: u64,
    /// Exchanges on the candidate.
    pub candidate_total: u64,
    /// Bad ones of them.
    pub candidate_bad: u64,
    /// More of the engine's own, as JSON; at most 64 KiB.
    pub data: String,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
}

const COLUMNS: &str = "id, number, environment, candidate, control, state, data, version, \
                       started_ms, changed_ms";

impl RolloutRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(),
            number: row.number(),
            environment: row.text(),
            candidate: row.number(),
            control: row.optional_number(),
            state: row.text(),
            data: row.text(),
            version: row.number(),
            started_ms: row.time(),
            changed_ms: row.time(),
        })
    }
}

/// Starts or saves a rollout within the transaction of its environment's change.
pub(super) fn put<D: Database>(
    database: &mut D,
    new: &NewRollout<'_>,
    environment: &str,
    candidate: u64,
    now_ms: i64,
) -> Answer<()> {
    let save = RolloutSave {
        id: new.id,
        expected: new.expected,
        state: new.state,
        data: new.data,
        lease: None,
        now_ms,
    };
    if new.expected > 0 {
        return update(database, &save);
    }
    revision::fits("rollout", new.data.len(), DATA_MAX)?;
    if let Some(other) = one(database, new.id)? {
        return Err(ControlError::StaleRollout {
            expected: 0,
            current: other.version,
        });
    }
    let place = revision::count(database, "rollout")?;
    database.execute(
        "INSERT INTO rollout (id, number, environment, candidate, control, state, data, version,
         started_ms, changed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)",
        &[
            new.id.into(),
            number(place),
            environment.into(),
            number(candidate),
            optional(new.control),
            clean(new.state, NAME_MAX).into(),
            clean(new.data, DATA_MAX).into(),
            now_ms.into(),
            now_ms.into(),
        ],
    )?;
    Ok(())
}

fn update<D: Database>(database: &mut D, save: &RolloutSave<'_>) -> Answer<()> {
    revision::fits("rollout", save.data.len(), DATA_MAX)?;
    let updated = database.execute(
        "UPDATE rollout SET state = $1, data = $2, version = version + 1, changed_ms = $3
         WHERE id = $4 AND version = $5",
        &[
            clean(save.state, NAME_MAX).into(),
            clean(save.data, DATA_MAX).into(),
            save.now_ms.into(),
            save.id.into(),
            number(save.expected),
        ],
    )?;
    if updated == 1 {
        return Ok(());
    }
    match one(database, save.id)? {
        Some(other) => Err(ControlError::StaleRollout {
            expected: save.expected,
            current: other.version,
        }),
        None => Err(ControlError::Missing(format!("rollout {}", save.id))),
    }
}

pub(super) fn save<D: Database>(database: &mut D, save: &RolloutSave<'_>) -> Answer<RolloutRow> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        if let Some(lease) = save.lease {
            fleet::must_lead(database, lease)?;
        }
        update(database, save)?;
        let saved = one(database, save.id)?;
        saved.ok_or_else(|| ControlError::Missing(format!("rollout {}", save.id)))
    })
}

pub(super) fn one<D: Database>(database: &mut D, id: &str) -> Answer<Option<RolloutRow>> {
    let sql = format!("SELECT {COLUMNS} FROM rollout WHERE id = $1");
    row(database, &sql, &[id.into()], RolloutRow::read)
}

pub(super) fn page<D: Database>(
    database: &mut D,
    environment: &str,
    from: Option<u64>,
    count: usize,
) -> Answer<Vec<RolloutRow>> {
    let (from, most) = (before(from), limit(count));
    let (of, values) = match environment {
        "" => (
            "number < $1 ORDER BY number DESC LIMIT $2",
            vec![from, most],
        ),
        name => (
            "environment = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
            vec![name.into(), from, most],
        ),
    };
    let sql = format!("SELECT {COLUMNS} FROM rollout WHERE {of}");
    rows(database, &sql, &values, RolloutRow::read)
}

/// Rows are written in one order, so that two reports never wait for each other in a circle. A
/// report that comes after a later one of the same instance changes nothing.
pub(super) fn report<D: Database>(database: &mut D, new: &[EvidenceRow]) -> Answer<()> {
    let mut sorted: Vec<&EvidenceRow> = new.iter().collect();
    sorted.order_by_key(|row| {
        (
            &row.rollout,
            row.step,
            &row.slice,
            &row.signal,
            &row.instance,
        )
    });
    transaction(database, |database| {
        for row in sorted {
            revision::fits("evidence", row.data.len(), EVIDENCE_MAX)?;
            database.execute(
                "INSERT INTO evidence (rollout, step, slice, signal, instance, control_total,
                 control_bad, candidate_total, candidate_bad, data, at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 ON CONFLICT (rollout, step, slice, signal, instance) DO UPDATE SET
                 control_total = excluded.control_total, control_bad = excluded.control_bad,
                 candidate_total = excluded.candidate_total,
                 candidate_bad = excluded.candidate_bad,
                 data = excluded.data, at_ms = excluded.at_ms
                 WHERE excluded.at_ms >= evidence.at_ms",
                &[
                    row.rollout.as_str().into(),
                    number(row.step),
                    row.slice.as_str().into(),
                    row.signal.as_str().into(),
                    row.instance.as_str().into(),
                    number(row.control_total),
                    number(row.control_bad),
                    number(row.candidate_total),
                    number(row.candidate_bad),
                    clean(&row.data, EVIDENCE_MAX).into(),
                    row.at_ms.into(),
                ],
            )?;
        }
        Ok(())
    })
}

pub(super) fn evidence<D: Database>(database: &mut D, rollout: &str) -> Answer<Vec<EvidenceRow>> {
    let read = |row: &mut Row| {
        Ok(EvidenceRow {
            rollout: row.text(),
            step: row.number(),
            slice: row.text(),
            signal: row.text(),
            instance: row.text(),
            control_total: row.number(),
            control_bad: row.number(),
            candidate_total: row.number(),
            candidate_bad: row.number(),
            data: row.text(),
            at_ms: row.time(),
        })
    };
    rows(
        database,
        "SELECT rollout, step, slice, signal, instance, control_total, control_bad,
         candidate_total, candidate_bad, data, at_ms FROM evidence WHERE rollout = $1
         ORDER BY step, slice, signal, instance LIMIT 100000",
        &[rollout.into()],
        read,
    )
}
