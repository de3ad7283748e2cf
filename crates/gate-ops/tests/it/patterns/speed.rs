//! How many events a second one core finds the rules of, and what adding and removing a rule costs.
//! Figures: `cargo test --release -p gate-ops --test it -- --ignored --nocapture patterns::speed`.

use gate_kit::random::{self, below};
use gate_ops::event::pattern::{Matched, Memory, Pattern, RuleSet};
use std::time::{Duration, Instant};

const REGIONS: &[&str] = &[
    "eu-west-1",
    "eu-central-1",
    "us-east-1",
    "us-west-2",
    "ap-south-1",
];
const STATES: &[&str] = &["created", "running", "paused", "failed", "done"];

fn region() -> &'static str {
    REGIONS[below(REGIONS.len())]
}

fn state() -> &'static str {
    STATES[below(STATES.len())]
}

/// Rules as subscribers write them: who wants what of which source, with conditions on the data.
fn rule(number: usize) -> String {
    let (source, kind, tenant) = (number % 400, below(40), below(2000));
    let data = match number % 10 {
        0..4 => format!(
            r#"{{"tenant": ["t-{tenant}"], "region": ["{}"]}}"#,
            region()
        ),
        4 | 5 => format!(
            r#"{{"state": ["{}", "{}"], "amount": [{{"numeric": [">", {}]}}]}}"#,
            state(),
            state(),
            below(1000)
        ),
        6 => format!(r#"{{"path": [{{"prefix": "/api/v{}/orders"}}]}}"#, below(9)),
        7 => format!(
            r#"{{"tenant": ["t-{tenant}"], "state": [{{"anything-but": ["{}"]}}]}}"#,
            state()
        ),
        8 => format!(
            r#"{{"file": [{{"wildcard": "reports/{}/*.csv"}}], "error": [{{"exists": false}}]}}"#,
            below(500)
        ),
        _ => format!(
            r#"{{"items": {{"sku": ["s-{}"], "count": [{{"numeric": [">=", 1]}}]}}}}"#,
            below(3000)
        ),
    };
    match number % 10 {
        // Some name no source.
        3 => format!(
            r#"{{"data": {{"tenant": ["t-{tenant}"], "client": [{{"cidr": "10.{}.0.0/16"}}]}}}}"#,
            below(250)
        ),
        _ => format!(
            r#"{{"source": ["//shop.example/{source}"], "type": ["com.example.k{kind}"], "data": {data}}}"#
        ),
    }
}

/// An event of some 720 bytes.
fn event(number: usize) -> String {
    let (source, kind, tenant) = (below(400), below(40), below(2000));
    let filler = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation";
    format!(
        r#"{{"specversion":"1.0","id":"0190c6e2-7b4c-7d31-9a55-{number:012}","source":"//shop.example/{source}","type":"com.example.k{kind}","time":"2026-11-22T10:00:00.123Z","datacontenttype":"application/json","subject":"orders/{number}","data":{{"tenant":"t-{tenant}","region":"{}","state":"{}","priority":3,"channel":"web","amount":{}.5,"client":"10.{}.7.9","path":"/api/v{}/orders/{number}","file":"reports/{}/day.csv","user":{{"id":{number},"name":"Ada Lovelace","mail":"ada@example.com"}},"items":[{{"sku":"s-{}","count":2,"price":12.5}},{{"sku":"s-{}","count":1,"price":3}}],"note":"{filler}"}}}}"#,
        region(),
        state(),
        below(2000),
        below(250),
        below(9),
        below(500),
        below(3000),
        below(3000),
    )
}

fn events() -> Vec<String> {
    (0..4000).map(event).collect()
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Events a second of CPU: the best of several rounds, as what other programs leave in the caches differs.
fn rate(rules: &RuleSet, events: &[String], memory: &mut Memory) -> (f64, usize) {
    let mut matched = Matched::default();
    let (mut best, mut found) = (Duration::MAX, 0);
    for _ in 0..24 {
        found = 0;
        let began = cpu();
        for event in events {
            rules.find(event.as_bytes(), memory, &mut matched).unwrap();
            found += matched.rules.len();
        }
        best = best.min(cpu() - began);
    }
    (events.len() as f64 / best.as_secs_f64(), found)
}

#[test]
#[ignore = "a measurement, for release builds"]
fn events_a_second() {
    random::seed(5);
    let events = events();
    let bytes: usize = events.iter().map(String::len).sum();
    println!("events of {} bytes on average", bytes / events.len());
    let mut rules = RuleSet::default();
    let mut memory = Memory::default();
    for number in 0..10_000 {
        rules
            .add(number as u64, &Pattern::parse(&rule(number)).unwrap())
            .unwrap();
        if [10, 100, 1000, 10_000].contains(&(number + 1)) {
            let (rate, found) = rate(&rules, &events, &mut memory);
            println!(
                "{:>6} rules: {rate:>10.0} events/s of CPU, {found} matches",
                number + 1
            );
        }
    }
    let added: Vec<Pattern> = (10_000..11_000)
        .map(|n| Pattern::parse(&rule(n)).unwrap())
        .collect();
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    for (number, pattern) in added.iter().enumerate() {
        let one = Instant::now();
        rules.add(10_000 + number as u64, pattern).unwrap();
        slowest = slowest.max(one.elapsed());
    }
    println!(
        "adding to 10,000: {:?} each, slowest {slowest:?}",
        began.elapsed() / 1000
    );
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for number in 0..1000_u64 {
        let one = Instant::now();
        assert!(rules.remove(number * 7));
        slowest = slowest.max(one.elapsed());
    }
    println!(
        "removing: {:?} each, slowest {slowest:?}",
        began.elapsed() / 1000
    );
}

/// Sets that no equality helps with.
#[test]
#[ignore = "a measurement, for release builds"]
fn events_a_second_of_one_form() {
    random::seed(6);
    let events = events();
    type Form = (&'static str, fn(usize) -> String);
    let forms: [Form; 5] = [
        ("exact", |n| {
            format!(r#"{{"data": {{"tenant": ["t-{n}"]}}}}"#)
        }),
        ("prefix", |n| {
            format!(r#"{{"data": {{"path": [{{"prefix": "/api/v1/orders/{n}"}}]}}}}"#)
        }),
        ("wildcard", |n| {
            format!(r#"{{"data": {{"file": [{{"wildcard": "*ts/{n}/*.csv"}}]}}}}"#)
        }),
        ("anything-but", |n| {
            format!(
                r#"{{"source": ["//shop.example/{}"], "data": {{"state": [{{"anything-but": "done"}}]}}}}"#,
                n % 400
            )
        }),
        ("numeric", |n| {
            format!(
                r#"{{"data": {{"amount": [{{"numeric": [">", {n}, "<", {}]}}]}}}}"#,
                n + 1
            )
        }),
    ];
    for (name, make) in forms {
        for count in [5, 10_000] {
            let mut rules = RuleSet::default();
            for number in 0..count {
                rules
                    .add(number as u64, &Pattern::parse(&make(number)).unwrap())
                    .unwrap();
            }
            let (rate, found) = rate(&rules, &events, &mut Memory::default());
            println!("{name:>12}, {count:>6} rules: {rate:>10.0} events/s of CPU, {found} matches");
        }
    }
}
