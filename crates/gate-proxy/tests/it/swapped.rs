//! What a swap of snapshots costs those who are being served: nothing is lost, and how much later
//! the slowest of a hundred answers comes. Callers keep to a schedule, so that a pause counts for
//! everybody who had to wait in it.

#![allow(clippy::print_stdout, reason = "measured times are for people")]

use crate::support::{Gateway, Upstream, connect, ok};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Connections, each with a request every so often: 500 requests a second.
const CONNECTIONS: u32 = 8;
const EVERY: Duration = Duration::from_millis(16);
/// How often a snapshot is swapped.
const SWAP_EVERY: Duration = Duration::from_millis(200);
/// Routes of a snapshot.
const ROUTES: u32 = 200;

fn document(upstream: SocketAddr, body: &str) -> String {
    let mut text = format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\nroutes:\n  \
         all: {{ target: {{ upstream: up }} }}\n"
    );
    for route in 0..ROUTES {
        text += &format!(
            "  r{route}: {{ match: {{ path: '/r{route}/{{id}}' }}, \
             target: {{ fixed: {{ status: 200, body: {body} }} }} }}\n"
        );
    }
    text
}

/// What callers got in a while.
#[derive(Default)]
struct Got {
    times: Vec<Duration>,
    lost: usize,
}

impl Got {
    fn quantile(&mut self, of: f64) -> Duration {
        self.times.sort_unstable();
        let at = (self.times.len() as f64 * of) as usize;
        self.times[at.min(self.times.len() - 1)]
    }
}

/// Half of the requests are answered by an upstream, half by the gateway itself.
fn call(address: SocketAddr, offset: Duration, lasting: Duration) -> Got {
    let mut stream = connect(address);
    let mut got = Got::default();
    let began = Instant::now() + offset;
    let mut buffer = [0; 4096];
    for number in 0_u32.. {
        let due = began + EVERY * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if began.elapsed() > lasting {
            return got;
        }
        let path = ["/", "/r7/1"][number as usize % 2];
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        let answered = stream.write_all(request.as_bytes()).is_ok()
            && stream.read(&mut buffer).is_ok_and(|read| {
                // A short answer comes in one piece.
                buffer[..read].starts_with(b"HTTP/1.1 200 ") && buffer[..read].ends_with(b"one")
            });
        match answered {
            true => got.times.push(due.elapsed()),
            false => {
                got.lost += 1;
                stream = connect(address);
            }
        }
    }
    got
}

fn load(gateway: &Gateway, lasting: Duration) -> Got {
    let address = gateway.address();
    std::thread::scope(|scope| {
        let caller = |number| {
            let offset = EVERY / CONNECTIONS * number;
            scope.spawn(move || call(address, offset, lasting))
        };
        let callers: Vec<_> = (0..CONNECTIONS).map(caller).collect();
        callers.into_iter().fold(Got::default(), |mut all, caller| {
            let got = caller.join().unwrap();
            all.times.extend(got.times);
            all.lost += got.lost;
            all
        })
    })
}

/// The same while snapshots are swapped; how many were, and how long a swap took in all.
fn load_beside_swaps(
    gateway: &Gateway,
    documents: &[String; 2],
    lasting: Duration,
) -> (Got, u32, Duration) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (mut swaps, mut took) = (0, Duration::ZERO);
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                gateway.reload(&documents[swaps as usize % 2]).unwrap();
                took += began.elapsed();
                swaps += 1;
                std::thread::sleep(SWAP_EVERY.saturating_sub(began.elapsed()));
            }
            (swaps, took)
        });
        let got = load(gateway, lasting);
        ended.store(true, Ordering::Relaxed);
        let (swaps, took) = swapping.join().unwrap();
        (got, swaps, took / swaps)
    })
}

fn measure(rounds: usize, lasting: Duration) -> (Duration, Duration) {
    let upstream = Upstream::http(|_, _| ok("one"));
    // Bodies are the same; what differs is a route that nobody calls.
    let one = document(upstream.address, "one");
    let other = one.replace("path: '/r0/{id}'", "path: '/other/{id}'");
    let documents = [other, one.clone()];
    let gateway = Gateway::start(&one);
    load(&gateway, lasting / 4);
    let (mut without, mut beside) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut quiet = load(&gateway, lasting);
        let (mut swapped, swaps, took) = load_beside_swaps(&gateway, &documents, lasting);
        assert_eq!((quiet.lost, swapped.lost), (0, 0));
        let (before, after) = (quiet.quantile(0.99), swapped.quantile(0.99));
        println!(
            "round {round}: p99 {before:?} without swaps, {after:?} beside {swaps} swaps of {took:?} \
             ({} and {} requests, none lost)",
            quiet.times.len(),
            swapped.times.len(),
        );
        without.push(before);
        beside.push(after);
    }
    without.sort_unstable();
    beside.sort_unstable();
    (without[rounds / 2], beside[rounds / 2])
}

#[test]
fn swaps_lose_no_request() {
    measure(1, Duration::from_secs(2));
}

#[test]
#[ignore = "a bar of time: release build, a machine that does nothing else"]
fn bar_swaps_add_no_more_than_a_millisecond_to_p99() {
    let (without, beside) = measure(5, Duration::from_secs(10));
    println!("median p99: {without:?} without swaps, {beside:?} beside them");
    assert!(beside <= without + Duration::from_millis(1), "{beside:?}");
}
