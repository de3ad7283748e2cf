//! Certificates that come and go while the process runs, and what an authority wants to be shown.
//!
//! One [`Managed`] serves all listeners of a process. Whoever orders certificates (ACME) replaces
//! its contents; handshakes read them by one atomic load. Which authority, and when, is not known
//! here.

use super::files::{TlsError, certified_from, paired};
use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The protocol by which an authority asks for a challenge's certificate (RFC 8737 section 4).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// A certificate in use.
#[derive(Debug, Clone)]
pub struct ManagedCertificate {
    /// The DNS name that it answers for; `*.` stands for one label.
    pub name: String,
    /// Until when it holds, as UNIX time, if that is known.
    pub expires: Option<Duration>,
    key: Arc<CertifiedKey>,
}

impl ManagedCertificate {
    /// Reads a chain and its key and checks that they belong together.
    ///
    /// # Errors
    /// What is wrong with them; never a part of the key.
    pub fn from_pem(name: &str, chain: &str, key: &str) -> Result<Self, TlsError> {
        let place = Path::new(name);
        let key = certified_from(chain.as_bytes(), key.as_bytes(), place, place)?;
        Ok(Self::new(name, key))
    }

    /// What is shown to an authority, with the key that was made for it. It carries a critical
    /// extension (RFC 8737 section 3) by which every other reader refuses it, ours included, so that
    /// it is not checked.
    ///
    /// # Errors
    /// What is wrong with them; never a part of the key.
    pub fn proof(name: &str, certificate: &str, key: &str) -> Result<Self, TlsError> {
        let place = Path::new(name);
        let key = paired(certificate.as_bytes(), key.as_bytes(), place, place)?;
        Ok(Self::new(name, key))
    }

    fn new(name: &str, key: CertifiedKey) -> Self {
        Self {
            name: name.to_ascii_lowercase(),
            expires: None,
            key: Arc::new(key),
        }
    }

    /// The leaf in DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.key.cert.first().map(AsRef::as_ref).unwrap_or_default()
    }
}

/// What is in use now.
#[derive(Default)]
pub struct Managed {
    certificates: ArcSwap<HashMap<String, ManagedCertificate>>,
    /// By name, for handshakes that ask by [`ACME_TLS`].
    shown: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
    /// Key authorisations by token.
    tokens: ArcSwap<HashMap<String, String>>,
    ordered: AtomicU64,
    failed: AtomicU64,
}

impl Managed {
    /// Uses these certificates from the next handshake on, and no others.
    pub fn replace(&self, certificates: Vec<ManagedCertificate>) {
        let by_name = certificates
            .into_iter()
            .map(|held| (held.name.clone(), held));
        self.certificates.store(Arc::new(by_name.collect()));
    }

    /// Shows these certificates to authorities, and no others.
    pub fn show_certificates(&self, certificates: Vec<ManagedCertificate>) {
        let by_name = certificates
            .into_iter()
            .map(|shown| (shown.name, shown.key));
        self.shown.store(Arc::new(by_name.collect()));
    }

    /// Answers these tokens, and no others.
    pub fn show_tokens(&self, tokens: impl Iterator<Item = (String, String)>) {
        self.tokens.store(Arc::new(tokens.collect()));
    }

    /// The key authorisation of a token.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<String> {
        self.tokens.load().get(token).cloned()
    }

    /// Counts an order that ended well or failed.
    pub fn ordered(&self, well: bool) {
        let count = if well { &self.ordered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Orders that ended well, and those that failed.
    #[must_use]
    pub fn orders(&self) -> (u64, u64) {
        (
            self.ordered.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }

    /// Every certificate's name and end, by name.
    #[must_use]
    pub fn expiries(&self) -> Vec<(String, Duration)> {
        let held = self.certificates.load();
        let mut all: Vec<_> = held
            .values()
            .filter_map(|held| Some((held.name.clone(), held.expires?)))
            .collect();
        all.sort();
        all
    }

    /// The certificate for a server name in lower case: its own, then one for its parent's `*`.
    pub(super) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let held = self.certificates.load();
        let by_parent = || held.get(&format!("*.{}", name.split_once('.')?.1));
        held.get(name)
            .or_else(by_parent)
            .map(|held| held.key.clone())
    }

    /// What is shown to an authority that asks about a name.
    pub(super) fn shown(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.shown.load().get(name).cloned()
    }
}

impl std::fmt::Debug for Managed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Managed({} certificates)",
            self.certificates.load().len()
        )
    }
}

/// There is one in a process: it equals itself.
impl PartialEq for Managed {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Managed {}

/// SHA-256, by the one implementation that TLS uses.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
