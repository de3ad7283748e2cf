//! Where a gateway's admin API is, and how to prove oneself to it.

use super::ClientError;
use super::http::{QUIET_TIME, Reply, send_bounded};
use super::timed::Term;
#[cfg(doc)]
use gate_kit::address::is_private;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where a gateway's admin API is.
#[derive(Clone)]
pub struct Endpoint {
    /// Host without brackets.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// What stands before `/api/v1`, without a slash at its end.
    pub(super) prefix: String,
    /// What `Authorization` says.
    pub(super) authorization: Option<String>,
    /// How long nothing may come.
    pub(super) quiet: Duration,
    /// How long a whole call may take; none for as long as something comes.
    pub(super) whole: Option<Duration>,
    /// Behind which nothing is sent or waited for.
    pub(super) term: Option<Term>,
    /// Whether it may not lead to this machine, its link or a metadata service.
    pub(super) guarded: bool,
    /// TLS, for `https`.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Endpoint {
    /// The gateway at `url` (`http://127.0.0.1:9901`, `https://gateway.example:9901/prefix`), with
    /// Mozilla's authorities for `https`.
    ///
    /// # Errors
    /// [`ClientError::Settings`] when the URL is none.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::parse(url, || {
            let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
            Ok(RootCertStore { roots })
        })
    }

    /// Like [`Endpoint::new`], trusting the authorities of a PEM file instead.
    ///
    /// # Errors
    /// [`ClientError::Settings`] when the URL or the file cannot be used.
    pub fn with_authorities(url: &str, file: &Path) -> Result<Self, ClientError> {
        Self::parse(url, || authorities(file))
    }

    /// Proves itself with a key or with a token of the identity provider.
    ///
    /// # Errors
    /// [`ClientError::Settings`] when the key holds what no header can.
    pub fn with_key(mut self, key: &str) -> Result<Self, ClientError> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = "the key must be one word of printable ASCII";
            return Err(ClientError::Settings(text.to_owned()));
        }
        self.authorization = Some(format!("Bearer {key}"));
        Ok(self)
    }

    /// Waits no longer than this for a connection, and for anything to come over it; a minute
    /// unless it is said.
    #[must_use]
    pub fn patient(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// Ends a call that takes longer than this, however much comes.
    #[must_use]
    pub fn within(mut self, whole: Duration) -> Self {
        self.whole = Some(whole);
        self
    }

    /// Ends a call with a term, which may be put off meanwhile.
    #[must_use]
    pub fn held(mut self, term: Option<Term>) -> Self {
        self.term = term;
        self
    }

    /// Refuses to connect to this machine, its link and metadata services ([`is_private`]), whatever name
    /// leads there. An address that is written as `localhost` or a loopback address stands for what it
    /// says and may be connected to.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        let is_loopback = |address: IpAddr| address.is_loopback();
        self.guarded = self.host != "localhost" && !self.host.parse().is_ok_and(is_loopback);
        self
    }

    fn parse(
        url: &str,
        roots: impl FnOnce() -> Result<RootCertStore, ClientError>,
    ) -> Result<Self, ClientError> {
        let wrong = |what: &str| ClientError::Settings(format!("{url}: {what}"));
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("must begin with http:// or https://"))?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(wrong("must hold no password; keys are given apart"));
        }
        if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("is no base URL"));
        }
        let (host, port) = split(authority).ok_or_else(|| wrong("names no host"))?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let tls = match tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| wrong("its host can stand in no certificate"))?;
                Some((settings(roots()?)?, name))
            }
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            prefix: path.trim_end_matches('/').to_owned(),
            authorization: None,
            quiet: QUIET_TIME,
            whole: None,
            term: None,
            guarded: false,
            tls,
        })
    }

    /// Sends one request, also to a service that is no admin API, and reads an answer of at most
    /// `most` bytes. `path` is what the request line says behind the endpoint's own path. Fields in
    /// `headers` replace the client's own `Content-Type`; `Host`, `Connection` and
    /// `Content-Length` are the client's.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when no whole answer came, for want of a connection, of time
    /// between two pieces, or of room.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        most: u64,
    ) -> Result<Reply, ClientError> {
        send_bounded(self, method, path, headers, body, most)
    }

    /// What `Host` says: without a port that is the scheme's own (RFC 9110 section 4.2.3).
    #[must_use]
    pub fn host_field(&self) -> String {
        let own = if self.tls.is_some() { 443 } else { 80 };
        let authority = self.authority();
        match authority.strip_suffix(&format!(":{}", self.port)) {
            Some(host) if self.port == own => host.to_owned(),
            _ => authority,
        }
    }

    /// Host and port.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Host and port; the host without brackets.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let named = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    let port = port.map(str::parse).transpose().ok()?;
    named.then_some((host, port))
}

fn authorities(file: &Path) -> Result<RootCertStore, ClientError> {
    let wrong = |what: String| ClientError::Settings(format!("{}: {what}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("holds no certificate".to_owned())),
        false => Ok(roots),
    }
}

/// TLS for clients of services that are no admin API, trusting Mozilla's authorities or those of a
/// PEM file instead.
///
/// # Errors
/// [`ClientError::Settings`] when the file cannot be used.
pub fn client_tls(file: Option<&Path>) -> Result<Arc<ClientConfig>, ClientError> {
    settings(match file {
        Some(file) => authorities(file)?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    })
}

fn settings(roots: RootCertStore) -> Result<Arc<ClientConfig>, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
