//! Keys that tokens may be signed with, and which algorithm each of them may be used for.
//!
//! A key set (RFC 7517) is read once and reduced to what can verify: keys for encryption, of
//! unknown kinds or outside of the bounds are left out. What an algorithm needs is decided by the
//! key, never by the token, so that a public RSA key can never be taken for an HMAC secret
//! (RFC 8725 section 3.1).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a set; a provider in rotation publishes two or three.
const KEYS_MAX: usize = 64;
/// Longest RSA modulus in bytes: verifying with 4096 bits takes about 60 us, with 8192 over 200 us.
const MODULUS_MAX: usize = 512;

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
    EdDSA,
    HS256,
    HS384,
    HS512,
}

impl JwtAlgorithm {
    /// Those whose verifier holds no secret; what is allowed when nothing else is said.
    pub(super) const ASYMMETRIC: [Self; 9] = {
        use JwtAlgorithm::*;
        [
            RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
        ]
    };

    /// The algorithm of this registered name.
    pub(super) fn of(name: &str) -> Option<Self> {
        use JwtAlgorithm::*;
        [HS256, HS384, HS512]
            .into_iter()
            .chain(Self::ASYMMETRIC)
            .find(|a| a.name() == name)
    }

    /// Whether whoever verifies could also sign.
    pub(super) fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// The same for the library that verifies.
    pub(super) fn library(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::EdDSA => Algorithm::EdDSA,
            Self::HS256 => Algorithm::HS256,
            Self::HS384 => Algorithm::HS384,
            Self::HS512 => Algorithm::HS512,
        }
    }
}

/// A key that can verify.
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithms: Vec<JwtAlgorithm>,
    pub(super) key: DecodingKey,
}

/// A set of keys that can verify; never empty.
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a JWK Set. `secrets` says whether symmetric keys count: only where a person has
    /// written them down, never from a URL.
    pub(super) fn parse(set: &Value, secrets: bool) -> Result<Self, String> {
        let Some(listed) = set.get("keys").and_then(Value::as_array) else {
            return Err("it is no JWK Set: it has no list `keys`".into());
        };
        if listed.len() > KEYS_MAX {
            return Err(format!(
                "it lists {} keys; {KEYS_MAX} are the most",
                listed.len()
            ));
        }
        let keys: Vec<Key> = listed
            .iter()
            .filter_map(read)
            .filter(|key| secrets || !key.is_secret())
            .collect();
        if keys.is_empty() {
            return Err(format!(
                "none of its {} keys can verify signatures",
                listed.len()
            ));
        }
        Ok(Self(keys))
    }

    /// Whether a key fits this algorithm, whatever its id.
    pub(super) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.0.iter().any(|key| key.algorithms.contains(&algorithm))
    }

    /// Whether one of the keys is a secret.
    pub(super) fn has_secret(&self) -> bool {
        self.0.iter().any(Key::is_secret)
    }

    /// Whether a key has this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Keys that a token with this algorithm and id may have been signed with. A key without an id
    /// fits any, and a token without one any key.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: JwtAlgorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            let same = match (id, key.id.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            same && key.algorithms.contains(&algorithm)
        })
    }
}

impl Key {
    fn is_secret(&self) -> bool {
        self.algorithms
            .iter()
            .any(|algorithm| algorithm.is_symmetric())
    }
}

/// One JWK, if it can verify signatures here.
fn read(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let common = &jwk.common;
    if common
        .public_key_use
        .as_ref()
        .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
    {
        return None;
    }
    if common
        .key_operations
        .as_ref()
        .is_some_and(|all| !all.contains(&KeyOperations::Verify))
    {
        return None;
    }
    let mut algorithms = of_kind(&jwk.algorithm)?;
    if let Some(only) = value.get("alg") {
        let only = JwtAlgorithm::of(only.as_str()?)?;
        algorithms.retain(|algorithm| *algorithm == only);
    }
    if algorithms.is_empty() {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key {
        id: common.key_id.as_deref().map(Into::into),
        algorithms,
        key,
    })
}

/// Every algorithm that this kind of key may be used for.
fn of_kind(parameters: &AlgorithmParameters) -> Option<Vec<JwtAlgorithm>> {
    use JwtAlgorithm::*;
    // Base64 is four thirds of the bytes; a little more is left to leading zeros.
    let bytes = |text: &str| text.len() / 4 * 3;
    Some(match parameters {
        AlgorithmParameters::RSA(key) if bytes(&key.n) <= MODULUS_MAX + 4 => {
            vec![RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![EdDSA]
        }
        // RFC 7518 section 3.2: the secret is at least as long as the hash.
        AlgorithmParameters::OctetKey(key) => {
            let length = key.value.trim_end_matches('=').len() * 3 / 4;
            let long_enough = [(HS256, 32), (HS384, 48), (HS512, 64)];
            long_enough
                .into_iter()
                .filter(|(_, least)| length >= *least)
                .map(|(a, _)| a)
                .collect()
        }
        _ => return None,
    })
}
