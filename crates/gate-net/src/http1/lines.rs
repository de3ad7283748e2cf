//! Finds the lines of a head and proves that they are lines.
//!
//! After [`Lines::find`] a head is complete, every line of it ends in CR LF, and it holds no other
//! control character than tab; nobody further in looks for those again. Two vectorised passes do
//! this for less than a tokeniser that stops at every byte (see `examples/codec_cost.rs`).

use super::{HEAD_BYTES_MAX, HEADER_COUNT_MAX, Limits, ParseError};

/// Where the lines of a head end. Made once per head on the stack and filled in place.
pub(super) struct Lines {
    /// Positions of each line's CR, the empty line's not included.
    ends: [u16; HEADER_COUNT_MAX + 1],
    count: usize,
}

impl Lines {
    pub(super) const fn new() -> Self {
        Self {
            ends: [0; HEADER_COUNT_MAX + 1],
            count: 0,
        }
    }

    /// Finds the lines of the head at the start of `bytes` and returns its length, the empty line
    /// included; `None` asks for more bytes. Bytes of a body behind the head are not looked at.
    pub(super) fn find(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ParseError> {
        let limit = limits.head_bytes.min(HEAD_BYTES_MAX);
        let most = 1 + limits.header_count.min(HEADER_COUNT_MAX);
        let within = &bytes[..bytes.len().min(limit)];
        let mut start = 0;
        for line_feed in memchr::memchr_iter(b'\n', within) {
            let end = line_feed.wrapping_sub(1);
            if within.get(end) != Some(&b'\r') {
                return Err(ParseError::InvalidLineEnd);
            }
            if end == start {
                let length = line_feed + 1;
                return match controls(&within[..length]) == 2 * (self.count + 1) {
                    true => Ok(Some(length)),
                    false => Err(ParseError::ControlCharacter),
                };
            }
            if self.count == most {
                return Err(ParseError::TooManyHeaders);
            }
            // Both are below HEAD_BYTES_MAX, which fits 16 bits.
            self.ends[self.count] = end as u16;
            self.count += 1;
            start = line_feed + 1;
        }
        incomplete(bytes, limit)
    }

    /// The first line without its end.
    pub(super) fn first<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        &head[..usize::from(self.ends[0])]
    }

    /// How many lines follow the first.
    pub(super) const fn field_count(&self) -> usize {
        self.count.saturating_sub(1)
    }

    /// The lines behind the first, without their ends.
    #[inline]
    pub(super) fn fields<'a, 'b>(
        &'a self,
        head: &'b [u8],
    ) -> impl Iterator<Item = &'b [u8]> + use<'a, 'b> {
        self.ends[..self.count]
            .windows(2)
            .map(|ends| &head[usize::from(ends[0]) + 2..usize::from(ends[1])])
    }
}

/// Says early that what there is cannot become a head, so that nobody waits for its end.
#[cold]
fn incomplete(bytes: &[u8], limit: usize) -> Result<Option<usize>, ParseError> {
    if bytes.len() >= limit {
        return Err(ParseError::HeadTooLarge);
    }
    let line_ends = bytes.iter().filter(|b| matches!(b, b'\r' | b'\n')).count();
    match controls(bytes) == line_ends {
        true => Ok(None),
        false => Err(ParseError::ControlCharacter),
    }
}

/// Counts control characters other than tab. Written so that the compiler uses vectors.
#[inline]
fn controls(bytes: &[u8]) -> usize {
    const LANES: usize = 32;
    /// Steps after which a lane of 8 bits could overflow.
    const STEPS: usize = 255;
    let mut total = 0;
    for part in bytes.chunks(LANES * STEPS) {
        let mut lanes = [0u8; LANES];
        let (steps, rest) = part.as_chunks::<LANES>();
        for step in steps {
            count_lanes(&mut lanes, step);
        }
        let mut padded = [b' '; LANES];
        padded[..rest.len()].copy_from_slice(rest);
        count_lanes(&mut lanes, &padded);
        total += lanes.iter().map(|&lane| usize::from(lane)).sum::<usize>();
    }
    total
}

#[inline(always)]
fn count_lanes<const LANES: usize>(lanes: &mut [u8; LANES], bytes: &[u8; LANES]) {
    for (lane, &byte) in lanes.iter_mut().zip(bytes) {
        let is_control = (byte < b' ' && byte != b'\t') || byte == 0x7f;
        *lane += u8::from(is_control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_counted_wherever_they_are() {
        for length in [0, 1, 31, 32, 33, 100, 20_000] {
            for control in [0, 1, b'\n', b'\r', 0x1f, 0x7f] {
                let mut bytes = vec![b'a'; length];
                assert_eq!(controls(&bytes), 0);
                for position in [0, length / 2, length.saturating_sub(1)] {
                    if let Some(byte) = bytes.get_mut(position) {
                        *byte = control;
                    }
                }
                let expected = bytes.iter().filter(|&&b| b == control).count();
                assert_eq!(controls(&bytes), expected, "{control} in {length}");
            }
        }
        assert_eq!(controls(&[0; 40_000]), 40_000);
        assert_eq!(controls(&[b'\t', b' ', 0x80, 0xff].repeat(50)), 0);
    }

    #[test]
    fn lines_without_their_ends() {
        let head = b"first\r\na: b\r\n\r\nbody\0\n";
        let mut lines = Lines::new();
        assert_eq!(lines.find(head, &Limits::default()), Ok(Some(15)));
        assert_eq!(lines.first(head), b"first");
        assert_eq!(lines.fields(head).collect::<Vec<_>>(), [b"a: b"]);
        assert_eq!(lines.field_count(), 1);
    }
}
