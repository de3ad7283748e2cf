//! Finds the lines of a head and proves that they are lines.
//!
//! After [`Lines::find`] a head is complete, every line of it ends in CR LF, and it holds no other
//! control character than tab; nobody further in looks for those again. One vectorised pass over
//! blocks of bytes does it and notes each line's colon on the way: half the instructions of a
//! search per line and per colon (see `examples/codec_cost.rs`).

use super::{HEAD_BYTES_MAX, HEADER_COUNT_MAX, Limits, ParseError};
use gate_kit::block::controls_and_colons;
use smallvec::SmallVec;

/// Bytes looked at in one step.
const BLOCK: usize = 64;

/// Lines whose positions lie on the stack; of a longer head they are on the heap.
const MARKS: usize = 64;

/// Where the lines of a head are. Made once per head and filled in place; nothing is cleared before.
pub(super) struct Lines {
    marks: SmallVec<[Mark; MARKS]>,
    /// Where the line begins whose end is not known yet.
    start: usize,
}

/// Positions in a head, which [`HEAD_BYTES_MAX`] keeps within 16 bits.
#[derive(Clone, Copy)]
struct Mark {
    /// The line's first colon; zero when there is none.
    colon: u16,
    /// The line's CR.
    end: u16,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            marks: SmallVec::new(),
            start: 0,
        }
    }

    /// Finds the lines of the head at the start of `bytes` and returns its length, the empty line
    /// included; `None` asks for more bytes. Bytes of a body behind the head are not judged.
    pub(super) fn find(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ParseError> {
        let limit = limits.head_bytes.min(HEAD_BYTES_MAX);
        let most = 1 + limits.header_count.min(HEADER_COUNT_MAX);
        let within = &bytes[..bytes.len().min(limit)];
        let mut colon = 0;
        let (blocks, rest) = within.as_chunks::<BLOCK>();
        let mut padded = [b' '; BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        for (index, block) in blocks.iter().chain([&padded]).enumerate() {
            let mut bits = controls_and_colons(block);
            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                let position = index * BLOCK + bit as usize;
                if let Some(length) = self.step(within, position, &mut colon, most)? {
                    return Ok(Some(length));
                }
                if position + 2 == self.start {
                    // The LF of this CR has been seen; unless it lies in the next block.
                    bits &= !(2 << bit);
                }
            }
        }
        match bytes.len() >= limit {
            true => Err(ParseError::HeadTooLarge),
            false => Ok(None),
        }
    }

    /// Looks at a byte with a meaning; returns the head's length when it ends the head.
    #[inline(always)]
    fn step(
        &mut self,
        within: &[u8],
        position: usize,
        colon: &mut u16,
        most: usize,
    ) -> Result<Option<usize>, ParseError> {
        match within[position] {
            b':' => {
                if *colon == 0 {
                    *colon = position as u16;
                }
            }
            b'\r' => match within.get(position + 1) {
                Some(b'\n') if position == self.start => return Ok(Some(position + 2)),
                Some(b'\n') if self.marks.len() == most => return Err(ParseError::TooManyHeaders),
                Some(b'\n') => {
                    self.marks.push(Mark {
                        colon: std::mem::take(colon),
                        end: position as u16,
                    });
                    self.start = position + 2;
                }
                Some(_) => return Err(ParseError::ControlCharacter),
                None => {}
            },
            // The LF of the CR LF before it, or else one alone.
            b'\n' if position + 1 == self.start => {}
            b'\n' => return Err(ParseError::InvalidLineEnd),
            b'\t' => {}
            _ => return Err(ParseError::ControlCharacter),
        }
        Ok(None)
    }

    /// The first line without its end.
    pub(super) fn first<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        &head[..usize::from(self.marks[0].end)]
    }

    /// How many lines follow the first.
    pub(super) fn field_count(&self) -> usize {
        self.marks.len().saturating_sub(1)
    }

    /// The lines behind the first, without their ends, each with the position of its first colon.
    #[inline]
    pub(super) fn fields<'a, 'b>(
        &'a self,
        head: &'b [u8],
    ) -> impl Iterator<Item = (&'b [u8], Option<usize>)> + use<'a, 'b> {
        self.marks.array_windows().map(|[before, mark]| {
            let start = usize::from(before.end) + 2;
            let colon = usize::from(mark.colon).checked_sub(start);
            (&head[start..usize::from(mark.end)], colon)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_their_ends() {
        let head = b"first\r\na: b:c\r\nno colon\r\n\r\nbody\0\n";
        let mut lines = Lines::new();
        assert_eq!(lines.find(head, &Limits::default()), Ok(Some(27)));
        assert_eq!(lines.first(head), b"first");
        let fields: Vec<_> = lines.fields(head).collect();
        assert_eq!(fields, [(&b"a: b:c"[..], Some(1)), (b"no colon", None)]);
        assert_eq!(lines.field_count(), 2);
    }

    #[test]
    fn lines_lie_across_blocks() {
        for length in 0..200 {
            let value = "v".repeat(length);
            let head = format!("first: {value}\r\nname: {value}\r\n\r\n");
            let mut lines = Lines::new();
            let found = lines.find(head.as_bytes(), &Limits::default());
            assert_eq!(found, Ok(Some(head.len())), "{length}");
            let field = format!("name: {value}");
            let fields: Vec<_> = lines.fields(head.as_bytes()).collect();
            assert_eq!(fields, [(field.as_bytes(), Some(4))]);
        }
    }
}
