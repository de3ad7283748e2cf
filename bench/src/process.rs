//! Child processes that cannot outlive a measurement, and what they use of the machine.
//!
//! Every child leads a process group of its own and is told by the kernel to end when this
//! process dies for whatever reason (`setpriv --pdeathsig`); dropping a [`Process`] ends it.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use gate_kit::clock::Clock;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::machine;

/// How long a child may take to end after it was asked.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How long the kernel may take to end what was killed.
const KILL_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks at a child.
const LOOK: Duration = Duration::from_millis(2);

/// A running child and everything that it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `core` with its output in `log`. The calling thread must belong to
    /// the load core and outlive the child.
    pub fn start(name: &str, command: &[String], core: usize, log: &Path) -> Result<Self, String> {
        let fail = |error: io::Error| format!("cannot start {name}: {error}");
        let output = File::create(log).map_err(fail)?;
        machine::pin_thread(core).map_err(fail)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(fail)?)
            .stderr(output)
            .process_group(0)
            .spawn();
        machine::pin_thread(machine::LOAD_CORE).map_err(fail)?;
        Ok(Self {
            name: name.to_owned(),
            child: child.map_err(fail)?,
            log: log.to_owned(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of its output when the child has ended.
    pub fn check_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!(
                "{} ended with {status}: {}",
                self.name,
                self.log_tail()
            )),
            Err(error) => Err(format!("cannot look at {}: {error}", self.name)),
        }
    }

    /// Sends a signal to the child itself.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(self.id()) {
            // A child that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the child to end; false when it has not within the deadline.
    pub fn wait(&mut self, deadline: Duration) -> bool {
        let clock = Clock::System;
        let began = clock.now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if clock.now().since(began) > deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// How it ended; `None` while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines of its output.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// Ends the child politely, its group by force; returns once none of its tree runs.
    pub fn stop(&mut self) {
        let tree = tree(self.id());
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            self.wait(STOP_DEADLINE);
        }
        if let Some(group) = pid(self.id()) {
            // Nothing is left in the group when all went well.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        // The kernel ends a killed process when it is next scheduled.
        let clock = Clock::System;
        let began = clock.now();
        while tree.iter().any(|&id| runs(id)) && clock.now().since(began) < KILL_DEADLINE {
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

/// Whether a process runs; one that only waits for its reaper does not.
fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// The process and its descendants.
#[must_use]
pub fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; state and parent follow it.
            let parent = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some((id, parent))
        })
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&parent) = tree.get(at) {
        tree.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| *id),
        );
        at += 1;
    }
    tree
}

/// Time on a core of every thread of the tree, from the scheduler's own counters.
#[must_use]
pub fn cpu_time(root: u32) -> Duration {
    threads_time(root, "")
}

/// The same of threads whose name begins so.
#[must_use]
pub fn threads_time(root: u32, name: &str) -> Duration {
    let mut nanos = 0;
    for id in tree(root) {
        let tasks = fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let comm = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if !comm.starts_with(name) {
                continue;
            }
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            nanos += text
                .split(' ')
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(nanos)
}

/// Proportional resident memory of the tree, in MiB.
#[must_use]
pub fn memory_mib(root: u32) -> f64 {
    rollup_mib(root, "Pss:")
}

/// What it holds of its own: without pages of files, which come and go with what runs.
pub fn own_memory_mib(root: u32) -> f64 {
    rollup_mib(root, "Anonymous:")
}

fn rollup_mib(root: u32, field: &str) -> f64 {
    let kib: u64 = tree(root)
        .into_iter()
        .filter_map(|id| {
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with(field))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum();
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(scratch: &Path) -> Process {
        let script = "sleep 600 & wait";
        let command = ["sh", "-c", script].map(str::to_owned);
        Process::start(
            "sleeper",
            &command,
            machine::LOAD_CORE,
            &scratch.join("log"),
        )
        .expect("sh and setpriv exist")
    }

    #[test]
    fn a_dropped_process_takes_its_children_along() {
        let scratch = std::env::temp_dir().join(format!("gate-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch).expect("scratch");
        let process = sleeper(&scratch);
        let clock = Clock::System;
        let began = clock.now();
        while tree(process.id()).len() < 2 {
            assert!(
                clock.now().since(began) < Duration::from_secs(10),
                "sh starts sleep"
            );
            std::thread::sleep(LOOK);
        }
        let tree = tree(process.id());
        assert!(cpu_time(process.id()) > Duration::ZERO);
        assert!(memory_mib(process.id()) > 0.0);
        drop(process);
        for id in tree {
            assert!(!runs(id), "{id} still runs");
        }
        fs::remove_dir_all(&scratch).expect("scratch is ours");
    }

    #[test]
    fn a_child_that_ends_at_once_is_reported_with_its_words() {
        let log = std::env::temp_dir().join(format!("gate-bench-{}.log", std::process::id()));
        let command = ["sh", "-c", "echo no such option >&2; exit 3"].map(str::to_owned);
        let mut process = Process::start("talker", &command, machine::LOAD_CORE, &log)
            .expect("sh and setpriv exist");
        assert!(process.wait(Duration::from_secs(10)));
        let error = process.check_alive().expect_err("it has ended");
        assert!(error.contains("no such option"), "{error}");
        fs::remove_file(&log).expect("log is ours");
    }
}
