//! Credentials as keyed hashes: the same credential is the same text, and nobody who has only the
//! rows can find out which credential it was.
//!
//! The key is the process's own, kept in the folder of the records and readable by its user only.
//! What is hashed is the SHA-256 of a credential, because that is what configuration holds of keys.

use crate::record::redact;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use gate_kit::random;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// In front of a hash, so that one is told from a value.
const MARK: char = '~';
/// Bytes of a hash that are kept.
const BYTES: usize = 16;
/// Schemes of Authorization that stay readable (RFC 7235; the IANA registry).
const SCHEMES: [&str; 5] = ["bearer", "basic", "digest", "negotiate", "aws4-hmac-sha256"];

/// The key of a folder of records.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The folder's key; made when there is none yet.
    ///
    /// # Errors
    /// A sentence naming the file, when it can be neither read nor made.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let path = folder.join("key");
        let failed = |error: &dyn std::fmt::Display| {
            format!("the key `{}` of the records: {error}", path.display())
        };
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        if let Ok(mut file) = made {
            let bytes: [u8; 32] = random::secret().map_err(|error| failed(&error))?;
            file.write_all(&bytes).map_err(|error| failed(&error))?;
            return Ok(Self::new(&bytes));
        }
        let file = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        let mut bytes = Vec::new();
        file.take(33)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(&error))?;
        let bytes: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| failed(&"it does not have 32 bytes; remove it to have another made"))?;
        Ok(Self::new(bytes))
    }

    /// The text that stands for the credential with this SHA-256.
    #[must_use]
    pub fn of_sha256(&self, sha256: &[u8]) -> String {
        let tag = hmac::sign(&self.0, sha256);
        let mut text = String::with_capacity(1 + 2 * BYTES);
        text.push(MARK);
        for byte in &tag.as_ref()[..BYTES] {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn of(&self, credential: &[u8]) -> String {
        match credential {
            [] => String::new(),
            credential => self.of_sha256(digest(&SHA256, credential).as_ref()),
        }
    }

    /// A header's value as rows keep it; its scheme stays readable where it has one.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        if name.ends_with("authorization")
            && let Some((scheme, rest)) = value.split_once(' ')
            && SCHEMES
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        {
            return format!("{scheme} {}", self.of(rest.trim_ascii().as_bytes()));
        }
        self.of(value.trim_ascii().as_bytes())
    }

    /// A target whose query holds hashes where it held credentials. `hidden` takes the names of
    /// parameters that are not among the `known` ones.
    pub(super) fn target(
        &self,
        target: &str,
        known: impl Fn(&str) -> bool,
        hidden: &mut Vec<String>,
    ) -> Option<String> {
        let (path, query) = target.split_once('?')?;
        let mut kept = format!("{path}?");
        let mut changed = false;
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                kept.push('&');
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut decoded = form_urlencoded::parse(pair.as_bytes());
            let (plain_name, plain) = decoded.next().unwrap_or_default();
            let expected = known(&plain_name);
            let looks = redact::is_credential_name(&plain_name)
                || redact::is_credential_value(&plain)
                || redact::is_credential_value(&plain_name);
            if !(expected || looks) {
                kept.push_str(pair);
                continue;
            }
            changed = true;
            if redact::is_credential_value(&plain_name) {
                kept.push_str(&self.of(plain_name.as_bytes()));
            } else {
                kept.push_str(name);
                if !value.is_empty() {
                    kept.push('=');
                    kept.push_str(&self.of(plain.as_bytes()));
                }
            }
            if !expected {
                hidden.push(plain_name.into_owned());
            }
        }
        changed.then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn credentials_become_hashes_and_the_rest_stays() {
        let secret = Secret::new(&[7; 32]);
        let one = secret.header("authorization", "Bearer sk-1");
        assert!(one.starts_with("Bearer ~") && one.len() == 40, "{one}");
        assert_eq!(one, secret.header("authorization", "Bearer  sk-1"));
        assert_ne!(one, secret.header("authorization", "Bearer sk-2"));
        assert_eq!(one[7..], secret.header("x-api-key", " sk-1 "));
        assert_ne!(one[7..], Secret::new(&[8; 32]).header("x-api-key", "sk-1"));
        assert!(!secret.header("x-api-key", "my pass").contains("my"));
        let mut hidden = Vec::new();
        let mut target = |text: &str| secret.target(text, |name| name == "k", &mut hidden);
        assert_eq!(target("/a?b=1&c"), None);
        assert_eq!(target("/a"), None);
        let kept = target("/a?b=1&k=sk-1&token=x&sk-9").expect("changed");
        assert!(
            kept.starts_with("/a?b=1&k=~") && !kept.contains("sk-"),
            "{kept}"
        );
        assert!(
            kept.contains(&one[7..]),
            "the same credential is the same text"
        );
        assert_eq!(hidden, ["token", "sk-9"]);
    }

    #[test]
    fn the_key_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Secret::open(folder.path()).unwrap();
        let again = Secret::open(folder.path()).unwrap();
        assert_eq!(first.of(b"x"), again.of(b"x"));
        let mode = std::fs::metadata(folder.path().join("key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        std::fs::write(folder.path().join("key"), b"short").unwrap();
        assert!(
            Secret::open(folder.path())
                .unwrap_err()
                .contains("32 bytes")
        );
    }
}
