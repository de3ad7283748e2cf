//! Sockets other than a plain IPv4 port: Unix sockets, IPv6, PROXY headers, bytes and TLS passed
//! through, and upstreams behind an outbound proxy.

use crate::certificates::{self, Authority, accept, client, server};
use crate::support::{
    Gateway, PATIENCE, Upstream, eventually, ok, plain, read_answer, read_head, read_request,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

const GET: &[u8] = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn unix_sockets_serve_and_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (front, back) = (folder.path().join("front"), folder.path().join("back"));
    let listener = UnixListener::bind(&back).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                loop {
                    let (head, _) = read_request(&mut stream);
                    if head.is_empty() || stream.write_all(ok(&head).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let yaml = format!(
        "gateway: {{ workers: 2 }}\nlisteners: {{ main: {{ address: 'unix:{}' }} }}\n\
         upstreams: {{ up: {{ endpoints: ['unix:{}'] }} }}\nroutes: {{ all: {{ target: {{ upstream: up }} }} }}\n",
        front.display(),
        back.display()
    );
    let gateway = Gateway::start(&yaml);
    let ask = |path: &Path| {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..2 {
            stream.write_all(GET).unwrap();
            let answer = read_answer(&mut stream);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(
                answer.text().starts_with("GET /x HTTP/1.1\r\n"),
                "{}",
                answer.text()
            );
        }
    };
    (0..4).for_each(|_| ask(&front));
    // A second gateway may not take a socket that is served, and takes it over when it is not.
    let refused = Gateway::try_start(&yaml)
        .err()
        .expect("the socket is in use")
        .to_string();
    assert!(refused.contains("front"), "{refused}");
    ask(&front);
    drop(gateway);
    assert!(UnixStream::connect(&front).is_err());
    let again = Gateway::start(&yaml);
    ask(&front);
    drop(again);
}

#[test]
fn ipv6_listeners_and_upstreams_work() {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (head, _) = read_request(&mut stream);
        stream.write_all(ok(&head).as_bytes()).unwrap();
    });
    let yaml = plain(address, "host_header: endpoint").replace("'127.0.0.1:0'", "'[::1]:0'");
    let gateway = Gateway::start(&yaml);
    assert!(gateway.address().is_ipv6());
    let mut stream = gateway.connect();
    stream.write_all(GET).unwrap();
    let answer = read_answer(&mut stream);
    let seen = answer.text().to_lowercase();
    assert!(seen.contains("x-forwarded-for: ::1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: {address}\r\n")), "{seen}");
}

fn proxied(upstream: SocketAddr, folder: &Path) -> Gateway {
    let yaml = plain(upstream, "")
        .replace(
            "'127.0.0.1:0'",
            "'127.0.0.1:0', proxy_protocol: required, limits: { head_time: 500ms }",
        )
        .replace(
            "workers: 1",
            "workers: 1, access_log: { to: { file: { path: access.log } } }",
        );
    Gateway::start_in(folder, &yaml).unwrap()
}

/// A version 2 header for a connection from 192.0.2.7:1000 or 2001:db8::7 port 1000.
fn version2(v6: bool) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.push(if v6 { 0x21 } else { 0x11 });
    let mut body = Vec::new();
    if v6 {
        let source: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
        body.extend_from_slice(&source.octets());
        body.extend_from_slice(&source.octets());
    } else {
        body.extend_from_slice(&[192, 0, 2, 7, 192, 0, 2, 8]);
    }
    body.extend_from_slice(&[0x03, 0xe8, 0x01, 0xbb]);
    // A vector that nobody knows.
    body.extend_from_slice(&[0xee, 0, 2, 1, 2]);
    header.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend_from_slice(&body);
    header
}

#[test]
fn a_proxy_header_says_who_calls() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::http(|head, _| ok(head));
    let gateway = proxied(upstream.address, folder.path());
    for (header, address) in [
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.8 1000 443\r\n".to_vec(),
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 443\r\n".to_vec(),
            "2001:db8::1",
        ),
        (b"PROXY UNKNOWN whatever\r\n".to_vec(), "127.0.0.1"),
        (version2(false), "192.0.2.7"),
        (version2(true), "2001:db8::7"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
    ] {
        for at_once in [true, false] {
            let mut stream = gateway.connect();
            let sent = [&header[..], GET].concat();
            match at_once {
                true => stream.write_all(&sent).unwrap(),
                false => sent
                    .iter()
                    .for_each(|byte| stream.write_all(&[*byte]).unwrap()),
            }
            let answer = read_answer(&mut stream);
            let expected = format!("x-forwarded-for: {address}\r\n");
            assert!(
                answer.text().contains(&expected),
                "{expected} in {}",
                answer.text()
            );
        }
    }
    let log = folder.path().join("access.log");
    eventually("the records name the caller", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        ["192.0.2.1", "192.0.2.7", "2001:db8::1", "2001:db8::7"]
            .iter()
            .all(|address| text.contains(&format!("\"client\":\"{address}\"")))
    });
}

