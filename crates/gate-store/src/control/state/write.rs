//! Writing states: Terraform's own checks, made in the transaction of the write.
//!
//! Terraform compares lineage and serial before it writes, which two writers can both pass; here the
//! row of the state is what they wait for.

use super::{NewState, STATE_MAX, StateLock, StateRow, StateVersionRow, read};
use crate::control::row::{clean, number, row};
use crate::control::{Answer, ControlError, NewAudit, audit, revision};
use crate::database::{Database, Value, transaction};

/// Most bytes of what Terraform says about a lock, and of a name.
const INFO_MAX: usize = 64 << 10;
const NAME_MAX: usize = 1 << 10;

pub(in crate::control) fn write<D: Database>(
    database: &mut D,
    new: &NewState<'_>,
) -> Answer<StateVersionRow> {
    revision::fits("state", new.sealed.ciphertext.len(), STATE_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let kept = read::one(database, new.name)?;
        must_hold(kept.as_ref(), new.lock_id)?;
        if let Some(kept) = kept.and_then(|state| state.version)
            && let Some(same) = follows(kept, new)?
        {
            return Ok(same);
        }
        let row = StateVersionRow {
            version: next_version(database, new.name)?,
            lineage: clean(new.lineage, NAME_MAX),
            serial: new.serial,
            digest: new.digest.to_owned(),
            size: new.size,
            author: clean(new.audit.actor, NAME_MAX),
            created_ms: new.now_ms,
            key_id: new.sealed.key.id.clone(),
        };
        insert(database, new, &row)?;
        audit::append(database, &new.audit, new.now_ms)?;
        Ok(row)
    })
}

/// Fails unless the writer holds the lock, or nobody does and the writer names none.
fn must_hold(state: Option<&StateRow>, lock_id: Option<&str>) -> Answer<()> {
    match (state.and_then(|state| state.lock.as_ref()), lock_id) {
        (Some(lock), Some(id)) if lock.id == id => Ok(()),
        (Some(lock), _) => Err(ControlError::StateLocked(lock.clone())),
        (None, Some(id)) => Err(ControlError::StateNotLocked(id.to_owned())),
        (None, None) => Ok(()),
    }
}

/// Fails unless a state follows the one that is kept; returns that one when it is the same.
fn follows(kept: StateVersionRow, new: &NewState<'_>) -> Answer<Option<StateVersionRow>> {
    if kept.lineage == new.lineage && kept.serial == new.serial && kept.digest == new.digest {
        return Ok(Some(kept));
    }
    match () {
        () if new.force => Ok(None),
        () if kept.lineage != new.lineage => Err(ControlError::Lineage {
            kept: kept.lineage,
            given: new.lineage.to_owned(),
        }),
        () if kept.serial >= new.serial => Err(ControlError::Serial {
            kept: kept.serial,
            given: new.serial,
        }),
        () => Ok(None),
    }
}

/// Counts a state's versions, from the first on.
fn next_version<D: Database>(database: &mut D, name: &str) -> Answer<u64> {
    let sql = "INSERT INTO state (name, version, versions) VALUES ($1, 1, 1)
               ON CONFLICT (name) DO UPDATE SET versions = state.versions + 1,
               version = state.versions + 1 RETURNING versions";
    let version = row(database, sql, &[name.into()], |row| Ok(row.number()))?;
    version.ok_or_else(|| ControlError::Missing(format!("state {name}")))
}

fn insert<D: Database>(
    database: &mut D,
    new: &NewState<'_>,
    version: &StateVersionRow,
) -> Answer<()> {
    database.execute(
        "INSERT INTO state_version (state, version, lineage, serial, digest, size, author,
         created_ms, key_id, wrapped, ciphertext)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            new.name.into(),
            number(version.version),
            version.lineage.as_str().into(),
            number(version.serial),
            version.digest.as_str().into(),
            number(version.size),
            version.author.as_str().into(),
            version.created_ms.into(),
            version.key_id.as_str().into(),
            new.sealed.key.wrapped.as_slice().into(),
            new.sealed.ciphertext.as_slice().into(),
        ],
    )?;
    Ok(())
}

pub(in crate::control) fn remove<D: Database>(
    database: &mut D,
    name: &str,
    lock_id: Option<&str>,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<bool> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let state = read::one(database, name)?;
        must_hold(state.as_ref(), lock_id)?;
        let sql = "UPDATE state SET version = NULL WHERE name = $1 AND version IS NOT NULL";
        let removed = database.execute(sql, &[name.into()])?;
        if removed > 0 {
            audit::append(database, line, now_ms)?;
        }
        Ok(removed > 0)
    })
}

pub(in crate::control) fn lock<D: Database>(
    database: &mut D,
    name: &str,
    lock: &StateLock,
    line: &NewAudit<'_>,
) -> Answer<()> {
    revision::fits("lock", lock.info.len(), INFO_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let held = read::one(database, name)?.and_then(|state| state.lock);
        if let Some(held) = held {
            return match held.id == lock.id {
                true => Ok(()),
                false => Err(ControlError::StateLocked(held)),
            };
        }
        database.execute(
            "INSERT INTO state (name, versions, lock_id, lock_holder, lock_info, lock_since_ms)
             VALUES ($1, 0, $2, $3, $4, $5)
             ON CONFLICT (name) DO UPDATE SET lock_id = excluded.lock_id,
             lock_holder = excluded.lock_holder, lock_info = excluded.lock_info,
             lock_since_ms = excluded.lock_since_ms",
            &[
                name.into(),
                clean(&lock.id, NAME_MAX).into(),
                clean(&lock.holder, NAME_MAX).into(),
                clean(&lock.info, INFO_MAX).into(),
                lock.since_ms.into(),
            ],
        )?;
        audit::append(database, line, lock.since_ms)?;
        Ok(())
    })
}

pub(in crate::control) fn unlock<D: Database>(
    database: &mut D,
    name: &str,
    lock_id: Option<&str>,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<Option<StateLock>> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let Some(held) = read::one(database, name)?.and_then(|state| state.lock) else {
            return Ok(None);
        };
        if lock_id.is_some_and(|id| id != held.id) {
            return Err(ControlError::StateLocked(held));
        }
        database.execute(
            "UPDATE state SET lock_id = $1, lock_holder = NULL, lock_info = NULL,
             lock_since_ms = NULL WHERE name = $2",
            &[Value::Null, name.into()],
        )?;
        audit::append(database, line, now_ms)?;
        Ok(Some(held))
    })
}
