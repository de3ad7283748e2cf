//! Whether data products can be meant: what they name is there, and their tables can be told apart.

use super::{contract, dataset, place, saved, table_name};
use crate::compile::Work;
use gate_lake::schema::{Column, Dataset, Kind};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{DataProduct, ProductColumnType};
use std::collections::{BTreeMap, BTreeSet};

/// Most data products: every query gets a table of each.
const PRODUCTS_MAX: usize = 256;

/// Checks data products, what they promise, and saved queries.
pub(crate) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    let root = Path::root().key("data_products");
    let needs_lake = [
        ("data_products", resources.data_products.is_empty()),
        ("queries", resources.queries.is_empty()),
    ];
    for (kind, none) in needs_lake {
        if !none && resources.gateway.lake.is_none() {
            let message = "there is no lake to read: set `gateway.lake`";
            let path = Path::root().key(kind);
            work.report(Finding::warning("no_lake", path, message));
        }
    }
    if resources.data_products.len() > PRODUCTS_MAX {
        let message = format!("at most {PRODUCTS_MAX} data products can be read");
        work.report(wrong(root.clone(), message));
    }
    let mut taken: BTreeSet<String> = Dataset::ALL.map(|set| set.name().to_owned()).into();
    for (name, product) in &resources.data_products {
        let path = root.key(name);
        let table = table_name(name);
        let fits = table
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
            && table.starts_with(|first: char| first.is_ascii_alphabetic())
            && !["sqlite_", "tidegate_"]
                .iter()
                .any(|own| table.starts_with(own));
        if !fits || !taken.insert(table.clone()) {
            let message = format!(
                "no table can be called `{table}`: a name is letters, digits, `-` and `_`, and no \
                 other table's"
            );
            work.report(wrong(path.clone(), message));
        }
        one(work, &path, product);
    }
    for (_, broken) in contract::broken(resources) {
        work.report(broken);
    }
    saved::check(work);
}

fn wrong(path: Path, message: impl Into<String>) -> Finding {
    Finding::error("invalid_data_product", path, message)
}

fn one(work: &mut Work<'_>, path: &Path, product: &DataProduct) {
    let resources = work.resources;
    let teams = &resources.teams;
    let readers = product
        .readers
        .keys()
        .map(|team| (path.key("readers").key(team), team));
    for (path, team) in [(path.key("owner"), &product.owner)]
        .into_iter()
        .chain(readers)
    {
        if !teams.is_empty() && !teams.contains_key(team) {
            work.unknown(path, "team", team, teams.keys());
        }
    }
    if product.columns.is_empty() {
        let message = "a product without columns promises nothing";
        work.report(wrong(path.key("columns"), message));
    }
    for (name, column) in &product.columns {
        let path = path.key("columns").key(name);
        let Some(found) = known(work, dataset(product), name, &path) else {
            continue;
        };
        if column.kind != kind(found.kind) {
            let message = format!("the values of `{name}` are of another type");
            let expected = kind_name(kind(found.kind));
            work.report(wrong(path.key("type"), message).expected(expected));
        }
        if column.required && !contract::can_be_required(product, found) {
            let message = format!("no configuration gives every row a value of `{name}`");
            let help = "tell rows apart by it in `rows`, or promise less";
            work.report(wrong(path.key("required"), message).help(help));
        }
    }
    let mut told = vec![(path.key("rows"), &product.rows)];
    for (team, reader) in &product.readers {
        let path = path.key("readers").key(team);
        told.push((path.key("rows"), &reader.rows));
        for (at, name) in reader.columns.iter().flatten().enumerate() {
            if !product.columns.contains_key(name) {
                let path = path.key("columns").index(at);
                work.unknown(path, "column of the product", name, product.columns.keys());
            }
        }
    }
    for (path, rows) in told {
        conditions(work, dataset(product), &path, rows);
    }
    for (name, period) in [
        ("fresh_within", product.fresh_within),
        ("keep", product.keep),
    ] {
        if period.is_some_and(|period| period.duration().is_zero()) {
            work.report(wrong(path.key(name), "no time at all cannot be meant"));
        }
    }
}

/// A column by its name; told where there is none.
fn known(work: &mut Work<'_>, set: Dataset, name: &str, path: &Path) -> Option<&'static Column> {
    let found = place(set, name).map(|place| &set.columns()[place]);
    if found.is_none() {
        let names: Vec<String> = set.columns().iter().map(|it| it.name.to_owned()).collect();
        let kind = format!("column of `{}`", set.name());
        work.unknown(path.clone(), &kind, name, names.iter());
    }
    found
}

/// Checks by what rows are told apart.
fn conditions(
    work: &mut Work<'_>,
    set: Dataset,
    path: &Path,
    rows: &BTreeMap<String, Vec<String>>,
) {
    for (name, values) in rows {
        let path = path.key(name);
        let Some(column) = known(work, set, name, &path) else {
            continue;
        };
        let message = match column.kind {
            Kind::Word | Kind::Text if !values.is_empty() => continue,
            Kind::Integer if values.iter().any(|value| value.parse::<i64>().is_err()) => {
                "its values are whole numbers"
            }
            Kind::Integer if !values.is_empty() => continue,
            Kind::Word | Kind::Text | Kind::Integer => "without a value no row fits",
            _ => "rows are told apart by columns of text or of whole numbers",
        };
        work.report(wrong(path, message));
    }
}

/// A type of columns as it is written.
#[must_use]
pub const fn kind_name(kind: ProductColumnType) -> &'static str {
    match kind {
        ProductColumnType::Time => "time",
        ProductColumnType::Integer => "integer",
        ProductColumnType::Id => "id",
        ProductColumnType::Text => "text",
        ProductColumnType::Content => "content",
        ProductColumnType::Flag => "flag",
    }
}

const fn kind(kind: Kind) -> ProductColumnType {
    match kind {
        Kind::Time => ProductColumnType::Time,
        Kind::Integer => ProductColumnType::Integer,
        Kind::Id => ProductColumnType::Id,
        Kind::Word | Kind::Text => ProductColumnType::Text,
        Kind::Content => ProductColumnType::Content,
        Kind::Flag => ProductColumnType::Flag,
    }
}
