//! Walking the audit log: every line as it was written, in its place and chained to the one before.

use super::prune::{self, Anchor};
use super::{AuditBreak, AuditCheck, AuditRow, COLUMNS, head};
use crate::control::Answer;
use crate::control::row::{limit, number, rows};
use crate::database::Database;

/// Lines that the walk reads at once.
const WALK: usize = 500;
/// How often the walk begins anew because lines were taken away in front of it.
const AGAIN_MAX: usize = 10;

/// Walks all lines that are there. Others may write meanwhile, and retention may take lines away: a
/// walk that finds itself overtaken by it begins anew.
pub(in crate::control) fn verify<D: Database>(database: &mut D) -> Answer<AuditCheck> {
    let mut tries = 0;
    loop {
        let anchor = prune::anchor(database)?;
        let check = walk(database, &anchor)?;
        tries += 1;
        if check.broken.is_none() || tries == AGAIN_MAX || prune::anchor(database)? == anchor {
            return Ok(check);
        }
    }
}

/// There are at least as many lines as the head counted before, and at most as many as it counts
/// afterwards.
fn walk<D: Database>(database: &mut D, anchor: &Anchor) -> Answer<AuditCheck> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
    let (before, _) = head(database)?;
    let mut check = AuditCheck::behind(anchor);
    let mut is_confirmed = anchor.through == 0;
    loop {
        let from = [number(check.newest()), limit(WALK)];
        let found = rows(database, &sql, &from, AuditRow::read)?;
        let is_last = found.len() < WALK;
        for line in found {
            if let Some(problem) = check.problem(&line) {
                return Ok(check.broken_at(1, problem));
            }
            is_confirmed |= anchor.is_confirmed_by(&line);
            check.follow(line);
        }
        if is_last {
            break;
        }
    }
    let (after, hash) = head(database)?;
    let newest = check.newest();
    Ok(match () {
        () if newest < before => check.broken_at(1, "it is not there"),
        () if newest > after => check.broken_at(0, "it is beyond the last that was written"),
        () if newest == after && check.head != hash => {
            check.broken_at(0, "it is not the one that was written last")
        }
        () if !is_confirmed => AuditCheck {
            broken: Some(AuditBreak {
                sequence: anchor.through,
                problem: "it is not there, and no line says that retention took it away",
            }),
            ..check
        },
        () => check,
    })
}

impl AuditCheck {
    /// A walk that begins behind an anchor.
    pub(super) fn behind(anchor: &Anchor) -> Self {
        Self {
            pruned: anchor.through,
            lines: 0,
            head: anchor.hash.clone(),
            broken: None,
        }
    }

    /// The number of the newest line that is known to be right.
    pub(super) fn newest(&self) -> u64 {
        self.pruned + self.lines
    }

    /// Goes on behind a line that is right.
    pub(super) fn follow(&mut self, line: AuditRow) {
        self.lines += 1;
        self.head = line.hash;
    }

    /// What is wrong with the line that follows those looked at.
    pub(super) fn problem(&self, line: &AuditRow) -> Option<&'static str> {
        match () {
            () if line.sequence != self.newest() + 1 => Some("it is not there"),
            () if line.previous_hash != self.head => Some("it does not follow the line before it"),
            () if line.hash != line.chained() => Some("it is not as it was written"),
            () => None,
        }
    }

    pub(super) fn broken_at(mut self, after: u64, problem: &'static str) -> Self {
        self.broken = Some(AuditBreak {
            sequence: self.newest() + after,
            problem,
        });
        self
    }
}
