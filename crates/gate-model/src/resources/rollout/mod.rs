//! How a revision is rolled out: in which steps, watched by what, and what ends it.

mod ramp;
mod shadow;

pub use ramp::Ramp;
pub use shadow::{ANSWERS, COMPARED, Shadow};

use crate::units::{Percent, Period};
use ramp::PER_DOUBLING;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A way to roll a revision out. `tidegate apply --canary NAME` uses it: the new revision serves a
/// share of the exchanges beside the current one, and goes on, waits or is taken back by the
/// evidence of both.
///
/// Exchanges are given to the two at random, with the share of the step as probability. If the new
/// revision is no worse, then that share is also the probability that a bad exchange is one of its
/// own, whatever the common rate of bad ones does. The test on that may be looked at at any time
/// (an e-process) and is wrong with at most the probability of `false_rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// Shares of the exchanges that the new revision gets, one after the other, growing. After the
    /// last one it gets all: `100%` may be written and means the same.
    pub steps: Vec<Percent>,
    /// Instead of `steps`: the share grows continuously, as the evidence lets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// Least time of a step; with `ramp`, at its end.
    pub step_minimum: Period,
    /// Most time of a step in which the evidence decides nothing; then `undecided` holds. With
    /// `ramp`, most time in which the share does not grow.
    pub step_patience: Period,
    /// What happens to a step without a decision, for example because there is too little traffic.
    pub undecided: Undecided,
    /// Whether a caller stays with one of the revisions, and how callers are told apart. A caller
    /// then counts once and not once per exchange, so that decisions take many callers. At random
    /// for each exchange when left out.
    pub sticky: Option<Sticky>,
    /// What is compared.
    pub signals: Vec<Signal>,
    /// Exchanges that are bad by a CEL expression over their record, by the signal's name, such as
    /// `slow_pages: 'record.duration_ms > 800'`.
    pub expressions: BTreeMap<String, String>,
    /// How much larger durations and costs of the new revision may be before they count as worse.
    pub tolerance: Percent,
    /// Probability, at most, that a revision which is no worse is taken back.
    pub false_rollback: Percent,
    /// Probability, at most, that a revision which is `times_worse` or more goes on.
    pub false_promotion: Percent,
    /// A revision goes on once the evidence refutes that it has this many times as many bad
    /// exchanges. In steps below 25 %, where less is at stake, the factor is larger by the square
    /// root of what is missing to 25 %: 10 instead of 2 at 1 %. A `ramp` asks at each share what a
    /// step of a quarter of it would, and at its end the whole.
    pub times_worse: u32,
    /// A share of bad exchanges that is nobody's concern: what is below it needs no comparison to
    /// go on.
    pub negligible: Percent,
    /// Compare answers before the first step: copies of requests go to the new revision, whose
    /// answers are read and thrown away.
    pub shadow: Option<Shadow>,
}

/// Percents of the steps where none are written down.
const USUAL_STEPS: [u64; 4] = [1, 5, 25, 50];

impl Default for Rollout {
    fn default() -> Self {
        Self {
            steps: USUAL_STEPS.map(Percent::from_percents).to_vec(),
            ramp: None,
            step_minimum: Period::from_seconds(10),
            step_patience: Period::from_seconds(600),
            undecided: Undecided::Hold,
            sticky: None,
            signals: Signal::ALL.to_vec(),
            expressions: BTreeMap::new(),
            tolerance: Percent::from_percents(5),
            false_rollback: Percent::from_hundred_millionths(100_000),
            false_promotion: Percent::from_percents(5),
            times_worse: 2,
            negligible: Percent::from_hundred_millionths(500_000),
            shadow: None,
        }
    }
}

/// What happens to a step in which the evidence decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// The share stays until a person promotes, resumes or takes back.
    #[default]
    Hold,
    /// It goes on to the next step (a `ramp` to twice the share), as long as nothing speaks against
    /// the revision.
    Promote,
    /// It is taken back.
    RollBack,
}

/// How callers are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sticky {
    /// By the credential that they present (Authorization, or a header for keys), else by address.
    Credential {},
    /// By a header, such as one with a user's id; by address where it is missing.
    Header {
        /// Its name.
        name: String,
    },
    /// By address, as trusted proxies vouch for it.
    Address {},
}

/// What is compared between the two revisions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Exchanges answered with a status from 500, cut off, or failed by a fault that is not the
    /// caller's.
    Errors,
    /// Exchanges answered with a status from 400 to 499. Leave it out of a change that is meant to
    /// refuse more.
    Refusals,
    /// Time to the end of the exchange, against quantiles of the current revision.
    Latency,
    /// Time to the first token of calls to models, the same way.
    TimeToFirstToken,
    /// What calls to models cost, the same way.
    Cost,
}

impl Signal {
    /// Every signal, the usual ones of a rollout.
    pub const ALL: [Signal; 5] = [
        Signal::Errors,
        Signal::Refusals,
        Signal::Latency,
        Signal::TimeToFirstToken,
        Signal::Cost,
    ];

    /// The word used in evidence and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Errors => "errors",
            Signal::Refusals => "refusals",
            Signal::Latency => "latency",
            Signal::TimeToFirstToken => "time_to_first_token",
            Signal::Cost => "cost",
        }
    }

    /// Whether it is a quantity, and not a yes or no.
    #[must_use]
    pub const fn is_size(self) -> bool {
        matches!(
            self,
            Signal::Latency | Signal::TimeToFirstToken | Signal::Cost
        )
    }
}

