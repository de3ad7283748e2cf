//! Data products and saved queries: what they mean for the lake, and who reads how much of them.
//!
//! [`tables`] is the door to the lake for everybody whose rights count: rows that a caller may not read
//! are left out by the scan, columns are not in the table at all. What is promised is held against the
//! configuration by [`contract`]; how fresh rows are is measured where they are written
//! (`record/lake/fresh.rs`).

mod check;
mod contract;
mod saved;

pub(crate) use check::check;
pub use check::kind_name;
pub use contract::{BROKEN, broken, loosened};
pub use saved::{Given, filled};

use gate_lake::catalog::Catalog;
use gate_lake::scan::{Filter, QueryError, Test};
use gate_lake::schema::{Column, Dataset, Kind};
use gate_lake::sql::{self, Table};
use gate_model::resources::{DataProduct, ProductReader, ProductSource, Resources};
use std::collections::BTreeMap;

/// What a caller may read of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View<'a> {
    /// All of it.
    Whole,
    /// What a team that does not own it may read.
    Reader(&'a str, &'a ProductReader),
}

/// What callers of these teams may read of a product; of all teams where none are told. None where
/// there is no such product for them.
#[must_use]
pub fn view<'a>(product: &'a DataProduct, teams: Option<&'a [String]>) -> Option<View<'a>> {
    let Some(teams) = teams else {
        return Some(View::Whole);
    };
    teams.iter().find_map(|team| match *team == product.owner {
        true => Some(View::Whole),
        false => Some(View::Reader(team, product.readers.get(team)?)),
    })
}

/// The columns that a view of a product has, in the order of the data set.
#[must_use]
pub fn columns(product: &DataProduct, view: View<'_>) -> Vec<&'static Column> {
    let all = dataset(product).columns().iter();
    let told = |name: &str| match view {
        View::Reader(_, reader) => (reader.columns.as_ref())
            .is_none_or(|columns| columns.iter().any(|column| column == name)),
        View::Whole => true,
    };
    all.filter(|column| product.columns.contains_key(column.name) && told(column.name))
        .collect()
}

/// The name of a product's table.
#[must_use]
pub fn table_name(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

/// The data set that a product is a part of.
#[must_use]
pub const fn dataset(product: &DataProduct) -> Dataset {
    match product.from {
        ProductSource::Records => Dataset::Records,
        ProductSource::Bodies => Dataset::Bodies,
    }
}

/// The tables that a query of these teams finds: both data sets, with the rows of the teams alone, and
/// the products that they may read. Only files that the query can mean are looked for.
///
/// # Errors
/// When the place of the lake does not answer.
pub fn tables(
    catalog: &Catalog,
    sql: &str,
    resources: &Resources,
    teams: Option<&[String]>,
    now_us: i64,
) -> Result<Vec<Table>, QueryError> {
    let sql = sql.to_ascii_lowercase();
    let of = |set: Dataset| {
        let mut products = resources.data_products.iter();
        let named = |(name, product): (&String, &DataProduct)| {
            dataset(product) == set && sql.contains(&table_name(name))
        };
        sql.contains(set.name()) || products.any(named)
    };
    let whole = sql::tables_of(catalog, of)?;
    Ok(seen(whole, resources, teams, now_us))
}

/// The same of data sets that are there already.
fn seen(
    whole: Vec<Table>,
    resources: &Resources,
    teams: Option<&[String]>,
    now_us: i64,
) -> Vec<Table> {
    let mut tables = Vec::new();
    for table in &whole {
        let own = teams.map(|teams| of_texts(table.dataset, "team", teams));
        let name = table.dataset.name();
        tables.push(table.clone().part(name, None, own.into_iter().collect()));
    }
    for (name, product) in &resources.data_products {
        let table = whole.iter().find(|it| it.dataset == dataset(product));
        if let (Some(table), Some(view)) = (table, view(product, teams)) {
            tables.push(part(table, name, product, view, now_us));
        }
    }
    tables
}

/// A product as a table, under the policy of a view.
fn part(whole: &Table, name: &str, product: &DataProduct, view: View<'_>, now_us: i64) -> Table {
    let dataset = whole.dataset;
    let mut filters = of_rows(dataset, &product.rows);
    if let Some(keep) = product.keep {
        let keep = i64::try_from(keep.duration().as_micros()).unwrap_or(i64::MAX);
        filters.extend(place(dataset, "time").map(|column| Filter {
            column,
            test: Test::Range(now_us.saturating_sub(keep), i64::MAX),
        }));
    }
    if let View::Reader(team, reader) = view {
        filters.extend(of_rows(dataset, &reader.rows));
        if reader.own_rows {
            filters.push(of_texts(dataset, "team", &[team.to_owned()]));
        }
    }
    let columns = columns(product, view);
    let columns: Vec<String> = columns
        .iter()
        .map(|column| column.name.to_owned())
        .collect();
    whole.clone().part(name, Some(&columns), filters)
}

fn of_rows(dataset: Dataset, rows: &BTreeMap<String, Vec<String>>) -> Vec<Filter> {
    let rows = rows.iter();
    rows.map(|(column, values)| of_texts(dataset, column, values))
        .collect()
}

fn place(dataset: Dataset, name: &str) -> Option<usize> {
    let columns = dataset.columns();
    columns.iter().position(|column| column.name == name)
}

/// Rows in which a column has one of these values; none where there is no such column.
fn of_texts(dataset: Dataset, name: &str, values: &[String]) -> Filter {
    let Some(column) = place(dataset, name) else {
        return Filter {
            column: 0,
            test: Test::Never,
        };
    };
    let test = match dataset.columns()[column].kind {
        Kind::Integer => Test::Numbers(values.iter().filter_map(|it| it.parse().ok()).collect()),
        _ => Test::Texts(values.iter().map(|it| it.as_bytes().to_vec()).collect()),
    };
    Filter { column, test }
}
