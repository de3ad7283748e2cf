//! Operators that hold single bytes against rules of encoding.

use crate::prefilter::Needs;
use crate::transform::hex_byte;

/// A set of bytes, for `@validateByteRange`.
#[derive(Debug)]
pub(crate) struct ByteSet {
    allowed: [bool; 256],
}

impl ByteSet {
    /// Reads `9,32-126`.
    pub(super) fn parse(argument: &str) -> Result<ByteSet, String> {
        let mut allowed = [false; 256];
        for part in argument.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                let number = text.trim().parse::<u8>();
                number.map_err(|_| format!("`{part}` is no range of bytes"))
            };
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("`{part}` begins behind its end"));
            }
            allowed[usize::from(first)..=usize::from(last)].fill(true);
        }
        Ok(ByteSet { allowed })
    }

    /// Whether a byte of `value` is outside the set.
    pub(super) fn misses(&self, value: &[u8]) -> bool {
        value.iter().any(|byte| !self.allowed[usize::from(*byte)])
    }

    pub(super) fn needs(&self) -> Needs {
        Needs::one_of((0..=255).filter(|byte| !self.allowed[usize::from(*byte)]))
    }
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn is_url_encoded(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value).all(|at| hex_byte(value, at + 1).is_some())
}
