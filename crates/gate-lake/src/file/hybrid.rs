//! Small numbers as runs of equal ones and as packed bits, eight by eight.
//!
//! Source: parquet-format, `Encodings.md`, "Run Length Encoding / Bit-Packing Hybrid". Which of both is
//! taken for which numbers is the `parquet` crate's choice, so that the bytes are those that it writes.

/// Numbers that are packed together.
const EIGHT: usize = 8;
/// Most eights behind one header, which then is one byte.
const EIGHTS_MAX: usize = 63;
/// Most bits of a number: eight of them fit 128 bits.
pub(super) const WIDTH_MAX: u32 = 16;

/// Appends numbers below two to the power of `width`, which is at most [`WIDTH_MAX`].
pub(super) fn hybrid(numbers: &[u32], width: u32, into: &mut Vec<u8>) {
    debug_assert!(width <= WIDTH_MAX);
    let bytes = width as usize;
    let mut rest = numbers;
    // Where the header of the open run of packed eights is, and how many it has.
    let (mut header, mut eights) = (0, 0);
    while let Some((&first, _)) = rest.split_first() {
        let group = &rest[..EIGHT.min(rest.len())];
        let alike = group.iter().all(|number| *number == first);
        if alike && (group.len() == EIGHT || eights == 0) {
            close(into, header, &mut eights);
            let run = rest.iter().take_while(|number| **number == first).count();
            varint((run as u64) << 1, into);
            into.extend_from_slice(&first.to_le_bytes()[..bytes.div_ceil(8)]);
            rest = &rest[run..];
            continue;
        }
        if eights == 0 {
            header = into.len();
            into.push(0);
        }
        let mut packed = 0_u128;
        for (place, number) in group.iter().enumerate() {
            packed |= u128::from(*number) << (place as u32 * width);
        }
        into.extend_from_slice(&packed.to_le_bytes()[..bytes]);
        eights += 1;
        if eights == EIGHTS_MAX {
            close(into, header, &mut eights);
        }
        rest = &rest[group.len()..];
    }
    close(into, header, &mut eights);
}

/// Writes the header of packed eights, if there are some.
fn close(into: &mut [u8], header: usize, eights: &mut usize) {
    if *eights > 0 {
        into[header] = (*eights << 1 | 1) as u8;
    }
    *eights = 0;
}

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::bits;
    use gate_kit::random::{self, below};

    #[test]
    fn what_is_packed_is_unpacked() {
        random::seed(11);
        for _ in 0..5_000 {
            let width = below(WIDTH_MAX as usize + 1) as u32;
            let mut numbers = Vec::new();
            for _ in 0..below(12) {
                let run = below([2, 9, 40, 900][below(4)]) + 1;
                let number = || below(1 << width) as u32;
                match below(2) {
                    0 => numbers.extend(std::iter::repeat_n(number(), run)),
                    _ => numbers.extend((0..run).map(|_| number())),
                }
            }
            let (mut bytes, mut found) = (Vec::new(), Vec::new());
            hybrid(&numbers, width, &mut bytes);
            bits::hybrid(&bytes, width, numbers.len(), &mut found).unwrap();
            assert_eq!(found, numbers, "{width} bits");
        }
    }
}
