//! The server's side: certificates chosen by name, reloaded from their files while serving.
//!
//! A listener asks for [`ServerTls::config`] per connection, so a reload reaches the next
//! handshake without touching live sessions. Which listener uses what is not known here.

use super::files::{
    CertificateFiles, MinVersion, TlsError, anchors, certified, invalid, provider, read,
    revocations, versions,
};
use super::managed::{ACME_TLS, Managed};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a TLS listener is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTlsOptions {
    /// Certificates; the first answers callers that name nothing known.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version accepted.
    pub min_version: MinVersion,
    /// Whether ALPN offers `h2` before `http/1.1`.
    pub http2: bool,
    /// Whose certificates callers may present (mTLS); nobody is asked for one without.
    pub clients: Option<ClientCertificates>,
    /// Certificates that are ordered while the process runs, for names that no file answers.
    pub managed: Option<Arc<Managed>>,
}

/// Certificates of callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// A bundle of authorities; certificates have to be signed by one.
    pub authorities: PathBuf,
    /// Revocation lists. With any, a certificate's issuer has to have one that is not out of date.
    pub revocations: Vec<PathBuf>,
    /// Whether a caller without a certificate is turned away.
    pub required: bool,
}

/// A listener's TLS settings, loaded. Cheap to share between workers.
pub struct ServerTls {
    options: ServerTlsOptions,
    current: ArcSwap<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
    digest: AtomicU64,
}

/// What a reload found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files hold what is in use already.
    Unchanged,
    /// New handshakes use the new files.
    Replaced,
}

impl ServerTls {
    /// Reads every file and checks that they fit together. Blocks on the file system.
    ///
    /// # Errors
    /// [`TlsError`], naming the file that is wrong.
    pub fn load(options: ServerTlsOptions) -> Result<Arc<Self>, TlsError> {
        let tickets = Ticketer::new().map_err(TlsError::Settings)?;
        let digest = digest(&options)?;
        let config = build(&options, &tickets)?;
        Ok(Arc::new(Self {
            options,
            current: ArcSwap::from_pointee(config),
            tickets,
            digest: AtomicU64::new(digest),
        }))
    }

    /// The settings for the next handshake.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads the files again and swaps them in when they differ; what is in use stays when
    /// anything is wrong with them. Blocks on the file system; tickets stay valid across it
    /// unless client certificates are asked for.
    ///
    /// # Errors
    /// [`TlsError`]; nothing has changed then.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        // Before anything is built, because files are looked at all the time and rarely change. One
        // that changes while it is read has another digest at the next look.
        let digest = digest(&self.options)?;
        if digest == self.digest.load(Ordering::Acquire) {
            return Ok(Reloaded::Unchanged);
        }
        // A ticket carries the client's verified certificate past the authorities that verified
        // it, so changed authorities must not honour old tickets.
        let tickets = match &self.options.clients {
            Some(_) => Ticketer::new().map_err(TlsError::Settings)?,
            None => self.tickets.clone(),
        };
        let config = build(&self.options, &tickets)?;
        self.current.store(Arc::new(config));
        self.digest.store(digest, Ordering::Release);
        Ok(Reloaded::Replaced)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A digest of every file that the options name.
fn digest(options: &ServerTlsOptions) -> Result<u64, TlsError> {
    let mut hasher = DefaultHasher::new();
    let pairs = options.certificates.iter();
    let files = pairs.flat_map(|files| [&files.chain, &files.key].into_iter().chain(&files.ocsp));
    let clients = options.clients.iter();
    let clients = clients.flat_map(|one| one.revocations.iter().chain([&one.authorities]));
    for path in files.chain(clients) {
        read(path)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn build(
    options: &ServerTlsOptions,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let names = ByName::load(&options.certificates, options.managed.clone())?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(options.min_version))
        .map_err(TlsError::Settings)?;
    let builder = match &options.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    config.alpn_protocols = super::alpn(options.http2);
    if options.managed.is_some() {
        // The last of all: whoever offers anything else gets that.
        config.alpn_protocols.push(ACME_TLS.to_vec());
    }
    // The strongest suite that both know, whatever the client lists first: what testssl.sh asks for.
    config.ignore_client_order = true;
    // Tickets keep sessions with the clients, so that idle ones cost no memory here.
    config.ticketer = tickets.clone();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// What verifies callers' certificates. Revocation is looked up for the caller's own certificate;
/// authorities that are in the bundle are trusted by being there.
fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let anchors = Arc::new(anchors(&clients.authorities)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(anchors, provider());
    for path in &clients.revocations {
        builder = builder.with_crls(revocations(path)?);
    }
    if !clients.revocations.is_empty() {
        builder = builder
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    if !clients.required {
        builder = builder.allow_unauthenticated();
    }
    builder
        .build()
        .map_err(|error| invalid(&clients.authorities, error))
}

/// Certificates by the names in them: exact, then wildcard for one label, then the first.
#[derive(Debug)]
struct ByName {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// None only where all certificates are ordered.
    default: Option<Arc<CertifiedKey>>,
    managed: Option<Arc<Managed>>,
}

impl ByName {
    fn load(files: &[CertificateFiles], managed: Option<Arc<Managed>>) -> Result<Self, TlsError> {
        let mut exact: HashMap<Box<str>, Vec<_>> = HashMap::new();
        let mut wildcard: HashMap<Box<str>, Vec<_>> = HashMap::new();
        let mut default = None;
        for files in files {
            let key = Arc::new(certified(files)?);
            default.get_or_insert_with(|| key.clone());
            let leaf = key
                .end_entity_cert()
                .map_err(|error| invalid(&files.chain, error))?;
            let leaf = webpki::EndEntityCert::try_from(leaf)
                .map_err(|error| invalid(&files.chain, error))?;
            for name in leaf.valid_dns_names() {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.into()).or_default().push(key.clone()),
                    None => exact.entry(name.into()).or_default().push(key.clone()),
                }
            }
        }
        if default.is_none() && managed.is_none() {
            return Err(TlsError::NoCertificate);
        }
        Ok(Self {
            exact,
            wildcard,
            default,
            managed,
        })
    }

    fn candidates(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let by_parent = || {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        };
        self.exact
            .get(name.as_str())
            .or_else(by_parent)
            .map(Vec::as_slice)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let (Some(managed), Some(name)) = (&self.managed, hello.server_name()) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            // RFC 8737 section 3: the only protocol that is offered.
            let mut offered = hello.alpn().into_iter().flatten();
            if offered.next() == Some(ACME_TLS) && offered.next().is_none() {
                return managed.shown(&name);
            }
            if self.candidates(&name).is_none()
                && let Some(ordered) = managed.certificate(&name)
            {
                return Some(ordered);
            }
        }
        let candidates = hello.server_name().and_then(|name| self.candidates(name));
        // An RSA and an ECDSA certificate may share a name: the client's algorithms decide.
        let usable =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = candidates.and_then(|keys| keys.iter().find(usable).or(keys.first()));
        chosen.or(self.default.as_ref()).cloned()
    }
}
