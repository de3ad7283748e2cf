//! A token as presented: JWS compact serialisation (RFC 7515), taken apart and verified.
//!
//! Nothing of the payload is looked at before its signature has been verified. The header is
//! believed only where a key of ours agrees with it.

use super::keys::{JwtAlgorithm, KeySet};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Longest token in bytes; beyond it nothing is decoded.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys tried for a token that names none.
const TRIES_MAX: usize = 4;

/// Why a token is refused, for the operator.
pub(super) type Refusal = &'static str;

/// A token whose header is understood and whose signature is not verified yet.
pub(super) struct Token<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// The algorithm it claims; one of those that are allowed.
    pub(super) algorithm: JwtAlgorithm,
    /// The key it claims.
    pub(super) key_id: Option<String>,
}

/// Known header parameters; serde refuses one that stands twice.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn parse(bytes: &'a [u8], allowed: &[JwtAlgorithm]) -> Result<Self, Refusal> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "the token is no text")?;
        let (signed, signature) = text.rsplit_once('.').ok_or("the token has no signature")?;
        let (header, payload) = signed.split_once('.').ok_or("the token has no payload")?;
        if payload.contains('.') {
            return Err("the token has too many parts");
        }
        let header = decode(header).ok_or("the token's header is no base64url")?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| "the token's header is not valid")?;
        // RFC 7515 section 4.1.11: what must be understood and is not, refuses.
        if header.crit.is_some() {
            return Err("the token needs an extension");
        }
        let algorithm = JwtAlgorithm::of(&header.alg).filter(|alg| allowed.contains(alg));
        let algorithm = algorithm.ok_or("the token's algorithm is not allowed")?;
        Ok(Self {
            signed,
            payload,
            signature,
            algorithm,
            key_id: header.kid,
        })
    }

    /// The payload, once one of the keys has verified it.
    pub(super) fn verify(&self, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
        let mut candidates = keys
            .candidates(self.algorithm, self.key_id.as_deref())
            .take(TRIES_MAX)
            .peekable();
        if candidates.peek().is_none() {
            return Err("no key fits the token");
        }
        let message = self.signed.as_bytes();
        let algorithm = self.algorithm.library();
        let verified = candidates.any(|candidate| {
            let result =
                jsonwebtoken::crypto::verify(self.signature, message, &candidate.key, algorithm);
            result.unwrap_or(false)
        });
        if !verified {
            return Err("the token's signature is not valid");
        }
        decode(self.payload).ok_or("the token's payload is no base64url")
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
