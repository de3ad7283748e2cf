//! The frames of a request's stream, as far as they may come (RFC 9114 sections 4.1 and 7).
//!
//! Bytes go in as the network cut them; what comes out is a header section that is whole, fits and
//! was found well-formed, and pieces of DATA frames. `h3` reads that. It would otherwise gather a
//! frame of any announced length, take an empty DATA frame for the end of a body, and a stream that
//! ends inside a frame for a complete one. Pure: it owns no stream.

use crate::limits::IGNORABLE_BYTES;
use crate::scan::{self, Flaw, Section};
use bytes::{Bytes, BytesMut};
use h3::error::Code;

/// QPACK's code for a section that cannot be decoded (RFC 9204 section 6).
const DECOMPRESSION_FAILED: u64 = 0x200;
/// GET of `/` at `x`: stands for a head that is not read, because it is too large.
const STAND_IN: &[u8] = &[0x01, 0x08, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 0x01, b'x'];
/// Most bytes of a frame's type and length.
const PREFIX_MAX: usize = 16;

/// Why a stream goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The peer breaks the protocol: close the connection with this code.
    Connection(u64, &'static str),
    /// This message is malformed: reset the stream with this code.
    Stream(u64, &'static str),
}

pub(crate) struct Gate {
    header_bytes: usize,
    header_fields: usize,
    input: Bytes,
    stage: Stage,
    state: State,
    prefix: [u8; PREFIX_MAX],
    prefix_len: usize,
    block: BytesMut,
    ignorable: u64,
    is_oversized: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Prefix,
    Section(u64),
    Data(u64),
    Skip(u64),
}

impl Gate {
    pub(crate) fn new(header_bytes: usize, header_fields: usize) -> Self {
        Self {
            header_bytes,
            header_fields,
            input: Bytes::new(),
            stage: Stage::Head,
            state: State::Prefix,
            prefix: [0; PREFIX_MAX],
            prefix_len: 0,
            block: BytesMut::new(),
            ignorable: IGNORABLE_BYTES,
            is_oversized: false,
        }
    }

    /// Whether the head was too large to be read, and a stand-in was let through.
    pub(crate) const fn is_oversized(&self) -> bool {
        self.is_oversized
    }

    /// Takes more bytes, after [`Self::next`] has said that it needs some.
    pub(crate) fn put(&mut self, bytes: Bytes) {
        debug_assert!(self.input.is_empty(), "what came before was used");
        self.input = bytes;
    }

    /// What may go on; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.state {
                State::Prefix => {
                    let Some((kind, length)) = self.read_prefix() else {
                        return Ok(None);
                    };
                    if let Some(through) = self.begin(kind, length)? {
                        return Ok(Some(through));
                    }
                }
                State::Section(left) => {
                    let piece = self.take(left);
                    let left = left - piece.len() as u64;
                    self.block.extend_from_slice(&piece);
                    self.state = State::Section(left);
                    if left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Prefix;
                    return self.section().map(Some);
                }
                State::Data(0) | State::Skip(0) => self.state = State::Prefix,
                State::Data(left) => {
                    let piece = self.take(left);
                    self.state = State::Data(left - piece.len() as u64);
                    return Ok((!piece.is_empty()).then_some(piece));
                }
                State::Skip(left) => {
                    let piece = self.take(left);
                    self.state = State::Skip(left - piece.len() as u64);
                    if piece.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the stream may end here (section 7.1).
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        let between = matches!(self.state, State::Prefix | State::Data(0) | State::Skip(0));
        if between && self.prefix_len == 0 {
            Ok(())
        } else {
            let code = Code::H3_FRAME_ERROR.value();
            Err(Broken::Connection(code, "a stream ended inside a frame"))
        }
    }

    fn take(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.input.split_to(self.input.len().min(most))
    }

    /// A frame's type and length (section 7.1).
    fn read_prefix(&mut self) -> Option<(u64, u64)> {
        loop {
            let so_far = &self.prefix[..self.prefix_len];
            if let Some((kind, used)) = integer(so_far)
                && let Some((length, _)) = integer(&so_far[used..])
            {
                return Some((kind, length));
            }
            if self.input.is_empty() {
                return None;
            }
            self.prefix[self.prefix_len] = self.input[0];
            self.prefix_len += 1;
            self.input = self.input.split_off(1);
        }
    }

    /// Decides about a frame by its type and length; what may go on at once.
    fn begin(&mut self, kind: u64, length: u64) -> Result<Option<Bytes>, Broken> {
        let used = std::mem::take(&mut self.prefix_len);
        let prefix = self.prefix;
        match (kind, self.stage) {
            // DATA
            (0x0, Stage::Body) if length == 0 => self.ignore(used as u64)?,
            (0x0, Stage::Body) => {
                self.state = State::Data(length);
                return Ok(Some(Bytes::copy_from_slice(&prefix[..used])));
            }
            // HEADERS
            (0x1, Stage::Head | Stage::Body) => {
                let is_head = self.stage == Stage::Head;
                self.stage = if is_head { Stage::Body } else { Stage::Over };
                if length > self.header_bytes as u64 {
                    self.state = State::Skip(length);
                    return self.oversized(is_head).map(Some);
                }
                self.block.extend_from_slice(&prefix[..used]);
                self.prefix_len = 0;
                self.state = State::Section(length);
            }
            // What belongs on the control stream, and what was HTTP/2's (sections 7.2 and 11.2.1).
            (0x0..=0x9 | 0xd, _) => {
                let code = Code::H3_FRAME_UNEXPECTED.value();
                return Err(Broken::Connection(code, "a frame out of its place"));
            }
            _ => {
                self.ignore(used as u64 + length)?;
                self.state = State::Skip(length);
            }
        }
        Ok(None)
    }

    fn ignore(&mut self, bytes: u64) -> Result<(), Broken> {
        self.ignorable = self.ignorable.checked_sub(bytes).ok_or(Broken::Connection(
            Code::H3_EXCESSIVE_LOAD.value(),
            "too much that means nothing",
        ))?;
        Ok(())
    }

    fn oversized(&mut self, is_head: bool) -> Result<Bytes, Broken> {
        if !is_head {
            let code = Code::H3_EXCESSIVE_LOAD.value();
            return Err(Broken::Stream(code, "the trailers are too large"));
        }
        self.is_oversized = true;
        Ok(Bytes::from_static(STAND_IN))
    }

    /// A whole header section, with its frame's prefix before it.
    fn section(&mut self) -> Result<Bytes, Broken> {
        let frame = std::mem::take(&mut self.block).freeze();
        let (kind, length) = (integer(&frame), |used: usize| integer(&frame[used..]));
        let prefix = kind.and_then(|(_, used)| Some(used + length(used)?.1));
        let prefix = prefix.expect("the frame begins with the prefix that was read");
        let is_head = self.stage == Stage::Body;
        let section = match is_head {
            true => Section::Request,
            false => Section::Trailers,
        };
        match scan::check(&frame[prefix..], section, self.header_fields) {
            Ok(()) => Ok(frame),
            Err(Flaw::TooMany) => self.oversized(is_head),
            Err(Flaw::Malformed(what)) => Err(Broken::Stream(Code::H3_MESSAGE_ERROR.value(), what)),
            Err(Flaw::Undecodable) => Err(Broken::Connection(
                DECOMPRESSION_FAILED,
                "a header section is no QPACK without a dynamic table",
            )),
        }
    }
}

/// A variable-length integer (RFC 9000 section 16) and the bytes it takes.
fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let used = 1 << (first >> 6);
    let rest = bytes.get(1..used)?;
    let start = u64::from(first & 0x3f);
    let value = rest.iter().fold(start, |n, byte| n << 8 | u64::from(*byte));
    Some((value, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = &[0x01, 0x08, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

    /// What gets through of a stream that comes in pieces of this size and then ends.
    fn through(stream: &[u8], piece: usize) -> Result<Vec<u8>, Broken> {
        let mut gate = Gate::new(64, 4);
        let mut out = Vec::new();
        for piece in stream.chunks(piece) {
            gate.put(Bytes::copy_from_slice(piece));
            while let Some(bytes) = gate.next()? {
                out.extend_from_slice(&bytes);
            }
        }
        gate.finish().map(|()| out)
    }

    fn check(stream: &[&[u8]], expected: Result<&[&[u8]], u64>) {
        let stream = stream.concat();
        for piece in 1..=stream.len().max(1) {
            let seen = through(&stream, piece).map_err(|broken| match broken {
                Broken::Connection(code, _) | Broken::Stream(code, _) => code,
            });
            assert_eq!(seen, expected.map(<[_]>::concat), "{stream:x?} by {piece}");
        }
    }

    #[test]
    fn messages_pass_whole_and_without_what_means_nothing() {
        let data = &[0x00, 0x02, b'h', b'i'][..];
        let trailers = &[0x01, 0x05, 0, 0, 0x21, b'x', 0][..];
        check(&[HEAD], Ok(&[HEAD]));
        check(
            &[HEAD, data, data, trailers],
            Ok(&[HEAD, data, data, trailers]),
        );
        let grease = &[0x21, 0x03, 1, 2, 3][..];
        check(
            &[grease, HEAD, grease, data, grease, trailers, grease],
            Ok(&[HEAD, data, trailers]),
        );
        let empty = &[0x00, 0x00][..];
        check(&[HEAD, empty, data, empty], Ok(&[HEAD, data]));
    }

    #[test]
    fn what_is_out_of_place_ends_the_connection() {
        let unexpected = Err(Code::H3_FRAME_UNEXPECTED.value());
        check(&[&[0x00, 0x01, b'a']], unexpected);
        check(&[HEAD, &[0x04, 0x00]], unexpected);
        check(&[&[0x02, 0x00]], unexpected);
        let trailers = &[0x01, 0x05, 0, 0, 0x21, b'x', 0][..];
        check(&[HEAD, trailers, trailers], unexpected);
        check(&[HEAD, trailers, &[0x00, 0x01, b'a']], unexpected);
        check(&[HEAD, &[0x01, 0x03, 0, 0, 0x80]], Err(0x200));
    }

    #[test]
    fn a_stream_ends_between_frames_or_not_well() {
        let cut = Err(Code::H3_FRAME_ERROR.value());
        check(&[&HEAD[..5]], cut);
        check(&[HEAD, &[0x00]], cut);
        check(&[HEAD, &[0x00, 0x05, b'a']], cut);
        check(&[HEAD, &[0x21, 0x05, b'a']], cut);
    }

    #[test]
    fn sizes_are_bounded() {
        // A head of 65 bytes where 64 may come.
        let large = [&[0x01, 0x40, 65][..], &[0; 65]].concat();
        check(&[&large], Ok(&[STAND_IN]));
        check(&[HEAD, &large], Err(Code::H3_EXCESSIVE_LOAD.value()));
        let fields = [
            &[0x01, 0x17, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'][..],
            &[0x21, b'x', 0].repeat(5),
        ]
        .concat();
        check(&[&fields], Ok(&[STAND_IN]));
        let load = Code::H3_EXCESSIVE_LOAD.value();
        // An unknown frame of 2^30 - 1 bytes is not waited for.
        check(&[&[0x21, 0xbf, 0xff, 0xff, 0xff]], Err(load));
        let empties = [0x00, 0x00].repeat(10_000);
        let seen = through(&[HEAD, &empties].concat(), 1000);
        assert!(matches!(seen, Err(Broken::Connection(code, _)) if code == load));
    }

    #[test]
    fn malformed_messages_end_their_stream_only() {
        let twice = &[0x01, 0x09, 0, 0, 0xd1, 0xd7, 0xc1, 0xc1, 0x50, 1, b'a'][..];
        let seen = through(twice, 3);
        assert!(
            matches!(seen, Err(Broken::Stream(code, _)) if code == Code::H3_MESSAGE_ERROR.value())
        );
    }

    proptest::proptest! {
        #[test]
        fn anything_is_judged_the_same_however_it_is_cut(stream: Vec<u8>, piece in 1_usize..40) {
            let whole = through(&stream, stream.len().max(1));
            let cut = through(&stream, piece);
            proptest::prop_assert_eq!(whole, cut);
        }
    }
}
