//! The scan over conjunctions and sets of them; see `mod.rs` for what it means.

use super::{Answer, Attribution, Cells, Conjunction, Settings};
use crate::slo::Count;
use gate_kit::order::{Gather, Order};
use std::collections::HashMap;

/// Most values in a conjunction.
const VALUES_MAX: usize = 3;
/// Most conjunctions in an answer.
const CAUSES_MAX: usize = 3;
/// Answers that are given.
const ANSWERS_MAX: usize = 10;
/// Score below which a conjunction does not join others, and what is left over is chance.
const CHANCE: f64 = 4.0;

/// Share of a set's excess that each of its causes holds at least.
const CAUSE_MIN: f64 = 0.1;

/// The numbers of a conjunction's values, in the order of their dimensions.
type Values = [u32; VALUES_MAX];
/// Dimensions of a conjunction, as a set of bits, and their values.
type Key = (u16, Values);

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

    fn without(self, part: Weight) -> Weight {
        Weight {
            count: Count::new(
                self.count.total.saturating_sub(part.count.total),
                self.count.bad.saturating_sub(part.count.bad),
            ),
            expected: self.expected - part.expected,
        }
    }

    /// Bad events beyond the expected ones.
    fn excess(self) -> f64 {
        self.count.bad as f64 - self.expected
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
    let candidates = explanations(&view, settings);
    let excess = (all.count.bad as f64 - all.expected).max(f64::MIN_POSITIVE);
    let answer = |candidate: &Candidate| {
        let mut causes: Vec<Conjunction> =
            candidate.keys.iter().map(|key| view.named(key)).collect();
        causes.order();
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

/// The best candidates, at most [`ANSWERS_MAX`]. One set of dimensions is summed up at a time, so that
/// no more is held than the conjunctions of one.
fn explanations(view: &View<'_>, settings: &Settings) -> Vec<Candidate> {
    let dimensions = view.dimensions.len();
    let is_small = |set: &u16| (1..=VALUES_MAX as u32).contains(&set.count_ones());
    let mut candidates = Vec::new();
    for set in (1..1_u16 << dimensions).filter(is_small) {
        let weights = view.conjunctions(set);
        let simple = 1.0 - settings.value;
        let costs = simple.powi(set.count_ones() as i32 - 1);
        candidates.extend(weights.iter().filter_map(|(values, weight)| {
            let score = weight.score() * costs;
            (score > 0.0).then(|| Candidate {
                keys: vec![(set, *values)],
                weight: *weight,
                score,
            })
        }));
        candidates.extend(sets(view, set, &weights, costs, settings));
        sort(&mut candidates);
        candidates.truncate(ANSWERS_MAX);
    }
    widen(&mut candidates, view, settings);
    offer_wider(&mut candidates, view);
    candidates
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
            order.order_by_key(|number| &own[*number as usize]);
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
        leaves.order_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            dimensions: &cells.dimensions,
            values,
            leaves,
        }
    }

    /// Sums of the conjunctions over these dimensions that hold anything bad.
    fn conjunctions(&self, set: u16) -> HashMap<Values, Weight> {
        let key = |leaf: &[u32]| {
            let mut key = [0; VALUES_MAX];
            for (place, index) in key.iter_mut().zip(indices(set)) {
                *place = leaf[index];
            }
            key
        };
        let mut weights: HashMap<Values, Weight> = HashMap::new();
        for (leaf, weight) in self
            .leaves
            .iter()
            .filter(|(_, weight)| weight.count.bad > 0)
        {
            weights.entry(key(leaf)).or_default().add(*weight);
        }
        for (leaf, weight) in self
            .leaves
            .iter()
            .filter(|(_, weight)| weight.count.bad == 0)
        {
            if let Some(sum) = weights.get_mut(&key(leaf)) {
                sum.add(*weight);
            }
        }
        weights
    }

    /// What a conjunction sums up to.
    fn sum(&self, (set, values): &Key) -> Weight {
        let mut sum = Weight::default();
        for (leaf, weight) in &self.leaves {
            if indices(*set)
                .zip(values)
                .all(|(index, value)| leaf[index] == *value)
            {
                sum.add(*weight);
            }
        }
        sum
    }

    fn named(&self, (set, values): &Key) -> Conjunction {
        let name = |(index, place): (usize, &u32)| {
            let value = self.values[index][*place as usize];
            (self.dimensions[index].clone(), value.to_owned())
        };
        indices(*set).zip(values).map(name).into_map()
    }
}

/// Conjunctions over the same dimensions that fail together.
fn sets(
    view: &View<'_>,
    set: u16,
    weights: &HashMap<Values, Weight>,
    costs: f64,
    settings: &Settings,
) -> Vec<Candidate> {
    let mut failing: Vec<(Key, Weight)> = weights
        .iter()
        .filter(|(_, weight)| weight.score() > CHANCE)
        .map(|(values, weight)| ((set, *values), *weight))
        .collect();
    failing.order_by(|(a, one), (b, other)| {
        other.ratio().total_cmp(&one.ratio()).then_with(|| a.cmp(b))
    });
    failing.truncate(CAUSES_MAX);
    let mut found = Vec::new();
    for count in 2..=failing.len() {
        let own = &failing[..count];
        let mut sum = Weight::default();
        own.iter().for_each(|(_, weight)| sum.add(*weight));
        let least = own.iter().map(|(_, weight)| weight.excess());
        let least = least.fold(f64::INFINITY, f64::min);
        // A cause that explains next to nothing is none, and what is all of something wider is that.
        if least < CAUSE_MIN * sum.excess() || covers(view, own, sum) {
            continue;
        }
        found.push(Candidate {
            keys: own.iter().map(|(key, _)| *key).collect(),
            weight: sum,
            score: sum.score() * costs * (1.0 - settings.further).powi(count as i32 - 1),
        });
    }
    found
}

