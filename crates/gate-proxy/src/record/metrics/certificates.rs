//! Ordered certificates: when each ends, and how orders went.

use super::exposition::{Exposition, Kind};
use gate_net::tls::Managed;
use std::sync::Arc;

/// Families of ordered certificates; nothing where none are ordered.
pub fn page(page: &mut Exposition, managed: &[(String, Arc<Managed>)]) {
    let Some((_, managed)) = managed.first() else {
        return;
    };
    let (well, failed) = managed.orders();
    let help = "Certificates ordered by this process, by how that ended.";
    page.family("tidegate_acme_orders", Kind::Counter, "", help);
    page.sample(&[("outcome", "complete")], well);
    page.sample(&[("outcome", "failed")], failed);
    let help = "When an ordered certificate ends, as UNIX time.";
    page.family(
        "tidegate_certificate_expiry_seconds",
        Kind::Gauge,
        "seconds",
        help,
    );
    for (name, ends) in managed.expiries() {
        page.sample(&[("name", &name)], ends.as_secs());
    }
}

/// Writes every family once: what the reference shows.
pub fn example(to: &mut Exposition) {
    page(to, &[(String::new(), Arc::default())]);
}
