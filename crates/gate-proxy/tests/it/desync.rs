//! Payloads that have desynchronised some pair of servers (the HTTP Garden's trophies), sent through
//! the running gateway: most are refused, and what goes on can be read in one way only.

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

/// Every status that comes until the gateway closes.
fn statuses(stream: &mut TcpStream) -> Vec<u16> {
    let mut bytes = Vec::new();
    // A reset after a refusal is a close, too.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    text.match_indices("HTTP/1.1 ")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
        .collect()
}

fn payloads() -> Vec<(String, Vec<u8>)> {
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
        (value["id"].to_string(), engine.decode(payload).unwrap())
    };
    values.iter().map(decode).collect()
}

#[test]
fn payloads_that_desynchronise_are_refused_or_forwarded_in_one_reading() {
    let payloads = payloads();
    // What is incomplete, and what is served, ends by the limits on idleness.
    let limits = "'127.0.0.1:0', limits: { head_time: 500ms, body_time: 500ms, idle: 500ms }";
    let sent: Vec<_> = payloads
        .iter()
        .map(|(id, bytes)| {
            let (upstream, seen) = recorder();
            let yaml = plain(upstream.address, "").replace("'127.0.0.1:0'", limits);
            let gateway = Gateway::start(&yaml);
            let mut stream = gateway.connect();
            stream.write_all(bytes).unwrap();
            (id, gateway, stream, seen)
        })
        .collect();
    let (mut refused, mut incomplete, mut forwarded) = (0, 0, Vec::new());
    for (id, gateway, mut stream, seen) in sent {
        let mut statuses = statuses(&mut stream);
        let whole = |bytes: &Vec<u8>| {
            whole_requests(bytes).unwrap_or_else(|odd| panic!("{id} was forwarded with {odd}"))
        };
        let requests: usize = seen.lock().unwrap().iter().map(whole).sum();
        if statuses.is_empty() {
            // HTTP/2 answers in frames; what it refused is in the metrics.
            let refused = gateway.metrics().contains("malformed_request");
            statuses = if refused {
                vec![400]
            } else {
                vec![200; requests]
            };
        }
        let first = statuses.iter().position(|status| *status >= 400);
        let served = first.unwrap_or(statuses.len());
        match first.map(|at| statuses[at]) {
            None => forwarded.push(id.clone()),
            Some(408) => incomplete += 1,
            Some(400..=505) => refused += 1,
            Some(other) => panic!("{id}: {other}"),
        }
        assert!(
            first.is_none_or(|at| at + 1 == statuses.len()),
            "{id}: nothing is read after a refusal: {statuses:?}"
        );
        assert_eq!(
            requests, served,
            "{id}: what was served was answered: {statuses:?}"
        );
    }
    if payloads.is_empty() {
        return;
    }
    let share = f64::from(refused) / payloads.len() as f64;
    eprintln!(
        "SCORE desync, gateway: {} payloads: {refused} refused ({:.1} %), {incomplete} more incomplete with nothing to \
         forward, forwarded: {forwarded:?}",
        payloads.len(),
        share * 100.0
    );
    assert!(share >= REFUSED_SHARE_MIN, "only {share:.3} refused");
}
