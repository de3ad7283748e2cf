//! The client against a peer that says exactly what a test tells it to.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

/// Answers one connection with `answer`, in pieces of `piece` bytes; gives back what was sent.
fn peer(answer: &str, piece: usize) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    let thread = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).unwrap();
        request.truncate(read);
        for piece in answer.as_bytes().chunks(piece) {
            stream.set_nodelay(true).unwrap();
            // The client may have had enough.
            let _ = stream.write_all(piece);
        }
        String::from_utf8(request).unwrap()
    });
    let endpoint = Endpoint::new(&format!("http://{address}/x/"))
        .unwrap()
        .with_key("secret-key")
        .unwrap();
    (Client::new(endpoint), thread)
}

#[test]
fn answers_are_read_in_every_framing_and_split() {
    let body = r#"{"actor":"a","role":"viewer","authentication":"key","oidc":false,"version":"1"}"#;
    let me = format!(
        "{{\"expires\":null,\"csrf\":null,\"environment\":null,{}",
        &body[1..]
    );
    let length = me.len();
    let (first, second) = me.split_at(7);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{me}"),
        format!("HTTP/1.1 103 Early\r\nX: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{me}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{first}\r\n{:x};a=b\r\n{second}\r\n0\r\n\r\n",
            second.len()
        ),
    ] {
        for piece in [1, 5, 4096] {
            let (client, thread) = peer(&answer, piece);
            assert_eq!(client.me().unwrap().actor, "a");
            let request = thread.join().unwrap();
            assert!(request.starts_with("GET /x/api/v1/me HTTP/1.1\r\nHost: 127.0.0.1:"));
            assert!(request.contains("\r\nAuthorization: Bearer secret-key\r\n"));
        }
    }
}

#[test]
fn broken_answers_are_errors_that_name_the_address() {
    for (answer, expected) in [
        ("", "no HTTP answer"),
        ("SSH-2.0\r\n", "no HTTP answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "its length"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "inside the body",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "missing field",
        ),
        (
            "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n",
            "status 502",
        ),
    ] {
        let (client, thread) = peer(answer, 4096);
        let error = client.me().unwrap_err().to_string();
        assert!(error.starts_with("http://127.0.0.1:"), "{error}");
        assert!(error.contains(expected), "{answer:?}: {error}");
        thread.join().unwrap();
    }
}

#[test]
fn refusals_are_problems() {
    let problem = crate::Problem::new(crate::problem::Code::Stale, "generation 4 is current");
    let body = serde_json::to_string(&problem).unwrap();
    let answer = format!(
        "HTTP/1.1 412 No\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (client, thread) = peer(&answer, 4096);
    let error = client.confirm("a b/c", Seen::Generation(3)).unwrap_err();
    assert_eq!(error.problem(), Some(&problem));
    let request = thread.join().unwrap();
    assert!(request.starts_with("POST /x/api/v1/environments/a%20b%2Fc/confirm "));
    assert!(request.contains("\r\nIf-Match: \"3\"\r\n"));
    assert!(request.ends_with("{\"reason\":\"\"}"));
}

#[test]
fn the_watch_yields_events_and_passes_heartbeats_over() {
    let environment = r#"{"name":"e","generation":7,"revision":null,"stable":null,
        "confirm_until":null,"candidate":null,"lock":null,"promotes_to":null}"#
        .replace('\n', "");
    let events = format!(": heartbeat\n\nid: 7\nevent: environment\ndata: {environment}\n\n");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{events}");
    let (client, thread) = peer(&answer, 3);
    let watch = client.watch(Some("e"), Some("6")).unwrap();
    let events: Vec<_> = watch.map(Result::unwrap).collect();
    assert_eq!(events.len(), 1);
    assert_eq!((&*events[0].id, events[0].environment.generation), ("7", 7));
    assert!(thread.join().unwrap().contains("\r\nLast-Event-ID: 6\r\n"));
}

#[test]
fn urls_and_keys_are_checked() {
    for (url, shown) in [
        ("http://localhost", "http://localhost:80"),
        ("https://a.example:1/p/", "https://a.example:1/p"),
        ("http://[::1]:9", "http://[::1]:9"),
    ] {
        assert_eq!(Endpoint::new(url).unwrap().to_string(), shown);
    }
    for wrong in [
        "localhost:9",
        "ftp://a",
        "http://",
        "http://a:b",
        "http://u:p@a",
        "http://a/?x",
        "http://a b",
    ] {
        assert!(Endpoint::new(wrong).is_err(), "{wrong}");
    }
    let endpoint = Endpoint::new("http://a").unwrap();
    assert!(endpoint.clone().with_key("a\r\nb").is_err());
    let shown = format!("{:?}", endpoint.with_key("hunter2").unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
