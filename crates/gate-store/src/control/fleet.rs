//! Gateways that follow environments: what they make of revisions, and which of them leads.

use super::row::{Row, clean, number, row, rows};
use super::{Answer, ControlError};
use crate::StoreError;
use crate::database::Database;
use serde::Serialize;

/// Most bytes of a refusal's reason.
const REASON_MAX: usize = 64 << 10;

/// What an instance makes of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AckRow {
    /// The instance's id.
    pub instance: String,
    /// The environment it follows.
    pub environment: String,
    /// The revision it last looked at.
    pub revision: u64,
    /// The digest it found there.
    pub digest: String,
    /// Whether it serves it; if not, it goes on with what it had.
    pub applied: bool,
    /// Why it refused; empty when it did not.
    pub reason: String,
    /// The generation of the environment that it has followed up to.
    pub generation: u64,
    /// When it last said so, in UNIX milliseconds.
    pub at_ms: i64,
}

/// Who leads, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// The instance that holds it.
    pub holder: String,
    /// Grows each time that the holder changes; writes under an older one are refused.
    pub token: u64,
    /// When it ends unless it is renewed, in UNIX milliseconds.
    pub expires_ms: i64,
}

impl Lease {
    /// Whether this holder may act at this time.
    #[must_use]
    pub fn is_held_by(&self, holder: &str, now_ms: i64) -> bool {
        self.holder == holder && self.expires_ms > now_ms
    }
}

pub(crate) fn acknowledge<D: Database>(database: &mut D, ack: &AckRow) -> Answer<()> {
    database.execute(
        "INSERT INTO ack (environment, instance, revision, digest, applied, reason, generation,
         at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (environment, instance) DO UPDATE SET revision = excluded.revision,
         digest = excluded.digest, applied = excluded.applied, reason = excluded.reason,
         generation = excluded.generation, at_ms = excluded.at_ms",
        &[
            ack.environment.as_str().into(),
            ack.instance.as_str().into(),
            number(ack.revision),
            ack.digest.as_str().into(),
            i64::from(ack.applied).into(),
            clean(&ack.reason, REASON_MAX).into(),
            number(ack.generation),
            ack.at_ms.into(),
        ],
    )?;
    Ok(())
}

pub(crate) fn acks<D: Database>(
    database: &mut D,
    environment: &str,
    since_ms: i64,
) -> Answer<Vec<AckRow>> {
    let read = |row: &mut Row| {
        Ok(AckRow {
            environment: row.text(),
            instance: row.text(),
            revision: row.number(),
            digest: row.text(),
            applied: row.flag(),
            reason: row.text(),
            generation: row.number(),
            at_ms: row.time(),
        })
    };
    rows(
        database,
        "SELECT environment, instance, revision, digest, applied, reason, generation, at_ms
         FROM ack WHERE environment = $1 AND at_ms >= $2 ORDER BY instance LIMIT 10000",
        &[environment.into(), since_ms.into()],
        read,
    )
}

pub(crate) fn forget<D: Database>(database: &mut D, before_ms: i64) -> Answer<u64> {
    Ok(database.execute("DELETE FROM ack WHERE at_ms < $1", &[before_ms.into()])?)
}

pub(crate) fn take<D: Database>(
    database: &mut D,
    name: &str,
    holder: &str,
    now_ms: i64,
    ttl_ms: i64,
) -> Answer<Lease> {
    let expires = now_ms.saturating_add(ttl_ms);
    let taken = database.execute(
        "UPDATE leader SET expires_ms = $1,
         token = token + CASE WHEN holder = $2 THEN 0 ELSE 1 END, holder = $2
         WHERE name = $3 AND (holder = $2 OR expires_ms <= $4)",
        &[expires.into(), holder.into(), name.into(), now_ms.into()],
    )?;
    if taken == 0 {
        database.execute(
            "INSERT INTO leader (name, holder, token, expires_ms) VALUES ($1, $2, 1, $3)
             ON CONFLICT (name) DO NOTHING",
            &[name.into(), holder.into(), expires.into()],
        )?;
    }
    let read = |row: &mut Row| {
        Ok(Lease {
            name: row.text(),
            holder: row.text(),
            token: row.number(),
            expires_ms: row.time(),
        })
    };
    let sql = "SELECT name, holder, token, expires_ms FROM leader WHERE name = $1";
    let lease = row(database, sql, &[name.into()], read)?;
    Ok(lease.ok_or_else(|| StoreError::Broken(format!("the lease `{name}` is gone")))?)
}

/// The lease stays as a row, so that its token never begins anew.
pub(crate) fn give<D: Database>(database: &mut D, lease: &Lease) -> Answer<()> {
    database.execute(
        "UPDATE leader SET expires_ms = 0 WHERE name = $1 AND holder = $2 AND token = $3",
        &[
            lease.name.as_str().into(),
            lease.holder.as_str().into(),
            number(lease.token),
        ],
    )?;
    Ok(())
}

/// Fails unless a lease is still its holder's, and keeps it so until this transaction ends.
pub(crate) fn must_lead<D: Database>(database: &mut D, lease: &Lease) -> Answer<()> {
    let held = database.execute(
        "UPDATE leader SET token = token WHERE name = $1 AND holder = $2 AND token = $3",
        &[
            lease.name.as_str().into(),
            lease.holder.as_str().into(),
            number(lease.token),
        ],
    )?;
    match held {
        1 => Ok(()),
        _ => Err(ControlError::NotLeader(lease.name.clone())),
    }
}
