//! From counts to evidence: against the candidate as a whole, and for going on.
//!
//! Evidence of signals and slices is averaged with fixed weights: an average of evidence is
//! evidence, so that however many signals are watched, the probability of a false rollback stays
//! what it was set to. Going on needs every signal, each with its own test.

use super::counts::{Beyond, Marks, Report, Steps, Unit, Units, strata, units};
use super::label::{LABELS, SIZES, Stratum, below, less_than, sum_of_logs, worse};
use gate_kit::order::Order;
use gate_model::resources::{ANSWERS, COMPARED, Rollout as Strategy, Signal};
use serde::{Deserialize, Serialize};

/// The slice of all slices together.
pub const EVERYTHING: &str = "*";

/// Both arms' exchanges, and bad ones of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Exchanges.
    pub total: u64,
    /// Bad ones.
    pub bad: u64,
}

/// What one signal of one slice says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The route; [`EVERYTHING`] for all of them together.
    pub slice: String,
    /// The signal. Sizes count as bad beyond the mark that says most.
    pub signal: String,
    /// Of the revision in force.
    pub control: Pair,
    /// Of the one that is tried.
    pub candidate: Pair,
    /// Natural logarithm of the evidence that the candidate is worse; 0 is none.
    pub log_evidence: f64,
}

/// What all counts say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assessment {
    /// Each signal of each slice, the strongest first.
    pub lines: Vec<Line>,
    /// Natural logarithm of all evidence that the candidate is worse.
    pub against: f64,
    /// Signals that do not yet show that the candidate may go on.
    pub open: Vec<String>,
    /// Exchanges of the candidate in the step.
    pub candidate_now: u64,
}

/// What the evidence is weighed with.
pub(super) struct Scales<'a> {
    pub(super) strategy: &'a Strategy,
    pub(super) shares: &'a [f64],
    pub(super) slices: usize,
    pub(super) instances: usize,
    pub(super) step: u32,
}