/// Most steps of a rollout.
const STEPS_MAX: usize = 32;
/// Most expressions of a rollout.
const EXPRESSIONS_MAX: usize = 8;

impl Rollout {
    /// What cannot work: the field and a sentence each. Expressions are compiled elsewhere.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        self.check_steps(&mut problems);
        if let Some(ramp) = &self.ramp {
            ramp.check(&self.steps, &mut problems);
        }
        self.check_signals(&mut problems);
        let mut complain = |field, message: &str| problems.push((field, message.to_owned()));
        for (field, share) in [
            ("false_rollback", self.false_rollback),
            ("false_promotion", self.false_promotion),
        ] {
            if share == Percent::ZERO || share >= Percent::from_percents(50) {
                complain(
                    field,
                    "a test has a chance of being wrong, above 0% and below 50%",
                );
            }
        }
        if !(2..=100).contains(&self.times_worse) {
            complain("times_worse", "between 2 and 100");
        }
        if let Some(shadow) = &self.shadow {
            shadow.check(&mut problems);
        }
        problems
    }

    fn check_steps(&self, problems: &mut Vec<(&'static str, String)>) {
        let mut complain = |field, message: &str| problems.push((field, message.to_owned()));
        if self.shares().is_empty() && self.ramp.is_none() {
            complain(
                "steps",
                "a rollout needs a step below 100%, so that there is something to compare with",
            );
        }
        if self.steps.len() > STEPS_MAX {
            complain("steps", &format!("a rollout has at most {STEPS_MAX} steps"));
        }
        let grows = self.steps.is_sorted_by(|one, next| one < next);
        if !grows || self.steps.first() == Some(&Percent::ZERO) {
            complain(
                "steps",
                "each step is larger than the one before, the first larger than 0%",
            );
        }
        if self.step_patience < self.step_minimum || self.step_patience.is_zero() {
            complain(
                "step_patience",
                "a step may not be given up before its least time is over",
            );
        }
    }

    fn check_signals(&self, problems: &mut Vec<(&'static str, String)>) {
        let mut complain = |field, message: &str| problems.push((field, message.to_owned()));
        if self.signals.is_empty() && self.expressions.is_empty() {
            complain("signals", "a rollout that compares nothing guards nothing");
        }
        if self.expressions.len() > EXPRESSIONS_MAX {
            let message = format!("a rollout has at most {EXPRESSIONS_MAX} expressions");
            complain("expressions", &message);
        }
        let built_in = Signal::ALL.iter().map(|signal| signal.as_str());
        let mut built_in = built_in.chain([ANSWERS]).chain(COMPARED);
        if built_in.any(|known| self.expressions.contains_key(known)) {
            complain(
                "expressions",
                "an expression needs a name that no built-in signal has",
            );
        }
    }

    /// Shares of the steps with both revisions, from 0 to 1.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        if let Some(ramp) = &self.ramp {
            return ramp.shares();
        }
        let below_all = |share: &&Percent| **share < Percent::HUNDRED;
        self.steps
            .iter()
            .filter(below_all)
            .map(|share| share.fraction())
            .collect()
    }

    /// Least time that the share of a step lasts, in milliseconds.
    #[must_use]
    pub fn least_ms(&self, step: u32) -> u64 {
        let millis = |period: Period| period.microseconds() / 1000;
        match &self.ramp {
            Some(ramp) if (step as usize) + 1 < self.shares().len() => {
                millis(ramp.doubling) / u64::from(PER_DOUBLING)
            }
            _ => millis(self.step_minimum),
        }
    }

    /// How many steps further it goes where nothing was decided: one, or what doubles a share.
    #[must_use]
    pub const fn leap(&self) -> u32 {
        match self.ramp {
            Some(_) => PER_DOUBLING,
            None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_works_and_what_cannot_work_is_named() {
        let usual = Rollout::default();
        assert_eq!(usual.problems(), []);
        assert_eq!(usual.shares(), [0.01, 0.05, 0.25, 0.5]);
        assert_eq!(usual.false_rollback.to_string(), "0.1%");
        assert_eq!(usual.negligible.to_string(), "0.5%");
        let fields = |rollout: Rollout| {
            let problems = rollout.problems();
            problems
                .into_iter()
                .map(|(field, _)| field)
                .collect::<Vec<_>>()
        };
        let percents = |all: &[u64]| all.iter().map(|p| Percent::from_percents(*p)).collect();
        for (steps, problems) in [
            (percents(&[100]), 1),
            (percents(&[]), 1),
            (percents(&[5, 1]), 1),
            (percents(&[0, 10]), 1),
            (percents(&[10, 100]), 0),
        ] {
            let rollout = Rollout {
                steps,
                ..usual.clone()
            };
            assert_eq!(fields(rollout).len(), problems);
        }
        let rollout = Rollout {
            signals: vec![],
            times_worse: 1,
            false_rollback: Percent::ZERO,
            step_patience: Period::from_seconds(1),
            ..usual
        };
        let wrong = ["step_patience", "signals", "false_rollback", "times_worse"];
        assert_eq!(fields(rollout), wrong);
    }
}
