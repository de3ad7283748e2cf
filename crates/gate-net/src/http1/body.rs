//! Reads bodies in place: chunk framing is squeezed out of the caller's buffer, so that what stays
//! is contiguous and can be sent on as it lies.
//!
//! A state machine that may stop and go on at any byte. Stricter than RFC 9112 section 7.1 asks:
//! no space around sizes, exact CR LF everywhere, extensions and trailers bounded.

use super::{BodyFraming, ParseError};
use gate_kit::http::{HeaderId, Headers, is_disguised};

/// Bytes of extension on one chunk.
const EXTENSION_LINE_MAX: u32 = 256;
/// Bytes of extension in one body, so that tiny chunks cannot carry endless extensions.
const EXTENSION_BODY_MAX: u32 = 16 * 1024;
/// Bytes of trailers in one body.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Trailer fields in one body.
const TRAILER_COUNT_MAX: usize = 64;
/// Digits of a chunk size: 16 of them are 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

/// Reads one message's body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    extensions: u32,
    trailers: Option<Box<Trailers>>,
}

/// Each state is named for what it awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    Bytes(u64),
    Close,
    Size { size: u64, digits: u8 },
    Extension { size: u64, bytes: u32 },
    SizeLf { size: u64 },
    Data(u64),
    DataCr,
    DataLf,
    Trailer,
}

#[derive(Debug, Default)]
struct Trailers {
    line: Vec<u8>,
    bytes: usize,
    headers: Headers,
}

/// What one call of [`BodyDecoder::decode`] did to its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Body bytes: they now lie in `window[..data]`.
    pub data: usize,
    /// Input bytes used; `window[consumed..]` is untouched. Less than the window's length only
    /// when the message is complete.
    pub consumed: usize,
    /// Whether the message is complete.
    pub end: bool,
}

impl BodyDecoder {
    /// A decoder for one body.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Nothing,
            BodyFraming::Length(length) => State::Bytes(length),
            BodyFraming::UntilClose | BodyFraming::Tunnel => State::Close,
            BodyFraming::Chunked => NEXT_CHUNK,
        };
        Self {
            state,
            extensions: 0,
            trailers: None,
        }
    }

    /// Takes framing out of `window` and says where the body's bytes are.
    ///
    /// Bytes between `data` and `consumed` are left in no defined state. An empty window tells
    /// whether the message is complete already.
    ///
    /// # Errors
    /// The reason for which the body is refused; neither decoder nor connection can be used
    /// further.
    pub fn decode(&mut self, window: &mut [u8]) -> Result<Decoded, ParseError> {
        match self.state {
            State::Nothing => Ok(self.decoded(0, 0)),
            State::Close => Ok(self.decoded(window.len(), window.len())),
            State::Bytes(remaining) => {
                let taken = at_most(window.len(), remaining);
                self.state = match remaining - taken as u64 {
                    0 => State::Nothing,
                    left => State::Bytes(left),
                };
                Ok(self.decoded(taken, taken))
            }
            _ => self.decode_chunks(window),
        }
    }

    /// Bytes still to come, when that is known.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Nothing => Some(0),
            State::Bytes(remaining) => Some(remaining),
            _ => None,
        }
    }

    /// Whether the message is complete.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Nothing)
    }

    /// Tells the decoder that the peer has closed its side.
    ///
    /// # Errors
    /// [`ParseError::BodyTruncated`] unless the body was complete or ends by closing.
    pub fn finish_at_eof(&mut self) -> Result<(), ParseError> {
        match self.state {
            State::Nothing => Ok(()),
            State::Close => {
                self.state = State::Nothing;
                Ok(())
            }
            _ => Err(ParseError::BodyTruncated),
        }
    }

    /// The trailer fields of a complete chunked body, once; `None` when it had none.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        if !self.is_complete() {
            return None;
        }
        let trailers = self.trailers.take()?.headers;
        (!trailers.is_empty()).then_some(trailers)
    }

    fn decoded(&self, data: usize, consumed: usize) -> Decoded {
        Decoded {
            data,
            consumed,
            end: self.is_complete(),
        }
    }

    fn decode_chunks(&mut self, window: &mut [u8]) -> Result<Decoded, ParseError> {
        let (mut read, mut write) = (0, 0);
        while read < window.len() && self.state != State::Nothing {
            match self.state {
                State::Data(remaining) => {
                    let taken = at_most(window.len() - read, remaining);
                    if read != write {
                        window.copy_within(read..read + taken, write);
                    }
                    (read, write) = (read + taken, write + taken);
                    self.state = match remaining - taken as u64 {
                        0 => State::DataCr,
                        left => State::Data(left),
                    };
                }
                NEXT_CHUNK if let Some((size, length)) = plain_size_line(&window[read..]) => {
                    read += length;
                    self.state = after_size(size);
                }
                State::DataCr if window[read..].starts_with(b"\r\n") => {
                    read += 2;
                    self.state = NEXT_CHUNK;
                }
                State::Trailer => read += self.trailer(&window[read..])?,
                _ => {
                    self.step(window[read])?;
                    read += 1;
                }
            }
        }
        Ok(self.decoded(write, read))
    }

    /// One byte of framing; the whole grammar of a chunk's head and end.
    fn step(&mut self, byte: u8) -> Result<(), ParseError> {
        self.state = match (self.state, byte) {
            (State::Size { size, digits }, byte) if digit(byte).is_some() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ParseError::InvalidChunk);
                }
                State::Size {
                    size: size << 4 | u64::from(digit(byte).unwrap_or(0)),
                    digits: digits + 1,
                }
            }
            (State::Size { size, digits: 1.. }, b'\r') => State::SizeLf { size },
            (State::Size { size, digits: 1.. }, b';') => State::Extension { size, bytes: 1 },
            (State::Extension { size, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { size, bytes }, b'\t' | b' '..=b'~') => {
                self.extensions += 1;
                if bytes == EXTENSION_LINE_MAX || self.extensions > EXTENSION_BODY_MAX {
                    return Err(ParseError::ChunkExtensionTooLarge);
                }
                State::Extension {
                    size,
                    bytes: bytes + 1,
                }
            }
            (State::SizeLf { size }, b'\n') => after_size(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => NEXT_CHUNK,
            _ => return Err(ParseError::InvalidChunk),
        };
        Ok(())
    }

    /// Reads trailer bytes up to the end of a line or of the window; returns how many.
    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, ParseError> {
        let at_line_start = self.trailers.as_ref().is_none_or(|t| t.line.is_empty());
        if at_line_start && bytes.starts_with(b"\r\n") {
            self.state = State::Nothing;
            return Ok(2);
        }
        let trailers = self.trailers.get_or_insert_default();
        let taken = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        trailers.bytes += taken;
        if trailers.bytes > TRAILER_BYTES_MAX {
            return Err(ParseError::TrailersTooLarge);
        }
        trailers.line.extend_from_slice(&bytes[..taken]);
        if !trailers.line.ends_with(b"\n") {
            return Ok(taken);
        }
        match trailers.line.strip_suffix(b"\r\n") {
            None => return Err(ParseError::InvalidTrailer),
            Some([]) => self.state = State::Nothing,
            Some(line) => add_trailer(&mut trailers.headers, line)?,
        }
        trailers.line.clear();
        Ok(taken)
    }
}

