//! The store's keys, wrapped by AWS KMS: unwrapped when they are first needed, never kept in clear.
//!
//! A wrapped key is a line `ID BASE64`, the ciphertext of 32 bytes that KMS made
//! (`GenerateDataKeyWithoutPlaintext`) and only KMS can open (`Decrypt`):
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html>. The line's id is part of
//! what KMS authenticates (its encryption context), so that a key does not open under another name.

use crate::aws::{Call, reason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_kit::sigv4::Credentials;
use gate_model::resources::{AwsKms, StorePlace};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Time that one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a key.
const KEY: usize = 32;
/// Most keys of a text; as many as a ring has.
const LINES_MAX: usize = 100;
/// What the id of a key is called in KMS's encryption context, as its audit trail shows it.
const CONTEXT: &str = "tidegate:key";

/// AWS KMS as configuration names it, with what the gateway proves itself by.
pub struct Kms {
    settings: AwsKms,
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
    clock: Clock,
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kms")
            .field("key", &self.settings.key)
            .finish_non_exhaustive()
    }
}

/// Reads what a place of the gateway's own holds.
///
/// # Errors
/// That it is not there; never what is.
pub fn own(place: &StorePlace, source: &dyn SecretSource, folder: &Path) -> Result<String, String> {
    match place {
        StorePlace::Env(name) => source.env(name),
        StorePlace::File(file) => source.file(&folder.join(file)),
    }
}

impl Kms {
    /// The service with what it is asked with, read now.
    ///
    /// # Errors
    /// What of it is missing.
    pub fn new(
        settings: &AwsKms,
        source: &dyn SecretSource,
        folder: &Path,
        clock: Clock,
    ) -> Result<Self, String> {
        let folder: PathBuf = folder.to_owned();
        let read = |place: &StorePlace| own(place, source, &folder);
        Ok(Self {
            access_key_id: read(&settings.access_key_id)?,
            secret: read(&settings.secret_access_key)?,
            session_token: settings.session_token.as_ref().map(read).transpose()?,
            settings: settings.clone(),
            clock,
        })
    }

    /// A new key as a line of a wrapped text; nobody but KMS has ever seen it in clear.
    ///
    /// # Errors
    /// Why there is none.
    pub fn new_line(self, id: &str) -> Result<String, String> {
        let id = id.to_owned();
        within(move || {
            let body = json!({
                "KeyId": self.settings.key,
                "NumberOfBytes": KEY,
                "EncryptionContext": { CONTEXT: id },
            });
            let made = self.ask("TrentService.GenerateDataKeyWithoutPlaintext", &body)?;
            let wrapped = made.get("CiphertextBlob").and_then(Value::as_str);
            let wrapped = wrapped.filter(|text| STANDARD.decode(text).is_ok());
            let wrapped = wrapped.ok_or("AWS KMS did not answer with a key")?;
            Ok(format!("{id} {wrapped}"))
        })
    }

    /// The text of a keyring in clear, from the lines of a wrapped one. It asks once for each line.
    ///
    /// # Errors
    /// Which line cannot be had and why, without anything that is secret.
    pub fn unwrap(self, wrapped: &str) -> Result<String, String> {
        let lines = lines(wrapped)?;
        within(move || {
            let mut clear = Vec::new();
            for (id, blob) in lines {
                let line = self.decrypt(&id, &blob);
                clear.push(line.map_err(|why| format!("the key `{id}`: {why}"))?);
            }
            Ok(clear.join("\n"))
        })
    }

    fn decrypt(&self, id: &str, blob: &str) -> Result<String, String> {
        let body = json!({
            "KeyId": self.settings.key,
            "CiphertextBlob": blob,
            "EncryptionContext": { CONTEXT: id },
        });
        let opened = self.ask("TrentService.Decrypt", &body)?;
        let plain = opened.get("Plaintext").and_then(Value::as_str);
        let is_key = |text: &&str| STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == KEY);
        let plain = plain.filter(is_key).ok_or("it is no key of 32 bytes")?;
        Ok(format!("{id} {plain}"))
    }

    fn ask(&self, target: &str, body: &Value) -> Result<Value, String> {
        let call = Call {
            region: &self.settings.region,
            service: "kms",
            address: self.settings.address.as_deref(),
            credentials: Credentials {
                access_key_id: &self.access_key_id,
                secret: &self.secret,
                session_token: self.session_token.as_deref(),
            },
            now_s: self.clock.unix().as_secs(),
        };
        let answer = call.ask(target, body);
        let answer = answer.map_err(|why| format!("AWS KMS cannot be asked: {why}"))?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(format!("AWS KMS: {}", reason(&answer, "key"))),
        }
    }
}

/// Ids and wrapped keys of a text.
fn lines(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.split(['\n', ',']).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Result<Vec<_>, String> = lines
        .map(|line| {
            let pair = line.split_once(|c: char| c.is_ascii_whitespace());
            let (id, blob) = pair.ok_or("a wrapped key is an id, a blank and base64")?;
            Ok((id.to_owned(), blob.trim().to_owned()))
        })
        .collect();
    let lines = lines?;
    match (1..=LINES_MAX).contains(&lines.len()) {
        true => Ok(lines),
        false => Err(format!("there are 1 to {LINES_MAX} wrapped keys")),
    }
}

/// Asks on a thread of its own, because resolving a name may take longer than any socket's limit. A
/// thread that hangs is not waited for.
fn within<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let asking = std::thread::Builder::new().name("kms".into());
    let asking = asking.spawn(move || {
        // Nobody waits any more when the deadline is over.
        let _ = sender.send(ask());
    });
    asking.map_err(|error| error.to_string())?;
    match receiver.recv_timeout(TIMEOUT) {
        Ok(answer) => answer,
        Err(_) => Err(format!("AWS KMS did not answer within {TIMEOUT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_text_is_lines_of_ids_and_base64() {
        let two = lines("# ours\n\n k2 AQ==\nk1\tAg== ,").unwrap();
        let two: Vec<(&str, &str)> = two.iter().map(|(i, b)| (&**i, &**b)).collect();
        assert_eq!(two, [("k2", "AQ=="), ("k1", "Ag==")]);
        let many = "k AQ==\n".repeat(LINES_MAX + 1);
        for wrong in ["", "# none", "k1", &many] {
            assert!(lines(wrong).is_err(), "{wrong:.20}");
        }
    }
}
