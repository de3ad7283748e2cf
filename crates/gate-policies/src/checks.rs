//! What settings may name: header fields and hosts. Shared by the policies that write either.

use gate_kit::http::{HeaderId, Headers};

/// Whether a text is a header name of a sane length.
///
/// # Errors
/// A sentence, when it is not.
pub(crate) fn check_token(name: &str) -> Result<(), String> {
    let valid = name.len() <= 256 && Headers::new().try_append(name.as_bytes(), b"").is_ok();
    valid
        .then_some(())
        .ok_or_else(|| format!("`{}` is no header name", name.escape_debug()))
}

/// Whether configuration may write or remove this field.
///
/// # Errors
/// A sentence, when the name is no token or the field belongs to the codecs.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    check_token(name)?;
    match HeaderId::of(name.as_bytes()) {
        HeaderId::Host => Err("the host is changed by `rewrite: { host: ... }`".into()),
        HeaderId::ContentLength | HeaderId::Expect => Err(format!(
            "`{name}` is part of the framing, which is the gateway's own"
        )),
        id if id.is_hop_by_hop() => Err(format!(
            "`{name}` concerns one hop only (RFC 9110 section 7.6.1)"
        )),
        _ => Ok(()),
    }
}

/// Whether a text is `host`, `host:port`, `[ipv6]` or `[ipv6]:port`, without a user (RFC 3986
/// section 3.2, less the characters that no real host has).
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if after.is_empty() => ("v6", None),
                None => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (1..=255).contains(&host.len())
        && host.bytes().all(named)
        && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_malformed_names_are_refused() {
        for name in [
            "",
            " ",
            "a b",
            "a:b",
            "a\r\nb",
            "é",
            "Host",
            "content-length",
            "Connection",
            "TRANSFER-ENCODING",
            "te",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Authorization",
            "expect",
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name(&"x".repeat(257)).is_err());
        for name in ["X-A", "authorization", "Vary", "x_y~z"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn authorities_are_hosts_with_an_optional_port() {
        for text in [
            "", ":80", "a:", "a:0", "a:65536", "a:+1", "a b", "a/b", "u@a", "a:1:2", "[::1", "[x]",
            "[::1]x", "::1", "a\r\n", "é", "a%41",
        ] {
            assert!(!is_authority(text), "{text:?}");
        }
        for text in [
            "a",
            "a.example:8080",
            "10.0.0.1",
            "[::1]",
            "[2001:db8::1]:443",
            "a_b-c",
        ] {
            assert!(is_authority(text), "{text}");
        }
    }
}
