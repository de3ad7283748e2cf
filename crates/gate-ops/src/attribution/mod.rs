//! Where an excess of bad events is: the dimensions' values that explain it best.
//!
//! Events are counted per cell, a combination of one value per dimension (revision, arm, route,
//! provider, model, ...), before and now. Of each conjunction of at most three values, the bad events
//! are compared with those to be expected by the rates before: the expectation-based Poisson scan,
//! `c ln(c/e) - (c - e)`. Several values of the same dimensions may fail together; the scan's maximum
//! over sets of them is among those with the highest `c/e`, so only these are looked at. What this
//! finds is where it fails as seen from the gateway, never why something behind it does.

mod scan;
#[cfg(test)]
mod tests;

use crate::slo::Count;
pub use scan::attribute;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Most dimensions.
pub const DIMENSIONS_MAX: usize = 12;
/// Most cells; events of further ones count in a cell of [`OTHER`] values.
pub const CELLS_MAX: usize = 50_000;
/// Value of all dimensions of what found no place any more.
pub const OTHER: &str = "(other)";

/// Numbers of the scan. The defaults were chosen on generated troubles; see docs/results.md.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// A cell's rate before is mixed with the rate of everything, as if that many events of it had
    /// been seen.
    pub shrink: f64,
    /// What an answer leaves over of a wider one counts as part of the trouble when it has that many
    /// times the bad events that were to be expected.
    pub wider: f64,
    /// Each further cause in an answer costs that share of its score.
    pub further: f64,
    /// Each further value in a cause costs that share of its score.
    pub value: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shrink: 300.0,
            wider: 2.0,
            further: 0.1,
            value: 0.01,
        }
    }
}

/// A cell's values, by their numbers.
pub(crate) type Numbers = Box<[u32]>;

/// Events of one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) before: Count,
    pub(crate) now: Count,
}

/// Events by cell, before and now.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    dimensions: Vec<String>,
    /// Per dimension its values; a cell holds their numbers.
    values: Vec<Vec<String>>,
    numbers: Vec<HashMap<String, u32>>,
    cells: HashMap<Numbers, Cell>,
}

impl Cells {
    /// No events yet. More than [`DIMENSIONS_MAX`] dimensions are cut.
    #[must_use]
    pub fn new(dimensions: &[&str]) -> Self {
        let dimensions = &dimensions[..dimensions.len().min(DIMENSIONS_MAX)];
        Self {
            dimensions: dimensions.iter().map(|&name| name.to_owned()).collect(),
            values: vec![Vec::new(); dimensions.len()],
            numbers: vec![HashMap::new(); dimensions.len()],
            cells: HashMap::new(),
        }
    }

    /// Counts events of a cell in the time before the trouble. Missing values are empty ones.
    pub fn before(&mut self, values: &[&str], count: Count) {
        let sum = &mut self.cell(values).before;
        *sum = Count::new(sum.total + count.total, sum.bad + count.bad);
    }

    /// Counts events of a cell in the time that is asked about.
    pub fn now(&mut self, values: &[&str], count: Count) {
        let sum = &mut self.cell(values).now;
        *sum = Count::new(sum.total + count.total, sum.bad + count.bad);
    }

    /// How many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn cell(&mut self, values: &[&str]) -> &mut Cell {
        let is_full = self.cells.len() >= CELLS_MAX;
        let known = |numbers: &HashMap<String, u32>, index: usize| {
            numbers.get(*values.get(index).unwrap_or(&"")).copied()
        };
        let mut key: Option<Box<[u32]>> = (self.numbers.iter().enumerate())
            .map(|(index, numbers)| known(numbers, index))
            .collect();
        if is_full && !key.as_ref().is_some_and(|key| self.cells.contains_key(key)) {
            key = Some(
                (0..self.dimensions.len())
                    .map(|index| self.number(index, OTHER))
                    .collect(),
            );
        }
        let key = key.unwrap_or_else(|| {
            let value = |index: usize| *values.get(index).unwrap_or(&"");
            (0..self.dimensions.len())
                .map(|index| self.number(index, value(index)))
                .collect()
        });
        self.cells.entry(key).or_default()
    }

    fn number(&mut self, dimension: usize, value: &str) -> u32 {
        if let Some(number) = self.numbers[dimension].get(value) {
            return *number;
        }
        let number = self.values[dimension].len() as u32;
        self.values[dimension].push(value.to_owned());
        self.numbers[dimension].insert(value.to_owned(), number);
        number
    }
}

/// Values of dimensions that all hold.
pub type Conjunction = BTreeMap<String, String>;

/// One explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Where: any of these. More than one differ in the values of the same dimensions.
    pub causes: Vec<Conjunction>,
    /// Evidence, as the logarithm of a likelihood ratio, less what further causes and values cost.
    pub score: f64,
    /// Events there, now.
    pub count: Count,
    /// Bad ones that were to be expected there.
    pub expected: f64,
    /// Share of all excess bad events that is there; at most 1.
    pub explained: f64,
}

/// What the counts say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// Explanations, the best first: the answer and the runners-up. None where nothing is in excess.
    pub answers: Vec<Answer>,
    /// All events now.
    pub count: Count,
    /// Bad events that were to be expected.
    pub expected: f64,
}

impl std::fmt::Display for Answer {
    /// The answer in the operator's words, with its evidence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, cause) in self.causes.iter().enumerate() {
            f.write_str(if index > 0 { " or " } else { "" })?;
            for (index, (dimension, value)) in cause.iter().enumerate() {
                let and = if index > 0 { " and " } else { "" };
                write!(f, "{and}{dimension} `{value}`")?;
            }
        }
        write!(
            f,
            ": {} of {} events are bad where {:.1} were to be expected, {:.0} % of the excess",
            self.count.bad,
            self.count.total,
            self.expected,
            self.explained * 100.0
        )
    }
}
