//! The engine's bars, measured: load, memory, reloads and CPU per request. Run on a quiet machine:
//! `cargo test --release -p gate-waf --test it bars -- --ignored --show-output --test-threads 1`.

use crate::crs::rules;
use crate::ftw::folder;
use gate_waf::{Engine, Request, RuleSet, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// An ordinary order, 1 KiB; the benchmark sends the same.
const BODY: &str = include_str!("../../../../bench/scenarios/order.json");

const HEADERS: [(&[u8], &[u8]); 8] = [
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-GB,en;q=0.9"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"1024"),
    (b"Cookie", b"session=c2Vzc2lvbi10b2tlbi0wMTIzNDU2Nzg5; theme=light"),
];

fn request(rules: &Arc<RuleSet>, body: &[u8]) -> Transaction {
    let mut transaction = Transaction::new(rules.clone(), None, Some(Engine::On));
    let request = Request {
        client: (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 40_000),
        server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 443),
        method: b"POST",
        uri: b"/v1/orders?source=web&page=2",
        protocol: b"HTTP/1.1",
        id: b"9d3f1b62",
    };
    transaction.request_headers(&request, HEADERS.into_iter());
    transaction.request_body(body, false);
    transaction.response_headers(201, b"HTTP/1.1", std::iter::empty());
    transaction.finish();
    transaction
}

/// Time that this thread has spent on a core: what others do beside it does not count.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// A number from the environment.
fn number(name: &str, otherwise: u32) -> u32 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[test]
fn an_ordinary_request_matches_nothing() {
    let Ok(folder) = folder() else {
        return eprintln!("skipped: the rule set is absent");
    };
    let rules = rules(&folder, &[], true);
    let transaction = request(&rules, BODY.as_bytes());
    let ids: Vec<u32> = transaction.matches().iter().map(|one| one.id).collect();
    assert!(ids.is_empty(), "{ids:?}");
    assert!(transaction.decision().is_pass());
    let attack = BODY.replace("autumn-sale", "<script>alert(1)</script>");
    assert!(!request(&rules, attack.as_bytes()).decision().is_pass());
}

#[test]
#[ignore = "a measurement"]
fn bar_of_cpu_per_request() {
    let Ok(folder) = folder() else {
        return eprintln!("skipped: the rule set is absent");
    };
    let rules = rules(&folder, &[], true);
    rules.prepare().expect("all patterns fit");
    let rounds = number("TIDEGATE_ROUNDS", 500);
    for _ in 0..2 * rounds {
        request(&rules, BODY.as_bytes());
    }
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = spent();
        for _ in 0..rounds {
            request(&rules, BODY.as_bytes());
        }
        let took = spent() - start;
        best = best.min(took.as_secs_f64() * 1e6 / f64::from(rounds));
    }
    eprintln!(
        "SCORE waf cpu: {best:.1} us for a JSON request of {} bytes at paranoia 1",
        BODY.len()
    );
}

#[test]
#[ignore = "a measurement"]
fn bar_of_load_and_reloads() {
    let Ok(folder) = folder() else {
        return eprintln!("skipped: the rule set is absent");
    };
    let before = resident();
    let start = spent();
    let first = rules(&folder, &[], true);
    let load = spent() - start;
    let loaded = resident();
    let start = spent();
    first.prepare().expect("all patterns fit");
    let prepare = spent() - start;
    request(&first, BODY.as_bytes());
    let prepared = resident();
    eprintln!(
        "SCORE waf load: {:.0} ms, {:.1} MiB; all patterns compiled: {:.0} ms more, {:.1} MiB in all; {:?}",
        load.as_secs_f64() * 1e3,
        (loaded - before) as f64 / 1024.0,
        prepare.as_secs_f64() * 1e3,
        (prepared - before) as f64 / 1024.0,
        first.statistics(),
    );
    let mut early = 0;
    let reloads = number("TIDEGATE_RELOADS", 1000);
    for reload in 0..reloads {
        let again = rules(&folder, &[], true);
        request(&again, BODY.as_bytes());
        if reload == reloads / 10 {
            early = resident();
        }
    }
    eprintln!(
        "SCORE waf reloads: {early} KiB after a tenth of {reloads}, {} KiB after all",
        resident()
    );
}

/// What makes tokenisers go back and forth: openings without ends, escapes, comments, brackets.
const HOSTILE: [&str; 28] = [
    "'",
    "\"",
    "`",
    "\\",
    "\\'",
    "''",
    "/*",
    "*/",
    "/*!",
    "--",
    "-- \n",
    "#",
    "(",
    ")",
    "((select",
    "1,",
    "1 or ",
    "@@",
    "$$",
    "q'[",
    "<",
    "<!--",
    "<a ",
    "<a b=",
    "<![CDATA[",
    "&#x",
    "<!-- - ",
    "=\"'`",
];

#[test]
#[ignore = "a measurement"]
fn bar_of_work_per_value() {
    let mut loader = gate_waf::Loader::new(&gate_waf::NoFiles);
    loader.add(
        "rules.conf",
        "SecRequestBodyAccess On\nSecRule ARGS:s \"@detectSQLi\" \"id:1,phase:1,pass\"\nSecRule ARGS:x \"@detectXSS\" \"id:2,phase:1,pass\"",
    );
    let rules = Arc::new(loader.finish().expect("constants"));
    let mut worst = (0.0, "", "", 0.0);
    for name in ["s", "x"] {
        for part in HOSTILE {
            let time = |bytes: usize| {
                // Percent-encoded, so that each byte arrives as it is.
                let encoded: String = part.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let uri = format!("/?{name}=1{}", encoded.repeat(bytes / part.len()));
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let mut transaction =
                        Transaction::new(rules.clone(), None, Some(Engine::DetectionOnly));
                    let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
                    let request = Request {
                        client: local,
                        server: local,
                        method: b"GET",
                        uri: uri.as_bytes(),
                        protocol: b"HTTP/1.1",
                        id: b"1",
                    };
                    let start = spent();
                    transaction.request_headers(&request, std::iter::empty());
                    best = f64::min(best, (spent() - start).as_secs_f64());
                }
                best
            };
            let (small, large) = (time(16 << 10), time(128 << 10));
            let (per_byte, growth) = (large * 1e9 / f64::from(128 << 10), large / small);
            eprintln!(
                "{name} {part:?}: {per_byte:.1} ns a byte, {growth:.1} times for 8 times as much"
            );
            if per_byte > worst.0 {
                worst = (per_byte, name, part, growth);
            }
        }
    }
    eprintln!(
        "SCORE waf work: at most {:.1} ns a byte ({} {:?}, {:.1} times for 8 times)",
        worst.0, worst.1, worst.2, worst.3
    );
}
