//! An HTTP/3 client that is not ours: quinn and h3 by way of h3-quinn, or quinn alone for bytes that
//! no client would send.

use crate::certificates::{self, Authority};
use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use quinn::crypto::rustls::QuicClientConfig;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) type Sender = SendRequest<h3_quinn::OpenStreams, Bytes>;
pub(crate) type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A client's socket, which all its connections share.
pub(crate) fn endpoint(authority: &Authority) -> quinn::Endpoint {
    endpoint_with(authority, quinn::TransportConfig::default())
}

pub(crate) fn endpoint_with(
    authority: &Authority,
    transport: quinn::TransportConfig,
) -> quinn::Endpoint {
    let tls = certificates::client(authority, &["h3"]);
    let crypto = QuicClientConfig::try_from(tls).expect("TLS 1.3 is among the versions");
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut endpoint = quinn::Endpoint::client(any).expect("loopback has ports");
    endpoint.set_default_client_config(config);
    endpoint
}

/// A QUIC connection, with nothing said over it yet.
pub(crate) async fn dial(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    endpoint.connect(address, "a.test").unwrap().await
}

/// An HTTP/3 connection, driven by a task of its own.
pub(crate) async fn connect(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
) -> (Sender, quinn::Connection) {
    let connection = dial(endpoint, address).await.expect("a handshake");
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection.clone()))
        .await
        .unwrap();
    tokio::task::spawn_local(async move { poll_fn(|cx| driver.poll_close(cx)).await });
    (sender, connection)
}

pub(crate) fn request(method: &str, path: &str) -> http::Request<()> {
    http::Request::builder()
        .method(method)
        .uri(format!("https://a.test{path}"))
        .body(())
        .unwrap()
}

/// What is left of an answer's body.
pub(crate) async fn read(stream: &mut Stream) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    body
}

/// One request and its whole answer.
pub(crate) async fn ask(
    sender: &mut Sender,
    request: http::Request<()>,
    body: Option<Bytes>,
) -> (http::Response<()>, Vec<u8>) {
    let mut stream = sender.send_request(request).await.unwrap();
    if let Some(body) = body {
        stream.send_data(body).await.unwrap();
    }
    stream.finish().await.unwrap();
    let head = stream.recv_response().await.unwrap();
    let body = read(&mut stream).await;
    (head, body)
}

/// A frame whose length fits two bytes.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = 0x4000 | u16::try_from(payload.len()).unwrap();
    [&[kind][..], &length.to_be_bytes(), payload].concat()
}

/// A QPACK section of literal fields.
pub(crate) fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0, 0];
    for (name, value) in fields {
        for (text, flags, bits) in [(name, 0x20, 3), (value, 0, 7)] {
            let most = (1 << bits) - 1;
            match text.len() {
                short if short < most => block.push(flags | short as u8),
                long => {
                    block.push(flags | most as u8);
                    let mut rest = long - most;
                    while rest >= 128 {
                        block.push(rest as u8 | 0x80);
                        rest >>= 7;
                    }
                    block.push(rest as u8);
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The pseudo-header fields of an honest GET.
pub(crate) const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "a.test"),
    (":path", "/"),
];

/// A HEADERS frame.
pub(crate) fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, &section(fields))
}

/// How a request of raw bytes ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answered; whether it was with this text.
    Answered(Vec<u8>),
    /// The stream was reset with this code.
    Reset(u64),
    /// The connection was closed with this code.
    Closed(u64),
}

/// Sends raw bytes as a request, ends it, and reads what comes.
pub(crate) async fn raw(connection: &quinn::Connection, bytes: &[u8]) -> End {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    // It may be over before everything is written.
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    match receive.read_to_end(1 << 20).await {
        Ok(answer) => End::Answered(answer),
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
            End::Reset(code.into_inner())
        }
        Err(_) => closed(connection).await,
    }
}

/// The code with which the gateway closes a connection.
pub(crate) async fn closed(connection: &quinn::Connection) -> End {
    match connection.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => {
            End::Closed(close.error_code.into_inner())
        }
        // After a GOAWAY, `h3` may be the first to close what has no request left.
        quinn::ConnectionError::LocallyClosed => End::Closed(0x100),
        other => panic!("not closed by HTTP/3: {other}"),
    }
}
