//! Consumers with their keys, as hashes.

use super::File;
use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, items, sha256, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Reads every consumer.
pub(super) fn read(draft: &mut Draft, file: &File<'_>) {
    let mut keys_seen = HashSet::new();
    for consumer in items(file.root, "consumers") {
        let Some(name) = name(consumer) else { continue };
        let mut resource = Map::new();
        let mut keys = Vec::new();
        for credential in items(consumer, "keyauth_credentials") {
            match text(credential, "key") {
                Some(key) if !key.starts_with("{vault://") => {
                    let hash = sha256(&key);
                    if keys_seen.insert(hash.clone()) {
                        keys.push(json!({ "sha256": hash }));
                    }
                }
                _ => {
                    let why = "the key stands elsewhere; write its SHA-256 under `consumers`";
                    draft
                        .notes
                        .add(credential.line(), "keyauth_credentials", Outcome::Todo, why);
                }
            }
            if credential.get("ttl").is_some() {
                let why = "when a key expires is a date (`expires`), which is not known from here";
                draft.notes.add(
                    credential.line(),
                    "keyauth_credentials.ttl",
                    Outcome::Dropped,
                    why,
                );
            }
        }
        if !keys.is_empty() {
            resource.insert("keys".into(), json!(keys));
        }
        rest(draft, consumer);
        draft.add("consumers", &name, Value::Object(resource));
    }
}

/// A consumer's name.
pub(super) fn name(consumer: &Node) -> Option<String> {
    text(consumer, "username").or_else(|| text(consumer, "custom_id"))
}

/// What else a consumer has.
fn rest(draft: &mut Draft, consumer: &Node) {
    for (key, node) in consumer.entries() {
        let (outcome, why) = match &*key.text {
            _ if node.is_nothing() => continue,
            "username" | "keyauth_credentials" | "jwt_secrets" => continue,
            "id" | "custom_id" | "tags" | "created_at" => (Outcome::Needless, "names are enough"),
            "plugins" => (
                Outcome::Dropped,
                "policies belong to routes, not to consumers",
            ),
            "acls" | "groups" => (
                Outcome::Dropped,
                "groups do not exist; `keys[].routes` bounds keys",
            ),
            "basicauth_credentials"
            | "hmacauth_credentials"
            | "oauth2_credentials"
            | "mtls_auth_credentials" => (
                Outcome::Dropped,
                "callers prove themselves by keys, tokens (JWT) or AWS signatures",
            ),
            _ => (Outcome::Dropped, "this import does not know it"),
        };
        draft.notes.add(
            key.span.line,
            format!("consumers.{}", key.text),
            outcome,
            why,
        );
    }
}
