//! A certificate for one run: files for the proxies, trust for the load generator.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use crate::load::Tls;

const NAME: &str = "bench.test";

/// A self-signed certificate on disk and a client that trusts it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub both: PathBuf,
    /// The client's side.
    pub client: Tls,
}

impl Certificate {
    /// Makes one in `folder`.
    pub fn make(folder: &Path) -> Result<Self, String> {
        let fail = |error: &dyn std::fmt::Display| format!("cannot make a certificate: {error}");
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(|e| fail(&e))?;
        let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
        let files = [
            ("chain.pem", chain_pem.clone()),
            ("key.pem", key_pem.clone()),
            ("both.pem", chain_pem + &key_pem),
        ];
        let mut paths = Vec::new();
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|e| fail(&e))?;
            paths.push(path);
        }
        let [chain, key, both] = <[PathBuf; 3]>::try_from(paths).expect("three files were written");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|e| fail(&e))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| fail(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Tls {
            config: Arc::new(config),
            name: ServerName::try_from(NAME).expect("a DNS name"),
        };
        Ok(Self {
            chain,
            key,
            both,
            client,
        })
    }
}
