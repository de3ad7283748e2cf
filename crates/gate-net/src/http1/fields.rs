//! What the fields of a head say about the message's transport, read in one pass.
//!
//! Fields that frame the message or belong to one hop are judged and left out; the rest goes into
//! [`Headers`] as spelt. Requests and responses share this, since either can be desynchronised.

use super::{BodyFraming, ParseError};
use gate_kit::http::{HeaderId, Headers};
use httparse::Header;

/// The result of one pass over a head's fields.
#[derive(Default)]
pub(super) struct Fields<'b> {
    pub(super) headers: Headers,
    pub(super) host: Option<&'b [u8]>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
    upgrade: Option<&'b [u8]>,
    upgrade_named: bool,
    te_trailers: bool,
    names_fields: bool,
}

/// Reads the fields of a head of `bytes` bytes.
pub(super) fn read<'b>(fields: &[Header<'b>], bytes: usize) -> Result<Fields<'b>, ParseError> {
    let mut seen = Fields {
        headers: Headers::with_capacity(fields.len() + 1, bytes),
        ..Fields::default()
    };
    for field in fields {
        let (name, value) = (field.name.as_bytes(), field.value);
        if has_odd_edge(value) {
            return Err(ParseError::InvalidHeaderValue);
        }
        let id = HeaderId::of(name);
        if is_ordinary(id) {
            seen.headers.append_identified(id, name, value);
        } else {
            seen.special(id, name, value)?;
        }
    }
    if seen.content_length.is_some() && seen.chunked {
        return Err(ParseError::AmbiguousFraming);
    }
    if seen.names_fields {
        seen.remove_named(fields);
    }
    if seen.te_trailers {
        seen.headers.append_known(HeaderId::Te, b"trailers");
    }
    Ok(seen)
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
    fn special(&mut self, id: HeaderId, name: &[u8], value: &'b [u8]) -> Result<(), ParseError> {
        match id {
            HeaderId::Host => {
                if self.host.replace(value).is_some() {
                    return Err(ParseError::RepeatedHost);
                }
            }
            HeaderId::ContentLength => {
                if self.content_length.replace(length(value)?).is_some() {
                    return Err(ParseError::AmbiguousFraming);
                }
            }
            HeaderId::TransferEncoding => self.transfer_encoding(value)?,
            HeaderId::Connection => self.connection(value),
            HeaderId::Upgrade => self.upgrade = Some(self.upgrade.map_or(value, |_| b"")),
            HeaderId::Te => self.te_trailers |= has_token(value, b"trailers"),
            HeaderId::Expect => {
                self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue");
                self.headers.append_identified(id, name, value);
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
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let is_coding = |member: &[u8]| {
            let name = member.trim_ascii();
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        };
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
        // The two values that nearly every message has, without the list machinery.
        if value.eq_ignore_ascii_case(b"keep-alive") {
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
    fn remove_named(&mut self, fields: &[Header<'b>]) {
        fields
            .iter()
            .filter(|field| HeaderId::of(field.name.as_bytes()) == HeaderId::Connection)
            .flat_map(|field| field.value.split(|&b| b == b','))
            .filter_map(|option| std::str::from_utf8(option.trim_ascii()).ok())
            .for_each(|option| self.headers.remove_named(option));
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

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',')
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}
