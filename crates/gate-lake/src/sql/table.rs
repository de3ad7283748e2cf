//! A data set as a table of SQLite: conditions on single columns and the columns that are used go down
//! into the scan. SQLite judges every condition again, so that what goes down may only leave rows out
//! that it would leave out itself.
//!
//! Proof for `unsafe`: `VTab` and `VTabCursor` are unsafe to implement because SQLite casts pointers to
//! the structures to pointers to `sqlite3_vtab` and `sqlite3_vtab_cursor`. Both structures here are
//! `repr(C)` and begin with that base, nothing else touches it, and no pointer is dereferenced here.

use super::condition::{self, Compare, Constant};
use super::{Shared, Table};
use crate::scan::{Allowance, Batch, Cell, Filter, QueryError, Scanner, Test, Vector, hex};
use crate::schema::{Column, Kind};
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::ffi;
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection,
    VTabCursor,
};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::Arc;

/// Makes a table known under its name.
pub(super) fn register(connection: &Connection, table: Table, shared: &Arc<Shared>) -> Result<()> {
    const MODULE: &Module<'static, LakeTable> = &Module::eponymous_only_module();
    let aux = Aux {
        table: Arc::new(table),
        shared: shared.clone(),
    };
    let name = aux.table.name.clone();
    connection.create_module(name.as_str(), MODULE, Some(aux))
}

#[derive(Clone)]
pub(super) struct Aux {
    table: Arc<Table>,
    shared: Arc<Shared>,
}

#[repr(C)]
struct LakeTable {
    /// Must be first.
    base: ffi::sqlite3_vtab,
    aux: Aux,
}

#[allow(unsafe_code, reason = "SQLite's tables are; see the proof above")]
unsafe impl<'vtab> VTab<'vtab> for LakeTable {
    type Aux = Aux;
    type Cursor = LakeCursor<'vtab>;

    fn connect(
        connection: &mut VTabConnection,
        aux: Option<&Aux>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let aux = aux.cloned();
        let aux = aux.ok_or_else(|| Error::ModuleError("the table has no files".into()))?;
        connection.config(VTabConfig::Innocuous)?;
        let columns = aux.table.columns().map(|(_, column)| {
            let kind = match condition::numeric(column.kind) {
                true => "INTEGER",
                false => "TEXT",
            };
            format!("\"{}\" {kind}", column.name)
        });
        let columns: Vec<String> = columns.collect();
        let declared = format!("CREATE TABLE x({})", columns.join(","));
        let declared =
            CString::new(declared).map_err(|error| Error::ModuleError(error.to_string()))?;
        let base = ffi::sqlite3_vtab::default();
        Ok((Cow::Owned(declared), Self { base, aux }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut plan = Vec::new();
        let mut cost = 1e9;
        let among: Vec<bool> = (0..info.constraints().count())
            .map(|index| info.is_in_constraint(index))
            .collect::<Result<_>>()?;
        let binary: Vec<bool> = (0..among.len())
            .map(|index| info.collation(index).map(|name| name == "BINARY"))
            .collect::<Result<_>>()?;
        for (index, among) in among.into_iter().enumerate() {
            let Some(constraint) = info.constraints().nth(index) else {
                continue;
            };
            let op = match constraint.operator() {
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ if among => "in",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => "eq",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => "gt",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => "ge",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => "lt",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => "le",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GLOB => "glob",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_ISNULL => "null",
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_ISNOTNULL => "some",
                _ => continue,
            };
            let column = constraint.column();
            if column < 0 || !constraint.is_usable() || !binary[index] {
                continue;
            }
            if op == "in" {
                info.set_in_constraint(index, true)?;
            }
            plan.push(format!("{op}:{column}"));
            info.constraint_usage(index)
                .set_argv_index(plan.len() as c_int);
            cost /= if op == "eq" || op == "in" { 100.0 } else { 3.0 };
        }
        let plan = format!("{:x};{}", info.col_used(), plan.join(","));
        info.set_idx_str(&plan);
        info.set_estimated_cost(cost);
        info.set_estimated_rows(cost as i64);
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<LakeCursor<'vtab>> {
        Ok(LakeCursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            aux: self.aux.clone(),
            scanner: None,
            batch: None,
            row: 0,
            table: PhantomData,
        })
    }
}

#[repr(C)]
struct LakeCursor<'vtab> {
    /// Must be first.
    base: ffi::sqlite3_vtab_cursor,
    aux: Aux,
    scanner: Option<Scanner>,
    batch: Option<Batch>,
    row: usize,
    table: PhantomData<&'vtab LakeTable>,
}

