//! Keys that tests sign tokens with: one Ed25519 key for each seed.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn jwk(seed: u8, id: &str) -> Value {
    let x = encode(pair(seed).public_key());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "use": "sig" })
}

pub(crate) fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    format!("{message}.{}", encode(sign(message.as_bytes())))
}

/// A token signed with the Ed25519 key of this seed.
pub(crate) fn token(seed: u8, id: &str, claims: &Value) -> String {
    let header = json!({ "alg": "EdDSA", "kid": id });
    signed(&header, claims, |message| {
        pair(seed).sign(message).as_ref().to_vec()
    })
}
