//! How fresh data products are: how long their rows wait from the end of their exchange until the lake
//! has them. Measured by the thread that writes, once per product and file, and never by looking into
//! the lake.

use gate_lake::schema::{BodyRow, Dataset, Field, Row};
use gate_model::resources::{DataProduct, Resources};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// How fresh a data product is, as far as this gateway's rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The product.
    pub product: String,
    /// What is promised.
    pub within: Option<Duration>,
    /// How long the last rows took from the end of their exchange into the lake, or how long the oldest
    /// one that is not there has waited, whichever is more. None before the first row.
    pub delay: Option<Duration>,
    /// Times that rows came later than promised, or not at all.
    pub breaches: u64,
    /// When the exchange of a row that came last had ended, as UNIX time.
    pub newest: Option<Duration>,
}

impl Freshness {
    /// Whether its rows take longer than promised, at this moment.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.within
            .zip(self.delay)
            .is_some_and(|(within, delay)| delay > within)
    }
}

/// Data products whose rows are looked for among those that are written.
#[derive(Debug, Default)]
pub(super) struct Watch(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    name: String,
    within: Option<Duration>,
    dataset: Dataset,
    rows: BTreeMap<String, Vec<String>>,
    /// When the exchange of its oldest row had ended that is not in the lake.
    since: Option<Duration>,
    /// The same of the newest that is known.
    newest: Option<Duration>,
    delay: Option<Duration>,
    breaches: u64,
}

impl Watched {
    fn holds<'a>(&self, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.rows.iter().all(|(column, values)| {
            let value = value(column);
            value.is_some_and(|value| values.iter().any(|one| *one == value))
        })
    }
}

impl Watch {
    /// Watches these from now on. What was counted of those that stay is kept.
    pub(super) fn set(&mut self, resources: &Resources) {
        let mut before = std::mem::take(&mut self.0);
        let products = resources.data_products.iter();
        let watched = products.map(|(name, product): (&String, &DataProduct)| {
            let known = before.iter().position(|one| one.name == *name);
            let known = known.map(|at| before.swap_remove(at));
            let (since, newest, delay, breaches) = known.map_or((None, None, None, 0), |one| {
                (one.since, one.newest, one.delay, one.breaches)
            });
            Watched {
                name: name.clone(),
                within: product.fresh_within.map(|within| within.duration()),
                dataset: crate::products::dataset(product),
                rows: product.rows.clone(),
                since,
                newest,
                delay,
                breaches,
            }
        });
        self.0 = watched.collect();
    }

    /// A row is on its way, of an exchange that ended at this UNIX time. One row of each product is
    /// enough per file.
    pub(super) fn row(&mut self, row: &Row<'_>, ended: Duration) {
        let waiting = |one: &&mut Watched| one.since.is_none() && one.dataset == Dataset::Records;
        for one in self.0.iter_mut().filter(waiting) {
            if one.rows.is_empty() || one.holds(|column| of_row(row, column)) {
                (one.since, one.newest) = (Some(ended), Some(ended));
            }
        }
    }

    /// The same of a body.
    pub(super) fn body(&mut self, row: &BodyRow<'_>, ended: Duration) {
        let waiting = |one: &&mut Watched| one.since.is_none() && one.dataset == Dataset::Bodies;
        for one in self.0.iter_mut().filter(waiting) {
            if one.holds(|column| of_body(row, column)) {
                (one.since, one.newest) = (Some(ended), Some(ended));
            }
        }
    }

    /// Everything that was on its way is in the lake.
    pub(super) fn arrived(&mut self, unix: Duration) {
        for one in &mut self.0 {
            if let Some(since) = one.since.take() {
                let delay = unix.saturating_sub(since);
                one.delay = Some(delay);
                one.breaches += u64::from(one.within.is_some_and(|within| delay > within));
            }
        }
    }

    /// Some of what was on its way never arrives.
    pub(super) fn lost(&mut self) {
        for one in &mut self.0 {
            one.breaches += u64::from(one.since.is_some() && one.within.is_some());
        }
    }

    /// How fresh each is.
    pub(super) fn look(&self, unix: Duration) -> Vec<Freshness> {
        let all = self.0.iter();
        all.map(|one| Freshness {
            product: one.name.clone(),
            within: one.within,
            delay: one
                .delay
                .max(one.since.map(|since| unix.saturating_sub(since))),
            breaches: one.breaches,
            newest: one.newest,
        })
        .collect()
    }
}

fn of_row<'a>(row: &Row<'a>, column: &str) -> Option<Cow<'a, str>> {
    let is = |field: Field| field.column().name == column;
    let text = row.texts().into_iter().find(|(field, _)| is(*field));
    if let Some((_, text)) = text {
        return text.map(Cow::Borrowed);
    }
    let number = row.integers().into_iter().find(|(field, _)| is(*field));
    number.and_then(|(_, number)| Some(number?.to_string().into()))
}

fn of_body<'a>(row: &BodyRow<'a>, column: &str) -> Option<Cow<'a, str>> {
    match column {
        "route" => row.route.map(Cow::Borrowed),
        "consumer" => row.consumer.map(Cow::Borrowed),
        "team" => row.team.map(Cow::Borrowed),
        "direction" => Some(row.direction.as_str().into()),
        "bytes" => Some(row.bytes.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::Document;

    fn watch(within: &str) -> Watch {
        let text = format!(
            "data_products:\n  shop-calls:\n    owner: shop\n    fresh_within: {within}\n    \
             rows: {{ route: [orders], status: ['200', '201'] }}\n    columns: {{}}\n  \
             all: {{ owner: shop, columns: {{}} }}\n"
        );
        let document = Document::parse(text.as_bytes(), "file").unwrap();
        let mut watch = Watch::default();
        watch.set(&Resources::read(&document).unwrap());
        watch
    }

    fn row<'a>(route: &'a str, status: u64) -> Row<'a> {
        Row {
            route: Some(route),
            status,
            ..Row::default()
        }
    }

    #[test]
    fn the_oldest_row_of_a_product_counts_and_no_other() {
        let second = Duration::from_secs;
        let mut watch = watch("2s");
        watch.row(&row("orders", 503), second(100));
        watch.row(&row("carts", 200), second(100));
        let shop = |watch: &Watch, at| watch.look(second(at)).remove(1);
        assert_eq!(
            (shop(&watch, 109).delay, shop(&watch, 109).newest),
            (None, None)
        );
        assert_eq!(
            watch.look(second(109))[0].delay,
            Some(second(9)),
            "of all rows"
        );
        watch.row(&row("orders", 201), second(108));
        watch.row(&row("orders", 200), second(109));
        assert!(!shop(&watch, 110).is_late());
        assert!(shop(&watch, 111).is_late() && shop(&watch, 111).breaches == 0);
        watch.arrived(second(111));
        let told = shop(&watch, 200);
        assert_eq!((told.delay, told.breaches), (Some(second(3)), 1));
        assert_eq!(told.newest, Some(second(108)));
        watch.row(&row("orders", 200), second(200));
        watch.lost();
        watch.arrived(second(201));
        let told = shop(&watch, 201);
        assert!(!told.is_late() && told.breaches == 2, "{told:?}");
        assert_eq!(
            watch.look(second(201))[0].breaches,
            0,
            "nothing was promised"
        );
    }
}
