//! A token as presented: JWS compact serialisation (RFC 7515), taken apart and verified.
//!
//! Nothing of the payload is looked at before its signature has been verified, save the name of the
//! issuer where several are known, to choose whose keys to verify with. The header is believed only
//! where a key of ours agrees with it.

use super::{JwtAlgorithm, KeySet, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Longest token in bytes; beyond it nothing is decoded.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys tried for a token that names none.
const TRIES_MAX: usize = 4;

/// Why a token is refused, for the operator.
pub type Refusal = &'static str;

/// A token whose header is understood and whose signature is not verified yet.
pub struct Token<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// The algorithm it claims; one of those that are allowed.
    pub algorithm: JwtAlgorithm,
    /// The key it claims.
    pub key_id: Option<String>,
    /// What it claims to be (`typ`), such as `JWT` or `logout+jwt`.
    pub kind: Option<String>,
}

/// Known header parameters; serde refuses one that stands twice. `jwk`, `jku`, `x5c` and `x5u` are
/// not among them on purpose.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The one claim that is read before it is believed.
#[derive(Deserialize)]
struct Issuer {
    iss: Option<String>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8], allowed: &[JwtAlgorithm]) -> Result<Self, Refusal> {
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
            kind: header.typ,
        })
    }

    /// Who it says has made it. Nobody has vouched for that: it only chooses whose keys to try.
    #[must_use]
    pub fn claimed_issuer(&self) -> Option<String> {
        let payload = decode(self.payload)?;
        serde_json::from_slice::<Issuer>(&payload).ok()?.iss
    }

    /// The payload, once one of the keys has verified it.
    ///
    /// # Errors
    /// Why none has.
    pub fn verify(&self, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
        let mut candidates = keys
            .candidates(self.algorithm, self.key_id.as_deref())
            .take(TRIES_MAX)
            .peekable();
        if candidates.peek().is_none() {
            return Err("no key fits the token");
        }
        let signature = decode(self.signature).ok_or("the token's signature is no base64url")?;
        let message = self.signed.as_bytes();
        if !candidates.any(|key| key.verifies(self.algorithm, message, &signature)) {
            return Err("the token's signature is not valid");
        }
        decode(self.payload).ok_or("the token's payload is no base64url")
    }
}
