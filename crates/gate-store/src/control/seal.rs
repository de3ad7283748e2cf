//! Envelope encryption of what is kept secret: AES-256-GCM (NIST SP 800-38D) twice.
//!
//! Each value has a data key of its own, and key-encryption keys, which come from a file or the
//! environment and are never kept in the store, wrap the data keys. Changing a key-encryption key
//! therefore touches no content: [`Keyring::rewrap`] wraps data keys anew. A value is bound to what
//! it was sealed for ([`secret_context`], [`state_context`]), so that one that is moved to another
//! name does not open. What is not prevented: whoever can write to the tables can put an older value
//! of the same name back.

use super::{Answer, ControlError, STATE_MAX};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_kit::random;
use std::fmt;

/// Bytes of a key.
const KEY: usize = 32;
/// Most bytes of a value before it is sealed.
pub const VALUE_MAX: usize = STATE_MAX - (64 << 10);
/// Values from this size on are compressed first. Shorter ones are single secrets, whose size says
/// little; what compression may tell of a state is less than its history of sizes already does.
const COMPRESS: usize = 1 << 10;
const LEVEL: i32 = 3;
/// Most keys of a ring, and most bytes of a key's id.
const KEYS_MAX: usize = 100;
const ID_MAX: usize = 100;

/// A value sealed under a data key of its own, which a key-encryption key wraps.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key.
    pub key: WrappedKey,
    /// The value, encrypted under the data key.
    pub ciphertext: Vec<u8>,
}

/// A data key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which key-encryption key wraps it.
    pub id: String,
    /// The data key, encrypted under that key.
    pub wrapped: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key", &self.key.id)
            .field("bytes", &self.ciphertext.len())
            .finish_non_exhaustive()
    }
}

/// What a stored secret's value is sealed for.
#[must_use]
pub fn secret_context(name: &str) -> String {
    format!("secret/{name}")
}

/// What a Terraform state's content is sealed for.
#[must_use]
pub fn state_context(name: &str) -> String {
    format!("state/{name}")
}

/// Key-encryption keys: the first seals, all of them open.
pub struct Keyring {
    keys: Vec<(String, LessSafeKey)>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(id, _)| id))
            .finish()
    }
}

impl Keyring {
    /// Reads keys from a file's or a variable's text: one key a line (or after a comma), its id, a
    /// blank, 32 bytes in base64. The first one seals. Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// [`ControlError::Seal`] that names the line, never what is in it.
    pub fn parse(text: &str) -> Answer<Self> {
        let mut keys: Vec<(String, LessSafeKey)> = Vec::new();
        for (index, line) in text.split(['\n', ',']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| ControlError::Seal(format!("key {}: {what}", index + 1));
            let (id, key) = line
                .split_once(|c: char| c.is_ascii_whitespace())
                .ok_or_else(|| wrong("it is not an id, a blank and a key"))?;
            let bytes = STANDARD.decode(key.trim());
            let bytes = bytes.map_err(|_| wrong("the key is not base64"))?;
            let bytes: [u8; KEY] = bytes
                .try_into()
                .map_err(|_| wrong("the key does not have 32 bytes"))?;
            if id.len() > ID_MAX || keys.len() == KEYS_MAX {
                return Err(wrong("it is one key too many, or its id is too long"));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(wrong("there is another key of this id"));
            }
            keys.push((id.to_owned(), aead(bytes)?));
        }
        match keys.is_empty() {
            true => Err(ControlError::Seal("there is no key".into())),
            false => Ok(Self { keys }),
        }
    }

    /// A new key as a line of such a text.
    ///
    /// # Errors
    /// [`ControlError::Seal`] when the system has no randomness to give.
    pub fn new_line(id: &str) -> Answer<String> {
        Ok(format!("{id} {}", STANDARD.encode(secret::<KEY>()?)))
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.keys[0].0
    }

    /// Seals a value for a context; at most [`VALUE_MAX`] bytes.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], or [`ControlError::Seal`] when the system has no randomness.
    pub fn seal(&self, context: &str, value: &[u8]) -> Answer<Sealed> {
        super::revision::fits("value", value.len(), VALUE_MAX)?;
        let data_key = secret::<KEY>()?;
        let key = self.wrap(&data_key)?;
        let ciphertext = encrypt(&aead(data_key)?, &value_aad(context), packed(value)?)?;
        Ok(Sealed { key, ciphertext })
    }

