//! A gateway on loopback, raw clients, and upstreams that do exactly what a test says.

use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::document::Document;
use gate_proxy::compile::Registry;
use gate_proxy::process::{Process, Setup, StartError};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

struct Secrets;

impl SecretSource for Secrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("secret-of-{name}"))
    }

    fn file(&self, path: &std::path::Path) -> Result<String, String> {
        let text = std::fs::read_to_string(path);
        text.map(|text| text.trim_end().to_owned())
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn public_bytes(&self, path: &std::path::Path, _: u64) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The same, and what files really hold.
struct Files;

impl SecretSource for Files {
    fn env(&self, name: &str) -> Result<String, String> {
        Secrets.env(name)
    }

    fn file(&self, path: &std::path::Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn public_bytes(&self, path: &std::path::Path, most: u64) -> Result<Vec<u8>, String> {
        Secrets.public_bytes(path, most)
    }
}

/// A running gateway; drained when dropped.
pub(crate) struct Gateway {
    pub(crate) process: Arc<Process>,
}

impl Gateway {
    /// Starts a gateway from a document; it must listen as `main` on port 0.
    pub(crate) fn start(yaml: &str) -> Self {
        Self::try_start(yaml).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_start(yaml: &str) -> Result<Self, StartError> {
        Self::start_in(&std::env::temp_dir(), yaml)
    }

    /// Starts a gateway whose relative paths begin in `folder`.
    pub(crate) fn start_in(folder: &std::path::Path, yaml: &str) -> Result<Self, StartError> {
        Self::start_by(folder, yaml, Box::new(Secrets))
    }

    /// The same with secrets in files.
    pub(crate) fn start_with_files(
        folder: &std::path::Path,
        yaml: &str,
    ) -> Result<Self, StartError> {
        Self::start_by(folder, yaml, Box::new(Files))
    }

    fn start_by(
        folder: &std::path::Path,
        yaml: &str,
        secrets: Box<dyn SecretSource + Send + Sync>,
    ) -> Result<Self, StartError> {
        let document = parse(yaml);
        let setup = Setup {
            registry: Registry {
                policies: gate_policies::POLICIES,
                condition: gate_policies::when::compile,
                model_condition: gate_policies::when::compile_for_models,
                rule: |_| Ok(()),
                record_condition: gate_policies::when::compile_for_records,
                objective: gate_ops::slo::check,
                runbook: gate_ops::runbook::problems,
                subscriber: gate_ops::event::delivery::problems,
                schedule: gate_ops::event::schedule::check,
                crossed: None,
            },
            folder: folder.to_owned(),
            secrets,
            clock: Clock::System,
            inheritance: None,
        };
        Process::start(&document, setup).map(|process| Self { process })
    }

    pub(crate) fn reload(&self, yaml: &str) -> Result<u64, StartError> {
        self.process.reload(&parse(yaml))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process
            .local_address("main")
            .expect("the document has a TCP listener `main`")
    }

    /// A raw connection to the gateway.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// Sends one request on a fresh connection and reads the whole answer.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        let format = gate_proxy::record::metrics::Format::negotiate(None);
        String::from_utf8(self.process.metrics_page(format)).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.drain(Duration::from_millis(200));
    }
}

pub(crate) fn parse(yaml: &str) -> Document {
    Document::parse(yaml.as_bytes(), "test.yaml").unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// A document with one route to one upstream; `more` is added to the upstream's settings.
pub(crate) fn plain(upstream: SocketAddr, more: &str) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams:\n  up:\n    endpoints: ['{upstream}']\n{}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n",
        more.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    )
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// An answer, taken apart by a reader that knows only what a test needs.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its head promised.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn read_answer(stream: &mut impl Read) -> Answer {
    let head = read_head(stream);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
        complete: true,
    };
    if answer.header("transfer-encoding").is_some() {
        answer.complete = read_chunks(stream, &mut answer.body);
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().unwrap();
        answer.body.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            match stream.read(&mut answer.body[filled..]) {
                Ok(n) if n > 0 => filled += n,
                _ => break,
            }
        }
        answer.body.truncate(filled);
        answer.complete = filled == length;
    } else if answer.header("connection") == Some("close") {
        let _ = stream.read_to_end(&mut answer.body);
    }
    answer
}

/// Reads chunks to their end, trailers as text behind them; whether that end came.
fn read_chunks(stream: &mut impl Read, body: &mut Vec<u8>) -> bool {
    while let Some(size) = read_line(stream) {
        let digits = size.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits.trim(), 16).unwrap();
        if size == 0 {
            while let Some(trailer) = read_line(stream) {
                if trailer == "\r\n" {
                    return true;
                }
                body.extend_from_slice(format!("[trailer {}]", trailer.trim()).as_bytes());
            }
            return false;
        }
        let start = body.len();
        body.resize(start + size, 0);
        let mut filled = start;
        while filled < body.len() {
            match stream.read(&mut body[filled..]) {
                Ok(n) if n > 0 => filled += n,
                _ => {
                    body.truncate(filled);
                    return false;
                }
            }
        }
        match read_line(stream) {
            Some(end) => assert_eq!(end, "\r\n", "a chunk is as long as it says"),
            None => return false,
        }
    }
    false
}

fn read_line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return None;
        }
        line.push(byte[0]);
    }
    Some(String::from_utf8(line).unwrap())
}

/// A server that hands every connection to a script, on a thread each.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Connections accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Heads of requests seen by [`Upstream::http`].
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) fn raw(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, script) = (connections.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let number = count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = stream.set_nodelay(true);
                let script = script.clone();
                std::thread::spawn(move || script(stream, number));
            }
        });
        Self {
            address,
            connections,
            seen: Arc::default(),
        }
    }

    /// Answers every request on every connection with what `answer` says to its head and body.
    pub(crate) fn http(answer: impl Fn(&str, &[u8]) -> String + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = seen.clone();
        let mut upstream = Self::raw(move |mut stream, _| {
            loop {
                let (head, body) = read_request(&mut stream);
                if head.is_empty() {
                    return;
                }
                noted.lock().unwrap().push(head.clone());
                if stream.write_all(answer(&head, &body).as_bytes()).is_err() {
                    return;
                }
            }
        });
        upstream.seen = seen;
        upstream
    }

    pub(crate) fn accepted(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn last_seen(&self) -> String {
        self.seen
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }
}

/// Reads one request: its head, and its body by length or chunks.
pub(crate) fn read_request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let head = read_head(stream);
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let mut body = Vec::new();
    if field("transfer-encoding").is_some() {
        read_chunks(stream, &mut body);
    } else if let Some(length) = field("content-length") {
        body.resize(length.parse().unwrap(), 0);
        if stream.read_exact(&mut body).is_err() {
            body.clear();
        }
    }
    (head, body)
}

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits until `what` holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
