//! What both arms of a trial came to: counts by step, slice and signal, added to by workers.
//!
//! Workers add to shards of their own; whoever reports sums them. In a sticky trial the unit is the
//! caller and not the exchange: each is counted once per slice and signal, and fails at most once,
//! because the exchanges of one caller share their arm and would count as one anyway.

use super::histogram::Histogram;
use gate_kit::counter::{SHARDS, shard};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Most slices of a trial; what comes behind them is counted as one.
pub const SLICES_MAX: usize = 64;
/// Most callers, times signals and slices, that a sticky trial tells apart in one process. What is
/// beyond counts for nothing, which is safe: it can only delay a decision.
const MARKS_MAX: usize = 1 << 18;
const STRIPES: usize = 16;

/// Which of the two revisions serves an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The revision in force.
    Control,
    /// The one that is tried.
    Candidate,
}

impl Arm {
    /// The word used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Arm::Control => "control",
            Arm::Candidate => "candidate",
        }
    }
}

/// What one exchange says about one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: the signal does not apply to it.
    Nothing,
    /// Whether it was bad.
    Label(bool),
    /// How much it took, in whatever unit the signal has.
    Size(u64),
}

/// Counts of one arm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Exchanges, or callers in a sticky trial, that had a reading.
    pub total: u64,
    /// Bad ones of them.
    #[serde(default)]
    pub bad: u64,
    /// Their sizes, for signals that have one.
    #[serde(default)]
    pub sizes: Histogram,
}

impl Tally {
    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Tally) {
        self.total = self.total.saturating_add(other.total);
        self.bad = self.bad.saturating_add(other.bad);
        self.sizes.merge(&other.sizes);
    }
}

/// Counts of both arms for one signal of one slice in one step. All numbers are totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The step, in which the candidate's share stays the same.
    pub step: u32,
    /// What part of the traffic: a route.
    pub slice: String,
    /// The signal.
    pub signal: String,
    /// The revision in force.
    pub control: Tally,
    /// The one that is tried.
    pub candidate: Tally,
}

/// What one exchange adds.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The step in which it was given to an arm.
    pub step: u32,
    /// Index of its slice.
    pub slice: usize,
    /// Its arm.
    pub arm: Arm,
    /// Hash of its caller, in a sticky trial.
    pub caller: Option<u64>,
    /// What it says, in the order of the signals.
    pub readings: &'a [Reading],
}

type Shard = BTreeMap<(u32, usize), Vec<[Tally; 2]>>;

/// The counts of one trial in one process. Nothing added is ever lost.
pub struct Evidence {
    slices: Vec<Arc<str>>,
    signals: Vec<Arc<str>>,
    shards: [Mutex<Shard>; SHARDS],
    /// What sticky callers have been counted for: seen, failed.
    callers: Option<[Mutex<HashMap<u64, bool>>; STRIPES]>,
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Evidence({} slices)", self.slices.len())
    }
}

impl Evidence {
    /// No counts yet, for slices and signals of these names.
    #[must_use]
    pub fn new(slices: Vec<Arc<str>>, signals: Vec<Arc<str>>, sticky: bool) -> Self {
        Self {
            slices,
            signals,
            shards: Default::default(),
            callers: sticky.then(Default::default),
        }
    }

    /// Adds an exchange. Allocates when a slice has its first, and when a size is larger than all
    /// before it.
    pub fn add(&self, sample: &Sample<'_>) {
        debug_assert!(sample.slice < self.slices.len());
        let shard = self.shards.get(shard()).unwrap_or(&self.shards[0]);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (sample.step, sample.slice);
        let signals = self.signals.len();
        let tallies = shard
            .entry(place)
            .or_insert_with(|| (0..signals).map(|_| Default::default()).collect());
        for (signal, (reading, arms)) in sample.readings.iter().zip(tallies).enumerate() {
            let tally = &mut arms[usize::from(sample.arm == Arm::Candidate)];
            let is_bad = matches!(reading, Reading::Label(true));
            let (is_new, fails_first) = match (&self.callers, sample.caller, reading) {
                (_, _, Reading::Nothing) => continue,
                (None, ..) => (true, is_bad),
                (Some(_), None, _) => continue,
                (Some(known), Some(caller), _) => {
                    let place = (sample.slice * signals + signal) as u64;
                    note(known, caller ^ mixed(place + 1), is_bad)
                }
            };
            tally.total += u64::from(is_new);
            tally.bad += u64::from(fails_first);
            if let Reading::Size(size) = reading
                && is_new
            {
                tally.sizes.add(*size);
            }
        }
    }