impl LakeCursor<'_> {
    fn advance(&mut self) -> Result<()> {
        self.row = 0;
        let Some(scanner) = &mut self.scanner else {
            return Ok(());
        };
        let before = scanner.rows_read();
        let found = scanner.next_batch();
        let read = scanner.rows_read() - before;
        self.batch = self.aux.shared.told(found)?;
        let within = self.aux.shared.count(read);
        self.aux.shared.told(within)
    }
}

#[allow(unsafe_code, reason = "SQLite's cursors are; see the proof above")]
unsafe impl VTabCursor for LakeCursor<'_> {
    fn filter(&mut self, _: c_int, plan: Option<&str>, values: &Filters<'_>) -> Result<()> {
        let table = &self.aux.table;
        let columns: Vec<(usize, Column)> = table.columns().collect();
        let (used, plan) = plan
            .and_then(|plan| plan.split_once(';'))
            .unwrap_or(("", ""));
        let used = u64::from_str_radix(used, 16).unwrap_or(u64::MAX);
        let mut filters = table.filters.clone();
        for (index, step) in plan.split(',').filter(|step| !step.is_empty()).enumerate() {
            let Some((op, column)) = step.split_once(':') else {
                continue;
            };
            let column = column.parse().ok().and_then(|at: usize| columns.get(at));
            let Some((place, column)) = column else {
                continue;
            };
            let test = match op {
                "in" => {
                    let mut constants = Vec::new();
                    let mut all = values.in_values(index)?;
                    let mut known = true;
                    while let Some(value) = all.next()? {
                        match constant(value) {
                            Some(constant) => constants.push(constant),
                            None => known = value == ValueRef::Null && known,
                        }
                    }
                    known
                        .then(|| condition::among(column, &constants))
                        .flatten()
                }
                "null" => Some(Test::Missing),
                "some" => Some(Test::Present),
                op => pushed(column, op, values.iter().nth(index)),
            };
            if let Some(test) = test {
                filters.push(Filter {
                    column: *place,
                    test,
                });
            }
        }
        let wanted = columns.iter().enumerate();
        let wanted = wanted.filter(|(at, _)| used >> (*at).min(63) & 1 == 1);
        let wanted: Vec<usize> = wanted.map(|(_, (place, _))| *place).collect();
        let allowance: Allowance = self.aux.shared.allowance.clone();
        self.scanner = Some(Scanner::new(
            table.dataset,
            table.sources.clone(),
            filters,
            &wanted,
            allowance,
        ));
        self.advance()
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        match &self.batch {
            Some(batch) if self.row < batch.rows => Ok(()),
            _ => self.advance(),
        }
    }

    fn eof(&self) -> bool {
        self.batch.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let at = usize::try_from(column).unwrap_or(usize::MAX);
        let Some((place, described)) = self.aux.table.columns().nth(at) else {
            return context.set_result(rusqlite::types::Null);
        };
        let cell = self
            .batch
            .as_ref()
            .and_then(|batch| batch.column(place))
            .map_or(Cell::Missing, |vector: &Vector| vector.cell(self.row));
        match cell {
            Cell::Missing => context.set_result(rusqlite::types::Null),
            Cell::Number(number) => context.set_result(number),
            Cell::Bytes(bytes) if described.kind == Kind::Id => context.set_result(hex(bytes)),
            Cell::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => context.set_result(text),
                Err(_) => context.set_result(bytes),
            },
        }
    }

    fn rowid(&self) -> Result<i64> {
        // SQLite tells rows apart by these where a condition has an `OR`.
        Ok(self
            .batch
            .as_ref()
            .map_or(0, |batch| batch.number(self.row)))
    }
}

fn constant(value: ValueRef<'_>) -> Option<Constant> {
    match value {
        ValueRef::Integer(number) => Some(Constant::Number(number)),
        ValueRef::Text(text) => Some(Constant::Text(String::from_utf8(text.to_vec()).ok()?)),
        _ => None,
    }
}

fn pushed(column: &Column, op: &str, value: Option<ValueRef<'_>>) -> Option<Test> {
    let constant = constant(value?)?;
    let compare = match op {
        "eq" => Compare::Equal,
        "gt" => Compare::Greater,
        "ge" => Compare::GreaterEqual,
        "lt" => Compare::Less,
        "le" => Compare::LessEqual,
        "glob" => {
            return match (constant, column.kind) {
                (Constant::Text(pattern), Kind::Word | Kind::Text) => {
                    Some(Test::prefix(condition::glob_prefix(&pattern).0.as_bytes()))
                }
                _ => None,
            };
        }
        _ => return None,
    };
    condition::compared(column, compare, &constant)
}

impl Shared {
    /// An error of the scan as SQLite's, kept to be told as it is.
    fn told<T>(&self, found: std::result::Result<T, QueryError>) -> Result<T> {
        found.map_err(|error| {
            let text = error.to_string();
            self.failed(error);
            Error::ModuleError(text)
        })
    }
}
