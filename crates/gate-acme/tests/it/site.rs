//! What an authority meets when it looks: a plain and a TLS port over one [`Managed`], and a webhook
//! that writes DNS records.

use gate_net::tls::{Managed, ServerTls, ServerTlsOptions};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Site {
    pub(crate) http: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) webhook: SocketAddr,
    records: Arc<Mutex<BTreeMap<String, String>>>,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
            serve(stream);
        }
    });
    address
}

/// The head and the body of a request.
fn request(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    let mut body = vec![
        0;
        length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or(0)
    ];
    let _ = reader.read_exact(&mut body);
    (head, body)
}

fn respond(mut stream: &TcpStream, status: u16, body: &str) {
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

impl Site {
    pub(crate) fn start(managed: &Arc<Managed>) -> Arc<Self> {
        let tokens = managed.clone();
        let http = listen(move |stream| {
            let (head, _) = request(&stream);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let token = path
                .strip_prefix("/.well-known/acme-challenge/")
                .unwrap_or_default();
            match tokens.token(token) {
                Some(shown) => respond(&stream, 200, &shown),
                None => respond(&stream, 404, ""),
            }
        });
        let options = ServerTlsOptions {
            managed: Some(managed.clone()),
            ..ServerTlsOptions::default()
        };
        let settings = ServerTls::load(options).unwrap();
        let tls = listen(move |mut stream| {
            let mut connection = rustls::ServerConnection::new(settings.config()).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        });
        let (records, calls): (
            Arc<Mutex<BTreeMap<String, String>>>,
            Arc<Mutex<Vec<String>>>,
        ) = Default::default();
        let (written, noted) = (records.clone(), calls.clone());
        let webhook = listen(move |stream| {
            let (head, body) = request(&stream);
            let asked: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
            let known = head.to_lowercase().contains("authorization: bearer s3cret");
            noted
                .lock()
                .unwrap()
                .push(format!("{} {} {known}", text("action"), text("name")));
            match text("action").as_str() {
                "present" => drop(written.lock().unwrap().insert(text("name"), text("value"))),
                "clean_up" => drop(written.lock().unwrap().remove(&text("name"))),
                _ => return respond(&stream, 400, ""),
            }
            respond(&stream, if known { 204 } else { 403 }, "");
        });
        Arc::new(Self {
            http,
            tls,
            webhook,
            records,
            calls,
        })
    }

    /// A TXT record.
    pub(crate) fn record(&self, name: &str) -> Option<String> {
        self.records.lock().unwrap().get(name).cloned()
    }
}

/// The body of a 200 answer.
pub(crate) fn fetch(address: SocketAddr, host: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The certificate that is shown to an authority (RFC 8737 section 3).
pub(crate) fn shown(address: SocketAddr, name: &str) -> Option<Vec<u8>> {
    handshake(address, name, b"acme-tls/1")
}

/// The leaf that is shown to ordinary callers.
pub(crate) fn served(address: SocketAddr, name: &str) -> Option<Vec<u8>> {
    handshake(address, name, b"http/1.1")
}

fn handshake(address: SocketAddr, name: &str, alpn: &[u8]) -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    settings.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from(name.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(settings), name).ok()?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    if connection.alpn_protocol() != Some(alpn) {
        return None;
    }
    connection
        .peer_certificates()?
        .first()
        .map(|leaf| leaf.to_vec())
}

/// Looks at no signature: an authority sees a self-signed certificate.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
