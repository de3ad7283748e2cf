//! What the fields of a head say about the message's transport, read in one pass.
//!
//! Fields that frame the message or belong to one hop are judged and left out; the rest goes into
//! [`Headers`] as spelt. Requests and responses share this, since either can be desynchronised.

use super::lines::Lines;
use super::{BodyFraming, ParseError};
use gate_kit::http::{HeaderId, Headers, is_disguised};
use std::ops::Range;

/// Room for fields that a proxy adds to a head on its way, so that the list need not grow.
const ADDED: usize = 6;
/// The same in bytes.
const ADDED_BYTES: usize = 192;

/// The result of one pass over a head's fields.
#[derive(Default)]
pub(super) struct Fields<'b> {
    pub(super) headers: Headers,
    pub(super) host: Option<&'b [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    /// Whether Transfer-Encoding names something that nobody has registered.
    pub(super) made_up_coding: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
    /// An expectation that is not, or not only, `100-continue`.
    pub(super) expect_other: bool,
    upgrade: Option<&'b [u8]>,
    upgrade_named: bool,
    te_trailers: bool,
    names_fields: bool,
}

/// Reads the fields of a head whose lines have been found.
pub(super) fn read<'b>(head: &'b [u8], lines: &Lines) -> Result<Fields<'b>, ParseError> {
    let mut seen = Fields {
        headers: Headers::with_capacity(lines.field_count() + ADDED, head.len() + ADDED_BYTES),
        ..Fields::default()
    };
    for (line, colon) in lines.fields(head) {
        let field = Field::read(line, colon)?;
        if is_ordinary(field.id) {
            field.keep(&mut seen.headers);
        } else {
            seen.special(&field)?;
        }
    }
    if seen.content_length.is_some() && seen.chunked {
        return Err(ParseError::AmbiguousFraming);
    }
    if seen.names_fields {
        seen.remove_named(head, lines);
    }
    if seen.te_trailers {
        seen.headers.append_known(HeaderId::Te, b"trailers");
    }
    Ok(seen)
}

/// One field line taken apart (RFC 9112 section 5).
struct Field<'b> {
    id: HeaderId,
    line: &'b [u8],
    name_len: u16,
    value: Range<usize>,
}

impl<'b> Field<'b> {
    #[inline(always)]
    fn read(line: &'b [u8], colon: Option<usize>) -> Result<Self, ParseError> {
        let colon = colon.ok_or(ParseError::InvalidHeaderName)?;
        let name = &line[..colon];
        let id = HeaderId::of(name);
        // A known name is a token; others are looked at byte by byte. That refuses an empty name,
        // a space before the colon and a folded line as well.
        if id == HeaderId::Other && (!is_token(name) || is_disguised(name)) {
            return Err(ParseError::InvalidHeaderName);
        }
        let value = match line[colon + 1..] {
            // One space before and none behind, in visible ASCII at the edges: nearly all of them.
            [b' ', first, .., last] if is_visible(first) && is_visible(last) => {
                colon + 2..line.len()
            }
            _ => odd_value(line, colon + 1)?,
        };
        Ok(Self {
            id,
            line,
            // Below HEAD_BYTES_MAX, which fits 16 bits.
            name_len: colon as u16,
            value,
        })
    }

    fn value(&self) -> &'b [u8] {
        &self.line[self.value.start..self.value.end]
    }

    #[inline]
    fn keep(self, headers: &mut Headers) {
        headers.append_line(self.id, self.line, self.name_len, self.value);
    }
}

/// Fields that need no look: everything but one hop's business, framing, Host and Expect.
fn is_ordinary(id: HeaderId) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [true; 256];
        let mut i = 0;
        while i < HeaderId::KNOWN.len() {
            let id = HeaderId::KNOWN[i];
            table[id as usize] = !id.is_hop_by_hop()
                && !matches!(
                    id,
                    HeaderId::Host | HeaderId::ContentLength | HeaderId::Expect
                );
            i += 1;
        }
        table
    };
    TABLE[id as usize]
}

