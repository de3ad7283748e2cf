//! A share that grows continuously. To everybody else it is many small steps.

use super::USUAL_STEPS;
use crate::units::{Percent, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least share that a ramp begins with: below it there are more counts than evidence.
const RAMP_MIN: Percent = Percent::from_hundred_millionths(100_000);
/// A share that grows continuously between two bounds, by a fifth at a time, whenever the evidence
/// lets it. Each bad exchange counts with the share that there was when it was given to its revision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ramp {
    /// Share that the new revision begins with, from 0.1%.
    pub from: Percent,
    /// Share at which it gets all exchanges once it has shown enough there; below 100%.
    pub to: Percent,
    /// Least time in which the share doubles.
    pub doubling: Period,
}

impl Default for Ramp {
    fn default() -> Self {
        Self {
            from: Percent::from_percents(1),
            to: Percent::from_percents(50),
            doubling: Period::from_seconds(10),
        }
    }
}

/// Shares of a ramp for each doubling: each is larger than the one before by 19 %.
pub(super) const PER_DOUBLING: u32 = 4;

impl Ramp {
    /// Its shares, from 0 to 1, growing; empty where the bounds make no sense.
    pub(super) fn shares(&self) -> Vec<f64> {
        let (from, to) = (self.from.fraction(), self.to.fraction());
        if self.from < RAMP_MIN || self.to >= Percent::HUNDRED || self.from > self.to {
            return Vec::new();
        }
        let growth = |count: u32| from * (f64::from(count) / f64::from(PER_DOUBLING)).exp2();
        // What is all but the end is the end.
        let mut shares: Vec<f64> = (0..).map(growth).take_while(|it| *it < to * 0.99).collect();
        shares.push(to);
        shares
    }

    pub(super) fn check(&self, steps: &[Percent], problems: &mut Vec<(&'static str, String)>) {
        let mut complain = |message: &str| problems.push(("ramp", message.to_owned()));
        if *steps != USUAL_STEPS.map(Percent::from_percents) {
            complain("it takes the place of `steps`: write one of them");
        }
        if self.from < RAMP_MIN || self.from >= self.to || self.to >= Percent::HUNDRED {
            complain("a share grows from 0.1% or more to something larger, below 100%");
        }
        if self.doubling.is_zero() {
            complain("no share doubles in no time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rollout;
    use super::*;

    #[test]
    fn a_ramp_grows_by_a_fifth_at_a_time_between_its_bounds() {
        let with = |ramp| Rollout {
            ramp: Some(ramp),
            ..Rollout::default()
        };
        let usual = with(Ramp::default());
        assert_eq!(usual.problems(), []);
        let shares = usual.shares();
        assert_eq!((shares.len(), shares[0]), (24, 0.01));
        assert!((shares[4] - 0.02).abs() < 1e-12, "{shares:?}");
        assert_eq!(shares.last(), Some(&0.5));
        let grows = |pair: &[f64]| pair[0] < pair[1] && pair[1] < pair[0] * 1.2;
        assert!(shares.windows(2).all(grows), "{shares:?}");
        assert_eq!((usual.least_ms(0), usual.least_ms(23)), (2_500, 10_000));
        let percents = Percent::from_percents;
        let most = with(Ramp {
            from: RAMP_MIN,
            to: percents(99),
            ..Ramp::default()
        });
        assert_eq!((most.problems().len(), most.shares().len()), (0, 41));
        for (from, to, seconds) in [(0, 50, 10), (60, 50, 10), (1, 100, 10), (1, 50, 0)] {
            let wrong = with(Ramp {
                from: percents(from),
                to: percents(to),
                doubling: Period::from_seconds(seconds),
            });
            assert_eq!(wrong.problems().len(), 1, "{from} {to} {seconds}");
        }
        let both = Rollout {
            steps: vec![percents(10)],
            ..usual
        };
        assert_eq!(both.problems()[0].0, "ramp");
        // An older version reads what does not use it.
        let text = serde_json::to_string(&Rollout::default()).unwrap();
        assert!(!text.contains("ramp"), "{text}");
    }
}
