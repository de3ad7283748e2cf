//! The command line of the soak; `cargo xtask soak` builds what it needs and runs it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gate_bench::soak::{Options, soak};

/// Loads and disturbs a gateway for a time, and checks that it bears it.
#[derive(Debug, Parser)]
struct Arguments {
    /// The gateway's program.
    #[arg(long)]
    binary: PathBuf,
    /// The folder with the scenarios.
    #[arg(long, default_value = "bench")]
    folder: PathBuf,
    /// A folder for configuration and log.
    #[arg(long, default_value = "target/soak")]
    scratch: PathBuf,
    /// Seconds of load.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(6..=86_400))]
    seconds: u64,
    /// The sequence of what the troublemakers do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        binary: arguments.binary,
        folder: arguments.folder,
        scratch: arguments.scratch,
        seconds: arguments.seconds,
        seed: arguments.seed,
    };
    let (text, code) = match soak(&options) {
        Ok(text) => (format!("soak: {text}\n"), ExitCode::SUCCESS),
        Err(problem) => (format!("soak: {problem}\n"), ExitCode::FAILURE),
    };
    // A closed pipe does not change how it went.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}
