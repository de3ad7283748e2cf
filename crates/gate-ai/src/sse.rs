//! Framing of server-sent events, whatever way their bytes were cut.
//!
//! An event ends at a blank line; lines end in LF, CRLF or CR (WHATWG HTML, "Parsing an event
//! stream"). `EventScanner` finds the ends and copies nothing; [`SseFramer`] adds the memory for
//! an event that arrives in pieces; [`SseEvent`] reads one event's fields.

use crate::DialectError;
use std::borrow::Cow;

/// Finds the ends of events in a sequence of byte slices. State is three flags.
#[derive(Debug, Clone)]
pub(crate) struct EventScanner {
    /// The line being read has had no byte so far.
    line_is_empty: bool,
    /// The last byte was a CR that ended a line; a LF right behind it belongs to it.
    after_cr: bool,
}

impl EventScanner {
    pub(crate) const fn new() -> Self {
        Self {
            line_is_empty: true,
            after_cr: false,
        }
    }

    /// Consumes a LF at the start of `bytes` that belongs to a CR before it; how many bytes.
    pub(crate) fn leading_lf(&mut self, bytes: &[u8]) -> usize {
        let belongs = self.after_cr && bytes.first() == Some(&b'\n');
        if !bytes.is_empty() {
            self.after_cr = false;
        }
        usize::from(belongs)
    }

    /// One past the next event's blank line at or after `from`; `None` when it has not come yet,
    /// in which case all bytes are consumed. Call [`Self::leading_lf`] first on every new slice.
    #[inline]
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut line_start = from;
        loop {
            // Blank lines are most of the short ones; a search would cost more than this look.
            let offset = match bytes.get(line_start) {
                Some(b'\n' | b'\r') => Some(0),
                _ => memchr::memchr2(b'\n', b'\r', &bytes[line_start..]),
            };
            let Some(offset) = offset else {
                self.line_is_empty &= line_start == bytes.len();
                return None;
            };
            let end = line_start + offset;
            let blank = self.line_is_empty && offset == 0;
            let mut next = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(next) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_is_empty = true;
            if blank {
                return Some(next);
            }
            line_start = next;
        }
    }
}

/// One event's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field.
    pub name: Option<&'a [u8]>,
    /// The `data` lines joined by LF; `None` when there was no such line.
    pub data: Option<Cow<'a, [u8]>>,
    /// The `id` field.
    pub id: Option<&'a [u8]>,
    /// The `retry` field.
    pub retry: Option<&'a [u8]>,
}

impl<'a> SseEvent<'a> {
    /// Reads the lines of one event.
    #[must_use]
    pub fn parse(block: &'a [u8]) -> Self {
        let mut event = Self {
            name: None,
            data: None,
            id: None,
            retry: None,
        };
        let mut rest = block;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = &rest[(end + 1).min(rest.len())..];
            let (field, value) = match memchr::memchr(b':', line) {
                Some(colon) => {
                    let value = &line[colon + 1..];
                    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
                }
                None => (line, &line[line.len()..]),
            };
            match field {
                b"event" => event.name = Some(value),
                b"data" => match &mut event.data {
                    None => event.data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                },
                b"id" => event.id = Some(value),
                b"retry" => event.retry = Some(value),
                // Comments have an empty field name; unknown fields are no data.
                _ => {}
            }
        }
        event
    }
}

/// Cuts a byte stream into events, with memory for one event up to a limit.
#[derive(Debug)]
pub struct SseFramer {
    scanner: EventScanner,
    carry: Vec<u8>,
    limit: usize,
    at_start: bool,
}

