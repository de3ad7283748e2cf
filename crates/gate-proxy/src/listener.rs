//! Listeners as the data plane sees them: sockets that stay, options that a reload swaps.

use crate::clients::{ClientLimits, Clients};
use crate::tcp::TcpRoute;
use arc_swap::ArcSwap;
use gate_http3::{Http3Limits, Keys};
use gate_model::resources::{self, EncodedSlashes, ListenerProtocol, ProxyProtocol, TlsVersion};
use gate_net::connection::server::ServerOptions;
use gate_net::http1;
use gate_net::http2::Http2Limits;
use gate_net::listen::{ListenAddress, Sockets};
use gate_net::path::{self, PathOptions};
use gate_net::tls::{CertificateFiles, ClientCertificates, Managed, MinVersion};
use gate_net::tls::{ServerTls, ServerTlsOptions};
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// A listener, for as long as its address stays.
pub struct ListenerState {
    /// Its name.
    pub name: Arc<str>,
    /// The bound sockets, one per worker; none once the listener has been closed.
    sockets: Mutex<Option<Sockets>>,
    /// The address as configured.
    pub address: ListenAddress,
    /// What applies to new connections; swapped by a reload.
    pub options: ArcSwap<ListenerOptions>,
    /// Open connections.
    pub connections: AtomicU32,
    /// The same by client, where that is limited.
    pub clients: Arc<Clients>,
    /// Its UDP sockets, while it speaks HTTP/3.
    quic: Mutex<Option<Arc<Quic>>>,
    /// The ones it had last, for as long as workers still finish what came over them.
    last_quic: Mutex<Weak<Quic>>,
}

/// What a listener speaks HTTP/3 with.
pub struct Quic {
    /// One socket per worker.
    pub sockets: gate_http3::Sockets,
    /// Secrets that the workers share.
    pub keys: Keys,
}

impl ListenerState {
    /// A listener over bound sockets.
    #[must_use]
    pub fn new(name: &str, sockets: Sockets, options: ListenerOptions) -> Self {
        Self {
            name: name.into(),
            address: sockets.address().clone(),
            sockets: Mutex::new(Some(sockets)),
            options: ArcSwap::from_pointee(options),
            connections: AtomicU32::new(0),
            clients: Arc::default(),
            quic: Mutex::default(),
            last_quic: Mutex::default(),
        }
    }

    /// What it speaks HTTP/3 with; none where it does not.
    #[must_use]
    pub fn quic(&self) -> Option<Arc<Quic>> {
        let quic = self.quic.lock().unwrap_or_else(PoisonError::into_inner);
        quic.clone()
    }

