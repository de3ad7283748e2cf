//! The server name and protocols that a TLS client asks for, read without ending TLS, so that a
//! connection can be passed through by name (RFC 8446 section 4.1.2, RFC 6066 section 3).
//!
//! Reads only the first flight's ClientHello, which may be split over records, and changes
//! nothing: the caller forwards the same bytes.

use std::borrow::Cow;
use std::fmt;

/// Longest ClientHello with its record headers. Those with post-quantum key shares have about 2 KiB.
const HELLO_BYTES_MAX: usize = 16 * 1024;
/// Longest fragment of one record (RFC 8446 section 5.1).
const FRAGMENT_BYTES_MAX: usize = 1 << 14;

/// What a client asks for before anything is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The host name in lower case; `None` when the client sent none.
    pub server_name: Option<String>,
    /// The protocols offered by ALPN, in the client's order, such as `h2`.
    pub protocols: Vec<Vec<u8>>,
}

/// Why bytes were refused; the connection cannot be passed through by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientHelloError {
    /// The connection does not begin with a TLS handshake.
    NotTls,
    /// The ClientHello is malformed.
    Malformed,
    /// Longer than 16 KiB.
    TooLong,
    /// The server name is no host name.
    InvalidName,
}

impl ClientHelloError {
    /// The reason's stable name, for logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            ClientHelloError::NotTls => "tls_expected",
            ClientHelloError::Malformed => "client_hello_malformed",
            ClientHelloError::TooLong => "client_hello_too_long",
            ClientHelloError::InvalidName => "client_hello_invalid_name",
        }
    }
}

impl fmt::Display for ClientHelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientHelloError::NotTls => "the connection does not begin with a TLS handshake",
            ClientHelloError::Malformed => "the TLS ClientHello is malformed",
            ClientHelloError::TooLong => "the TLS ClientHello is too long",
            ClientHelloError::InvalidName => "the server name is not a host name",
        })
    }
}

impl std::error::Error for ClientHelloError {}

/// The server name alone: outer `None` asks for more bytes, inner `None` means that there is none.
///
/// # Errors
/// As for [`parse`].
pub fn sni(bytes: &[u8]) -> Result<Option<Option<String>>, ClientHelloError> {
    Ok(parse(bytes)?.map(|hello| hello.server_name))
}

/// Reads the ClientHello at the start of a connection; `None` asks for more bytes.
///
/// # Errors
/// The reason for which the connection is refused.
pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, ClientHelloError> {
    let Some(message) = handshake(bytes)? else {
        return match bytes.len() > HELLO_BYTES_MAX {
            true => Err(ClientHelloError::TooLong),
            false => Ok(None),
        };
    };
    hello(Reader(&message))
        .ok_or(ClientHelloError::Malformed)?
        .map(Some)
}

/// The first handshake message's body, joined from as many records as it needs.
fn handshake(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ClientHelloError> {
    let mut joined: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = bytes;
    loop {
        if !matches!(rest, [] | [0x16] | [0x16, 3, ..]) {
            return Err(ClientHelloError::NotTls);
        }
        let [_, _, _, high, low, after @ ..] = rest else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > FRAGMENT_BYTES_MAX {
            return Err(ClientHelloError::Malformed);
        }
        let fragment = &after[..length.min(after.len())];
        match joined.is_empty() {
            true => joined = Cow::Borrowed(fragment),
            false => joined.to_mut().extend_from_slice(fragment),
        }
        match *joined {
            [kind, ..] if kind != 1 => return Err(ClientHelloError::Malformed),
            [_, a, b, c, ..] => {
                let needed = u32::from_be_bytes([0, a, b, c]) as usize;
                if needed > HELLO_BYTES_MAX {
                    return Err(ClientHelloError::TooLong);
                }
                if joined.len() >= 4 + needed {
                    return Ok(Some(match joined {
                        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[4..4 + needed]),
                        Cow::Owned(bytes) => Cow::Owned(bytes[4..4 + needed].to_vec()),
                    }));
                }
            }
            _ => {}
        }
        if after.len() < length {
            return Ok(None);
        }
        rest = &after[length..];
    }
}

/// The message's fields; outer `None` when they do not fit together.
fn hello(mut message: Reader<'_>) -> Option<Result<ClientHello, ClientHelloError>> {
    let mut found = ClientHello::default();
    message.take(2 + 32)?;
    let session = message.vector_8()?;
    let suites = message.vector_16()?;
    let compressions = message.vector_8()?;
    if session.0.len() > 32
        || suites.0.len() < 2
        || suites.0.len() % 2 == 1
        || compressions.0.is_empty()
    {
        return None;
    }
    if message.0.is_empty() {
        return Some(Ok(found));
    }
    let mut extensions = message.vector_16()?;
    if !message.0.is_empty() {
        return None;
    }
    let (mut has_name, mut has_protocols) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number_16()?;
        let body = extensions.vector_16()?;
        match kind {
            0 if has_name => return None,
            0 => {
                has_name = true;
                match server_name(body)? {
                    Ok(name) => found.server_name = Some(name),
                    Err(error) => return Some(Err(error)),
                }
            }
            16 if has_protocols => return None,
            16 => {
                has_protocols = true;
                found.protocols = protocols(body)?;
            }
            _ => {}
        }
    }
    Some(Ok(found))
}

