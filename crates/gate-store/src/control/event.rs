//! What the gateway that leads remembers about events that were published.

use super::row::{Row, number, row};
use super::{Answer, ControlError, Lease, fleet};
use crate::database::{Database, transaction};

/// Most bytes of what is remembered.
pub const EVENT_STATE_MAX: usize = 4 << 20;

/// What is to be remembered.
#[derive(Debug, Clone, Copy)]
pub struct EventStateSave<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The version that the caller has seen; 0 for none.
    pub expected: u64,
    /// All of it; at most [`EVENT_STATE_MAX`] bytes.
    pub data: &'a str,
    /// The lease that the caller leads under.
    pub lease: &'a Lease,
}

pub(super) fn state<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Option<(u64, String)>> {
    let sql = "SELECT version, data FROM event_state WHERE environment = $1";
    row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok((row.number(), row.text()))
    })
}

pub(super) fn save<D: Database>(database: &mut D, save: &EventStateSave<'_>) -> Answer<u64> {
    if save.data.len() > EVENT_STATE_MAX {
        return Err(ControlError::TooLarge {
            what: "state of events",
            bytes: save.data.len(),
            limit: EVENT_STATE_MAX,
        });
    }
    transaction(database, |database| {
        fleet::must_lead(database, save.lease)?;
        let (data, environment) = (save.data.into(), save.environment.into());
        let written = match save.expected {
            0 => database.execute(
                "INSERT INTO event_state (data, environment, version) VALUES ($1, $2, 1)
                 ON CONFLICT (environment) DO NOTHING",
                &[data, environment],
            )?,
            expected => database.execute(
                "UPDATE event_state SET version = version + 1, data = $1
                 WHERE environment = $2 AND version = $3",
                &[data, environment, number(expected)],
            )?,
        };
        if written == 0 {
            let current = state(database, save.environment)?.map_or(0, |(version, _)| version);
            return Err(ControlError::Stale {
                expected: save.expected,
                current,
            });
        }
        Ok(save.expected + 1)
    })
}
