//! http-tests/cache-tests through a running gateway: the suite's own origin behind it, its own client
//! in front of it, its own judgement of the results.
//!
//! The checkout lies beside the project (`../cache-tests`, or where `TIDEGATE_CACHE_TESTS` says) with
//! its packages installed (`npm install`); where it does not, the suite is skipped and counted. The
//! gateway is built for it, unless `TIDEGATE_BINARY` names one.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Tests that have to pass.
const REQUIRED: usize = 150;
/// Tests of optimal behaviour of which this many have to pass.
const OPTIMAL: usize = 88;

/// Prints `kind passed all` a line, and every test of the two kinds that did not pass.
const SCORE: &str = r"
import fs from 'fs';
const [, , folder, file] = process.argv;
const { determineTestResult } = await import(folder + '/test-engine/lib/results.mjs');
const suites = (await import(folder + '/tests/index.mjs')).default;
const results = JSON.parse(fs.readFileSync(file));
const counts = {};
for (const suite of suites) for (const test of suite.tests) {
  if (test.browser_only) continue;
  const kind = (test.cdn_only ? 'cdn-' : '') + (test.kind ?? 'required');
  const passed = ['✅', 'Y'].includes(determineTestResult(suites, test.id, results)[2]);
  counts[kind] ??= [0, 0];
  counts[kind][0] += passed;
  counts[kind][1] += 1;
  if (!passed && !kind.endsWith('check')) console.log(`missed ${kind} ${test.id}: ${results[test.id]?.[1] ?? 'a prerequisite'}`);
}
for (const [kind, [passed, all]] of Object.entries(counts)) console.log(`${kind} ${passed} ${all}`);
";

/// A program that ends with the run.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself need not be ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the suite; 1 is skipped where it is not there.
pub(super) fn run(root: &Path) -> Result<usize, String> {
    let folder = std::env::var_os("TIDEGATE_CACHE_TESTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| root.join("../cache-tests"));
    let has_node = Command::new("node").arg("--version").output().is_ok();
    if !has_node || !folder.join("node_modules/undici").is_dir() {
        println!(
            "{:<24} cache-tests: no checkout with its packages, or no node",
            "skipped"
        );
        return Ok(1);
    }
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let binary = binary(root)?;
    let scratch = std::env::temp_dir().join(format!("tidegate-cache-tests-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;
    let ended = pass(&binary, &folder, &scratch);
    // What is left there is a few kilobytes.
    let _ = std::fs::remove_dir_all(&scratch);
    ended.map(|()| 0)
}

/// The program that is tried: the one that `TIDEGATE_BINARY` names, or one that is built now.
fn binary(root: &Path) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("TIDEGATE_BINARY") {
        return Ok(PathBuf::from(named));
    }
    let built = super::cargo(root)
        .args(["build", "--package", "tidegate"])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("tidegate cannot be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| root.join("target"));
    Ok(target.join("debug/tidegate"))
}

/// One pass of the suite, with its files in a folder of its own.
fn pass(binary: &Path, folder: &Path, scratch: &Path) -> Result<(), String> {
    let (origin, gateway) = (port()?, port()?);
    let _origin = start_origin(folder, scratch, origin)?;
    let _gateway = start_gateway(binary, scratch, origin, gateway)?;
    let results = Command::new("node")
        .args(["--no-warnings", "test-engine/cli.mjs"])
        .current_dir(folder)
        .env("npm_config_base", format!("http://127.0.0.1:{gateway}"))
        .env("npm_package_config_id", "")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("the suite's client: {error}"))?;
    let file = scratch.join("results.json");
    std::fs::write(&file, &results.stdout).map_err(|error| error.to_string())?;
    judge(folder, &file)
}

fn judge(folder: &Path, results: &Path) -> Result<(), String> {
    let script = results.with_file_name("score.mjs");
    std::fs::write(&script, SCORE).map_err(|error| error.to_string())?;
    let score = Command::new("node")
        .arg(&script)
        .args([folder, results])
        .output();
    let score = score.map_err(|error| format!("the suite's judgement: {error}"))?;
    let text = String::from_utf8_lossy(&score.stdout);
    let passed = |kind: &str| {
        let row = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{kind} ")));
        let mut numbers = row.into_iter().flat_map(|row| row.split(' '));
        numbers
            .next()
            .and_then(|number| number.parse::<usize>().ok())
            .unwrap_or(0)
    };
    text.lines()
        .for_each(|line| println!("cache-tests              {line}"));
    match passed("required") >= REQUIRED && passed("optimal") >= OPTIMAL {
        true => Ok(()),
        false => Err("a bar of cache-tests was missed".into()),
    }
}

fn start_origin(folder: &Path, scratch: &Path, port: u16) -> Result<Running, String> {
    let mut child = Command::new("node")
        .arg("test-engine/server/server.mjs")
        .current_dir(folder)
        .env("npm_config_port", port.to_string())
        .env("npm_config_protocol", "http")
        .env("npm_config_pidfile", scratch.join("pid"))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the suite's origin: {error}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output is piped")?).lines();
    let running = Running(child);
    // It says where it listens; what it says later is read away so that it never waits for us.
    let first = lines.next();
    std::thread::spawn(move || lines.for_each(drop));
    first
        .map(|_| running)
        .ok_or_else(|| "the suite's origin ended".to_owned())
}

fn start_gateway(binary: &Path, scratch: &Path, origin: u16, port: u16) -> Result<Running, String> {
    let document = format!(
        "gateway: {{ workers: 1 }}\n\
         listeners: {{ public: {{ address: '127.0.0.1:{port}' }} }}\n\
         upstreams:\n  origin:\n    endpoints: ['127.0.0.1:{origin}']\n    \
         retry: {{ attempts: 0 }}\n    outlier: {{ failures: 0 }}\n\
         routes: {{ all: {{ match: {{ path: '/{{*rest}}' }}, policies: [{{ cache: {{}} }}], target: {{ upstream: origin }} }} }}\n"
    );
    let file = scratch.join("tidegate.yaml");
    std::fs::write(&file, document).map_err(|error| error.to_string())?;
    let child = Command::new(binary)
        .arg("run")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the gateway: {error}"))?;
    let mut running = Running(child);
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(running);
        }
        if let Ok(Some(status)) = running.0.try_wait() {
            return Err(format!("the gateway ended with {status}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("the gateway does not listen after 30 s".into())
}

/// A port that is free now.
fn port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}
