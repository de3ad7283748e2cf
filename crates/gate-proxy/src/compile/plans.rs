//! Usage plans: whether what consumers and limits name is there, and whether it can act.

use super::Work;
use crate::money::quota::BookedQuotas;
use gate_flow::Quotas;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{Plan, PlanLimit};
use std::sync::Arc;

/// Most limits of a plan.
const LIMITS_MAX: usize = 8;

impl Work<'_> {
    /// Where the quotas of this process are kept.
    pub(super) fn quotas(&self) -> Option<Arc<dyn Quotas>> {
        let books = self.compiler.books?.clone();
        Some(Arc::new(BookedQuotas::new(
            books,
            self.compiler.clock.clone(),
        )))
    }

    /// Checks every plan, and who names one.
    pub(super) fn plans(&mut self) {
        let resources = self.resources;
        for (name, plan) in &resources.plans {
            self.plan(plan, &Path::root().key("plans").key(name));
        }
        for (name, consumer) in &resources.consumers {
            let known = |plan: &&String| !resources.plans.contains_key(*plan);
            if let Some(plan) = consumer.plan.as_ref().filter(known) {
                let path = Path::root().key("consumers").key(name).key("plan");
                self.unknown(path, "plan", plan, resources.plans.keys());
            }
        }
    }

    fn plan(&mut self, plan: &Plan, path: &Path) {
        let count = plan.limits.len();
        if count == 0 || count > LIMITS_MAX {
            let message = format!("a plan has from 1 to {LIMITS_MAX} limits");
            let finding = Finding::error("invalid_plan", path.key("limits"), message);
            self.report(finding);
        }
        for (name, limit) in &plan.limits {
            let path = path.key("limits").key(name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.is_empty() || !name.bytes().all(plain) {
                let message = "callers are told the name: letters, digits, `-`, `_` and `.` only";
                self.report(Finding::error("invalid_name", path.clone(), message));
            }
            self.plan_limit(limit, &path);
        }
    }

    fn plan_limit(&mut self, limit: &PlanLimit, path: &Path) {
        let resources = self.resources;
        let wrong = |field: &str, message: &str| {
            Finding::error("invalid_plan", path.key(field), message.to_owned())
        };
        if limit.rate.is_none() && limit.quota.is_empty() {
            let message = "a limit has a `rate`, a `quota`, or both";
            self.report(Finding::error("invalid_plan", path.clone(), message));
        }
        if limit.burst.is_some() && limit.rate.is_none() {
            self.report(wrong("burst", "a burst needs a `rate`"));
        }
        if limit.burst == Some(0) {
            self.report(wrong("burst", "a burst of 0 would refuse every request"));
        }
        for (period, amount) in &limit.quota {
            if *amount == 0 || i64::try_from(*amount).is_err() {
                let path = path.key("quota").key(period.as_str());
                let message = "a quota is from 1 to 9223372036854775807 requests";
                self.report(Finding::error("invalid_plan", path, message));
            }
        }
        if !limit.quota.is_empty() && resources.gateway.store.is_none() {
            let message = "a quota needs `gateway.store`, where what was used is kept";
            let finding = Finding::error("store_missing", path.key("quota"), message);
            self.report(
                finding
                    .help("add `gateway: { store: { engine: { sqlite: { path: ledger.db } } } }`"),
            );
        }
        for (index, route) in limit.routes.iter().enumerate() {
            if !resources.routes.contains_key(route) {
                let path = path.key("routes").index(index);
                self.unknown(path, "route", route, resources.routes.keys());
            }
        }
        for (index, method) in limit.methods.iter().enumerate() {
            let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
            if !is_method {
                let path = path.key("methods").index(index);
                let message = format!("`{method}` is no method: they are written in capitals");
                self.report(Finding::error("invalid_plan", path, message));
            }
        }
    }
}
