//! The audit log: who did what to what, and with which outcome, as a chain of hashes.
//!
//! Lines are written here, walked in [`walk`], and taken away from the front in [`prune`], which
//! leaves an anchor: the number and the hash of the last line that went.

pub(super) mod prune;
pub(super) mod walk;

use super::row::{Row, before, clean, hexadecimal, limit, number, row, rows};
use super::{Answer, PAGE_MAX};
use crate::StoreError;
use crate::database::Database;
use crate::journal::own;
use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;

/// A line to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewAudit<'a> {
    /// Who: a key's name, a person's subject, `instance/ID` for what a gateway does by itself.
    pub actor: &'a str,
    /// In which role: `viewer`, `operator`, `admin`, `system`.
    pub role: &'a str,
    /// What: `apply`, `rollback`, `lock`, `state.write`.
    pub action: &'a str,
    /// To what: `environments/prod`, `states/network`.
    pub subject: &'a str,
    /// How it ended: `done`, `refused`, `failed`.
    pub outcome: &'a str,
    /// More, as JSON or words; at most 64 KiB are kept. Never a secret.
    pub detail: &'a str,
}

/// A line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1, without gaps; the first ones may have been taken away.
    pub sequence: u64,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How it ended.
    pub outcome: String,
    /// More.
    pub detail: String,
    /// The hash of the line before it; 64 zeros for the first.
    pub previous_hash: String,
    /// SHA-256, in hexadecimal, of `previous_hash` and every field above, each preceded by its
    /// length.
    pub hash: String,
}

/// What a walk over the whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// Lines before those that were looked at, which retention has taken away: the chain is checked
    /// from the hash of the last of them, which a line of the log confirms.
    pub pruned: u64,
    /// Lines that were looked at.
    pub lines: u64,
    /// The hash of the newest line: written down elsewhere, it proves that no line before it
    /// changed, even to somebody who could rewrite the whole table.
    pub head: String,
    /// Where the chain breaks first, if it does.
    pub broken: Option<AuditBreak>,
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// The number of the line that is not as it was written, or not there.
    pub sequence: u64,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The row of `head` that counts lines and that every writer of the control plane waits for.
const WAIT: &str = "UPDATE head SET number = number WHERE name = 'audit'";
const COLUMNS: &str =
    "sequence, at_ms, actor, role, action, subject, outcome, detail, previous_hash, hash";
/// Most bytes of a word, and of the detail.
const WORD_MAX: usize = 1 << 10;
const DETAIL_MAX: usize = 64 << 10;

/// Waits until nobody else writes; until this transaction ends, nobody else does. Taken first by
/// every writer, so that none waits for another in a circle.
pub(super) fn wait_for_writers<D: Database>(database: &mut D) -> Answer<()> {
    match database.execute(WAIT, &[])? {
        1 => Ok(()),
        _ => Err(StoreError::Broken("the audit log has no head".into()).into()),
    }
}

/// Writes a line, within the transaction of what it is about.
pub(super) fn append<D: Database>(
    database: &mut D,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<u64> {
    wait_for_writers(database)?;
    let (last, previous_hash) = head(database)?;
    let mut row = AuditRow {
        sequence: last + 1,
        at_ms: now_ms,
        actor: clean(line.actor, WORD_MAX),
        role: clean(line.role, WORD_MAX),
        action: clean(line.action, WORD_MAX),
        subject: clean(line.subject, WORD_MAX),
        outcome: clean(line.outcome, WORD_MAX),
        detail: clean(line.detail, DETAIL_MAX),
        previous_hash,
        hash: String::new(),
    };
    row.hash = row.chained();
    let sequence = row.sequence;
    let event = own::event(own::AUDIT, format_args!("{sequence}"), "", &row);
    database.execute(
        "UPDATE head SET number = $1, hash = $2 WHERE name = 'audit'",
        &[number(sequence), row.hash.as_str().into()],
    )?;
    database.execute(
        "INSERT INTO audit (sequence, at_ms, actor, role, action, subject, outcome, detail,
         previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            number(sequence),
            now_ms.into(),
            row.actor.into(),
            row.role.into(),
            row.action.into(),
            row.subject.into(),
            row.outcome.into(),
            row.detail.into(),
            row.previous_hash.into(),
            row.hash.into(),
        ],
    )?;
    own::append(database, now_ms, &[event])?;
    Ok(sequence)
}

/// The number and the hash of the newest line.
fn head<D: Database>(database: &mut D) -> Answer<(u64, String)> {
    let sql = "SELECT number, hash FROM head WHERE name = 'audit'";
    let found = row(database, sql, &[], |row| Ok((row.number(), row.text())))?;
    Ok(found.ok_or_else(|| StoreError::Broken("the audit log has no head".into()))?)
}

impl AuditRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.number(),
            at_ms: row.time(),
            actor: row.text(),
            role: row.text(),
            action: row.text(),
            subject: row.text(),
            outcome: row.text(),
            detail: row.text(),
            previous_hash: row.text(),
            hash: row.text(),
        })
    }

    /// The hash that belongs to this line.
    fn chained(&self) -> String {
        let mut hash = Context::new(&SHA256);
        let (sequence, at) = (self.sequence.to_string(), self.at_ms.to_string());
        let fields = [
            &self.previous_hash,
            &sequence,
            &at,
            &self.actor,
            &self.role,
            &self.action,
            &self.subject,
            &self.outcome,
            &self.detail,
        ];
        for field in fields {
            hash.update(&(field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hexadecimal(hash.finish().as_ref())
    }
}

pub(super) fn lines<D: Database>(
    database: &mut D,
    from: Option<u64>,
    count: usize,
) -> Answer<Vec<AuditRow>> {
    let sql =
        format!("SELECT {COLUMNS} FROM audit WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2");
    rows(
        database,
        &sql,
        &[before(from), limit(count)],
        AuditRow::read,
    )
}

pub(super) fn of<D: Database>(
    database: &mut D,
    action: &str,
    after: u64,
) -> Answer<(u64, Vec<AuditRow>)> {
    // First, so that a line that is written meanwhile is not passed over.
    let (newest, _) = head(database)?;
    if newest <= after {
        return Ok((newest, Vec::new()));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE sequence > $1 AND sequence <= $2 AND action = $3
         ORDER BY sequence LIMIT $4"
    );
    let values = [
        number(after),
        number(newest),
        action.into(),
        limit(PAGE_MAX),
    ];
    let found = rows(database, &sql, &values, AuditRow::read)?;
    Ok(match found.last().filter(|_| found.len() == PAGE_MAX) {
        Some(last) => (last.sequence, found),
        None => (newest, found),
    })
}
