//! What lies on a shelf, as JSON. Most pieces hold a secret.

use crate::AcmeError;
use serde::{Deserialize, Serialize};

/// Where the account lies.
pub(crate) const ACCOUNT: &str = "acme/account";
/// Where the challenges of the order that is under way lie.
pub(crate) const CHALLENGES: &str = "acme/challenges";
/// What stands before the name of a certificate's place.
pub(crate) const CERTIFICATES: &str = "acme/certificates/";

/// What stands before the name of what is advised about a certificate's renewal.
pub(crate) const ADVICE: &str = "acme/advice/";

/// The account at an authority.
#[derive(Serialize, Deserialize)]
pub(crate) struct Account {
    /// The directory it belongs to: another authority has another account.
    pub(crate) directory: String,
    /// What the library keeps: the account's URL and its key.
    pub(crate) credentials: instant_acme::AccountCredentials,
}

/// What has to be shown to an authority while an order is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenges {
    /// By HTTP-01: key authorisations by token.
    pub(crate) http: Vec<Shown>,
    /// By TLS-ALPN-01: key authorisations by name.
    pub(crate) tls_alpn: Vec<Shown>,
}

/// One thing to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// The token or the name.
    pub(crate) at: String,
    /// The key authorisation (RFC 8555 section 8.1).
    pub(crate) key_authorization: String,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// The name it is for.
    pub(crate) name: String,
    /// The chain in PEM, leaf first.
    pub(crate) chain: String,
    /// The private key in PEM.
    pub(crate) key: String,
    /// The directory that it came from.
    pub(crate) directory: String,
}

impl Certificate {
    /// Where the certificate of a name lies. A star is no character of a place's name.
    pub(crate) fn place(name: &str) -> String {
        place(CERTIFICATES, name)
    }
}

/// What an authority advises about the renewal of one certificate (RFC 9773 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Advice {
    /// The name that the certificate is for.
    pub(crate) name: String,
    /// Which certificate: what is advised about another one counts no more.
    pub(crate) certificate: String,
    /// From when to when it is to be renewed, as UNIX seconds; none where nothing is advised.
    pub(crate) window: Option<(u64, u64)>,
    /// When the authority is to be asked again, as UNIX seconds.
    pub(crate) again_s: u64,
}

impl Advice {
    /// Where what is advised about a name's certificate lies.
    pub(crate) fn place(name: &str) -> String {
        place(ADVICE, name)
    }
}

fn place(before: &str, name: &str) -> String {
    format!("{before}{}", name.replace('*', "_star"))
}

pub(crate) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, AcmeError> {
    serde_json::to_vec(value).map_err(|error| AcmeError::of("what is to be kept", error))
}

pub(crate) fn read<T: for<'a> Deserialize<'a>>(place: &str, bytes: &[u8]) -> Result<T, AcmeError> {
    // serde_json quotes no values of strings in these errors' texts, only places and types.
    serde_json::from_slice(bytes).map_err(|error| AcmeError::of(place, error))
}
