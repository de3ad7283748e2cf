//! `cargo xtask soak [--seconds N] [--seed N] [--release] [--without-fuzz] [--built] [--journal] [--jobs]`:
//! fuzz targets and a mixed load of the real gateway, each for N seconds (600 unless told). What the load
//! is and what must hold is in `bench/src/soak/`; `./test` runs a short sample of it, of the programs that
//! its tests were built with (`--built`): a build for this alone has other features, and compiles everything
//! anew. Instead of both, which takes minutes: with `--journal`, the journal's writer is killed a thousand
//! times and its power is cut thousands of times, and with `--release` its rate is measured beside those of
//! PostgreSQL and NATS (`gate-store/tests/it/journal/`); with `--jobs`, 50,000 items are worked through over
//! 20 kills and 1,000,000 lines are for their memory (`tidegate/tests/it/jobs/`).

use crate::bench::{execute, target_folder};
use std::env;
use std::path::Path;
use std::process::Command;

/// Targets of `fuzz/`, for sharing the time; being wrong only makes it longer or shorter.
const TARGETS: u64 = 10;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (mut seconds, mut seed, mut release, mut fuzz) = (600, 1, false, true);
    let (mut journal, mut jobs, mut built) = (false, false, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || {
            let text = rest.next().ok_or(format!("{argument} needs a number"))?;
            text.parse::<u64>()
                .map_err(|error| format!("{argument} {text}: {error}"))
        };
        match argument.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            "--release" => release = true,
            "--without-fuzz" => fuzz = false,
            "--built" => built = true,
            "--journal" => journal = true,
            "--jobs" => jobs = true,
            other => return Err(format!("soak does not know {other}")),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask lies in the workspace")?;
    let target = target_folder(root);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    if journal {
        let mut kills = Command::new(&cargo);
        kills.args(["test", "--package", "gate-store", "--test", "it"]);
        kills.args(profile).args(["--", "--ignored", "--nocapture"]);
        kills.args(["journal::crash", "journal::disk"]);
        if release {
            // What is measured means nothing of a build without optimisation.
            kills.arg("journal::bars");
        }
        return execute(kills.current_dir(root));
    }
    if jobs {
        let mut long = Command::new(&cargo);
        long.args(["test", "--package", "tidegate", "--test", "it"]);
        long.args(profile).args(["jobs::", "--", "--nocapture"]);
        long.env("TIDEGATE_JOB_LINES", "1000000");
        long.env("TIDEGATE_JOB_ITEMS", "50000");
        long.env("TIDEGATE_JOB_KILLS", "20");
        long.env("TIDEGATE_JOB_SEED", seed.to_string());
        return execute(long.current_dir(root));
    }
    if !built {
        let mut build = Command::new(&cargo);
        build.args(["build", "--package", "gate-bench", "--package", "tidegate"]);
        execute(build.args(profile).current_dir(root))?;
    }
    let programs = target.join(if release { "release" } else { "debug" });
    let mut soak = Command::new(programs.join("gate-soak"));
    soak.arg("--binary").arg(programs.join("tidegate"));
    soak.arg("--scratch").arg(target.join("soak"));
    soak.args(["--seconds", &seconds.to_string()]);
    soak.args(["--seed", &seed.to_string()]);
    execute(soak.current_dir(root))?;
    if !fuzz {
        return Ok(());
    }
    let mut drive = Command::new(&cargo);
    drive
        .args(["test", "--package", "tidegate-fuzz", "--", "--nocapture"])
        .env("CARGO_TARGET_DIR", &target)
        .env("FUZZ_SECONDS", (seconds / TARGETS).max(1).to_string())
        .env("FUZZ_SEED", seed.to_string());
    execute(drive.current_dir(root))
}
