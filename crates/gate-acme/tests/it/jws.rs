//! Requests as an authority reads them (RFC 8555 section 6): flattened JWS, signed with ES256.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A request that is signed, not yet verified.
pub(crate) struct Signed {
    pub(crate) header: Value,
    /// None for POST-as-GET.
    pub(crate) payload: Option<Value>,
    covered: Vec<u8>,
    signature: Vec<u8>,
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| format!("malformed: {error}"))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signed {
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let outer: Value = serde_json::from_slice(body).map_err(|e| format!("malformed: {e}"))?;
        let members = outer.as_object().ok_or("malformed: no object")?;
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        if names != ["payload", "protected", "signature"] {
            return Err(format!("malformed: {names:?}"));
        }
        let text = |name: &str| {
            outer[name]
                .as_str()
                .ok_or_else(|| format!("malformed: {name}"))
        };
        let (protected, payload) = (text("protected")?, text("payload")?);
        let header =
            serde_json::from_slice(&decode(protected)?).map_err(|e| format!("malformed: {e}"))?;
        let payload_bytes = decode(payload)?;
        let payload = match payload_bytes.is_empty() {
            true => None,
            false => Some(
                serde_json::from_slice(&payload_bytes).map_err(|e| format!("malformed: {e}"))?,
            ),
        };
        let covered = format!("{protected}.{}", text("payload")?).into_bytes();
        let signature = decode(text("signature")?)?;
        Ok(Self {
            header,
            payload,
            covered,
            signature,
        })
    }

    /// Verifies it with a key.
    pub(crate) fn verify(&self, jwk: &Value) -> Result<(), String> {
        if self.header["alg"] != "ES256" {
            return Err("badSignatureAlgorithm".into());
        }
        let point = |name: &str| decode(jwk[name].as_str().unwrap_or_default());
        let key = [vec![4], point("x")?, point("y")?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(&self.covered, &self.signature)
            .map_err(|_| "unauthorized: the signature does not hold".into())
    }
}

/// The thumbprint of a key (RFC 7638).
pub(crate) fn thumbprint(jwk: &Value) -> String {
    let part = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    let canonical = format!(
        r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
        part("crv"),
        part("kty"),
        part("x"),
        part("y")
    );
    encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
}
