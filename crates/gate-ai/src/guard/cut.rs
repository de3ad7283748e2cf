//! Where a text can be cut so that nothing that is looked for crosses the cut.
//!
//! Cuts lie behind white space (in JSON text also behind `,`, `{` and `[` outside of strings), and
//! there only where the word before could not be the first part of a grouped number, an IBAN, an
//! assignment, a key block or a listed phrase. Whether a place is a cut depends on the text before
//! it alone, never on how the text arrived.

use super::detect::{MATCH_MAX, byte_before, ends_with_keyword, is_word, starts_iban};
use super::words::Words;
use aho_corasick::automaton::StateID;

/// What is looked for that may have white space in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) numbers: bool,
    pub(crate) iban: bool,
    pub(crate) assignment: bool,
    pub(crate) blocks: bool,
}

/// A key block that has begun.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Bytes since its beginning.
    length: usize,
    /// Its end line has begun.
    ending: bool,
}

/// Finds cuts in a text that grows at its end.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// First byte that was not looked at.
    at: usize,
    /// Start of the word that is being read.
    word: usize,
    /// Last cut; 0 for none.
    cut: usize,
    /// Characters still missing from an IBAN in groups.
    iban: usize,
    /// The word before ended with the name of a secret.
    named: bool,
    block: Option<Block>,
    words: Option<StateID>,
}

impl Cutter {
    /// Looks at what is new in `text` up to `end`; returns the last cut. `is_outside` says whether
    /// a byte of JSON text lies outside of strings.
    pub(crate) fn advance(
        &mut self,
        text: &[u8],
        end: usize,
        needs: Needs,
        words: Option<&Words>,
        is_outside: impl Fn(usize) -> bool,
    ) -> usize {
        while self.at < end {
            let (at, byte) = (self.at, text[self.at]);
            self.at += 1;
            let quiet = words.is_none_or(|words| {
                let state = words.step(self.words, byte);
                self.words = Some(state);
                words.is_start(state)
            });
            if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                let word = &text[self.word..at];
                if self.is_cut(word, byte, needs) && quiet {
                    self.cut = at + 1;
                }
                self.word = at + 1;
            } else if matches!(byte, b',' | b'{' | b'[') && is_outside(at) {
                (self.iban, self.named, self.block) = (0, false, None);
                if quiet {
                    self.cut = at + 1;
                }
                self.word = at + 1;
            }
        }
        self.cut
    }

    /// The first `count` bytes are gone.
    pub(crate) fn shift(&mut self, count: usize) {
        self.at = self.at.saturating_sub(count);
        self.word = self.word.saturating_sub(count);
        self.cut = self.cut.saturating_sub(count);
    }

    fn is_cut(&mut self, word: &[u8], space: u8, needs: Needs) -> bool {
        let same_line = matches!(space, b' ' | b'\t') && !word.is_empty();
        // Each of these also keeps its own memory, so all of them are asked.
        let in_block = needs.blocks && self.in_block(word);
        let in_iban = needs.iban && self.in_iban(word, same_line);
        let assigned = needs.assignment && self.assigned(word, same_line);
        let in_number = needs.numbers && same_line && may_be_number(word);
        !(in_block || in_iban || assigned || in_number)
    }

    fn in_block(&mut self, word: &[u8]) -> bool {
        let behind = |at: usize, mark: &[u8]| {
            memchr::memmem::find(&word[at..], mark).map(|found| at + found + mark.len())
        };
        if let Some(block) = &mut self.block {
            block.length += word.len() + 1;
        }
        // One word may end a block and begin the next.
        let mut at = 0;
        loop {
            let next = match &mut self.block {
                None => behind(at, b"-----BEGIN").inspect(|begun| {
                    let length = word.len() - (begun - 10);
                    self.block = Some(Block {
                        length,
                        ending: false,
                    });
                }),
                Some(block) if !block.ending => {
                    let end = behind(at, b"-----END");
                    block.ending = end.is_some();
                    end
                }
                // Any of these dashes may belong to the beginning of the next one.
                Some(_) => behind(at, b"-----").map(|end| {
                    self.block = None;
                    end - 5
                }),
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        if self.block.is_some_and(|block| block.length > MATCH_MAX) {
            self.block = None;
        }
        self.block.is_some()
    }

    fn in_iban(&mut self, word: &[u8], same_line: bool) -> bool {
        let is_part = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let missing = std::mem::take(&mut self.iban);
        if !same_line {
            return false;
        }
        if missing > 0 && word.iter().all(is_part) && word.len() < missing {
            self.iban = missing - word.len();
            return true;
        }
        let tail = word
            .iter()
            .rev()
            .take(34)
            .take_while(|byte| is_part(byte))
            .count();
        let start = word.len() - tail;
        if let Some(length) = starts_iban(&word[start..])
            && !is_word(byte_before(word, start, b' '))
            && tail < length
        {
            self.iban = length - tail;
        }
        self.iban > 0
    }

    fn assigned(&mut self, word: &[u8], same_line: bool) -> bool {
        let was_named = std::mem::take(&mut self.named);
        if !same_line {
            return false;
        }
        let mut name = word;
        while let [rest @ .., b'=' | b':' | b'>'] = name {
            name = rest;
        }
        for _ in 0..3 {
            if let [rest @ .., b'"' | b'\'' | b'`' | b']' | b'\\'] = name {
                name = rest;
            }
        }
        self.named = if name.is_empty() {
            was_named
        } else {
            ends_with_keyword(name)
        };
        self.named
    }
}

/// Whether this word may be the first groups of a number that goes on behind a space.
fn may_be_number(word: &[u8]) -> bool {
    if !matches!(word.last(), Some(b'0'..=b'9' | b')')) {
        return false;
    }
    let is_part = |byte: &u8| {
        byte.is_ascii_digit() || matches!(byte, b'(' | b')' | b'+' | b'-' | b'.' | b'/')
    };
    let tail = word.iter().rev().take_while(|byte| is_part(byte)).count();
    let start = word.len() - tail;
    !is_word(byte_before(word, start, b' ')) || !word[start..].iter().all(u8::is_ascii_digit)
}
