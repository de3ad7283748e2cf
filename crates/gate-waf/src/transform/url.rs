//! URL encoding, and IIS's `%uHHHH`.

use super::unicode::best_fit;
use super::{hex_byte, hex_digit};

/// `t:urlDecode`.
pub(super) fn url_decode(input: &[u8], output: &mut Vec<u8>) {
    decode_form(input, output);
}

/// Decodes `%HH` and `+`; says how many `%` were no valid encoding and stayed.
pub(crate) fn decode_form(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut invalid = 0;
    let mut at = 0;
    while at < input.len() {
        match input[at] {
            b'%' => {
                if let Some(byte) = hex_byte(input, at + 1) {
                    output.push(byte);
                    at += 3;
                    continue;
                }
                invalid += 1;
                output.push(b'%');
            }
            b'+' => output.push(b' '),
            byte => output.push(byte),
        }
        at += 1;
    }
    invalid
}

/// Decodes `%HH` of a path; `+` stays.
pub(crate) fn decode_path(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        if input[at] == b'%'
            && let Some(byte) = hex_byte(input, at + 1)
        {
            output.push(byte);
            at += 3;
        } else {
            output.push(input[at]);
            at += 1;
        }
    }
}

/// `t:urlDecodeUni`: also `%uHHHH`, mapped to ASCII by code page 20127.
pub(super) fn url_decode_uni(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        match input[at] {
            b'%' if matches!(input.get(at + 1), Some(b'u' | b'U')) => {
                if let Some(code) = four_digits(input, at + 2) {
                    output.push(single_byte(code));
                    at += 6;
                } else {
                    output.extend_from_slice(&input[at..at + 2]);
                    at += 2;
                }
            }
            b'%' => {
                if let Some(byte) = hex_byte(input, at + 1) {
                    output.push(byte);
                    at += 3;
                } else {
                    output.push(b'%');
                    at += 1;
                }
            }
            byte => {
                output.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
}

/// The number of four hexadecimal digits.
pub(super) fn four_digits(input: &[u8], at: usize) -> Option<u16> {
    let digits = input.get(at..at + 4)?;
    digits.iter().try_fold(0_u16, |number, digit| {
        Some(number << 4 | u16::from(hex_digit(*digit)?))
    })
}

/// The byte for a code point: the best fit, else its lower byte, full-width forms as ASCII.
fn single_byte(code: u16) -> u8 {
    best_fit(code).unwrap_or_else(|| narrow(code))
}

/// The lower byte; of full-width ASCII (ff01 to ff5e), the ASCII byte.
pub(super) fn narrow(code: u16) -> u8 {
    let low = code as u8;
    if code >> 8 == 0xff && low > 0 && low < 0x5f {
        low + 0x20
    } else {
        low
    }
}

/// `t:urlEncode`.
pub(super) fn url_encode(input: &[u8], output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in input {
        match byte {
            b' ' => output.push(b'+'),
            b'*' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => output.push(byte),
            _ => output.extend([
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]),
        }
    }
}
