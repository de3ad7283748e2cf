//! Ten thousand callers who stay connected.

use crate::support::{Gateway, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Connections held at once.
const CROWD: u64 = 10_000;

const ANSWER: &str = "routes: { all: { match: { path: \"/{*rest}\" }, target: { fixed: { status: 200, body: here } } } }\n";

#[test]
fn ten_thousand_connections_are_served_and_let_go() {
    if !may_open(CROWD + 500) {
        eprintln!("skipped: this machine lets a process open too few descriptors");
        return;
    }
    let gateway = Gateway::start(ANSWER);
    let address = gateway.address("public");
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(stream, "GET /{number} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        crowd.push(stream);
    }
    for stream in &mut crowd {
        let mut answer = Vec::new();
        let mut buffer = [0; 512];
        while !answer.ends_with(b"here") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed: {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
    let open = || {
        let page = gateway.metrics();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("tidegate_connections_open "));
        line.and_then(|value| value.parse::<f64>().ok()).unwrap() as u64
    };
    assert!(open() >= CROWD, "{}", open());
    gateway.curl("/once-more", &[]).expect(200);
    // A connection that has been idle for long is as good as a new one.
    write!(crowd[0], "GET /again HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut first = [0; 15];
    crowd[0].read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    drop(crowd);
    eventually("every connection is let go", || open() < 10);
}

/// Raises this process's limit on descriptors as far as it may.
fn may_open(descriptors: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    let current = getrlimit(Resource::Nofile).current;
    current.is_none_or(|current| current >= descriptors)
}
