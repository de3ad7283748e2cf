//! Who shares answers, and the key of an answer.
//!
//! A key is SHA-256 over everything that decides an answer, each part behind its length: tenant,
//! model with how it is configured, address, fields that providers obey, and the request's form.
//! Whoever finds two requests with one key has broken SHA-256, so that keys need no secret and
//! several gateways can share a store.

use crate::places::HeaderName;
use aws_lc_rs::digest::{Context, SHA256};
use gate_flow::Exchange;
use gate_kit::http::{HeaderId, Headers};
use schemars::JsonSchema;
use serde::Deserialize;

/// Fields of a request that providers obey, whatever `vary` says.
const OBEYED: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];

/// Who shares kept answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheTenant {
    /// Each consumer has its own.
    #[default]
    Consumer,
    /// The consumers of a team share theirs; a consumer without a team has its own.
    Team,
    /// Everybody who is authenticated shares them.
    Everyone,
}

/// What callers get whom no policy has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheAnonymous {
    /// Their requests pass the cache by.
    #[default]
    Bypass,
    /// They share answers among themselves, and with nobody else.
    Share,
}

/// The key of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

impl Key {
    /// A shorter hash, for what may be wrong once in a while.
    pub(super) fn short(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(bytes)
    }
}

/// Collects the parts of a key.
#[derive(Clone)]
pub(super) struct KeyWriter(Context);

impl KeyWriter {
    pub(super) fn new(purpose: &str) -> Self {
        let mut writer = Self(Context::new(&SHA256));
        writer.part(purpose.as_bytes());
        writer
    }

    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        Key(key)
    }
}

/// Writes who asks; false where nothing may be shared with whoever that is.
pub(super) fn write_tenant(
    writer: &mut KeyWriter,
    exchange: &Exchange,
    tenant: CacheTenant,
    anonymous: CacheAnonymous,
) -> bool {
    let Some(caller) = &exchange.caller else {
        writer.part(b"anonymous");
        return anonymous == CacheAnonymous::Share;
    };
    match (tenant, &caller.team) {
        (CacheTenant::Everyone, _) => writer.part(b"everyone"),
        (CacheTenant::Team, Some(team)) => {
            writer.part(b"team");
            writer.part(team.as_bytes());
        }
        _ => {
            writer.part(b"consumer");
            writer.part(caller.name.as_bytes());
        }
    }
    true
}

/// Writes the fields that decide an answer.
pub(super) fn write_fields(writer: &mut KeyWriter, headers: &Headers, vary: &[HeaderName]) {
    for name in OBEYED {
        headers.all_named(name).for_each(|value| writer.part(value));
        writer.part(name.as_bytes());
    }
    for name in vary {
        name.all(headers).for_each(|value| writer.part(value));
        writer.part(name.as_str().as_bytes());
    }
    // The only thing that providers' addresses leave to it is the form of the answer.
    writer.part(headers.get(HeaderId::Accept).unwrap_or_default());
}
