//! Where a text can be cut so that nothing that is looked for crosses the cut.
//!
//! Cuts lie behind white space (in JSON text also behind `,`, `{` and `[` outside of strings), and
//! there only where the word before could not be the first part of a grouped number, an IBAN, an
//! assignment, a key block or a listed phrase. Whether a place is a cut depends on the text before
//! it alone, never on how the text arrived.

use super::detect::{LABEL_MAX, byte_before, ends_with_keyword, is_word, starts_iban};
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

/// A key block that has begun, however long it is; or what may become one.
#[derive(Debug, Clone, Copy)]
enum Block {
    /// Its first line has begun: bytes of the label so far, and whether it names a key.
    Label { length: usize, is_private: bool },
    /// In its body.
    Body,
    /// Its last line has begun: bytes of the label so far.
    Ending { length: usize },
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
        let in_block = needs.blocks && self.in_block(word, space);
        let in_iban = needs.iban && self.in_iban(word, same_line);
        let assigned = needs.assignment && self.assigned(word, same_line);
        let in_number = needs.numbers && same_line && may_be_number(word);
        !(in_block || in_iban || assigned || in_number)
    }

    /// Whether the text is inside of a key block behind this word and the white space after it.
    ///
    /// Marks and labels are as `detect/secret.rs` reads them; dashes hold no white space, so that
    /// none lie across two words.
    fn in_block(&mut self, word: &[u8], space: u8) -> bool {
        let dashes = |at: usize, most: usize| {
            let most = word.len().min(at.saturating_add(most));
            memchr::memmem::find(word.get(at..most)?, b"-----").map(|found| at + found)
        };
        // One word may end a line of a block and begin the next.
        let mut at = 0;
        loop {
            match self.block {
                Some(Block::Label { length, is_private }) => {
                    let end = dashes(at, LABEL_MAX.saturating_sub(length));
                    let label = &word[at..end.unwrap_or(word.len())];
                    // Of a public one nothing would leak; it is not worth telling them apart here.
                    let is_private = is_private || memchr::memmem::find(label, b"KEY").is_some();
                    self.block = match end {
                        Some(_) if is_private => Some(Block::Body),
                        Some(_) => None,
                        None if length + label.len() + 1 > LABEL_MAX => None,
                        None => {
                            self.block = Some(Block::Label {
                                length: length + label.len() + 1,
                                is_private,
                            });
                            return true;
                        }
                    };
                    // Those dashes may begin another block, those of a private key may not.
                    at = end.map_or(at, |end| end + 5 * usize::from(is_private));
                }
                Some(Block::Body) => {
                    let Some(mark) = memchr::memmem::find(&word[at..], b"-----END") else {
                        return true;
                    };
                    at += mark + 8;
                    if at == word.len() && space == b' ' {
                        self.block = Some(Block::Ending { length: 0 });
                        return true;
                    }
                }
                Some(Block::Ending { length }) => {
                    let end = dashes(at, LABEL_MAX.saturating_sub(length));
                    let length = length + word.len() - at + 1;
                    self.block = match end {
                        Some(_) => None,
                        None if length > LABEL_MAX => Some(Block::Body),
                        None => {
                            self.block = Some(Block::Ending { length });
                            return true;
                        }
                    };
                    at = end.unwrap_or(at);
                }
                None => {
                    let begins = space == b' ' && word[at..].ends_with(b"-----BEGIN");
                    self.block = begins.then_some(Block::Label {
                        length: 0,
                        is_private: false,
                    });
                    return begins;
                }
            }
        }
    }

    fn in_iban(&mut self, word: &[u8], same_line: bool) -> bool {
        let is_part = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let missing = std::mem::take(&mut self.iban);
        if !same_line {
            return false;
        }
        let goes_on = word.iter().all(is_part);
        let left = if goes_on {
            missing.saturating_sub(word.len())
        } else {
            0
        };
        let tail = word
            .iter()
            .rev()
            .take(34)
            .take_while(|byte| is_part(byte))
            .count();
        let start = word.len() - tail;
        let begun = starts_iban(&word[start..])
            .filter(|_| !is_word(byte_before(word, start, b' ')))
            .map_or(0, |length| length.saturating_sub(tail));
        // What goes on may be none, and the one that begins within it the true one. Both lack fewer with
        // each word, so that the one that lacks more outlasts the other.
        self.iban = left.max(begun);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_lies_in_an_iban_that_begins_where_another_might_go_on() {
        let text = b"GB29 NWBK 6016 133AN GB29 NWBK 6016 1331 9268 19, and";
        let needs = Needs {
            iban: true,
            ..Needs::default()
        };
        let mut cutter = Cutter::default();
        for end in 0..=text.len() {
            let cut = cutter.advance(text, end, needs, None, |_| false);
            // The true one is from 21 to 48.
            assert!(!(22..48).contains(&cut), "a cut at {cut} of {end} bytes");
        }
        assert_eq!(cutter.cut, 50, "behind it there is one");
    }
}
