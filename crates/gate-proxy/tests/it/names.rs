//! Endpoints that are names: they are asked for again when their time is over, and traffic goes where they
//! lead then.

use crate::support::{Gateway, eventually, ok, plain, read_answer, read_request};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A name server for which `up.test` is 127.0.0.N for a second, whatever N is.
fn name_server(last: Arc<AtomicU8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            let name = packet[12..length].iter().position(|&byte| byte == 0);
            let question = &packet[12..12 + name.unwrap() + 5];
            let known = question
                .to_ascii_lowercase()
                .starts_with(b"\x02up\x04test\0");
            let is_a = question[question.len() - 3] == 1;
            let answers = u8::from(known && is_a);
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
            if answers == 1 {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                reply.extend(Ipv4Addr::new(127, 0, 0, last.load(Ordering::SeqCst)).octets());
            }
            socket.send_to(&reply, peer).unwrap();
        }
    });
    address
}

/// A server that keeps connections and says its name; `/slow` waits until `go` is not 0.
fn server(listener: TcpListener, name: &'static str, go: Arc<AtomicUsize>) -> Arc<AtomicUsize> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            let (mut stream, go) = (stream.unwrap(), go.clone());
            std::thread::spawn(move || {
                loop {
                    let (head, _) = read_request(&mut stream);
                    if head.starts_with("GET /slow") {
                        eventually("it may answer", || go.load(Ordering::SeqCst) > 0);
                    }
                    if head.is_empty() || stream.write_all(ok(name).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    accepted
}

fn ask(stream: &mut TcpStream, path: &str) -> String {
    send(stream, path);
    let answer = read_answer(stream);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

fn send(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

#[test]
fn traffic_goes_where_a_name_leads_when_its_time_is_over() {
    let (last, go) = (Arc::new(AtomicU8::new(1)), Arc::new(AtomicUsize::new(0)));
    let names = name_server(last.clone());
    let one = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = one.local_addr().unwrap().port();
    // The same port of another address of this machine.
    let two = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let (one, two) = (
        server(one, "one", go.clone()),
        server(two, "two", go.clone()),
    );
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let yaml = plain(nobody, "")
        .replace("'127.0.0.1:1'", &format!("'up.test:{port}'"))
        .replace(
            "workers: 1",
            &format!("workers: 1, name_servers: ['{names}']"),
        );
    let gateway = Gateway::start(&yaml);
    let (mut busy, mut slow) = (gateway.connect(), gateway.connect());
    for _ in 0..20 {
        assert_eq!(ask(&mut busy, "/"), "one");
    }
    assert_eq!(one.load(Ordering::SeqCst), 1, "connections are kept");
    send(&mut slow, "/slow");
    eventually("one connection is taken", || {
        ask(&mut busy, "/") == "one" && one.load(Ordering::SeqCst) == 2
    });
    last.store(2, Ordering::SeqCst);
    // The connection is never idle for long, and none of its requests is lost.
    eventually("traffic has moved", || ask(&mut busy, "/") == "two");
    for _ in 0..20 {
        assert_eq!(ask(&mut busy, "/"), "two");
    }
    assert_eq!(two.load(Ordering::SeqCst), 1);
    // What was under way ends where it began, and is followed by what goes elsewhere.
    go.store(1, Ordering::SeqCst);
    assert_eq!(read_answer(&mut slow).text(), "one");
    for _ in 0..5 {
        assert_eq!(ask(&mut slow, "/"), "two");
    }
    assert_eq!(one.load(Ordering::SeqCst), 2);
}