/// Whether these are all events of what they have in common.
fn covers(view: &View<'_>, own: &[(Key, Weight)], sum: Weight) -> bool {
    let keys: Vec<Key> = own.iter().map(|(key, _)| *key).collect();
    let common = common(&keys);
    common.0 != 0 && view.sum(&common).count == sum.count
}

/// The values that all of these hold.
fn common(keys: &[Key]) -> Key {
    let (set, first) = keys[0];
    let is_same = |place: usize| keys.iter().all(|(_, values)| values[place] == first[place]);
    let (mut found, mut values, mut next) = (0, [0; VALUES_MAX], 0);
    for (place, index) in indices(set).enumerate() {
        if is_same(place) {
            found |= 1 << index;
            values[next] = first[place];
            next += 1;
        }
    }
    (found, values)
}

/// The dimensions of a set.
fn indices(set: u16) -> impl Iterator<Item = usize> {
    (0..u16::BITS as usize).filter(move |index| set & (1 << index) != 0)
}

/// The best first; of equals the wider, then by name.
fn sort(candidates: &mut [Candidate]) {
    let size = |one: &Candidate| (one.keys.len(), one.keys[0].0.count_ones());
    candidates.order_by(|a, b| {
        let scores = b.score.total_cmp(&a.score);
        scores
            .then_with(|| size(a).cmp(&size(b)))
            .then_with(|| a.keys.cmp(&b.keys))
    });
}

/// Puts a wider answer before the first one where what the first leaves over of it is in excess as
/// well: a value that fails less than others of its kind fails, too.
fn widen(candidates: &mut Vec<Candidate>, view: &View<'_>, settings: &Settings) {
    let Some(first) = candidates.first().filter(|first| first.keys.len() == 1) else {
        return;
    };
    let (mut key, mut weight) = (first.keys[0], first.weight);
    let mut is_wider = false;
    while key.0.count_ones() > 1 {
        let parents = parents(key).map(|key| (key, view.sum(&key)));
        let best = parents
            .filter(|(_, wider)| {
                let rest = wider.without(weight);
                rest.expected > 0.0 && rest.ratio() >= settings.wider && rest.score() > CHANCE
            })
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
        place(candidates, 0, key, weight);
    }
}

/// Has the first three answers hold a wider one than the first where what the first leaves over of it
/// is in excess by more than chance, though by too little to stand before the first. What else scores
/// high is mostly the first answer again, with a value more.
fn offer_wider(candidates: &mut Vec<Candidate>, view: &View<'_>) {
    let Some(first) = candidates.first() else {
        return;
    };
    let (weight, shared) = (first.weight, common(&first.keys));
    let mut wider: Vec<Key> = vec![shared];
    // All that hold some of the shared values: at most six.
    wider.extend(parents(shared).filter(|key| key.0 != 0));
    let further: Vec<Key> = wider[1..].iter().flat_map(|key| parents(*key)).collect();
    wider.extend(further.into_iter().filter(|key| key.0 != 0));
    wider.retain(|key| key.0 != 0 && first.keys != [*key]);
    let rest = |key: Key| {
        let sum = view.sum(&key);
        (sum.without(weight).score(), key, sum)
    };
    let best = (wider.into_iter().map(rest))
        .filter(|(rest, ..)| *rest > CHANCE)
        .max_by(|(a, one, _), (b, other, _)| a.total_cmp(b).then_with(|| other.cmp(one)));
    if let Some((_, key, sum)) = best {
        let is_near = |candidate: &Candidate| candidate.keys == [key];
        if !candidates.iter().take(3).any(is_near) {
            place(candidates, 2, key, sum);
        }
    }
}

/// Puts a conjunction at a place of the order, or at the end.
fn place(candidates: &mut Vec<Candidate>, at: usize, key: Key, weight: Weight) {
    candidates.retain(|candidate| candidate.keys != [key]);
    let candidate = Candidate {
        keys: vec![key],
        weight,
        score: weight.score(),
    };
    candidates.insert(at.min(candidates.len()), candidate);
    candidates.truncate(ANSWERS_MAX);
}

/// The conjunction without each one of its values.
fn parents((set, values): Key) -> impl Iterator<Item = Key> {
    indices(set).enumerate().map(move |(place, index)| {
        let mut rest = [0; VALUES_MAX];
        let others = (0..VALUES_MAX).filter(|other| *other != place);
        for (to, from) in rest.iter_mut().zip(others) {
            *to = values[from];
        }
        (set & !(1 << index), rest)
    })
}
