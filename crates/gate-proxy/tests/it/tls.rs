//! TLS on both sides: certificates by name, versions, ALPN, new files, and mutual TLS to upstreams.

use crate::certificates::{Authority, ClientStream, accept, client, client_of, connect, server};
use crate::support::{Answer, Gateway, Upstream, eventually, ok, plain, read_answer, read_request};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A document whose listener has certificates `a` and `b` of its folder.
fn document(upstream: SocketAddr, more: &str) -> String {
    plain(upstream, "").replace(
        "address: '127.0.0.1:0'",
        &format!(
            "address: '127.0.0.1:0', tls: {{ certificates: [{{ chain: a.pem, key: a.key }}, {{ chain: b.pem, key: b.key }}]{more} }}"
        ),
    )
}

fn get(stream: &mut ClientStream, host: &str) -> Answer {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream)
}

fn presented(stream: &ClientStream) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn the_certificate_fits_the_name_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    let a = authority.sign(&["a.test"]);
    let b = authority.sign(&["b.test", "*.wild.test"]);
    a.write(folder.path(), "a");
    b.write(folder.path(), "b");
    let upstream = Upstream::http(|_, _| ok("secure"));
    let gateway = Gateway::start_in(folder.path(), &document(upstream.address, "")).unwrap();
    for (name, pair) in [("a.test", &a), ("b.test", &b), ("x.wild.test", &b)] {
        let mut stream = connect(gateway.address(), client(&authority, &[]), name).unwrap();
        assert_eq!(presented(&stream), pair.der().to_vec(), "{name}");
        assert_eq!(get(&mut stream, name).text(), "secure");
        assert!(upstream.last_seen().contains("x-forwarded-proto: https"));
    }
    // An unknown name gets the first certificate, which is for the client to refuse.
    assert!(connect(gateway.address(), client(&authority, &[]), "other.test").is_err());
    let stranger = Authority::new("stranger");
    assert!(connect(gateway.address(), client(&stranger, &[]), "a.test").is_err());
    eventually("failed handshakes are counted", || {
        gateway
            .metrics()
            .contains("tidegate_handshakes_failed_total 2")
    });
}

#[test]
fn versions_and_protocols_are_negotiated() {
    use rustls::version::{TLS12, TLS13};
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    authority.sign(&["a.test"]).write(folder.path(), "a");
    authority.sign(&["b.test"]).write(folder.path(), "b");
    let upstream = Upstream::http(|_, _| ok("x"));
    let start = |more| Gateway::start_in(folder.path(), &document(upstream.address, more)).unwrap();
    let gateway = start("");
    for (version, agreed) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let config = client_of(&authority, &["http/1.1"], &[version]);
        let mut stream = connect(gateway.address(), config, "a.test").unwrap();
        assert_eq!(
            format!("{:?}", stream.conn.protocol_version().unwrap()),
            agreed
        );
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(get(&mut stream, "a.test").status, 200);
    }
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = connect(gateway.address(), client(&authority, offered), "a.test").unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed, "{offered:?}");
    }
    assert!(
        connect(gateway.address(), client(&authority, &["spdy/1"]), "a.test").is_err(),
        "no protocol in common (RFC 7301 section 3.2)"
    );
    let strict = start(", minimum: '1.3'");
    let old = client_of(&authority, &[], &[&TLS12]);
    assert!(connect(strict.address(), old, "a.test").is_err());
    assert!(connect(strict.address(), client(&authority, &[]), "a.test").is_ok());
}

