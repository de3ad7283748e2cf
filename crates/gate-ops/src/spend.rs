//! Spend that is out of the usual: of a consumer, a team, a model, or as a whole, hour by hour.
//!
//! Each of them has a [`Baseline`], which knows its hours and weekdays. An hour that costs more than was
//! to be expected, by more than chance and by at least [`LEAST_USD`], opens a [`Suspicion`]; so does an
//! hour that is not over and has cost that much already. A suspicion lasts until an hour is usual again.
//! It pages nobody. What made the difference is found by [`parts`]: the key, the model, the tag or the
//! revision that cost more than its share; what a narrower suspicion explains is not told twice
//! ([`narrowed`]). Less than usual is no suspicion. Where sums come from is not known here: the same sums
//! in the same order give the same suspicions, in every gateway.

use crate::baseline::{Baseline, Reading};
use gate_kit::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// The least that an hour must have cost more than was to be expected, in US dollars.
pub const LEAST_USD: f64 = 1.0;
/// Hours that are learnt from at most: 32 days. What costs nothing for so long is forgotten.
pub const HOURS: u64 = 768;
/// Most names that are watched.
const NAMES_MAX: usize = 2_000;
/// Most suspicions of the past that are known.
const PAST_MAX: usize = 100;
/// The least share of a difference that is told, and that explains a wider suspicion.
const SHARE_MIN: f64 = 0.5;
const EXPLAINS: f64 = 0.8;
const HOUR_S: u64 = 3_600;

/// What is watched, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A consumer.
    Consumer,
    /// A team.
    Team,
    /// A model that callers ask for.
    Model,
    /// Everything.
    All,
}

impl Of {
    /// All of them.
    pub const EACH: [Of; 4] = [Of::Consumer, Of::Team, Of::Model, Of::All];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Of::Consumer => "consumer",
            Of::Team => "team",
            Of::Model => "model",
            Of::All => "all",
        }
    }
}

/// What is watched, and its name; `All` has none.
pub type Key = (Of, String);
/// What an hour cost, in US dollars.
pub type Sums = BTreeMap<Key, f64>;

/// Spend that is out of the usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspicion {
    /// What spends.
    pub of: Of,
    /// Its name.
    pub name: String,
    /// The hour in which it began (hours since 1970).
    pub since: u64,
    /// The first hour that was usual again.
    pub until: Option<u64>,
    /// The hour that is told of: the one with the greatest difference.
    pub hour: u64,
    /// What that hour cost, in US dollars; it may not be over.
    pub spent: f64,
    /// What was to be expected of it.
    pub expected: f64,
    /// Up to which it would have been usual.
    pub high: f64,
}

impl Suspicion {
    /// What it cost more than was to be expected.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.spent - self.expected
    }

    fn new((of, name): &Key, hour: u64, spent: f64, reading: &Reading) -> Self {
        Self {
            of: *of,
            name: name.clone(),
            since: hour,
            until: None,
            hour,
            spent,
            expected: reading.expected,
            high: reading.high,
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Of::All => f.write_str("all calls together")?,
            of => write!(f, "{} `{}`", of.as_str(), self.name)?,
        }
        let (spent, high) = (self.spent, self.high);
        write!(f, " spent {spent:.2} USD in an hour, where ")?;
        write!(
            f,
            "{:.2}, at most {high:.2}, were to be expected",
            self.expected
        )
    }
}

/// What one name has spent so far.
#[derive(Debug, Clone, Default)]
struct One {
    baseline: Baseline,
    open: Option<Suspicion>,
    /// Hours in a row without any spend.
    silent: u64,
}

/// Watches what everybody spends.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    names: BTreeMap<Key, One>,
    past: VecDeque<Suspicion>,
}

impl Watch {
    /// Takes in an hour that is over; hours come in order, each once. One of which nothing is known is
    /// one in which nothing was spent.
    pub fn close(&mut self, hour: u64, sums: &Sums) {
        for key in sums.keys() {
            if self.names.len() < NAMES_MAX && !self.names.contains_key(key) {
                self.names.insert(key.clone(), One::default());
            }
        }
        for (key, one) in &mut self.names {
            let spent = sums.get(key).copied().unwrap_or(0.0);
            let reading = one.baseline.observe(hour * HOUR_S, spent);
            let unusual = reading.filter(|reading| is_unusual(reading, spent));
            match (&mut one.open, unusual) {
                (None, Some(reading)) => {
                    one.open = Some(Suspicion::new(key, hour, spent, &reading));
                }
                (Some(open), Some(reading)) => worsen(open, hour, spent, &reading),
                (open, None) => {
                    if let Some(mut over) = open.take() {
                        over.until = Some(hour);
                        self.past.push_front(over);
                        self.past.truncate(PAST_MAX);
                    }
                }
            }
            one.silent = if spent > 0.0 { 0 } else { one.silent + 1 };
        }
        self.names.retain(|_, one| one.silent < HOURS);
    }

