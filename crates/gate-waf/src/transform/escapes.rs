//! Escapes with a backslash: of JavaScript, CSS and ANSI C.

use super::url::{four_digits, narrow};
use super::{hex_byte, hex_digit, is_space};

/// `t:jsDecode`: `\uHHHH`, `\xHH`, `\OOO` and single letters.
pub(super) fn js_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        if input[at] != b'\\' {
            output.push(input[at]);
            at += 1;
            continue;
        }
        let code = match input.get(at + 1) {
            None => {
                output.push(b'\\');
                return;
            }
            Some(b'u') => four_digits(input, at + 2).map(|code| (narrow(code), 6)),
            Some(b'x') => hex_byte(input, at + 2).map(|byte| (byte, 4)),
            Some(b'0'..=b'7') => {
                let mut digits = octal_digits(&input[at + 1..]);
                // Three digits make more than a byte from `\400` on.
                if digits == 3 && input[at + 1] > b'3' {
                    digits = 2;
                }
                Some((octal(&input[at + 1..at + 1 + digits]), 1 + digits))
            }
            Some(_) => None,
        };
        let (byte, length) =
            code.unwrap_or_else(|| (control(input[at + 1]).unwrap_or(input[at + 1]), 2));
        output.push(byte);
        at += length;
    }
}

/// What a letter behind a backslash stands for.
fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

fn octal_digits(input: &[u8]) -> usize {
    let is_octal = |byte: &&u8| matches!(byte, b'0'..=b'7');
    input.iter().take(3).take_while(is_octal).count()
}

fn octal(digits: &[u8]) -> u8 {
    let add = |number: u32, digit: &u8| number * 8 + u32::from(digit - b'0');
    digits.iter().fold(0, add) as u8
}

/// `t:escapeSeqDecode`: ANSI C. What is not known loses its backslash.
pub(super) fn escape_seq_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        let Some(&next) = input.get(at + 1).filter(|_| input[at] == b'\\') else {
            output.push(input[at]);
            at += 1;
            continue;
        };
        let code = match next {
            b'x' | b'X' => hex_byte(input, at + 2).map(|byte| (byte, 4)),
            b'0'..=b'7' => {
                let digits = octal_digits(&input[at + 1..]);
                Some((octal(&input[at + 1..at + 1 + digits]), 1 + digits))
            }
            _ => control(next).map(|byte| (byte, 2)),
        };
        let (byte, length) = code.unwrap_or((next, 2));
        output.push(byte);
        at += length;
    }
}

/// `t:cssDecode`: `\` with one to six hexadecimal digits, escaped ends of lines, other escapes.
pub(super) fn css_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        if input[at] != b'\\' {
            output.push(input[at]);
            at += 1;
            continue;
        }
        at += 1;
        let Some(&next) = input.get(at) else { return };
        let is_hex = |byte: &&u8| byte.is_ascii_hexdigit();
        let digits = input[at..].iter().take(6).take_while(is_hex).count();
        if digits > 0 {
            output.push(css_byte(&input[at..at + digits]));
            at += digits;
            // One blank behind an escape belongs to it.
            if input.get(at).is_some_and(|byte| is_space(*byte)) {
                at += 1;
            }
        } else {
            if next != b'\n' {
                output.push(next);
            }
            at += 1;
        }
    }
}

/// The byte of one to six digits: the last two, or ASCII for a full-width form.
fn css_byte(digits: &[u8]) -> u8 {
    let count = digits.len();
    if count == 1 {
        return hex_digit(digits[0]).unwrap_or(0);
    }
    let low = hex_byte(digits, count - 2).unwrap_or(0);
    let may_be_wide = match count {
        4 => true,
        5 => digits[0] == b'0',
        6 => digits[..2] == *b"00",
        _ => false,
    };
    let is_wide = may_be_wide && digits[count - 4..count - 2].eq_ignore_ascii_case(b"ff");
    if is_wide && low > 0 && low < 0x5f {
        low + 0x20
    } else {
        low
    }
}
