//! Group-bys: rows become groups and sums at once, without being made.

use super::keys::{KeyValue, Keyer, Pairs, hex};
use super::rows::{Batch, Scanner};
use super::sketch::Sketch;
use super::vector::{Data, Vector};
use super::{Allowance, Filter, QueryError, Source};
use crate::schema::{Dataset, Kind};

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The column's value.
    Column(usize),
    /// The number divided by another, cut towards zero, as SQL's `/` does it.
    Divided(usize, i64),
    /// The least multiple of a number that is not above the value, less nothing: where its span begins.
    Floor(usize, i64),
}

impl Key {
    /// The column.
    #[must_use]
    pub const fn column(self) -> usize {
        match self {
            Key::Column(column) | Key::Divided(column, _) | Key::Floor(column, _) => column,
        }
    }

    /// The key of a number, and the numbers from one, included, to another, excluded, that have it too.
    pub(crate) fn of(self, value: i64) -> (i64, i64, i64) {
        match self {
            Key::Column(_) => (value, value, value.saturating_add(1)),
            Key::Divided(_, by) => {
                let by = by.max(1);
                let key = value / by;
                // Around zero, spans are twice as long: there nothing is said of neighbours.
                match key {
                    0 => (key, value, value.saturating_add(1)),
                    key if key > 0 => (key, key * by, (key * by).saturating_add(by)),
                    key => (key, value, value.saturating_add(1)),
                }
            }
            Key::Floor(_, width) => {
                let width = width.max(1);
                let begin = value.saturating_sub(value.rem_euclid(width));
                (begin, begin, begin.saturating_add(width))
            }
        }
    }
}

/// What is made of the rows of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How.
    pub function: Function,
    /// Conditions that rows must fulfil to count here.
    pub only: Vec<Filter>,
}

/// How numbers become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// How many rows.
    Rows,
    /// How many values of a column.
    Count(usize),
    /// The sum of a column; nothing where there is no value.
    Sum(usize),
    /// The mean of a column.
    Mean(usize),
    /// The least of a column.
    Least(usize),
    /// The greatest of a column.
    Most(usize),
    /// The number below or at which that share of a column is, at most [`super::SKETCH_ERROR`] beside it.
    Quantile(usize, f64),
}

impl Function {
    const fn column(self) -> Option<usize> {
        match self {
            Function::Rows => None,
            Function::Count(column)
            | Function::Sum(column)
            | Function::Mean(column)
            | Function::Least(column)
            | Function::Most(column)
            | Function::Quantile(column, _) => Some(column),
        }
    }
}

/// What is made of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grouped {
    /// Nothing to make it of.
    Missing,
    /// A number.
    Number(i64),
    /// A mean.
    Mean(f64),
}

/// A group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its key.
    pub key: Vec<KeyValue>,
    /// What was made of it, in the order of the aggregates.
    pub values: Vec<Grouped>,
}

/// The numbers of every group, by the number of the group.
#[derive(Debug)]
enum Gathered {
    Counts(Vec<u64>),
    /// Sums, and how many were added.
    Sums(Vec<(i128, u64)>),
    Extremes(Vec<Option<i64>>),
    Sketches(Vec<Sketch>),
}

#[derive(Debug)]
struct Gatherer {
    aggregate: Aggregate,
    gathered: Gathered,
}

/// Groups that were made of rows.
#[derive(Debug)]
pub struct Groups {
    keyers: Vec<Keyer>,
    pairs: Vec<Pairs>,
    gatherers: Vec<Gatherer>,
    /// Which keys are ids, which people see as digits.
    ids: Vec<bool>,
    count: usize,
    read: u64,
}

impl Groups {
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How many rows were looked at.
    #[must_use]
    pub const fn rows_read(&self) -> u64 {
        self.read
    }

    /// The key of a group; not known any more once groups were thrown together.
    #[must_use]
    pub fn key(&self, number: usize) -> Vec<KeyValue> {
        let mut key = key_of(number as u32, &self.keyers, &self.pairs);
        for (part, is_id) in key.iter_mut().zip(&self.ids) {
            if let (KeyValue::Text(bytes), true) = (&*part, is_id) {
                *part = KeyValue::Text(hex(bytes).into_bytes().into());
            }
        }
        key
    }