impl SseFramer {
    /// A framer that refuses events longer than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            scanner: EventScanner::new(),
            carry: Vec::new(),
            limit,
            at_start: true,
        }
    }

    /// Hands every event that these bytes complete to `each`.
    ///
    /// # Errors
    /// [`DialectError::EventTooLarge`] for an event over the limit, and whatever `each` returns.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(SseEvent<'_>) -> Result<(), DialectError>,
    ) -> Result<(), DialectError> {
        let mut start = self.scanner.leading_lf(bytes);
        if start > 0 && !self.carry.is_empty() {
            // Kept, so that an event is as long as it would be in one piece.
            self.check_room(1)?;
            self.carry.push(b'\n');
        }
        while let Some(end) = self.scanner.next_end(bytes, start) {
            let piece = &bytes[start..end];
            // The LF of a CR that ends an event may come later, so it does not count.
            let late = usize::from(piece.ends_with(b"\r\n"));
            self.check_room(piece.len() - late)?;
            start = end;
            if self.carry.is_empty() {
                each(SseEvent::parse(without_mark(&mut self.at_start, piece)))?;
                continue;
            }
            self.carry.extend_from_slice(piece);
            let block = std::mem::take(&mut self.carry);
            each(SseEvent::parse(without_mark(&mut self.at_start, &block)))?;
            self.carry = block;
            self.carry.clear();
        }
        self.check_room(bytes.len() - start)?;
        self.carry.extend_from_slice(&bytes[start..]);
        Ok(())
    }

    /// Hands the last event to `each` when the stream ended without its blank line. The standard
    /// drops such an event; recorded providers send it, and their own clients accept it.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn finish(
        &mut self,
        mut each: impl FnMut(SseEvent<'_>) -> Result<(), DialectError>,
    ) -> Result<(), DialectError> {
        let block = std::mem::take(&mut self.carry);
        if block.is_empty() {
            return Ok(());
        }
        each(SseEvent::parse(without_mark(&mut self.at_start, &block)))
    }

    fn check_room(&self, more: usize) -> Result<(), DialectError> {
        if self.carry.len() + more > self.limit {
            return Err(DialectError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }
}

/// A byte order mark may open the stream.
fn without_mark<'a>(at_start: &mut bool, block: &'a [u8]) -> &'a [u8] {
    if std::mem::replace(at_start, false) {
        return block.strip_prefix(b"\xef\xbb\xbf").unwrap_or(block);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn frame(pieces: &[&[u8]]) -> Vec<Owned> {
        let mut events = Vec::new();
        let mut framer = SseFramer::new(1 << 20);
        let mut keep = |event: SseEvent<'_>| {
            if event.name.is_some() || event.data.is_some() {
                let data = event.data.map(Cow::into_owned);
                events.push((event.name.map(<[u8]>::to_vec), data));
            }
            Ok(())
        };
        for piece in pieces {
            framer.push(piece, &mut keep).unwrap();
        }
        framer.finish(&mut keep).unwrap();
        events
    }

    fn data(events: &[Owned]) -> Vec<&str> {
        let text = |event: &'_ Owned| event.1.is_some();
        events
            .iter()
            .filter(|event| text(event))
            .map(|event| std::str::from_utf8(event.1.as_deref().unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn fields_comments_and_line_ends_follow_the_standard() {
        let stream = "\u{feff}data: a\n\n: note\n\nevent:x\rdata:b\rdata: c\r\r\
                      data\r\n\r\nid: 1\nretry: 2\ndata:  d\n\ndata: tail";
        let events = frame(&[stream.as_bytes()]);
        assert_eq!(data(&events), ["a", "b\nc", "", " d", "tail"]);
        assert_eq!(events[1].0.as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn an_event_over_the_limit_is_refused_however_it_arrives() {
        for cut in 0..=20 {
            let stream = [b"data: ".as_slice(), &[b'x'; 20], b"\n\n"].concat();
            let mut framer = SseFramer::new(16);
            let result = framer
                .push(&stream[..cut], |_| Ok(()))
                .and_then(|()| framer.push(&stream[cut..], |_| Ok(())));
            assert_eq!(result, Err(DialectError::EventTooLarge { limit: 16 }));
        }
    }

    #[test]
    fn the_length_of_an_event_does_not_depend_on_cuts_within_its_line_ends() {
        let stream = b":\r\ndata: 0\r\n\r\n";
        for limit in 13..17 {
            let mut whole = SseFramer::new(limit);
            let mut single = SseFramer::new(limit);
            let mut pieces = stream.chunks(1);
            let pieces = pieces.try_for_each(|piece| single.push(piece, |_| Ok(())));
            assert_eq!(whole.push(stream, |_| Ok(())), pieces, "{limit}");
        }
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_bytes_were_cut(
            lines in prop::collection::vec("(data: ?|event:|:|id:|)[a-c\u{e4}]{0,3}", 0..24),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 24),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let stream: String = lines.iter().zip(&ends).flat_map(|(l, e)| [l.as_str(), *e]).collect();
            let stream = stream.as_bytes();
            let whole = frame(&[stream]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            prop_assert_eq!(&frame(&pieces), &whole);
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&frame(&single), &whole);
        }
    }
}
