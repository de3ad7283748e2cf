//! Keys that verify, read from a JWK Set (RFC 7517), and which algorithm each may be used for.
//!
//! A key set is read once and reduced to what can verify: keys for encryption, of unknown kinds,
//! private to somebody else or outside of the bounds are left out. A secret counts only where a
//! person has written it down.

use super::{JwtAlgorithm, decode, roca};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a set; a provider in rotation publishes two or three.
pub const KEYS_MAX: usize = 64;
/// Shortest RSA modulus in bytes (RFC 7518 section 3.3).
const MODULUS_MIN: usize = 256;
/// Longest RSA modulus in bytes: verifying with 4096 bits takes about 60 us, with 8192 over 200 us.
const MODULUS_MAX: usize = 512;

/// A key and the algorithms that it may be used for.
pub struct VerifyingKey {
    id: Option<Box<str>>,
    /// Never empty; a key that names its algorithm has one.
    uses: Vec<(JwtAlgorithm, Verifier)>,
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl VerifyingKey {
    /// Whether it may be used for this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.uses.iter().any(|(known, _)| *known == algorithm)
    }

    /// Its name (`kid`), if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether whoever holds it could sign as well.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.uses
            .iter()
            .any(|(algorithm, _)| algorithm.is_symmetric())
    }

    /// Whether this signature of a message is one by this key and algorithm. Secrets are compared in
    /// constant time.
    #[must_use]
    pub fn verifies(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let fitting = self.uses.iter().find(|(known, _)| *known == algorithm);
        match fitting {
            Some((_, Verifier::Public(key))) => key.verify_sig(message, signature).is_ok(),
            Some((_, Verifier::Secret(key))) => hmac::verify(key, message, signature).is_ok(),
            None => false,
        }
    }

    /// A key from one JWK; none when it cannot verify signatures here.
    #[must_use]
    pub fn of_jwk(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        if jwk
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let verifies = |operations: &Vec<String>| operations.iter().any(|one| one == "verify");
        if jwk.operations.as_ref().is_some_and(|all| !verifies(all)) {
            return None;
        }
        let only = match &jwk.alg {
            Some(name) => Some(JwtAlgorithm::of(name)?),
            None => None,
        };
        let uses: Vec<_> = jwk
            .candidates()
            .iter()
            .filter(|algorithm| only.is_none_or(|only| only == **algorithm))
            .filter_map(|algorithm| Some((*algorithm, jwk.verifier(*algorithm)?)))
            .collect();
        (!uses.is_empty()).then(|| Self {
            id: jwk.kid.map(Into::into),
            uses,
        })
    }
}

/// What of a JWK is read; other members are passed over.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    #[serde(rename = "key_ops")]
    operations: Option<Vec<String>>,
}

impl Jwk {
    /// Every algorithm that this kind of key may be used for.
    fn candidates(&self) -> &'static [JwtAlgorithm] {
        use JwtAlgorithm::*;
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            ("EC", Some("P-256")) => &[ES256],
            ("EC", Some("P-384")) => &[ES384],
            ("EC", Some("P-521")) => &[ES512],
            ("OKP", Some("Ed25519")) => &[EdDSA],
            ("oct", _) => &JwtAlgorithm::SYMMETRIC,
            _ => &[],
        }
    }

    fn verifier(&self, algorithm: JwtAlgorithm) -> Option<Verifier> {
        let part = |part: &Option<String>| decode(part.as_deref()?);
        if let Some(parameters) = algorithm.rsa() {
            let (n, e) = (part(&self.n)?, part(&self.e)?);
            // Some issuers write the sign's byte in front.
            let strip = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte == 0).count();
            let (n, e) = (&n[strip(&n)..], &e[strip(&e)..]);
            let sane = (MODULUS_MIN..=MODULUS_MAX).contains(&n.len()) && is_exponent(e);
            if !sane || roca::is_weak(n) {
                return None;
            }
            let components = RsaPublicKeyComponents { n, e };
            let key = components.to_parsed_public_key(parameters).ok()?;
            return Some(Verifier::Public(key));
        }
        if let Some((mac, least)) = algorithm.mac() {
            let secret = part(&self.k).filter(|secret| secret.len() >= least)?;
            return Some(Verifier::Secret(Box::new(hmac::Key::new(mac, &secret))));
        }
        let bytes = match algorithm {
            JwtAlgorithm::EdDSA => part(&self.x)?,
            _ => point(algorithm, &part(&self.x)?, &part(&self.y)?)?,
        };
        let key = ParsedPublicKey::new(algorithm.curve()?, bytes).ok()?;
        Some(Verifier::Public(key))
    }
}

/// Whether a public exponent is odd, above one and no larger than anybody uses: with one, the
/// message would be its own signature.
fn is_exponent(e: &[u8]) -> bool {
    e.len() <= 8 && e.last().is_some_and(|last| last % 2 == 1) && e != [1]
}

