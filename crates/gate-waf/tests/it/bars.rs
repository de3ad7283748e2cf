//! The engine's bars, measured: load, memory, reloads and CPU per request. Run on a quiet machine:
//! `cargo test --release -p gate-waf --test it bars -- --ignored --show-output --test-threads 1`.

use crate::crs::rules;
use crate::ftw::folder;
use gate_waf::{Engine, Request, RuleSet, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

/// An ordinary order, 1 KiB.
const BODY: &str = r#"{"order":{"id":"7f9c24e8-3b12-4fd1-a2b6-5d8e0c1f9a37","placed_at":"2026-11-21T10:15:30Z","currency":"EUR","channel":"web","customer":{"id":482915,"name":"Anna Lindqvist","email":"anna.lindqvist@example.com","phone":"+46 8 123 456 78","vip":false},"shipping":{"street":"Storgatan 12","city":"Stockholm","postal_code":"111 51","country":"SE","method":"standard","instructions":"Please leave the parcel with the neighbour on the second floor."},"items":[{"sku":"BK-1042","title":"The Art of Gateways","quantity":1,"unit_price":34.90,"tax_rate":0.25},{"sku":"CB-0007","title":"USB-C cable, 2 m","quantity":3,"unit_price":9.95,"tax_rate":0.25},{"sku":"NB-2210","title":"Notebook A5 dotted","quantity":2,"unit_price":12.50,"tax_rate":0.06}],"totals":{"net":80.04,"tax":14.71,"gross":94.75},"payment":{"method":"card","brand":"visa","last4":"4242","authorized":true},"notes":"Gift wrap the book, and write: happy birthday from all of us!","tags":["returning","newsletter","autumn-sale"]}}"#;

const HEADERS: [(&[u8], &[u8]); 8] = [
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-GB,en;q=0.9"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"1022"),
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
    for _ in 0..2000 {
        request(&rules, BODY.as_bytes());
    }
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..500 {
            request(&rules, BODY.as_bytes());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / 500.0);
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
    let start = Instant::now();
    let first = rules(&folder, &[], true);
    let load = start.elapsed();
    let loaded = resident();
    let start = Instant::now();
    first.prepare().expect("all patterns fit");
    let prepare = start.elapsed();
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
    let reloads: u32 = std::env::var("TIDEGATE_RELOADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
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
