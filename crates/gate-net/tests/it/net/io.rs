//! The byte connection by itself. System calls are counted by strace in `one_read_per_wake_up`.

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

/// Reads messages one at a time, each sent only after the last was read; run under strace below.
async fn exchange(rounds: usize) {
    let (left, right) = tokio::net::UnixStream::pair().expect("pair");
    let (client, server) = (Io::unix(left), Io::unix(right));
    for _ in 0..rounds {
        let reading = async { assert_eq!(read_some(&server).await.expect("read"), b"ping") };
        let writing = async {
            tokio::task::yield_now().await;
            write_all(&client, b"ping").await.expect("write");
        };
        tokio::join!(reading, writing);
    }
}

const ROUNDS: usize = 200;

#[test]
fn strace_subject() {
    on_a_worker(exchange(ROUNDS));
}

/// One `recvfrom` per message and none that says EAGAIN.
#[test]
fn one_read_per_wake_up() {
    let folder = tempfile::tempdir().expect("folder");
    let log = folder.path().join("strace");
    let ran = Command::new("strace")
        .args(["-f", "-e", "trace=recvfrom,read,readv,recvmsg", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "net::io::strace_subject"])
        .output();
    let Ok(output) = ran else {
        panic!("strace is missing: the test suite installs it");
    };
    assert!(output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(log).expect("log");
    let pings = log
        .lines()
        .filter(|line| line.contains("recvfrom") && line.contains("= 4"));
    assert_eq!(pings.count(), ROUNDS);
    let wasted: Vec<_> = log
        .lines()
        .filter(|line| line.contains("recvfrom") && line.contains("EAGAIN"))
        .collect();
    assert!(wasted.is_empty(), "{wasted:?}");
}
