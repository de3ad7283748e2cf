//! Who called which version of an API, by day.
//!
//! A process writes what it has counted on a day so far, not what came since: writing the same twice
//! does no harm, and rows of processes are added up when they are read.

use crate::StoreError;
use crate::database::{Database, Value, transaction};
use std::sync::Arc;

/// Rows that are read at once.
const PAGE: i64 = 10_000;
/// Most rows that are given altogether.
const ROWS_MAX: usize = 200_000;
/// Most rows of [`used`].
const USED_MAX: i64 = 10_000;

/// Calls of one consumer to one version through one route on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerRow {
    /// Days since 1970, in UTC.
    pub day: i64,
    /// The API.
    pub api: Arc<str>,
    /// The version that was chosen; empty where none was.
    pub version: Arc<str>,
    /// Who called; empty for nobody known.
    pub consumer: Arc<str>,
    /// The route.
    pub route: Arc<str>,
    /// Calls.
    pub calls: i64,
    /// Those of them that failed by the service's or the gateway's fault.
    pub failed: i64,
    /// Those of them that were refused because the version is retired, or for a while.
    pub refused: i64,
    /// The latest one, in UNIX milliseconds.
    pub last_ms: i64,
}

/// How often a consumer called an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedApi {
    /// The API.
    pub api: Arc<str>,
    /// Who called.
    pub consumer: Arc<str>,
    /// Calls.
    pub calls: i64,
    /// Those of them that failed by the service's or the gateway's fault.
    pub failed: i64,
    /// The latest one, in UNIX milliseconds.
    pub last_ms: i64,
}

/// Writes what a process has counted.
pub(super) fn write<D: Database>(
    database: &mut D,
    process: &str,
    rows: &[CallerRow],
) -> Result<(), StoreError> {
    transaction(database, |database| {
        for row in rows {
            let text = |text: &str| -> Value { text.into() };
            database.execute(
                "INSERT INTO api_caller
                 (day, api, version, consumer, route, instance, calls, failed, refused, last_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 ON CONFLICT (day, api, version, consumer, route, instance) DO UPDATE SET
                 calls = excluded.calls, failed = excluded.failed, refused = excluded.refused,
                 last_ms = excluded.last_ms",
                &[
                    row.day.into(),
                    text(&row.api),
                    text(&row.version),
                    text(&row.consumer),
                    text(&row.route),
                    text(process),
                    row.calls.into(),
                    row.failed.into(),
                    row.refused.into(),
                    row.last_ms.into(),
                ],
            )?;
        }
        Ok(())
    })
}

/// What all processes have counted since a day, days put together: one row for each API, version,
/// consumer and route, in this order, whose `day` is the first of them.
pub(super) fn read<D: Database>(
    database: &mut D,
    api: &str,
    since_day: i64,
) -> Result<Vec<CallerRow>, StoreError> {
    let mut rows: Vec<CallerRow> = Vec::new();
    loop {
        let page = page(database, api, since_day, rows.last())?;
        let is_last = page.len() < PAGE as usize;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
        if rows.len() >= ROWS_MAX {
            let message = format!(
                "there are more than {ROWS_MAX} rows of callers; ask for one API or a later day"
            );
            return Err(StoreError::Refused(message));
        }
    }
}

/// The rows that follow on one, or the first: no API has an empty name.
fn page<D: Database>(
    database: &mut D,
    api: &str,
    since_day: i64,
    last: Option<&CallerRow>,
) -> Result<Vec<CallerRow>, StoreError> {
    let name: Value = api.into();
    let after = |part: fn(&CallerRow) -> &Arc<str>| -> Value {
        last.map_or("", |last| &**part(last)).into()
    };
    let rows = database.query(
        "SELECT MIN(day), api, version, consumer, route,
                CAST(SUM(calls) AS BIGINT), CAST(SUM(failed) AS BIGINT),
                CAST(SUM(refused) AS BIGINT), MAX(last_ms)
         FROM api_caller WHERE day >= $1 AND ($2 = '' OR api = $3)
           AND (api, version, consumer, route) > ($4, $5, $6, $7)
         GROUP BY api, version, consumer, route
         ORDER BY api, version, consumer, route LIMIT $8",
        &[
            since_day.into(),
            name.clone(),
            name,
            after(|last| &last.api),
            after(|last| &last.version),
            after(|last| &last.consumer),
            after(|last| &last.route),
            PAGE.into(),
        ],
    )?;
    let row = |row: &Vec<Value>| CallerRow {
        day: row[0].int(),
        api: row[1].text().into(),
        version: row[2].text().into(),
        consumer: row[3].text().into(),
        route: row[4].text().into(),
        calls: row[5].int(),
        failed: row[6].int(),
        refused: row[7].int(),
        last_ms: row[8].int(),
    };
    Ok(rows.iter().map(row).collect())
}

/// How often consumers have called APIs since a day.
pub(super) fn used<D: Database>(
    database: &mut D,
    since_day: i64,
) -> Result<Vec<UsedApi>, StoreError> {
    let rows = database.query(
        "SELECT api, consumer, CAST(SUM(calls) AS BIGINT), CAST(SUM(failed) AS BIGINT), MAX(last_ms)
         FROM api_caller WHERE day >= $1 AND consumer <> ''
         GROUP BY api, consumer ORDER BY 3 DESC, api, consumer LIMIT $2",
        &[since_day.into(), USED_MAX.into()],
    )?;
    let row = |row: &Vec<Value>| UsedApi {
        api: row[0].text().into(),
        consumer: row[1].text().into(),
        calls: row[2].int(),
        failed: row[3].int(),
        last_ms: row[4].int(),
    };
    Ok(rows.iter().map(row).collect())
}
