//! The public keys of Kong's `jwt_secrets` (PEM) as a JWK Set, which the policy `auth_jwt` takes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// DER of `rsaEncryption` (RFC 8017, 1.2.840.113549.1.1.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// DER of `id-ecPublicKey` (RFC 5480, 1.2.840.10045.2.1).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// DER of the curve P-256 (1.2.840.10045.3.1.7).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A key of RFC 7517 from `-----BEGIN PUBLIC KEY-----` (RFC 5280 SubjectPublicKeyInfo).
pub(super) fn jwk(pem: &str, algorithm: &str) -> Option<Value> {
    let body = pem.split_once("-----BEGIN PUBLIC KEY-----")?.1;
    let body = body.split_once("-----END PUBLIC KEY-----")?.0;
    let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(text).ok()?;
    let (info, _) = element(&der, 0x30)?;
    let (kind, rest) = element(info, 0x30)?;
    let (oid, parameters) = element(kind, 0x06)?;
    let (bits, _) = element(rest, 0x03)?;
    let key = bits.strip_prefix(&[0])?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if oid == RSA {
        let (key, _) = element(key, 0x30)?;
        let (modulus, rest) = element(key, 0x02)?;
        let (exponent, _) = element(rest, 0x02)?;
        let plain = |number: &'_ [u8]| encode(number.strip_prefix(&[0]).unwrap_or(number));
        return Some(
            json!({ "kty": "RSA", "alg": algorithm, "n": plain(modulus), "e": plain(exponent) }),
        );
    }
    let (curve, _) = element(parameters, 0x06)?;
    let point = key.strip_prefix(&[4]).filter(|point| point.len() == 64)?;
    let (x, y) = point.split_at(32);
    let fits = oid == EC && curve == P256;
    fits.then(
        || json!({ "kty": "EC", "crv": "P-256", "alg": algorithm, "x": encode(x), "y": encode(y) }),
    )
}

/// The contents of the element at the front, if it has this tag, and what follows it (X.690).
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?),
            rest.get(2..)?,
        ),
        short if short < 0x80 => (usize::from(short), rest),
        _ => return None,
    };
    (found == tag).then_some(())?;
    Some((rest.get(..length)?, rest.get(length..)?))
}
