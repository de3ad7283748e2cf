//! `cargo xtask fuzz [TARGET] [--seconds N]`: libFuzzer over one target of `fuzz/`, or over all of them one
//! after the other, each for N seconds (60 unless told), from the seeds of the repository.
//!
//! The stable compiler has the counters that libFuzzer reads as a pass of LLVM; only the sanitizers need
//! another one, and our code has next to no `unsafe` that they would watch. What it finds lies in
//! `target/fuzz/TARGET/`: the corpus is kept from run to run, and bytes that make a target fail belong
//! under `fuzz/seeds/`.

use crate::bench::{execute, target_folder};
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Counters at every edge, with comparisons told, as `cargo fuzz` has them.
const COUNTERS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Longest input, in bytes.
const BYTES_MAX: u32 = 4096;
/// Longest time that one input may take, in seconds.
const SECONDS_MAX: u32 = 10;
/// Most memory that a target may take, in MiB.
const MIB_MAX: u32 = 2048;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (mut seconds, mut named) = (60_u64, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let text = rest.next().ok_or("--seconds needs a number")?;
                seconds = text
                    .parse()
                    .map_err(|error| format!("--seconds {text}: {error}"))?;
            }
            name if name.starts_with('-') => return Err(format!("fuzz does not know {name}")),
            name => named = Some(name.to_owned()),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask lies in the workspace")?;
    let names = match named {
        Some(name) => vec![name],
        None => targets(root)?,
    };
    let target = target_folder(root);
    // A target of its own keeps the counters out of build scripts and macros.
    let host = host()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--manifest-path", "fuzz/libfuzzer/Cargo.toml"]);
    build.args(["--profile", "fuzz", "--bin", "libfuzzer"]);
    build.args(["--target", &host]);
    build.env("CARGO_ENCODED_RUSTFLAGS", COUNTERS.join("\x1f"));
    build.env("CARGO_TARGET_DIR", target.join("libfuzzer"));
    execute(build.current_dir(root))?;
    let program = target
        .join("libfuzzer")
        .join(&host)
        .join("fuzz")
        .join("libfuzzer");
    for name in names {
        let seeds = root.join("fuzz/seeds").join(&name);
        if !seeds.is_dir() {
            return Err(format!(
                "no target is called {name}: there is no fuzz/seeds/{name}"
            ));
        }
        let folder = target.join("fuzz").join(&name);
        let corpus = folder.join("corpus");
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut fuzzer = Command::new(&program);
        fuzzer.env("FUZZ_TARGET", &name);
        fuzzer.arg(format!("-max_total_time={seconds}"));
        fuzzer.arg(format!("-max_len={BYTES_MAX}"));
        fuzzer.arg(format!("-timeout={SECONDS_MAX}"));
        fuzzer.arg(format!("-rss_limit_mb={MIB_MAX}"));
        fuzzer.arg(format!("-artifact_prefix={}/", folder.display()));
        fuzzer.args(["-print_final_stats=1", "-use_value_profile=1"]);
        println!("fuzzing {name} for {seconds} s");
        execute(fuzzer.arg(&corpus).arg(&seeds))?;
    }
    Ok(())
}

/// The targets: each has a folder of seeds.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/seeds");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// What this machine is called among the compiler's targets.
fn host() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| format!("rustc does not say its host: {text}"))
}
