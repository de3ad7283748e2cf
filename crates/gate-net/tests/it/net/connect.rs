//! Names, addresses, proxies and phases of connecting.

use super::certificates::Authority;
use super::{on_a_worker, read_exactly, read_some, write_all};
use gate_kit::clock::Clock;
use gate_net::connect::{ConnectOptions, Endpoint, Phase, connect};
use gate_net::dns::{Dns, DnsError};
use gate_net::io::Io;
use gate_net::tls::{ClientTls, ClientTlsOptions, ServerTls, ServerTlsOptions};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::spawn_local;

fn name(host: &str, port: u16) -> Endpoint {
    Endpoint::Name {
        host: host.to_owned(),
        port,
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

async fn accept(listener: &TcpListener) -> Io {
    let (stream, peer) = listener.accept().await.expect("accept");
    Io::tcp(stream, peer)
}

#[test]
fn a_literal_connects_and_a_closed_port_says_tcp() {
    on_a_worker(async {
        let dns = Dns::system(Clock::System);
        let (listener, address) = listener().await;
        let options = ConnectOptions::default();
        let target = name("127.0.0.1", address.port());
        let (io, _) = tokio::join!(connect(&dns, &target, &options), accept(&listener));
        assert_eq!(io.expect("connects").peer(), Some(address));
        drop(listener);
        let error = connect(&dns, &target, &options).await.expect_err("closed");
        assert_eq!((error.phase, error.timed_out), (Phase::Tcp, false));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

#[test]
fn localhost_is_known_and_private_addresses_can_be_refused() {
    on_a_worker(async {
        let dns = Dns::system(Clock::System);
        let (_listener, address) = listener().await;
        let options = ConnectOptions::default();
        let target = name("localhost", address.port());
        // Only IPv4 listens: the attempt over IPv6 must not be the end.
        connect(&dns, &target, &options).await.expect("localhost");
        let careful = ConnectOptions {
            refuse_private: true,
            ..options
        };
        for host in [
            "localhost",
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
        ] {
            let error = connect(&dns, &name(host, address.port()), &careful).await;
            let error = error.expect_err(host);
            assert!(error.detail.contains("not allowed"), "{error}");
        }
    });
}

#[test]
fn a_tls_failure_and_a_silent_peer_say_tls() {
    on_a_worker(async {
        let authority = Authority::new();
        let tls = ServerTls::load(ServerTlsOptions {
            certificates: vec![authority.sign("a", &["a.example"])],
            ..ServerTlsOptions::default()
        });
        let tls = tls.expect("loads");
        let client = |server_name: Option<&str>| {
            ClientTls::load(&ClientTlsOptions {
                authorities: Some(authority.path()),
                server_name: server_name.map(str::to_owned),
                ..ClientTlsOptions::default()
            })
        };
        let dns = Dns::system(Clock::System);
        let (listener, address) = listener().await;
        let target = name("127.0.0.1", address.port());
        let serve = || async { accept(&listener).await.accept_tls(tls.config()).await };

        let named = ConnectOptions {
            tls: Some(client(Some("a.example")).expect("loads")),
            ..ConnectOptions::default()
        };
        let (io, server) = tokio::join!(connect(&dns, &target, &named), serve());
        assert!(io.expect("connects").tls().is_some() && server.is_ok());

        let unnamed = ConnectOptions {
            tls: Some(client(None).expect("loads")),
            ..ConnectOptions::default()
        };
        let (io, _) = tokio::join!(connect(&dns, &target, &unnamed), serve());
        let error = io.expect_err("the certificate names no address");
        assert_eq!((error.phase, error.timed_out), (Phase::Tls, false));

        let hurried = ConnectOptions {
            deadline: Duration::from_millis(50),
            ..named
        };
        let (io, _silent) = tokio::join!(connect(&dns, &target, &hurried), accept(&listener));
        let error = io.expect_err("nobody answers");
        assert_eq!((error.phase, error.timed_out), (Phase::Tls, true));
    });
}

/// A proxy that answers one CONNECT with `answer` and gives its head.
async fn proxy(listener: TcpListener, answer: &'static [u8]) -> (Io, String) {
    let io = accept(&listener).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_some(&io).await.expect("read"));
    }
    write_all(&io, answer).await.expect("write");
    (io, String::from_utf8(head).expect("ASCII"))
}

#[test]
fn a_proxy_opens_a_tunnel_and_early_bytes_survive() {
    on_a_worker(async {
        let dns = Dns::system(Clock::System);
        let (listener, address) = listener().await;
        let options = ConnectOptions {
            proxy: Some(format!("http://me:pass@{address}").parse().expect("valid")),
            ..ConnectOptions::default()
        };
        let target = name("api.example", 443);
        let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nearly";
        let (io, (far, head)) =
            tokio::join!(connect(&dns, &target, &options), proxy(listener, answer));
        let io = io.expect("connects");
        let expected = "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\
                        Proxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n";
        assert_eq!(head, expected);
        write_all(&far, b" late").await.expect("write");
        assert_eq!(read_exactly(&io, 10).await, b"early late");
    });
}

#[test]
fn a_refusing_proxy_says_proxy() {
    on_a_worker(async {
        let dns = Dns::system(Clock::System);
        let refusals: [(&[u8], &str); 3] = [
            (
                b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n",
                "407",
            ),
            (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "502"),
            (b"220 smtp ready\r\n\r\n", "not HTTP"),
        ];
        for (answer, told) in refusals {
            let (listener, address) = listener().await;
            let options = ConnectOptions {
                proxy: Some(format!("http://{address}").parse().expect("valid")),
                ..ConnectOptions::default()
            };
            let target = name("api.example", 443);
            let (io, _) = tokio::join!(connect(&dns, &target, &options), proxy(listener, answer));
            let error = io.expect_err(told);
            assert_eq!(error.phase, Phase::Proxy);
            assert!(error.detail.contains(told), "{error}");
        }
    });
}

/// A name server that knows `a.example` (two addresses, TTL 7) until `up` is false.
async fn name_server(socket: UdpSocket, up: Rc<Cell<bool>>, asked: Rc<Cell<usize>>) {
    let mut packet = [0; 512];
    loop {
        let (n, peer) = socket.recv_from(&mut packet).await.expect("receive");
        asked.set(asked.get() + 1);
        if !up.get() {
            continue;
        }
        let question_end = 12 + packet[12..n].iter().position(|&b| b == 0).expect("a name") + 5;
        let question = &packet[12..question_end];
        let known = question
            .to_ascii_lowercase()
            .starts_with(b"\x01a\x07example\0");
        let is_a = question[question.len() - 3] == 1;
        let answers = if known && is_a { 2u8 } else { 0 };
        let mut reply = packet[..2].to_vec();
        reply.extend([
            0x81,
            if known { 0x80 } else { 0x83 },
            0,
            1,
            0,
            answers,
            0,
            0,
            0,
            0,
        ]);
        reply.extend(question);
        for last in 1..=answers {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 7, 0, 4, 10, 0, 0, last]);
        }
        socket.send_to(&reply, peer).await.expect("send");
    }
}

#[test]
fn answers_live_for_their_ttl_and_serve_stale_when_nobody_answers() {
    on_a_worker(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let server = socket.local_addr().expect("address");
        let (up, asked) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        spawn_local(name_server(socket, up.clone(), asked.clone()));
        let (clock, hands) = Clock::manual();
        let dns = Dns::servers(clock.clone(), &[server]);

        let found = dns.resolve("A.example.", 80).await.expect("known");
        let expected: [SocketAddr; 2] =
            ["10.0.0.1:80", "10.0.0.2:80"].map(|a| a.parse().expect("valid"));
        assert_eq!(*found.addresses, expected);
        assert_eq!(found.expires, clock.now().plus(Duration::from_secs(7)));
        let questions = asked.get();
        hands.advance(Duration::from_secs(6));
        dns.resolve("a.example.", 81).await.expect("cached");
        assert_eq!(asked.get(), questions);
        hands.advance(Duration::from_secs(2));
        dns.resolve("a.example.", 80).await.expect("asked again");
        assert!(asked.get() > questions);

        let none = dns.resolve("b.example.", 80).await;
        assert_eq!(none, Err(DnsError::NotFound("b.example.".into())));
        let questions = asked.get();
        assert_eq!(dns.resolve("b.example.", 80).await, none);
        assert_eq!(asked.get(), questions, "a refusal is remembered");

        up.set(false);
        hands.advance(Duration::from_secs(8));
        let stale = dns.resolve("a.example.", 80).await.expect("stale");
        assert_eq!(*stale.addresses, expected);
        let unknown = dns.resolve("c.example.", 80).await;
        assert!(
            matches!(unknown, Err(DnsError::Unavailable { .. })),
            "{unknown:?}"
        );
    });
}
