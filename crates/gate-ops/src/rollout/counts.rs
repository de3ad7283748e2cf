//! Counts of all instances, brought into the shape that the tests want: strata by step.

use super::label::Stratum;
use gate_flow::{Histogram, Observed, Tally};
use gate_kit::order::Gather;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The instance; another one after a restart, because its counts begin anew.
    pub instance: String,
    /// Its counts. All numbers are totals.
    pub rows: Vec<Observed>,
}

/// Counts that are tested as one. Instances are summed where exchanges are given out at random.
/// Where callers stay with their arm, each instance is a unit of its own: it may have counted the
/// same caller as another, and sums would count that caller twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    pub(super) instance: String,
    pub(super) slice: String,
}

/// Both arms of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Arms {
    pub(super) control: Tally,
    pub(super) candidate: Tally,
}

impl Arms {
    fn merge(&mut self, control: &Tally, candidate: &Tally) {
        self.control.merge(control);
        self.candidate.merge(candidate);
    }
}

/// Both arms of a unit's signal by step.
pub(super) type Steps = BTreeMap<u32, Arms>;

/// All counts by unit and signal.
pub(super) type Units = BTreeMap<Unit, BTreeMap<String, Steps>>;

/// Sorts counts into units.
pub(super) fn units(reports: &[Report], sticky: bool) -> Units {
    let mut units = Units::new();
    for report in reports {
        for row in &report.rows {
            let instance = if sticky { report.instance.as_str() } else { "" };
            let unit = Unit {
                instance: instance.to_owned(),
                slice: row.slice.clone(),
            };
            let signals = units.entry(unit).or_default();
            if !signals.contains_key(&row.signal) {
                signals.insert(row.signal.clone(), Steps::new());
            }
            if let Some(steps) = signals.get_mut(&row.signal) {
                let arms = steps.entry(row.step).or_default();
                arms.merge(&row.control, &row.candidate);
            }
        }
    }
    units
}

/// The bad exchanges of each step. `shares` are those of the steps.
pub(super) fn strata(steps: &Steps, shares: &[f64]) -> Vec<Stratum> {
    let stratum = |(step, arms): (&u32, &Arms)| {
        let share = *shares.get(*step as usize)?;
        Some(Stratum {
            share,
            candidate: arms.candidate.bad,
            control: arms.control.bad,
        })
    };
    steps.iter().filter_map(stratum).collect()
}

/// Quantiles of the control that sizes are compared with.
pub(super) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// Sizes of the control that there must be before marks are set.
const SIZES_MIN: u64 = 200;

/// Marks near quantiles of the control, and what lay beyond them when they were set. Only what
/// came later counts, so that no exchange is compared with a mark that it took part in choosing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) instance: String,
    pub(super) slice: String,
    pub(super) signal: String,
    /// Buckets; an exchange is beyond one when its bucket is a higher one.
    pub(super) buckets: Vec<usize>,
    /// What was there, by step: for each mark exchanges beyond it, control first, and all of them.
    before: BTreeMap<u32, Before>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    beyond: Vec<[u64; 2]>,
    all: [u64; 2],
}

impl Marks {
    /// Sets marks, once the control has enough sizes.
    pub(super) fn set(unit: &Unit, signal: &str, steps: &Steps) -> Option<Marks> {
        let mut control = Histogram::default();
        for arms in steps.values() {
            control.merge(&arms.control.sizes);
        }
        if control.total() < SIZES_MIN {
            return None;
        }
        let mut buckets: Vec<usize> = QUANTILES
            .iter()
            .filter_map(|quantile| control.quantile(*quantile))
            .collect();
        buckets.dedup();
        let before = |arms: &Arms| Before {
            beyond: buckets.iter().map(|bucket| beyond(arms, *bucket)).collect(),
            all: [arms.control.sizes.total(), arms.candidate.sizes.total()],
        };
        let before = steps
            .iter()
            .map(|(step, arms)| (*step, before(arms)))
            .into_map();
        Some(Marks {
            instance: unit.instance.clone(),
            slice: unit.slice.clone(),
            signal: signal.to_owned(),
            buckets,
            before,
        })
    }

    /// For each mark: strata of exchanges beyond it, and of the candidate how many there were and
    /// how many of them beyond.
    pub(super) fn since(&self, steps: &Steps, shares: &[f64]) -> Vec<Beyond> {
        let of = |(index, bucket): (usize, &usize)| {
            let mut found = Beyond::default();
            for (step, arms) in steps {
                let Some(share) = shares.get(*step as usize) else {
                    continue;
                };
                let before = self.before.get(step);
                let earlier = before.and_then(|before| before.beyond.get(index).copied());
                let earlier = earlier.unwrap_or_default();
                let all = before.map_or([0, 0], |before| before.all);
                let now = beyond(arms, *bucket);
                let candidate = now[1].saturating_sub(earlier[1]);
                found.strata.push(Stratum {
                    share: *share,
                    candidate,
                    control: now[0].saturating_sub(earlier[0]),
                });
                found.bad += candidate;
                found.total += arms.candidate.sizes.total().saturating_sub(all[1]);
            }
            found
        };
        self.buckets.iter().enumerate().map(of).collect()
    }
}

/// Exchanges beyond one mark since it was set.
#[derive(Debug, Clone, Default)]
pub(super) struct Beyond {
    pub(super) strata: Vec<Stratum>,
    /// Of the candidate: those beyond.
    pub(super) bad: u64,
    /// Of the candidate: all.
    pub(super) total: u64,
}

fn beyond(arms: &Arms, bucket: usize) -> [u64; 2] {
    [
        arms.control.sizes.beyond(bucket),
        arms.candidate.sizes.beyond(bucket),
    ]
}
