//! Patterns of personal data and secrets, found in linear time and validated.
//!
//! Each file finds one family in a text and says where; what has a check (Luhn, mod 97, a
//! registry's lengths) is checked, so that ids and hashes are left alone. None crosses a line, but
//! for private key blocks, and none but they is longer than [`MATCH_MAX`]. Spaces occur only inside of numbers,
//! IBANs, key blocks and around the sign of an assignment: `guard/cut.rs` relies on that.

mod assignment;
mod email;
mod iban;
mod ip;
mod number;
mod secret;

pub(crate) use assignment::ends_with_keyword;
pub(crate) use iban::starts_iban;
pub(crate) use secret::{LABEL_MAX, leaves_block_open, rest_of_block};

use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

/// Longest match but for private key blocks, in bytes. Longer candidates are cut there, never
/// passed over.
pub const MATCH_MAX: usize = 8 * 1024;

/// Something that has a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// E-mail address: the usual characters of RFC 5321 in front of a host name with a dot.
    Email,
    /// Telephone number: international (`+` and 8 to 15 digits, E.164), or North American with
    /// its separators. Other national forms cannot be told from any number.
    Phone,
    /// Payment card: 14 to 19 digits in an issuer's range with a valid Luhn digit (ISO/IEC 7812),
    /// in one piece or grouped as on cards.
    Card,
    /// International bank account number: country, its length, and mod 97 (ISO 13616).
    Iban,
    /// IPv4 or IPv6 address, loopback and unspecified ones excepted.
    Ip,
    /// Social security number of the USA, with its separators.
    UsSsn,
    /// Keys in the formats that vendors publish, private key blocks (PEM), and signed tokens (JWT).
    Secret,
    /// A value with the look of a secret that is assigned to a name such as `password` or
    /// `api_key`.
    Assignment,
}

impl Pattern {
    /// Every pattern.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::Ip,
        Self::UsSsn,
        Self::Secret,
        Self::Assignment,
    ];

    /// The word used in configuration, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ip => "ip",
            Self::UsSsn => "us_ssn",
            Self::Secret => "secret",
            Self::Assignment => "assignment",
        }
    }

    /// The word in placeholders.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Ip => "IP",
            Self::UsSsn => "SSN",
            Self::Secret | Self::Assignment => "SECRET",
        }
    }

    /// Characters at the end that masking leaves legible.
    #[must_use]
    pub const fn legible(self) -> usize {
        match self {
            Self::Phone | Self::Card | Self::Iban | Self::UsSsn => 4,
            _ => 0,
        }
    }
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What.
    pub pattern: Pattern,
    /// Where in the text, in bytes.
    pub range: Range<usize>,
}

/// Finds `pattern` in `text`, whose first byte comes behind the byte `before` (a space at the
/// start). Hits of one pattern are in order and do not overlap.
pub fn find(pattern: Pattern, text: &[u8], before: u8, out: &mut Vec<Hit>) {
    let mut push = |range: Range<usize>| out.push(Hit { pattern, range });
    match pattern {
        Pattern::Email => email::find(text, before, &mut push),
        Pattern::Phone => number::find(text, before, number::phone, &mut push),
        Pattern::Card => number::find(text, before, number::card, &mut push),
        Pattern::UsSsn => number::find(text, before, number::us_ssn, &mut push),
        Pattern::Iban => iban::find(text, before, &mut push),
        Pattern::Ip => ip::find(text, before, &mut push),
        Pattern::Secret => secret::find(text, before, &mut push),
        Pattern::Assignment => assignment::find(text, &mut push),
    }
}

/// The byte in front of a position. An escape such as `\n` of JSON inside a text counts as space.
pub(crate) fn byte_before(text: &[u8], at: usize, before: u8) -> u8 {
    match &text[..at] {
        [.., b'\\', b'n' | b'r' | b't'] => b' ',
        [.., byte] => *byte,
        [] => before,
    }
}

/// Whether a byte continues a word: letters (bytes of UTF-8 among them), digits, `_`.
pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of one pattern.
    fn found(pattern: Pattern, text: &str) -> Vec<&str> {
        let mut hits = Vec::new();
        find(pattern, text.as_bytes(), b' ', &mut hits);
        hits.into_iter().map(|hit| &text[hit.range]).collect()
    }

    /// Lines of a corpus: `pattern | text`, with what is to be found between `«` and `»`. All wrong
    /// ones are told at once.
    #[test]
    fn the_corpus_is_found_and_nothing_else() {
        let (mut lines, mut wrong) = (0, Vec::new());
        for line in include_str!("corpus.txt").lines() {
            let Some((name, marked)) = line.split_once(" | ") else {
                continue;
            };
            lines += 1;
            let is_pattern = |p: &Pattern| format!("{p:?}").to_lowercase() == name;
            let pattern = Pattern::ALL.into_iter().find(is_pattern);
            let pattern = pattern.unwrap_or_else(|| panic!("no pattern {name}"));
            // `·` breaks up what scanners of repositories would take for a live secret.
            let marked = marked.replace('·', "");
            let text = marked.replace(['«', '»'], "").replace("\\n", "\n");
            let expected: Vec<String> = marked
                .split('«')
                .skip(1)
                .map(|part| part.split('»').next().unwrap().replace("\\n", "\n"))
                .collect();
            let seen = found(pattern, &text);
            if seen != expected {
                wrong.push(format!("{line}\n    found {seen:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(lines > 150, "only {lines} lines were read");
    }

    #[test]
    fn a_byte_in_front_counts() {
        let mut hits = Vec::new();
        find(Pattern::Card, b"4111111111111111", b'7', &mut hits);
        find(Pattern::Secret, b"AKIAIOSFODNN7EXAMPLE", b'x', &mut hits);
        assert!(hits.is_empty(), "{hits:?}");
    }

    #[test]
    fn long_inputs_take_linear_time() {
        // Quadratic searches would need hours for these.
        for piece in [
            "a",
            "1",
            "1 ",
            "a@",
            "@",
            ".",
            ":",
            "eyJ",
            "eyJa.",
            "a=",
            "key=",
            "-----BEGIN ",
            "GB29",
            "GB29 ",
            "(",
            "+1",
            "1.",
            "::",
            "1:",
            "sk-",
            "password: ",
        ] {
            let text = piece.repeat(200_000 / piece.len());
            for pattern in Pattern::ALL {
                let mut hits = Vec::new();
                find(pattern, text.as_bytes(), b' ', &mut hits);
            }
        }
    }
}
