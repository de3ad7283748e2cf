//! The machine under the measurement: pinning, limits, timer slack, and the facts that a reader
//! of the results needs. No host names and no paths: results are committed.

use std::fs;
use std::io;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the load generator and the mock upstream.
pub const LOAD_CORE: usize = 0;
/// The core of the proxy under measurement.
pub const PROXY_CORE: usize = 1;
/// Open files wanted: 10,000 connections with room for their upstream sides.
const FILES_WANTED: u64 = 65_536;

/// Binds the calling thread, and children that it starts later, to one core.
pub fn pin_thread(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)?;
    Ok(())
}

/// Fails with what to do when this process may not use both cores.
pub fn check_cores() -> Result<(), String> {
    let set =
        sched_getaffinity(None).map_err(|error| format!("cannot read CPU affinity: {error}"))?;
    if set.is_set(LOAD_CORE) && set.is_set(PROXY_CORE) {
        return Ok(());
    }
    Err(format!(
        "this process may not use cores {LOAD_CORE} and {PROXY_CORE}; run it without taskset on a \
         machine with two cores"
    ))
}

/// Raises the limit of open files as far as allowed; returns the limit in force.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let above_hard = Rlimit {
        current: Some(FILES_WANTED),
        maximum: Some(FILES_WANTED.max(limit.maximum.unwrap_or(FILES_WANTED))),
    };
    if setrlimit(Resource::Nofile, above_hard).is_err() {
        let hard = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Without either, the limit in force decides which scenarios can run.
        let _ = setrlimit(Resource::Nofile, hard);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Sets how late the kernel may wake this thread, in nanoseconds; 0 restores the default.
pub fn set_timer_slack(nanos: u64) -> io::Result<()> {
    fs::write("/proc/self/timerslack_ns", nanos.to_string())
}

const GROUP: &str = "/proc/self/autogroup";

/// This session's scheduling group, proxies included, raised above other sessions while it
/// lives: a plain nice value does nothing across groups.
#[derive(Debug)]
pub struct Shield {
    before: Option<String>,
}

impl Shield {
    /// Raises the group, where the kernel and the rights allow it.
    #[must_use]
    pub fn raise() -> Self {
        let text = fs::read_to_string(GROUP).unwrap_or_default();
        let before = text.split_whitespace().last().map(str::to_owned);
        let raised = fs::write(GROUP, "-20").is_ok();
        Self {
            before: before.filter(|_| raised),
        }
    }

    /// Whether the group was raised.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What could be raised can be lowered; there is nobody to tell otherwise.
            let _ = fs::write(GROUP, before);
        }
    }
}

/// What is printed above every table.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The commit measured, with `-dirty` when the tree differs from it.
    pub commit: String,
    /// The day, as YYYY-MM-DD in UTC.
    pub date: String,
    /// Cores online.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// One-minute load average before the run.
    pub load_average: f64,
    /// Whether this session's scheduling group was raised above others.
    pub shielded: bool,
}

impl Facts {
    /// Reads the facts, once per run; what cannot be read is called unknown.
    #[must_use]
    pub fn read(shield: &Shield) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(':'))
                .map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = first_number(&memory).unwrap_or(0);
        Self {
            commit: commit(),
            date: output("date", &["-u", "+%Y-%m-%d"]),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: memory_kib / 1024,
            load_average: first_number(&read("/proc/loadavg")).unwrap_or(0.0),
            shielded: shield.is_up(),
        }
    }
}

fn first_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_whitespace().next()?.parse().ok()
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    match changes.as_str() {
        "" | "unknown" => commit,
        _ => format!("{commit}-dirty"),
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
