//! Framing of a stream that is one JSON list, whatever way its bytes were cut.
//!
//! Google streams so where the caller does not ask for server-sent events: each element is an
//! event, and the list closes when the stream is complete. An error may come as a single object
//! instead. What lies between elements is white space, commas and the list's brackets.

use crate::DialectError;

/// Finds the ends of a list's elements in a sequence of byte slices, and copies nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct ElementScanner {
    /// Objects and lists open within the element.
    depth: u32,
    in_string: bool,
    /// The byte before was a backslash that escapes.
    escaped: bool,
}

impl ElementScanner {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One past the end of the next element at or after `from`; `None` when it has not come yet, in
    /// which case all bytes are consumed.
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while at < bytes.len() {
            if self.in_string {
                at = self.leave_string(bytes, at);
                continue;
            }
            match bytes[at] {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                // The brackets of the list itself do not count.
                b'[' if self.depth > 0 => self.depth += 1,
                b']' if self.depth > 0 => self.depth -= 1,
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Moves behind the string's end, or to the end of the bytes.
    fn leave_string(&mut self, bytes: &[u8], mut at: usize) -> usize {
        if std::mem::take(&mut self.escaped) {
            at += 1;
        }
        while let Some(offset) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += offset + 1;
            if bytes[at - 1] == b'"' {
                self.in_string = false;
                return at;
            }
            if at == bytes.len() {
                self.escaped = true;
                return at;
            }
            at += 1;
        }
        bytes.len()
    }
}

/// An element without what lies in front of it.
pub(crate) fn element(bytes: &[u8]) -> &[u8] {
    let start = memchr::memchr(b'{', bytes).unwrap_or(bytes.len());
    &bytes[start..]
}

/// Cuts a byte stream into elements, with memory for one of them up to a limit.
#[derive(Debug)]
pub(crate) struct ElementFramer {
    scanner: ElementScanner,
    carry: Vec<u8>,
    limit: usize,
}

impl ElementFramer {
    /// A framer that refuses elements longer than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            scanner: ElementScanner::new(),
            carry: Vec::new(),
            limit,
        }
    }

    /// Hands every element that these bytes complete to `each`.
    ///
    /// # Errors
    /// [`DialectError::EventTooLarge`] for an element over the limit, and whatever `each` returns.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), DialectError>,
    ) -> Result<(), DialectError> {
        let mut start = 0;
        while let Some(end) = self.scanner.next_end(bytes, start) {
            let piece = &bytes[start..end];
            self.check_room(piece.len())?;
            start = end;
            if self.carry.is_empty() {
                each(element(piece))?;
                continue;
            }
            self.carry.extend_from_slice(piece);
            let whole = std::mem::take(&mut self.carry);
            each(element(&whole))?;
            self.carry = whole;
            self.carry.clear();
        }
        self.check_room(bytes.len() - start)?;
        self.carry.extend_from_slice(&bytes[start..]);
        Ok(())
    }

    fn check_room(&self, more: usize) -> Result<(), DialectError> {
        if self.carry.len() + more > self.limit {
            return Err(DialectError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(limit: usize, pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut elements = Vec::new();
        let mut framer = ElementFramer::new(limit);
        let mut fine = true;
        for piece in pieces {
            fine = fine
                && framer
                    .push(piece, |element| {
                        elements.push(String::from_utf8_lossy(element).into_owned());
                        Ok(())
                    })
                    .is_ok();
        }
        (elements, fine)
    }

    #[test]
    fn elements_end_where_their_braces_close() {
        let stream = "[{\"a\":\"}\\\"]\\\\\"}\r\n,\r\n{\"b\":[{},[1]]} ]";
        let (elements, fine) = frame(1024, &[stream.as_bytes()]);
        assert_eq!(elements, ["{\"a\":\"}\\\"]\\\\\"}", "{\"b\":[{},[1]]}"]);
        assert!(fine);
        let error = frame(1024, &[b"{\"error\":{}}\n"]);
        assert_eq!(error.0, ["{\"error\":{}}"]);
    }

    proptest! {
        #[test]
        fn elements_do_not_depend_on_where_the_bytes_were_cut(
            atoms in prop::collection::vec(
                prop::sample::select(vec!["[", "{", "}", "]", "\"", "\\", ",", "a", " ", "\u{e4}"]),
                0..40,
            ),
            cut in any::<prop::sample::Index>(),
            limit in 1..64_usize,
        ) {
            let stream = atoms.concat();
            let stream = stream.as_bytes();
            let whole = frame(limit, &[stream]);
            let (a, b) = stream.split_at(cut.index(stream.len() + 1));
            prop_assert_eq!(&frame(limit, &[a, b]), &whole);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&frame(limit, &single), &whole);
        }
    }
}
