//! The request target and the authority (RFC 9112 section 3.2): which of the four forms it is,
//! and whether every character may stand where it stands.

use super::ParseError;
use gate_kit::http::Method;
use std::net::Ipv6Addr;

/// Longest host name (RFC 1035) with a colon and five digits of port.
const AUTHORITY_BYTES_MAX: usize = 255 + 6;

/// A target taken apart; the authority is there only when the target named one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolved<'b> {
    pub(super) target: String,
    pub(super) authority: Option<&'b str>,
}

/// Takes a target apart by its form.
///
/// The target of CONNECT is its authority, so the path is left empty there.
pub(super) fn resolve<'b>(method: &Method, target: &'b [u8]) -> Result<Resolved<'b>, ParseError> {
    if crate::path::is_origin_form(target) && *method != Method::Connect {
        return text(target).map(|target| Resolved {
            target: target.to_owned(),
            authority: None,
        });
    }
    match (method, target) {
        (Method::Connect, _) => Ok(Resolved {
            target: String::new(),
            authority: Some(authority(target, true).ok_or(ParseError::InvalidTarget)?),
        }),
        (Method::Options, b"*") => Ok(Resolved {
            target: "*".to_owned(),
            authority: None,
        }),
        _ => absolute(method, text(target)?),
    }
}

fn text(target: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(target).map_err(|_| ParseError::InvalidTarget)
}

/// Absolute form (section 3.2.2). User information is refused, as RFC 9110 section 4.2.4 advises.
fn absolute<'b>(method: &Method, target: &'b str) -> Result<Resolved<'b>, ParseError> {
    let (scheme, rest) = target.split_once("://").ok_or(ParseError::InvalidTarget)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(ParseError::InvalidTarget);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (named, path) = rest.split_at(end);
    let authority = authority(named.as_bytes(), false).ok_or(ParseError::InvalidTarget)?;
    let target = match path.as_bytes().first() {
        None if *method == Method::Options => "*".to_owned(),
        None => "/".to_owned(),
        Some(b'/') => path.to_owned(),
        Some(_) => format!("/{path}"),
    };
    if target != "*" && !crate::path::is_origin_form(target.as_bytes()) {
        return Err(ParseError::InvalidTarget);
    }
    Ok(Resolved {
        target,
        authority: Some(authority),
    })
}

/// Whether bytes are a host with an optional port as this gateway accepts them.
///
/// Stricter than RFC 3986: letters, digits, `-._~` or a bracketed IPv6 address; no percent
/// encoding, no sub-delimiters, no empty host, no empty or impossible port.
#[must_use]
pub fn is_valid_authority(bytes: &[u8]) -> bool {
    authority(bytes, false).is_some()
}

/// The authority as text when it is valid; with `needs_port` only when it names a port.
pub(super) fn authority(bytes: &[u8], needs_port: bool) -> Option<&str> {
    if bytes.len() > AUTHORITY_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let port = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            after.as_bytes()
        }
        None => {
            let length = bytes.iter().position(|&b| !is_host_byte(b));
            let (host, after) = bytes.split_at(length.unwrap_or(bytes.len()));
            if host.is_empty() {
                return None;
            }
            after
        }
    };
    match port {
        [] => (!needs_port).then_some(text),
        [b':', digits @ ..] => is_port(digits).then_some(text),
        _ => None,
    }
}

fn is_port(digits: &[u8]) -> bool {
    (1..=5).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && digits
            .iter()
            .fold(0u32, |n, digit| n * 10 + u32::from(digit - b'0'))
            <= 65_535
}

fn is_host_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut i = 0;
        while i < 256 {
            table[i] =
                (i as u8).is_ascii_alphanumeric() || matches!(i as u8, b'-' | b'.' | b'_' | b'~');
            i += 1;
        }
        table
    };
    TABLE[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in [
            "a",
            "a.example:80",
            "a_b-c.d",
            "[::1]",
            "[fe80::1]:8080",
            "127.0.0.1:65535",
        ] {
            assert!(is_valid_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:b", "a:65536", "a:123456", "u@a", "a b", "a,b", "a/b", "[::1",
            "::1", "[::1]x", "[a]", "[]", "a%41", "\u{e9}", "a\0", "a:+1", "a?",
        ] {
            assert!(!is_valid_authority(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid_authority(&[b'a'; 300]));
    }

    #[test]
    fn forms() {
        let get = Method::Get;
        for (method, target, expected) in [
            (&get, "/a?b", Some(("/a?b", None))),
            (&get, "http://a.example", Some(("/", Some("a.example")))),
            (&get, "HTTP://a:8/x?y", Some(("/x?y", Some("a:8")))),
            (&get, "https://a?y", Some(("/?y", Some("a")))),
            (&Method::Options, "*", Some(("*", None))),
            (&Method::Options, "http://a", Some(("*", Some("a")))),
            (&Method::Connect, "a:443", Some(("", Some("a:443")))),
            (&Method::Connect, "a", None),
            (&Method::Connect, "/a", None),
            (&get, "*", None),
            (&get, "a:443", None),
            (&get, "ftp://a/", None),
            (&get, "http:///a", None),
            (&get, "http://u@a/", None),
            (&get, "/a#b", None),
            (&get, "http://a#b", None),
            (&get, "!", None),
        ] {
            let resolved = resolve(method, target.as_bytes()).ok();
            let seen = resolved.as_ref().map(|r| (r.target.as_str(), r.authority));
            assert_eq!(seen, expected, "{method} {target}");
        }
    }
}
