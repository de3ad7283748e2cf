//! AWS Signature Version 4: signing requests and checking the signatures of others.
//!
//! Pure: nothing here asks for the time, sends anything or knows a service. What is signed is the
//! *canonical request*, a text made of a request in one spelling, and the *scope* (day, region,
//! service). [`sign`] adds the header fields to an outgoing request; [`Authorization`] reads those
//! of an incoming one, and [`Presigned`] those of a URL, and checks them. Source:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

mod presigned;
mod sign;
mod time;
mod verify;

pub use presigned::{LIFE_MAX_S, Presigned, unsigned};
pub use sign::{Credentials, InvalidCredentials, sign};
pub use time::{parse_time, time_stamp};
pub use verify::{Authorization, Refusal};

use crate::http::Headers;
use aws_lc_rs::{digest, hmac};

/// The algorithm's name, which opens the header field and the text to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// In place of a body's hash where the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The field with the time of signing.
pub const DATE: &str = "x-amz-date";
/// The field with the body's hash.
pub const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// The field with the token of a session.
pub const SECURITY_TOKEN: &str = "x-amz-security-token";

/// A request as it is signed: as it goes over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query, encoded once as they are sent.
    pub target: &'a str,
    /// The Host field.
    pub authority: &'a str,
    /// The other fields.
    pub headers: &'a Headers,
    /// Length of the body in bytes where it is known; the field itself belongs to framing.
    pub content_length: Option<u64>,
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The region, such as `us-east-1`.
    pub region: &'a str,
    /// The service, such as `bedrock`.
    pub service: &'a str,
}

/// The SHA-256 of a body, in hexadecimal digits.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, body).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

/// The canonical request with these fields, which are in lower case and sorted; `None` when one of
/// them is absent. A parameter `without` is left out.
fn canonical_request(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    signed: &[&str],
    body_hash: &str,
    without: Option<&str>,
) -> Option<String> {
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, query),
        None => (request.target, ""),
    };
    let mut out = String::with_capacity(256 + request.target.len());
    out.push_str(request.method);
    out.push('\n');
    match scope.service {
        "s3" => out.push_str(path),
        _ => encode_again(path, &mut out),
    }
    out.push('\n');
    canonical_query(query, without, &mut out);
    out.push('\n');
    for name in signed {
        out.push_str(name);
        out.push(':');
        canonical_value(request, name, &mut out)?;
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&signed.join(";"));
    out.push('\n');
    out.push_str(body_hash);
    Some(out)
}

/// The path with each segment encoded a second time, as every service but S3 has it.
fn encode_again(path: &str, out: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&hex(&[byte]).to_ascii_uppercase());
            }
        }
    }
}

/// Parameters sorted by name and then by value, as they are encoded.
fn canonical_query(query: &str, without: Option<&str>, out: &mut String) {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut pairs: Vec<(&str, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .filter(|(name, _)| Some(*name) != without)
        .collect();
    pairs.sort_unstable();
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
}

/// A field's values joined by commas, each with its white space trimmed and made single.
fn canonical_value(request: &Signable<'_>, name: &str, out: &mut String) -> Option<()> {
    match name {
        "host" => out.push_str(request.authority),
        "content-length" => out.push_str(&request.content_length?.to_string()),
        _ => {
            let mut found = false;
            for value in request.headers.all_named(name) {
                if std::mem::replace(&mut found, true) {
                    out.push(',');
                }
                // What is no text cannot have been signed as text.
                let value = std::str::from_utf8(value).ok()?;
                let mut words = value.split_ascii_whitespace();
                out.push_str(words.next().unwrap_or_default());
                for word in words {
                    out.push(' ');
                    out.push_str(word);
                }
            }
            if !found {
                return None;
            }
        }
    }
    Some(())
}

fn mac(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// The signature of a canonical request made at `stamp`.
fn signature(secret: &str, stamp: &str, scope: &Scope<'_>, canonical: &str) -> hmac::Tag {
    let day = stamp.get(..8).unwrap_or_default();
    let text = format!(
        "{ALGORITHM}\n{stamp}\n{}\n{}",
        credential_scope(day, scope),
        body_hash(canonical.as_bytes())
    );
    let mut key = mac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    for part in [scope.region, scope.service, "aws4_request"] {
        key = mac(key.as_ref(), part.as_bytes());
    }
    mac(key.as_ref(), text.as_bytes())
}

fn credential_scope(day: &str, scope: &Scope<'_>) -> String {
    format!("{day}/{}/{}/aws4_request", scope.region, scope.service)
}

#[cfg(test)]
mod tests;
