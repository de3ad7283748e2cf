//! Every target with its seeds and a bounded number of mutations of them, on a stable toolchain.
//!
//! `FUZZ_ROUNDS` sets the mutations per target (20,000 unless told) and `FUZZ_SEED` the sequence;
//! a failure prints the bytes that caused it, which then belong under `seeds/`.

use gate_kit::random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

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
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
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
        match random::below(6) {
            0 if start < bytes.len() => bytes[start] = random::bits() as u8,
            1 if start < bytes.len() => bytes[start] ^= 1 << random::below(8),
            2 => drop(bytes.drain(start..end)),
            3 => bytes.extend_from_within(start..end),
            4 => {
                let from = random::below(other.len() + 1);
                bytes.splice(start.., other[from..].iter().copied());
            }
            _ => {
                let token = TOKENS[random::below(TOKENS.len())];
                bytes.splice(start..start, token.iter().copied());
            }
        }
    }
    bytes.truncate(4096);
}

fn drive(name: &str, target: tidegate_fuzz::Target) {
    let seeds = seeds(name);
    assert!(seeds.len() >= 3, "{name} needs seeds");
    let run = |bytes: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
            eprintln!("{name} fails on \"{}\"", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    };
    seeds.iter().for_each(|seed| run(seed));
    random::seed(number("FUZZ_SEED", 1));
    for _ in 0..number("FUZZ_ROUNDS", 20_000) {
        let mut bytes = seeds[random::below(seeds.len())].clone();
        mutate(&mut bytes, &seeds[random::below(seeds.len())]);
        run(&bytes);
    }
}

#[test]
fn every_target_holds_on_its_seeds_and_their_mutations() {
    for &(name, target) in tidegate_fuzz::TARGETS {
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
