//! Hosts with their ports, as callers may name them in whichever version of HTTP.

use std::net::Ipv6Addr;

/// Longest host name (RFC 1035) with a colon and five digits of port.
const AUTHORITY_BYTES_MAX: usize = 255 + 6;

/// Whether bytes are a host with an optional port as this gateway accepts them.
///
/// Stricter than RFC 3986: letters, digits, `-._~` or a bracketed IPv6 address; no percent
/// encoding, no sub-delimiters, no empty host, no empty or impossible port.
#[must_use]
pub fn is_valid_authority(bytes: &[u8]) -> bool {
    authority(bytes, false).is_some()
}

/// The authority as text when it is valid; with `needs_port` only when it names a port.
#[must_use]
pub fn authority(bytes: &[u8], needs_port: bool) -> Option<&str> {
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
}
