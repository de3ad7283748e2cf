//! Counts what a replay finds, and keeps a few examples of it.

use crate::record::recent::search::moment;
use gate_api::types::{Effect, EffectChange, Example, Unknown, What};
use gate_kit::order::Order;
use std::collections::BTreeMap;

/// Most examples of one respect.
const EXAMPLES_MAX: usize = 5;
/// Most words on what is not known.
const READS_MAX: usize = 50;

/// What one row comes to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The greatest share by which it changes.
    changed: f64,
    /// What is not known of it.
    doubts: Vec<String>,
}

impl Outcome {
    /// Unless the row changes altogether, what it comes to cannot be told without these.
    pub(super) fn doubt(&mut self, mut reads: Vec<String>) {
        self.doubts.append(&mut reads);
    }
}

/// Counts so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    records: u64,
    first_us: Option<u64>,
    last_us: u64,
    changes: BTreeMap<What, Change>,
    unknown: u64,
    reads: BTreeMap<String, u64>,
    unchanged: f64,
}

#[derive(Debug, Default)]
struct Change {
    /// Shares of rows: a row that changes for four calls in ten counts 0.4.
    count: f64,
    examples: Vec<Example>,
    /// Sums before and after, in picodollars.
    sums: Option<(i128, i128)>,
}

impl Tally {
    /// A row begins.
    pub(super) fn begin(&mut self, started_us: u64) -> Outcome {
        self.records += 1;
        self.first_us = Some(self.first_us.map_or(started_us, |us| us.min(started_us)));
        self.last_us = self.last_us.max(started_us);
        Outcome::default()
    }

    /// The row changes in a respect, with this share of its calls. `example` is asked only while
    /// examples are missing.
    pub(super) fn change(
        &mut self,
        outcome: &mut Outcome,
        what: What,
        share: f64,
        example: impl FnOnce() -> Example,
    ) {
        if share <= f64::EPSILON {
            return;
        }
        outcome.changed = outcome.changed.max(share);
        let change = self.changes.entry(what).or_default();
        change.count += share;
        if change.examples.len() < EXAMPLES_MAX {
            change.examples.push(example());
        }
    }

    /// Adds to the sums of a respect, changed or not.
    pub(super) fn sum(&mut self, what: What, before: i64, after: i64) {
        let change = self.changes.entry(what).or_default();
        let (was, is) = change.sums.unwrap_or_default();
        change.sums = Some((was + i128::from(before), is + i128::from(after)));
    }

    /// The row ends.
    pub(super) fn end(&mut self, mut outcome: Outcome) {
        let changed = outcome.changed.min(1.0);
        if outcome.doubts.is_empty() || changed >= 1.0 {
            self.unchanged += 1.0 - changed;
            return;
        }
        self.unknown += 1;
        outcome.doubts.sort_unstable();
        outcome.doubts.dedup();
        for read in outcome.doubts {
            if let Some(count) = self.reads.get_mut(&read) {
                *count += 1;
            } else if self.reads.len() < READS_MAX {
                self.reads.insert(read, 1);
            }
        }
    }

    /// The effect.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares of counts that fit"
    )]
    pub(super) fn finish(self) -> Effect {
        let all = (self.records as f64).max(1.0);
        let changed = self
            .changes
            .into_iter()
            .filter(|(_, change)| change.count > 0.0);
        let changed = changed.map(|(what, change)| EffectChange {
            what,
            count: (change.count.round() as u64).max(1),
            share: change.count / all,
            examples: change.examples,
            before: change.sums.map(|(before, _)| dollars(before)),
            after: change.sums.map(|(_, after)| dollars(after)),
        });
        let changed = changed.collect();
        let mut reads: Vec<(String, u64)> = self.reads.into_iter().collect();
        reads.order_by_key(|(_, count)| std::cmp::Reverse(*count));
        Effect {
            records: self.records,
            from: self.first_us.map(moment),
            to: self.first_us.map(|_| moment(self.last_us)),
            changed,
            unknown: Unknown {
                count: self.unknown,
                share: self.unknown as f64 / all,
                reads: reads.into_iter().map(|(read, _)| read).collect(),
            },
            unchanged: self.unchanged.round() as u64,
        }
    }
}

fn dollars(picodollars: i128) -> String {
    let clamped = i64::try_from(picodollars).unwrap_or(i64::MAX);
    format!("${}", gate_model::units::Money::from_picodollars(clamped))
}
