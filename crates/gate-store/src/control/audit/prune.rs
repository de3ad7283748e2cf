//! Taking old lines away from the front of the audit log, so that the rest stays verifiable.
//!
//! What goes leaves an anchor in `head`: the number and the hash of the last line that went. The
//! chain is checked from there. A line of the log itself says the same in the same transaction, so
//! that lines which somebody else took away cannot be passed off as this. A piece of the chain that
//! is broken is never taken away: it is evidence.

use super::{AuditBreak, AuditCheck, AuditRow, COLUMNS, NewAudit, append, head, wait_for_writers};
use crate::control::Answer;
use crate::control::retention::Keep;
use crate::control::row::{limit, number, row, rows};
use crate::database::{Database, transaction};
use serde::{Deserialize, Serialize};

/// Fewer lines than this do not go: each time that some go a line is written, and those must not
/// push out what they are about.
const PIECE_MIN: usize = 100;
/// What the line is called that confirms an anchor.
const ACTION: &str = "retention.audit";

/// The last line that was taken away: its number, 0 when none was, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    pub(super) through: u64,
    pub(super) hash: String,
}

impl Anchor {
    /// Whether this line says that retention took away what is before the anchor.
    pub(super) fn is_confirmed_by(&self, line: &AuditRow) -> bool {
        line.action == ACTION
            && serde_json::from_str::<Self>(&line.detail).is_ok_and(|said| said == *self)
    }
}

pub(super) fn anchor<D: Database>(database: &mut D) -> Answer<Anchor> {
    let sql = "SELECT number, hash FROM head WHERE name = 'audit_pruned'";
    let found = row(database, sql, &[], |row| {
        Ok(Anchor {
            through: row.number(),
            hash: row.text(),
        })
    })?;
    Ok(found.unwrap_or_else(|| Anchor {
        through: 0,
        hash: "0".repeat(64),
    }))
}

/// What became of the front of the log.
pub(in crate::control) enum Taken {
    /// So many lines went.
    Lines(u64),
    /// None did, because the chain is broken there.
    Broken(AuditBreak),
}

/// Takes at most `most` lines away that are older than what is kept, and not less than that or
/// [`PIECE_MIN`].
pub(in crate::control) fn prune<D: Database>(
    database: &mut D,
    keep: &Keep,
    most: usize,
    actor: &str,
    now_ms: i64,
) -> Answer<Taken> {
    let Some(before_ms) = keep.before_ms(now_ms) else {
        return Ok(Taken::Lines(0));
    };
    let anchor = anchor(database)?;
    if !has_old(database, &anchor, keep, before_ms)? {
        // Looked at without waiting for writers, because there is seldom anything to do.
        return Ok(Taken::Lines(0));
    }
    transaction(database, |database| {
        wait_for_writers(database)?;
        let anchor = self::anchor(database)?;
        let last = last_to_go(database, keep)?;
        let mut check = AuditCheck::behind(&anchor);
        for line in front(database, &anchor, most)? {
            if line.at_ms >= before_ms || line.sequence > last {
                break;
            }
            if let Some(problem) = check.problem(&line) {
                let broken = check.broken_at(1, problem).broken;
                return Ok(broken.map_or(Taken::Lines(0), Taken::Broken));
            }
            check.follow(line);
        }
        let taken = check.lines;
        if taken < most.min(PIECE_MIN) as u64 {
            return Ok(Taken::Lines(0));
        }
        let anchor = Anchor {
            through: check.newest(),
            hash: check.head,
        };
        take(database, &anchor, actor, now_ms)?;
        Ok(Taken::Lines(taken))
    })
}

fn has_old<D: Database>(
    database: &mut D,
    anchor: &Anchor,
    keep: &Keep,
    before_ms: i64,
) -> Answer<bool> {
    let first = front(database, anchor, 1)?.pop();
    let last = last_to_go(database, keep)?;
    Ok(first.is_some_and(|line| line.at_ms < before_ms && line.sequence <= last))
}

/// The first lines that are there.
fn front<D: Database>(database: &mut D, anchor: &Anchor, most: usize) -> Answer<Vec<AuditRow>> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
    let values = [number(anchor.through), limit(most)];
    rows(database, &sql, &values, AuditRow::read)
}

/// The number of the newest line that need not be kept for being new.
fn last_to_go<D: Database>(database: &mut D, keep: &Keep) -> Answer<u64> {
    let (newest, _) = head(database)?;
    Ok(newest.saturating_sub(keep.newest))
}

fn take<D: Database>(database: &mut D, anchor: &Anchor, actor: &str, now_ms: i64) -> Answer<()> {
    let values = [number(anchor.through), anchor.hash.as_str().into()];
    database.execute("DELETE FROM audit WHERE sequence <= $1", &values[..1])?;
    database.execute(
        "INSERT INTO head (name, number, hash) VALUES ('audit_pruned', $1, $2)
         ON CONFLICT (name) DO UPDATE SET number = excluded.number, hash = excluded.hash",
        &values,
    )?;
    let detail = serde_json::to_string(anchor).unwrap_or_default();
    let line = NewAudit {
        actor,
        role: "system",
        action: ACTION,
        subject: "audit",
        outcome: "done",
        detail: &detail,
    };
    append(database, &line, now_ms)?;
    Ok(())
}
