//! Connections, TLS, listeners, hand-over, proxies and HTTP/2, through real sockets on loopback.

mod certificates;
mod connect;
mod http2;
mod io;
mod listen;
mod tls;

use gate_net::io::Io;
use std::future::poll_fn;
use std::io::IoSlice;
use tokio::net::{TcpListener, TcpStream};

/// Runs a test on a single-threaded runtime with local tasks, as a worker does, within a deadline.
fn on_a_worker<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let within = std::time::Duration::from_secs(20);
    let local = tokio::task::LocalSet::new();
    local
        .block_on(&runtime, async { tokio::time::timeout(within, test).await })
        .expect("the test ends within its deadline")
}

/// Two ends of one TCP connection.
async fn pair() -> (Io, Io) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (server, peer) = server.expect("accept");
    let client = client.expect("connect");
    (Io::tcp(client, address), Io::tcp(server, peer))
}

async fn write_all(io: &Io, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(bytes)])).await?;
        bytes = &bytes[n..];
    }
    poll_fn(|cx| io.poll_flush(cx)).await
}

async fn read_some(io: &Io) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 16 * 1024];
    let n = poll_fn(|cx| io.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(n);
    Ok(buffer)
}

async fn read_exactly(io: &Io, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let more = read_some(io).await.expect("read");
        assert!(!more.is_empty(), "the stream ended early");
        bytes.extend(more);
    }
    bytes
}
