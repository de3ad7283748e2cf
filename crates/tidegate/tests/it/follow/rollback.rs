//! How soon a verdict takes effect: two gateways of several workers on one PostgreSQL, callers on
//! every worker, streams of the candidate in flight.

#![allow(clippy::print_stdout, reason = "measured times are for people")]

use super::fleet::{self, Fleet, fixed};
use super::load::one;
use crate::support::{Gateway, Reply, Upstream, eventually_within};
use gate_kit::clock::Clock;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const ID: &str = "r-flip";
/// Callers of each gateway, each on a connection of its own, over three workers.
const CALLERS: usize = 6;
/// Streams of the candidate that are open on each gateway.
const STREAMS: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);

fn unix_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap()
}

/// What one caller has seen: when it last began a request that the candidate answered, and how many
/// of its requests were lost.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    last_ms: i64,
    by_candidate: u64,
    after: u64,
    lost: u64,
}

/// A caller that never stops asking, on one connection.
fn caller(address: String, ended: Arc<AtomicBool>) -> JoinHandle<Seen> {
    std::thread::spawn(move || {
        let mut seen = Seen::default();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(MINUTE)).unwrap();
        let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
        while !ended.load(Ordering::Relaxed) {
            let began_ms = unix_ms();
            match one(&mut stream, request).as_deref() {
                Ok("current") => seen.after += 1,
                Ok(_) => {
                    seen = Seen {
                        last_ms: began_ms,
                        by_candidate: seen.by_candidate + 1,
                        after: 0,
                        ..seen
                    }
                }
                Err(_) => {
                    seen.lost += 1;
                    return seen;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        seen
    })
}

/// An upstream whose answers go on until it is told to end them.
fn endless(finish: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let finish = finish.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut text = format!("{head}5\r\nfirst\r\n");
                loop {
                    if stream.write_all(text.as_bytes()).is_err() || text.ends_with("0\r\n\r\n") {
                        return;
                    }
                    text = match finish.load(Ordering::Relaxed) {
                        false => "4\r\nmore\r\n".to_owned(),
                        true => "4\r\nlast\r\n0\r\n\r\n".to_owned(),
                    };
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
    });
    address
}

/// A stream that the candidate has begun; `None` when the current revision was asked.
fn open_stream(address: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(MINUTE)).unwrap();
    let request = b"GET /stream HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("first") {
        let mut buffer = [0; 512];
        match stream.read(&mut buffer).unwrap() {
            0 => return None,
            read => begun.extend_from_slice(&buffer[..read]),
        }
    }
    Some(stream)
}

/// The candidate: healthy until the upstream is told to fail.
fn candidate(failing: &Upstream, endless: &str) -> Value {
    let mut document = fixed("current");
    document["upstreams"] = json!({
        "orders": { "endpoints": [failing.address], "retry": { "attempts": 1 } },
        "endless": { "endpoints": [endless] },
    });
    document["routes"]["all"]["target"] = json!({ "upstream": "orders" });
    document["routes"]["stream"]["target"] = json!({ "upstream": "endless" });
    document["routes"]["stream"]["match"] = json!({ "path": "/stream" });
    document
}

fn control() -> Value {
    let mut document = fixed("current");
    document["routes"]["stream"] = json!({
        "match": { "path": "/stream" },
        "target": { "fixed": { "status": 200, "body": "current" } },
    });
    document
}

