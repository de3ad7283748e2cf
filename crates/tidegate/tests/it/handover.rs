//! Sockets pass from one process to the next while callers go on.

use crate::lifecycle::{request, to};
use crate::support::{Gateway, Reply, Upstream, eventually};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A caller that keeps its connection, as browsers and SDKs do: when a kept connection turns out to
/// be closed before the first byte of an answer, the request goes out once more (RFC 9112, 9.3.1).
struct Kept<'a> {
    address: &'a str,
    stream: Option<BufReader<TcpStream>>,
}

impl Kept<'_> {
    fn request(&mut self) -> std::io::Result<String> {
        if let Some(stream) = self.stream.take() {
            match self.exchange(stream) {
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                answered => return answered,
            }
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        self.exchange(BufReader::new(stream))
    }

    /// One request; `NotConnected` when the connection was closed before anything came back.
    fn exchange(&mut self, mut stream: BufReader<TcpStream>) -> std::io::Result<String> {
        let closed = |_| std::io::Error::from(ErrorKind::NotConnected);
        let sent = stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        sent.map_err(closed)?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream.read_line(&mut head) {
                Ok(0) | Err(_) if head.is_empty() => return Err(ErrorKind::NotConnected.into()),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                read => drop(read?),
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|text| text.lines().next()?.parse().ok());
        let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
        stream.read_exact(&mut body)?;
        if !head.contains("connection: close") {
            self.stream = Some(stream);
        }
        Ok(head + &String::from_utf8_lossy(&body))
    }
}

/// Callers that ask until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    callers: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    /// Four callers, two of which keep their connections.
    fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let call = |keeps: bool| {
            let (address, stop, served) = (address.to_owned(), stop.clone(), served.clone());
            std::thread::spawn(move || {
                let (address, stream) = (&*address, None);
                let mut kept = Kept { address, stream };
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = match keeps {
                        true => kept.request(),
                        false => request(address),
                    };
                    match answer.as_deref() {
                        Ok(text) if text.contains(" 200 ") && text.ends_with("served") => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => failures.push(format!("keeps {keeps}: {answer:?}")),
                    }
                }
                failures
            })
        };
        let callers = [false, true, false, true].map(call).into();
        Self {
            stop,
            served,
            callers,
        }
    }

    /// Waits until another hundred requests have been served.
    fn goes_on(&self) {
        let before = self.served.load(Ordering::Relaxed);
        let more = || self.served.load(Ordering::Relaxed) > before + 100;
        eventually("requests are served", more);
    }

    /// Stops, and checks that no request failed.
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let callers = self.callers.into_iter();
        let failures: Vec<_> = callers.flat_map(|caller| caller.join().unwrap()).collect();
        assert!(failures.is_empty(), "{} {failures:?}", failures.len());
    }
}

#[test]
fn a_hand_over_under_load_loses_no_request() {
    let upstream = Upstream::start(|_| Reply::text("served").after(Duration::from_millis(5)));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n{}",
        to(&upstream)
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let socket = folder.path().join("handover").display().to_string();
    let arguments = ["--handover", socket.as_str()];
    let mut serving = Gateway::run_in(folder.clone(), &arguments, &[]);
    let address = serving.address("public").to_owned();
    let load = Load::start(&address);
    load.goes_on();
    for _ in 0..2 {
        let successor = Gateway::run_in(folder.clone(), &arguments, &[]);
        assert_eq!(successor.address("public"), address, "the same socket");
        let left = serving.process.ended();
        assert_eq!(left.code(), Some(0), "the predecessor leaves");
        load.goes_on();
        serving = successor;
    }
    load.end();
    assert!(serving.metrics().contains("tidegate_requests_total"));
}

#[test]
fn http3_goes_on_when_the_predecessor_has_ended() {
    let upstream = Upstream::start(|_| Reply::text("served"));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("a.pem"), pair.cert.pem()).unwrap();
    let key = pair.signing_key.serialize_pem();
    std::fs::write(folder.path().join("a.key"), key).unwrap();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         listeners:\n  public:\n    address: \"127.0.0.1:0\"\n    \
         tls: {{ certificates: [{{ chain: a.pem, key: a.key }}] }}\n    http3: {{}}\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n",
        upstream.address
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let socket = folder.path().join("handover.sock");
    let arguments = ["--handover", socket.to_str().unwrap()];
    let mut first = Gateway::run_in(folder.clone(), &arguments, &[]);
    let address = first.address("public").to_owned();
    // The successor takes over the port that the system chose.
    let fixed = std::fs::read_to_string(first.file()).unwrap();
    let fixed = fixed.replacen(
        "address: \"127.0.0.1:0\"\n",
        &format!("address: \"{address}\"\n"),
        1,
    );
    std::fs::write(first.file(), fixed).unwrap();
    let second = Gateway::run_in(folder, &arguments, &[]);
    assert!(first.process.ended().success());
    assert_eq!(second.address("public"), address);
    second.process.line_with("HTTP/3 is served");
    // The port is the successor's now.
    let taken = std::net::UdpSocket::bind(&*address).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}
