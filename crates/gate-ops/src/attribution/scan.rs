//! The scan over conjunctions and sets of them; see `mod.rs` for what it means.

use super::{Answer, Attribution, Cells, Conjunction, Settings};
use crate::slo::Count;
use std::collections::HashMap;

/// Most values in a conjunction.
const VALUES_MAX: usize = 3;
/// Most conjunctions in an answer.
const CAUSES_MAX: usize = 3;
/// Answers that are given.
const ANSWERS_MAX: usize = 10;
/// Score below which a conjunction does not join others, and what is left over is chance.
const CHANCE: f64 = 4.0;

/// Dimensions of a conjunction, as a set of bits, and the numbers of their values.
type Key = (u16, [u32; VALUES_MAX]);

#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    count: Count,
    expected: f64,
}

impl Weight {
    fn add(&mut self, other: Weight) {
        self.count = Count::new(
            self.count.total + other.count.total,
            self.count.bad + other.count.bad,
        );
        self.expected += other.expected;
    }

    /// The logarithm of how much likelier the bad events are at the rate that they had than at the
    /// expected one; 0 where there are not more than expected.
    fn score(self) -> f64 {
        let (bad, expected) = (self.count.bad as f64, self.expected.max(1e-9));
        match bad > expected {
            true => bad * (bad / expected).ln() - (bad - expected),
            false => 0.0,
        }
    }

    fn ratio(self) -> f64 {
        self.count.bad as f64 / self.expected.max(1e-9)
    }
}

#[derive(Debug, Clone)]
struct Candidate {
    keys: Vec<Key>,
    weight: Weight,
    score: f64,
}

/// Cells in an order that does not depend on the one in which they were counted.
struct View<'a> {
    dimensions: &'a [String],
    /// Values by dimension, in alphabetical order; leaves hold their places.
    values: Vec<Vec<&'a str>>,
    leaves: Vec<(Vec<u32>, Weight)>,
}

/// Finds the values that explain best why there are more bad events now than before.
#[must_use]
pub fn attribute(cells: &Cells, settings: &Settings) -> Attribution {
    let view = View::new(cells, settings);
    let mut all = Weight::default();
    view.leaves.iter().for_each(|(_, leaf)| all.add(*leaf));
    let weights = conjunctions(view.dimensions.len(), &view.leaves);
    let mut candidates: Vec<Candidate> = weights
        .iter()
        .map(|(key, weight)| Candidate {
            keys: vec![*key],
            weight: *weight,
            score: weight.score(),
        })
        .filter(|candidate| candidate.score > 0.0)
        .collect();
    candidates.extend(sets(&weights, settings));
    sort(&mut candidates);
    candidates.truncate(ANSWERS_MAX);
    widen(&mut candidates, &weights, settings);
    let excess = (all.count.bad as f64 - all.expected).max(f64::MIN_POSITIVE);
    let answer = |candidate: &Candidate| {
        let mut causes: Vec<Conjunction> =
            candidate.keys.iter().map(|key| view.named(key)).collect();
        causes.sort();
        let over = candidate.weight.count.bad as f64 - candidate.weight.expected;
        Answer {
            causes,
            score: candidate.score,
            count: candidate.weight.count,
            expected: candidate.weight.expected,
            explained: (over / excess).clamp(0.0, 1.0),
        }
    };
    Attribution {
        answers: candidates.iter().map(answer).collect(),
        count: all.count,
        expected: all.expected,
    }
}

impl<'a> View<'a> {
    /// Cells with events now, and the bad events that are to be expected in each.
    fn new(cells: &'a Cells, settings: &Settings) -> Self {
        let mut before = Count::default();
        for cell in cells.cells.values() {
            before = Count::new(
                before.total + cell.before.total,
                before.bad + cell.before.bad,
            );
        }
        // Half an event keeps a time without errors from making every error infinitely unlikely.
        let rate = (before.bad as f64 + 0.5) / (before.total as f64 + 1.0);
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for own in &cells.values {
            let mut order: Vec<u32> = (0..own.len() as u32).collect();
            order.sort_by_key(|number| &own[*number as usize]);
            let mut place = vec![0; own.len()];
            (0..)
                .zip(&order)
                .for_each(|(at, number)| place[*number as usize] = at);
            values.push(
                order
                    .iter()
                    .map(|number| own[*number as usize].as_str())
                    .collect(),
            );
            places.push(place);
        }
        let leaf = |(numbers, cell): (&super::Numbers, &super::Cell)| {
            let (bad, total) = (cell.before.bad as f64, cell.before.total as f64);
            let own = (bad + settings.shrink * rate) / (total + settings.shrink).max(1e-9);
            let weight = Weight {
                count: cell.now,
                expected: own * cell.now.total as f64,
            };
            let place = |(index, number): (usize, &u32)| places[index][*number as usize];
            let key: Vec<u32> = numbers.iter().enumerate().map(place).collect();
            (cell.now.total > 0).then_some((key, weight))
        };
        let mut leaves: Vec<_> = cells.cells.iter().filter_map(leaf).collect();
        leaves.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            dimensions: &cells.dimensions,
            values,
            leaves,
        }
    }

    fn named(&self, (set, values): &Key) -> Conjunction {
        let chosen = (0..self.dimensions.len()).filter(|index| set & (1 << index) != 0);
        let name = |(index, place): (usize, &u32)| {
            let value = self.values[index][*place as usize];
            (self.dimensions[index].clone(), value.to_owned())
        };
        chosen.zip(values).map(name).collect()
    }
}

