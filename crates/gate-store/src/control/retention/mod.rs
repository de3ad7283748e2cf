//! What of the past is kept, and taking the rest away.
//!
//! Nothing that is in use goes: revisions that an environment or a rollout points to, rollouts that
//! run, the version that a Terraform state is at. Of the rest, the newest stay, and so do the young
//! ones. The audit log goes from its front only and stays verifiable (`audit/prune.rs`). Work is done
//! in slices ([`Slice`]), each of a few small transactions, so that writers hardly wait; one that is
//! cut off has happened or not, and doing it again does no harm. [`environment`] and [`states`] are
//! the pieces; [`incidents`] are taken away by who leads them.

mod environment;
pub(super) mod incidents;
mod states;

pub use incidents::IncidentKeep;

use super::audit::prune::Taken;
use super::row::{Row, row};
use super::{Answer, AuditBreak, NewAudit, audit, fleet};
use crate::database::Database;

/// Of what there is of a kind, what stays: it must be old and not be among the newest to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How many of the newest stay whatever their age: of each environment or state.
    pub newest: u64,
    /// Until what age all stay, in milliseconds; 0 keeps everything for ever.
    pub age_ms: i64,
}

impl Keep {
    /// When what may go was made at the latest; `None` where nothing goes.
    pub(super) fn before_ms(&self, now_ms: i64) -> Option<i64> {
        (self.age_ms > 0).then(|| now_ms.saturating_sub(self.age_ms))
    }
}

/// What of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Revisions with their documents, and the history of environments.
    pub revisions: Keep,
    /// Lines of the audit log.
    pub audit: Keep,
    /// Versions of Terraform states.
    pub states: Keep,
    /// Rollouts that have ended, with their evidence.
    pub rollouts: Keep,
    /// For how long an instance that says nothing more is remembered, in milliseconds; 0: for ever.
    pub instances_ms: i64,
}

/// Where taking away goes on: with what is shared first, then environment by environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cursor {
    /// With what belongs to no environment.
    #[default]
    Shared,
    /// With the environment after this name.
    After(String),
}

/// One slice of taking away.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// What is kept.
    pub retention: &'a Retention,
    /// Where to go on: [`Pruned::next`] of the slice before it.
    pub at: &'a Cursor,
    /// Most things of a kind that go at once; ten times as many of short lines.
    pub most: usize,
    /// Whom the audit log names.
    pub actor: &'a str,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// What a slice took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Revisions.
    pub revisions: u64,
    /// Documents that no revision points to any more.
    pub documents: u64,
    /// Lines of environments' histories.
    pub history: u64,
    /// Lines of the audit log.
    pub audit: u64,
    /// Versions of Terraform states.
    pub states: u64,
    /// Rollouts.
    pub rollouts: u64,
    /// Instances.
    pub instances: u64,
    /// Where the audit log is broken, so that nothing of it goes.
    pub audit_broken: Option<AuditBreak>,
    /// Where to go on; `None` when there is nothing more to look at.
    pub next: Option<Cursor>,
}

impl Pruned {
    /// How many things went.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.revisions
            + self.documents
            + self.history
            + self.audit
            + self.states
            + self.rollouts
            + self.instances
    }
}

/// Takes one slice away. A piece of which something went is looked at again: there may be more.
pub(super) fn prune<D: Database>(database: &mut D, slice: &Slice<'_>) -> Answer<Pruned> {
    let mut pruned = Pruned::default();
    let then = match slice.at {
        Cursor::Shared => {
            shared(database, slice, &mut pruned)?;
            Cursor::After(String::new())
        }
        Cursor::After(after) => {
            let Some((name, generation)) = following(database, after)? else {
                return Ok(pruned);
            };
            environment::prune(database, slice, &name, generation, &mut pruned)?;
            Cursor::After(name)
        }
    };
    pruned.next = Some(match pruned.total() {
        0 => then,
        _ => slice.at.clone(),
    });
    Ok(pruned)
}

impl Slice<'_> {
    /// Most short lines at once.
    fn lines(&self) -> usize {
        self.most.saturating_mul(10).min(super::PAGE_MAX)
    }

    /// What the audit log says of a piece of work.
    fn line<'l>(&'l self, action: &'l str, subject: &'l str, detail: &'l str) -> NewAudit<'l> {
        NewAudit {
            actor: self.actor,
            role: "system",
            action,
            subject,
            outcome: "done",
            detail,
        }
    }
}

/// What belongs to no environment.
fn shared<D: Database>(database: &mut D, slice: &Slice<'_>, pruned: &mut Pruned) -> Answer<()> {
    let Slice {
        retention, now_ms, ..
    } = *slice;
    let keep = &retention.audit;
    match audit::prune::prune(database, keep, slice.lines(), slice.actor, now_ms)? {
        Taken::Lines(lines) => pruned.audit = lines,
        Taken::Broken(broken) => pruned.audit_broken = Some(broken),
    }
    pruned.states = states::prune(database, slice)?;
    if retention.instances_ms > 0 {
        let before_ms = now_ms.saturating_sub(retention.instances_ms);
        pruned.instances = fleet::forget(database, before_ms)?;
    }
    Ok(())
}

/// The next environment by name, also one that was removed, and its generation.
fn following<D: Database>(database: &mut D, after: &str) -> Answer<Option<(String, u64)>> {
    let sql = "SELECT name, generation FROM environment WHERE name > $1 ORDER BY name LIMIT 1";
    row(database, sql, &[after.into()], |row: &mut Row| {
        Ok((row.text(), row.number()))
    })
}
