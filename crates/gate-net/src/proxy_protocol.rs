//! The PROXY protocol, versions 1 and 2: who is really calling, told by a trusted balancer in
//! front. After haproxy's `proxy-protocol.txt`.
//!
//! Whether the peer is trusted to say so is the listener's business. Type-length-values of version
//! 2 are skipped.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest line of version 1, CR LF included.
const LINE_MAX: usize = 107;
/// Longest part of version 2 behind its 16 fixed bytes. The format allows 64 KiB; balancers send
/// some hundred bytes.
const EXTRA_MAX: usize = 4096;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whose connection this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The balancer speaks for itself (a health check) or does not know: use the socket's own
    /// addresses.
    Local,
    /// A connection over TCP.
    Inet {
        /// The caller.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
    /// A connection over a Unix socket; paths without their trailing NULs.
    Unix {
        /// The caller's path, mostly empty.
        source: Box<[u8]>,
        /// The path it connected to.
        destination: Box<[u8]>,
    },
}

/// Why a header was refused; the connection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// The connection does not begin with either version's signature.
    Missing,
    /// The header is malformed.
    Malformed,
    /// Longer than its limit.
    TooLong,
    /// A version, command or protocol that a TCP listener has no use for.
    Unsupported,
}

impl ProxyError {
    /// The reason's stable name, for logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            ProxyError::Missing => "proxy_header_missing",
            ProxyError::Malformed => "proxy_header_malformed",
            ProxyError::TooLong => "proxy_header_too_long",
            ProxyError::Unsupported => "proxy_header_unsupported",
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyError::Missing => "the connection does not begin with a PROXY protocol header",
            ProxyError::Malformed => "the PROXY protocol header is malformed",
            ProxyError::TooLong => "the PROXY protocol header is too long",
            ProxyError::Unsupported => "the PROXY protocol header names an unsupported protocol",
        })
    }
}

impl std::error::Error for ProxyError {}

/// Reads a header and its length from the start of a connection; `None` asks for more bytes.
///
/// # Errors
/// The reason for which the connection is refused.
pub fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    if starts_like(bytes, SIGNATURE) {
        return version_2(bytes);
    }
    if starts_like(bytes, b"PROXY ") {
        return version_1(bytes);
    }
    Err(ProxyError::Missing)
}

/// Whether bytes begin with `prefix`, or are a beginning of it.
fn starts_like(bytes: &[u8], prefix: &[u8]) -> bool {
    let shared = bytes.len().min(prefix.len());
    bytes[..shared] == prefix[..shared]
}

fn version_1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let within = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return match within.len() {
            LINE_MAX => Err(ProxyError::TooLong),
            _ => Ok(None),
        };
    };
    let line = within[..end]
        .strip_suffix(b"\r")
        .ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let mut words = line.split(' ').skip(1);
    let header = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => ProxyHeader::Local,
        Some("TCP4") => inet(words, |text| Some(text.parse::<Ipv4Addr>().ok()?.into()))?,
        Some("TCP6") => inet(words, |text| Some(text.parse::<Ipv6Addr>().ok()?.into()))?,
        _ => return Err(ProxyError::Unsupported),
    };
    Ok(Some((header, end + 1)))
}

fn inet<'a>(
    mut words: impl Iterator<Item = &'a str>,
    address: impl Fn(&str) -> Option<IpAddr>,
) -> Result<ProxyHeader, ProxyError> {
    let mut read = || -> Option<ProxyHeader> {
        let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
        let (from, to) = (port(words.next()?)?, port(words.next()?)?);
        words.next().is_none().then_some(ProxyHeader::Inet {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        })
    };
    read().ok_or(ProxyError::Malformed)
}

/// Decimal digits without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| plain)
}

fn version_2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyError> {
    let Some((fixed, extra)) = bytes.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let [version_command, family_protocol, high, low] =
        [fixed[12], fixed[13], fixed[14], fixed[15]];
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > EXTRA_MAX {
        return Err(ProxyError::TooLong);
    }
    let is_local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::Unsupported),
    };
    let Some(extra) = extra.get(..length) else {
        return Ok(None);
    };
    let header = match family_protocol {
        _ if is_local => ProxyHeader::Local,
        0x00 => ProxyHeader::Local,
        0x11 => addresses_v4(extra).ok_or(ProxyError::Malformed)?,
        0x21 => addresses_v6(extra).ok_or(ProxyError::Malformed)?,
        0x31 => addresses_unix(extra).ok_or(ProxyError::Malformed)?,
        _ => return Err(ProxyError::Unsupported),
    };
    Ok(Some((header, 16 + length)))
}

