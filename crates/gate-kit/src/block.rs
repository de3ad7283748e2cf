//! Bytes that mean something among a block of bytes: the one place that uses SIMD itself.
//!
//! Keys of JSON and fields of a head are short: calling a search for each costs more than the
//! search.

/// Offset of the first quote or backslash.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls a function for SSE2, see the proof")]
#[inline(always)]
#[must_use]
pub fn first_quote_or_backslash(block: &[u8; 16]) -> Option<usize> {
    // SAFETY: SSE2 is part of the x86-64 architecture, so every processor that runs this has it;
    // the function does nothing else that is unsafe.
    unsafe { sse2::first_quote_or_backslash(block) }
}

/// A bit for each byte, the first lowest: whether it is a control character (RFC 5234's `CTL`, tab
/// too) or a colon.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls a function for SSE2, see the proof")]
#[inline(always)]
#[must_use]
pub fn controls_and_colons(block: &[u8; 64]) -> u64 {
    // SAFETY: as above.
    unsafe { sse2::controls_and_colons(block) }
}

#[cfg(not(target_arch = "x86_64"))]
pub use portable::{controls_and_colons, first_quote_or_backslash};

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn first_quote_or_backslash(block: &[u8; 16]) -> Option<usize> {
        let block = loaded(block);
        let quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
        let backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
        let hits = _mm_movemask_epi8(_mm_or_si128(quotes, backslashes));
        (hits != 0).then(|| hits.trailing_zeros() as usize)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn controls_and_colons(block: &[u8; 64]) -> u64 {
        let (blocks, _) = block.as_chunks::<16>();
        let mut bits = 0;
        for (index, block) in blocks.iter().enumerate() {
            let block = loaded(block);
            let low = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
            let delete = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f));
            let colon = _mm_cmpeq_epi8(block, _mm_set1_epi8(b':' as i8));
            let hits = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, delete), colon));
            bits |= u64::from(hits as u16) << (16 * index);
        }
        bits
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn loaded(block: &[u8; 16]) -> __m128i {
        let word = u128::from_le_bytes(*block);
        _mm_set_epi64x((word >> 64) as i64, word as i64)
    }
}

/// The same without SIMD, for other architectures and to test against.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[allow(unreachable_pub, reason = "public where there is no SSE2")]
mod portable {
    /// Offset of the first quote or backslash.
    #[must_use]
    pub fn first_quote_or_backslash(block: &[u8; 16]) -> Option<usize> {
        block.iter().position(|byte| matches!(byte, b'"' | b'\\'))
    }

    /// A bit for each byte, the first lowest: whether it is a control character (tab too) or a
    /// colon.
    #[must_use]
    pub fn controls_and_colons(block: &[u8; 64]) -> u64 {
        let bit = |byte: u8| u64::from(byte.is_ascii_control() || byte == b':');
        let bytes = block.iter().rev();
        bytes.fold(0, |bits, &byte| bits << 1 | bit(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_first_at_every_place() {
        for fill in [0_u8, b'!', b'#', b'[', b']', 0xa2, 0xdc, 0xff] {
            assert_eq!(first_quote_or_backslash(&[fill; 16]), None);
            for place in 0..16 {
                for stop in [b'"', b'\\'] {
                    let mut block = [fill; 16];
                    block[place] = stop;
                    block[15] = b'"';
                    assert_eq!(first_quote_or_backslash(&block), Some(place));
                    assert_eq!(portable::first_quote_or_backslash(&block), Some(place));
                }
            }
        }
    }

    #[test]
    fn both_ways_judge_every_byte_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..64 {
                let mut block = [b'a'; 64];
                block[place] = byte;
                let expected = u64::from(byte < b' ' || byte == 0x7f || byte == b':') << place;
                assert_eq!(
                    controls_and_colons(&block),
                    expected,
                    "{byte:#x} at {place}"
                );
                assert_eq!(portable::controls_and_colons(&block), expected);
            }
        }
    }
}
