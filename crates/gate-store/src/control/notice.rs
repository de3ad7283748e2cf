//! What the gateway that tells people knows, and what it has yet to take in.
//!
//! Any gateway adds orders; one of them, under a lease, takes them in. That it did so and what it
//! knows since are one transaction, so that an order that was acknowledged is never lost and never
//! counts twice. What orders and states mean is not known here.

use super::row::{Row, limit, number, row, rows};
use super::{Answer, ControlError, Lease, fleet};
use crate::database::{Database, transaction};

/// Most bytes of an order.
pub const ORDER_MAX: usize = 64 << 10;
/// Most orders that wait in an environment; nobody takes them in then.
const ORDERS_MAX: i64 = 100_000;
/// Most bytes of a state.
const STATE_MAX: usize = 64 << 20;

/// A state to save, together with the orders that it has taken in.
#[derive(Debug, Clone, Copy)]
pub struct NoticesSave<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The version that the caller has seen; 0 for none.
    pub expected: u64,
    /// The state.
    pub data: &'a str,
    /// Numbers of the orders that are in it now.
    pub taken: &'a [u64],
    /// The lease that the caller acts under.
    pub lease: &'a Lease,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

pub(super) fn put<D: Database>(
    database: &mut D,
    environment: &str,
    orders: &[String],
    now_ms: i64,
) -> Answer<()> {
    if let Some(large) = orders.iter().find(|order| order.len() > ORDER_MAX) {
        return Err(ControlError::TooLarge {
            what: "order",
            bytes: large.len(),
            limit: ORDER_MAX,
        });
    }
    transaction(database, |database| {
        let sql = "SELECT COUNT(*) FROM notice_order WHERE environment = $1";
        let waiting = row(database, sql, &[environment.into()], |row: &mut Row| {
            Ok(row.time())
        })?;
        if waiting.unwrap_or(0) >= ORDERS_MAX {
            return Err(ControlError::TooLarge {
                what: "list of orders that wait",
                bytes: usize::try_from(ORDERS_MAX).unwrap_or(usize::MAX),
                limit: usize::try_from(ORDERS_MAX).unwrap_or(usize::MAX),
            });
        }
        for order in orders {
            database.execute(
                "INSERT INTO notice_order (environment, data, at_ms) VALUES ($1, $2, $3)",
                &[
                    environment.into(),
                    order.replace('\0', "\u{fffd}").as_str().into(),
                    now_ms.into(),
                ],
            )?;
        }
        Ok(())
    })
}

pub(super) fn orders<D: Database>(
    database: &mut D,
    environment: &str,
    most: usize,
) -> Answer<Vec<(u64, String)>> {
    rows(
        database,
        "SELECT number, data FROM notice_order WHERE environment = $1 ORDER BY number LIMIT $2",
        &[environment.into(), limit(most)],
        |row: &mut Row| Ok((row.number(), row.text())),
    )
}

pub(super) fn state<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Option<(u64, String)>> {
    row(
        database,
        "SELECT version, data FROM notice_state WHERE environment = $1",
        &[environment.into()],
        |row: &mut Row| Ok((row.number(), row.text())),
    )
}

pub(super) fn save<D: Database>(database: &mut D, save: &NoticesSave<'_>) -> Answer<u64> {
    if save.data.len() > STATE_MAX {
        return Err(ControlError::TooLarge {
            what: "state of notifications",
            bytes: save.data.len(),
            limit: STATE_MAX,
        });
    }
    transaction(database, |database| {
        fleet::must_lead(database, save.lease)?;
        let values = [
            number(save.expected + 1),
            save.data.into(),
            save.now_ms.into(),
            save.environment.into(),
        ];
        let written = match save.expected {
            0 => database.execute(
                "INSERT INTO notice_state (version, data, changed_ms, environment)
                 VALUES ($1, $2, $3, $4) ON CONFLICT (environment) DO NOTHING",
                &values,
            )?,
            expected => {
                let mut values = values.to_vec();
                values.push(number(expected));
                database.execute(
                    "UPDATE notice_state SET version = $1, data = $2, changed_ms = $3
                     WHERE environment = $4 AND version = $5",
                    &values,
                )?
            }
        };
        if written == 0 {
            let current = state(database, save.environment)?.map_or(0, |(version, _)| version);
            return Err(ControlError::Stale {
                expected: save.expected,
                current,
            });
        }
        for taken in save.taken {
            let sql = "DELETE FROM notice_order WHERE number = $1";
            database.execute(sql, &[number(*taken)])?;
        }
        Ok(save.expected + 1)
    })
}
