//! `cargo xtask release`: builds the program that is shipped and measured, which is the release compiled
//! by a profile of the benchmark's load (decision 0041).
//!
//! `cargo xtask release --profile` writes that profile anew, `crates/tidegate/release.profdata`: it runs
//! the load past a program that counts how often each of its branches is taken. Takes a build of
//! the release and needs LLVM's `llvm-profdata`; using the profile needs nothing. Functions are named
//! in it with a checksum of their branches, so that one that has changed since is compiled as without it.

use crate::bench::{execute, target_folder};
use crate::repository::{cargo, root};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where the profile is kept.
const PROFILE: &str = "crates/tidegate/release.profdata";
/// What is run to see what runs. Each runs for as long; what works through large bodies byte by byte is
/// left out, as its counts would make all others small.
const SCENARIOS: &str = "json-1k,json-1k-full,chat,chat-translated,chat-budget,stream-coalesced,stream-burst,\
     stream-paced,tls,waf,cache-hit-1k,cache-hit-64k,lake";

/// How often the load must have run a function, at its busiest branch, for it to be in the profile: what
/// only a start runs is left as it was.
const COUNT_MIN: u64 = 1000;
/// What inlining may cost where the profile knows nothing hot, and the same for functions that ask for it
/// (`#[inline]`, closures). LLVM, which takes no place for cold any more that a profile does not name, would
/// otherwise copy each function's ways to fail: 1.1 MiB, and 0.5 more for those that ask.
const INLINED: &str = "-Cllvm-args=-inline-threshold=25 -Cllvm-args=-inlinehint-threshold=100";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => build("tidegate"),
        [flag] if flag == "--profile" => profile(),
        _ => Err("usage: cargo xtask release [--profile]".to_owned()),
    }
}

/// Builds a package as it is shipped, into the release's folder of the target.
pub(crate) fn build(package: &str) -> Result<(), String> {
    execute(&mut profiled(package))
}

/// The same with the names of its functions.
pub(crate) fn build_with_symbols(package: &str) -> Result<(), String> {
    execute(profiled(package).env("TIDEGATE_KEEP_SYMBOLS", "1"))
}

fn profiled(package: &str) -> Command {
    let mut build = release(package);
    // Absolute, because cargo compiles dependencies in folders of their own.
    let profile = root().join(PROFILE);
    let flag = format!("-Cprofile-use={} {INLINED}", profile.display());
    build.env("RUSTFLAGS", flags(&flag));
    build
}

fn release(package: &str) -> Command {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", package]);
    build
}

/// The flags that the environment gives, and more.
fn flags(more: &str) -> OsString {
    let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        flags.push(" ");
    }
    flags.push(more);
    flags
}

fn profile() -> Result<(), String> {
    let tool = llvm_profdata()?;
    let scratch = target_folder(root()).join("profile");
    let counts = scratch.join("counts");
    let _ = fs::remove_dir_all(&counts);
    fs::create_dir_all(&counts).map_err(|error| format!("{}: {error}", counts.display()))?;
    build("gate-bench")?;
    let mut build = release("tidegate");
    let flag = format!("-Cprofile-generate={}", counts.display());
    build.env("RUSTFLAGS", flags(&flag));
    // Programs that cargo runs while it builds count too, and are not asked.
    build.env("LLVM_PROFILE_FILE", scratch.join("build-%p.profraw"));
    build.env("CARGO_TARGET_DIR", scratch.join("target"));
    execute(&mut build)?;

    let mut bench = Command::new(target_folder(root()).join("release/gate-bench"));
    bench.current_dir(root()).arg("--scratch").arg(&scratch);
    bench
        .arg("--binary")
        .arg(scratch.join("target/release/tidegate"));
    bench.args(["--scenario", SCENARIOS, "--peers", "", "--dry"]);
    bench.args(["--rounds", "1", "--seconds", "3"]);
    bench.env("LLVM_PROFILE_FILE", counts.join("%p.profraw"));
    execute(&mut bench)?;

    let text = scratch.join("all.proftext");
    let mut merge = Command::new(&tool);
    merge.args(["merge", "--text", "--sparse", "--output"]);
    execute(merge.arg(&text).arg(&counts))?;
    let all = fs::read_to_string(&text).map_err(|error| format!("{}: {error}", text.display()))?;
    let (busy, number) = busy(&all, COUNT_MIN);
    fs::write(&text, busy).map_err(|error| format!("{}: {error}", text.display()))?;
    let mut write = Command::new(&tool);
    write.args(["merge", "--output"]);
    execute(write.arg(root().join(PROFILE)).arg(&text))?;
    println!("{PROFILE}: {number} functions; `cargo xtask order` belongs behind it");
    Ok(())
}

/// Those functions of a profile in LLVM's text format that ran so often at least, and how many those are.
/// A function is a block of lines up to an empty one; its counters follow a title of theirs, a line each
/// (<https://llvm.org/docs/CommandGuide/llvm-profdata.html>).
fn busy(text: &str, least: u64) -> (String, usize) {
    let (mut kept, mut number) = (String::from("# IR level Instrumentation Flag\n:ir\n"), 0);
    for function in text.split("\n\n") {
        let Some((_, counters)) = function.split_once("# Counter Values:\n") else {
            continue;
        };
        let counters = counters.lines().map_while(|line| line.parse().ok());
        if counters.max().is_some_and(|most: u64| most >= least) {
            let function = function.trim_start_matches("# IR level Instrumentation Flag\n:ir\n");
            kept.push_str(function);
            kept.push_str("\n\n");
            number += 1;
        }
    }
    (kept, number)
}

/// LLVM's tool from rustup's component `llvm-tools`, the path, or Debian's packages, the newest first.
fn llvm_profdata() -> Result<PathBuf, String> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir"])
        .output();
    let library = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let library = PathBuf::from(String::from_utf8_lossy(&library.stdout).trim());
    let mut folders = vec![library.with_file_name("bin")];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let debian = (22..40).rev();
    folders.extend(debian.map(|version| PathBuf::from(format!("/usr/lib/llvm-{version}/bin"))));
    let tools = folders.iter().map(|folder| folder.join("llvm-profdata"));
    let found = tools.into_iter().find(|tool| tool.is_file());
    found.ok_or_else(|| {
        "llvm-profdata is missing: `rustup component add llvm-tools`, or Debian's llvm-22"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_only_a_start_runs_is_left_out() {
        let head = "# IR level Instrumentation Flag\n:ir\n";
        let start = "read\n# Func Hash:\n7\n# Num Counters:\n2\n# Counter Values:\n3\n999\n\n";
        let serve = "serve\n# Func Hash:\n5000\n# Num Counters:\n2\n# Counter Values:\n0\n1000\n                     # Num Value Kinds:\n1\n# ValueKind = IPVK_IndirectCallTarget:\n0\n\n";
        let (kept, number) = busy(&format!("{head}{start}{serve}"), 1000);
        assert_eq!((kept, number), (format!("{head}{serve}"), 1));
    }
}
