//! `tidegate keys new`: a key for a consumer.
//!
//! The key is printed once. A configuration holds only its hash, from which the key cannot be
//! found again: 256 random bits leave nothing to guess, so that a fast hash is enough.

use crate::output;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use gate_kit::random;
use gate_model::units::Sha256Text;
use serde_json::json;
use std::process::ExitCode;

/// What every key begins with, so that scanners for leaked secrets can know it.
const PREFIX: &str = "tg_";
/// The longest name of a consumer that is taken.
const NAME_BYTES_MAX: usize = 128;

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print a new key once, with the hash that the configuration needs. Nothing is stored.
    New(NewKeyOptions),
}

/// Options of `keys new`.
#[derive(Debug, Args)]
pub(crate) struct NewKeyOptions {
    /// Name of the consumer that the key belongs to.
    #[arg(long, value_name = "NAME", default_value = "new-consumer")]
    pub(crate) consumer: String,
    /// Print key and hash as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A new key and its hash.
pub(crate) struct NewKey {
    /// The key itself, to be shown once.
    pub key: String,
    /// Its SHA-256, for the configuration.
    pub sha256: Sha256Text,
}

impl NewKey {
    /// Makes a key from the operating system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn make() -> Result<Self, String> {
        let bytes = random::secret::<32>().map_err(|error| format!("no randomness: {error}"))?;
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Ok(Self {
            key,
            sha256: Sha256Text::from_bytes(hash),
        })
    }
}

/// Runs `keys new`.
pub(crate) fn new(options: &NewKeyOptions) -> Result<ExitCode, String> {
    let consumer = options.consumer.as_str();
    if consumer.is_empty() || consumer.len() > NAME_BYTES_MAX {
        return Err(format!("a consumer's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    let NewKey { key, sha256 } = NewKey::make()?;
    let sha256 = sha256.to_string();
    if options.json {
        output::print_json(&json!({ "consumer": consumer, "key": key, "sha256": sha256 }))?;
        return Ok(ExitCode::SUCCESS);
    }
    // A JSON string is a YAML string too, whatever is in it.
    let name = match consumer
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && consumer.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&consumer.to_ascii_lowercase().as_str())
    {
        true => consumer.to_owned(),
        false => serde_json::to_string(consumer).map_err(|error| error.to_string())?,
    };
    let text = format!(
        "# Give this key to its owner; it is not shown again and stored nowhere:\n#   {key}\n\
         # Put its hash into the configuration:\nconsumers:\n  {name}:\n    keys:\n      \
         - sha256: {sha256}\n"
    );
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
