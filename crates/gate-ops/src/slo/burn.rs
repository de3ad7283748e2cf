//! When to wake somebody: multi-window, multi-burn-rate rules with a floor under them.
//!
//! A rule fires while a long and a short window both burn the error budget faster than its factor.
//! That alone pages for one error at night, so two conditions are added: a least number of bad
//! events in the long window, and a lower bound of its true ratio that is above the limit as well.
//! The bound is Wilson's score bound: it is within a few percent of the lower credible bound under
//! Jeffreys' prior (a test compares them) and, unlike that, can be written in PromQL, so that the
//! exported rules (`export.rs`) decide alike. A route without traffic is not a perfect one: where
//! events were expected and none came, the objective has *vanished*.

use super::window::Sum;
use serde::{Deserialize, Serialize};

/// Most pairs of windows.
pub const PAIRS_MAX: usize = 8;

/// What an alert asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody looks at it within days.
    Ticket,
    /// Somebody is woken.
    Page,
}

impl Severity {
    /// The word used in labels and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}

/// Two windows that must agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Seconds of the window that makes it significant.
    pub long_s: u64,
    /// Seconds of the window that ends it soon.
    pub short_s: u64,
    /// Share of the whole budget that must burn within the long window.
    pub budget: f64,
    /// What it asks for.
    pub severity: Severity,
}

impl Pair {
    /// How many times as fast as allowed the budget burns at the limit, for a budget over so many
    /// seconds.
    #[must_use]
    pub fn factor(&self, span_s: u64) -> f64 {
        self.budget * span_s as f64 / self.long_s as f64
    }
}

/// When to alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Pairs of windows; an alert of a severity is on while any of its pairs is.
    pub pairs: Vec<Pair>,
    /// Bad events that a long window must have; at least 1.
    pub bad_min: u64,
    /// Standard deviations between the ratio and its lower bound: 1.645 leaves 5 %; 0 is without.
    pub deviations: f64,
    /// Events that a vanished objective would have had in 5 minutes, by the 6 hours before; 0 is
    /// without that alert.
    pub expected_min: f64,
    /// What a vanished objective asks for.
    pub vanished: Severity,
}

/// Windows of the test whether events still come.
pub(super) const PRESENT_S: u64 = 300;
pub(super) const USUAL_S: u64 = 6 * 3600;

impl Default for Policy {
    /// The windows and shares that Google's workbook recommends and Sloth generates.
    fn default() -> Self {
        let pair = |long_s, short_s, budget, severity| Pair {
            long_s,
            short_s,
            budget,
            severity,
        };
        Self {
            pairs: vec![
                pair(3600, 300, 0.02, Severity::Page),
                pair(6 * 3600, 1800, 0.05, Severity::Page),
                pair(86_400, 2 * 3600, 0.1, Severity::Ticket),
                pair(3 * 86_400, 6 * 3600, 0.1, Severity::Ticket),
            ],
            bad_min: 5,
            deviations: 1.645,
            expected_min: 20.0,
            vanished: Severity::Ticket,
        }
    }
}

/// A ratio that the true one is above, unless the counts are that many deviations of bad luck:
/// Wilson's score bound. Zero without events.
#[must_use]
pub fn lower_bound(total: f64, bad: f64, deviations: f64) -> f64 {
    if total <= 0.0 {
        return 0.0;
    }
    let square = deviations * deviations;
    let spread = (bad * (total - bad).max(0.0) / total + square / 4.0).sqrt();
    ((bad + square / 2.0 - deviations * spread) / (total + square)).max(0.0)
}

/// Whether a pair's windows, long and short, ask for an alert. `limit` is the ratio of bad events
/// at which the budget burns by the pair's factor.
#[must_use]
pub fn burns(policy: &Policy, long: Sum, short: Sum, limit: f64) -> bool {
    let above = |sum: Sum| sum.ratio().is_some_and(|ratio| ratio > limit);
    above(short)
        && above(long)
        && long.bad >= policy.bad_min.max(1) as f64
        && lower_bound(long.total, long.bad, policy.deviations) > limit
}

/// Whether events that were to be expected did not come.
#[must_use]
pub fn has_vanished(policy: &Policy, present: Sum, usual: Sum) -> bool {
    let expected = usual.total * PRESENT_S as f64 / USUAL_S as f64;
    policy.expected_min > 0.0 && present.total <= 0.0 && expected >= policy.expected_min
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(total: f64, bad: f64) -> Sum {
        Sum {
            total,
            bad,
            ..Sum::default()
        }
    }

    /// The share of Jeffreys' posterior below `ratio`, by adding up its density. With the square
    /// root as the variable the density has no pole at zero.
    fn posterior_below(total: f64, bad: f64, ratio: f64) -> f64 {
        let log_density =
            |root: f64| 2.0 * bad * root.ln() + (total - bad - 0.5) * (1.0 - root * root).ln();
        let mode = (bad / total).clamp(1e-9, 1.0 - 1e-9).sqrt();
        let steps = 200_000;
        let (mut below, mut all) = (0.0, 0.0);
        for step in 0..steps {
            let root = (f64::from(step) + 0.5) / f64::from(steps);
            let density = (log_density(root) - log_density(mode)).exp();
            all += density;
            if root * root <= ratio {
                below += density;
            }
        }
        below / all
    }

    #[test]
    fn the_bound_is_near_the_credible_one() {
        for (total, bad) in [
            (20.0, 5.0),
            (300.0, 5.0),
            (5000.0, 9.0),
            (1e5, 1500.0),
            (50.0, 45.0),
        ] {
            let below = posterior_below(total, bad, lower_bound(total, bad, 1.645));
            assert!((0.03..0.08).contains(&below), "{bad} of {total}: {below}");
        }
        assert_eq!(lower_bound(0.0, 0.0, 1.645), 0.0);
        assert!(lower_bound(100.0, 0.0, 1.645) < 1e-12);
    }

    #[test]
    fn one_error_at_night_wakes_nobody() {
        let policy = Policy::default();
        let limit = 0.0144;
        // One error of ten requests is a hundred times the allowed ratio, and no evidence.
        assert!(!burns(&policy, sum(10.0, 1.0), sum(1.0, 1.0), limit));
        assert!(!burns(&policy, sum(10.0, 4.0), sum(4.0, 4.0), limit));
        assert!(burns(&policy, sum(10.0, 5.0), sum(5.0, 5.0), limit));
        // Enough errors, and a ratio that could still be the allowed one.
        assert!(!burns(&policy, sum(400.0, 7.0), sum(100.0, 2.0), limit));
        assert!(burns(&policy, sum(40_000.0, 700.0), sum(100.0, 2.0), limit));
        // It is over in the short window.
        assert!(!burns(
            &policy,
            sum(40_000.0, 700.0),
            sum(100.0, 1.0),
            limit
        ));
        assert!(!burns(&policy, sum(40_000.0, 700.0), sum(0.0, 0.0), limit));
    }

    #[test]
    fn silence_where_there_was_traffic_is_noticed() {
        let policy = Policy::default();
        assert!(has_vanished(&policy, sum(0.0, 0.0), sum(1440.0, 0.0)));
        assert!(!has_vanished(&policy, sum(1.0, 0.0), sum(1440.0, 0.0)));
        assert!(!has_vanished(&policy, sum(0.0, 0.0), sum(1439.0, 0.0)));
        let without = Policy {
            expected_min: 0.0,
            ..policy
        };
        assert!(!has_vanished(&without, sum(0.0, 0.0), sum(1e9, 0.0)));
    }
}
