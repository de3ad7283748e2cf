//! The byte connection by itself, with its system calls counted by strace.

use super::{on_a_worker, pair, read_exactly, read_some, write_all};
use gate_kit::buffer::PooledBuf;
use gate_net::io::Io;
use std::future::poll_fn;
use std::io::IoSlice;
use std::process::Command;
use std::task::Poll;

#[test]
fn slices_arrive_in_order_and_the_end_is_seen() {
    on_a_worker(async {
        let (client, server) = pair().await;
        let slices = [
            IoSlice::new(b"head"),
            IoSlice::new(b""),
            IoSlice::new(b"body"),
        ];
        let n = poll_fn(|cx| client.poll_write(cx, &slices)).await;
        assert_eq!(n.expect("write"), 8);
        assert_eq!(read_exactly(&server, 8).await, b"headbody");
        assert!(server.is_quiet());
        poll_fn(|cx| client.poll_shutdown(cx))
            .await
            .expect("shutdown");
        assert_eq!(read_some(&server).await.expect("read"), b"");
        // The other direction still works after a half close.
        write_all(&server, b"late").await.expect("write");
        assert_eq!(read_exactly(&client, 4).await, b"late");
        assert!(!server.is_quiet());
    });
}

#[test]
fn bytes_put_back_are_read_first_at_any_split() {
    on_a_worker(async {
        for split in 1..=6 {
            let (client, mut server) = pair().await;
            write_all(&client, b"ghi").await.expect("write");
            server.unread(PooledBuf::copy_of(b"abcdef"));
            let mut seen = Vec::new();
            while seen.len() < 9 {
                let mut buffer = vec![0; split];
                let n = poll_fn(|cx| server.poll_read(cx, &mut buffer))
                    .await
                    .expect("read");
                seen.extend_from_slice(&buffer[..n]);
            }
            assert_eq!(seen, b"abcdefghi");
        }
    });
}

#[test]
fn a_peer_that_does_not_read_makes_writes_wait() {
    on_a_worker(async {
        let (client, server) = pair().await;
        let block = vec![7; 1 << 20];
        let mut written = 0;
        loop {
            let step = poll_fn(|cx| {
                Poll::Ready(match client.poll_write(cx, &[IoSlice::new(&block)]) {
                    Poll::Ready(n) => Some(n.expect("write")),
                    Poll::Pending => None,
                })
            });
            match step.await {
                Some(n) => written += n,
                None => break,
            }
            assert!(written < 1 << 28, "the kernel's buffers are not endless");
        }
        assert_eq!(read_exactly(&server, written).await.len(), written);
        write_all(&client, b"more").await.expect("room again");
    });
}

/// Sends messages of two slices, each only after the last was read.
async fn exchange(client: &Io, server: &Io) {
    for _ in 0..ROUNDS {
        let reading = async { assert_eq!(read_some(server).await.expect("read").len(), 1004) };
        let writing = async {
            tokio::task::yield_now().await;
            let slices = [IoSlice::new(b"head"), IoSlice::new(&[7; 1000])];
            let written = poll_fn(|cx| client.poll_write(cx, &slices)).await;
            assert_eq!(written.expect("write"), 1004);
            poll_fn(|cx| client.poll_flush(cx)).await.expect("flush");
        };
        tokio::join!(reading, writing);
    }
}

const ROUNDS: usize = 200;

/// What the two tests below run under strace; by itself it checks the bytes.
#[test]
fn subject_plain() {
    on_a_worker(async {
        let (client, server) = pair().await;
        exchange(&client, &server).await;
    });
}

/// The same over TLS.
#[test]
fn subject_tls() {
    on_a_worker(async {
        let (client, server) = super::tls::encrypted_pair().await;
        exchange(&client, &server).await;
    });
}

/// Reads and writes of sockets while a test runs: (reads with bytes, reads in vain, writes).
fn count_calls(test: &str) -> (usize, usize, usize) {
    let folder = tempfile::tempdir().expect("folder");
    let log = folder.path().join("strace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=recvfrom,sendto,writev", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", test])
        .output()
        .expect("strace is installed by the test suite");
    assert!(output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(log).expect("log");
    let reads = |line: &&str| line.contains("recvfrom(");
    let (vain, full): (Vec<&str>, Vec<&str>) = log
        .lines()
        .filter(reads)
        .partition(|line| line.contains("EAGAIN"));
    let writes = log
        .lines()
        .filter(|line| line.contains("writev(") || line.contains("sendto("));
    (full.len(), vain.len(), writes.count())
}

/// Reads in vain that a connection may cost over its life, however many messages it carries: a
/// fresh socket's first event can be reported twice.
const VAIN_MAX: usize = 2;

#[test]
fn a_message_costs_one_read_and_one_write() {
    let (reads, vain, writes) = count_calls("net::io::subject_plain");
    assert_eq!((reads, writes), (ROUNDS, ROUNDS));
    assert!(vain <= VAIN_MAX, "{vain} reads in vain");
}

/// As many per message under TLS; the handshake comes on top.
#[test]
fn a_message_over_tls_costs_one_read_and_one_write() {
    let (reads, vain, writes) = count_calls("net::io::subject_tls");
    assert!((ROUNDS..ROUNDS + 8).contains(&reads), "{reads} reads");
    assert!((ROUNDS..ROUNDS + 8).contains(&writes), "{writes} writes");
    assert!(vain <= VAIN_MAX, "{vain} reads in vain");
}
