//! Listening, and handing listeners to a successor while callers keep coming.

use super::{on_a_worker, read_exactly, read_some, write_all};
use gate_net::handover::{self, Offer};
use gate_net::io::Io;
use gate_net::listen::{ListenAddress, Sockets};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

const SOON: Duration = Duration::from_secs(10);

fn loopback() -> ListenAddress {
    ListenAddress::Tcp {
        address: "127.0.0.1:0".parse().expect("valid"),
        only_v6: false,
    }
}

#[test]
fn workers_share_one_port_and_connections_have_nodelay() {
    on_a_worker(async {
        let sockets = Sockets::bind(&loopback(), 3).expect("bind");
        let address = sockets.local().expect("TCP");
        assert_eq!(sockets.descriptors().count(), 3);
        let listeners: Vec<_> = (0..3)
            .flat_map(|index| sockets.share(index, 3).expect("share"))
            .collect();
        assert_eq!(listeners.len(), 3);
        let client = TcpStream::connect(address).await.expect("connect");
        let mut accepts: Vec<_> = listeners.iter().map(|l| Box::pin(l.accept())).collect();
        let io: Io = std::future::poll_fn(|cx| {
            let mut ready = accepts.iter_mut().map(|accept| accept.as_mut().poll(cx));
            ready
                .find(|poll| poll.is_ready())
                .unwrap_or(std::task::Poll::Pending)
        })
        .await;
        assert_eq!(io.peer(), Some(client.local_addr().expect("address")));
        assert_eq!(io.local(), Some(address));
    });
}

#[test]
fn accepted_sockets_inherit_nodelay() {
    on_a_worker(async {
        let sockets = Sockets::bind(&loopback(), 1).expect("bind");
        let fd = sockets
            .descriptors()
            .next()
            .expect("one")
            .try_clone_to_owned()
            .expect("dup");
        let std = std::net::TcpListener::from(fd);
        std.set_nonblocking(false).expect("blocking");
        let _client = std::net::TcpStream::connect(sockets.local().expect("TCP")).expect("connect");
        let (accepted, _) = std.accept().expect("accept");
        assert!(accepted.nodelay().expect("option"));
    });
}

#[test]
fn ipv6_takes_both_families_unless_told_otherwise() {
    on_a_worker(async {
        for (only_v6, expected) in [(false, true), (true, false)] {
            let address = ListenAddress::Tcp {
                address: "[::]:0".parse().expect("valid"),
                only_v6,
            };
            let sockets = Sockets::bind(&address, 1).expect("bind");
            let port = sockets.local().expect("TCP").port();
            let v4 = TcpStream::connect(("127.0.0.1", port)).await;
            assert_eq!(v4.is_ok(), expected, "only_v6 {only_v6}");
            TcpStream::connect(("::1", port)).await.expect("IPv6");
        }
    });
}

#[test]
fn a_unix_socket_replaces_only_what_nobody_listens_on() {
    on_a_worker(async {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("gate.sock");
        let address = ListenAddress::Unix {
            path: path.clone(),
            mode: 0o600,
        };
        let first = Sockets::bind(&address, 2).expect("bind");
        let mode = std::fs::metadata(&path).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let busy = Sockets::bind(&address, 2).expect_err("somebody listens");
        assert_eq!(busy.error.kind(), std::io::ErrorKind::AddrInUse);
        // Its owner is gone: the file is stale now.
        drop(first);
        let second = Sockets::bind(&address, 2).expect("the stale file is replaced");
        let listeners = second.share(1, 2).expect("share");
        let (client, server) = tokio::join!(UnixStream::connect(&path), listeners[0].accept());
        write_all(&Io::unix(client.expect("connect")), b"hi")
            .await
            .expect("write");
        assert_eq!(read_exactly(&server, 2).await, b"hi");

        let file = folder.path().join("a-file");
        std::fs::write(&file, "precious").expect("write");
        let address = ListenAddress::Unix {
            path: file.clone(),
            mode: 0o600,
        };
        Sockets::bind(&address, 1).expect_err("not a socket");
        assert_eq!(std::fs::read_to_string(file).expect("kept"), "precious");
    });
}

