//! SQL over the lake: SQLite, whose tables are scans ([`table`]). Queries of a shape that the native scan
//! answers ([`shape`]) are answered by it, with SQLite around it, so that the answer is the same.
//!
//! A query has a connection of its own, in memory, that lives as long as the query. It can only read: an
//! authoriser refuses everything but `SELECT` before it is prepared. It ends when its time is over; texts,
//! statements, expressions and answers have limits; what sorts and groups take beside SQLite's page cache
//! goes to temporary files.

mod answer;
mod condition;
mod expression;
mod functions;
mod lake;
mod parameters;
mod rewrite;
mod shape;
mod table;
mod token;

pub use answer::{Answer, Format, Value};
pub use functions::iso;
pub use lake::{tables, tables_of};
pub use parameters::{Parameter, parameters, with_values};

use crate::scan::{
    Aggregate, Allowance, Cell, Filter, Group, Grouped, KeyValue, Limits, QueryError, Scanner,
    Source, Test, gather,
};
use crate::schema::{Column, Dataset};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A table that queries may name.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name: letters, digits and `_`, small.
    pub name: String,
    /// What its rows are.
    pub dataset: Dataset,
    /// The files.
    pub sources: Vec<Source>,
    /// Conditions that all its rows fulfil: a row policy.
    pub filters: Vec<Filter>,
    /// The columns that it has.
    columns: Vec<(usize, Column)>,
}

impl Table {
    /// A data set whole, under its own name.
    #[must_use]
    pub fn whole(dataset: Dataset, sources: Vec<Source>) -> Self {
        let columns = dataset.columns().iter().copied().enumerate();
        Self {
            name: dataset.name().into(),
            dataset,
            sources,
            filters: Vec::new(),
            columns: columns.collect(),
        }
    }

    /// A part of a data set under a name of its own.
    #[must_use]
    pub fn part(mut self, name: &str, columns: Option<&[String]>, filters: Vec<Filter>) -> Self {
        self.name = name.replace('-', "_").to_ascii_lowercase();
        self.filters.extend(filters);
        if let Some(columns) = columns {
            self.columns
                .retain(|(_, column)| columns.iter().any(|name| name == column.name));
        }
        self
    }

    /// Its columns with their places in the data set.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (usize, Column)> + '_ {
        self.columns.iter().copied()
    }

    fn find(&self, name: &str) -> Option<(usize, Column)> {
        self.columns().find(|(_, column)| column.name == name)
    }
}

/// What an SQL query may take beside what its scans may.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// Of the scans; time counts for the whole query.
    pub scan: Limits,
    /// Most rows of an answer; what is beyond is left out, and the answer says so.
    pub answer_rows: usize,
    /// Most bytes of an answer; beyond, the query fails.
    pub answer_bytes: usize,
    /// Ends the query from another thread once it is set: whoever asked has gone.
    pub cancelled: Arc<AtomicBool>,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            scan: Limits::default(),
            answer_rows: 10_000,
            answer_bytes: 64 * 1024 * 1024,
            cancelled: Arc::default(),
        }
    }
}

/// Longest statement, in bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;
/// Longest text or blob within a query, in bytes: bodies are at most 4 MiB.
const TEXT_BYTES_MAX: i32 = 16 * 1024 * 1024;
/// Kibibytes that SQLite's page cache may take, sorts included, before they go to files.
const CACHE_KIB: i64 = 32 * 1024;
/// Instructions of SQLite between two looks at the clock.
const LOOK_EVERY: i32 = 20_000;

/// What the tables of one query share.
struct Shared {
    allowance: Allowance,
    rows_read: AtomicU64,
    failure: Mutex<Option<QueryError>>,
}

impl Shared {
    fn new(limits: &SqlLimits) -> Arc<Self> {
        Arc::new(Self {
            allowance: Allowance::new(limits.scan.clone()).ended_by(limits.cancelled.clone()),
            rows_read: AtomicU64::new(0),
            failure: Mutex::default(),
        })
    }

    /// Keeps the first failure: SQLite's own word for it is less clear.
    fn failed(&self, error: QueryError) {
        let mut failure = self.failure.lock().unwrap_or_else(|held| held.into_inner());
        failure.get_or_insert(error);
    }

    fn count(&self, read: u64) -> Result<(), QueryError> {
        let before = self.rows_read.fetch_add(read, Ordering::Relaxed);
        self.allowance.rows(before + read)
    }
}

/// Answers a query.
///
/// # Errors
/// When the query is wrong, changes something, or takes more than it may; when a file cannot be read.
pub fn query(
    sql: &str,
    tables: Vec<Table>,
    limits: &SqlLimits,
    now_us: i64,
) -> Result<Answer, QueryError> {
    run(sql, tables, limits, now_us, true)
}

