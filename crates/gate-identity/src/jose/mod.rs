//! Signed tokens (JWS, RFC 7515) and the keys that verify them (JWK, RFC 7517).
//!
//! The key decides which algorithms it may be used for, never the token (RFC 8725 section 3.1), so a
//! public RSA key cannot be taken for an HMAC secret, and `none` does not exist. Keys that a token
//! brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are never looked at (section 3.10), and
//! `kid` is compared with names of known keys and used for nothing else.

mod algorithm;
mod keys;
mod roca;
mod token;

pub use algorithm::JwtAlgorithm;
pub use keys::{KEYS_MAX, KeySet, VerifyingKey};
pub use token::{Refusal, TOKEN_BYTES_MAX, Token};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Base64url without padding, as JOSE writes it; canonical forms only.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
