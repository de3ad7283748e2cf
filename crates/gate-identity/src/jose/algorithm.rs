//! Names of signature algorithms and what verifies them.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaParameters, VerificationAlgorithm};
use schemars::JsonSchema;
use serde::Deserialize;

/// Signature algorithms of RFC 7518 section 3.1 and RFC 8037. `none` does not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "each variant is its registered name")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

use JwtAlgorithm::*;

impl JwtAlgorithm {
    /// Those whose verifier holds no secret; what is allowed when nothing else is said.
    pub const ASYMMETRIC: [Self; 10] = [
        RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA,
    ];
    /// Those whose verifier could sign as well.
    pub const SYMMETRIC: [Self; 3] = [HS256, HS384, HS512];

    /// The algorithm of this registered name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        // RFC 9864 gives Ed25519 a name of its own; the key says which curve it is either way.
        if name == "Ed25519" {
            return Some(EdDSA);
        }
        Self::SYMMETRIC
            .into_iter()
            .chain(Self::ASYMMETRIC)
            .find(|algorithm| algorithm.name() == name)
    }

    /// Whether whoever verifies could also sign.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, HS256 | HS384 | HS512)
    }

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RS256 => "RS256",
            RS384 => "RS384",
            RS512 => "RS512",
            PS256 => "PS256",
            PS384 => "PS384",
            PS512 => "PS512",
            ES256 => "ES256",
            ES384 => "ES384",
            ES512 => "ES512",
            EdDSA => "EdDSA",
            HS256 => "HS256",
            HS384 => "HS384",
            HS512 => "HS512",
        }
    }

    /// How RSA verifies it; none for what is not RSA.
    pub(super) fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// How a point on a curve verifies it.
    pub(super) fn curve(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            ES512 => &signature::ECDSA_P521_SHA512_FIXED,
            EdDSA => &signature::ED25519,
            _ => return None,
        })
    }

    /// How a secret verifies it, and the fewest bytes that it may have (RFC 7518 section 3.2: as long
    /// as the hash).
    pub(super) fn mac(self) -> Option<(hmac::Algorithm, usize)> {
        Some(match self {
            HS256 => (hmac::HMAC_SHA256, 32),
            HS384 => (hmac::HMAC_SHA384, 48),
            HS512 => (hmac::HMAC_SHA512, 64),
            _ => return None,
        })
    }
}
