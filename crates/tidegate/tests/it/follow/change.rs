//! Documents of the tests.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A key of a round.
pub(super) fn key(round: u32) -> String {
    format!("tg_test-key-of-round-{round}")
}

/// The SHA-256 of a key, as configurations have it.
pub(super) fn hashed(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    let bytes = hash.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// A document whose only route takes that key.
pub(super) fn with_key(round: u32) -> Value {
    let hash = hashed(&key(round));
    let mut document = super::fixed("welcome").tap_auth();
    document["consumers"] = json!({ "caller": { "keys": [{ "sha256": hash }] } });
    document
}

/// More for documents.
pub(super) trait Tap {
    /// The same, with keys asked for.
    fn tap_auth(self) -> Value;
}

impl Tap for Value {
    fn tap_auth(mut self) -> Value {
        self["routes"]["all"]["policies"] = json!([{ "auth_key": {} }]);
        self
    }
}