    /// What is out of the usual now, with what the hour that runs has cost so far.
    #[must_use]
    pub fn open(&self, hour: u64, so_far: &Sums) -> Vec<Suspicion> {
        let judge = |(key, one): (&Key, &One)| {
            let spent = so_far.get(key).copied().unwrap_or(0.0);
            let reading = one.baseline.clone().observe(hour * HOUR_S, spent);
            let unusual = reading.filter(|reading| is_unusual(reading, spent));
            match (&one.open, unusual) {
                (Some(open), Some(reading)) => {
                    let mut open = open.clone();
                    worsen(&mut open, hour, spent, &reading);
                    Some(open)
                }
                (None, Some(reading)) => Some(Suspicion::new(key, hour, spent, &reading)),
                (open, None) => open.clone(),
            }
        };
        self.names.iter().filter_map(judge).collect()
    }

    /// Suspicions that are over, the newest first.
    pub fn past(&self) -> impl Iterator<Item = &Suspicion> {
        self.past.iter()
    }
}

fn is_unusual(reading: &Reading, spent: f64) -> bool {
    reading.is_unusual && spent > reading.high && spent - reading.expected >= LEAST_USD
}

/// Tells of this hour where its difference is greater.
fn worsen(open: &mut Suspicion, hour: u64, spent: f64, reading: &Reading) {
    if spent - reading.expected > open.excess() {
        (open.hour, open.spent) = (hour, spent);
        (open.expected, open.high) = (reading.expected, reading.high);
    }
}

/// What spend is told apart by.
pub const COLUMNS: [&str; 7] = [
    "team", "consumer", "key", "model", "route", "tag", "revision",
];

/// What one combination cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// A name for each of [`COLUMNS`]; empty where it has none.
    pub names: [String; COLUMNS.len()],
    /// In US dollars.
    pub usd: f64,
}

/// What made a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Which of [`COLUMNS`].
    pub column: String,
    /// Its name.
    pub name: String,
    /// What it cost, in US dollars.
    pub spent: f64,
    /// What was to be expected, if it had cost the share that it had before.
    pub expected: f64,
    /// Its share of the difference, at most 1.
    pub share: f64,
    /// It cost nothing before.
    pub is_new: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let new = if self.is_new { " (new)" } else { "" };
        let share = self.share * 100.0;
        write!(f, "{share:.0} % {} `{}`{new}", self.column, self.name)
    }
}

/// What made the difference of a suspicion: of each column the name with the greatest part, where that is
/// at least half; what is new first. `now` is what the suspicion's hour is made of, `before` the day
/// before.
#[must_use]
pub fn parts(of: &Suspicion, now: &[Cell], before: &[Cell]) -> Vec<Part> {
    let total: f64 = before.iter().map(|cell| cell.usd).sum();
    let excess = of.excess().max(f64::MIN_POSITIVE);
    let column = |(place, column): (usize, &&str)| {
        let sums = |cells: &[Cell]| {
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            for cell in cells {
                *sums.entry(cell.names[place].clone()).or_default() += cell.usd;
            }
            sums
        };
        let known = sums(before);
        let part = |(name, spent): (String, f64)| {
            let before = known.get(&name).copied().unwrap_or(0.0);
            let share = if total > 0.0 { before / total } else { 0.0 };
            let expected = of.expected * share;
            Part {
                column: (*column).to_owned(),
                name,
                spent,
                expected,
                share: ((spent - expected) / excess).min(1.0),
                is_new: before <= 0.0,
            }
        };
        let all = sums(now).into_iter().filter(|(name, _)| !name.is_empty());
        let greatest = all
            .map(part)
            .max_by(|one, other| one.share.total_cmp(&other.share))?;
        (greatest.share >= SHARE_MIN).then_some(greatest)
    };
    let mut parts: Vec<Part> = COLUMNS.iter().enumerate().filter_map(column).collect();
    // What is new explains more than what was always there; the order of columns decides else.
    parts.order_by_key(|part| !part.is_new);
    parts
}

/// Suspicions without those that a narrower one explains.
#[must_use]
pub fn narrowed(mut all: Vec<(Suspicion, Vec<Part>)>) -> Vec<(Suspicion, Vec<Part>)> {
    all.order_by(|(one, _), (other, _)| {
        let excess = other.excess().total_cmp(&one.excess());
        one.of.cmp(&other.of).then(excess)
    });
    let mut kept: Vec<(Suspicion, Vec<Part>)> = Vec::new();
    for (wide, parts) in all {
        let explains = |narrow: &Suspicion| {
            let is_it =
                |part: &&Part| part.column == narrow.of.as_str() && part.name == narrow.name;
            let share = parts.iter().find(is_it).map(|part| part.share);
            let ends = |one: &Suspicion| one.until.unwrap_or(u64::MAX);
            let is_beside = narrow.since < ends(&wide) && wide.since < ends(narrow);
            narrow.of < wide.of && is_beside && share.is_some_and(|share| share >= EXPLAINS)
        };
        if !kept.iter().any(|(narrow, _)| explains(narrow)) {
            kept.push((wide, parts));
        }
    }
    kept
}

#[cfg(test)]
#[path = "spend_tests.rs"]
mod tests;
