//! Signing an outgoing request.

use super::{
    ALGORITHM, CONTENT_SHA256, DATE, SECURITY_TOKEN, Scope, Signable, canonical_request,
    credential_scope, hex, signature, time_stamp,
};
use crate::http::RequestHead;
use std::fmt;

/// What a request is signed with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The id of the access key.
    pub access_key_id: &'a str,
    /// The secret of the access key.
    pub secret: &'a str,
    /// The token of a session, for temporary credentials.
    pub session_token: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Credentials that no header field can hold; they themselves are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCredentials;

impl fmt::Display for InvalidCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the access key id or session token holds characters that no field can carry")
    }
}

impl std::error::Error for InvalidCredentials {}

/// Whether a field is signed: those that say what is asked for. Proxies on the way may change
/// others.
fn is_signed(name: &str) -> bool {
    name == "content-type" || name.starts_with("x-amz-")
}

/// Signs a request that goes out exactly as `head` says: adds `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` for a
/// session, and `authorization`, replacing what stands there. `body_hash` is
/// [`super::body_hash`] of the body, or [`super::UNSIGNED_PAYLOAD`].
///
/// # Errors
/// [`InvalidCredentials`] when they have control characters; nothing of them is in `headers` then
/// but what was added before.
pub fn sign(
    head: &mut RequestHead,
    body_hash: &str,
    credentials: &Credentials<'_>,
    scope: &Scope<'_>,
    unix_s: u64,
) -> Result<(), InvalidCredentials> {
    let stamp = time_stamp(unix_s);
    let headers = &mut head.headers;
    for name in ["authorization", DATE, CONTENT_SHA256, SECURITY_TOKEN] {
        headers.remove_named(name);
    }
    headers.append(DATE.as_bytes(), stamp.as_bytes());
    headers.append(CONTENT_SHA256.as_bytes(), body_hash.as_bytes());
    if let Some(token) = credentials.session_token {
        headers
            .try_append(SECURITY_TOKEN.as_bytes(), token.as_bytes())
            .map_err(|_| InvalidCredentials)?;
    }
    let mut names: Vec<String> = headers
        .iter()
        .map(|(_, name, _)| String::from_utf8_lossy(name).to_ascii_lowercase())
        .filter(|name| is_signed(name))
        .collect();
    names.push("host".to_owned());
    names.sort_unstable();
    names.dedup();
    let signed: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = Signable {
        method: head.method.as_str(),
        target: &head.target,
        authority: &head.authority,
        headers,
        content_length: None,
    };
    // All of these fields are there; a value that is no text cannot be signed.
    let canonical =
        canonical_request(&request, scope, &signed, body_hash, None).ok_or(InvalidCredentials)?;
    let tag = signature(credentials.secret, &stamp, scope, &canonical);
    let value = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
        credentials.access_key_id,
        credential_scope(&stamp[..8], scope),
        signed.join(";"),
        hex(tag.as_ref())
    );
    headers
        .try_append(b"authorization", value.as_bytes())
        .map_err(|_| InvalidCredentials)
}
