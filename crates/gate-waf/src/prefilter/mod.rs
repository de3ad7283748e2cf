//! Decides which rules can match a value at all, before any pattern runs.
//!
//! Bytes fall into 64 classes ([`class_of`]); letters without regard to case, and nearly every mark
//! of punctuation is a class of its own. A rule's operator is turned into alternatives ([`Needs`]):
//! sets of classes, of which one must occur whole in any value that matches. Which classes occur in a
//! value is one pass over it; holding that against all alternatives ([`Index`]) leaves few rules.
//! Ordinary words and numbers leave none.

mod index;
mod needs;

pub(crate) use index::{Bits, Index, IndexBuilder, has};
pub(crate) use needs::Needs;

/// Letters, both cases.
pub(crate) const LETTERS: u64 = (1 << 26) - 1;
/// The space.
pub(crate) const SPACE: u64 = 1 << 27;
/// Tab, vertical tab and form feed.
pub(crate) const TAB: u64 = 1 << 28;
/// Carriage return and line feed.
pub(crate) const LINE: u64 = 1 << 29;
/// Other control bytes.
pub(crate) const CONTROL: u64 = 1 << 30;
/// Bytes beyond ASCII.
pub(crate) const HIGH: u64 = 1 << 31;

/// The class of a byte, 0 to 63.
pub(crate) const fn class_of(byte: u8) -> u32 {
    let class = match byte {
        b'a'..=b'z' => byte - b'a',
        b'A'..=b'Z' => byte - b'A',
        b'0'..=b'9' => 26,
        b' ' => 27,
        b'\t' | 0x0b | 0x0c => 28,
        b'\n' | b'\r' => 29,
        0..=0x1f | 0x7f => 30,
        0x80.. => 31,
        b'!'..=b'/' => 32 + (byte - b'!'),
        b':'..=b'@' => 47 + (byte - b':'),
        b'['..=b'`' => 54 + (byte - b'['),
        b'{'..=b'~' => 60 + (byte - b'{'),
    };
    class as u32
}

/// The class of a byte as a set.
pub(crate) const fn class_bit(byte: u8) -> u64 {
    1 << class_of(byte)
}

const BITS: [u64; 256] = {
    let mut bits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        bits[byte] = class_bit(byte as u8);
        byte += 1;
    }
    bits
};

/// The classes of the bytes that occur.
pub(crate) fn mask_of(bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut mask = 0;
    for eight in eights {
        let low = BITS[usize::from(eight[0])] | BITS[usize::from(eight[1])];
        let next = BITS[usize::from(eight[2])] | BITS[usize::from(eight[3])];
        let third = BITS[usize::from(eight[4])] | BITS[usize::from(eight[5])];
        let last = BITS[usize::from(eight[6])] | BITS[usize::from(eight[7])];
        mask |= (low | next) | (third | last);
    }
    rest.iter()
        .fold(mask, |mask, byte| mask | BITS[usize::from(*byte)])
}

/// How telling a class is: the higher, the rarer in ordinary values.
pub(crate) const fn rarity(class: u32) -> u32 {
    match class {
        // e t a o i n s r h l d u c
        4 | 19 | 0 | 14 | 8 | 13 | 18 | 17 | 7 | 11 | 3 | 20 | 2 => 1,
        // j q x z k v
        9 | 16 | 23 | 25 | 10 | 21 => 3,
        0..=25 => 2,
        26 | 27 => 1,
        // . - _ : /
        45 | 44 | 58 | 47 | 46 => 5,
        28..=31 => 9,
        _ => 8,
    }
}

#[cfg(test)]
mod tests;