    /// What it spoke HTTP/3 with before that was switched off, if its port is still held.
    #[must_use]
    pub fn last_quic(&self) -> Option<Arc<Quic>> {
        let last = self.last_quic.lock();
        last.unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Begins or ends to speak HTTP/3.
    pub fn set_quic(&self, quic: Option<Arc<Quic>>) {
        if let Some(quic) = &quic {
            let mut last = self
                .last_quic
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *last = Arc::downgrade(quic);
        }
        *self.quic.lock().unwrap_or_else(PoisonError::into_inner) = quic;
    }

    /// Calls `with` on the sockets; `None` once they are closed.
    pub fn with_sockets<T>(&self, with: impl FnOnce(&Sockets) -> T) -> Option<T> {
        self.sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(with)
    }

    /// Gives the sockets up; connections that were accepted live on.
    pub fn close(&self) {
        drop(
            self.sockets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 and HTTP/2.
    Http,
    /// Bytes, forwarded as they come.
    Bytes,
}

/// What applies to connections of a listener.
pub struct ListenerOptions {
    /// What is spoken.
    pub speaks: Speaks,
    /// Limits of HTTP/1.1 connections, and those that both versions share.
    pub http1: Arc<ServerOptions>,
    /// Limits of HTTP/2 connections.
    pub http2: Http2Limits,
    /// Limits of HTTP/3 connections, where it is spoken, and how callers are told.
    pub http3: Option<(Http3Limits, resources::ListenerHttp3)>,
    /// The Alt-Svc field of answers over TLS, once HTTP/3 is spoken.
    pub alt_svc: OnceLock<String>,
    /// TLS, when it is ended here.
    pub tls: Option<Arc<ServerTls>>,
    /// Whether connections open with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Certificates that are ordered, and what authorities want to be shown for them.
    pub managed: Option<Arc<Managed>>,
    /// How paths are normalised.
    pub paths: PathOptions,
    /// Open connections allowed.
    pub connections_max: u32,
    /// What one client may use of them.
    pub client: ClientLimits,
    /// Where bytes go, in order of precedence; only for [`Speaks::Bytes`].
    pub tcp_routes: Vec<TcpRoute>,
}

impl ListenerOptions {
    /// Compiles a listener's settings; reads certificate files. `managed` is there where
    /// certificates are ordered; `keeps_connection_fields` where a policy judges these.
    ///
    /// # Errors
    /// Which field is wrong, and why.
    pub fn compile(
        listener: &resources::Listener,
        folder: &Path,
        tcp_routes: Vec<TcpRoute>,
        managed: Option<Arc<Managed>>,
        keeps_connection_fields: bool,
    ) -> Result<Self, (&'static str, String)> {
        let limits = &listener.limits;
        let head_bytes = usize::try_from(limits.head.bytes()).unwrap_or(usize::MAX);
        let head = http1::Limits {
            head_bytes: head_bytes.min(http1::HEAD_BYTES_MAX),
            header_count: usize::from(limits.headers).min(http1::HEADER_COUNT_MAX),
            target_bytes: head_bytes.min(8 * 1024),
            keeps_connection_fields,
        };
        let http = listener.protocol == ListenerProtocol::Http;
        let load = |tls| load_tls(tls, folder, http, managed.clone());
        let tls = listener.tls.as_ref().map(load);
        let tls = tls.transpose().map_err(|message| ("tls", message))?;
        let http3 = http3_of(listener, &head).map_err(|why| ("http3", why.to_owned()))?;
        Ok(Self {
            speaks: match listener.protocol {
                ListenerProtocol::Http => Speaks::Http,
                ListenerProtocol::Tcp => Speaks::Bytes,
            },
            http1: Arc::new(ServerOptions {
                head,
                body_bytes: limits.body.bytes(),
                idle: limits.idle.duration(),
                head_time: limits.head_time.duration(),
                body_time: limits.body_time.duration(),
                write_time: limits.write_time.duration(),
            }),
            http2: Http2Limits {
                streams: limits.streams.max(1),
                header_bytes: u32::try_from(head.head_bytes).unwrap_or(u32::MAX),
                header_fields: head.header_count,
                idle: limits.idle.duration(),
                body_time: limits.body_time.duration(),
                write_time: limits.write_time.duration(),
                ..Http2Limits::default()
            },
            http3,
            alt_svc: OnceLock::new(),
            tls,
            managed,
            proxy_protocol: listener.proxy_protocol == ProxyProtocol::Required,
            paths: PathOptions {
                merge_slashes: listener.paths.merge_slashes,
                encoded_slashes: match listener.paths.encoded_slashes {
                    EncodedSlashes::Keep => path::EncodedSlashes::Keep,
                    EncodedSlashes::Decode => path::EncodedSlashes::Decode,
                    EncodedSlashes::Refuse => path::EncodedSlashes::Reject,
                },
            },
            connections_max: limits.connections,
            client: ClientLimits::compile(limits).map_err(|problem| ("limits", problem))?,
            tcp_routes,
        })
    }
}

impl ListenerOptions {
    /// Notes that HTTP/3 is spoken on this port.
    pub fn advertise(&self, port: u16) {
        if let Some((_, http3)) = &self.http3 {
            let port = http3.advertised_port.unwrap_or(port);
            let seconds = http3.advertised_for.duration().as_secs();
            let _ = self.alt_svc.set(format!("h3=\":{port}\"; ma={seconds}"));
        }
    }
}

/// Time for everything that comes before a request, where zero stands for no limit of its own.
pub(crate) fn patience(head_time: Duration) -> Duration {
    match head_time {
        Duration::ZERO => Duration::from_secs(60),
        patience => patience,
    }
}

/// Limits of HTTP/3 connections, where it is spoken, and how callers are told.
fn http3_of(
    listener: &resources::Listener,
    head: &http1::Limits,
) -> Result<Option<(Http3Limits, resources::ListenerHttp3)>, &'static str> {
    let Some(http3) = &listener.http3 else {
        return Ok(None);
    };
    if let Some(why) = no_http3(listener) {
        return Err(why);
    }
    let limits = &listener.limits;
    let limits = Http3Limits {
        streams: limits.streams.max(1),
        header_bytes: head.head_bytes,
        header_fields: head.header_count,
        head_time: patience(limits.head_time.duration()),
        idle: limits.idle.duration(),
        body_time: limits.body_time.duration(),
        write_time: limits.write_time.duration(),
        ..Http3Limits::default()
    };
    Ok(Some((limits, http3.clone())))
}

/// Why a listener cannot speak HTTP/3.
fn no_http3(listener: &resources::Listener) -> Option<&'static str> {
    if listener.tls.is_none() {
        Some("HTTP/3 needs `tls`")
    } else if listener.protocol != ListenerProtocol::Http {
        Some("HTTP/3 needs `protocol: http`")
    } else if listener.proxy_protocol != ProxyProtocol::Off {
        Some("HTTP/3 has no PROXY protocol header; the listener must not require one")
    } else if listener.address.starts_with("unix:") {
        Some("HTTP/3 needs a UDP port, and a Unix socket has none")
    } else {
        None
    }
}

/// Loads TLS settings for an address that callers connect to; reads certificate files, whose paths
/// start from `folder`. `http2` offers HTTP/2 by ALPN; `managed` has the certificates of
/// `tls.names`.
///
/// # Errors
/// One sentence, naming the file that is wrong.
pub fn load_tls(
    settings: &resources::ListenerTls,
    folder: &Path,
    http2: bool,
    managed: Option<Arc<Managed>>,
) -> Result<Arc<ServerTls>, String> {
    if settings.certificates.is_empty() && settings.names.is_empty() {
        return Err("neither `certificates` nor `names` holds anything".to_owned());
    }
    let managed = managed.filter(|_| !settings.names.is_empty());
    if managed.is_none() && !settings.names.is_empty() {
        return Err("`names` are ordered by `gateway.acme`, which is not configured".to_owned());
    }
    if let Some(odd) = settings.names.iter().find(|name| !is_dns_name(name)) {
        return Err(format!("`{odd}` is no DNS name in lower case"));
    }
    let files = |pair: &resources::Certificate| CertificateFiles {
        chain: folder.join(&pair.chain),
        key: folder.join(&pair.key),
        ocsp: pair.ocsp.as_ref().map(|file| folder.join(file)),
    };
    let clients = settings.clients.as_ref().map(|clients| ClientCertificates {
        authorities: folder.join(&clients.authorities),
        revocations: clients
            .revocations
            .iter()
            .map(|file| folder.join(file))
            .collect(),
        required: clients.required,
    });
    let min_version = match settings.minimum {
        TlsVersion::Tls12 => MinVersion::Tls12,
        TlsVersion::Tls13 => MinVersion::Tls13,
    };
    ServerTls::load(ServerTlsOptions {
        certificates: settings.certificates.iter().map(files).collect(),
        min_version,
        http2,
        clients,
        managed,
    })
    .map_err(|error| error.to_string())
}

/// Whether a text is a DNS name as certificates have it, with `*.` before it or not.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(fine);
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}

/// Reads a listener's address.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_address(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') || path.len() > 107 {
            return Err(format!(
                "`{text}`: the socket's path must be absolute and at most 107 bytes"
            ));
        }
        return Ok(ListenAddress::Unix {
            path: path.into(),
            mode: 0o660,
        });
    }
    let text = text
        .strip_prefix('*')
        .map_or_else(|| text.to_owned(), |port| format!("[::]{port}"));
    let resolved = text
        .to_socket_addrs()
        .map_err(|error| format!("`{text}`: {error}"));
    let address = resolved?
        .next()
        .ok_or_else(|| format!("`{text}` has no address"))?;
    Ok(ListenAddress::Tcp {
        address,
        only_v6: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tcp_or_unix() {
        assert!(matches!(
            parse_address("127.0.0.1:80"),
            Ok(ListenAddress::Tcp { .. })
        ));
        assert!(matches!(
            parse_address("[::1]:80"),
            Ok(ListenAddress::Tcp { .. })
        ));
        assert!(matches!(
            parse_address("unix:/run/t.sock"),
            Ok(ListenAddress::Unix { .. })
        ));
        for wrong in ["127.0.0.1", "unix:relative", "127.0.0.1:99999", ""] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }
}
