//! The command line of the benchmark; `cargo xtask bench` builds what it needs and runs it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use gate_bench::certificate::Certificate;
use gate_bench::machine::{self, Facts, Shield};
use gate_bench::measure::{Session, measure};
use gate_bench::results::Results;
use gate_bench::scenario::{self, SCENARIOS, Scenario};
use gate_bench::subject::{Kind, Places};
use gate_bench::upstream::Upstream;
use gate_bench::{guard, report};

/// Measures Tidegate and its peers on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Scenarios, comma-separated; all of them when left out.
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Measured seconds of one subject in one round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Peers, comma-separated; one that is not installed is named as missing.
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,envoy")]
    peers: Vec<String>,
    /// The gateway's program.
    #[arg(long, required_unless_present_any = ["without_gateway", "list"])]
    binary: Option<PathBuf>,
    /// Measures the peers only.
    #[arg(long)]
    without_gateway: bool,
    /// Programs that are not on the path, as `envoy=PATH`.
    #[arg(long, value_name = "PEER=PATH")]
    program: Vec<String>,
    /// The folder with peers, scenarios and results.
    #[arg(long, default_value = "bench")]
    folder: PathBuf,
    /// A folder for rendered configurations and logs.
    #[arg(long, default_value = "target/bench")]
    scratch: PathBuf,
    /// The folder of the OWASP Core Rule Set, for scenarios about firewalls.
    #[arg(long, default_value = "../shared/crs")]
    crs: PathBuf,
    /// Prints the table without writing it to results.
    #[arg(long)]
    dry: bool,
    /// Writes the instruction counts to bench/instructions.json.
    #[arg(long, conflicts_with = "check")]
    record: bool,
    /// Fails when an instruction count grew by more than 5 % over the recorded one.
    #[arg(long)]
    check: bool,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&format!("bench: {problem}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to the terminal; a closed pipe is no reason to stop measuring.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn run(options: &Options) -> Result<(), String> {
    if options.list {
        for one in SCENARIOS {
            say(&format!("{:<22} {}\n", one.name, one.about));
        }
        return Ok(());
    }
    let scenarios = chosen(&options.scenario)?;
    let shield = Shield::raise();
    let facts = Facts::read(&shield);
    machine::check_cores()?;
    let session = open_session(options)?;
    let mut results = Results {
        facts,
        command: command(options),
        versions: versions(&session.places),
        tables: Vec::new(),
    };
    let mut failures = Vec::new();
    for scenario in scenarios {
        say(&format!("measuring {} ...\n", scenario.name));
        match measure(&session, scenario) {
            Ok(table) => {
                say(&report::table(&table));
                if table.rows.iter().any(|row| row.failed) {
                    failures.push(scenario.name);
                }
                results.tables.push(table);
            }
            Err(problem) => {
                say(&format!("{} failed: {problem}\n", scenario.name));
                failures.push(scenario.name);
            }
        }
    }
    finish(options, &results)?;
    match failures.as_slice() {
        [] => Ok(()),
        names => Err(format!("failed: {}", names.join(", "))),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let mut scenarios = Vec::new();
    for name in names {
        let found = scenario::find(name);
        if found.is_empty() {
            return Err(format!("no scenario is called {name}; --list shows them"));
        }
        scenarios.extend(found);
    }
    Ok(scenarios)
}

fn open_session(options: &Options) -> Result<Session, String> {
    let absolute = |path: &Path| {
        fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&options.scratch)
        .map_err(|error| format!("{}: {error}", options.scratch.display()))?;
    let scratch = absolute(&options.scratch)?;
    let mut kinds = Vec::new();
    let mut programs = BTreeMap::new();
    for name in options.peers.iter().filter(|name| !name.is_empty()) {
        let kind = peer(name)?;
        kinds.push(kind);
        let of_peer = |given: &String| {
            let (peer, path) = given.split_once('=')?;
            (peer == name).then(|| PathBuf::from(path))
        };
        let given = options.program.iter().find_map(of_peer);
        let found = given.or_else(|| find_program(kind.program()));
        let found = found.filter(|_| kind.module().is_none_or(Path::is_file));
        if let Some(program) = found {
            programs.insert(kind, absolute(&program)?);
        } else {
            say(&format!(
                "{name} is missing; `cargo xtask bench --install` installs it\n"
            ));
        }
    }
    if let (Some(binary), false) = (&options.binary, options.without_gateway) {
        kinds.push(Kind::Tidegate);
        programs.insert(Kind::Tidegate, absolute(binary)?);
    }
    let files = machine::raise_file_limit();
    machine::pin_thread(machine::LOAD_CORE).map_err(|error| format!("cannot pin: {error}"))?;
    let upstream = Upstream::start(Some(machine::LOAD_CORE))
        .map_err(|error| format!("cannot start the mock upstream: {error}"))?;
    Ok(Session {
        certificate: Certificate::make(&scratch)?,
        places: Places {
            bench: absolute(&options.folder)?,
            scratch,
            programs,
            crs: absolute(&options.crs).unwrap_or_else(|_| options.crs.clone()),
        },
        kinds,
        upstream,
        rounds: options.rounds.into(),
        measured: Duration::from_secs(options.seconds.into()),
        files,
    })
}

fn peer(name: &str) -> Result<Kind, String> {
    const PEERS: [Kind; 6] = [
        Kind::Nginx,
        Kind::NginxModsecurity,
        Kind::Haproxy,
        Kind::Envoy,
        Kind::Litellm,
        Kind::Portkey,
    ];
    let known = || PEERS.map(Kind::name).join(", ");
    PEERS
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| format!("no peer is called {name}; there are {}", known()))
}