    /// The sums over all workers, of whatever has counts.
    #[must_use]
    pub fn totals(&self) -> Vec<Observed> {
        let mut sums: BTreeMap<(u32, usize, usize), [Tally; 2]> = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (&(step, slice), tallies) in shard.iter() {
                for (signal, arms) in tallies.iter().enumerate() {
                    if arms[0].total + arms[1].total > 0 {
                        let sum = sums.entry((step, slice, signal)).or_default();
                        sum[0].merge(&arms[0]);
                        sum[1].merge(&arms[1]);
                    }
                }
            }
        }
        let row = |(place, arms): ((u32, usize, usize), [Tally; 2])| {
            let ((step, slice, signal), [control, candidate]) = (place, arms);
            let name = |names: &[Arc<str>], at: usize| names.get(at).map(ToString::to_string);
            Observed {
                step,
                slice: name(&self.slices, slice).unwrap_or_default(),
                signal: name(&self.signals, signal).unwrap_or_default(),
                control,
                candidate,
            }
        };
        sums.into_iter().map(row).collect()
    }
}

/// Notes a caller's reading; whether it is the caller's first, and whether it is its first failure.
fn note(known: &[Mutex<HashMap<u64, bool>>; STRIPES], caller: u64, is_bad: bool) -> (bool, bool) {
    let stripe = &known[(mixed(caller) % STRIPES as u64) as usize];
    let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
    let has_room = stripe.len() < MARKS_MAX / STRIPES;
    match stripe.get_mut(&caller) {
        Some(failed) => {
            let fails_first = is_bad && !*failed;
            *failed |= is_bad;
            (false, fails_first)
        }
        None if has_room => {
            stripe.insert(caller, is_bad);
            (true, is_bad)
        }
        None => (false, false),
    }
}

/// Spreads bits: the finaliser of splitmix64.
pub(super) fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(sticky: bool) -> Evidence {
        Evidence::new(
            vec!["orders".into()],
            vec!["errors".into(), "latency".into()],
            sticky,
        )
    }

    fn sample(arm: Arm, caller: u64, readings: &[Reading]) -> Sample<'_> {
        Sample {
            step: 2,
            slice: 0,
            arm,
            caller: Some(caller),
            readings,
        }
    }

    #[test]
    fn no_exchange_is_lost_between_threads() {
        let evidence = evidence(false);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let evidence = &evidence;
                scope.spawn(move || {
                    for count in 0..1000_u64 {
                        let arm = [Arm::Control, Arm::Candidate][usize::from(count % 10 == 0)];
                        let readings = [Reading::Label(count % 50 == 0), Reading::Size(thread)];
                        evidence.add(&sample(arm, 0, &readings));
                    }
                });
            }
        });
        let totals = evidence.totals();
        let errors = &totals[0];
        assert_eq!(
            (errors.step, &*errors.slice, &*errors.signal),
            (2, "orders", "errors")
        );
        assert_eq!((errors.control.total, errors.control.bad), (3600, 0));
        assert_eq!((errors.candidate.total, errors.candidate.bad), (400, 80));
        assert_eq!(totals[1].control.sizes.total(), 3600);
    }

    #[test]
    fn a_sticky_caller_counts_once_and_fails_once() {
        let evidence = evidence(true);
        for bad in [false, false, true, true] {
            let readings = [Reading::Label(bad), Reading::Size(7)];
            evidence.add(&sample(Arm::Candidate, 1, &readings));
            evidence.add(&sample(
                Arm::Control,
                2,
                &[Reading::Label(false), Reading::Nothing],
            ));
        }
        let totals = evidence.totals();
        assert_eq!((totals[0].candidate.total, totals[0].candidate.bad), (1, 1));
        assert_eq!((totals[0].control.total, totals[0].control.bad), (1, 0));
        assert_eq!(totals[1].candidate.sizes.total(), 1);
        assert_eq!(totals[1].control.total, 0);
    }
}