/// Times from the verdict to the last request that the candidate served, by gateway, in
/// milliseconds; `None` where PostgreSQL is missing.
fn measure() -> Option<Vec<i64>> {
    let fleet = Fleet::postgres()?;
    let node = |name| fleet.node_with(name, "workers: 3", "", &[]);
    let nodes: [Gateway; 2] = [node("a"), node("b")];
    fleet.apply(control());
    for node in &nodes {
        fleet::eventually_serves(node, "current");
    }
    let (fails, finish) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let flag = fails.clone();
    let upstream = Upstream::start(move |_| match flag.load(Ordering::Relaxed) {
        false => Reply::text("candidate"),
        true => Reply::text("broken").status(500),
    });
    let endless = endless(Arc::clone(&finish));
    let settings = json!({
        "steps": ["50%"], "step_minimum": "1h", "step_patience": "2h", "signals": ["errors"],
    });
    fleet.try_out(ID, candidate(&upstream, &endless), &settings);
    for node in &nodes {
        eventually_within(MINUTE, "the candidate serves", || {
            let share = format!("tidegate_rollout_share_ratio{{rollout=\"{ID}\"}} 0.5\n");
            node.metrics().contains(&share)
        });
    }
    let ended = Arc::new(AtomicBool::new(false));
    let addresses: Vec<String> = nodes.iter().map(|it| it.late_address("public")).collect();
    let of = |address: &String| {
        let one = std::iter::repeat_with(|| caller(address.clone(), ended.clone()));
        one.take(CALLERS).collect()
    };
    let callers: Vec<Vec<JoinHandle<Seen>>> = addresses.iter().map(of).collect();
    let streams: Vec<TcpStream> = addresses
        .iter()
        .flat_map(|address| {
            let open = std::iter::repeat_with(|| open_stream(address));
            open.flatten().take(STREAMS).collect::<Vec<_>>()
        })
        .collect();

    fails.store(true, Ordering::Relaxed);
    let verdict_ms = verdict(&fleet, &nodes);
    // Whatever still went to the candidate by mistake would show up now.
    std::thread::sleep(Duration::from_secs(1));
    ended.store(true, Ordering::Relaxed);
    let names = ["a", "b"].into_iter().zip(callers);
    let last = names.map(|(name, callers)| last_by_candidate(name, callers, verdict_ms));
    let last = last.collect();
    finish.store(true, Ordering::Relaxed);
    end_whole(streams);
    Some(last)
}

/// How long after the verdict a gateway's candidate still served, in milliseconds.
fn last_by_candidate(name: &str, callers: Vec<JoinHandle<Seen>>, verdict_ms: i64) -> i64 {
    let seen: Vec<Seen> = callers.into_iter().map(|it| it.join().unwrap()).collect();
    for seen in &seen {
        assert_eq!(seen.lost, 0, "{seen:?}");
        assert!(seen.by_candidate > 0 && seen.after > 0, "{seen:?}");
    }
    let latest = seen.iter().map(|seen| seen.last_ms).max().unwrap() - verdict_ms;
    println!(
        "gateway {name}: the candidate served requests until {latest} ms after the verdict \
         ({CALLERS} connections over 3 workers)"
    );
    latest
}

/// Reads streams to their end, which comes as it should.
fn end_whole(streams: Vec<TcpStream>) {
    let count = streams.len();
    for mut stream in streams {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("last\r\n0\r\n\r\n"), "cut: {rest}");
    }
    println!("{count} streams of the candidate outlived its rollback and ended whole");
}

/// Waits until the rollout is taken back on every gateway; when the store learned of it, in UNIX
/// milliseconds.
fn verdict(fleet: &Fleet, nodes: &[Gateway]) -> i64 {
    let mut verdict_ms = 0;
    eventually_within(MINUTE, "the evidence takes it back", || {
        let row = fleet.ask(|store| store.rollout(ID).unwrap().unwrap());
        verdict_ms = row.changed_ms;
        row.state == "rolled_back"
    });
    for node in nodes {
        eventually_within(MINUTE, "the share is 0", || {
            let none = format!("tidegate_rollout_share_ratio{{rollout=\"{ID}\"}} 0\n");
            node.metrics().contains(&none)
        });
    }
    verdict_ms
}

#[test]
fn a_verdict_takes_effect_everywhere_and_cuts_no_stream() {
    for latest in measure().into_iter().flatten() {
        assert!(latest < 30_000, "{latest} ms");
    }
}

#[test]
#[ignore = "a bar of time: needs a machine that does nothing else"]
fn bar_a_verdict_takes_effect_within_a_second() {
    let Some(mut latest) = measure() else {
        return;
    };
    latest.sort_unstable();
    assert!(latest[0] <= 1_000, "the first gateway: {latest:?} ms");
    assert!(latest[1] <= 5_000, "all gateways: {latest:?} ms");
}
