//! What hours cost, by whom and for what: summed up once when an hour is over, and kept longer than the
//! ledger's entries need be. What is summed up by is the caller's business.

use crate::StoreError;
use crate::database::{Database, Value, transaction};

/// How many hours are kept: 32 days.
const HOURS_KEPT: i64 = 768;
/// Rows of one statement.
const ROWS: usize = 64;

/// What an hour cost under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendRow {
    /// The hour (hours since 1970).
    pub hour: i64,
    /// What the name is of, such as `consumer`.
    pub column: String,
    /// The name.
    pub name: String,
    /// Picodollars.
    pub cost: i64,
}

/// Hours from one on, in order.
pub(super) fn since<D: Database>(database: &mut D, hour: i64) -> Result<Vec<SpendRow>, StoreError> {
    let rows = database.query(
        "SELECT hour, of_column, name, cost FROM spend_hour WHERE hour >= $1
         ORDER BY hour, of_column, name",
        &[hour.into()],
    )?;
    let row = |row: &Vec<Value>| SpendRow {
        hour: row[0].int(),
        column: row[1].text().to_owned(),
        name: row[2].text().to_owned(),
        cost: row[3].int(),
    };
    Ok(rows.iter().map(row).collect())
}

/// Keeps an hour, and forgets what is too old beside it. Whoever keeps it first is right: an hour that
/// is there stays as it is.
pub(super) fn keep<D: Database>(
    database: &mut D,
    hour: i64,
    rows: &[SpendRow],
) -> Result<(), StoreError> {
    transaction(database, |database| {
        for rows in rows.chunks(ROWS) {
            let mut values: Vec<Value> = Vec::with_capacity(rows.len() * 4);
            for row in rows {
                values.push(hour.into());
                values.push(row.column.as_str().into());
                values.push(row.name.as_str().into());
                values.push(row.cost.into());
            }
            let table = "spend_hour (hour, of_column, name, cost)";
            let sql = super::rows::insert(table, 4, rows.len(), "");
            database.execute(&sql, &values)?;
        }
        database.execute(
            "DELETE FROM spend_hour WHERE hour < $1",
            &[hour.saturating_sub(HOURS_KEPT).into()],
        )?;
        Ok(())
    })
}

/// When the oldest entry was made, in UNIX milliseconds.
pub(super) fn first<D: Database>(database: &mut D) -> Result<Option<i64>, StoreError> {
    let rows = database.query("SELECT MIN(at_ms) FROM entry", &[])?;
    Ok(rows.first().and_then(|row| row[0].optional_int()))
}
