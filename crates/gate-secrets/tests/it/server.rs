//! A server of a few lines: one request a connection, answered by a function.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What answers: a status and a body, or nothing for a connection that stays silent.
pub(crate) type Answering = dyn Fn(&Seen) -> Option<(u16, String)> + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    down: Arc<AtomicBool>,
}

impl Server {
    /// A server in clear.
    pub(crate) fn start(
        answer: impl Fn(&Seen) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        Self::with(None, Arc::new(answer))
    }

    /// A server with TLS where there is a configuration.
    pub(crate) fn with(tls: Option<Arc<rustls::ServerConfig>>, answer: Arc<Answering>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (seen, down) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (all, ends) = (seen.clone(), down.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    continue;
                }
                let (all, answer, tls) = (all.clone(), answer.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &all, &*answer),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).expect("a session");
                        serve(rustls::StreamOwned::new(session, stream), &all, &*answer);
                    }
                });
            }
        });
        let address = format!("{scheme}://127.0.0.1:{port}");
        Self {
            address,
            port,
            seen,
            down,
        }
    }

    /// Connections are closed at once from now on, or no more.
    pub(crate) fn down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: impl Read + Write, all: &Mutex<Vec<Seen>>, answer: &Answering) {
    let mut reader = BufReader::new(stream);
    let Some(seen) = read(&mut reader) else {
        return;
    };
    all.lock().unwrap().push(seen.clone());
    let Some((status, body)) = answer(&seen) else {
        std::thread::sleep(std::time::Duration::from_secs(3));
        return;
    };
    let text = format!(
        "HTTP/1.1 {status} Sample\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let stream = reader.get_mut();
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}

fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut seen = Seen {
        method: words.next()?,
        target: words.next()?,
        ..Seen::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        seen.headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = seen
        .header("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).ok()?;
    Some(seen)
}