/// Whether a query could be asked of tables: what it names is there, and it only reads. No file is
/// looked at.
///
/// # Errors
/// What is wrong with it.
pub fn check(sql: &str, tables: Vec<Table>) -> Result<(), QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(too_long());
    }
    let shared = Shared::new(&SqlLimits::default());
    let mut connection = open(tables, &shared, 0)?;
    let failed = |error: rusqlite::Error| wrong(&error, &shared);
    connection.authorizer(Some(authorise)).map_err(failed)?;
    connection.prepare(sql).map(drop).map_err(failed)
}

fn too_long() -> QueryError {
    QueryError::Limit {
        what: "bytes of SQL",
        limit: SQL_BYTES_MAX as u64,
    }
}

/// The same without the native scan's group-bys: SQLite makes every row. For comparing both.
///
/// # Errors
/// As [`query`].
pub fn query_by_rows(
    sql: &str,
    tables: Vec<Table>,
    limits: &SqlLimits,
    now_us: i64,
) -> Result<Answer, QueryError> {
    run(sql, tables, limits, now_us, false)
}

fn run(
    sql: &str,
    mut tables: Vec<Table>,
    limits: &SqlLimits,
    now_us: i64,
    native: bool,
) -> Result<Answer, QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(too_long());
    }
    let shared = Shared::new(limits);
    if native
        && let Some(shape) = shape::grouping(sql, &tables, now_us)
        && let Some(answer) = grouped(&tables[shape.table], &shape, limits, &shared, now_us)?
    {
        return Ok(answer);
    }
    if native && let Some(first) = shape::first(sql, &tables, now_us) {
        narrow(&mut tables[first.table], &first, &shared)?;
    }
    let connection = open(tables, &shared, now_us)?;
    answered(connection, sql, limits, &shared)
}

/// The answer by way of the native scan's groups; none where its keys are expressions over more than
/// it may hold.
fn grouped(
    table: &Table,
    shape: &shape::Grouping,
    limits: &SqlLimits,
    shared: &Arc<Shared>,
    now_us: i64,
) -> Result<Option<Answer>, QueryError> {
    let allowance = match &shape.made {
        None => shared.allowance.clone(),
        Some(_) => shared.allowance.with_groups(expression::GROUPS_EACH),
    };
    let (sources, filters) = (table.sources.clone(), shape.filters.clone());
    let (keys, aggregates) = (&shape.keys, &shape.aggregates);
    let gathered = gather(table.dataset, sources, filters, keys, aggregates, allowance);
    let mut groups = match gathered {
        Err(QueryError::Limit {
            what: "groups" | "bytes of memory",
            ..
        }) if shape.made.is_some() => return Ok(None),
        gathered => gathered?,
    };
    let keys = match &shape.made {
        None => (0..groups.count())
            .map(|number| groups.key(number))
            .collect(),
        Some(_) => {
            let made = expression::throw_together(&mut groups, shape, table, shared, now_us)?;
            let Some(made) = made else { return Ok(None) };
            made
        }
    };
    let numbered = keys.into_iter().enumerate();
    let all = numbered.map(|(number, key)| {
        let values = groups.values(number)?;
        Ok(Group { key, values })
    });
    let all: Vec<Group> = all.collect::<Result<_, QueryError>>()?;
    shared
        .rows_read
        .store(groups.rows_read(), Ordering::Relaxed);
    let connection = open(Vec::new(), shared, now_us)?;
    let keys = shape.made.as_ref().map_or(shape.keys.len(), Vec::len);
    fill(&connection, keys, aggregates, &all).map_err(|error| wrong(&error, shared))?;
    let mut answer = answered(connection, &shape.over, limits, shared)?;
    answer.native = true;
    Ok(Some(answer))
}

/// Leaves the rows out of a table that are not among the first of an order.
fn narrow(table: &mut Table, first: &shape::First, shared: &Shared) -> Result<(), QueryError> {
    let mut scanner = Scanner::new(
        table.dataset,
        table.sources.clone(),
        first.filters.clone(),
        &[first.column],
        shared.allowance.clone(),
    );
    // The greatest of the heap is the last of the first.
    let mut heap: BinaryHeap<i64> = BinaryHeap::with_capacity(first.rows + 1);
    while let Some(batch) = scanner.next_batch()? {
        let Some(vector) = batch.column(first.column) else {
            return Ok(());
        };
        for row in 0..batch.rows {
            let Cell::Number(number) = vector.cell(row) else {
                return Ok(());
            };
            let number = if first.descending { !number } else { number };
            if heap.len() < first.rows {
                heap.push(number);
            } else if heap.peek().is_some_and(|last| number < *last) {
                heap.pop();
                heap.push(number);
            }
        }
    }
    shared.count(scanner.rows_read())?;
    if heap.len() == first.rows
        && let Some(last) = heap.peek()
    {
        let test = match first.descending {
            true => Test::Range(!*last, i64::MAX),
            false => Test::Range(i64::MIN, *last),
        };
        table.filters.push(Filter {
            column: first.column,
            test,
        });
    }
    Ok(())
}

