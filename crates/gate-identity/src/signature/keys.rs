//! Keys and algorithms of message signatures (RFC 9421 section 3.3). The key has one algorithm; what
//! a message says of it has to agree.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA512,
    RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use schemars::JsonSchema;
use serde::Deserialize;

/// Registered algorithms (RFC 9421 section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureAlgorithm {
    /// RSASSA-PSS with SHA-512.
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
    /// HMAC with SHA-256: whoever verifies could sign as well.
    HmacSha256,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// Ed25519.
    Ed25519,
}

use SignatureAlgorithm::{
    EcdsaP256Sha256, EcdsaP384Sha384, HmacSha256, RsaPssSha512, RsaV15Sha256,
};

impl SignatureAlgorithm {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RsaPssSha512 => "rsa-pss-sha512",
            RsaV15Sha256 => "rsa-v1_5-sha256",
            HmacSha256 => "hmac-sha256",
            EcdsaP256Sha256 => "ecdsa-p256-sha256",
            EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::Ed25519 => "ed25519",
        }
    }

    fn verification(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            RsaV15Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            Self::Ed25519 => &ED25519,
            HmacSha256 => return None,
        })
    }
}

/// A shared secret as written: base64 behind `base64:`, else the text itself; at least 32 bytes.
fn secret(text: &str) -> Result<hmac::Key, String> {
    let bytes = match text.strip_prefix("base64:") {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| "the secret is no base64".to_owned())?,
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() < 32 {
        return Err("the secret has less than 32 bytes".to_owned());
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// A key that verifies.
pub struct VerificationKey {
    algorithm: SignatureAlgorithm,
    key: Verifier,
}

enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl VerificationKey {
    /// Of a public key in PEM (`PUBLIC KEY`), or of a shared secret.
    ///
    /// # Errors
    /// Why it cannot be used; never the key itself.
    pub fn new(algorithm: SignatureAlgorithm, text: &str) -> Result<Self, String> {
        let key = match algorithm.verification() {
            None => Verifier::Secret(secret(text)?.into()),
            Some(verification) => {
                let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
                    .map_err(|_| "it is no `PUBLIC KEY` in PEM".to_owned())?;
                let key = ParsedPublicKey::new(verification, der.as_ref());
                let name = algorithm.name();
                Verifier::Public(key.map_err(|_| format!("the key is not for {name}"))?)
            }
        };
        Ok(Self { algorithm, key })
    }

    /// What it is used with.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) fn verifies(&self, base: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Verifier::Public(key) => key.verify_sig(base, signature).is_ok(),
            Verifier::Secret(key) => hmac::verify(key, base, signature).is_ok(),
        }
    }
}

/// A key that signs.
pub struct SigningKey {
    algorithm: SignatureAlgorithm,
    key: Signer,
}

enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
    Secret(Box<hmac::Key>),
}

impl SigningKey {
    /// Of a private key in PEM (`PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`), or of a shared
    /// secret.
    ///
    /// # Errors
    /// Why it cannot be used; never the key itself.
    pub fn new(algorithm: SignatureAlgorithm, text: &str) -> Result<Self, String> {
        if algorithm == HmacSha256 {
            let key = Signer::Secret(secret(text)?.into());
            return Ok(Self { algorithm, key });
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| "it is no private key in PEM".to_owned())?;
        let bytes = der.secret_der();
        let pkcs8 = matches!(der, PrivateKeyDer::Pkcs8(_));
        let ec = |algorithm| match pkcs8 {
            true => EcdsaKeyPair::from_pkcs8(algorithm, bytes),
            false => EcdsaKeyPair::from_private_key_der(algorithm, bytes),
        };
        let made = match algorithm {
            EcdsaP256Sha256 => {
                ec(&ECDSA_P256_SHA256_FIXED_SIGNING).map(|key| Signer::Ec(key.into()))
            }
            EcdsaP384Sha384 => {
                ec(&ECDSA_P384_SHA384_FIXED_SIGNING).map(|key| Signer::Ec(key.into()))
            }
            SignatureAlgorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(|key| Signer::Ed(key.into()))
            }
            _ if pkcs8 => RsaKeyPair::from_pkcs8(bytes).map(|key| Signer::Rsa(key.into())),
            _ => RsaKeyPair::from_der(bytes).map(|key| Signer::Rsa(key.into())),
        };
        let key = made.map_err(|_| format!("the key is not for {}", algorithm.name()))?;
        Ok(Self { algorithm, key })
    }

    /// What it is used with.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, base: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            Signer::Secret(key) => Some(hmac::sign(key, base).as_ref().to_vec()),
            Signer::Ed(key) => Some(key.sign(base).as_ref().to_vec()),
            Signer::Ec(key) => Some(key.sign(&random, base).ok()?.as_ref().to_vec()),
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm
                {
                    RsaPssSha512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                key.sign(encoding, &random, base, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}
