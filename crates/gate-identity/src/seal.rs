//! Values that only holders of a secret can read or make, for cookies: AES-256-GCM under a key of its
//! own for each value.
//!
//! Key and nonce are derived (HKDF, RFC 5869) from the secret and a random salt of 128 bits, so that
//! no nonce can come twice under one key however many cookies are made. The purpose is part of the
//! derivation: what was sealed as one cookie cannot be passed off as another.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of randomness in front of each value.
const SALT_BYTES: usize = 16;
/// Fewest bytes of a secret.
pub const SECRET_BYTES_MIN: usize = 32;
/// Most bytes of a cookie's value: browsers keep at least 4,096 of name, value and attributes (RFC
/// 6265 section 6.1).
const COOKIE_BYTES_MAX: usize = 3_800;
/// Most cookies that one value is split over; servers bound heads to some tens of KiB.
pub const PARTS_MAX: usize = 5;

/// What seals: the first secret. What opens: any.
#[derive(Clone)]
pub struct Seal(Vec<hkdf::Prk>);

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Seal {
    /// Of secrets, the current one first; older ones go on opening what they sealed.
    ///
    /// # Errors
    /// When there is none, or one is shorter than [`SECRET_BYTES_MIN`].
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Result<Self, String> {
        if secrets.is_empty() {
            return Err("there is no secret".to_owned());
        }
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tidegate seal 1");
        let keys = secrets.iter().map(|secret| {
            let secret = secret.as_ref();
            if secret.len() < SECRET_BYTES_MIN {
                return Err(format!(
                    "a secret needs at least {SECRET_BYTES_MIN} characters"
                ));
            }
            Ok(salt.extract(secret))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// A secret of its own for some other use.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        fill(&self.0[0], &[b"derive ", purpose.as_bytes()], &mut key);
        key
    }

    /// Seals a value, as text for a cookie.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, purpose: &str, value: &[u8]) -> Result<String, String> {
        let salt = gate_kit::random::secret::<SALT_BYTES>()
            .map_err(|_| "the system gives no randomness".to_owned())?;
        let (key, nonce) = key(&self.0[0], purpose, &salt);
        let mut sealed = value.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
            .map_err(|_| "the value cannot be sealed".to_owned())?;
        Ok(URL_SAFE_NO_PAD.encode([&salt[..], &sealed].concat()))
    }

    /// Opens what was sealed for this purpose; none when anything about it is wrong.
    #[must_use]
    pub fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, sealed) = bytes.split_at_checked(SALT_BYTES)?;
        self.0.iter().find_map(|secret| {
            let (key, nonce) = key(secret, purpose, salt);
            let mut sealed = sealed.to_vec();
            let length = key
                .open_in_place(nonce, Aad::empty(), &mut sealed)
                .ok()?
                .len();
            sealed.truncate(length);
            Some(sealed)
        })
    }
}

fn fill(secret: &hkdf::Prk, info: &[&[u8]], out: &mut [u8]) {
    let length = Length(out.len());
    let derived = secret.expand(info, length).and_then(|okm| okm.fill(out));
    derived.expect("HKDF gives up to 255 times 32 bytes");
}

fn key(secret: &hkdf::Prk, purpose: &str, salt: &[u8]) -> (LessSafeKey, Nonce) {
    let mut derived = [0; 44];
    fill(
        secret,
        &[b"seal ", purpose.as_bytes(), b" ", salt],
        &mut derived,
    );
    let (key, nonce) = derived.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes are a nonce");
    (LessSafeKey::new(key), nonce)
}

/// Splits a sealed text over cookies: `name`, or `name.0`, `name.1` ... when it is large.
///
/// # Errors
/// When it needs more than [`PARTS_MAX`] cookies.
pub fn split(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    if text.len() <= COOKIE_BYTES_MAX {
        return Ok(vec![(name.to_owned(), text.to_owned())]);
    }
    let parts = text.as_bytes().chunks(COOKIE_BYTES_MAX);
    if parts.len() > PARTS_MAX {
        return Err(format!("{} bytes do not fit into cookies", text.len()));
    }
    let texts = parts.map(|part| String::from_utf8_lossy(part).into_owned());
    let named = texts.enumerate();
    Ok(named
        .map(|(n, text)| (format!("{name}.{n}"), text))
        .collect())
}

/// The text that [`split`] has split. `find` gives the value of the cookie of a name.
pub fn join<'a>(name: &str, mut find: impl FnMut(&str) -> Option<&'a str>) -> Option<String> {
    if let Some(whole) = find(name) {
        return Some(whole.to_owned());
    }
    let mut joined = String::new();
    for n in 0..PARTS_MAX {
        match find(&format!("{name}.{n}")) {
            Some(part) => joined.push_str(part),
            None => break,
        }
    }
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only() {
        let seal = Seal::new(&[[1; 32]]).unwrap();
        let text = seal.seal("session", b"ada").unwrap();
        assert_eq!(seal.open("session", &text).as_deref(), Some(&b"ada"[..]));
        assert_ne!(text, seal.seal("session", b"ada").unwrap());
        assert_eq!(seal.open("login", &text), None);
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal.open("session", &changed), None, "{place}");
            assert_eq!(seal.open("session", &text[..place]), None);
        }
        let rotated = Seal::new(&[[2; 32], [1; 32]]).unwrap();
        assert!(rotated.open("session", &text).is_some());
        assert!(
            Seal::new(&[[2; 32]])
                .unwrap()
                .open("session", &text)
                .is_none()
        );
        assert!(Seal::new(&[[2; 31]]).is_err() && Seal::new::<[u8; 32]>(&[]).is_err());
        assert_ne!(seal.derive("a"), seal.derive("b"));
    }

    #[test]
    fn large_values_are_split_and_joined() {
        for length in [
            1,
            COOKIE_BYTES_MAX,
            COOKIE_BYTES_MAX + 1,
            PARTS_MAX * COOKIE_BYTES_MAX,
        ] {
            let text = "x".repeat(length);
            let parts = split("s", &text).unwrap();
            assert!(parts.iter().all(|(_, part)| part.len() <= COOKIE_BYTES_MAX));
            let find = |name: &str| {
                let found = parts.iter().find(|(known, _)| known == name);
                found.map(|(_, part)| part.as_str())
            };
            assert_eq!(join("s", find), Some(text));
        }
        assert!(split("s", &"x".repeat(PARTS_MAX * COOKIE_BYTES_MAX + 1)).is_err());
        assert_eq!(join("s", |_| None), None);
    }
}
