//! Certificates, keys and trust anchors from PEM files, with errors that name the file.

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest PEM file read: far above any bundle of certificates, so that a wrong path cannot
/// exhaust memory.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A certificate chain and its private key, each a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// An OCSP answer in DER that goes along with the chain (RFC 6066 section 8).
    pub ocsp: Option<PathBuf>,
}

/// The oldest TLS version accepted. Older ones than these do not exist here (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "each variant is its version")]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

/// Why TLS settings cannot be used. Messages name the file and never its contents.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("cannot read {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path} holds no {expected} in PEM form")]
    Missing {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("{path} is not valid: {detail}")]
    Invalid { path: PathBuf, detail: String },
    #[error("the key {key} does not belong to the certificate {chain}")]
    Mismatch { chain: PathBuf, key: PathBuf },
    #[error("TLS is configured without a certificate")]
    NoCertificate,
    #[error("the server name `{0}` is neither a DNS name nor an IP address")]
    ServerName(String),
    #[error("TLS settings cannot be combined: {0}")]
    Settings(rustls::Error),
}

/// The cryptography, named here and nowhere else.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .clone()
}

pub(crate) fn versions(min: MinVersion) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static BOTH: [&rustls::SupportedProtocolVersion; 2] =
        [&rustls::version::TLS13, &rustls::version::TLS12];
    match min {
        MinVersion::Tls12 => &BOTH,
        MinVersion::Tls13 => &BOTH[..1],
    }
}

/// The bytes of a file, bounded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |error| TlsError::Read {
        path: path.into(),
        error,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(fail(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(&read(path)?, path)
}

/// The certificates in PEM text that came from `path`.
fn certificates_in(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(path, error))?;
    if found.is_empty() {
        return Err(TlsError::Missing {
            path: path.into(),
            expected: "certificate",
        });
    }
    Ok(found)
}

fn key_in(bytes: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Missing {
            path: path.into(),
            expected: "private key",
        },
        error => invalid(path, error),
    })
}

/// A chain with its key, checked to belong together.
pub(crate) fn certified(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let (chain, key) = (read(&files.chain)?, read(&files.key)?);
    let mut certified = certified_from(&chain, &key, &files.chain, &files.key)?;
    certified.ocsp = files.ocsp.as_deref().map(read).transpose()?;
    Ok(certified)
}

/// A chain and a key that are taken to belong together.
pub(crate) fn paired(
    chain: &[u8],
    key: &[u8],
    chain_place: &Path,
    key_place: &Path,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates_in(chain, chain_place)?;
    let signing = provider()
        .key_provider
        .load_private_key(key_in(key, key_place)?)
        .map_err(|error| invalid(key_place, error))?;
    Ok(CertifiedKey::new(chain, signing))
}

/// The same from PEM text; errors name where it came from.
pub(crate) fn certified_from(
    chain: &[u8],
    key: &[u8],
    chain_place: &Path,
    key_place: &Path,
) -> Result<CertifiedKey, TlsError> {
    let certified = paired(chain, key, chain_place, key_place)?;
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            chain: chain_place.into(),
            key: key_place.into(),
        }),
        Err(error) => Err(invalid(chain_place, error)),
    }
}

/// A bundle of trust anchors; every certificate in it must be usable.
pub(crate) fn anchors(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| invalid(path, error))?;
    }
    Ok(store)
}

/// Revocation lists of a PEM file.
pub(crate) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(path, error))?;
    if found.is_empty() {
        return Err(TlsError::Missing {
            path: path.into(),
            expected: "revocation list",
        });
    }
    Ok(found)
}

pub(crate) fn invalid(path: &Path, error: impl std::fmt::Display) -> TlsError {
    TlsError::Invalid {
        path: path.into(),
        detail: error.to_string(),
    }
}
