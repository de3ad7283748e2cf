//! Environments: pointers to revisions, changed by comparing and setting their generation. They are
//! read in [`read`] and changed in [`write`].

pub(super) mod read;
pub(super) mod write;

use super::{Lease, NewAudit, NewRevision, NewRollout, RevisionRow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An environment as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentRow {
    /// Its name.
    pub name: String,
    /// Grows by one with each change of anything below.
    pub generation: u64,
    /// The revision in force; `None` before the first.
    pub revision: Option<u64>,
    /// The last revision that was confirmed.
    pub stable: Option<u64>,
    /// Until when the revision in force must be confirmed, or it is taken back; UNIX milliseconds.
    pub confirm_until_ms: Option<i64>,
    /// What is being rolled out beside it.
    pub candidate: Option<Candidate>,
    /// What `${vars.NAME}` stands for.
    pub variables: BTreeMap<String, String>,
    /// Who alone may change it.
    pub lock: Option<Lock>,
    /// Where its revisions go next.
    pub promotes_to: Option<String>,
    /// When it was last changed, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A revision that serves a share of exchanges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The revision.
    pub revision: u64,
    /// The rollout's id.
    pub rollout: String,
}

/// Who alone may change an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who; compared with the actor of a change.
    pub holder: String,
    /// Why.
    pub reason: String,
    /// Since when, in UNIX milliseconds.
    pub since_ms: i64,
}

/// What the caller believes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No such environment: it is created.
    Absent,
    /// The environment at this generation.
    Generation(u64),
}

/// A revision by its number, or the one that the same change writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The one of [`Change::revision`].
    New,
    /// One that is there.
    Number(u64),
}

/// What becomes of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Set<T> {
    /// It stays.
    #[default]
    Keep,
    /// It has no value any more.
    Clear,
    /// It gets this value.
    To(T),
}

/// What becomes of an environment; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The revision in force.
    pub revision: Set<Target>,
    /// The last one confirmed.
    pub stable: Set<Target>,
    /// Until when the revision in force must be confirmed, in UNIX milliseconds.
    pub confirm_until_ms: Set<i64>,
    /// What is being rolled out: the revision and the rollout's id.
    pub candidate: Set<(Target, String)>,
    /// All variables; at most 256 KiB as JSON.
    pub variables: Set<BTreeMap<String, String>>,
    /// Who alone may change it.
    pub lock: Set<Lock>,
    /// Where its revisions go next.
    pub promotes_to: Set<String>,
}

/// A change of one environment.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// The change's own id, random; handed over twice, it has one effect and the same answer. Empty:
    /// it is never taken for another.
    pub id: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// What it is based on.
    pub expected: Expected,
    /// A revision to write.
    pub revision: Option<NewRevision<'a>>,
    /// What becomes of the environment.
    pub edit: Edit,
    /// A rollout to start or to save with it.
    pub rollout: Option<NewRollout<'a>>,
    /// The lease that the caller acts under, when only its holder may.
    pub lease: Option<&'a Lease>,
    /// Whether it may change an environment that another has locked: unlocking by force, or a
    /// rollback by a rollout's verdict.
    pub despite_lock: bool,
    /// Its line in the audit log; its actor is whom a lock lets through.
    pub audit: NewAudit<'a>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// What a change has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The environment as it is now; for a change that was handed over before, as it is by now.
    pub environment: EnvironmentRow,
    /// The revision that was written.
    pub revision: Option<RevisionRow>,
    /// Whether it had been done before, by the same id.
    pub repeated: bool,
}

/// What happened to an environment at one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// The generation that it led to.
    pub generation: u64,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What, as in the audit log.
    pub action: String,
    /// The revision in force since.
    pub revision: Option<u64>,
    /// The last one confirmed then.
    pub stable: Option<u64>,
    /// The candidate since.
    pub candidate: Option<u64>,
    /// Whether the environment was removed.
    pub removed: bool,
}
