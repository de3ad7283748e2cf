//! Hiding what may be a secret, before anything is shown.
//!
//! Documents refer to secrets and hold none; this is the second fence, for a key that was pasted
//! into the wrong field.

use gate_model::finding::is_credential;
use serde_json::Value;

/// What is shown in place of a value that may be a secret.
pub const HIDDEN: &str = "(hidden)";

/// Ends of field names whose text is a secret wherever they stand.
const NAMES: [&str; 11] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "access_key",
    "authorization",
    "cookie",
    "dsn",
];

/// The same value with every text hidden that may be a secret; `field` is the name it stands under.
#[must_use]
pub fn redact(field: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if is_secret(field, text) => HIDDEN.into(),
        Value::Array(items) => items.iter().map(|item| redact(field, item)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), redact(name, value)))
            .collect(),
        plain => plain.clone(),
    }
}

fn is_secret(field: &str, text: &str) -> bool {
    let field = field.to_ascii_lowercase().replace('-', "_");
    // `${env.X}` and the like refer to a secret and are none.
    let reference = text.starts_with("${") && text.ends_with('}');
    !reference && (is_credential(text) || NAMES.iter().any(|name| field.ends_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_hidden_and_references_shown() {
        let value = json!({
            "headers": { "X-Api-Key": "abc", "Accept": "text/html" },
            "credentials": [{ "env": "KEY" }, { "text": "sk-live-1" }],
            "password": "${vars.PASSWORD}",
            "max_tokens": 5,
            "url": "postgres://u:p@db/x",
            "model": "claude-sonnet-4-5-20250929",
        });
        let shown = json!({
            "headers": { "X-Api-Key": HIDDEN, "Accept": "text/html" },
            "credentials": [{ "env": "KEY" }, { "text": HIDDEN }],
            "password": "${vars.PASSWORD}",
            "max_tokens": 5,
            "url": HIDDEN,
            "model": "claude-sonnet-4-5-20250929",
        });
        assert_eq!(redact("", &value), shown);
    }
}
