//! The first quote or backslash among 16 bytes: the one place of this crate that uses SIMD itself.
//!
//! Strings of JSON are mostly keys and short values, for which calling a search costs more than
//! the search.

/// Offset of the first quote or backslash.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls a function for SSE2, see the proof")]
#[inline(always)]
pub(super) fn first_quote_or_backslash(block: &[u8; 16]) -> Option<usize> {
    // SAFETY: SSE2 is part of the x86-64 architecture, so every processor that runs this has it;
    // the function does nothing else that is unsafe.
    unsafe { with_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn with_sse2(block: &[u8; 16]) -> Option<usize> {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let word = u128::from_le_bytes(*block);
    let block = _mm_set_epi64x((word >> 64) as i64, word as i64);
    let quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
    let hits = _mm_movemask_epi8(_mm_or_si128(quotes, backslashes));
    (hits != 0).then(|| hits.trailing_zeros() as usize)
}

/// Offset of the first quote or backslash.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn first_quote_or_backslash(block: &[u8; 16]) -> Option<usize> {
    in_words(block)
}

/// The same in words of eight bytes, for other architectures and to test against.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn in_words(block: &[u8; 16]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().find_map(|(i, word)| {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ QUOTES, word ^ BACKSLASHES);
        // The lowest set bit of the zero-byte test is exact; higher ones may be carries.
        let hit = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash))
            & HIGHS;
        (hit != 0).then(|| i * 8 + (hit.trailing_zeros() / 8) as usize)
    })
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
                    assert_eq!(in_words(&block), Some(place));
                }
            }
        }
    }
}
