//! Reading states, their versions and their locks.

use super::{StateLock, StateRow, StateVersionRow};
use crate::StoreError;
use crate::control::row::{Row, before, limit, number, row, rows};
use crate::control::{Answer, Sealed, WrappedKey};
use crate::database::Database;

/// A version's row, without the content.
const VERSION: &str = "v.version, v.lineage, v.serial, v.digest, v.size, v.author, v.created_ms, \
                       v.key_id";
/// A state with its newest version, if it has one. A state that has neither version nor lock is
/// none: its row only counts versions.
const STATE: &str = "s.name, s.lock_id, s.lock_holder, s.lock_info, s.lock_since_ms, s.version";
const JOINED: &str = "FROM state AS s LEFT JOIN state_version AS v
                      ON v.state = s.name AND v.version = s.version
                      WHERE (s.version IS NOT NULL OR s.lock_id IS NOT NULL)";

impl StateVersionRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: row.number(),
            lineage: row.text(),
            serial: row.number(),
            digest: row.text(),
            size: row.number(),
            author: row.text(),
            created_ms: row.time(),
            key_id: row.text(),
        })
    }
}

fn state(row: &mut Row) -> Result<StateRow, StoreError> {
    let name = row.text();
    let id = row.optional_text();
    let (holder, info, since_ms) = (row.text(), row.text(), row.time());
    let lock = id.map(|id| StateLock {
        id,
        holder,
        info,
        since_ms,
    });
    let version = match row.optional_number() {
        Some(_) => Some(StateVersionRow::read(row)?),
        None => None,
    };
    Ok(StateRow {
        name,
        version,
        lock,
    })
}

pub(in crate::control) fn page<D: Database>(
    database: &mut D,
    after: &str,
    count: usize,
) -> Answer<Vec<StateRow>> {
    let sql =
        format!("SELECT {STATE}, {VERSION} {JOINED} AND s.name > $1 ORDER BY s.name LIMIT $2");
    rows(database, &sql, &[after.into(), limit(count)], state)
}

pub(in crate::control) fn one<D: Database>(
    database: &mut D,
    name: &str,
) -> Answer<Option<StateRow>> {
    let sql = format!("SELECT {STATE}, {VERSION} {JOINED} AND s.name = $1");
    row(database, &sql, &[name.into()], state)
}

pub(in crate::control) fn versions<D: Database>(
    database: &mut D,
    name: &str,
    from: Option<u64>,
    count: usize,
) -> Answer<Vec<StateVersionRow>> {
    let sql = format!(
        "SELECT {VERSION} FROM state_version AS v WHERE v.state = $1 AND v.version < $2
         ORDER BY v.version DESC LIMIT $3"
    );
    let values = [name.into(), before(from), limit(count)];
    rows(database, &sql, &values, StateVersionRow::read)
}

pub(in crate::control) fn content<D: Database>(
    database: &mut D,
    name: &str,
    version: u64,
) -> Answer<Option<(StateVersionRow, Sealed)>> {
    let sql = format!(
        "SELECT {VERSION}, v.wrapped, v.ciphertext FROM state_version AS v
         WHERE v.state = $1 AND v.version = $2"
    );
    row(database, &sql, &[name.into(), number(version)], |row| {
        let version = StateVersionRow::read(row)?;
        let key = WrappedKey {
            id: version.key_id.clone(),
            wrapped: row.bytes(),
        };
        let ciphertext = row.bytes();
        Ok((version, Sealed { key, ciphertext }))
    })
}
