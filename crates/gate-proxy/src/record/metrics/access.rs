//! Counts of rules of access, by route, rule and what the rule did.

use super::exposition::{Exposition, Kind};
use super::series::Shard;
use super::table::{KEYS_MAX, OTHER};
use gate_flow::{AccessAction, AccessFacts};
use std::sync::Arc;

/// Rules that fitted the exchanges of one route, at most [`KEYS_MAX`] of them.
#[derive(Debug, Default)]
pub(super) struct AccessSeries {
    fitted: Vec<(Arc<str>, AccessAction, u64)>,
    other: u64,
}

impl AccessSeries {
    pub(super) fn observe(&mut self, facts: &AccessFacts) {
        for fit in &facts.matches {
            self.add(&fit.rule, fit.action, 1);
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for (rule, action, count) in &other.fitted {
            self.add(rule, *action, *count);
        }
        self.other += other.other;
    }

    fn add(&mut self, rule: &Arc<str>, action: AccessAction, count: u64) {
        let length = self.fitted.len();
        let known = self.fitted.iter_mut();
        match known
            .into_iter()
            .find(|(name, did, _)| name == rule && *did == action)
        {
            Some((_, _, known)) => *known += count,
            None if length < KEYS_MAX => self.fitted.push((rule.clone(), action, count)),
            None => self.other += count,
        }
    }
}

/// Families by route.
pub(super) fn routes(page: &mut Exposition, sum: &Shard) {
    let help = "Requests that a rule of policy access fitted, by rule and what it did.";
    page.family("tidegate_access_matches", Kind::Counter, "", help);
    for (route, series) in &sum.routes.sorted() {
        let access = &series.access;
        for (rule, action, count) in &access.fitted {
            let labels = [
                ("route", *route),
                ("rule", &**rule),
                ("action", action.as_str()),
            ];
            page.sample(&labels, *count);
        }
        if access.other > 0 {
            page.sample(
                &[("route", *route), ("rule", OTHER), ("action", OTHER)],
                access.other,
            );
        }
    }
}