    /// What was made of a group.
    ///
    /// # Errors
    /// When a sum has more than 64 bits.
    pub fn values(&self, number: usize) -> Result<Vec<Grouped>, QueryError> {
        self.gatherers.iter().map(|it| it.value(number)).collect()
    }

    /// Makes one group of all that go `into` the same place, of which there are so many.
    pub fn throw_together(&mut self, into: &[u32], count: usize) {
        for gatherer in &mut self.gatherers {
            gatherer.throw_together(into, count);
        }
        self.count = count;
    }
}

/// Groups rows of a data set; gives the groups and how many rows were looked at. Without keys there is
/// one group, even of no rows.
///
/// # Errors
/// When a file cannot be read, the query takes too much, a sum has more than 64 bits, or a column of
/// texts is to be summed.
pub fn group(
    dataset: Dataset,
    sources: Vec<Source>,
    filters: Vec<Filter>,
    keys: &[Key],
    aggregates: &[Aggregate],
    allowance: Allowance,
) -> Result<(Vec<Group>, u64), QueryError> {
    let groups = gather(dataset, sources, filters, keys, aggregates, allowance)?;
    let all = (0..groups.count).map(|number| {
        let (key, values) = (groups.key(number), groups.values(number)?);
        Ok(Group { key, values })
    });
    let all = all.collect::<Result<_, QueryError>>()?;
    Ok((all, groups.read))
}

/// The same, for groups that may be thrown together before anything is made of them.
///
/// # Errors
/// As [`group`].
pub fn gather(
    dataset: Dataset,
    sources: Vec<Source>,
    filters: Vec<Filter>,
    keys: &[Key],
    aggregates: &[Aggregate],
    allowance: Allowance,
) -> Result<Groups, QueryError> {
    let wanted: Vec<usize> = keys
        .iter()
        .map(|key| key.column())
        .chain(aggregates.iter().filter_map(|it| it.function.column()))
        .chain(
            aggregates
                .iter()
                .flat_map(|it| it.only.iter().map(|only| only.column)),
        )
        .collect();
    // Columns that nothing but their key is wanted of.
    let (_, others) = wanted.split_at(keys.len());
    let spans = keys.iter().enumerate().filter(|(at, key)| {
        let again = keys.iter().enumerate();
        let again = again.filter(|(other, it)| other != at && it.column() == key.column());
        !others.contains(&key.column()) && again.count() == 0
    });
    let spans = spans.map(|(_, key)| *key).collect();
    let scanner = Scanner::new(dataset, sources, filters, &wanted, allowance.clone());
    let mut scanner = scanner.with_spans(spans);
    let mut keyers: Vec<Keyer> = keys.iter().map(|key| Keyer::new(*key)).collect();
    let mut pairs: Vec<Pairs> = keys.iter().skip(1).map(|_| Pairs::default()).collect();
    let mut gatherers: Vec<Gatherer> = aggregates.iter().map(Gatherer::new).collect();
    let (mut groups, mut part) = (Vec::new(), Vec::new());
    let mut count = usize::from(keys.is_empty());
    gatherers.iter_mut().for_each(|it| it.widen(count));
    while let Some(batch) = scanner.next_batch()? {
        groups.clear();
        let mut parts = keyers.iter_mut();
        match parts.next() {
            Some(first) => first.number(&batch, &mut groups, &allowance)?,
            None => groups.resize(batch.rows, 0),
        }
        for (keyer, pairs) in parts.zip(&mut pairs) {
            part.clear();
            keyer.number(&batch, &mut part, &allowance)?;
            pairs.join(&mut groups, &part);
        }
        count = match (pairs.last(), keyers.first()) {
            (Some(pairs), _) => pairs.pairs.len(),
            (None, Some(first)) => first.values.len(),
            (None, None) => 1,
        };
        allowance.groups(count)?;
        let mut bytes = keyers.iter().map(|it| it.bytes).sum::<usize>()
            + pairs.iter().map(Pairs::bytes).sum::<usize>();
        for gatherer in &mut gatherers {
            gatherer.widen(count);
            gatherer.take(&batch, &groups)?;
            bytes += gatherer.bytes();
        }
        allowance.bytes(bytes)?;
    }
    let ids = keys
        .iter()
        .map(|key| dataset.columns()[key.column()].kind == Kind::Id);
    Ok(Groups {
        ids: ids.collect(),
        read: scanner.rows_read(),
        keyers,
        pairs,
        gatherers,
        count,
    })
}