#[test]
fn connections_without_a_valid_proxy_header_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::http(|_, _| ok("served"));
    let gateway = proxied(upstream.address, folder.path());
    let mut endless = b"PROXY UNKNOWN ".to_vec();
    endless.resize(10_000, b'x');
    for garbage in [
        GET,
        b"PROXY TCP4 999.0.2.1 192.0.2.8 1000 443\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c000000000000",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02ab",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &endless,
        b"PROXY TCP4 192.0.2",
    ] {
        let mut stream = gateway.connect();
        let _ = stream.write_all(garbage);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert_eq!(bytes, b"", "{:?}", String::from_utf8_lossy(garbage));
    }
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn bytes_pass_through_a_tcp_listener_and_halves_close_apart() {
    let upstream = Upstream::raw(|mut stream, _| {
        stream.write_all(b"220 hello\r\n").unwrap();
        let mut given = Vec::new();
        stream.read_to_end(&mut given).unwrap();
        given.reverse();
        stream.write_all(&given).unwrap();
    });
    let yaml = plain(upstream.address, "")
        .replace("'127.0.0.1:0'", "'127.0.0.1:0', protocol: tcp")
        .replace("all: {", "all: { match: { listeners: [main] },");
    let gateway = Gateway::start(&yaml);
    let mut stream = gateway.connect();
    let mut banner = [0; 11];
    stream.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"220 hello\r\n", "the server may speak first");
    let given: Vec<u8> = (0..1_000_000u32).map(|n| (n % 253) as u8).collect();
    stream.write_all(&given).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back.reverse();
    assert!(back == given);
    eventually("the connection is one record", || {
        gateway
            .metrics()
            .contains("route=\"all\",outcome=\"complete\"} 1")
    });
}

#[test]
fn tls_passes_through_by_server_name() {
    let authority = Authority::new("root");
    let end = |name: &'static str| {
        let config = server(&authority.sign(&[name, "x.wild.test"]), None, &[]);
        Upstream::raw(move |stream, _| {
            let Ok(mut stream) = accept(stream, &config) else {
                return;
            };
            read_request(&mut stream);
            let _ = stream.write_all(ok(name).as_bytes());
        })
    };
    let (one, two) = (end("one.test"), end("two.test"));
    let gateway = Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0', protocol: tcp }} }}\n\
         upstreams: {{ one: {{ endpoints: ['{}'] }}, two: {{ endpoints: ['{}'] }} }}\n\
         routes:\n  one: {{ match: {{ listeners: [main], server_name: one.test }}, target: {{ upstream: one }} }}\n  \
         two: {{ match: {{ listeners: [main], server_name: two.test }}, target: {{ upstream: two }} }}\n  \
         wild: {{ match: {{ listeners: [main], server_name: '*.wild.test' }}, target: {{ upstream: two }} }}\n",
        one.address, two.address
    ));
    let ask = |name: &str| {
        let mut stream = certificates::connect(gateway.address(), client(&authority, &[]), name)?;
        stream.write_all(GET)?;
        std::io::Result::Ok(read_answer(&mut stream).text().to_owned())
    };
    for (name, served) in [
        ("one.test", "one.test"),
        ("TWO.test", "two.test"),
        ("x.wild.test", "two.test"),
    ] {
        assert_eq!(ask(name).unwrap(), served, "{name}");
    }
    assert!(ask("other.test").is_err());
    // What is no TLS at all reaches nobody.
    let before = (one.accepted(), two.accepted());
    let mut stream = gateway.connect();
    stream.write_all(GET).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!((one.accepted(), two.accepted()), before);
}

/// A forward proxy that lets callers through who know the password.
fn forward_proxy() -> Upstream {
    Upstream::raw(|mut stream, _| {
        let head = read_head(&mut stream);
        // base64 of `me:secret`.
        if !head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n") {
            let _ = stream.write_all(b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n");
            return;
        }
        let target = head
            .strip_prefix("CONNECT ")
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        let Ok(far) = TcpStream::connect(target) else {
            return;
        };
        stream.write_all(b"HTTP/1.1 200 Open\r\n\r\n").unwrap();
        let (mut a, mut b) = (stream.try_clone().unwrap(), far.try_clone().unwrap());
        let up = std::thread::spawn(move || std::io::copy(&mut a, &mut b));
        let (mut far, mut near) = (far, stream);
        let _ = std::io::copy(&mut far, &mut near);
        let _ = near.shutdown(std::net::Shutdown::Both);
        let _ = up.join();
    })
}

#[test]
fn an_upstream_behind_an_outbound_proxy_with_a_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    std::fs::write(folder.path().join("root.pem"), &authority.pem).unwrap();
    let config = server(&authority.sign(&["up.test"]), None, &[]);
    let upstream = Upstream::raw(move |stream, _| {
        let Ok(mut stream) = accept(stream, &config) else {
            return;
        };
        let (head, _) = read_request(&mut stream);
        let _ = stream.write_all(ok(&head).as_bytes());
    });
    let proxy = forward_proxy();
    let ask = |user: &str| {
        let more = format!(
            "retry: {{ attempts: 0 }}\nproxy: 'http://{user}@{}'\ntls: {{ authorities: root.pem, server_name: up.test }}",
            proxy.address
        );
        Gateway::start_in(folder.path(), &plain(upstream.address, &more))
            .unwrap()
            .get("/x")
    };
    let answer = ask("me:secret");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        !answer.text().to_lowercase().contains("proxy-authorization"),
        "{}",
        answer.text()
    );
    assert_eq!((proxy.accepted(), upstream.accepted()), (1, 1));
    let refused = ask("me:wrong");
    assert_eq!(refused.status, 502);
    assert!(!refused.text().contains("wrong"), "{}", refused.text());
    assert_eq!((proxy.accepted(), upstream.accepted()), (2, 1));
}
