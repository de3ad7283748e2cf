//! Framing of `application/vnd.amazon.eventstream`, whatever way its bytes were cut.
//!
//! A frame is a prelude (its whole length, the length of its headers, their CRC-32), headers, a
//! payload, and the CRC-32 of all before it; numbers are big-endian
//! (<https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>, "Event stream
//! encoding"). [`FrameScanner`] finds the ends and copies nothing; [`EventStreamFramer`] adds the
//! memory for a frame that arrives in pieces; [`EventFrame`] reads one frame; [`write_frame`]
//! makes one. What an event means is its dialect's business.

use crate::DialectError;

/// Bytes of the prelude, its checksum included.
const PRELUDE: usize = 12;
/// Bytes of a frame without headers and payload.
const FRAME_MIN: usize = 16;
/// Longest frame that is passed on unread: what AWS's own clients accept (24 MiB of payload,
/// 128 KiB of headers).
const FRAME_MAX: usize = 24 * 1024 * 1024 + 128 * 1024 + FRAME_MIN;
/// Type of a header whose value is text, which is the only one that events carry in practice.
const TEXT: u8 = 7;

/// Table of the CRC-32 of IEEE 802.3, reflected.
const CRC: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xEDB8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

/// CRC-32 of `bytes`.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ CRC[((crc ^ u32::from(*byte)) & 0xFF) as usize];
    !bytes.iter().fold(u32::MAX, step)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

const fn broken(reason: &'static str) -> DialectError {
    DialectError::Frame { reason }
}

/// The length of the frame that begins here; `None` while its prelude has not come whole.
fn frame_len(bytes: &[u8], limit: usize) -> Result<Option<usize>, DialectError> {
    let (Some(total), Some(headers), Some(crc)) =
        (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 8))
    else {
        return Ok(None);
    };
    let (total, headers) = (total as usize, headers as usize);
    if crc != crc32(&bytes[..8]) {
        return Err(broken("the checksum of a frame's prelude is wrong"));
    }
    if total < FRAME_MIN || headers > total - FRAME_MIN {
        return Err(broken("a frame's lengths contradict each other"));
    }
    if total > limit {
        return Err(DialectError::EventTooLarge { limit });
    }
    Ok(Some(total))
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFrame<'a> {
    headers: &'a [u8],
    /// The payload: JSON in all frames that models send.
    pub payload: &'a [u8],
}

impl<'a> EventFrame<'a> {
    /// Reads one whole frame, checksums included.
    ///
    /// # Errors
    /// [`DialectError::Frame`] when lengths, checksums or headers are wrong.
    pub fn parse(frame: &'a [u8]) -> Result<Self, DialectError> {
        if frame_len(frame, usize::MAX)? != Some(frame.len()) {
            return Err(broken("a frame has another length than it says"));
        }
        let body = frame.len() - 4;
        if u32_at(frame, body) != Some(crc32(&frame[..body])) {
            return Err(broken("the checksum of a frame is wrong"));
        }
        let parsed = Self::parse_unchecked(frame).ok_or(broken("a frame is too short"))?;
        let mut rest = parsed.headers;
        while !rest.is_empty() {
            (_, rest) = split_header(rest).ok_or(broken("a frame's headers are broken"))?;
        }
        Ok(parsed)
    }

    /// The same without looking at checksums, for bytes that pass through to a client which will.
    pub(crate) fn parse_unchecked(frame: &'a [u8]) -> Option<Self> {
        let headers_end = PRELUDE.checked_add(u32_at(frame, 4)? as usize)?;
        Some(Self {
            headers: frame.get(PRELUDE..headers_end)?,
            payload: frame.get(headers_end..frame.len().checked_sub(4)?)?,
        })
    }

    /// The text of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.headers;
        while !rest.is_empty() {
            let ((found, text), after) = split_header(rest)?;
            if found == name.as_bytes() {
                return text;
            }
            rest = after;
        }
        None
    }

    /// The word that says what the frame is: its event's type, its exception's type, or the code
    /// of an error that has no shape of its own.
    #[must_use]
    pub fn name(&self) -> Option<&'a [u8]> {
        [":event-type", ":exception-type", ":error-code"]
            .iter()
            .find_map(|header| self.header(header))
    }

    /// Whether the frame says that the stream failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self.header(":message-type"), Some(b"exception" | b"error"))
    }
}

/// A header's name and, where it is text, its value.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// The first header and what follows it.
fn split_header(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let length = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | 7 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            return Some(((name, (*kind == TEXT).then_some(value)), rest));
        }
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(length)?;
    Some(((name, None), rest))
}

