//! One question over HTTP, bounded in size; `keeper.rs` bounds its time.

use gate_api::{ClientError, Endpoint};
use serde_json::Value;
use std::path::Path;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// An answer's status and its body, where that is JSON.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The status as a reason; what a service says besides may hold secrets and is not shown.
    pub(crate) fn refusal(&self) -> String {
        format!("the service answered with status {}", self.status)
    }
}

/// The server at an address, which may have a path.
///
/// # Errors
/// What is wrong with the address or the file of authorities.
pub(crate) fn endpoint(address: &str, authorities: Option<&Path>) -> Result<Endpoint, String> {
    let endpoint = match authorities.filter(|_| address.starts_with("https://")) {
        Some(file) => Endpoint::with_authorities(address, file),
        None => Endpoint::new(address),
    };
    endpoint.map_err(|error| error.to_string())
}

/// Asks.
///
/// # Errors
/// Why no answer came.
pub(crate) fn ask(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let reply = endpoint
        .call(method, path, headers, body, ANSWER_BYTES_MAX)
        .map_err(|error| match error {
            // A header's value is not part of these.
            ClientError::Unreachable { message, .. } => message,
            other => other.to_string(),
        })?;
    Ok(Answer {
        status: reply.status,
        body: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
    })
}

/// A path with its segments encoded (RFC 3986 section 3.3); slashes stay.
///
/// # Errors
/// When it could lead elsewhere.
pub(crate) fn encoded(path: &str) -> Result<String, String> {
    let path = path.trim_matches('/');
    let odd = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    if path.is_empty() || path.len() > 1_024 || path.split('/').any(odd) {
        return Err("it is no path of a secret".to_owned());
    }
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_where_they_belong() {
        assert_eq!(encoded("app/open ai?x"), Ok("app/open%20ai%3Fx".into()));
        assert_eq!(encoded("/a/"), Ok("a".into()));
        for wrong in ["", "/", "a//b", "../sys", "a/./b"] {
            assert!(encoded(wrong).is_err(), "{wrong}");
        }
    }
}