    /// Opens a value that was sealed for this context.
    ///
    /// # Errors
    /// [`ControlError::Seal`] when its key is not in the ring, or it was altered or sealed for
    /// something else.
    pub fn open(&self, context: &str, sealed: &Sealed) -> Answer<Vec<u8>> {
        let data_key = aead(self.unwrap(&sealed.key)?)?;
        let plain = decrypt(&data_key, &value_aad(context), &sealed.ciphertext);
        unpacked(plain.ok_or_else(|| altered(context))?).ok_or_else(|| altered(context))
    }

    /// Wraps a data key anew, under the key that seals.
    ///
    /// # Errors
    /// [`ControlError::Seal`] as [`Keyring::open`].
    pub fn rewrap(&self, key: &WrappedKey) -> Answer<WrappedKey> {
        self.wrap(&self.unwrap(key)?)
    }

    fn wrap(&self, data_key: &[u8; KEY]) -> Answer<WrappedKey> {
        let (id, key) = &self.keys[0];
        Ok(WrappedKey {
            id: id.clone(),
            wrapped: encrypt(key, &key_aad(id), data_key.to_vec())?,
        })
    }

    fn unwrap(&self, key: &WrappedKey) -> Answer<[u8; KEY]> {
        let known = self.keys.iter().find(|(id, _)| *id == key.id);
        let (id, with) = known.ok_or_else(|| {
            ControlError::Seal(format!("the key `{}` is not among those given", key.id))
        })?;
        let plain = decrypt(with, &key_aad(id), &key.wrapped);
        let plain = plain.and_then(|plain| plain.try_into().ok());
        plain.ok_or_else(|| altered("a data key"))
    }
}

fn altered(what: &str) -> ControlError {
    ControlError::Seal(format!(
        "{what}: it was altered, sealed for something else, or sealed under another key of this id"
    ))
}

fn secret<const N: usize>() -> Answer<[u8; N]> {
    random::secret().map_err(|_| ControlError::Seal("the system has no randomness to give".into()))
}

fn aead(bytes: [u8; KEY]) -> Answer<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &bytes);
    let key = key.map_err(|_| ControlError::Seal("a key cannot be used".into()))?;
    Ok(LessSafeKey::new(key))
}

/// What is authenticated beside a value and beside a data key; they never look alike.
fn value_aad(context: &str) -> Vec<u8> {
    [b"tidegate value 1\0", context.as_bytes()].concat()
}

fn key_aad(id: &str) -> Vec<u8> {
    [&b"tidegate key 1\0"[..], id.as_bytes()].concat()
}

/// A random nonce, then the ciphertext with its tag. Data keys encrypt once; a key-encryption key may
/// wrap 2^32 data keys before random nonces are too likely to meet (SP 800-38D, 8.3).
fn encrypt(key: &LessSafeKey, aad: &[u8], mut plain: Vec<u8>) -> Answer<Vec<u8>> {
    let nonce = secret::<NONCE_LEN>()?;
    let sealed = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(sealed, Aad::from(aad), &mut plain)
        .map_err(|_| ControlError::Seal("a value cannot be sealed".into()))?;
    Ok([&nonce[..], &plain].concat())
}

fn decrypt(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut rest = rest.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key
        .open_in_place(nonce, Aad::from(aad), &mut rest)
        .ok()?
        .len();
    rest.truncate(length);
    Some(rest)
}

/// A value behind four bytes of its length, 0 when it is as it was, or compressed.
fn packed(value: &[u8]) -> Answer<Vec<u8>> {
    if value.len() < COMPRESS {
        return Ok([&[0; 4], value].concat());
    }
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
    let small = zstd::bulk::compress(value, LEVEL);
    let small = small.map_err(|error| ControlError::Seal(format!("a value: {error}")))?;
    Ok([&length[..], &small].concat())
}

