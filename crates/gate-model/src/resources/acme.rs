//! The authority that certificates are ordered from (ACME, RFC 8555).

use super::SecretPlace;
use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An authority that certificates are ordered from.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// URL of its directory; Let's Encrypt's when left out. Try with
    /// `https://acme-staging-v02.api.letsencrypt.org/directory` first: its limits are wide.
    #[serde(default = "lets_encrypt")]
    pub directory: String,
    /// Where it may write to, as `mailto:ops@example.com`.
    #[serde(default)]
    pub contact: Vec<String>,
    /// Whether you agree to its terms of service. It opens no account otherwise.
    pub terms_agreed: bool,
    /// How the gateway proves that names are its own.
    #[serde(default)]
    pub challenge: AcmeChallenge,
    /// PEM file with the authorities that the directory (and the webhook) prove themselves by;
    /// Mozilla's when left out.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// The account that you have there already, where the authority asks for one.
    #[serde(default)]
    pub external_account: Option<ExternalAccount>,
    /// Folder for account, keys and certificates where there is no `store`. With a store they are
    /// kept there, encrypted under `store.key`, for all gateways.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// How long before its end a certificate is renewed; a third of its life when left out.
    #[serde(default)]
    pub renew_before: Option<Period>,
}

fn lets_encrypt() -> String {
    "https://acme-v02.api.letsencrypt.org/directory".to_owned()
}

/// How the gateway proves that a name is its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AcmeChallenge {
    /// HTTP-01 (RFC 8555 section 8.3): every HTTP listener answers for it; the authority comes to
    /// port 80.
    Http {},
    /// TLS-ALPN-01 (RFC 8737): every listener with `tls.names` answers for it; the authority comes to
    /// port 443.
    TlsAlpn {},
    /// DNS-01 (RFC 8555 section 8.4): a webhook of yours writes the record. The only one for names
    /// with `*.`.
    Dns {
        /// URL that is asked by POST of `{"action": "present", "name", "type": "TXT", "value"}`, and
        /// of the same with `clean_up` afterwards. An answer of 2xx says that it is done.
        webhook: String,
        /// What it is shown as `Authorization: Bearer`.
        #[serde(default)]
        token: Option<SecretPlace>,
        /// How long name servers need to show it.
        #[serde(default = "spread")]
        wait: Period,
    },
}

impl Default for AcmeChallenge {
    fn default() -> Self {
        Self::Http {}
    }
}

fn spread() -> Period {
    Period::from_seconds(30)
}

/// An account that you have at the authority already (RFC 8555 section 7.3.4).
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// Its key identifier.
    pub id: String,
    /// Its HMAC key, in base64url as the authority gave it.
    pub key: SecretPlace,
}