impl Scales<'_> {
    /// Weighs all counts. Sets marks that can be set by now.
    pub(super) fn weigh(&self, reports: &[Report], marks: &mut Vec<Marks>) -> Assessment {
        let sticky = self.strategy.sticky.is_some();
        let mut units = units(reports, sticky);
        if !sticky && self.slices > 1 {
            pool(&mut units);
        }
        let mut terms = Vec::new();
        let mut lines = Vec::new();
        let mut rest = 1.0;
        for (unit, signals) in &units {
            for (signal, weight) in self.signals() {
                let Some(steps) = signals.get(&signal) else {
                    continue;
                };
                let line = self.line(unit, &signal, steps, marks);
                let weight = weight * self.weight(unit, &units);
                rest -= weight;
                terms.push(weight.ln() + line.log_evidence);
                lines.push(line);
            }
        }
        // What has not been seen speaks neither way.
        terms.push(f64::max(rest, 1e-300).ln());
        lines.order_by(|one, other| other.log_evidence.total_cmp(&one.log_evidence));
        Assessment {
            against: sum_of_logs(terms.into_iter()),
            open: self.open(&units, marks),
            candidate_now: self.candidate_now(&units),
            lines,
        }
    }

    /// Signals with their weights, which sum to 1: errors count as much as the others together.
    fn signals(&self) -> Vec<(String, f64)> {
        let known = self.strategy.signals.iter().map(|signal| {
            let weight = if *signal == Signal::Errors { 4.0 } else { 1.0 };
            (signal.as_str().to_owned(), weight)
        });
        let expressions = self.strategy.expressions.keys();
        let expressions = expressions.map(|name| (name.clone(), 2.0));
        let mut all: Vec<_> = known.chain(expressions).collect();
        let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
        all.iter_mut().for_each(|(_, weight)| *weight /= sum);
        all
    }

    /// The weight of a unit. All traffic together has a half, where there are several slices.
    fn weight(&self, unit: &Unit, units: &Units) -> f64 {
        if unit.slice == EVERYTHING {
            return 0.5;
        }
        let seen = units.keys().filter(|unit| unit.slice != EVERYTHING).count();
        if self.strategy.sticky.is_some() {
            return 1.0 / (self.slices * self.instances).max(seen).max(1) as f64;
        }
        let all = self.slices.max(seen).max(1) as f64;
        if self.slices > 1 {
            0.5 / all
        } else {
            1.0 / all
        }
    }

    fn line(&self, unit: &Unit, signal: &str, steps: &Steps, marks: &mut Vec<Marks>) -> Line {
        let sum = |candidate: bool| {
            let tallies = steps.values().map(|arms| match candidate {
                true => &arms.candidate,
                false => &arms.control,
            });
            tallies.fold(Pair::default(), |sum, tally| Pair {
                total: sum.total + tally.total,
                bad: sum.bad + tally.bad,
            })
        };
        let (mut control, mut candidate) = (sum(false), sum(true));
        let log_evidence = if is_size(signal) {
            let beyond = beyond(unit, signal, steps, self.shares, marks);
            let evidence: Vec<f64> = beyond.iter().map(|b| worse(&b.strata, SIZES)).collect();
            let most = (0..beyond.len()).max_by(|a, b| evidence[*a].total_cmp(&evidence[*b]));
            if let Some(most) = most {
                control.bad = beyond[most].strata.iter().map(|s| s.control).sum();
                candidate.bad = beyond[most].bad;
            }
            let each = (evidence.len().max(1) as f64).ln();
            match evidence.is_empty() {
                true => 0.0,
                false => sum_of_logs(evidence.into_iter()) - each,
            }
        } else {
            worse(&strata(steps, self.shares), LABELS)
        };
        Line {
            slice: unit.slice.clone(),
            signal: signal.to_owned(),
            control,
            candidate,
            log_evidence,
        }
    }

    /// Signals that do not yet show that the candidate may go on.
    fn open(&self, units: &Units, marks: &[Marks]) -> Vec<String> {
        let has_pool = units.keys().any(|unit| unit.slice == EVERYTHING);
        let counted: Vec<_> = units
            .iter()
            .filter(|(unit, _)| (unit.slice == EVERYTHING) == has_pool)
            .collect();
        let is_open = |signal: &str| {
            let steps = counted
                .iter()
                .filter_map(|(unit, signals)| Some((*unit, signals.get(signal)?)));
            let steps: Vec<(&Unit, &Steps)> = steps.collect();
            match is_size(signal) {
                // No traffic of this sort.
                _ if steps.is_empty() => signal == Signal::Errors.as_str(),
                true => self.is_size_open(signal, &steps, marks),
                false => self.is_label_open(&steps),
            }
        };
        let signals = self.signals().into_iter().map(|(signal, _)| signal);
        signals.filter(|signal| is_open(signal)).collect()
    }

    fn is_label_open(&self, steps: &[(&Unit, &Steps)]) -> bool {
        let mut all: Vec<Stratum> = Vec::new();
        let (mut total, mut bad) = (0, 0);
        for (_, steps) in steps {
            all.extend(strata(steps, self.shares));
            total += steps.values().map(|arms| arms.candidate.total).sum::<u64>();
            bad += steps.values().map(|arms| arms.candidate.bad).sum::<u64>();
        }
        !self.is_refuted(&all, total, bad)
    }

    fn is_size_open(&self, signal: &str, steps: &[(&Unit, &Steps)], marks: &[Marks]) -> bool {
        let mut all: Vec<Beyond> = Vec::new();
        for (unit, steps) in steps {
            let Some(known) = find(marks, unit, signal) else {
                continue;
            };
            for (index, beyond) in known.since(steps, self.shares).into_iter().enumerate() {
                if all.len() <= index {
                    all.push(Beyond::default());
                }
                all[index].strata.extend(beyond.strata);
                all[index].total += beyond.total;
                all[index].bad += beyond.bad;
            }
        }
        let is_fine = |beyond: &Beyond| self.is_refuted(&beyond.strata, beyond.total, beyond.bad);
        all.is_empty() || !all.iter().all(is_fine)
    }

    /// Whether the counts refute that the candidate is much worse, and has more than a negligible
    /// share of bad exchanges. Two tests of the same claim are averaged.
    fn is_refuted(&self, strata: &[Stratum], total: u64, bad: u64) -> bool {
        let share = self.share_at_stake();
        // What a step puts at stake grows with its share, and what has to be shown with it.
        let ease = (0.25 / share).sqrt().max(1.0);
        let ratio = f64::from(self.strategy.times_worse) * ease;
        let limit = self.strategy.negligible.fraction() * ease;
        let mut by_ratio = less_than(strata, ratio);
        if self.strategy.sticky.is_some() {
            // A caller fails once. When many of the candidate's have, what is left of them fails
            // less often and would look like health.
            let used_up = total > 0 && bad as f64 / total as f64 > 0.2;
            if used_up {
                by_ratio = 0.0;
            }
        }
        let evidence = sum_of_logs([by_ratio, below(total, bad, limit)].into_iter()) - 2_f64.ln();
        evidence >= -self.strategy.false_promotion.fraction().ln()
    }

    /// The share whose evidence is asked for. Steps are entered by leaps, so that what is asked at
    /// one of them is what the next and larger one is entered with. A ramp that asked as much at
    /// each share took 312 s (median) to do what steps do in 230 s; it asks at a share what a step
    /// of a quarter of it would, and at its end what the share itself does.
    fn share_at_stake(&self) -> f64 {
        const LEAP: f64 = 4.0;
        let share = self.shares.get(self.step as usize).copied().unwrap_or(1.0);
        let is_last = self.step as usize + 1 >= self.shares.len();
        match self.strategy.ramp {
            Some(_) if !is_last => share / LEAP,
            _ => share,
        }
    }

    fn candidate_now(&self, units: &Units) -> u64 {
        let of_unit = |(unit, signals): (&Unit, &std::collections::BTreeMap<String, Steps>)| {
            let totals = signals
                .values()
                .filter_map(|steps| steps.get(&self.step).map(|arms| arms.candidate.total));
            match unit.slice == EVERYTHING {
                true => 0,
                false => totals.max().unwrap_or(0),
            }
        };
        units.iter().map(of_unit).sum()
    }
}

