//! `@pm`: one of many words, in one pass, without regard to case.

use super::{Found, Groups};
use crate::prefilter::Needs;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use smallvec::smallvec;

/// The words.
#[derive(Debug)]
pub(crate) struct Words {
    finder: AhoCorasick,
    needs: Needs,
}

impl Words {
    /// Words that are separated by blanks; `|41 42|` stands for bytes.
    pub(super) fn from_argument(argument: &str) -> Result<Words, String> {
        let argument = argument.trim();
        let inner = argument
            .strip_prefix('"')
            .and_then(|argument| argument.strip_suffix('"'));
        let bytes =
            snort(inner.unwrap_or(argument)).unwrap_or_else(|| argument.as_bytes().to_vec());
        let words = bytes.split(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
        Words::new(
            words
                .filter(|word| !word.is_empty())
                .map(<[u8]>::to_vec)
                .collect(),
        )
    }

    /// Words of files, one a line; names are separated by blanks.
    pub(super) fn from_files(
        argument: &str,
        read: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Words, String> {
        let mut words = Vec::new();
        for name in argument.split_whitespace() {
            let content = read(name)?;
            for line in content.split(|byte| *byte == b'\n') {
                let line = line.trim_ascii();
                if !line.is_empty() && line[0] != b'#' {
                    words.push(line.to_vec());
                }
            }
        }
        Words::new(words)
    }

    fn new(words: Vec<Vec<u8>>) -> Result<Words, String> {
        if words.is_empty() {
            return Err("there is no word to look for".into());
        }
        let mut builder = AhoCorasickBuilder::new();
        builder
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard);
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
        let finder = builder.build(&words).map_err(|error| error.to_string())?;
        let needs = Needs::one_word(words.iter().map(Vec::as_slice));
        Ok(Words { finder, needs })
    }

    pub(super) fn needs(&self) -> Needs {
        self.needs.clone()
    }

    /// The word that ends first.
    pub(super) fn find(&self, value: &[u8]) -> Found {
        match self.finder.find(value) {
            Some(found) => {
                let groups: Groups = smallvec![(0, found.range())];
                Found::Groups(groups)
            }
            None => Found::No,
        }
    }
}

/// Decodes bytes between bars; nothing where that is not well-formed.
fn snort(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut within = false;
    let mut high: Option<u8> = None;
    let mut letters = text.bytes();
    while let Some(byte) = letters.next() {
        match byte {
            b'|' => within = !within,
            b'\\' if !within => match letters.next()? {
                escaped @ (b':' | b';' | b'\\' | b'"') => bytes.push(escaped),
                _ => return None,
            },
            _ if within => {
                let digit = crate::transform::hex_digit(byte)?;
                match high.take() {
                    None => high = Some(digit),
                    Some(high) => bytes.push(high << 4 | digit),
                }
            }
            _ => bytes.push(byte),
        }
    }
    Some(bytes)
}
