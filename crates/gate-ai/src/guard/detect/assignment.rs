//! Secrets by the name they are assigned to: `password = "..."`, `api_key: ...`.
//!
//! Only the value is reported. It must look random: letters and digits mixed, no call, no variable,
//! no placeholder, and an entropy (Shannon, over its own characters) above that of words.

use std::ops::Range;

/// Ends of names that hold secrets, in lower case without separators.
const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "secretkey",
    "apikey",
    "accesskey",
    "privatekey",
    "authtoken",
    "accesstoken",
    "credential",
];
/// Bits per character; English words have below 2.75 at such lengths once digits are required.
const ENTROPY_MIN: f64 = 2.75;
const VALUE_MIN: usize = 8;
const VALUE_MAX: usize = 256;
/// Longest name's letters with separators between them.
const NAME_MAX: usize = 16;

/// Whether these bytes end with the name of a secret (case and separators aside).
pub(crate) fn ends_with_keyword(text: &[u8]) -> bool {
    let mut letters = [0; NAME_MAX];
    let mut at = NAME_MAX;
    for byte in text.iter().rev().take(NAME_MAX + 4) {
        match byte {
            b'_' | b'-' => {}
            byte if byte.is_ascii_alphabetic() && at > 0 => {
                at -= 1;
                letters[at] = byte.to_ascii_lowercase();
            }
            _ => break,
        }
    }
    NAMES
        .iter()
        .any(|name| letters[at..].ends_with(name.as_bytes()))
}

pub(super) fn find(text: &[u8], push: &mut dyn FnMut(Range<usize>)) {
    let mut free = 0;
    for sign in memchr::memchr2_iter(b'=', b':', text) {
        if sign < free || !named(&text[free..sign]) {
            continue;
        }
        let start = value_start(text, sign + 1);
        let rest = text[start..].iter().take(VALUE_MAX + 1);
        let length = rest.take_while(|byte| is_value(**byte)).count();
        let value = &text[start..start + length];
        let value = match value.last() {
            Some(b'.' | b',' | b';') => &value[..value.len() - 1],
            _ => value,
        };
        if is_secret(value, text.get(start + length).copied()) {
            push(start..start + value.len());
            free = start + value.len();
        }
    }
}

/// Whether what stands in front of the sign names a secret; a quote and one space may be between.
fn named(front: &[u8]) -> bool {
    let front = front.strip_suffix(b" ").unwrap_or(front);
    let front = match front {
        [rest @ .., b'"' | b'\'' | b'`' | b']'] => rest,
        _ => front,
    };
    let front = match front {
        [rest @ .., b'"' | b'\'' | b'\\'] => rest,
        _ => front,
    };
    ends_with_keyword(front)
}

fn value_start(text: &[u8], mut at: usize) -> usize {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    at += usize::from(matches!(byte(at), b'=' | b'>'));
    at += usize::from(byte(at) == b' ');
    at += usize::from(byte(at) == b'\\');
    at + usize::from(matches!(byte(at), b'"' | b'\'' | b'`'))
}

const fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'\'' | b'`' | b'\\' | b'(' | b')' | b'<' | b'>' | b'{' | b'}' | b'[' | b']'
        )
}

fn is_secret(value: &[u8], next: Option<u8>) -> bool {
    let is_call = matches!(next, Some(b'(' | b'<' | b'{' | b'['));
    let bounds = (VALUE_MIN..=VALUE_MAX).contains(&value.len());
    let is_expression =
        value.starts_with(b"$") || value.starts_with(b"process.") || value.starts_with(b"os.");
    let digits = value.iter().any(u8::is_ascii_digit);
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    bounds && digits && letters && !is_call && !is_expression && entropy(value) >= ENTROPY_MIN
}

/// Shannon entropy over the characters of a value, in bits per character.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    value
        .iter()
        .for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = value.len() as f64;
    let bits = |count: u16| {
        let share = f64::from(count) / length;
        -share * share.log2()
    };
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| bits(*count))
        .sum()
}
