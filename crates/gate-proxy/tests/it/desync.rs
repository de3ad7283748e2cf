//! Payloads that have desynchronised some pair of servers (the HTTP Garden's trophies), mutations of
//! our own and HTTP/2 requests that do not fit HTTP/1.1, sent through the running gateway: most are
//! refused, and what goes on can be read in one way only.

#[path = "desync/downgrade.rs"]
mod downgrade;
#[path = "desync/permutations.rs"]
mod permutations;

use crate::raw2;
use crate::support::{Gateway, Upstream, ok, plain};
use base64::Engine;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// How much of what has desynchronised somebody must be refused.
const REFUSED_SHARE_MIN: f64 = 0.92;

/// An upstream that keeps each connection's bytes and answers every whole request it sees.
fn recorder() -> (Upstream, Arc<Mutex<Vec<Vec<u8>>>>) {
    let all: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let noted = all.clone();
    let upstream = Upstream::raw(move |mut stream, number| {
        let mut block = [0; 4096];
        let mut answered = 0;
        while let Ok(read @ 1..) = stream.read(&mut block) {
            let mut all = noted.lock().unwrap();
            if all.len() <= number {
                all.resize(number + 1, Vec::new());
            }
            all[number].extend_from_slice(&block[..read]);
            let so_far = all[number].clone();
            drop(all);
            // What is ambiguous is answered by nobody, and found by the test itself.
            let whole = whole_requests(&so_far).unwrap_or(answered);
            for _ in answered..whole {
                let _ = stream.write_all(ok("served").as_bytes());
            }
            answered = whole;
        }
    });
    (upstream, all)
}

/// Checks that bytes can be read in one way only, and counts the whole requests in them. A last
/// one may be cut short: its connection ends there, which every reader understands.
fn whole_requests(mut bytes: &[u8]) -> Result<usize, String> {
    let mut requests = 0;
    loop {
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            return Ok(requests);
        };
        let head = std::str::from_utf8(&bytes[..end + 4]).map_err(|error| error.to_string())?;
        bytes = &bytes[end + 4..];
        let rest = match framing(&head.to_lowercase())? {
            Framing::Length(length) => bytes.get(length..),
            Framing::Chunks => after_chunks(bytes)?,
        };
        let Some(rest) = rest else {
            return Ok(requests);
        };
        bytes = rest;
        requests += 1;
    }
}

enum Framing {
    Length(usize),
    Chunks,
}

/// How long a body is, where no reader could think otherwise.
fn framing(head: &str) -> Result<Framing, String> {
    let odd = |what: &str| Err(format!("{what}: {head:?}"));
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let (mut hosts, mut framings) = (0, Vec::new());
    for line in head.trim_end().split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            return odd("a line without a colon");
        };
        if name.is_empty() || !name.chars().all(is_token) {
            return odd("a name that is no token");
        }
        if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return odd("a control character");
        }
        if name == "content_length" || name == "transfer_encoding" {
            return odd("framing that CGI takes for real");
        }
        hosts += usize::from(name == "host");
        if name == "content-length" || name == "transfer-encoding" {
            framings.push((name, value.trim()));
        }
    }
    if hosts != 1 {
        return odd("not one host");
    }
    match framings[..] {
        [] => Ok(Framing::Length(0)),
        [("transfer-encoding", "chunked")] => Ok(Framing::Chunks),
        [("content-length", length)] if length.bytes().all(|b| b.is_ascii_digit()) => length
            .parse()
            .map(Framing::Length)
            .map_err(|_| head.to_owned()),
        _ => odd("ambiguous framing"),
    }
}

/// Reads chunks with the strictest of readers; what follows them, once they are whole.
fn after_chunks(mut bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    loop {
        let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        if line.is_empty() || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("the chunk size {line:?}"));
        }
        let size = usize::from_str_radix(&line, 16).map_err(|error| error.to_string())?;
        bytes = &bytes[end + 2..];
        match bytes.get(size..size + 2) {
            None => return Ok(None),
            Some(b"\r\n") => bytes = &bytes[size + 2..],
            Some(_) => return Err(format!("no line end behind a chunk of {size}")),
        }
        // The last chunk is empty, and so are the trailers behind it.
        if size == 0 {
            return Ok(Some(bytes));
        }
    }
}

/// Everything that comes until the gateway closes, and every status in it.
fn answers(stream: &mut TcpStream) -> (Vec<u8>, Vec<u16>) {
    let mut bytes = Vec::new();
    // A reset after a refusal is a close, too.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let statuses = text
        .match_indices("HTTP/1.1 ")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
        .collect();
    (bytes, statuses)
}

fn trophies() -> Vec<permutations::Payload> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/desync/payloads.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} is absent", file.display());
        return Vec::new();
    };
    let values: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(values.len() >= 50, "the vectors are not what they were");
    let engine = base64::engine::general_purpose::STANDARD;
    let decode = |value: &serde_json::Value| {
        let payload = value["payload_base64"].as_str().unwrap();
        (
            format!("trophy {}", value["id"]),
            engine.decode(payload).unwrap(),
        )
    };
    values.iter().map(decode).collect()
}

