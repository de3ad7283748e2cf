//! Documents of the tests.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A key of a round.
pub(super) fn key(round: u32) -> String {
    format!("tg_test-key-of-round-{round}")
}

/// A document whose only route takes that key.
pub(super) fn with_key(round: u32) -> Value {
    let hash = digest(&SHA256, key(round).as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
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