#[test]
fn new_certificate_files_serve_new_handshakes() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    let first = authority.sign(&["a.test"]);
    first.write(folder.path(), "a");
    authority.sign(&["b.test"]).write(folder.path(), "b");
    let upstream = Upstream::http(|_, _| ok("x"));
    let yaml = document(upstream.address, "");
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    let fresh = || connect(gateway.address(), client(&authority, &[]), "a.test").unwrap();
    let mut kept = fresh();
    assert_eq!(presented(&kept), first.der().to_vec());
    let second = authority.sign(&["a.test"]);
    second.write(folder.path(), "a");
    assert_eq!(gateway.process.reload_certificates(), Vec::<String>::new());
    assert_eq!(presented(&fresh()), second.der().to_vec());
    assert_eq!(
        get(&mut kept, "a.test").status,
        200,
        "what was open stays open"
    );
    // Files that do not fit together change nothing.
    std::fs::write(folder.path().join("a.pem"), "no certificate").unwrap();
    let failures = gateway.process.reload_certificates();
    assert!(
        failures.len() == 1 && failures[0].contains("a.pem"),
        "{failures:?}"
    );
    assert_eq!(presented(&fresh()), second.der().to_vec());
    assert!(gateway.reload(&yaml).is_err());
    // A reload of the document reads them too.
    let third = authority.sign(&["a.test"]);
    third.write(folder.path(), "a");
    gateway.reload(&yaml).unwrap();
    assert_eq!(presented(&fresh()), third.der().to_vec());
    assert_eq!(get(&mut kept, "a.test").status, 200);
}

/// An HTTPS upstream that notes the server name and the certificate of each caller.
fn secure(config: Arc<rustls::ServerConfig>) -> (Upstream, Arc<Mutex<Vec<(String, usize)>>>) {
    let callers: Arc<Mutex<Vec<_>>> = Arc::default();
    let noted = callers.clone();
    let upstream = Upstream::raw(move |stream, _| {
        let Ok(mut stream) = accept(stream, &config) else {
            return;
        };
        let name = stream.conn.server_name().unwrap_or_default().to_owned();
        let certificates = stream.conn.peer_certificates().map_or(0, <[_]>::len);
        noted.lock().unwrap().push((name, certificates));
        while !read_request(&mut stream).0.is_empty() {
            if stream.write_all(ok("private").as_bytes()).is_err() {
                return;
            }
        }
    });
    (upstream, callers)
}

fn answer_over(folder: &Path, upstream: &Upstream, tls: &str) -> Answer {
    let yaml = plain(
        upstream.address,
        &format!("retry: {{ attempts: 0 }}\ntls: {{ {tls} }}"),
    );
    Gateway::start_in(folder, &yaml).unwrap().get("/")
}

#[test]
fn an_upstream_is_trusted_by_its_authority_and_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    std::fs::write(folder.path().join("ours.pem"), &ours.pem).unwrap();
    std::fs::write(folder.path().join("theirs.pem"), &theirs.pem).unwrap();
    let (upstream, callers) = secure(server(&ours.sign(&["up.test", "127.0.0.1"]), None, &[]));
    let asks = |tls: &str| answer_over(folder.path(), &upstream, tls);
    let answer = asks("authorities: ours.pem, server_name: up.test");
    assert_eq!(answer.text(), "private");
    assert_eq!(callers.lock().unwrap().last().unwrap().0, "up.test");
    assert_eq!(asks("authorities: ours.pem").status, 200, "by its address");
    for wrong in [
        "server_name: up.test",
        "authorities: theirs.pem, server_name: up.test",
        "authorities: ours.pem, server_name: other.test",
    ] {
        let answer = asks(wrong);
        assert_eq!(answer.status, 502, "{wrong}");
        assert!(
            answer.text().contains("upstream_unreachable"),
            "{}",
            answer.text()
        );
        assert!(
            !answer.text().contains("ertificate"),
            "the cause is the operator's"
        );
    }
    assert_eq!(callers.lock().unwrap().len(), 2);
}

#[test]
fn a_certificate_of_ours_is_shown_to_an_upstream_that_asks() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("root");
    std::fs::write(folder.path().join("root.pem"), &authority.pem).unwrap();
    authority.sign(&["gateway.test"]).write(folder.path(), "us");
    let config = server(&authority.sign(&["up.test"]), Some(&authority), &[]);
    let (upstream, callers) = secure(config);
    let base = "authorities: root.pem, server_name: up.test";
    let shown = format!("{base}, certificate: {{ chain: us.pem, key: us.key }}");
    assert_eq!(
        answer_over(folder.path(), &upstream, &shown).text(),
        "private"
    );
    assert_eq!(*callers.lock().unwrap(), [("up.test".to_owned(), 1)]);
    assert_eq!(answer_over(folder.path(), &upstream, base).status, 502);
    assert_eq!(
        callers.lock().unwrap().len(),
        1,
        "who shows nothing is not served"
    );
}
