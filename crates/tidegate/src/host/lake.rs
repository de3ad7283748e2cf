//! Questions to the lake, as the admin API asks them.
//!
//! One at a time: a query may take a core and some hundred megabytes, and the gateway has other work.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use gate_api::problem::{Code, Problem};
use gate_api::types::{QueryAnswer, QueryInput};
use gate_kit::clock::Clock;
use gate_lake::catalog::Catalog;
use gate_lake::scan::{Filter, Limits, QueryError, Test};
use gate_lake::schema::Dataset;
use gate_lake::sql::{self, SqlLimits, Table, Value};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// How long a query may take.
const TIME: Duration = Duration::from_secs(15);
/// Most rows of an answer.
const ROWS_MAX: usize = 10_000;
/// Most bytes of an answer.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks the lake; rows of these teams alone, where the caller sees no others.
pub(super) fn ask(
    catalog: &Catalog,
    asking: &Mutex<()>,
    input: &QueryInput,
    teams: Option<&[String]>,
) -> Result<QueryAnswer, Problem> {
    let _turn = match asking.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(held)) => held.into_inner(),
        Err(TryLockError::WouldBlock) => {
            let message = "another query is being answered; ask again in a moment";
            return Err(Problem::new(Code::RateLimited, message));
        }
    };
    let begun = Instant::now();
    let rows_max = input.rows_max.map_or(ROWS_MAX, |rows| rows as usize);
    let limits = SqlLimits {
        scan: Limits {
            time: TIME,
            ..Limits::default()
        },
        answer_rows: rows_max.min(ROWS_MAX),
        answer_bytes: BYTES_MAX,
    };
    let now_us = i64::try_from(Clock::System.unix().as_micros()).unwrap_or(i64::MAX);
    let mut tables = sql::tables(catalog, &input.sql).map_err(problem)?;
    if let Some(teams) = teams {
        tables = tables
            .into_iter()
            .map(|table| of_teams(table, teams))
            .collect();
    }
    let answer = sql::query(&input.sql, tables, &limits, now_us).map_err(problem)?;
    let rows = answer.rows.iter();
    Ok(QueryAnswer {
        rows: rows
            .map(|row| row.iter().map(Value::json).collect())
            .collect(),
        columns: answer.columns,
        truncated: answer.truncated,
        rows_read: answer.rows_read,
        duration_ms: begun.elapsed().as_secs_f64() * 1e3,
    })
}

/// The rows of a table that are of these teams.
fn of_teams(table: Table, teams: &[String]) -> Table {
    let columns = table.dataset.columns();
    let column = columns.iter().position(|column| column.name == "team");
    let names = teams.iter().map(|team| team.as_bytes().to_vec());
    let filter = match column {
        Some(column) => Filter {
            column,
            test: Test::Texts(names.collect()),
        },
        None => Filter {
            column: 0,
            test: Test::Never,
        },
    };
    let name = Dataset::name(table.dataset);
    table.part(name, None, vec![filter])
}

fn problem(error: QueryError) -> Problem {
    let code = match &error {
        QueryError::Invalid(_) | QueryError::Limit { .. } => Code::Invalid,
        QueryError::File { .. } | QueryError::Cancelled => Code::Internal,
    };
    Problem::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_lake::columns::Batch;
    use gate_lake::file::{Effort, encode};
    use gate_lake::objects::{Directory, Objects};
    use gate_lake::schema::Row;
    use std::sync::Arc;

    #[test]
    fn callers_see_their_teams_and_one_asks_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Directory::open(folder.path()).unwrap();
        let mut batch = Batch::new(Dataset::Records);
        for (index, team) in [Some("shop"), Some("search"), None].into_iter().enumerate() {
            batch.push(&Row {
                time_us: 1_790_000_000_000_000 + index as i64,
                exchange_id: [index as u8 + 1; 16],
                node: "here",
                method: "GET",
                team,
                ..Row::default()
            });
        }
        let span = batch.span().unwrap();
        let path =
            gate_lake::catalog::fresh_path(Dataset::Records, span, 3, Duration::from_secs(1));
        objects
            .put_new(&path, &encode(batch, Effort::Quick).unwrap())
            .unwrap();
        let catalog = Catalog::new(Arc::new(objects));
        let asking = Mutex::new(());
        let ask = |sql: &str, teams: Option<&[String]>| {
            let input = QueryInput {
                sql: sql.into(),
                rows_max: None,
            };
            ask(&catalog, &asking, &input, teams)
        };
        let count = "SELECT count(*) FROM records";
        assert_eq!(ask(count, None).unwrap().rows[0][0], 3);
        let own = ["shop".to_owned()];
        assert_eq!(ask(count, Some(&own)).unwrap().rows[0][0], 1);
        let others = "SELECT team FROM records WHERE team != 'shop' OR team IS NULL";
        assert!(ask(others, Some(&own)).unwrap().rows.is_empty());
        assert_eq!(ask("DROP TABLE records", None).unwrap_err().status, 422);
        let held = asking.lock().unwrap();
        assert_eq!(ask(count, None).unwrap_err().status, 429);
        drop(held);
        assert!(ask(count, None).is_ok());
    }
}
