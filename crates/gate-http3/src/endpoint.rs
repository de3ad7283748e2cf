//! One worker's end of QUIC: attempts to connect, and which of them become connections.
//!
//! Every attempt is shown to whoever accepts it, who may let the client prove its address first
//! (a Retry packet, RFC 9000 section 8.1.2), refuse, or go on with the TLS settings of the moment.

use crate::limits::{Http3Limits, UNIDIRECTIONAL_STREAMS, WAITING_BYTES, WAITING_MAX};
use crate::server::Http3Server;
use aws_lc_rs::{hkdf, hmac};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{EndpointConfig, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// What ended a connection, or kept it from being one, for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Http3Error {
    /// TLS settings that QUIC cannot use.
    #[error("QUIC cannot use the TLS settings: {0}")]
    Settings(String),
    /// No handshake.
    #[error("QUIC handshake: {0}")]
    Handshake(String),
    /// The connection broke, or one side broke the protocol.
    #[error("HTTP/3 connection: {0}")]
    Lost(String),
    /// The peer opened and cancelled requests faster than an honest one would.
    #[error("the peer cancels too many HTTP/3 requests")]
    RapidReset,
}

/// Secrets of one listener's endpoints, made anew with each.
#[derive(Clone)]
pub struct Keys {
    /// Makes tokens that end a connection which nobody knows here (RFC 9000 section 10.3). All
    /// workers share it: a client that moved and reaches another one hears at once that it has to
    /// connect anew.
    reset: Arc<hmac::Key>,
    /// Seals the tokens of Retry packets.
    token: Arc<hkdf::Prk>,
}

impl Keys {
    /// Keys from the system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub fn new() -> Result<Self, Http3Error> {
        let failed = |_| Http3Error::Settings("the system has no randomness".to_owned());
        let mut secret = [0; 64];
        aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]);
        Ok(Self {
            reset: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret[..32])),
            token: Arc::new(salt.extract(&secret[32..])),
        })
    }
}

/// What new connections begin with.
#[derive(Clone)]
pub struct Settings {
    config: Arc<quinn::ServerConfig>,
    limits: Arc<Http3Limits>,
}

impl Settings {
    /// Settings from those of TLS over TCP: the same certificates, authorities and tickets.
    ///
    /// # Errors
    /// When QUIC cannot use them.
    pub fn new(
        tls: &rustls::ServerConfig,
        limits: &Http3Limits,
        keys: &Keys,
    ) -> Result<Self, Http3Error> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        // No 0-RTT: what comes in it may come again.
        tls.max_early_data_size = 0;
        let crypto = QuicServerConfig::try_from(tls)
            .map_err(|error| Http3Error::Settings(error.to_string()))?;
        let mut config = quinn::ServerConfig::new(Arc::new(crypto), keys.token.clone());
        config
            .migration(false)
            .max_incoming(WAITING_MAX)
            .incoming_buffer_size(WAITING_BYTES.0)
            .incoming_buffer_size_total(WAITING_BYTES.1)
            .transport_config(Arc::new(transport(limits)));
        Ok(Self {
            config: Arc::new(config),
            limits: Arc::new(limits.clone()),
        })
    }
}

fn transport(limits: &Http3Limits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let silence = u32::try_from(limits.silence.as_millis()).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(UNIDIRECTIONAL_STREAMS))
        .stream_receive_window(VarInt::from_u32(limits.stream_window))
        .receive_window(VarInt::from_u32(limits.connection_window))
        .send_window(u64::from(limits.send_window))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(limits.keepalive))
        .max_idle_timeout(Some(VarInt::from_u32(silence).into()));
    transport
}

/// One worker's endpoint. Dropping it loses its connections; see [`Self::close`].
pub struct Endpoint {
    inner: quinn::Endpoint,
}

impl Endpoint {
    /// Serves a socket on the runtime of this thread.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn new(socket: UdpSocket, settings: &Settings, keys: &Keys) -> io::Result<Self> {
        let config = EndpointConfig::new(keys.reset.clone());
        let server = (*settings.config).clone();
        let runtime = Arc::new(quinn::TokioRuntime);
        let inner = quinn::Endpoint::new(config, Some(server), socket, runtime)?;
        Ok(Self { inner })
    }

    /// The next attempt to connect; `None` once the endpoint is closed. May be dropped midway.
    pub async fn accept(&self) -> Option<Attempt> {
        let incoming = self.inner.accept().await?;
        Some(Attempt { incoming })
    }

    /// Closes what is still open and waits, at most so long, until the peers have been told.
    pub async fn close(&self, patience: Duration) {
        let code = VarInt::from_u32(0x100);
        self.inner.close(code, b"");
        // Who has not heard it by then hears of its own idle timeout.
        let _ = tokio::time::timeout(patience, self.inner.wait_idle()).await;
    }
}

/// A client that wants to connect.
pub struct Attempt {
    incoming: quinn::Incoming,
}

/// Who a connection's other end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The name it asked for, in lower case.
    pub server_name: Option<Box<str>>,
    /// Its verified certificate in DER.
    pub certificate: Option<Arc<[u8]>>,
}

impl Attempt {
    /// The address it comes from; anybody may write any there until [`Self::is_validated`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// The address that it came to, where the system tells.
    #[must_use]
    pub fn local(&self) -> Option<std::net::IpAddr> {
        self.incoming.local_ip()
    }

    /// Whether the client has shown that it receives what is sent to its address.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Asks the client to show that. Nothing is kept meanwhile.
    pub fn retry(self) {
        // It fails for those only that were asked before.
        let _ = self.incoming.retry();
    }

    /// Tells the client to go.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Tells it nothing.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Shakes hands and exchanges settings. The deadline is the caller's; may be dropped midway.
    ///
    /// # Errors
    /// [`Http3Error`] when the client leaves, or the two find no common ground.
    pub async fn accept(self, settings: &Settings) -> Result<(Http3Server, Peer), Http3Error> {
        let failed = |error: quinn::ConnectionError| Http3Error::Handshake(error.to_string());
        let connecting = self.incoming.accept_with(settings.config.clone());
        let connection = connecting.map_err(failed)?.await.map_err(failed)?;
        let data = connection.handshake_data();
        let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
        let chain = connection.peer_identity();
        let chain = chain.and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
        let leaf = chain.as_ref().and_then(|chain| chain.first());
        let name = data.and_then(|data| data.server_name);
        let peer = Peer {
            address: connection.remote_address(),
            server_name: name.map(|name| name.to_ascii_lowercase().into()),
            certificate: leaf.map(|leaf| leaf.as_ref().into()),
        };
        let server = Http3Server::begin(connection, settings.limits.clone()).await?;
        Ok((server, peer))
    }
}
