//! What an authority meets when it looks: where names lead, and DNS records that a webhook writes.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One of the places that every name leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    pub(crate) http: SocketAddr,
    pub(crate) tls: SocketAddr,
}

pub(crate) struct World {
    /// An authority looks at each: a balancer may lead it to any.
    fronts: Mutex<Vec<Front>>,
    pub(crate) webhook: SocketAddr,
    records: Arc<Mutex<BTreeMap<String, String>>>,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
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
pub(crate) fn request(stream: &TcpStream) -> (String, Vec<u8>) {
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

pub(crate) fn respond(mut stream: &TcpStream, status: u16, body: &str) {
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

impl World {
    /// A world whose names lead nowhere yet.
    pub(crate) fn start() -> Arc<Self> {
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
            fronts: Mutex::default(),
            webhook,
            records,
            calls,
        })
    }

    /// Has all names lead here too.
    pub(crate) fn leads_to(&self, http: SocketAddr, tls: SocketAddr) {
        self.fronts.lock().unwrap().push(Front { http, tls });
    }

    pub(crate) fn fronts(&self) -> Vec<Front> {
        self.fronts.lock().unwrap().clone()
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
    handshake(address, name, b"acme-tls/1").map(|(leaf, _)| leaf)
}

/// The leaf that is shown to ordinary callers.
pub(crate) fn served(address: SocketAddr, name: &str) -> Option<Vec<u8>> {
    handshake(address, name, b"http/1.1").map(|(leaf, _)| leaf)
}

/// The OCSP answer that comes along with the certificate.
#[allow(dead_code, reason = "asked for where listeners are configured")]
pub(crate) fn stapled(address: SocketAddr, name: &str) -> Option<Vec<u8>> {
    let (_, stapled) = handshake(address, name, b"http/1.1")?;
    Some(stapled)
}

fn handshake(address: SocketAddr, name: &str, alpn: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let anything = Arc::new(Anything::default());
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(anything.clone())
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
    let leaf = connection.peer_certificates()?.first()?.to_vec();
    let stapled = anything.stapled.lock().unwrap().clone();
    Some((leaf, stapled))
}

/// Looks at no signature: an authority sees a self-signed certificate. Keeps what comes along.
#[derive(Debug, Default)]
struct Anything {
    stapled: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.stapled.lock().unwrap() = ocsp.to_vec();
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
