//! How connections to an upstream's endpoints are opened.

use gate_model::resources::Upstream as Settings;
use gate_net::connect::{ConnectError, ConnectOptions, Endpoint, connect};
use gate_net::dns::Dns;
use gate_net::io::Io;
use gate_net::tls::CertificateFiles;
use gate_net::tls::{ClientTls, ClientTlsOptions};
use std::path::Path;

/// Opens connections as one upstream's settings say.
#[derive(Clone)]
pub struct Connector {
    dns: Dns,
    options: ConnectOptions,
}

impl Connector {
    /// Compiles the settings; reads certificate files. Relative paths start from `folder`.
    ///
    /// # Errors
    /// Which field is wrong, and why.
    pub fn new(
        dns: Dns,
        settings: &Settings,
        folder: &Path,
    ) -> Result<Self, (&'static str, String)> {
        let tls = settings.tls.as_ref().map(|tls| {
            let certificate = tls.certificate.as_ref().map(|files| CertificateFiles {
                chain: folder.join(&files.chain),
                key: folder.join(&files.key),
                ocsp: None,
            });
            ClientTls::load(&ClientTlsOptions {
                authorities: tls.authorities.as_ref().map(|path| folder.join(path)),
                certificate,
                server_name: tls.server_name.clone(),
                http2: settings.protocol == gate_model::resources::UpstreamProtocol::Http2,
                ..ClientTlsOptions::default()
            })
        });
        let tls = tls
            .transpose()
            .map_err(|error| ("tls", error.to_string()))?;
        let proxy = settings.proxy.as_ref().map(|url| url.parse()).transpose();
        let proxy =
            proxy.map_err(|error: gate_net::connect::InvalidProxy| ("proxy", error.to_string()))?;
        let deadline = settings.timeouts.connect.duration();
        Ok(Self {
            dns,
            options: ConnectOptions {
                deadline,
                tls,
                proxy,
                ..ConnectOptions::default()
            },
        })
    }

    /// Whether connections have TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.options.tls.is_some()
    }

    /// Whom to ask where an endpoint is; `None` where it is not the gateway that goes there by a name.
    #[must_use]
    pub fn names(&self, endpoint: &Endpoint) -> Option<(Dns, String, u16)> {
        match endpoint {
            Endpoint::Name { host, port } if self.options.proxy.is_none() => {
                Some((self.dns.clone(), host.clone(), *port))
            }
            _ => None,
        }
    }

    /// Opens a connection. May be dropped midway.
    ///
    /// # Errors
    /// In which phase it failed, and why.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Io, ConnectError> {
        connect(&self.dns, endpoint, &self.options).await
    }
}

/// Reads `host:port`, `[ipv6]:port` or `unix:/path`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.starts_with('/') {
            true => Ok(Endpoint::Unix(path.into())),
            false => Err(format!("`{text}`: the socket's path must be absolute")),
        };
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` names no port"))?;
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() || host.contains(['/', ' ']) || port == 0 {
        return Err(format!("`{text}` is no address"));
    }
    if let Ok(ip) = host.parse() {
        let address = std::net::SocketAddr::new(ip, port);
        return Ok(Endpoint::Address {
            address,
            host: host.to_owned(),
        });
    }
    if host.contains(':') {
        return Err(format!("`{text}`: write IPv6 addresses in brackets"));
    }
    Ok(Endpoint::Name {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_names_or_sockets() {
        assert!(matches!(
            parse_endpoint("10.0.0.1:80"),
            Ok(Endpoint::Address { .. })
        ));
        assert!(matches!(
            parse_endpoint("[::1]:80"),
            Ok(Endpoint::Address { .. })
        ));
        assert!(matches!(
            parse_endpoint("orders.internal:8080"),
            Ok(Endpoint::Name { .. })
        ));
        assert!(matches!(
            parse_endpoint("unix:/run/a.sock"),
            Ok(Endpoint::Unix(_))
        ));
        for wrong in [
            "orders",
            "orders:",
            "orders:0",
            "orders:99999",
            ":80",
            "::1:80x",
            "unix:a",
            "http://a:80",
        ] {
            assert!(parse_endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