fn unpacked(mut packed: Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(*packed.first_chunk()?) as usize;
    if length == 0 {
        packed.drain(..4);
        return Some(packed);
    }
    let value = zstd::bulk::decompress(&packed[4..], length.min(VALUE_MAX)).ok()?;
    (value.len() == length).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[&str]) -> (Keyring, Vec<String>) {
        let lines: Vec<String> = ids
            .iter()
            .map(|id| Keyring::new_line(id).unwrap())
            .collect();
        (Keyring::parse(&lines.join("\n")).unwrap(), lines)
    }

    #[test]
    fn values_of_every_size_come_back() {
        let (ring, _) = ring(&["k1"]);
        for size in [0, 1, 15, 16, 1_023, 1_024, 1_025, 1 << 20, VALUE_MAX] {
            let value = vec![7; size];
            let sealed = ring.seal("secret/a", &value).unwrap();
            assert_eq!(ring.open("secret/a", &sealed).unwrap(), value);
        }
        let large = ring.seal("state/a", &vec![7; VALUE_MAX + 1]).unwrap_err();
        assert!(matches!(large, ControlError::TooLarge { .. }));
        // What cannot be compressed still fits the store.
        let noise: Vec<u8> = (0..VALUE_MAX / 8)
            .flat_map(|_| random::bits().to_be_bytes())
            .collect();
        let sealed = ring.seal("state/a", &noise).unwrap();
        assert!(sealed.ciphertext.len() <= STATE_MAX);
        assert_eq!(ring.open("state/a", &sealed).unwrap(), noise);
    }

    #[test]
    fn any_change_of_any_byte_shows() {
        let (ring, _) = ring(&["k1"]);
        let sealed = ring.seal("secret/a", b"hunter2").unwrap();
        for index in 0..sealed.ciphertext.len() {
            let mut other = sealed.clone();
            other.ciphertext[index] ^= 1;
            assert!(ring.open("secret/a", &other).is_err());
            other.ciphertext.truncate(index);
            assert!(ring.open("secret/a", &other).is_err());
        }
        for index in 0..sealed.key.wrapped.len() {
            let mut other = sealed.clone();
            other.key.wrapped[index] ^= 1;
            assert!(ring.open("secret/a", &other).is_err());
            other.key.wrapped.truncate(index);
            assert!(ring.open("secret/a", &other).is_err());
        }
        assert!(ring.open("secret/b", &sealed).is_err());
        assert!(ring.open("secret/a", &sealed).is_ok());
    }

    #[test]
    fn equal_values_look_different_and_hold_nothing_of_them() {
        let (ring, _) = ring(&["k1"]);
        let (one, two) = (
            ring.seal("a", b"hunter2").unwrap(),
            ring.seal("a", b"hunter2").unwrap(),
        );
        assert!(one.ciphertext != two.ciphertext && one.key.wrapped != two.key.wrapped);
        assert!(!one.ciphertext.windows(7).any(|bytes| bytes == b"hunter2"));
        assert!(!format!("{one:?} {ring:?}").contains("hunter2"));
    }

    #[test]
    fn a_key_is_changed_without_touching_values() {
        let (_, old) = ring(&["k1"]);
        let new = Keyring::new_line("k2").unwrap();
        let before = Keyring::parse(&old[0]).unwrap();
        let both = Keyring::parse(&format!("{new},{}", old[0])).unwrap();
        let after = Keyring::parse(&new).unwrap();
        let mut sealed = before.seal("secret/a", b"hunter2").unwrap();
        let missing = after.open("secret/a", &sealed).unwrap_err().to_string();
        assert!(missing.contains("`k1`"), "{missing}");
        let ciphertext = sealed.ciphertext.clone();
        sealed.key = both.rewrap(&sealed.key).unwrap();
        assert_eq!((sealed.key.id.as_str(), both.current()), ("k2", "k2"));
        assert_eq!(after.open("secret/a", &sealed).unwrap(), b"hunter2");
        assert!(before.open("secret/a", &sealed).is_err());
        assert_eq!(sealed.ciphertext, ciphertext);
        // Another key under an id that is known.
        let other = Keyring::parse(&Keyring::new_line("k2").unwrap()).unwrap();
        assert!(other.open("secret/a", &sealed).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let good = Keyring::new_line("k1").unwrap();
        let texts = [
            "".to_owned(),
            "# nothing".to_owned(),
            "k1".to_owned(),
            "k1 hunter2hunter2".to_owned(),
            "k1 aHVudGVyMg==".to_owned(),
            format!("{good}\n{good}"),
            format!("{} {}", "x".repeat(200), &good[3..]),
        ];
        for text in texts {
            let refused = Keyring::parse(&text).unwrap_err().to_string();
            assert!(
                !refused.contains("hunter2") && !refused.contains(&good[3..]),
                "{refused}"
            );
        }
        assert!(Keyring::parse(&format!("# ours\n\n  {good}  \n")).is_ok());
    }
}
