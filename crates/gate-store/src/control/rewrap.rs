//! Changing the key-encryption key: data keys are wrapped anew, contents stay as they are.

use super::row::{Row, limit, number, rows};
use super::{Answer, WrappedKey, audit};
use crate::database::{Database, transaction};

/// What holds a data key: a secret or a version of a state.
struct Holder {
    name: String,
    version: u64,
    key: WrappedKey,
}

fn read(row: &mut Row) -> Result<Holder, crate::StoreError> {
    Ok(Holder {
        name: row.text(),
        version: row.number(),
        key: WrappedKey {
            id: row.text(),
            wrapped: row.bytes(),
        },
    })
}

pub(super) fn rewrap<D: Database>(
    database: &mut D,
    to: &str,
    count: usize,
    wrap: &mut dyn FnMut(&WrappedKey) -> Answer<WrappedKey>,
) -> Answer<u64> {
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let values = [to.into(), limit(count)];
        let secrets = "SELECT name, version, key_id, wrapped FROM secret WHERE key_id <> $1
                       ORDER BY name LIMIT $2";
        let states = "SELECT state, version, key_id, wrapped FROM state_version
                      WHERE key_id <> $1 ORDER BY state, version LIMIT $2";
        let mut done = 0;
        for holder in rows(database, secrets, &values, read)? {
            let key = wrap(&holder.key)?;
            done += database.execute(
                "UPDATE secret SET key_id = $1, wrapped = $2 WHERE name = $3",
                &[
                    key.id.into(),
                    key.wrapped.as_slice().into(),
                    holder.name.into(),
                ],
            )?;
        }
        for holder in rows(database, states, &values, read)? {
            let key = wrap(&holder.key)?;
            done += database.execute(
                "UPDATE state_version SET key_id = $1, wrapped = $2
                 WHERE state = $3 AND version = $4",
                &[
                    key.id.into(),
                    key.wrapped.as_slice().into(),
                    holder.name.into(),
                    number(holder.version),
                ],
            )?;
        }
        Ok(done)
    })
}
