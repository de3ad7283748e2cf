//! Base64, hexadecimal digits, digests and parity.

use super::{hex_byte, hex_digit};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// `t:base64Decode`: strict; what is no base64 decodes to nothing. A NUL ends the input.
pub(super) fn base64_decode(input: &[u8], output: &mut Vec<u8>) {
    let input = &input[..memchr::memchr(0, input).unwrap_or(input.len())];
    let mut digits = Vec::with_capacity(input.len());
    let mut padding = 0;
    let mut at = 0;
    while at < input.len() {
        let byte = input[at];
        let blanks = input[at..].iter().take_while(|byte| **byte == b' ').count();
        if blanks > 0 {
            // Spaces are allowed before the end of a line only.
            at += blanks;
            match input.get(at) {
                None | Some(b'\n' | b'\r') => continue,
                _ => return,
            }
        }
        at += 1;
        match byte {
            b'\n' => {}
            b'\r' if input.get(at) == Some(&b'\n') => {}
            b'=' if padding < 2 => padding += 1,
            _ => match base64_digit(byte) {
                Some(digit) if padding == 0 => digits.push(digit),
                _ => return,
            },
        }
    }
    let complete = digits.len() / 4 * 4;
    pack(&digits[..complete], output);
    if padding > 0 {
        pack(&digits[complete..], output);
    }
}

/// `t:base64DecodeExt`: what is no base64 is passed over.
pub(super) fn base64_decode_forgiving(input: &[u8], output: &mut Vec<u8>) {
    let digits: Vec<u32> = input
        .iter()
        .filter_map(|byte| base64_digit(*byte))
        .collect();
    pack(&digits, output);
}

fn pack(digits: &[u32], output: &mut Vec<u8>) {
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        let bytes = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        output.extend_from_slice(&bytes[..four.len().saturating_sub(1)]);
    }
}

pub(super) fn base64_encode(input: &[u8], output: &mut Vec<u8>) {
    for three in input.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * at)) as usize & 63];
            output.push(if at <= three.len() { digit } else { b'=' });
        }
    }
}

pub(super) fn hex_encode(input: &[u8], output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in input {
        output.push(DIGITS[usize::from(byte >> 4)]);
        output.push(DIGITS[usize::from(byte & 15)]);
    }
}

pub(super) fn hex_decode(input: &[u8], output: &mut Vec<u8>) {
    for pair in input.chunks_exact(2) {
        let digit = |byte| hex_digit(byte).unwrap_or(0);
        output.push(digit(pair[0]) << 4 | digit(pair[1]));
    }
}

/// `t:sqlHexDecode`: `0x6162` becomes `ab`.
pub(super) fn sql_hex_decode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        let opens = input[at] == b'0' && matches!(input.get(at + 1), Some(b'x' | b'X'));
        if opens && hex_byte(input, at + 2).is_some() {
            at += 2;
            while let Some(byte) = hex_byte(input, at) {
                output.push(byte);
                at += 2;
            }
        } else {
            output.push(input[at]);
            at += 1;
        }
    }
}

/// `t:sha1` (FIPS 180-4, section 6.1): a fingerprint that rules sample by, not a protection.
pub(super) fn sha1(input: &[u8], output: &mut Vec<u8>) {
    let mut state = [
        0x6745_2301_u32,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut padded = input.to_vec();
    padded.push(0x80);
    padded.resize((input.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(input.len() as u64 * 8).to_be_bytes());
    let (blocks, _) = padded.as_chunks::<64>();
    for block in blocks {
        sha1_block(&mut state, block);
    }
    output.extend(state.iter().flat_map(|word| word.to_be_bytes()));
}

fn sha1_block(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0_u32; 80];
    let (fours, _) = block.as_chunks::<4>();
    for (word, four) in words.iter_mut().zip(fours) {
        *word = u32::from_be_bytes(*four);
    }
    for at in 16..80 {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.iter().enumerate() {
        let (mixed, constant) = match round / 20 {
            0 => (b & c | !b & d, 0x5a82_7999_u32),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e);
        let next = sum.wrapping_add(constant).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(add);
    }
}

pub(super) fn md5(input: &[u8], output: &mut Vec<u8>) {
    use md5::Digest;
    output.extend_from_slice(&md5::Md5::digest(input));
}

pub(super) fn parity_even(input: &[u8], output: &mut Vec<u8>) {
    let even = |byte: &u8| {
        byte & 0x7f
            | if !(byte & 0x7f).count_ones().is_multiple_of(2) {
                0x80
            } else {
                0
            }
    };
    output.extend(input.iter().map(even));
}

pub(super) fn parity_odd(input: &[u8], output: &mut Vec<u8>) {
    let odd = |byte: &u8| {
        byte & 0x7f
            | if (byte & 0x7f).count_ones().is_multiple_of(2) {
                0x80
            } else {
                0
            }
    };
    output.extend(input.iter().map(odd));
}

pub(super) fn parity_zero(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|byte| byte & 0x7f));
}
