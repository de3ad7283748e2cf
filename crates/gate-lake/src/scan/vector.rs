//! Columns in memory: numbers, and texts as codes of a dictionary.

use std::ops::Range;
use std::sync::Arc;

/// The code of a missing text.
pub(crate) const NONE: u32 = u32::MAX;

/// Byte strings, one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds one; false when the arena has no room for it.
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.bytes.len() + text.len()) else {
            return false;
        };
        self.bytes.extend_from_slice(text);
        self.ends.push(end);
        true
    }

    /// Adds texts of one length that lie one behind the other; false when there is no room for them.
    pub(crate) fn extend_fixed(&mut self, texts: &[u8], length: usize) -> bool {
        let first = self.bytes.len();
        if u32::try_from(first + texts.len()).is_err() || length == 0 {
            return false;
        }
        self.bytes.extend_from_slice(texts);
        let count = texts.len() / length;
        let ends = (1..=count).map(|place| (first + place * length) as u32);
        self.ends.extend(ends);
        true
    }

    /// Adds texts of another; false when there is no room for them.
    pub(crate) fn extend(&mut self, from: &Arena, texts: Range<usize>) -> bool {
        let (start, end) = (from.begin(texts.start), from.begin(texts.end));
        let first = self.bytes.len();
        if u32::try_from(first + end - start).is_err() {
            return false;
        }
        self.bytes.extend_from_slice(&from.bytes[start..end]);
        let ends = from.ends[texts].iter();
        // Neither is beyond what was just found to fit.
        self.ends
            .extend(ends.map(|end| (first + (*end as usize - start)) as u32));
        true
    }

    fn begin(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize)
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.begin(index)..self.ends[index] as usize]
    }
}

/// Texts as codes: below the dictionary's length its own, above it those of `local`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    pub(crate) codes: Vec<u32>,
    pub(crate) dictionary: Arc<Arena>,
    pub(crate) local: Arena,
}

impl Texts {
    pub(crate) fn text(&self, code: u32) -> &[u8] {
        let (code, own) = (code as usize, self.dictionary.len());
        match code.checked_sub(own) {
            None => self.dictionary.get(code),
            Some(local) => self.local.get(local),
        }
    }
}

/// Numbers; `valid` is empty where none is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) values: Vec<i64>,
    pub(crate) valid: Vec<bool>,
}

impl Numbers {
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        match self.valid.get(row) {
            Some(false) => None,
            _ => Some(self.values[row]),
        }
    }
}

/// A column of a batch.
#[derive(Debug, Clone)]
pub struct Vector(pub(crate) Data);

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Numbers(Numbers),
    Texts(Texts),
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// None.
    Missing,
    /// A number, a time, or a flag as 0 or 1.
    Number(i64),
    /// A text, an id or content.
    Bytes(&'a [u8]),
}

impl Vector {
    pub(crate) fn numbers() -> Self {
        Vector(Data::Numbers(Numbers::default()))
    }

    pub(crate) fn texts() -> Self {
        Vector(Data::Texts(Texts::default()))
    }

    /// The value of a row of the batch.
    ///
    /// # Panics
    /// When the batch has no such row.
    #[must_use]
    pub fn cell(&self, row: usize) -> Cell<'_> {
        match &self.0 {
            Data::Numbers(numbers) => numbers.get(row).map_or(Cell::Missing, Cell::Number),
            Data::Texts(texts) => match texts.codes[row] {
                NONE => Cell::Missing,
                code => Cell::Bytes(texts.text(code)),
            },
        }
    }

    /// Keeps these rows alone.
    pub(crate) fn select(&mut self, rows: &[u32]) {
        match &mut self.0 {
            Data::Numbers(numbers) => {
                pick(&mut numbers.values, rows);
                if !numbers.valid.is_empty() {
                    pick(&mut numbers.valid, rows);
                }
            }
            Data::Texts(texts) => pick(&mut texts.codes, rows),
        }
    }
}

/// Moves what rows of ascending numbers hold to the front.
fn pick<T: Copy>(values: &mut Vec<T>, rows: &[u32]) {
    for (to, from) in rows.iter().enumerate() {
        values[to] = values[*from as usize];
    }
    values.truncate(rows.len());
}
