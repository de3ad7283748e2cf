//! What this crate's tests share.

use gate_kit::http::Headers;

/// A head of these fields.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers
}
