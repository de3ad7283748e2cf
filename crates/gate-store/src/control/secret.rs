//! Secrets that are kept here, sealed. Their values are known only to those who have the key.

use super::row::{Row, limit, number, row, rows};
use super::{Answer, ControlError, NewAudit, Sealed, WrappedKey, audit, revision};
use crate::StoreError;
use crate::database::{Database, transaction};
use serde::Serialize;

/// Largest sealed value, in bytes.
pub const SECRET_MAX: usize = 64 << 10;

/// A secret's next version.
#[derive(Debug, Clone, Copy)]
pub struct NewSecret<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version that the caller has seen; 0 when it is new; `None` writes over whatever is there.
    pub expected: Option<u64>,
    /// Its value, sealed for `secret/NAME`.
    pub sealed: &'a Sealed,
    /// The line in the audit log.
    pub audit: NewAudit<'a>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// A secret as it is kept, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// Grows by one with each write.
    pub version: u64,
    /// Which key-encryption key wraps its data key.
    pub key_id: String,
    /// When it was first written, in UNIX milliseconds.
    pub created_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

impl SecretRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.text(),
            version: row.number(),
            key_id: row.text(),
            created_ms: row.time(),
            changed_ms: row.time(),
        })
    }
}

const COLUMNS: &str = "name, version, key_id, created_ms, changed_ms";

pub(super) fn put<D: Database>(database: &mut D, new: &NewSecret<'_>) -> Answer<SecretRow> {
    revision::fits("secret", new.sealed.ciphertext.len(), SECRET_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let current = version(database, new.name)?;
        if let Some(expected) = new.expected.filter(|expected| *expected != current) {
            return Err(ControlError::Stale { expected, current });
        }
        let key = &new.sealed.key;
        database.execute(
            "INSERT INTO secret (name, version, key_id, wrapped, ciphertext, created_ms,
             changed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version,
             key_id = excluded.key_id, wrapped = excluded.wrapped,
             ciphertext = excluded.ciphertext, changed_ms = excluded.changed_ms",
            &[
                new.name.into(),
                number(current + 1),
                key.id.as_str().into(),
                key.wrapped.as_slice().into(),
                new.sealed.ciphertext.as_slice().into(),
                new.now_ms.into(),
                new.now_ms.into(),
            ],
        )?;
        audit::append(database, &new.audit, new.now_ms)?;
        let sql = format!("SELECT {COLUMNS} FROM secret WHERE name = $1");
        let written = row(database, &sql, &[new.name.into()], SecretRow::read)?;
        written.ok_or_else(|| ControlError::Missing(format!("secret {}", new.name)))
    })
}

fn version<D: Database>(database: &mut D, name: &str) -> Answer<u64> {
    let sql = "SELECT version FROM secret WHERE name = $1";
    Ok(row(database, sql, &[name.into()], |row| Ok(row.number()))?.unwrap_or(0))
}

pub(super) fn one<D: Database>(
    database: &mut D,
    name: &str,
) -> Answer<Option<(SecretRow, Sealed)>> {
    let sql = format!("SELECT {COLUMNS}, wrapped, ciphertext FROM secret WHERE name = $1");
    row(database, &sql, &[name.into()], |row| {
        let secret = SecretRow::read(row)?;
        let key = WrappedKey {
            id: secret.key_id.clone(),
            wrapped: row.bytes(),
        };
        let ciphertext = row.bytes();
        Ok((secret, Sealed { key, ciphertext }))
    })
}

pub(super) fn page<D: Database>(
    database: &mut D,
    after: &str,
    count: usize,
) -> Answer<Vec<SecretRow>> {
    let sql = format!("SELECT {COLUMNS} FROM secret WHERE name > $1 ORDER BY name LIMIT $2");
    rows(
        database,
        &sql,
        &[after.into(), limit(count)],
        SecretRow::read,
    )
}

pub(super) fn remove<D: Database>(
    database: &mut D,
    name: &str,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<bool> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let removed = database.execute("DELETE FROM secret WHERE name = $1", &[name.into()])?;
        if removed > 0 {
            audit::append(database, line, now_ms)?;
        }
        Ok(removed > 0)
    })
}
