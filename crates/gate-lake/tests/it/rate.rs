//! How fast rows become files, and how small. Prints; a bound that holds in any build is asserted.

use gate_lake::columns::Batch;
use gate_lake::file::{Effort, encode};
use gate_lake::schema::{Dataset, Row};
use std::time::Instant;

/// A small generator, so that the data are the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// About Zipf's law with exponent one over `count` ranks.
    pub(crate) fn zipf(&mut self, count: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((count as f64).powf(unit) - 1.0) as u64
    }

    /// A long-tailed amount around `middle`.
    pub(crate) fn amount(&mut self, middle: u64) -> u64 {
        let spread = 0.25 + (self.next() % 1_000_000) as f64 / 250_000.0;
        (middle as f64 * spread) as u64
    }
}

/// Names that rows refer to.
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn new(stem: &str, count: usize) -> Self {
        Self((0..count).map(|n| format!("{stem}-{n}")).collect())
    }

    pub(crate) fn pick(&self, dice: &mut Dice) -> &str {
        &self.0[dice.zipf(self.0.len() as u64) as usize % self.0.len()]
    }
}

/// Calls to models and plain calls, mixed, as a gateway with 200 consumers has them.
pub(crate) fn rows(count: usize, mut visit: impl FnMut(&Row<'_>)) {
    let dice = &mut Dice::new();
    let routes = Names::new("route", 60);
    let upstreams = Names::new("upstream", 40);
    let endpoints = Names::new("10.0.0.1:80", 120);
    let models = Names::new("some-model-2026", 12);
    let consumers = Names::new("consumer", 200);
    let teams = Names::new("team", 20);
    let mut time_us = 1_790_000_000_000_000;
    for n in 0..count as u64 {
        time_us += (dice.next() % 180) as i64;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&(time_us as u64 / 1000).to_be_bytes()[2..]);
        id[6..12].copy_from_slice(&[0x70, 0, 0x80, 3, 7, 1]);
        id[12..].copy_from_slice(&(n as u32).to_be_bytes());
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&dice.next().to_be_bytes());
        trace[8..].copy_from_slice(&dice.next().to_be_bytes());
        let is_ai = dice.next().is_multiple_of(3);
        let failed = dice.next().is_multiple_of(50);
        let duration_us = dice.amount(if is_ai { 900_000 } else { 9_000 });
        let input = dice.amount(1200);
        let output = dice.amount(300);
        let consumer = dice.zipf(200) as usize % 200;
        visit(&Row {
            time_us,
            exchange_id: id,
            trace_id: Some(trace),
            node: "gateway-0",
            environment: Some("production"),
            revision: 40 + n / 400_000,
            listener: Some("public"),
            route: Some(routes.pick(dice)),
            target: Some(upstreams.pick(dice)),
            endpoint: Some(endpoints.pick(dice)),
            provider: is_ai.then_some("openai"),
            model: is_ai.then(|| models.pick(dice)),
            consumer: Some(&consumers.0[consumer]),
            key: Some("default"),
            team: Some(&teams.0[consumer % 20]),
            method: if is_ai || dice.next().is_multiple_of(4) {
                "POST"
            } else {
                "GET"
            },
            status: if failed { 503 } else { 200 },
            fault: failed.then_some("upstream_unreachable"),
            duration_us,
            first_byte_us: Some(duration_us / 2 + dice.next() % 500),
            request_bytes: if is_ai { input * 4 } else { 0 },
            response_bytes: dice.amount(4000),
            input_tokens: is_ai.then_some(input),
            output_tokens: is_ai.then_some(output),
            cached_tokens: is_ai.then_some(0),
            cost_nano: is_ai.then_some(input * 2500 + output * 10_000),
            attempts: 1 + u64::from(failed),
            ..Row::default()
        });
    }
}

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: u64 = stat
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    nanos as f64 / 1e9
}

#[test]
fn a_row_takes_sixty_bytes_at_most() {
    let count = 262_144;
    let mut batch = Batch::new(Dataset::Records);
    let (mut pushed, mut generated) = (0.0, 0.0);
    for _ in 0..2 {
        let begin = cpu();
        rows(count, |row| assert_ne!(row.time_us, 0));
        generated = cpu() - begin;
        batch = Batch::new(Dataset::Records);
        let begin = cpu();
        rows(count, |row| {
            assert_eq!(row.check(), Ok(()));
            batch.push(row);
        });
        pushed = cpu() - begin - generated;
    }
    for effort in [Effort::Quick, Effort::Small] {
        let copy = batch.clone();
        let (begin, wall) = (cpu(), Instant::now());
        let bytes = encode(copy, effort).expect("rows that passed the door are encoded");
        let took = cpu() - begin;
        let per_row = bytes.len() as f64 / count as f64;
        eprintln!(
            "{effort:?}: {per_row:.1} bytes a row; encoded {:.2} million rows a second of CPU, \
             {:.2} with the door and gathering; generating took {generated:.2} s, wall {:.2} s",
            count as f64 / took / 1e6,
            count as f64 / (took + pushed) / 1e6,
            wall.elapsed().as_secs_f64(),
        );
        assert!(effort == Effort::Quick || per_row <= 60.0, "{per_row}");
    }
}