impl<'b> Fields<'b> {
    fn special(&mut self, field: &Field<'b>) -> Result<(), ParseError> {
        let value = field.value();
        match field.id {
            HeaderId::Host => only(self.host.replace(value), ParseError::RepeatedHost)?,
            HeaderId::ContentLength => only(
                self.content_length.replace(length(value)?),
                ParseError::AmbiguousFraming,
            )?,
            HeaderId::TransferEncoding => self.transfer_encoding(value)?,
            HeaderId::Connection => self.connection(value),
            HeaderId::Upgrade => self.upgrade = Some(self.upgrade.map_or(value, |_| b"")),
            HeaderId::Te => self.te_trailers |= has_token(value, b"trailers"),
            HeaderId::Expect => {
                let is_continue = value.eq_ignore_ascii_case(b"100-continue");
                self.expect_other |= !is_continue || self.expect_continue;
                self.expect_continue |= is_continue;
                let name_and_value = field.value.clone();
                self.headers
                    .append_line(field.id, field.line, field.name_len, name_and_value);
            }
            // Keep-Alive, Proxy-*, Trailer, HTTP2-Settings: one hop's business, dropped.
            _ => {}
        }
        Ok(())
    }

    /// Exactly one `chunked` (RFC 9112 section 6.1): every other coding or spelling has been read
    /// differently by some server.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), ParseError> {
        if self.chunked {
            return Err(ParseError::AmbiguousFraming);
        }
        if self.made_up_coding {
            return Err(ParseError::UnsupportedTransferCoding);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        if is_token(value) && !is_registered(value) {
            self.made_up_coding = true;
            return Ok(());
        }
        let is_coding = |member: &[u8]| is_token(member.trim_ascii());
        let chunked = value
            .split(|&b| b == b',')
            .filter(|member| member.trim_ascii().eq_ignore_ascii_case(b"chunked"))
            .count();
        Err(
            match value.split(|&b| b == b',').all(is_coding) && chunked <= 1 {
                true => ParseError::UnsupportedTransferCoding,
                false => ParseError::InvalidTransferEncoding,
            },
        )
    }

    fn connection(&mut self, value: &[u8]) {
        // What nearly every message says, by one comparison instead of a list.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_named = true;
            } else if !option.is_empty() && !option.eq_ignore_ascii_case(b"te") {
                self.names_fields = true;
            }
        }
    }

    /// Removes the fields that Connection names (RFC 9110 section 7.6.1).
    #[cold]
    fn remove_named(&mut self, head: &[u8], lines: &Lines) {
        lines
            .fields(head)
            .filter_map(|(line, colon)| Field::read(line, colon).ok())
            .filter(|field| field.id == HeaderId::Connection)
            .flat_map(|field| field.value().split(|&b| b == b','))
            .filter_map(|option| std::str::from_utf8(option.trim_ascii()).ok())
            .for_each(|option| self.headers.remove_named(option));
    }

    /// Puts aside what was taken out: the fields of one hop, and those that Connection names.
    /// Transfer-Encoding is told by the body.
    #[cold]
    pub(super) fn put_aside(&mut self, head: &[u8], lines: &Lines) {
        for (line, colon) in lines.fields(head) {
            let Ok(field) = Field::read(line, colon) else {
                continue;
            };
            let name = &field.line[..usize::from(field.name_len)];
            let is_framing = matches!(
                field.id,
                HeaderId::Host | HeaderId::ContentLength | HeaderId::TransferEncoding
            );
            let is_kept = match field.id {
                HeaderId::Other => std::str::from_utf8(name)
                    .is_ok_and(|name| self.headers.get_named(name).is_some()),
                id => self.headers.contains(id),
            };
            if !is_framing && !is_kept {
                self.headers.put_aside(name, field.value());
            }
        }
    }

    /// The protocol to switch to, when Connection names Upgrade too.
    ///
    /// `h2c` is left out: forwarding it lets a caller tunnel past the gateway, and RFC 9113 has
    /// withdrawn it. A server may ignore Upgrade, and so do we when it is repeated or malformed.
    pub(super) fn upgrade(&self) -> Option<Box<str>> {
        let value = self.upgrade.filter(|_| self.upgrade_named)?;
        let is_member = |member: &[u8]| {
            let name = member.trim_ascii();
            !name.is_empty()
                && !name.eq_ignore_ascii_case(b"h2c")
                && name
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._/+".contains(b))
        };
        value
            .split(|&b| b == b',')
            .all(is_member)
            .then(|| std::str::from_utf8(value).ok().map(Box::from))?
    }

    /// Framing by the fields alone; `None` when they say nothing.
    pub(super) fn framing(&self, is_http10: bool) -> Result<Option<BodyFraming>, ParseError> {
        if self.made_up_coding {
            return Err(ParseError::UnsupportedTransferCoding);
        }
        match (self.chunked, self.content_length) {
            (true, _) if is_http10 => Err(ParseError::InvalidTransferEncoding),
            (true, _) => Ok(Some(BodyFraming::Chunked)),
            (false, Some(length)) => Ok(Some(BodyFraming::Length(length))),
            (false, None) => Ok(None),
        }
    }

    /// Whether the connection may carry another message after this one (RFC 9112 section 9.3).
    pub(super) fn persists(&self, is_http10: bool) -> bool {
        !self.close && (!is_http10 || self.keep_alive)
    }
}