/// Appends one frame with these headers, all of them text, to `out`.
///
/// Names over 255 bytes, values over 65,535 bytes and frames over 4 GiB do not exist in the format;
/// a header that does not fit is left out. Our own headers are constants.
pub fn write_frame(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE]);
    for (name, value) in headers {
        let (Ok(name_len), Ok(value_len)) = (u8::try_from(name.len()), u16::try_from(value.len()))
        else {
            continue;
        };
        out.push(name_len);
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        out.extend_from_slice(&value_len.to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers_len = out.len() - start - PRELUDE;
    out.extend_from_slice(payload);
    let total = out.len() - start + 4;
    out[start..start + 4].copy_from_slice(&(total as u32).to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(headers_len as u32).to_be_bytes());
    let crc = crc32(&out[start..start + 8]);
    out[start + 8..start + PRELUDE].copy_from_slice(&crc.to_be_bytes());
    let crc = crc32(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Writes lengths and checksums anew into a frame whose payload was changed in place.
pub(crate) fn seal_frame(frame: &mut [u8]) {
    let Some(body) = frame.len().checked_sub(4).filter(|body| *body >= PRELUDE) else {
        return;
    };
    let total = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&total.to_be_bytes());
    let crc = crc32(&frame[..8]);
    frame[8..PRELUDE].copy_from_slice(&crc.to_be_bytes());
    let crc = crc32(&frame[..body]);
    frame[body..].copy_from_slice(&crc.to_be_bytes());
}

/// Cuts a byte stream into frames, with memory for one frame up to a limit.
#[derive(Debug)]
pub struct EventStreamFramer {
    carry: Vec<u8>,
    limit: usize,
}

impl EventStreamFramer {
    /// A framer that refuses frames longer than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            carry: Vec::new(),
            limit,
        }
    }

    /// Hands every frame that these bytes complete to `each`.
    ///
    /// # Errors
    /// [`DialectError::EventTooLarge`] for a frame over the limit, [`DialectError::Frame`] for one
    /// that is broken, and whatever `each` returns. Nothing behind such a frame can be read.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(EventFrame<'_>) -> Result<(), DialectError>,
    ) -> Result<(), DialectError> {
        while !bytes.is_empty() {
            if self.carry.is_empty()
                && let Some(total) = frame_len(bytes, self.limit)?
                && let Some((frame, rest)) = bytes.split_at_checked(total)
            {
                each(EventFrame::parse(frame)?)?;
                bytes = rest;
                continue;
            }
            // First the prelude, which says how much more is wanted, then the rest.
            let wanted = frame_len(&self.carry, self.limit)?.unwrap_or(PRELUDE);
            let taken = (wanted - self.carry.len()).min(bytes.len());
            let (piece, rest) = bytes.split_at(taken);
            self.carry.extend_from_slice(piece);
            bytes = rest;
            if frame_len(&self.carry, self.limit)? == Some(self.carry.len()) {
                let frame = std::mem::take(&mut self.carry);
                each(EventFrame::parse(&frame)?)?;
                self.carry = frame;
                self.carry.clear();
            }
        }
        Ok(())
    }

    /// Whether the bytes so far end in the middle of a frame.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !self.carry.is_empty()
    }
}

/// Finds the ends of frames in a sequence of byte slices.
#[derive(Debug, Clone)]
pub(crate) struct FrameScanner {
    /// The beginning of a frame whose length is not known yet.
    prelude: [u8; PRELUDE],
    have: usize,
    /// Bytes of the frame being read that are still to come, once its length is known.
    left: usize,
    /// The bytes are no frames: nothing more is found in them.
    lost: bool,
}

impl FrameScanner {
    pub(crate) const fn new() -> Self {
        Self {
            prelude: [0; PRELUDE],
            have: 0,
            left: 0,
            lost: false,
        }
    }

    /// One past the end of the next frame at or after `from`; `None` when it has not come yet, in
    /// which case all bytes are consumed.
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        if self.left == 0 {
            let rest = bytes.get(at..)?;
            let taken = (PRELUDE - self.have).min(rest.len());
            self.prelude[self.have..self.have + taken].copy_from_slice(&rest[..taken]);
            self.have += taken;
            at += taken;
            if self.have < PRELUDE || self.lost {
                return None;
            }
            self.have = 0;
            match frame_len(&self.prelude, FRAME_MAX) {
                Ok(Some(total)) => self.left = total - PRELUDE,
                _ => {
                    self.lost = true;
                    return None;
                }
            }
        }
        let taken = self.left.min(bytes.len() - at);
        self.left -= taken;
        (self.left == 0).then_some(at + taken)
    }
}

#[cfg(test)]
mod tests;
