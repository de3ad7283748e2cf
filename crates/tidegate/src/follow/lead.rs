//! What one of all gateways does for an environment: taking back what nobody confirmed in time, and
//! moving rollouts on.
//!
//! The one is whoever holds a lease in the store. A leader that dies loses it after [`LEASE_MS`],
//! and what it left undone is in the store, so that the next one does it.

use super::Followed;
use super::rotate::rotate;
use crate::rollouts::Leader;
use gate_kit::random;
use gate_store::control::{
    Cause, Change, ControlError, ControlStore, Edit, EnvironmentRow, Expected, Lease, NewAudit,
    NewRevision, Set, Target,
};
use std::sync::Arc;

/// How long a lease lasts without being renewed, in milliseconds.
const LEASE_MS: i64 = 3_000;
/// How often it is renewed, in milliseconds.
const RENEW_MS: u64 = 1_000;
/// Resources and owners of nothing.
const NOTHING: &str = "{}";

/// A gateway's part in leading.
pub(super) struct Lead {
    followed: Arc<Followed>,
    lease: Option<Lease>,
    renew_ms: u64,
    rollouts: Leader,
}

impl Lead {
    pub(super) fn new(followed: &Arc<Followed>) -> Self {
        Self {
            followed: followed.clone(),
            lease: None,
            renew_ms: 0,
            rollouts: Leader::default(),
        }
    }

    /// Does what is due, if this gateway leads. `refused` is why this gateway cannot serve the
    /// candidate of a rollout, if it cannot.
    ///
    /// # Errors
    /// Only where the store failed; who came too late has nothing to do.
    pub(super) fn tick(
        &mut self,
        store: &mut dyn ControlStore,
        row: &EnvironmentRow,
        refused: Option<&str>,
        now: u64,
    ) -> Result<(), ControlError> {
        let now_ms = i64::try_from(now).unwrap_or(i64::MAX);
        let instance = self.followed.instance.clone();
        if now >= self.renew_ms {
            let name = format!("environments/{}", row.name);
            self.lease = Some(store.take_lease(&name, &instance, now_ms, LEASE_MS)?);
            self.renew_ms = now + RENEW_MS;
        }
        let lease = self.lease.as_ref();
        let Some(lease) = lease.filter(|lease| lease.is_held_by(&instance, now_ms)) else {
            return Ok(());
        };
        match row.confirm_until_ms {
            Some(until_ms) if until_ms <= now_ms => {
                late(revert(store, row, lease, now_ms)).map(|_| ())
            }
            _ if self.followed.take_rotated() => late(rotate(store, row, lease, now_ms)),
            _ => self.rollouts.tick(store, row, lease, refused, now_ms),
        }
    }
}

/// Takes the revision in force back to the last confirmed one, or to nothing where none was.
///
/// A repetition does no harm: it finds the environment changed.
fn revert(
    store: &mut dyn ControlStore,
    row: &EnvironmentRow,
    lease: &Lease,
    now_ms: i64,
) -> Result<(), ControlError> {
    let missing = |what: String| ControlError::Missing(what);
    let (document, managers, files) = match row.stable {
        None => (NOTHING.to_owned(), NOTHING.to_owned(), None),
        Some(number) => {
            let stable = store.revision(number)?;
            let stable = stable.ok_or_else(|| missing(format!("revision {number}")))?;
            let mut text = |digest: &str| -> Result<String, ControlError> {
                let text = store.document(digest)?;
                text.ok_or_else(|| missing(format!("document {digest}")))
            };
            let files = stable.files.as_deref().map(&mut text).transpose()?;
            (text(&stable.digest)?, text(&stable.managers)?, files)
        }
    };
    let actor = format!("instance/{}", lease.holder);
    let from = row.revision.map_or_else(String::new, |n| n.to_string());
    let to = row
        .stable
        .map_or_else(|| "nothing".into(), |n| format!("revision {n}"));
    let message = format!("revision {from} was not confirmed in time; back to {to}");
    let subject = format!("environments/{}", row.name);
    let id = format!("{:016x}{:016x}", random::bits(), random::bits());
    store.change(&Change {
        id: &id,
        environment: &row.name,
        expected: Expected::Generation(row.generation),
        revision: Some(NewRevision {
            document: &document,
            managers: &managers,
            files: files.as_deref(),
            parent: row.revision,
            author: &actor,
            cause: Cause::Revert,
            message: &message,
            source_commit: None,
            plan: None,
            checks: NOTHING,
        }),
        edit: Edit {
            revision: Set::To(Target::New),
            stable: Set::To(Target::New),
            confirm_until_ms: Set::Clear,
            ..Edit::default()
        },
        rollout: None,
        lease: Some(lease),
        despite_lock: true,
        audit: NewAudit {
            actor: &actor,
            role: "system",
            action: "revert",
            subject: &subject,
            outcome: "done",
            detail: &message,
        },
        now_ms,
    })?;
    tracing::warn!(environment = row.name, "{message}");
    Ok(())
}

/// Who came too late, or leads no more, has nothing left to do.
fn late(result: Result<(), ControlError>) -> Result<(), ControlError> {
    match result {
        Err(ControlError::Stale { .. } | ControlError::NotLeader(_)) => Ok(()),
        other => other,
    }
}