/// Sums of all conjunctions of at most [`VALUES_MAX`] values.
fn conjunctions(dimensions: usize, leaves: &[(Vec<u32>, Weight)]) -> HashMap<Key, Weight> {
    let is_small = |set: &u16| (1..=VALUES_MAX as u32).contains(&set.count_ones());
    let sets: Vec<u16> = (1..1_u16 << dimensions).filter(is_small).collect();
    let mut weights: HashMap<Key, Weight> = HashMap::new();
    for (values, leaf) in leaves {
        for set in &sets {
            let mut key = (*set, [0; VALUES_MAX]);
            let chosen = (0..dimensions).filter(|index| set & (1 << index) != 0);
            for (place, index) in key.1.iter_mut().zip(chosen) {
                *place = values[index];
            }
            weights.entry(key).or_default().add(*leaf);
        }
    }
    weights
}

/// Conjunctions over the same dimensions that fail together.
fn sets(weights: &HashMap<Key, Weight>, settings: &Settings) -> Vec<Candidate> {
    let mut by_dimensions: HashMap<u16, Vec<(Key, Weight)>> = HashMap::new();
    for (key, weight) in weights {
        if weight.score() > CHANCE {
            let same = by_dimensions.entry(key.0).or_default();
            same.push((*key, *weight));
        }
    }
    let mut found = Vec::new();
    for mut same in by_dimensions.into_values() {
        same.sort_by(|(a, one), (b, other)| {
            other.ratio().total_cmp(&one.ratio()).then_with(|| a.cmp(b))
        });
        let mut sum = Weight::default();
        for (index, (_, weight)) in same.iter().enumerate().take(CAUSES_MAX) {
            sum.add(*weight);
            if index > 0 {
                let keys = same[..=index].iter().map(|(key, _)| *key).collect();
                found.push(Candidate {
                    keys,
                    weight: sum,
                    score: sum.score() * (1.0 - settings.further).powi(index as i32),
                });
            }
        }
    }
    found
}

/// The best first; of equals the wider, then by name.
fn sort(candidates: &mut [Candidate]) {
    let size = |one: &Candidate| (one.keys.len(), one.keys[0].0.count_ones());
    candidates.sort_by(|a, b| {
        let scores = b.score.total_cmp(&a.score);
        scores
            .then_with(|| size(a).cmp(&size(b)))
            .then_with(|| a.keys.cmp(&b.keys))
    });
}

/// Puts a wider answer before the first one where what the first leaves over of it is in excess as
/// well: a value that fails less than others of its kind fails, too.
fn widen(candidates: &mut Vec<Candidate>, weights: &HashMap<Key, Weight>, settings: &Settings) {
    let Some(first) = candidates.first().filter(|first| first.keys.len() == 1) else {
        return;
    };
    let (mut key, mut weight) = (first.keys[0], first.weight);
    let mut is_wider = false;
    while key.0.count_ones() > 1 {
        let leaves_excess = |wider: &(Key, Weight)| {
            let rest = Weight {
                count: Count::new(
                    wider.1.count.total - weight.count.total,
                    wider.1.count.bad - weight.count.bad,
                ),
                expected: wider.1.expected - weight.expected,
            };
            rest.expected > 0.0 && rest.ratio() >= settings.wider && rest.score() > CHANCE
        };
        let parents = parents(key).filter_map(|key| Some((key, *weights.get(&key)?)));
        let best = parents
            .filter(leaves_excess)
            .max_by(|(a, one), (b, other)| {
                let scores = one.score().total_cmp(&other.score());
                scores.then_with(|| b.cmp(a))
            });
        let Some(wider) = best else {
            break;
        };
        (key, weight) = wider;
        is_wider = true;
    }
    if is_wider {
        candidates.retain(|candidate| candidate.keys != [key]);
        let wider = Candidate {
            keys: vec![key],
            weight,
            score: weight.score(),
        };
        candidates.insert(0, wider);
        candidates.truncate(ANSWERS_MAX);
    }
}

/// The conjunction without each one of its values.
fn parents((set, values): Key) -> impl Iterator<Item = Key> {
    let dimensions = (0..u16::BITS as u16).filter(move |index| set & (1 << index) != 0);
    dimensions.enumerate().map(move |(place, index)| {
        let mut rest = [0; VALUES_MAX];
        let others = (0..VALUES_MAX).filter(|other| *other != place);
        for (to, from) in rest.iter_mut().zip(others) {
            *to = values[from];
        }
        (set & !(1 << index), rest)
    })
}
