//! TLS: the session under an [`crate::io::Io`], and the settings of both sides.
//!
//! rustls does the protocol and aws-lc-rs the cryptography, always named explicitly so that no
//! process-wide default decides. Nothing here opens a socket.

mod client;
mod files;
mod managed;
mod server;
pub(crate) mod session;

pub use client::{ClientTls, ClientTlsOptions};
pub use files::{CertificateFiles, MinVersion, PEM_BYTES_MAX, TlsError};
pub use managed::{ACME_TLS, Managed, ManagedCertificate, sha256};
pub use server::{ClientCertificates, Reloaded, ServerTls, ServerTlsOptions};

/// The protocols offered by ALPN, in order of preference.
fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let mut offered = Vec::new();
    if http2 {
        offered.push(b"h2".to_vec());
    }
    offered.push(b"http/1.1".to_vec());
    offered
}

/// What a handshake settled, for logs, records and routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name the client asked for (SNI), in lower case; `None` when it sent none, and always on
    /// the client side.
    pub server_name: Option<Box<str>>,
    /// `1.2` or `1.3`, as OpenTelemetry's `tls.protocol.version` spells it.
    pub version: &'static str,
    /// The protocol agreed on by ALPN (RFC 7301).
    pub alpn: Option<Box<[u8]>>,
    /// Whether the peer proved itself with a certificate that was verified.
    pub peer_verified: bool,
    /// The client's verified certificate in DER; always `None` on the client side.
    pub peer_certificate: Option<std::sync::Arc<[u8]>>,
    /// Whether an earlier session was resumed instead of a full handshake.
    pub resumed: bool,
}

impl TlsFacts {
    /// Whether HTTP/2 was agreed on (RFC 9113 section 3.2).
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.alpn.as_deref() == Some(b"h2")
    }

    /// Whether an authority only wanted to see the certificate (RFC 8737 section 4): nothing is
    /// spoken over such a connection.
    #[must_use]
    pub fn is_acme(&self) -> bool {
        self.alpn.as_deref() == Some(ACME_TLS)
    }
}
