//! Recorded provider traffic, and a provider that replays it in pieces of any size.

use crate::support::{Gateway, Upstream, read_answer};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// One recorded exchange whose request and answer are the bytes that went over the wire.
pub(crate) struct Cassette {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) request: String,
    pub(crate) answer: Vec<u8>,
    pub(crate) stream: bool,
}

/// The exact recordings of one provider and dialect, in the order of their names.
///
/// Empty, and said so, where the recordings are absent.
pub(crate) fn of(folder: &str) -> Vec<Cassette> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        eprintln!("skipped: no recordings in ../shared/cassettes/{folder}");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let all: Vec<_> = paths.iter().filter_map(|path| read(path)).collect();
    assert!(all.len() >= 50, "only {} recordings in {folder}", all.len());
    all
}

fn read(path: &Path) -> Option<Cassette> {
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (request, response) = (&value["request"], &value["response"]);
    let is_exact = |side: &str| value["fidelity"][side] == "exact";
    if !is_exact("request") || !is_exact("response") {
        return None;
    }
    let body = request["body_text"].as_str()?.to_owned();
    let parsed: Value = serde_json::from_str(&body).ok()?;
    Some(Cassette {
        name: value["id"].as_str()?.to_owned(),
        model: parsed["model"].as_str()?.to_owned(),
        status: u16::try_from(response["status"].as_u64()?).ok()?,
        // Some recorders keep no header fields.
        content_type: match response["headers"]["content-type"].as_str() {
            Some(kind) => kind.to_owned(),
            None if value["stream_format"] == "sse" => "text/event-stream".to_owned(),
            None => "application/json".to_owned(),
        },
        request: body,
        answer: response["body_text"].as_str()?.as_bytes().to_vec(),
        stream: value["stream_format"] == "sse",
    })
}

impl Cassette {
    /// The answer as a reply in one piece.
    pub(crate) fn reply(&self) -> Reply {
        Reply {
            status: self.status,
            headers: format!("content-type: {}\r\n", self.content_type),
            pieces: vec![self.answer.clone()],
        }
    }

    /// The recorded request with another model's name in it, every other byte as it was.
    pub(crate) fn request_for(&self, model: &str) -> String {
        let spelled = [
            format!("\"model\":\"{}\"", self.model),
            format!("\"model\": \"{}\"", self.model),
        ];
        let found: Vec<_> = spelled
            .iter()
            .filter(|text| self.request.contains(*text))
            .collect();
        assert_eq!(found.len(), 1, "{}", self.name);
        assert_eq!(
            self.request.matches(found[0]).count(),
            1,
            "{}: one model",
            self.name
        );
        let renamed = found[0].replace(&self.model, model);
        self.request.replace(found[0], &renamed)
    }
}

/// What the provider answers next.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Lines of header fields.
    pub(crate) headers: String,
    /// Each is sent as a chunk of its own, so that it reaches the gateway as a piece of its own.
    pub(crate) pieces: Vec<Vec<u8>>,
}

/// A request that reached the provider.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A provider that answers every request with the reply that is set.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) reply: Arc<Mutex<Reply>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let reply: Arc<Mutex<Reply>> = Arc::default();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (next, noted) = (reply.clone(), seen.clone());
        let upstream = Upstream::raw(move |mut stream, _| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            loop {
                let (head, body) = crate::support::read_request(&mut reader);
                if head.is_empty() {
                    return;
                }
                noted.lock().unwrap().push(Seen { head, body });
                let bytes = encode(&next.lock().unwrap());
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Self {
            address: upstream.address,
            reply,
            seen,
        }
    }

    /// A provider with this reply.
    pub(crate) fn with(reply: Reply) -> Self {
        let provider = Self::start();
        provider.set(reply);
        provider
    }

    /// A provider that refuses with this status and body.
    pub(crate) fn refusing(status: u16, headers: &str, body: &str) -> Self {
        Self::with(Reply {
            status,
            headers: format!("content-type: application/json\r\n{headers}"),
            pieces: vec![body.into()],
        })
    }

    pub(crate) fn set(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn encode(reply: &Reply) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {} Said\r\n{}transfer-encoding: chunked\r\n\r\n",
        reply.status, reply.headers
    )
    .into_bytes();
    for piece in reply.pieces.iter().filter(|piece| !piece.is_empty()) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// A caller with one connection that is kept.
pub(crate) struct Caller {
    stream: BufReader<TcpStream>,
    /// Header fields of every request.
    pub(crate) headers: String,
}

impl Caller {
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            stream: BufReader::new(gateway.connect()),
            headers: String::new(),
        }
    }

    pub(crate) fn send(&mut self, path: &str, body: &str) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: ai.test\r\ncontent-type: application/json\r\n{}content-length: {}\r\n\r\n{body}",
            self.headers,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// Waits until an answer begins.
    pub(crate) fn first_byte(&mut self) {
        assert!(!self.stream.fill_buf().unwrap().is_empty());
    }

    /// Reads one answer.
    pub(crate) fn receive(&mut self) -> crate::support::Answer {
        read_answer(&mut self.stream)
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> crate::support::Answer {
        self.send(path, body);
        self.receive()
    }
}

/// A document with one provider of `kind` at `address`, and each of `models` served by it as
/// `provider-model`.
pub(crate) fn document(kind: &str, address: SocketAddr, models: &[&str]) -> String {
    let mut names: Vec<&str> = models.to_vec();
    names.sort_unstable();
    names.dedup();
    let list: String = names
        .iter()
        .map(|name| {
            format!("  '{name}': {{ targets: [{{ provider: p, model: provider-model }}] }}\n")
        })
        .collect();
    let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {kind}: {{ base_url: 'http://{address}/v1', credentials: [{{ env: KEY }}] }} }} }}\n\
         models:\n{list}\
         routes: {{ ai: {{ target: {{ models: [{}] }} }} }}\n",
        quoted.join(", ")
    )
}