/// The program on the path, or where Debian keeps what only an administrator should start.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(administrators);
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn versions(places: &Places) -> Vec<(Kind, String)> {
    let version = |(kind, program): (&Kind, &PathBuf)| {
        if *kind == Kind::Portkey {
            // Whatever it is asked, it serves.
            let package = program.parent()?.parent()?.join("package.json");
            let package: serde_json::Value =
                serde_json::from_slice(&fs::read(package).ok()?).ok()?;
            return Some((*kind, package["version"].as_str()?.to_owned()));
        }
        let argument = if kind.is_nginx() || *kind == Kind::Haproxy {
            "-v"
        } else {
            "--version"
        };
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| line.contains("ersion"))?;
        // What the line says of paths is nobody's business.
        let words = line
            .split_whitespace()
            .filter(|word| !word.starts_with('/'));
        Some((*kind, words.collect::<Vec<_>>().join(" ")))
    };
    places.programs.iter().filter_map(version).collect()
}

/// The command that repeats this run.
fn command(options: &Options) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    if !options.scenario.is_empty() {
        words.push(format!("--scenario {}", options.scenario.join(",")));
    }
    words.push(format!(
        "--rounds {} --seconds {}",
        options.rounds, options.seconds
    ));
    words.push(format!("--peers {}", options.peers.join(",")));
    if options.without_gateway {
        words.push("--without-gateway".to_owned());
    }
    words.join(" ")
}

fn finish(options: &Options, results: &Results) -> Result<(), String> {
    let markdown = report::markdown(results);
    if let Some((_, bars)) = markdown.split_once("\n## Bars\n") {
        say(&format!("\n## Bars\n{bars}"));
    }
    let counts = options.folder.join("instructions.json");
    if options.record {
        guard::record(&results.tables, &counts)?;
    }
    if options.check {
        say(&format!("{}\n", guard::check(&results.tables, &counts)?));
    }
    if options.dry || results.tables.is_empty() {
        return Ok(());
    }
    let folder = options.folder.join("results");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = format!("{}-{}", results.facts.date, results.facts.commit);
    let json = format!("{:#}\n", report::json(results));
    for (ending, text) in [("md", &markdown), ("json", &json)] {
        let file = folder.join(format!("{name}.{ending}"));
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        say(&format!("wrote {}\n", file.display()));
    }
    Ok(())
}
