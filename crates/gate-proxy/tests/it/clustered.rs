//! A cache whose server is a cluster: questions go to the node that has the key.

use crate::cassettes::{Caller, Provider, document};
use crate::routing::{reply, request};
use crate::support::{Gateway, Upstream, eventually};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What a node has been asked, and what it keeps.
#[derive(Default)]
struct Kept {
    values: HashMap<Vec<u8>, Vec<u8>>,
    asked: usize,
}

/// A node that keeps what it is given, or sends everybody to another.
fn node(elsewhere: Option<SocketAddr>) -> (Upstream, Arc<Mutex<Kept>>) {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let own = kept.clone();
    let upstream = Upstream::raw(move |stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(parts) = command(&mut reader) {
            let mut kept = own.lock().unwrap();
            kept.asked += 1;
            let answer = match (elsewhere, &parts[0][..]) {
                (Some(node), _) => format!("-MOVED 1 {node}\r\n").into_bytes(),
                (None, b"SET") => {
                    kept.values.insert(parts[1].clone(), parts[2].clone());
                    b"+OK\r\n".to_vec()
                }
                (None, _) => match kept.values.get(&parts[1]) {
                    Some(value) => {
                        let length = format!("${}\r\n", value.len());
                        [length.as_bytes(), value, b"\r\n"].concat()
                    }
                    None => b"$-1\r\n".to_vec(),
                },
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    (upstream, kept)
}

/// One command; none when the connection has ended.
fn command(reader: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.get(1..)?.trim().parse::<usize>().ok()
    };
    let count = number(reader)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let mut part = vec![0; number(reader)? + 2];
        reader.read_exact(&mut part).ok()?;
        part.truncate(part.len() - 2);
        parts.push(part);
    }
    Some(parts)
}

#[test]
fn questions_go_to_the_node_that_has_the_key() {
    let (second, kept) = node(None);
    let (first, asked) = node(Some(second.address));
    let provider = Provider::with(reply("one", ""));
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!(
        "policies: [{{ cache: {{ anonymous: share, redis: {{ address: '{}', timeout: 20s }} }} }}], target: {{ models:",
        first.address
    );
    let gateway = Gateway::start(&text.replace("target: { models:", &policies));
    let ask = |text: &str| {
        let answer = Caller::new(&gateway).post("/v1/chat/completions", &request(text));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("cache-status").unwrap_or_default().to_owned()
    };
    let status = ask("a");
    assert!(
        status.contains("fwd=miss") && !status.contains("store"),
        "{status}"
    );
    eventually("the second node has it", || {
        kept.lock().unwrap().values.len() == 1
    });
    eventually("it is found there", || ask("a").contains("; hit"));
    // The slot is known by now: only its first question, or the one that kept it, went the long way.
    let before = asked.lock().unwrap().asked;
    for _ in 0..5 {
        assert!(ask("a").contains("; hit"));
    }
    assert_eq!(asked.lock().unwrap().asked, before);
    assert_eq!(provider.calls(), 1);
}