/// The parts of the key of a group.
fn key_of(number: u32, keyers: &[Keyer], pairs: &[Pairs]) -> Vec<KeyValue> {
    let mut key = Vec::new();
    let mut number = number;
    for (keyer, pairs) in keyers.iter().skip(1).zip(pairs).rev() {
        let (left, right) = pairs.pairs[number as usize];
        key.push(keyer.values[right as usize].clone());
        number = left;
    }
    if let Some(first) = keyers.first() {
        key.push(first.values[number as usize].clone());
    }
    key.reverse();
    key
}

impl Gatherer {
    fn new(aggregate: &Aggregate) -> Self {
        let gathered = match aggregate.function {
            Function::Rows | Function::Count(_) => Gathered::Counts(Vec::new()),
            Function::Sum(_) | Function::Mean(_) => Gathered::Sums(Vec::new()),
            Function::Least(_) | Function::Most(_) => Gathered::Extremes(Vec::new()),
            Function::Quantile(..) => Gathered::Sketches(Vec::new()),
        };
        Self {
            aggregate: aggregate.clone(),
            gathered,
        }
    }

    fn widen(&mut self, groups: usize) {
        match &mut self.gathered {
            Gathered::Counts(counts) => counts.resize(groups, 0),
            Gathered::Sums(sums) => sums.resize(groups, (0, 0)),
            Gathered::Extremes(extremes) => extremes.resize(groups, None),
            Gathered::Sketches(sketches) => sketches.resize_with(groups, Sketch::default),
        }
    }

    fn throw_together(&mut self, into: &[u32], count: usize) {
        let whole = Self::new(&self.aggregate);
        let parts = std::mem::replace(self, whole);
        self.widen(count);
        let most = matches!(self.aggregate.function, Function::Most(_));
        let place = |number: usize| into[number] as usize;
        match (&mut self.gathered, parts.gathered) {
            (Gathered::Counts(all), Gathered::Counts(parts)) => {
                let parts = parts.into_iter().enumerate();
                parts.for_each(|(number, part)| all[place(number)] += part);
            }
            (Gathered::Sums(all), Gathered::Sums(parts)) => {
                for (number, (sum, count)) in parts.into_iter().enumerate() {
                    let whole = &mut all[place(number)];
                    *whole = (whole.0 + sum, whole.1 + count);
                }
            }
            (Gathered::Extremes(all), Gathered::Extremes(parts)) => {
                for (number, part) in parts.into_iter().enumerate() {
                    let whole = &mut all[place(number)];
                    *whole = match (*whole, part, most) {
                        (Some(one), Some(other), true) => Some(one.max(other)),
                        (Some(one), Some(other), false) => Some(one.min(other)),
                        (one, other, _) => one.or(other),
                    };
                }
            }
            (Gathered::Sketches(all), Gathered::Sketches(parts)) => {
                let parts = parts.iter().enumerate();
                parts.for_each(|(number, part)| all[place(number)].add(part));
            }
            _ => {}
        }
    }

    fn bytes(&self) -> usize {
        match &self.gathered {
            Gathered::Counts(counts) => counts.len() * size_of::<u64>(),
            Gathered::Sums(sums) => sums.len() * size_of::<(i128, u64)>(),
            Gathered::Extremes(extremes) => extremes.len() * size_of::<Option<i64>>(),
            Gathered::Sketches(sketches) => sketches.iter().map(Sketch::bytes).sum(),
        }
    }

    fn take(&mut self, batch: &Batch, groups: &[u32]) -> Result<(), QueryError> {
        if self.aggregate.only.is_empty() {
            return self.take_rows(batch, groups, None);
        }
        let mut kept: Vec<u32> = (0..batch.rows as u32).collect();
        for only in &self.aggregate.only {
            match batch.column(only.column) {
                Some(vector) => only.test.sieve(vector, &mut kept),
                None if only.test == super::Test::Missing => {}
                None => kept.clear(),
            }
        }
        self.take_rows(batch, groups, Some(&kept))
    }