fn addresses_v4(extra: &[u8]) -> Option<ProxyHeader> {
    let (source, rest) = extra.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    ports(rest, (*source).into(), (*destination).into())
}

fn addresses_v6(extra: &[u8]) -> Option<ProxyHeader> {
    let (source, rest) = extra.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    ports(rest, (*source).into(), (*destination).into())
}

fn ports(rest: &[u8], source: IpAddr, destination: IpAddr) -> Option<ProxyHeader> {
    let &[a, b, c, d] = rest.first_chunk::<4>()?;
    Some(ProxyHeader::Inet {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    })
}

fn addresses_unix(extra: &[u8]) -> Option<ProxyHeader> {
    let path = |bytes: &[u8]| {
        let end = bytes
            .iter()
            .rposition(|&b| b != 0)
            .map_or(0, |last| last + 1);
        Box::from(&bytes[..end])
    };
    let (source, rest) = extra.split_first_chunk::<108>()?;
    let destination = rest.first_chunk::<108>()?;
    Some(ProxyHeader::Unix {
        source: path(source),
        destination: path(destination),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::Inet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v2(version_command: u8, family_protocol: u8, extra: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extra.len()).unwrap().to_be_bytes();
        [
            &SIGNATURE[..],
            &[version_command, family_protocol],
            &length,
            extra,
        ]
        .concat()
    }

    /// Reads a header followed by other bytes, and each beginning of it as incomplete.
    fn check(header: &[u8], expected: ProxyHeader) {
        let whole = [header, b"GET / HTTP/1.1"].concat();
        assert_eq!(parse(&whole), Ok(Some((expected, header.len()))));
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(None), "{end} of {header:?}");
        }
    }

    #[test]
    fn version_1_lines() {
        check(
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n",
            inet("1.2.3.4:9", "5.6.7.8:10"),
        );
        check(
            b"PROXY TCP6 ::1 fe80::2 65535 0\r\n",
            inet("[::1]:65535", "[fe80::2]:0"),
        );
        check(b"PROXY UNKNOWN\r\n", ProxyHeader::Local);
        check(b"PROXY UNKNOWN what ever\r\n", ProxyHeader::Local);
    }

    #[test]
    fn version_2_headers() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10];
        check(&v2(0x21, 0x11, &v4), inet("1.2.3.4:9", "5.6.7.8:10"));
        let with_tlv = [&v4[..], &[4, 0, 1, 0]].concat();
        check(&v2(0x21, 0x11, &with_tlv), inet("1.2.3.4:9", "5.6.7.8:10"));
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 9, 10);
        check(&v2(0x21, 0x21, &v6), inet("[::1]:9", "[::2]:10"));
        check(&v2(0x20, 0x00, b""), ProxyHeader::Local);
        check(&v2(0x20, 0x11, &v4), ProxyHeader::Local);
        check(&v2(0x21, 0x00, b"tlv"), ProxyHeader::Local);
        let mut unix = [0; 216];
        unix[108..110].copy_from_slice(b"/s");
        let (source, destination) = (Box::from(&b""[..]), Box::from(&b"/s"[..]));
        check(
            &v2(0x21, 0x31, &unix),
            ProxyHeader::Unix {
                source,
                destination,
            },
        );
    }

    #[test]
    fn refusals() {
        for (bytes, error) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), ProxyError::Missing),
            (b"PROXYTCP4".to_vec(), ProxyError::Missing),
            (b"\r\n\r\nX".to_vec(), ProxyError::Missing),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 1.2.3.4  5.6.7.8 9 10\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 ::1 ::1 9 10\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 10\r\n".to_vec(),
                ProxyError::Malformed,
            ),
            (
                b"PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n".to_vec(),
                ProxyError::Unsupported,
            ),
            ([&b"PROXY "[..], &[b'x'; 200]].concat(), ProxyError::TooLong),
            (v2(0x11, 0x11, &[0; 12]), ProxyError::Unsupported),
            (v2(0x22, 0x11, &[0; 12]), ProxyError::Unsupported),
            (v2(0x21, 0x12, &[0; 12]), ProxyError::Unsupported),
            (v2(0x21, 0x11, &[0; 11]), ProxyError::Malformed),
            (v2(0x21, 0x21, &[0; 35]), ProxyError::Malformed),
            (v2(0x21, 0x31, &[0; 215]), ProxyError::Malformed),
            (v2(0x21, 0x11, &[0; EXTRA_MAX + 1]), ProxyError::TooLong),
        ] {
            assert_eq!(
                parse(&bytes),
                Err(error),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
