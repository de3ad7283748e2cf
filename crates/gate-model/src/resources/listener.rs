//! Addresses to listen on, with their TLS and their limits.

use crate::units::{ByteSize, Period, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An address to listen on.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `host:port`, `[ipv6]:port` or `unix:/path/to/socket`. Port 0 lets the system choose.
    pub address: String,
    /// What is spoken here.
    #[serde(default)]
    pub protocol: ListenerProtocol,
    /// TLS; plain text when left out.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// HTTP/3 on the UDP port of the same number, beside HTTP/1.1 and HTTP/2; off when left out. It
    /// needs `tls`, whose certificates it shares, and a listener that speaks HTTP over TCP directly.
    #[serde(default)]
    pub http3: Option<ListenerHttp3>,
    /// Whether connections open with a PROXY protocol header (version 1 or 2).
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// Limits on what a caller may send and how long it may take.
    #[serde(default)]
    pub limits: Limits,
    /// How paths are normalised before they are matched and forwarded.
    #[serde(default)]
    pub paths: Paths,
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListenerProtocol {
    /// HTTP/1.1 and HTTP/2 (by ALPN, or by prior knowledge without TLS), and HTTP/3 where `http3`
    /// says so.
    #[default]
    Http,
    /// Bytes, forwarded as they come; routes may match on a TLS server name without ending TLS.
    Tcp,
}

/// Whether a PROXY protocol header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// Connections speak directly.
    #[default]
    Off,
    /// Every connection must open with the header; others are closed.
    Required,
}

/// TLS of a listener.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates; the one whose names fit the caller's server name is used, else the first.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// DNS names whose certificates are ordered by `gateway.acme` and renewed in time; `*.` stands
    /// for one label and needs the DNS challenge. Certificates above answer for their own names
    /// first. Until a certificate has come, handshakes for its name fail, unless there is one above.
    #[serde(default)]
    pub names: Vec<String>,
    /// The oldest version accepted.
    #[serde(default)]
    pub minimum: TlsVersion,
    /// Whose certificates callers may show (mTLS); nobody is asked for one when left out. The policy
    /// `auth_mtls` says what they may do.
    #[serde(default)]
    pub clients: Option<ListenerClients>,
}

/// HTTP/3 of a listener. Callers learn of it from the field Alt-Svc (RFC 7838) of answers that come
/// over TLS; answers that have one of their own keep it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerHttp3 {
    /// The port that callers are told, where another one than ours is in front of it; ours when left
    /// out.
    pub advertised_port: Option<u16>,
    /// How long callers may remember it. Those that find nobody there use TCP again.
    pub advertised_for: Period,
}

impl Default for ListenerHttp3 {
    fn default() -> Self {
        Self {
            advertised_port: None,
            advertised_for: Period::from_seconds(24 * 3600),
        }
    }
}

/// Certificates of callers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerClients {
    /// PEM file with the authorities that may have signed them.
    pub authorities: PathBuf,
    /// PEM files with revocation lists (RFC 5280). With any, each caller's certificate needs a list
    /// of its issuer that is not out of date, and must not be on it.
    #[serde(default)]
    pub revocations: Vec<PathBuf>,
    /// Whether callers without a certificate are turned away by the handshake; else the policies of
    /// routes decide.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn yes() -> bool {
    true
}

/// A certificate chain and its key, read again when the files change.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// PEM file with the chain, leaf first.
    pub chain: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// File with an OCSP answer (DER, RFC 6960) that callers are sent along; whoever renews it writes
    /// the file anew.
    #[serde(default)]
    pub ocsp: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

/// What a caller may send, and how long it may take.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's head.
    pub head: ByteSize,
    /// Fields in a request's head.
    pub headers: u16,
    /// Bytes of a request's body.
    pub body: ByteSize,
    /// Open connections of this listener, over the whole process.
    pub connections: u32,
    /// Open connections of one client, over the whole process; no limit of its own when left out.
    /// A client is an address, or the first `client_prefix` bits of an IPv6 address. Proxies that
    /// `gateway.trusted_proxies` names are never held to it; where they speak the PROXY protocol,
    /// the client is the one they name.
    pub client_connections: Option<u32>,
    /// New connections of one client per time, which with TLS is handshakes: so many at once, then
    /// evenly; no limit when left out.
    pub client_rate: Option<Rate>,
    /// Bits of an IPv6 address that are one client's, from 32 to 128.
    pub client_prefix: u8,
    /// Concurrent HTTP/2 streams of one connection, and requests of HTTP/3.
    pub streams: u32,
    /// How long a kept-alive connection may stay idle.
    pub idle: Period,
    /// How long a TLS handshake and a request's head may take to arrive.
    pub head_time: Period,
    /// How long a whole request's body may take to arrive; `0s` means no limit.
    pub body_time: Period,
    /// How long a caller may take to accept more bytes of an answer before it is cut off. Over
    /// HTTP/2 and HTTP/3 these are at least 1 KiB, or the rest.
    pub write_time: Period,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: ByteSize::from_kibibytes(32),
            headers: 100,
            body: ByteSize::from_kibibytes(100 * 1024),
            connections: 100_000,
            client_connections: None,
            client_rate: None,
            client_prefix: 64,
            streams: 100,
            idle: Period::from_seconds(75),
            head_time: Period::from_seconds(10),
            body_time: Period::from_seconds(300),
            write_time: Period::from_seconds(60),
        }
    }
}

/// How paths are normalised, once, before they are matched and forwarded.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// Whether repeated slashes become one.
    pub merge_slashes: bool,
    /// What happens to `%2F` and `%5C`.
    pub encoded_slashes: EncodedSlashes,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            merge_slashes: true,
            encoded_slashes: EncodedSlashes::Keep,
        }
    }
}

/// What happens to an encoded slash or backslash in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlashes {
    /// Kept as it is, and never taken for a separator.
    #[default]
    Keep,
    /// Decoded, and then a separator.
    Decode,
    /// The request is refused.
    Refuse,
}
