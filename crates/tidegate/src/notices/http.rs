//! Messages over HTTP: one POST, signed where that is asked for.

use aws_lc_rs::hmac;
use gate_api::Endpoint;
use std::path::Path;
use std::time::Duration;

/// How long nothing may come.
const QUIET: Duration = Duration::from_secs(10);
/// How long an attempt may take: less than the engine waits before it hands a message out again.
pub(super) const WHOLE: Duration = Duration::from_secs(20);
/// Most bytes of an answer; nobody reads it.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// A message to post.
pub(super) struct Post<'a> {
    /// Where to.
    pub(super) url: &'a str,
    /// The body, JSON.
    pub(super) body: &'a str,
    /// Its idempotency key.
    pub(super) key: &'a str,
    /// The value of `Authorization`.
    pub(super) authorization: Option<&'a str>,
    /// What it is signed with, and the time in UNIX seconds.
    pub(super) sign: Option<(&'a str, u64)>,
    /// Whom to trust instead of the public authorities.
    pub(super) authorities: Option<&'a Path>,
    /// Whether a name may lead to this machine, its link or a metadata service.
    pub(super) allow_private: bool,
}

/// Posts a message; it has arrived when this returns well.
///
/// # Errors
/// Why it may not have arrived, without any secret.
pub(super) fn post(post: &Post<'_>) -> Result<(), String> {
    let (base, path) = parts(post.url).ok_or("its address is none")?;
    let endpoint = match post.authorities.filter(|_| base.starts_with("https://")) {
        Some(file) => Endpoint::with_authorities(base, file),
        None => Endpoint::new(base),
    };
    // The path of an address may be a secret; the error shows host and port only.
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let endpoint = endpoint.patient(QUIET).within(WHOLE);
    let endpoint = match post.allow_private {
        true => endpoint,
        false => endpoint.guarded(),
    };
    let signature = post
        .sign
        .map(|(secret, at_s)| signature(secret, at_s, post.body));
    let mut headers = vec![("Idempotency-Key", post.key)];
    headers.extend(post.authorization.map(|value| ("Authorization", value)));
    headers.extend(
        signature
            .as_deref()
            .map(|value| ("Tidegate-Signature", value)),
    );
    let body = post.body.as_bytes();
    let reply = endpoint.call("POST", path, &headers, body, ANSWER_BYTES_MAX);
    match reply.map_err(|error| error.to_string())?.status {
        200..=299 => Ok(()),
        status => Err(format!("it answered with status {status}")),
    }
}

/// An address as what connections go to, and what is asked for there.
fn parts(url: &str) -> Option<(&str, &str)> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find(['/', '?']);
    let end = end.map_or(url.len(), |end| begin + end);
    let path = &url[end..];
    match path {
        "" => Some((url, "/")),
        path if path.starts_with('/') => Some((&url[..end], path)),
        _ => None,
    }
}

/// What `Tidegate-Signature` says.
fn signature(secret: &str, at_s: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at_s}.{body}").as_bytes());
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={at_s},v1={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_two_parts() {
        assert_eq!(parts("https://a.example"), Some(("https://a.example", "/")));
        assert_eq!(
            parts("https://a.example:8/x?y=/z"),
            Some(("https://a.example:8", "/x?y=/z"))
        );
        assert_eq!(parts("https://a.example?x"), None);
        assert_eq!(parts("mailto:x"), None);
    }

    /// `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`
    #[test]
    fn signatures_are_those_of_openssl() {
        assert_eq!(
            signature("secret", 1_700_000_000, "{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }
}