/// What a comparison of answers saw, for display: how many differ, and how many of the copies and
/// of the callers' own took more than the other. Were neither worse, then either would be the one
/// that took more as often.
pub(super) fn compared(reports: &[Report]) -> Vec<Line> {
    let mut lines = Vec::new();
    for signal in [ANSWERS].into_iter().chain(COMPARED) {
        let rows = reports.iter().flat_map(|report| &report.rows);
        let (mut control, mut candidate) = (Pair::default(), Pair::default());
        for row in rows.filter(|row| row.signal == signal) {
            control.total += row.control.total;
            control.bad += row.control.bad;
            candidate.total += row.candidate.total;
            candidate.bad += row.candidate.bad;
        }
        if candidate.total == 0 {
            continue;
        }
        let pairs = Stratum {
            share: 0.5,
            candidate: candidate.bad,
            control: control.bad,
        };
        lines.push(Line {
            slice: EVERYTHING.to_owned(),
            signal: signal.to_owned(),
            control,
            candidate,
            log_evidence: match signal {
                ANSWERS => 0.0,
                _ => worse(&[pairs], LABELS),
            },
        });
    }
    lines
}

fn is_size(signal: &str) -> bool {
    [Signal::Latency, Signal::TimeToFirstToken, Signal::Cost]
        .iter()
        .any(|known| known.as_str() == signal)
}

fn find<'m>(marks: &'m [Marks], unit: &Unit, signal: &str) -> Option<&'m Marks> {
    marks.iter().find(|marks| {
        marks.slice == unit.slice && marks.instance == unit.instance && marks.signal == signal
    })
}

/// What lies beyond the marks of a unit's signal; sets them first where that can be done.
fn beyond(
    unit: &Unit,
    signal: &str,
    steps: &Steps,
    shares: &[f64],
    marks: &mut Vec<Marks>,
) -> Vec<Beyond> {
    if find(marks, unit, signal).is_none() {
        marks.extend(Marks::set(unit, signal, steps));
    }
    let known = find(marks, unit, signal);
    known.map_or_else(Vec::new, |marks| marks.since(steps, shares))
}

/// Adds all slices together as a slice of their own.
fn pool(units: &mut Units) {
    let mut pooled = std::collections::BTreeMap::<String, Steps>::new();
    for signals in units.values() {
        for (signal, steps) in signals {
            let sums = pooled.entry(signal.clone()).or_default();
            for (step, arms) in steps {
                let sum = sums.entry(*step).or_default();
                sum.control.merge(&arms.control);
                sum.candidate.merge(&arms.candidate);
            }
        }
    }
    let unit = Unit {
        instance: String::new(),
        slice: EVERYTHING.to_owned(),
    };
    units.insert(unit, pooled);
}
