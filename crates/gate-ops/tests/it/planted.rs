//! Troubles with known places, planted in the traffic of real cases: the cells and their rates before
//! are real, what goes wrong is drawn. Nothing of the cases' own troubles or labels is used.
//!
//! Each trouble has one to three causes of one to three values; the cells within fail unequally, the
//! other cells' rates wander, and in half of the draws everything fails somewhat more than before.

use crate::attribution::Case;
use gate_kit::random;
use gate_ops::attribution::Conjunction;
use gate_ops::slo::Count;

/// Events of a cell.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) values: Vec<String>,
    pub(crate) before: Count,
    pub(crate) now: Count,
}

/// Values by dimension.
type Values = Vec<(usize, String)>;

fn normal() -> f64 {
    (0..12).map(|_| random::fraction()).sum::<f64>() - 6.0
}

/// About as Poisson has it.
fn poisson(mean: f64) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * normal()).round().max(0.0);
    }
    let (limit, mut product, mut count) = ((-mean).exp(), random::fraction(), 0.0);
    while product > limit {
        product *= random::fraction();
        count += 1.0;
    }
    count
}

/// A factor with a mean of 1.
fn factor(spread: f64) -> f64 {
    (spread * normal() - spread * spread / 2.0).exp()
}

fn one_of<T: Copy>(all: &[T]) -> T {
    all[random::below(all.len())]
}

fn holds(row: &Row, cause: &Values) -> bool {
    cause
        .iter()
        .all(|(index, value)| row.values[*index] == *value)
}

fn total<'a>(rows: impl Iterator<Item = &'a Row>) -> f64 {
    rows.map(|row| row.now.total as f64).sum()
}

/// Causes that could be told apart from shorter ones, with a fair part of the traffic.
fn causes(case: &Case) -> Option<Vec<Values>> {
    let values = one_of(&[1, 1, 2, 2, 3]);
    let count = one_of(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3]);
    let mut own: Vec<usize> = Vec::new();
    while own.len() < values.min(case.dimensions.len()) {
        let index = random::below(case.dimensions.len());
        if !own.contains(&index) {
            own.push(index);
        }
    }
    own.sort_unstable();
    let cause = |row: &Row| -> Values {
        let pair = |index: &usize| (*index, row.values[*index].clone());
        own.iter().map(pair).collect()
    };
    let mut causes = vec![cause(&case.rows[random::below(case.rows.len())])];
    // Several causes differ in one dimension.
    let differing = random::below(own.len());
    for _ in 0..50 {
        let other = cause(&case.rows[random::below(case.rows.len())]);
        let is_sibling = (0..own.len()).all(|at| at == differing || other[at] == causes[0][at]);
        if causes.len() < count && is_sibling && !causes.contains(&other) {
            causes.push(other);
        }
    }
    let all = total(case.rows.iter());
    let sizes: Vec<f64> = causes
        .iter()
        .map(|cause| total(case.rows.iter().filter(|row| holds(row, cause))))
        .collect();
    let is_fair = sizes.iter().all(|size| *size >= (0.003 * all).max(30.0));
    if causes.len() < count || !is_fair || sizes.iter().sum::<f64>() > 0.7 * all {
        return None;
    }
    let is_within = |row: &Row| causes.iter().any(|cause| holds(row, cause));
    // Without each of its values, a cause must hold more.
    for (cause, size) in causes.iter().zip(&sizes) {
        for at in 0..cause.len() {
            let mut shorter = cause.clone();
            shorter.remove(at);
            let wider = case.rows.iter().filter(|row| holds(row, &shorter));
            let is_same = total(wider.clone()) * 0.97 < *size || wider.clone().all(is_within);
            if is_same {
                return None;
            }
        }
    }
    (!case
        .rows
        .iter()
        .filter(|row| row.now.total > 0)
        .all(is_within))
    .then_some(causes)
}

fn plant(case: &Case) -> Option<Case> {
    let causes = causes(case)?;
    let sum = |of: fn(Count) -> u64| case.rows.iter().map(|row| of(row.before)).sum::<u64>() as f64;
    let rate = (sum(|count| count.bad) + 0.5) / (sum(|count| count.total) + 1.0);
    let (noise, spread) = (one_of(&[0.0, 0.2, 0.5]), one_of(&[0.0, 0.3, 0.7, 1.0]));
    let chance = one_of(&[0.02, 0.05, 0.1, 0.3, 0.6]);
    let everywhere = one_of(&[1.0, 1.0, 1.15, 1.4]);
    let mut planted = vec![(0.0, 0.0); causes.len()];
    let mut expected = 0.0;
    let mut rows = case.rows.clone();
    for row in &mut rows {
        let (bad, before) = (row.before.bad as f64, row.before.total as f64);
        let now = row.now.total as f64;
        let usual = (bad + 100.0 * rate) / (before + 100.0) * now;
        expected += usual;
        let mut count = poisson(usual * everywhere * factor(noise));
        if let Some(place) = causes.iter().position(|cause| holds(row, cause)) {
            let added = poisson(now * (chance * factor(spread)).min(1.0)).min(now);
            count += added;
            planted[place] = (planted[place].0 + added, planted[place].1 + usual);
        }
        row.now = Count::new(row.now.total, (count as u64).min(row.now.total));
    }
    // Each cause can be seen, and all of them together matter.
    let all: f64 = planted.iter().map(|(added, _)| added).sum();
    let inside: f64 = planted.iter().map(|(_, usual)| usual).sum();
    let is_seen = planted.iter().all(|(added, usual)| {
        *added >= (0.1 * all).max(10.0) && *added >= 2.0 * (usual + 1.0).sqrt()
    });
    let matters = all >= 15.0 && all >= 2.0 * (inside + 1.0).sqrt() && all >= 0.1 * expected;
    let named = |cause: &Values| -> Conjunction {
        let pair =
            |(index, value): &(usize, String)| (case.dimensions[*index].clone(), value.clone());
        cause.iter().map(pair).collect()
    };
    (is_seen && matters).then(|| {
        let causes = causes.iter().map(named).collect();
        Case::new(case.dimensions.clone(), rows, causes)
    })
}

/// At most so many troubles in each case's traffic.
pub(crate) fn planted(cases: &[Case], each: usize, seed: u64) -> Vec<Case> {
    random::seed(seed);
    let of = |case| (0..200).filter_map(move |_| plant(case)).take(each);
    cases.iter().flat_map(of).collect()
}
