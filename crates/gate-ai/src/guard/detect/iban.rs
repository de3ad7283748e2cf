//! International bank account numbers (ISO 13616): country, length, mod 97.

use super::{byte_before, is_word};
use std::ops::Range;

/// Length by country, from SWIFT's IBAN registry (release 99).
const COUNTRIES: &[(&[u8; 2], u8)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// How many letters and digits the IBAN has that starts here, going by its country.
pub(crate) fn starts_iban(text: &[u8]) -> Option<usize> {
    let [a, b, c, d, ..] = text else { return None };
    if !(c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let country = COUNTRIES
        .iter()
        .find(|(country, _)| **country == [*a, *b])?;
    Some(usize::from(country.1))
}

pub(super) fn find(text: &[u8], before: u8, push: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while at + 15 <= text.len() {
        let start = at;
        at += 1;
        if !text[start].is_ascii_uppercase() || is_word(byte_before(text, start, before)) {
            continue;
        }
        let Some(length) = starts_iban(&text[start..]) else {
            continue;
        };
        if let Some(end) = end_of(&text[start..], length) {
            push(start..start + end);
            at = start + end;
        }
    }
}

/// Where an IBAN of this many characters ends, when its check digits are right. Single spaces may
/// group it.
fn end_of(text: &[u8], length: usize) -> Option<usize> {
    let mut characters = [0; 34];
    let (mut count, mut at) = (0, 0);
    while count < length {
        match *text.get(at)? {
            byte if byte.is_ascii_uppercase() || byte.is_ascii_digit() => {
                characters[count] = byte;
                count += 1;
            }
            b' ' if text[at - 1] != b' ' => {}
            _ => return None,
        }
        at += 1;
    }
    let is_end = text.get(at).is_none_or(|next| !is_word(*next));
    (is_end && mod_97(&characters[..length])).then_some(at)
}

/// ISO 7064 MOD 97-10 over the number with its first four characters moved to the end.
fn mod_97(characters: &[u8]) -> bool {
    let turned = characters[4..].iter().chain(&characters[..4]);
    let rest = turned.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    rest == 1
}