/// A connection with the tables and functions, that can still write.
fn open(tables: Vec<Table>, shared: &Arc<Shared>, now_us: i64) -> Result<Connection, QueryError> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_in_memory()?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", 1)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, TEXT_BYTES_MAX),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 2 * SQL_BYTES_MAX as i32),
            (Limit::SQLITE_LIMIT_COLUMN, 512),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            connection.set_limit(limit, most)?;
        }
        functions::register(&connection, now_us)?;
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        for table in tables {
            table::register(&connection, table, shared)?;
        }
        // Makes the tables, which the authoriser would refuse.
        for name in names {
            drop(connection.prepare(&format!("SELECT 1 FROM \"{name}\""))?);
        }
        Ok(connection)
    };
    open().map_err(|error| wrong(&error, shared))
}

/// Writes groups down as a table.
fn fill(
    connection: &Connection,
    keys: usize,
    aggregates: &[Aggregate],
    groups: &[Group],
) -> rusqlite::Result<()> {
    let keys = (0..keys).map(|index| format!("{}{index}", shape::KEY));
    let values = (0..aggregates.len()).map(|index| format!("{}{index}", shape::VALUE));
    let columns: Vec<String> = keys.chain(values).collect();
    let marks = vec!["?"; columns.len()].join(",");
    let table = shape::GROUPS;
    connection.execute_batch(&format!(
        "BEGIN; CREATE TABLE {table}({})",
        columns.join(",")
    ))?;
    let mut insert = connection.prepare(&format!("INSERT INTO {table} VALUES({marks})"))?;
    // SQLite sorts rows to group them: groups come in the order of their keys.
    let mut groups: Vec<&Group> = groups.iter().collect();
    groups.sort_by(|left, right| left.key.cmp(&right.key));
    for group in groups {
        let keys = group.key.iter().map(key_sql);
        let values = group.values.iter().map(grouped_sql);
        insert.execute(params_from_iter(keys.chain(values)))?;
    }
    drop(insert);
    connection.execute_batch("COMMIT")
}

fn key_sql(key: &KeyValue) -> Box<dyn ToSql + '_> {
    match key {
        KeyValue::Missing => Box::new(Null),
        KeyValue::Number(number) => Box::new(*number),
        KeyValue::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Box::new(text),
            Err(_) => Box::new(text.as_ref()),
        },
    }
}

fn grouped_sql(value: &Grouped) -> Box<dyn ToSql + '_> {
    match value {
        Grouped::Missing => Box::new(Null),
        Grouped::Number(number) => Box::new(*number),
        Grouped::Mean(mean) => Box::new(*mean),
    }
}

/// Runs the query, from here on without the right to write.
fn answered(
    mut connection: Connection,
    sql: &str,
    limits: &SqlLimits,
    shared: &Arc<Shared>,
) -> Result<Answer, QueryError> {
    let failed = |error: rusqlite::Error| wrong(&error, shared);
    connection.authorizer(Some(authorise)).map_err(failed)?;
    let watcher = shared.clone();
    let look = move || match watcher.allowance.check() {
        Ok(()) => false,
        Err(error) => {
            watcher.failed(error);
            true
        }
    };
    connection
        .progress_handler(LOOK_EVERY, Some(look))
        .map_err(failed)?;
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let columns = statement.column_names();
    let mut answer = Answer::new(columns.into_iter().map(str::to_owned).collect());
    let width = answer.columns.len();
    let mut rows = statement.raw_query();
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        if answer.rows.len() == limits.answer_rows {
            answer.truncated = true;
            break;
        }
        let mut values = Vec::with_capacity(width);
        for column in 0..width {
            let value = match row.get_ref(column).map_err(failed)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(blob) => Value::Bytes(blob.to_vec()),
            };
            bytes += value.bytes();
            values.push(value);
        }
        if bytes > limits.answer_bytes {
            return Err(QueryError::Limit {
                what: "bytes of answer",
                limit: limits.answer_bytes as u64,
            });
        }
        answer.rows.push(values);
    }
    answer.rows_read = shared.rows_read.load(Ordering::Relaxed);
    Ok(answer)
}

/// Lets reading through, and nothing else.
fn authorise(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// What is told of an error of SQLite's.
fn wrong(error: &rusqlite::Error, shared: &Shared) -> QueryError {
    let mut failure = shared
        .failure
        .lock()
        .unwrap_or_else(|held| held.into_inner());
    if let Some(failure) = failure.take() {
        return failure;
    }
    let text = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    QueryError::Invalid(match text.as_str() {
        "not authorized" => "a query can only read: `SELECT`, without pragmas".into(),
        "bad parameter or other API misuse" => "there is no query in it".into(),
        _ => text,
    })
}
