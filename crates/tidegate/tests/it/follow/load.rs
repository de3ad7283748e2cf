//! Callers who never stop asking, and count what they got.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Requests after which a caller connects anew.
const PER_CONNECTION: usize = 50;

/// Callers at work.
pub(crate) struct Load {
    ended: Arc<AtomicBool>,
    callers: Vec<JoinHandle<BTreeMap<String, u64>>>,
}

/// What they got: how often which body, or which failure.
#[derive(Debug)]
pub(crate) struct Answers(BTreeMap<String, u64>);

impl Load {
    /// Starts so many callers.
    pub(crate) fn start(address: &str, callers: usize) -> Self {
        Self::on(address, "/", callers)
    }

    /// Starts so many callers of a path.
    pub(crate) fn on(address: &str, path: &str, callers: usize) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        let ended = Arc::new(AtomicBool::new(false));
        let caller = |_| {
            let (ended, address, request) = (ended.clone(), address.to_owned(), request.clone());
            std::thread::spawn(move || {
                let mut counts = BTreeMap::new();
                while !ended.load(Ordering::Relaxed) {
                    call(&address, &request, &ended, &mut counts);
                }
                counts
            })
        };
        let callers = (0..callers).map(caller).collect();
        Self { ended, callers }
    }

    /// Lets them finish.
    pub(crate) fn end(self) -> Answers {
        self.ended.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for caller in self.callers {
            for (answer, count) in caller.join().unwrap() {
                *all.entry(answer).or_default() += count;
            }
        }
        Answers(all)
    }
}

impl Answers {
    /// How many calls there were.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many of them got this: a body, or the beginning of a head or a failure.
    pub(crate) fn total_of(&self, answer: &str) -> u64 {
        let these = self.0.iter().filter(|(got, _)| got.starts_with(answer));
        these.map(|(_, count)| count).sum()
    }

    /// Checks that every call got one of these bodies, and each of them somebody.
    #[track_caller]
    pub(crate) fn expect_only(&self, bodies: &[&str]) {
        let got: Vec<&str> = self.0.keys().map(String::as_str).collect();
        assert_eq!(got, bodies, "{self:?}");
        assert!(self.0.values().sum::<u64>() > 100, "{self:?}");
    }
}

/// The requests of one connection.
fn call(address: &str, request: &str, ended: &AtomicBool, counts: &mut BTreeMap<String, u64>) {
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => {
            *counts.entry(format!("connect: {error}")).or_default() += 1;
            return;
        }
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    for _ in 0..PER_CONNECTION {
        let answer = one(&mut stream, request);
        let failed = answer.is_err();
        let answer = answer.unwrap_or_else(|error| format!("failed: {error}"));
        *counts.entry(answer).or_default() += 1;
        if failed || ended.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// One request and its body; anything but 200 is its head.
pub(super) fn one(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let named = name.eq_ignore_ascii_case("content-length");
            named.then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        if body.len() >= length.unwrap_or(0) {
            return Ok(match head.starts_with("HTTP/1.1 200 ") {
                true => body.to_owned(),
                false => head.to_owned(),
            });
        }
    }
}