/// One host name; RFC 6066 forbids two, and no other type of name exists.
fn server_name(mut body: Reader<'_>) -> Option<Result<String, ClientHelloError>> {
    let mut list = body.vector_16()?;
    if !body.0.is_empty() || list.take(1)? != [0] {
        return None;
    }
    let name = list.vector_16()?;
    if !list.0.is_empty() {
        return None;
    }
    let is_name = (1..=255).contains(&name.0.len())
        && name
            .0
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !name.0.starts_with(b".")
        && !name.0.ends_with(b".");
    Some(match std::str::from_utf8(name.0) {
        Ok(text) if is_name => Ok(text.to_ascii_lowercase()),
        _ => Err(ClientHelloError::InvalidName),
    })
}

fn protocols(mut body: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = body.vector_16()?;
    let mut found = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector_8()?;
        if name.0.is_empty() {
            return None;
        }
        found.push(name.0.to_vec());
    }
    (body.0.is_empty() && !found.is_empty()).then_some(found)
}

/// Takes numbers and length-prefixed vectors off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number_16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector_8(&mut self) -> Option<Reader<'a>> {
        let length = self.take(1)?[0];
        self.take(usize::from(length)).map(Reader)
    }

    fn vector_16(&mut self) -> Option<Reader<'a>> {
        let length = self.number_16()?;
        self.take(usize::from(length)).map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector_16(bytes: &[u8]) -> Vec<u8> {
        [
            &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector_16(body)].concat()
    }

    fn name(name: &[u8]) -> Vec<u8> {
        extension(0, &vector_16(&[&[0][..], &vector_16(name)].concat()))
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &vector_16(extensions),
        ]
        .concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1][..], &length[1..], &body].concat()
    }

    fn records(message: &[u8], fragment: usize) -> Vec<u8> {
        message
            .chunks(fragment)
            .flat_map(|part| [&[0x16, 3, 1][..], &vector_16(part)].concat())
            .collect()
    }

    fn one_record(extensions: &[u8]) -> Vec<u8> {
        records(&message(extensions), FRAGMENT_BYTES_MAX)
    }

    #[test]
    fn name_and_protocols_at_every_split() {
        let alpn = extension(16, &vector_16(b"\x02h2\x08http/1.1"));
        let other = extension(43, &[2, 3, 4]);
        let message = message(&[name(b"API.example.com"), other, alpn].concat());
        let expected = ClientHello {
            server_name: Some("api.example.com".into()),
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        for fragment in [1, 3, 7, 50, FRAGMENT_BYTES_MAX] {
            let bytes = records(&message, fragment);
            let with_more = [&bytes[..], b"more"].concat();
            assert_eq!(parse(&with_more), Ok(Some(expected.clone())), "{fragment}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{end} at {fragment}");
            }
        }
    }

    #[test]
    fn a_hello_without_a_name() {
        assert_eq!(sni(&one_record(b"")), Ok(Some(None)));
        assert_eq!(sni(&one_record(&extension(43, b""))), Ok(Some(None)));
    }

    #[test]
    fn refusals() {
        use ClientHelloError as E;
        for (bytes, error) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), E::NotTls),
            (vec![0x15, 3, 1, 0, 2, 1, 0], E::NotTls),
            (vec![0x16, 2], E::NotTls),
            (vec![0x16, 3, 1, 0, 0], E::Malformed),
            (vec![0x16, 3, 1, 0xff, 0xff], E::Malformed),
            (vec![0x16, 3, 1, 0, 1, 2], E::Malformed),
            (vec![0x16, 3, 1, 0, 4, 1, 1, 0, 0], E::TooLong),
            (one_record(&name(b"")), E::InvalidName),
            (one_record(&name(b"a b")), E::InvalidName),
            (one_record(&name(b"a\0")), E::InvalidName),
            (one_record(&name(b"a.")), E::InvalidName),
            (one_record(&name(b"[::1]")), E::InvalidName),
            (one_record(&[name(b"a"), name(b"b")].concat()), E::Malformed),
            (one_record(&extension(0, b"\0")), E::Malformed),
            (one_record(&extension(16, &vector_16(b"\0"))), E::Malformed),
            (
                one_record(&extension(16, &vector_16(b"\x05h2"))),
                E::Malformed,
            ),
            (one_record(b"\0\0\0"), E::Malformed),
        ] {
            assert_eq!(parse(&bytes), Err(error), "{bytes:?}");
        }
    }
}
