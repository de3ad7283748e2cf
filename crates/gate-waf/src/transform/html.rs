//! HTML entities.

use super::hex_digit;

/// `t:htmlEntityDecode`: numeric entities of bytes, and `quot`, `amp`, `lt`, `gt`, `nbsp`.
pub(super) fn html_entity_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        let decoded = match input[at] {
            b'&' => entity(&input[at + 1..]),
            _ => None,
        };
        match decoded {
            Some((byte, length)) => {
                output.push(byte);
                at += 1 + length;
                if input.get(at) == Some(&b';') {
                    at += 1;
                }
            }
            None => {
                output.push(input[at]);
                at += 1;
            }
        }
    }
}

/// The byte that an entity stands for, and its length without `&` and `;`.
fn entity(input: &[u8]) -> Option<(u8, usize)> {
    match input.first()? {
        b'#' => match input.get(1)? {
            b'x' | b'X' => {
                let digits = run(&input[2..], u8::is_ascii_hexdigit);
                (digits > 0).then(|| (number(&input[2..2 + digits], 16), 2 + digits))
            }
            _ => {
                let digits = run(&input[1..], u8::is_ascii_digit);
                (digits > 0).then(|| (number(&input[1..1 + digits], 10), 1 + digits))
            }
        },
        _ => {
            let length = run(input, u8::is_ascii_alphanumeric);
            let known: [(&[u8], u8); 5] = [
                (b"quot", b'"'),
                (b"amp", b'&'),
                (b"lt", b'<'),
                (b"gt", b'>'),
                (b"nbsp", 0xa0),
            ];
            // A known name at the beginning decides, and the whole word is taken with it.
            let is_named = |name: &[u8]| {
                length >= name.len() && input[..name.len()].eq_ignore_ascii_case(name)
            };
            let found = known.iter().find(|(name, _)| is_named(name))?;
            Some((found.1, length))
        }
    }
}

fn run(input: &[u8], is: impl Fn(&u8) -> bool) -> usize {
    input.iter().take_while(|byte| is(byte)).count()
}

/// The number as C's `strtol` reads it, cut to a byte.
fn number(digits: &[u8], base: i64) -> u8 {
    let add = |number: i64, digit: &u8| {
        let digit = i64::from(hex_digit(*digit).unwrap_or(0));
        number.saturating_mul(base).saturating_add(digit)
    };
    digits.iter().fold(0, add) as u8
}