const NEXT_CHUNK: State = State::Size { size: 0, digits: 0 };

fn at_most(available: usize, remaining: u64) -> usize {
    usize::try_from(remaining).map_or(available, |remaining| remaining.min(available))
}

fn after_size(size: u64) -> State {
    match size {
        0 => State::Trailer,
        size => State::Data(size),
    }
}

/// A size line without extension that lies in the window as a whole: nearly all of them.
#[inline]
fn plain_size_line(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    for (position, &byte) in bytes
        .iter()
        .take(usize::from(SIZE_DIGITS_MAX) + 1)
        .enumerate()
    {
        match digit(byte) {
            Some(digit) if position < usize::from(SIZE_DIGITS_MAX) => {
                size = size << 4 | u64::from(digit);
            }
            _ => {
                let ends = position > 0 && byte == b'\r' && bytes.get(position + 1) == Some(&b'\n');
                return ends.then_some((size, position + 2));
            }
        }
    }
    None
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Validates one trailer line and keeps it, unless its field may not come as a trailer
/// (RFC 9110 section 6.5.1): then it is dropped, or refused where it smells of smuggling.
fn add_trailer(headers: &mut Headers, line: &[u8]) -> Result<(), ParseError> {
    let colon = memchr::memchr(b':', line).ok_or(ParseError::InvalidTrailer)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if headers.len() == TRAILER_COUNT_MAX {
        return Err(ParseError::TrailersTooLarge);
    }
    headers
        .try_append(name, value)
        .map_err(|_| ParseError::InvalidTrailer)?;
    let id = HeaderId::of(name);
    if matches!(
        id,
        HeaderId::ContentLength | HeaderId::TransferEncoding | HeaderId::Host
    ) || is_disguised(name)
    {
        return Err(ParseError::InvalidTrailer);
    }
    if !may_trail(id) {
        headers.remove(id);
    }
    Ok(())
}

/// Whether a field may come after the body: not when it frames, routes, authenticates or says how
/// to read what has been read already.
pub(super) const fn may_trail(id: HeaderId) -> bool {
    !id.is_hop_by_hop()
        && !matches!(
            id,
            HeaderId::ContentLength
                | HeaderId::Host
                | HeaderId::Authorization
                | HeaderId::CacheControl
                | HeaderId::ContentEncoding
                | HeaderId::ContentRange
                | HeaderId::ContentType
                | HeaderId::Cookie
                | HeaderId::Expect
                | HeaderId::Forwarded
                | HeaderId::Range
                | HeaderId::SetCookie
                | HeaderId::WwwAuthenticate
                | HeaderId::XApiKey
                | HeaderId::XForwardedFor
                | HeaderId::XForwardedHost
                | HeaderId::XForwardedProto
                | HeaderId::XRealIp
        )
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
