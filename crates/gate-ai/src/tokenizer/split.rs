//! How encodings split a text into pieces: their published patterns, in linear time.
//!
//! The patterns (<https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py>) look
//! ahead in one place: `\s+(?!\S)` leaves the last blank of a run to the word behind it. That is done
//! by hand here; everything else is as published.

use super::Encoding;
use regex::Regex;

const CONTRACTION: &str = "'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
const UPPER: &str = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
const LOWER: &str = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";

/// Splits texts by one encoding's pattern.
pub(super) struct Splitter(Regex);

impl Splitter {
    pub(super) fn new(encoding: Encoding) -> Self {
        let pattern = match encoding {
            Encoding::Cl100kBase => format!(
                r"{CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+"
            ),
            Encoding::O200kBase => format!(
                r"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+(?:{CONTRACTION})?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*(?:{CONTRACTION})?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+"
            ),
        };
        Self(Regex::new(&pattern).expect("a constant"))
    }

    /// Hands every piece of a text to `each`, in order; together they are the text.
    pub(super) fn split<'t>(&self, text: &'t str, mut each: impl FnMut(&'t str)) {
        let mut at = 0;
        while at < text.len() {
            let Some(found) = self.0.find_at(text, at) else {
                // The patterns match at every character; what they would not is a piece.
                return each(&text[at..]);
            };
            if found.start() > at {
                each(&text[at..found.start()]);
            }
            let mut end = found.end();
            let piece = &text[found.start()..end];
            let is_blank = piece.chars().all(char::is_whitespace);
            if is_blank && !piece.ends_with(['\r', '\n']) && end < text.len() {
                // `\s+(?!\S)`: a word follows, and takes the last blank where there are several.
                let last = piece.chars().next_back().map_or(0, char::len_utf8);
                if piece.len() > last {
                    end -= last;
                }
            }
            each(&text[found.start()..end]);
            at = end;
        }
    }
}