/// Accepts from these sockets and answers each caller with `name`, until told to stop.
fn serve(sockets: &Sockets, name: &'static str, stop: &AtomicBool) -> usize {
    on_a_worker(async {
        let listeners = sockets.share(0, 1).expect("share");
        let mut served = 0;
        while !stop.load(Ordering::SeqCst) {
            for listener in &listeners {
                let turn = Duration::from_millis(1);
                if let Ok(io) = tokio::time::timeout(turn, listener.accept()).await {
                    // A caller may have gone; what counts is that it was not refused.
                    let _ = write_all(&io, name.as_bytes()).await;
                    served += 1;
                }
            }
        }
        served
    })
}

/// Connects until told to stop; every connection must be answered.
fn call(address: std::net::SocketAddr, stop: &AtomicBool, seen: &AtomicUsize) {
    on_a_worker(async {
        while !stop.load(Ordering::SeqCst) {
            let stream = TcpStream::connect(address).await.expect("no connect fails");
            let answer = read_some(&Io::tcp(stream, address)).await;
            let answer = answer.expect("no connection is reset");
            assert!(answer == b"old" || answer == b"new", "{answer:?}");
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn a_successor_takes_over_without_a_failed_connect() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("handover.sock");
    assert!(
        handover::inherit(&path, SOON)
            .expect("nobody there")
            .is_none()
    );
    let old = Sockets::bind(&loopback(), 2).expect("bind");
    let address = old.local().expect("TCP");
    let offer = Offer::listen(&path).expect("offer");
    let [stop_old, stop_new, stop_calls] = [const { AtomicBool::new(false) }; 3];
    let seen = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let old_server = scope.spawn(|| serve(&old, "old", &stop_old));
        let callers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| call(address, &stop_calls, &seen)))
            .collect();
        wait_for(|| seen.load(Ordering::SeqCst) > 20);

        let offering = scope.spawn(|| {
            let list: Vec<_> = old.descriptors().map(|fd| ("public", fd)).collect();
            offer.hand_over(&list, SOON, SOON).expect("handed over")
        });
        let mut inherited = handover::inherit(&path, SOON)
            .expect("works")
            .expect("offered");
        let sockets = inherited.take("public");
        assert_eq!((sockets.len(), inherited.sockets.len()), (2, 0));
        let new = Sockets::inherit(&loopback(), sockets, 2).expect("inherit");
        assert_eq!(new.local(), Some(address));
        let new_server = scope.spawn({
            let stop_new = &stop_new;
            move || serve(&new, "new", stop_new)
        });
        inherited.ready().expect("told");
        assert!(offering.join().expect("thread"));
        stop_old.store(true, Ordering::SeqCst);
        assert!(old_server.join().expect("thread") > 0);
        let before = seen.load(Ordering::SeqCst);
        wait_for(|| seen.load(Ordering::SeqCst) > before + 50);
        stop_calls.store(true, Ordering::SeqCst);
        callers
            .into_iter()
            .for_each(|caller| caller.join().expect("no failure"));
        stop_new.store(true, Ordering::SeqCst);
        assert!(new_server.join().expect("thread") > 0);
    });
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_successor_that_dies_leaves_the_predecessor_serving() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("handover.sock");
    let old = Sockets::bind(&loopback(), 1).expect("bind");
    let offer = Offer::listen(&path).expect("offer");
    let list: Vec<_> = old.descriptors().map(|fd| ("public", fd)).collect();
    assert!(
        !offer
            .hand_over(&list, Duration::from_millis(5), SOON)
            .expect("none came")
    );
    std::thread::scope(|scope| {
        let offering = scope.spawn(|| offer.hand_over(&list, SOON, SOON));
        drop(
            handover::inherit(&path, SOON)
                .expect("works")
                .expect("offered"),
        );
        offering
            .join()
            .expect("thread")
            .expect_err("the successor died");
    });
    // A second successor can still come.
    std::thread::scope(|scope| {
        let offering = scope.spawn(|| offer.hand_over(&list, SOON, SOON));
        let second = handover::inherit(&path, SOON)
            .expect("works")
            .expect("offered");
        second.ready().expect("told");
        assert!(offering.join().expect("thread").expect("handed over"));
    });
}
