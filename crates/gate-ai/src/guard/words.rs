//! Lists of words and expressions of the operator's own.

use super::RuleError;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::ops::Range;

/// Most words of all lists of a policy together.
const WORDS_MAX: usize = 100_000;
/// Longest word or phrase, in bytes.
const WORD_BYTES_MAX: usize = 256;
/// Longest match that an expression may have, in bytes.
const LONGEST_MAX: usize = 1024;
/// Most memory of one compiled expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Words and phrases, whatever their case, found in one pass.
pub struct Words {
    automaton: NFA,
    /// By pattern: the rule it belongs to, and whether it must stand by itself.
    owners: Vec<(usize, bool)>,
    start: StateID,
}

impl Words {
    /// An automaton over the words of several rules: rule, whether words must stand by themselves,
    /// and the words.
    ///
    /// # Errors
    /// When a word is empty or too long, or there are too many.
    pub fn new<'a>(
        lists: impl IntoIterator<Item = (usize, bool, &'a [String])>,
    ) -> Result<Self, RuleError> {
        let mut patterns: Vec<String> = Vec::new();
        let mut owners = Vec::new();
        for (rule, whole, words) in lists {
            for word in words {
                let word = word.trim();
                if word.is_empty() || word.len() > WORD_BYTES_MAX {
                    return Err(RuleError(format!(
                        "a word must have 1 to {WORD_BYTES_MAX} bytes, not {}",
                        word.len()
                    )));
                }
                // The automaton ignores the case of ASCII only.
                let forms = [word.to_owned(), word.to_lowercase(), word.to_uppercase()];
                let count = if word.is_ascii() { 1 } else { 3 };
                for form in &forms[..count] {
                    patterns.push(form.clone());
                    owners.push((rule, whole));
                }
            }
        }
        if patterns.len() > WORDS_MAX {
            return Err(RuleError(format!(
                "at most {WORDS_MAX} words can be listed"
            )));
        }
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(&patterns)
            .map_err(|error| RuleError(format!("the words cannot be compiled: {error}")))?;
        let start = automaton
            .start_state(Anchored::No)
            .map_err(|error| RuleError(format!("the words cannot be compiled: {error}")))?;
        Ok(Self {
            automaton,
            owners,
            start,
        })
    }

    /// The state behind one more byte; `None` is the start.
    pub(crate) fn step(&self, state: Option<StateID>, byte: u8) -> StateID {
        let state = state.unwrap_or(self.start);
        self.automaton.next_state(Anchored::No, state, byte)
    }

    /// Whether no word can have begun.
    pub(crate) fn is_start(&self, state: StateID) -> bool {
        state == self.start
    }

    /// Hands every word in `text` to `push`, with its rule.
    pub(crate) fn find(&self, text: &[u8], before: u8, push: &mut dyn FnMut(usize, Range<usize>)) {
        let mut state = self.start;
        for (at, byte) in text.iter().enumerate() {
            state = self.automaton.next_state(Anchored::No, state, *byte);
            if !self.automaton.is_match(state) {
                continue;
            }
            for index in 0..self.automaton.match_len(state) {
                let pattern = self.automaton.match_pattern(state, index);
                let start = at + 1 - self.automaton.pattern_len(pattern);
                let (rule, whole) = self.owners[pattern.as_usize()];
                if !whole || stands_alone(text, before, start..at + 1) {
                    push(rule, start..at + 1);
                }
            }
        }
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Words({})", self.owners.len())
    }
}

/// Whether the characters on both sides of a word do not continue it. Scripts that are written
/// without spaces have no such sides.
fn stands_alone(text: &[u8], before: u8, range: Range<usize>) -> bool {
    let is_letter = |char: char| (char.is_alphanumeric() || char == '_') && !is_unspaced(char);
    let joins =
        |a: Option<char>, b: Option<char>| a.is_some_and(is_letter) && b.is_some_and(is_letter);
    let word = &text[range.clone()];
    let front = match range.start {
        0 => Some(if before < 0x80 {
            char::from(before)
        } else {
            'x'
        }),
        start => last_char(&text[..start]),
    };
    !joins(front, first_char(word)) && !joins(last_char(word), first_char(&text[range.end..]))
}

fn first_char(bytes: &[u8]) -> Option<char> {
    let chunk = bytes.utf8_chunks().next()?;
    chunk.valid().chars().next()
}

fn last_char(bytes: &[u8]) -> Option<char> {
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    let start = tail.iter().rposition(|byte| byte & 0xc0 != 0x80)?;
    std::str::from_utf8(&tail[start..]).ok()?.chars().next()
}

/// Thai, Lao, Khmer, Burmese, kana and Han.
const fn is_unspaced(char: char) -> bool {
    matches!(char as u32, 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff
        | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

/// A regular expression of the operator's own.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(crate) regex: Regex,
    /// Longest match, in bytes.
    pub(crate) longest: usize,
    /// Whether a match may hold white space, so that a stream must hold `longest` bytes back.
    pub(crate) crosses_space: bool,
}

impl Expression {
    /// Compiles an expression whose matches have a longest length.
    ///
    /// # Errors
    /// When it is not valid, too large, can match nothing or without end, or holds `^` or `$`,
    /// which mean nothing in the middle of a conversation.
    pub fn new(pattern: &str) -> Result<Self, RuleError> {
        let hir = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(pattern)
            .map_err(|error| RuleError(format!("the expression is not valid: {error}")))?;
        let properties = hir.properties();
        if properties.look_set().contains_anchor() {
            return Err(RuleError(
                "`^` and `$` mean nothing inside of a conversation".into(),
            ));
        }
        if properties.minimum_len().unwrap_or(0) == 0 {
            return Err(RuleError("the expression can match nothing at all".into()));
        }
        let longest = properties
            .maximum_len()
            .filter(|longest| *longest <= LONGEST_MAX);
        let Some(longest) = longest else {
            return Err(RuleError(format!(
                "a match must have at most {LONGEST_MAX} bytes; write `{{1,64}}` instead of `+`"
            )));
        };
        let regex = RegexBuilder::new(pattern)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| RuleError(format!("the expression is not valid: {error}")))?;
        Ok(Self {
            regex,
            longest,
            crosses_space: may_hold_space(&hir),
        })
    }
}

fn may_hold_space(hir: &Hir) -> bool {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let spaces = [b' ', b'\n', b'\r', b'\t'];
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.iter().any(is_space),
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().any(|range| {
            spaces
                .iter()
                .any(|space| (range.start()..=range.end()).contains(&char::from(*space)))
        }),
        HirKind::Class(Class::Bytes(class)) => class.ranges().iter().any(|range| {
            spaces
                .iter()
                .any(|space| (range.start()..=range.end()).contains(space))
        }),
        HirKind::Repetition(repetition) => may_hold_space(&repetition.sub),
        HirKind::Capture(capture) => may_hold_space(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_hold_space),
    }
}