/// What became of payloads.
#[derive(Default)]
struct Score {
    refused: usize,
    /// They end where more is to come, and nothing of them was forwarded.
    incomplete: usize,
    forwarded: Vec<String>,
}

/// A gateway whose upstream keeps what it gets.
struct Bench {
    gateway: Gateway,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Bench {
    fn start() -> Self {
        let (upstream, seen) = recorder();
        // What is incomplete, and what is served, ends by the limits on idleness.
        let limits = "'127.0.0.1:0', limits: { head_time: 500ms, body_time: 500ms, idle: 500ms }";
        let yaml = plain(upstream.address, "").replace("'127.0.0.1:0'", limits);
        let gateway = Gateway::start(&yaml);
        Self { gateway, seen }
    }

    /// Whole requests that the upstream has got; ambiguous ones fail the test.
    fn requests(&self, id: &str) -> usize {
        let whole = |bytes: &Vec<u8>| {
            whole_requests(bytes).unwrap_or_else(|odd| panic!("{id} was forwarded with {odd}"))
        };
        self.seen.lock().unwrap().iter().map(whole).sum()
    }

    /// Sends one payload and adds what becomes of it.
    fn judge(&self, id: &str, bytes: &[u8], score: &mut Score) {
        let before = self.requests(id);
        let mut stream = self.gateway.connect();
        stream.write_all(bytes).unwrap();
        let (said, statuses) = answers(&mut stream);
        let requests = self.requests(id) - before;
        if statuses.is_empty() {
            // HTTP/2 says no in frames.
            match (said.is_empty(), requests) {
                (true, 0) => score.incomplete += 1,
                (false, 0) => score.refused += 1,
                _ => score.forwarded.push(id.to_owned()),
            }
            return;
        }
        let first = statuses.iter().position(|status| *status >= 400);
        let served = first.unwrap_or(statuses.len());
        match first.map(|at| statuses[at]) {
            None => score.forwarded.push(id.to_owned()),
            Some(408) => score.incomplete += 1,
            Some(400..=505) => score.refused += 1,
            Some(other) => panic!("{id}: {other}"),
        }
        let ends = first.is_none_or(|at| at + 1 == statuses.len());
        assert!(ends, "{id}: nothing is read after a refusal: {statuses:?}");
        assert_eq!(
            requests, served,
            "{id}: what was served was answered: {statuses:?}"
        );
    }
}

/// Sends payloads by several callers at once, each to a gateway of its own.
fn replay(payloads: &[permutations::Payload]) -> Score {
    let scores = std::thread::scope(|scope| {
        let callers: Vec<_> = payloads
            .chunks(payloads.len().div_ceil(CALLERS).max(1))
            .map(|payloads| {
                scope.spawn(move || {
                    let (bench, mut score) = (Bench::start(), Score::default());
                    for (id, bytes) in payloads {
                        bench.judge(id, bytes, &mut score);
                    }
                    score
                })
            })
            .collect();
        let joined = callers
            .into_iter()
            .map(|caller| caller.join().expect("judged"));
        joined.collect::<Vec<_>>()
    });
    let mut sum = Score::default();
    for score in scores {
        sum.refused += score.refused;
        sum.incomplete += score.incomplete;
        sum.forwarded.extend(score.forwarded);
    }
    sum
}

/// Callers at once.
const CALLERS: usize = 12;

fn report(area: &str, count: usize, score: &Score) {
    let share = score.refused as f64 / count as f64;
    eprintln!(
        "SCORE desync, {area}: {count} payloads: {} refused ({:.1} %), {} more incomplete with nothing to forward, \
         0 forwarded ambiguously, forwarded: {:?}",
        score.refused,
        share * 100.0,
        score.incomplete,
        score.forwarded
    );
    assert!(
        share >= REFUSED_SHARE_MIN,
        "{area}: only {share:.3} refused"
    );
}

#[test]
fn payloads_that_desynchronise_are_refused_or_forwarded_in_one_reading() {
    let payloads = trophies();
    if !payloads.is_empty() {
        report("gateway", payloads.len(), &replay(&payloads));
    }
}

#[test]
fn mutations_of_framing_are_refused_or_forwarded_in_one_reading() {
    let payloads = permutations::all();
    report("mutations", payloads.len(), &replay(&payloads));
}

#[test]
fn http2_requests_that_do_not_fit_http1_are_refused_or_forwarded_in_one_reading() {
    let cases = downgrade::all();
    let (bench, mut score) = (Bench::start(), Score::default());
    for case in &cases {
        let before = bench.requests(&case.name);
        let mut stream = raw2::open(&bench.gateway);
        stream.write_all(&case.frames).unwrap();
        downgrade::settled(&mut stream);
        match bench.requests(&case.name) - before {
            0 => score.refused += 1,
            1 => score.forwarded.push(case.name.clone()),
            more => panic!("{}: {more} requests came of one", case.name),
        }
    }
    report("downgrade", cases.len(), &score);
}
