//! How fresh data products are.

use super::exposition::{Exposition, Kind};
use crate::record::lake::Freshness;
use std::time::Duration;

/// The families of data products; nothing where there are none.
pub fn page(page: &mut Exposition, products: &[Freshness]) {
    if products.is_empty() {
        return;
    }
    let help = "How long rows of a data product took from the end of their exchange into the lake: the \
        last ones, or the oldest that waits, whichever is more.";
    page.family(
        "tidegate_data_product_delay_seconds",
        Kind::Gauge,
        "seconds",
        help,
    );
    for one in products {
        if let Some(delay) = one.delay {
            page.sample(&[("data_product", &one.product)], delay.as_secs_f64());
        }
    }
    let promised: Vec<_> = products
        .iter()
        .filter_map(|one| Some((one, one.within?)))
        .collect();
    let help = "How long they may take, where it is promised.";
    page.family(
        "tidegate_data_product_promised_seconds",
        Kind::Gauge,
        "seconds",
        help,
    );
    for (one, within) in &promised {
        page.sample(&[("data_product", &one.product)], within.as_secs_f64());
    }
    let help = "Times that rows of a data product came later than promised, or not at all.";
    page.family("tidegate_data_product_breaches", Kind::Counter, "", help);
    for (one, _) in &promised {
        page.sample(&[("data_product", &one.product)], one.breaches);
    }
}

/// All families, as the reference shows them.
pub fn example(to: &mut Exposition) {
    let one = Freshness {
        product: String::new(),
        within: Some(Duration::ZERO),
        delay: Some(Duration::ZERO),
        breaches: 0,
        newest: None,
    };
    page(to, &[one]);
}
