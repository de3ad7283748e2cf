//! What all gateways of an environment counted by the hour, for what is usual on a weekday.

use super::row::{Row, limit, number, row, rows};
use super::{Answer, ControlError, PAGE_MAX};
use crate::database::{Database, transaction};

/// Most bytes of an hour.
const DATA_MAX: usize = 512 << 10;
/// How many hours are kept: 32 days.
pub const TRAFFIC_HOURS_KEPT: u64 = 768;

/// What was counted in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficHour {
    /// The environment; empty where a file rules.
    pub environment: String,
    /// Hours since 1970 until it began.
    pub hour: u64,
    /// Grows with each write; where one is written, that which was read (0: there was none).
    pub version: u64,
    /// The counts; what they mean is not known here. At most 512 KiB.
    pub data: String,
}

fn read(row: &mut Row) -> TrafficHour {
    TrafficHour {
        environment: row.text(),
        hour: row.number(),
        version: row.number(),
        data: row.text(),
    }
}

pub(super) fn one<D: Database>(
    database: &mut D,
    environment: &str,
    hour: u64,
) -> Answer<Option<TrafficHour>> {
    let sql = "SELECT environment, hour, version, data FROM traffic_hour
               WHERE environment = $1 AND hour = $2";
    let values = [environment.into(), number(hour)];
    row(database, sql, &values, |row: &mut Row| Ok(read(row)))
}

pub(super) fn since<D: Database>(
    database: &mut D,
    environment: &str,
    hour: u64,
) -> Answer<Vec<TrafficHour>> {
    let sql = "SELECT environment, hour, version, data FROM traffic_hour
               WHERE environment = $1 AND hour >= $2 ORDER BY hour LIMIT $3";
    let values = [environment.into(), number(hour), limit(PAGE_MAX)];
    rows(database, sql, &values, |row: &mut Row| Ok(read(row)))
}

/// Writes an hour if it is still of the version that was read, and forgets what is too old beside it.
pub(super) fn save<D: Database>(database: &mut D, hour: &TrafficHour) -> Answer<bool> {
    if hour.data.len() > DATA_MAX {
        return Err(ControlError::TooLarge {
            what: "what was counted in an hour",
            bytes: hour.data.len(),
            limit: DATA_MAX,
        });
    }
    transaction(database, |database| {
        let environment = hour.environment.as_str();
        let key = [environment.into(), number(hour.hour)];
        let [environment, at] = key;
        let changed = match hour.version {
            0 => database.execute(
                "INSERT INTO traffic_hour (environment, hour, version, data)
                 VALUES ($1, $2, 1, $3) ON CONFLICT DO NOTHING",
                &[environment.clone(), at, hour.data.as_str().into()],
            )?,
            version => database.execute(
                "UPDATE traffic_hour SET version = version + 1, data = $1
                 WHERE environment = $2 AND hour = $3 AND version = $4",
                &[
                    hour.data.as_str().into(),
                    environment.clone(),
                    at,
                    number(version),
                ],
            )?,
        };
        let past = hour.hour.saturating_sub(TRAFFIC_HOURS_KEPT);
        database.execute(
            "DELETE FROM traffic_hour WHERE environment = $1 AND hour < $2",
            &[environment, number(past)],
        )?;
        Ok(changed == 1)
    })
}
