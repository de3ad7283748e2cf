//! HTTP/2 peers made of the `h2` crate alone: a server on a thread of its own, and a client.

use crate::support::PATIENCE;
use bytes::Bytes;
use gate_net::io::Io;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) type Handler = dyn Fn(Request<RecvStream>, SendResponse<Bytes>) -> Pin<Box<dyn Future<Output = ()>>>
    + Send
    + Sync;

/// Runs a test's future to its end, within the patience of all tests.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("the test took too long")
    })
}

/// An HTTP/2 server.
pub(crate) struct Http2Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Http2Upstream {
    /// Prior knowledge without `tls`, ALPN with it.
    pub(crate) fn start<F, Fut>(tls: Option<Arc<rustls::ServerConfig>>, handler: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let handler: Arc<Handler> =
            Arc::new(move |request, respond| Box::pin(handler(request, respond)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, peer)) = listener.accept().await {
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.set_nodelay(true);
                    let io = Io::tcp(stream, peer);
                    tokio::task::spawn_local(serve(io, tls.clone(), handler.clone()));
                }
            });
        });
        Self {
            address,
            connections,
        }
    }
}

async fn serve(io: Io, tls: Option<Arc<rustls::ServerConfig>>, handler: Arc<Handler>) {
    let io = match tls {
        None => io,
        Some(config) => match io.accept_tls(config).await {
            Ok(io) => io,
            Err(_) => return,
        },
    };
    let Ok(mut connection) = h2::server::Builder::new()
        .max_concurrent_streams(1000)
        .handshake(io)
        .await
    else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(handler(request, respond));
    }
}

/// A client whose connection is driven beside the test.
pub(crate) async fn client<T>(io: T) -> h2::client::SendRequest<Bytes>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    sender.ready().await.unwrap()
}

/// A client by prior knowledge.
pub(crate) async fn connect(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    client(stream).await
}

/// A request without a body yet.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://h2.test{path}"))
        .body(())
        .unwrap()
}

/// Reads a body and its trailers.
pub(crate) async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, body.trailers().await?))
}

/// Sends a request and reads the whole answer.
pub(crate) async fn ask(
    sender: &mut h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&'static [u8]>,
) -> (Response<()>, Vec<u8>) {
    let (response, mut send) = sender.send_request(request, body.is_none()).unwrap();
    if let Some(body) = body {
        send.send_data(Bytes::from_static(body), true).unwrap();
    }
    let (head, mut body) = response.await.unwrap().into_parts();
    let (bytes, _) = read(&mut body).await.unwrap();
    (Response::from_parts(head, ()), bytes)
}

/// Answers with a status and a body.
pub(crate) fn answer(respond: &mut SendResponse<Bytes>, status: u16, body: impl Into<Bytes>) {
    let mut stream = head(respond, status);
    let _ = stream.send_data(body.into(), true);
}

/// Answers with a head; the body follows.
pub(crate) fn head(respond: &mut SendResponse<Bytes>, status: u16) -> SendStream<Bytes> {
    let response = Response::builder().status(status).body(()).unwrap();
    respond.send_response(response, false).unwrap()
}
