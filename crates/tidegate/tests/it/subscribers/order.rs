//! Order per key where leadership is in doubt: no two deliveries of a key at once, whoever makes them.

use super::support::{Tap, again, configuration};
use crate::support::{Gateway, eventually_within};
use gate_store::Database;
use gate_store::sqlite::Sqlite;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a test waits for at most.
const LONG: Duration = Duration::from_secs(60);

/// What a receiver has seen.
#[derive(Debug, Default, Clone)]
struct Seen {
    /// Requests under way right now, and whether there ever were two.
    open: usize,
    overlapped: bool,
    /// Requests whose caller went away.
    cut: usize,
    /// Events that were taken, in their order.
    taken: Vec<String>,
}

/// A receiver that never answers its first request, and takes all others.
fn receiver() -> (String, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let all = seen.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let seen = all.clone();
            std::thread::spawn(move || serve(stream, number, &seen));
        }
    });
    (address, seen)
}

fn serve(stream: TcpStream, number: usize, seen: &Mutex<Seen>) {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("ce-id") => id = value.to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a length");
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    {
        let mut seen = seen.lock().unwrap();
        seen.open += 1;
        seen.overlapped |= seen.open > 1;
    }
    if number == 0 {
        // Ends when the caller goes.
        let _ = reader.read(&mut [0]);
        let mut seen = seen.lock().unwrap();
        seen.open -= 1;
        seen.cut += 1;
        return;
    }
    {
        let mut seen = seen.lock().unwrap();
        seen.open -= 1;
        seen.taken.push(id);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = reader.get_mut().write_all(answer);
}

#[test]
fn an_attempt_in_order_ends_before_another_gateway_may_lead() {
    let (address, seen) = receiver();
    let seen = || seen.lock().unwrap().clone();
    let hook = json!({
        "start": "beginning", "order_by": "data.of", "timeout": "5m",
        "filter": { "pattern": { "type": ["order.changed"] } },
        "target": { "webhook": { "url": format!("http://{address}/hook") } },
        "retry": { "pause": "50ms", "longest": "200ms" },
    });
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let text = configuration(&json!({}), &json!({ "hook": hook }));
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let _first = Gateway::run_in(folder.clone(), &[], &[]);
    let _second = again(&folder, &[]);
    let tap = Tap::new(folder.path());
    for id in ["1", "2", "3"] {
        tap.publish(id, "order.changed", json!({ "of": "a" }));
    }
    eventually_within(LONG, "the first is under way", || seen().open == 1);
    // Nobody can renew a lease, and the receiver does not answer: the attempt ends by itself, long before
    // its own time is over and before anybody can lead.
    let store = Sqlite::open(&folder.path().join("gate.db")).unwrap();
    let mut store = store.patient().unwrap();
    store.script("BEGIN IMMEDIATE").unwrap();
    eventually_within(LONG, "the attempt is cut", || seen().cut == 1);
    assert_eq!(seen().taken, [""; 0]);
    store.script("ROLLBACK").unwrap();
    eventually_within(LONG, "all are told", || seen().taken.len() >= 3);
    let seen = seen();
    assert!(!seen.overlapped, "{seen:?}");
    let mut taken = seen.taken;
    taken.dedup();
    assert_eq!(taken, ["1", "2", "3"]);
}