    fn take_rows(
        &mut self,
        batch: &Batch,
        groups: &[u32],
        kept: Option<&[u32]>,
    ) -> Result<(), QueryError> {
        let Some(column) = self.aggregate.function.column() else {
            if let Gathered::Counts(counts) = &mut self.gathered {
                match kept {
                    None => groups.iter().for_each(|group| counts[*group as usize] += 1),
                    Some(kept) => kept
                        .iter()
                        .for_each(|row| counts[groups[*row as usize] as usize] += 1),
                }
            }
            return Ok(());
        };
        let Some(vector) = batch.column(column) else {
            return Ok(());
        };
        if let Gathered::Counts(counts) = &mut self.gathered {
            for_present(vector, batch.rows, kept, |row| {
                counts[groups[row] as usize] += 1;
            });
            return Ok(());
        }
        let Data::Numbers(numbers) = &vector.0 else {
            return Err(QueryError::Invalid(
                "a column of texts has no sum, mean, extreme or quantile here".into(),
            ));
        };
        let values = &numbers.values;
        match &mut self.gathered {
            Gathered::Counts(_) => {}
            Gathered::Sums(sums) => for_present(vector, batch.rows, kept, |row| {
                let (sum, count) = &mut sums[groups[row] as usize];
                *sum += i128::from(values[row]);
                *count += 1;
            }),
            Gathered::Extremes(extremes) => {
                let most = matches!(self.aggregate.function, Function::Most(_));
                for_present(vector, batch.rows, kept, |row| {
                    let extreme = &mut extremes[groups[row] as usize];
                    let value = values[row];
                    *extreme = Some(match (*extreme, most) {
                        (None, _) => value,
                        (Some(found), true) => found.max(value),
                        (Some(found), false) => found.min(value),
                    });
                });
            }
            Gathered::Sketches(sketches) => for_present(vector, batch.rows, kept, |row| {
                sketches[groups[row] as usize].record(values[row]);
            }),
        }
        Ok(())
    }

    fn value(&self, group: usize) -> Result<Grouped, QueryError> {
        let number = |number: Option<i64>| number.map_or(Grouped::Missing, Grouped::Number);
        Ok(match (&self.gathered, self.aggregate.function) {
            (Gathered::Counts(counts), _) => Grouped::Number(counts[group] as i64),
            (Gathered::Sums(sums), Function::Mean(_)) => match sums[group] {
                (_, 0) => Grouped::Missing,
                (sum, count) => Grouped::Mean(sum as f64 / count as f64),
            },
            (Gathered::Sums(sums), _) => match sums[group] {
                (_, 0) => Grouped::Missing,
                (sum, _) => Grouped::Number(
                    i64::try_from(sum)
                        .map_err(|_| QueryError::Invalid("integer overflow".into()))?,
                ),
            },
            (Gathered::Extremes(extremes), _) => number(extremes[group]),
            (Gathered::Sketches(sketches), Function::Quantile(_, share)) => {
                number(sketches[group].quantile(share))
            }
            (Gathered::Sketches(_), _) => Grouped::Missing,
        })
    }
}

/// Calls for each row that counts and has a value.
#[inline]
fn for_present(vector: &Vector, rows: usize, kept: Option<&[u32]>, mut each: impl FnMut(usize)) {
    let present = |row: usize| match &vector.0 {
        Data::Numbers(numbers) => numbers.valid[row],
        Data::Texts(texts) => texts.codes[row] != super::vector::NONE,
    };
    let all = matches!(&vector.0, Data::Numbers(numbers) if numbers.valid.is_empty());
    match (kept, all) {
        (None, true) => (0..rows).for_each(each),
        (None, false) => (0..rows).filter(|row| present(*row)).for_each(each),
        (Some(kept), true) => kept.iter().for_each(|row| each(*row as usize)),
        (Some(kept), false) => {
            let rows = kept.iter().map(|row| *row as usize);
            rows.filter(|row| present(*row)).for_each(each);
        }
    }
}
