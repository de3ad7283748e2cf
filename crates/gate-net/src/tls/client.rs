//! The client's side: whom to trust, who we are, and what name to ask for.

use super::files::{
    CertificateFiles, MinVersion, TlsError, anchors, certified, provider, versions,
};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::Arc;

/// What TLS towards an upstream is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsOptions {
    /// A bundle of private authorities, trusted instead of Mozilla's set.
    pub authorities: Option<PathBuf>,
    /// The certificate we present when asked (mTLS).
    pub certificate: Option<CertificateFiles>,
    /// The name to ask for and to verify, when it is not the host we connect to.
    pub server_name: Option<String>,
    /// Whether ALPN offers `h2` before `http/1.1`.
    pub http2: bool,
    /// The oldest version accepted.
    pub min_version: MinVersion,
}

/// TLS settings towards an upstream, loaded; clones share one session cache.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads every file and checks that they fit together. Blocks on the file system.
    ///
    /// # Errors
    /// [`TlsError`], naming the file that is wrong.
    pub fn load(options: &ClientTlsOptions) -> Result<Self, TlsError> {
        let anchors = match &options.authorities {
            Some(path) => anchors(path)?,
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), provider())
            .build()
            .map_err(|error| TlsError::Settings(rustls::Error::General(error.to_string())))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(options.min_version))
            .map_err(TlsError::Settings)?
            .with_webpki_verifier(verifier);
        let mut config = match &options.certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let key = Arc::new(certified(files)?);
                builder
                    .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = super::alpn(options.http2);
        let server_name = options.server_name.as_deref().map(name).transpose()?;
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// rustls's settings.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// The name to verify for a connection to `host`: the configured one, else the host itself.
    ///
    /// # Errors
    /// [`TlsError::ServerName`] when the host can be no certificate's name.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => name(host),
        }
    }
}

fn name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(host).trim_end_matches('.').to_owned())
        .map_err(|_| TlsError::ServerName(host.to_owned()))
}
