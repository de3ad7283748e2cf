//! Every target with its seeds and a bounded number of mutations of them, on a stable toolchain.
//!
//! Each target gets 100,000 mutations or 4 seconds, whichever is less; `FUZZ_SECONDS` sets another
//! time and no number, as `cargo xtask soak` does, `FUZZ_SEED` the sequence, and `FUZZ_TARGET` one
//! target alone. A failure prints the bytes that caused it, which then belong under `seeds/`.

use gate_kit::clock::Clock;
use gate_kit::random;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// Tokens that a random byte would seldom make.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b":",
    b" ",
    b"\t",
    b",",
    b";",
    b"%",
    b"%2e",
    b"%2F",
    b"..",
    b"/",
    b"chunked",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"HTTP/1.1",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"\x85",
    b"\xa0",
    b"\n\n",
    b"data: ",
    b"null",
    b"\"",
    b"\\",
    b"\\u0000",
    b"{}",
    b"[]",
    b"{",
    b"-1e999",
    b"18446744073709551616",
    b"&a ",
    b"*a",
    b"- ",
    b"${",
];
/// Mutations of one target when no time was set.
const ROUNDS: u64 = 100_000;
/// Seconds of one target when no time was set.
const SECONDS: u64 = 4;
/// An input that takes longer is told.
const SLOW: Duration = Duration::from_millis(500);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// One to four changes: a byte set, a token inserted, a part removed, repeated or taken over.
fn mutate(bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random::below(4) {
        let start = random::below(bytes.len() + 1);
        let end = start + random::below((bytes.len() - start).min(16) + 1);
        match random::below(7) {
            0 if start < bytes.len() => bytes[start] = random::bits() as u8,
            1 if start < bytes.len() => bytes[start] ^= 1 << random::below(8),
            2 => drop(bytes.drain(start..end)),
            3 => bytes.extend_from_within(start..end),
            4 => {
                let from = random::below(other.len() + 1);
                bytes.splice(start.., other[from..].iter().copied());
            }
            5 => {
                let from = random::below(other.len() + 1);
                let length = random::below(other.len() - from + 1).min(48);
                bytes.splice(start..end, other[from..from + length].iter().copied());
            }
            _ => {
                let token = TOKENS[random::below(TOKENS.len())];
                bytes.splice(start..start, token.iter().copied());
            }
        }
    }
    bytes.truncate(4096);
}

thread_local! {
    /// What the last panic said. Some are caught by what is tested, which is nobody's concern.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn drive(name: &str, target: tidegate_fuzz::Target) {
    let seeds = seeds(name);
    assert!(seeds.len() >= 3, "{name} needs seeds");
    let clock = Clock::System;
    let mut slowest = (Duration::ZERO, Vec::new());
    let mut run = |bytes: &[u8]| {
        let began = clock.now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
            let told = LAST_PANIC.with_borrow(String::clone);
            eprintln!("{told}\n{name} fails on \"{}\"", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        let mut took = clock.now().since(began);
        // A machine that stalls is not the input's fault: what is slow is slow again.
        for _ in 0..2 {
            if took > SLOW {
                let again = clock.now();
                target(bytes);
                took = took.min(clock.now().since(again));
            }
        }
        if took > slowest.0 {
            slowest = (took, bytes.to_vec());
        }
    };
    seeds.iter().for_each(|seed| run(seed));
    random::seed(number("FUZZ_SEED").unwrap_or(1));
    let given = number("FUZZ_SECONDS");
    let limit = Duration::from_secs(given.unwrap_or(SECONDS));
    let most = given.map_or(ROUNDS, |_| u64::MAX);
    let mut rounds = 0;
    let began = clock.now();
    while rounds < most && clock.now().since(began) < limit {
        let mut bytes = seeds[random::below(seeds.len())].clone();
        mutate(&mut bytes, &seeds[random::below(seeds.len())]);
        run(&bytes);
        rounds += 1;
    }
    let took = clock.now().since(began);
    println!(
        "{name}: {rounds} mutations in {took:.1?}, the slowest {:.1?}",
        slowest.0
    );
    if slowest.0 > SLOW {
        println!("{name} is slow on \"{}\"", slowest.1.escape_ascii());
    }
}

#[test]
fn every_target_holds_on_its_seeds_and_their_mutations() {
    std::panic::set_hook(Box::new(|panic| LAST_PANIC.set(panic.to_string())));
    let only = std::env::var("FUZZ_TARGET").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let targets: Vec<_> = tidegate_fuzz::TARGETS
        .iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    assert!(!targets.is_empty(), "FUZZ_TARGET={only:?} is no target");
    for &&(name, target) in &targets {
        drive(name, target);
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            tidegate_fuzz::TARGETS
                .iter()
                .any(|(target, _)| *target == name),
            "{name}"
        );
    }
}
