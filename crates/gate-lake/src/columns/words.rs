//! A column of words: each different one once, and a code per row.

use parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

/// The code of a row that lacks a word.
pub const NO_WORD: u32 = u32::MAX;

/// A column of words.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// By code; shared with the encoder, which clones them by counting.
    known: Vec<ByteArray>,
    codes: Vec<u32>,
    index: FxHashMap<Box<[u8]>, u32>,
}

impl Words {
    /// Appends a row's word.
    pub fn push(&mut self, word: Option<&[u8]>) {
        let code = word.map_or(NO_WORD, |word| self.code(word));
        self.codes.push(code);
    }

    /// The code of a word, which is made known.
    fn code(&mut self, word: &[u8]) -> u32 {
        // Neighbours are often alike, and comparing is cheaper than hashing.
        if let Some(&last) = self.codes.last()
            && last != NO_WORD
            && self.known[last as usize].data() == word
        {
            return last;
        }
        if let Some(&code) = self.index.get(word) {
            return code;
        }
        let code = self.known.len() as u32;
        self.known.push(ByteArray::from(word.to_vec()));
        self.index.insert(word.into(), code);
        code
    }

    /// Appends rows of another column.
    pub(super) fn extend(&mut self, from: &Words, rows: impl Iterator<Item = usize>) {
        let mut ours = vec![NO_WORD; from.known.len()];
        for row in rows {
            let code = from.codes[row];
            if code == NO_WORD {
                self.codes.push(NO_WORD);
                continue;
            }
            let place = &mut ours[code as usize];
            if *place == NO_WORD {
                *place = self.code(from.known[code as usize].data());
            }
            self.codes.push(*place);
        }
    }

    /// Words by their code.
    #[must_use]
    pub fn known(&self) -> &[ByteArray] {
        &self.known
    }

    /// The code of each row; [`NO_WORD`] for none.
    #[must_use]
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// A row's word.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        let word = self.known.get(self.codes[row] as usize)?;
        std::str::from_utf8(word.data()).ok()
    }

    /// Replaces every word; none takes it away.
    pub(crate) fn map(&mut self, mut to: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        let old = std::mem::take(self);
        let new: Vec<Option<Vec<u8>>> = old.known.iter().map(|word| to(word.data())).collect();
        for code in old.codes {
            let word = new.get(code as usize).and_then(Option::as_deref);
            self.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random::{self, below};

    #[test]
    fn every_row_has_its_word_and_every_word_one_code() {
        random::seed(21);
        let mut words = Words::default();
        let mut rows = Vec::new();
        for _ in 0..50_000 {
            let word = match below(5) {
                0 => None,
                1 => Some("x".repeat(below(6))),
                2 => Some(format!("name-{}", below(2_000))),
                3 => Some(format!("{}-of-many", below(2_000))),
                _ => Some(format!("team-{}", below(5))),
            };
            words.push(word.as_ref().map(String::as_bytes));
            rows.push(word);
        }
        for (row, word) in rows.iter().enumerate() {
            assert_eq!(words.get(row), word.as_deref());
        }
        let mut known: Vec<&[u8]> = words.known().iter().map(ByteArray::data).collect();
        known.sort_unstable();
        assert!(known.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
