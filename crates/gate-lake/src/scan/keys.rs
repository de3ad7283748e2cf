//! What rows are grouped by: values become small numbers, the same value always the same number.

use super::rows::Batch;
use super::vector::{Arena, Data, NONE, Numbers, Texts};
use super::{Allowance, Key, QueryError};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A value that is a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyValue {
    /// None.
    Missing,
    /// A number.
    Number(i64),
    /// A text.
    Text(Box<[u8]>),
}

/// Bytes as hexadecimal digits in small letters: how people see ids.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[digit as usize] as char).collect()
}

/// Room that a key takes in the tables beside its text, about.
const KEY_BYTES: usize = 96;
const UNKNOWN: u32 = u32::MAX;

/// One part of a key.
#[derive(Debug)]
pub(crate) struct Keyer {
    key: Key,
    pub(crate) values: Vec<KeyValue>,
    missing: Option<u32>,
    numbers: FxHashMap<i64, u32>,
    texts: FxHashMap<Box<[u8]>, u32>,
    /// What the codes of the dictionary in hand stand for.
    dictionary: Arc<Arena>,
    known: Vec<u32>,
    pub(crate) bytes: usize,
}

impl Keyer {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            values: Vec::new(),
            missing: None,
            numbers: FxHashMap::default(),
            texts: FxHashMap::default(),
            dictionary: Arc::default(),
            known: Vec::new(),
            bytes: 0,
        }
    }

    /// Appends the number of each row's value.
    pub(crate) fn number(
        &mut self,
        batch: &Batch,
        into: &mut Vec<u32>,
        allowance: &Allowance,
    ) -> Result<(), QueryError> {
        if let Some(number) = batch.constant(self.key.column()) {
            let (keyed, ..) = self.key.of(number);
            let number = self.of_number(keyed);
            into.resize(into.len() + batch.rows, number);
            return allowance.groups(self.values.len());
        }
        match batch.column(self.key.column()).map(|vector| &vector.0) {
            None => {
                let missing = self.of_missing();
                into.resize(into.len() + batch.rows, missing);
            }
            Some(Data::Numbers(numbers)) => self.of_numbers(numbers, batch.rows, into),
            Some(Data::Texts(texts)) => self.of_texts(texts, into),
        }
        allowance.groups(self.values.len())?;
        allowance.bytes(self.bytes)
    }

    fn of_missing(&mut self) -> u32 {
        let values = &mut self.values;
        *self.missing.get_or_insert_with(|| {
            values.push(KeyValue::Missing);
            (values.len() - 1) as u32
        })
    }

    fn of_numbers(&mut self, numbers: &Numbers, rows: usize, into: &mut Vec<u32>) {
        // Times of one hour follow each other: the bucket before is asked first.
        let mut last: Option<(i64, i64, u32)> = None;
        for row in 0..rows {
            let Some(value) = numbers.get(row) else {
                let missing = self.of_missing();
                into.push(missing);
                continue;
            };
            if let Some((low, high, number)) = last
                && value >= low
                && value < high
            {
                into.push(number);
                continue;
            }
            let (keyed, low, high) = self.key.of(value);
            let number = self.of_number(keyed);
            last = Some((low, high, number));
            into.push(number);
        }
    }

    fn of_number(&mut self, value: i64) -> u32 {
        let (values, bytes) = (&mut self.values, &mut self.bytes);
        *self.numbers.entry(value).or_insert_with(|| {
            *bytes += KEY_BYTES;
            values.push(KeyValue::Number(value));
            (values.len() - 1) as u32
        })
    }

    fn of_texts(&mut self, texts: &Texts, into: &mut Vec<u32>) {
        if !Arc::ptr_eq(&self.dictionary, &texts.dictionary) {
            self.dictionary = texts.dictionary.clone();
            self.known.clear();
            self.known.resize(self.dictionary.len(), UNKNOWN);
        }
        for &code in &texts.codes {
            if code == NONE {
                let missing = self.of_missing();
                into.push(missing);
                continue;
            }
            let number = match self.known.get(code as usize) {
                Some(&known) if known != UNKNOWN => known,
                Some(_) => {
                    let number = self.of_text(texts.text(code));
                    self.known[code as usize] = number;
                    number
                }
                None => self.of_text(texts.text(code)),
            };
            into.push(number);
        }
    }

    fn of_text(&mut self, text: &[u8]) -> u32 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.values.len() as u32;
        self.values.push(KeyValue::Text(text.into()));
        self.texts.insert(text.into(), number);
        self.bytes += KEY_BYTES + 2 * text.len();
        number
    }
}

/// Numbers for pairs of numbers: keys of several parts are pairs of a key and one more part.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    known: FxHashMap<u64, u32>,
    /// The pairs, by their numbers.
    pub(crate) pairs: Vec<(u32, u32)>,
}

impl Pairs {
    /// Makes the numbers in `left` those of their pairs with the numbers in `right`.
    pub(crate) fn join(&mut self, left: &mut [u32], right: &[u32]) {
        let mut last = (UNKNOWN, UNKNOWN, 0);
        for (left, right) in left.iter_mut().zip(right) {
            if (*left, *right) != (last.0, last.1) {
                let pairs = &mut self.pairs;
                let pair = u64::from(*left) << 32 | u64::from(*right);
                let number = *self.known.entry(pair).or_insert_with(|| {
                    pairs.push((*left, *right));
                    (pairs.len() - 1) as u32
                });
                last = (*left, *right, number);
            }
            *left = last.2;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pairs.len() * 32
    }
}
