//! Going through an outbound HTTP proxy with CONNECT (RFC 9110 section 9.3.6).

use crate::http1;
use crate::io::Io;
use base64::Engine as _;
use gate_kit::buffer::PooledBuf;
use gate_kit::http::Method;
use std::fmt;
use std::future::poll_fn;
use std::io::IoSlice;

/// A proxy named by URL: `http://[user:password@]host[:port]`.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundProxy {
    /// The proxy's host.
    pub host: String,
    /// The proxy's port; 80 when the URL names none.
    pub port: u16,
    /// The value of Proxy-Authorization, when the URL has credentials.
    authorization: Option<String>,
}

impl fmt::Debug for OutboundProxy {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboundProxy({}:{})", self.host, self.port)
    }
}

/// A proxy URL that cannot be used. The message never repeats the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an outbound proxy is written http://[user:password@]host[:port]: {0}")]
pub struct InvalidProxy(&'static str);

impl std::str::FromStr for OutboundProxy {
    type Err = InvalidProxy;

    fn from_str(url: &str) -> Result<Self, InvalidProxy> {
        let rest = url
            .strip_prefix("http://")
            .ok_or(InvalidProxy("the scheme must be http"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (
                host,
                port.parse()
                    .map_err(|_| InvalidProxy("the port is not a number"))?,
            ),
            _ => (place, 80),
        };
        let plausible = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plausible) {
            return Err(InvalidProxy("the host is missing or not a host"));
        }
        let authorization = credentials.map(|credentials| {
            let decoded = percent_decoded(credentials);
            let encoded = base64::engine::general_purpose::STANDARD.encode(decoded);
            format!("Basic {encoded}")
        });
        Ok(Self {
            host: host.to_owned(),
            port,
            authorization,
        })
    }
}

/// Credentials in a URL are percent-encoded (RFC 3986 section 3.2.1); a stray `%` stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// `host:port`, with the brackets an IPv6 literal needs.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Why the proxy did not let us through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the proxy asks for other credentials (407)")]
    Credentials,
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    #[error("the proxy closed the connection without an answer")]
    Closed,
    #[error("the proxy's answer is not HTTP")]
    Malformed,
    #[error("the proxy's answer is too long")]
    TooLong,
}

/// Opens a tunnel to `authority` on a connection to the proxy.
pub(crate) async fn open(
    mut io: Io,
    proxy: &OutboundProxy,
    authority: &str,
) -> Result<Io, ProxyError> {
    if !authority.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ProxyError::Malformed);
    }
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let mut left = request.as_bytes();
    while !left.is_empty() {
        let n = poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(left)])).await?;
        left = &left[n..];
    }
    let mut answer = PooledBuf::small();
    loop {
        if answer.spare().is_empty() {
            return Err(ProxyError::TooLong);
        }
        let n = poll_fn(|cx| io.poll_read(cx, answer.spare())).await?;
        if n == 0 {
            return Err(ProxyError::Closed);
        }
        answer.filled(n);
        if let Some(head) = accepted(&answer)? {
            answer.advance(head);
            io.unread(answer);
            return Ok(io);
        }
    }
}

/// Length of a complete head that lets us through; `None` while it is incomplete.
fn accepted(answer: &[u8]) -> Result<Option<usize>, ProxyError> {
    let parsed = http1::parse_response(answer, &Method::Connect, &http1::Limits::default());
    let Some(parsed) = parsed.map_err(|_| ProxyError::Malformed)? else {
        return Ok(None);
    };
    match parsed.head.status {
        200..=299 => Ok(Some(parsed.consumed)),
        407 => Err(ProxyError::Credentials),
        status => Err(ProxyError::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_credentials() {
        let proxy: OutboundProxy = "http://u%40x:p%3A@proxy.example:3128/"
            .parse()
            .expect("valid");
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        // base64 of `u@x:p:`.
        assert_eq!(proxy.authorization.as_deref(), Some("Basic dUB4OnA6"));
        assert!(!format!("{proxy:?}").contains("dUB4"));
        let proxy: OutboundProxy = "http://[::1]".parse().expect("valid");
        assert_eq!((proxy.host.as_str(), proxy.port), ("[::1]", 80));
    }

    #[test]
    fn other_urls_are_refused() {
        for bad in [
            "https://proxy",
            "proxy:3128",
            "http://",
            "http://a:b:c",
            "http://a b:1",
            "http://a\r\nb:1",
        ] {
            assert!(bad.parse::<OutboundProxy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_complete_2xx_opens_the_tunnel() {
        let ok = b"HTTP/1.1 200 Connection established\r\n\r\nrest";
        assert!(matches!(accepted(ok), Ok(Some(n)) if &ok[n..] == b"rest"));
        assert!(matches!(accepted(&ok[..20]), Ok(None)));
        let refused = accepted(b"HTTP/1.1 403 No\r\n\r\n");
        assert!(matches!(refused, Err(ProxyError::Refused(403))));
        let asked = accepted(b"HTTP/1.1 407 No\r\n\r\n");
        assert!(matches!(asked, Err(ProxyError::Credentials)));
        assert!(matches!(accepted(b"SSH-2.0"), Err(ProxyError::Malformed)));
    }
}