/// Whether a transfer coding is one of the registered ones (RFC 9112 section 7.2, and `identity` of
/// its predecessors): bytes in it would be something else than they seem.
fn is_registered(coding: &[u8]) -> bool {
    let registered = [
        "chunked",
        "gzip",
        "x-gzip",
        "deflate",
        "compress",
        "x-compress",
        "identity",
    ];
    registered
        .iter()
        .any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
}

/// Refuses the second of a field that may come once.
fn only<T>(previous: Option<T>, repeated: ParseError) -> Result<(), ParseError> {
    previous.map_or(Ok(()), |_| Err(repeated))
}

/// A Content-Length: digits only, at most 18 of them, so that sums of lengths never overflow.
fn length(value: &[u8]) -> Result<u64, ParseError> {
    if value.is_empty() || value.len() > 18 {
        return Err(ParseError::InvalidContentLength);
    }
    let mut length = 0;
    for &byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(match byte {
                b',' => ParseError::AmbiguousFraming,
                _ => ParseError::InvalidContentLength,
            });
        }
        length = length * 10 + u64::from(digit);
    }
    Ok(length)
}

#[inline(always)]
fn is_visible(byte: u8) -> bool {
    byte.wrapping_sub(b'!') <= b'~' - b'!'
}

/// The value behind a colon without the spaces around it (RFC 9112 section 5.1).
fn odd_value(line: &[u8], mut start: usize) -> Result<Range<usize>, ParseError> {
    let mut end = line.len();
    while start < end && matches!(line[start], b' ' | b'\t') {
        start += 1;
    }
    while start < end && matches!(line[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    match has_odd_edge(&line[start..end]) {
        true => Err(ParseError::InvalidHeaderValue),
        false => Ok(start..end),
    }
}

/// Bytes 0x85 and 0xA0 are spaces in Latin-1, and peers that think in it trim them; RFC 9110 does
/// not. At the edge of a value that is no UTF-8 text they have no other use.
fn has_odd_edge(value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (value.first(), value.last()) else {
        return false;
    };
    if (first | last) < 0x80 {
        return false;
    }
    [first, last].iter().any(|b| matches!(b, 0x85 | 0xa0)) && std::str::from_utf8(value).is_err()
}

/// RFC 9110 section 5.6.2.
fn is_token(name: &[u8]) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0x21;
        while byte < 0x7f {
            table[byte] = !matches!(
                byte as u8,
                b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}'
            );
            byte += 1;
        }
        table
    };
    !name.is_empty() && name.iter().all(|&byte| TABLE[byte as usize])
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',')
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}
