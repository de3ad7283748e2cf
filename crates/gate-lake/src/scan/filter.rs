//! Conditions on one column each, all of which must hold.

use super::vector::{Data, NONE, Numbers, Texts, Vector};
use std::collections::HashSet;

/// A condition on a column. A missing value fulfils [`Test::Missing`] alone, as in SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The column, by its place in the data set.
    pub column: usize,
    /// What it must be.
    pub test: Test,
}

/// What a column must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A number within both, included.
    Range(i64, i64),
    /// Any number but this.
    NotNumber(i64),
    /// One of these numbers.
    Numbers(HashSet<i64>),
    /// One of these texts.
    Texts(HashSet<Vec<u8>>),
    /// Any text but this.
    NotText(Vec<u8>),
    /// A text from one, included, to another, excluded; none is no bound.
    Between(Option<Vec<u8>>, Option<Vec<u8>>),
    /// No value.
    Missing,
    /// Any value.
    Present,
    /// Nothing fulfils it.
    Never,
}

impl Test {
    /// Equal to a number.
    #[must_use]
    pub fn number(number: i64) -> Self {
        Test::Range(number, number)
    }

    /// Equal to a text.
    #[must_use]
    pub fn text(text: &[u8]) -> Self {
        Test::Texts([text.to_vec()].into())
    }

    /// Beginning with this, byte for byte.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        // The first text after all that begin so: the last byte that can grow, grown by one.
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        let end = end.pop().map(|last| {
            let mut end = end;
            end.push(last + 1);
            end
        });
        Test::Between(Some(prefix.to_vec()), end)
    }

    fn number_holds(&self, number: i64) -> bool {
        match self {
            Test::Range(low, high) => (*low..=*high).contains(&number),
            Test::NotNumber(other) => number != *other,
            Test::Numbers(these) => these.contains(&number),
            Test::Present => true,
            _ => false,
        }
    }

    fn text_holds(&self, text: &[u8]) -> bool {
        match self {
            Test::Texts(these) => these.contains(text),
            Test::NotText(other) => text != other,
            Test::Between(low, high) => {
                low.as_ref().is_none_or(|low| text >= low.as_slice())
                    && high.as_ref().is_none_or(|high| text < high.as_slice())
            }
            Test::Present => true,
            _ => false,
        }
    }

    /// Whether some number between both may fulfil it.
    pub(crate) fn may_number(&self, least: i64, most: i64) -> bool {
        match self {
            Test::Range(low, high) => *low <= most && *high >= least && low <= high,
            Test::NotNumber(other) => !(least == most && least == *other),
            Test::Numbers(these) => these.iter().any(|it| (least..=most).contains(it)),
            Test::Present => true,
            _ => false,
        }
    }

    /// Whether every number between both fulfils it.
    pub(crate) fn surely(&self, least: i64, most: i64) -> bool {
        match self {
            Test::Range(low, high) => *low <= least && most <= *high,
            Test::Present => true,
            _ => false,
        }
    }

    /// Whether some text between both, included, may fulfil it.
    pub(crate) fn may_text(&self, least: &[u8], most: &[u8]) -> bool {
        match self {
            Test::Texts(these) => these
                .iter()
                .any(|text| text.as_slice() >= least && text.as_slice() <= most),
            Test::Between(low, high) => {
                low.as_ref().is_none_or(|low| low.as_slice() <= most)
                    && high.as_ref().is_none_or(|high| high.as_slice() > least)
            }
            Test::NotText(_) | Test::Present => true,
            _ => false,
        }
    }

    /// Takes the rows that do not fulfil it out of `rows`.
    pub(crate) fn sieve(&self, vector: &Vector, rows: &mut Vec<u32>) {
        match &vector.0 {
            Data::Numbers(numbers) => self.sieve_numbers(numbers, rows),
            Data::Texts(texts) => self.sieve_texts(texts, rows),
        }
    }

    fn sieve_numbers(&self, numbers: &Numbers, rows: &mut Vec<u32>) {
        match self {
            Test::Missing => rows.retain(|row| numbers.get(*row as usize).is_none()),
            Test::Range(low, high) if numbers.valid.is_empty() => {
                let (low, high) = (*low, *high);
                rows.retain(|row| {
                    let number = numbers.values[*row as usize];
                    number >= low && number <= high
                });
            }
            test => rows.retain(|row| {
                let number = numbers.get(*row as usize);
                number.is_some_and(|number| test.number_holds(number))
            }),
        }
    }

    fn sieve_texts(&self, texts: &Texts, rows: &mut Vec<u32>) {
        if *self == Test::Missing {
            return rows.retain(|row| texts.codes[*row as usize] == NONE);
        }
        // Ids are looked for one by one, and comparing is cheaper than hashing.
        if let Test::Texts(these) = self
            && let (1, Some(only), 0) = (these.len(), these.iter().next(), texts.dictionary.len())
        {
            let holds = |code| code != NONE && texts.local.get(code as usize) == only.as_slice();
            return rows.retain(|row| holds(texts.codes[*row as usize]));
        }
        // Codes of the dictionary come again and again: each is judged once.
        let mut judged: Vec<Option<bool>> = vec![None; texts.dictionary.len()];
        rows.retain(|row| match texts.codes[*row as usize] {
            NONE => false,
            code => match judged.get_mut(code as usize) {
                Some(verdict) => *verdict.get_or_insert_with(|| self.text_holds(texts.text(code))),
                None => self.text_holds(texts.text(code)),
            },
        });
    }
}