/// Whether a token that names the key at `place` could mean no other key: one of the same name and
/// kind, readable or not, that is another. Of copies, the first counts.
fn is_unambiguous(listed: &[Value], place: usize) -> bool {
    let key = &listed[place];
    let mut others = listed.iter().enumerate().filter(|(other, one)| {
        let alike = |name: &str| one.get(name) == key.get(name);
        let of_use = one.get("use").is_none_or(|purpose| purpose == "sig");
        let same_use = alike("alg") || one.get("alg").is_none() || key.get("alg").is_none();
        *other != place && of_use && same_use && alike("kid") && alike("kty")
    });
    let same = |one: &Value| {
        ["n", "e", "x", "y", "k"]
            .iter()
            .all(|name| one.get(*name) == key.get(*name))
    };
    key.get("kid").is_none() || others.all(|(other, one)| same(one) && other > place)
}

/// An uncompressed point (SEC 1 section 2.3.3) from coordinates, each as long as the field (RFC 7518
/// section 6.2.1.2).
fn point(algorithm: JwtAlgorithm, x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    let length = match algorithm {
        JwtAlgorithm::ES256 => 32,
        JwtAlgorithm::ES384 => 48,
        _ => 66,
    };
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat())
}

/// A set of keys that can verify; never empty.
pub struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// Reads a JWK Set. `secrets` says whether symmetric keys count: only where a person has
    /// written them down, never from a URL.
    ///
    /// # Errors
    /// A sentence that starts with `it` or `none of its`, about the set.
    pub fn parse(set: &Value, secrets: bool) -> Result<Self, String> {
        let Some(listed) = set.get("keys").and_then(Value::as_array) else {
            return Err("it is no JWK Set: it has no list `keys`".into());
        };
        if listed.len() > KEYS_MAX {
            return Err(format!(
                "it lists {} keys; {KEYS_MAX} are the most",
                listed.len()
            ));
        }
        let keys = listed
            .iter()
            .enumerate()
            .filter(|(place, _)| is_unambiguous(listed, *place))
            .filter_map(|(_, key)| VerifyingKey::of_jwk(key))
            .filter(|key| secrets || !key.is_secret());
        let keys: Vec<VerifyingKey> = keys.collect();
        if keys.is_empty() {
            return Err(format!(
                "none of its {} keys can verify signatures",
                listed.len()
            ));
        }
        // A set that mixes secrets with public keys invites confusing the two.
        if keys.iter().any(VerifyingKey::is_secret) && !keys.iter().all(VerifyingKey::is_secret) {
            return Err("it mixes secrets with public keys".into());
        }
        Ok(Self(keys))
    }

    /// The same from text.
    ///
    /// # Errors
    /// As [`Self::parse`], and when the text is no JSON.
    pub fn read(text: &[u8], secrets: bool) -> Result<Self, String> {
        let set = serde_json::from_slice(text).map_err(|error| format!("no JSON: {error}"))?;
        Self::parse(&set, secrets)
    }

    /// Whether a key fits this algorithm, whatever its id.
    #[must_use]
    pub fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.0.iter().any(|key| key.fits(algorithm))
    }

    /// Whether one of the keys is a secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.0.iter().any(VerifyingKey::is_secret)
    }

    /// Whether a key has this id.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id() == Some(id))
    }

    /// Keys that a token with this algorithm and id may have been signed with. A key without an id
    /// fits any, and a token without one any key.
    pub fn candidates<'a>(
        &'a self,
        algorithm: JwtAlgorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a VerifyingKey> {
        self.0.iter().filter(move |key| {
            let same = match (id, key.id()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            same && key.fits(algorithm)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Token;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn a_key_on_p521_verifies_es512_only() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(66);
        let jwk = json!({ "kty": "EC", "crv": "P-521", "x": encode(x), "y": encode(y) });
        let keys = KeySet::parse(&json!({ "keys": [jwk] }), false).unwrap();
        assert!(keys.fits(JwtAlgorithm::ES512) && !keys.fits(JwtAlgorithm::ES256));
        let signed = format!("{}.{}", encode(r#"{"alg":"ES512"}"#), encode("{}"));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", encode(signature));
        let token = Token::parse(token.as_bytes(), &JwtAlgorithm::ASYMMETRIC).unwrap();
        assert_eq!(token.verify(&keys), Ok(b"{}".to_vec()));
    }

    #[test]
    fn names_that_could_mean_two_keys_mean_none() {
        let secret =
            |id: &str, byte: u8| json!({ "kty": "oct", "kid": id, "k": encode([byte; 32]) });
        let count = |keys: Value| {
            KeySet::parse(&json!({ "keys": keys }), true).map_or(0, |keys| keys.0.len())
        };
        assert_eq!(count(json!([secret("a", 1), secret("b", 2)])), 2);
        assert_eq!(count(json!([secret("a", 1), secret("a", 1)])), 1);
        assert_eq!(
            count(json!([secret("a", 1), secret("a", 2), secret("b", 3)])),
            1
        );
        let unreadable = json!({ "kty": "oct", "kid": "a", "k": "!" });
        assert_eq!(count(json!([secret("a", 1), unreadable])), 0);
    }
}
