//! Counts that noise cannot move: system calls by strace, user instructions by callgrind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gate_kit::clock::Clock;
use rustix::process::Signal;

use super::Session;
use super::fleet::{Fleet, load, setup};
use crate::load::{Pace, Stop};
use crate::machine;
use crate::process::{self, Process};
use crate::results::Row;
use crate::scenario::Scenario;
use crate::subject::{Kind, Subject};

/// Requests under strace.
const TRACED_REQUESTS: u64 = 4000;
/// Connections under strace.
const TRACED_CONNECTIONS: usize = 8;
/// Requests of the shorter and the longer run under callgrind; start-up falls out of the
/// difference.
pub(super) const COUNTED_REQUESTS: [u64; 2] = [500, 2500];
/// The longest start or load under a tool.
pub(super) const SLOW_DEADLINE: Duration = Duration::from_secs(120);
/// The longest attaching of strace, and its writing of the summary.
const STRACE_DEADLINE: Duration = Duration::from_secs(10);

/// System calls per request.
pub(super) fn syscalls(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(session, scenario, false)?;
    for (subject, row) in fleet.subjects.iter_mut().zip(&mut fleet.rows) {
        let file = session
            .places
            .scratch
            .join(format!("{}.strace", subject.kind.name()));
        let mut strace = attach(subject.id(), &file, &session.places.scratch)?;
        let request = subject.request(scenario);
        let stop = answers(TRACED_REQUESTS);
        let done = load(subject, request, TRACED_CONNECTIONS, Pace::Closed, stop)?;
        strace.signal(Signal::INT);
        if !strace.wait(STRACE_DEADLINE) {
            return Err("strace did not end".to_owned());
        }
        let summary = fs::read_to_string(&file).map_err(|e| format!("strace summary: {e}"))?;
        let calls = read_strace(&summary)?;
        let total: u64 = calls.iter().map(|(_, count)| count).sum();
        let requests = done.outcome.answers as f64;
        row.add("syscalls_per_request", total as f64 / requests);
        let top: Vec<String> = calls
            .iter()
            .take(5)
            .map(|(name, count)| format!("{name} {:.2}", *count as f64 / requests))
            .collect();
        row.note = Some(top.join(", "));
    }
    Ok(fleet.finish())
}

fn answers(count: u64) -> Stop {
    Stop::Answers {
        count,
        deadline: SLOW_DEADLINE,
    }
}

/// Attaches strace to every process of a tree and waits until it follows all threads.
fn attach(root: u32, file: &Path, scratch: &Path) -> Result<Process, String> {
    let mut command = vec!["strace".to_owned(), "-f".into(), "-c".into(), "-o".into()];
    command.push(file.display().to_string());
    for id in process::tree(root) {
        command.extend(["-p".to_owned(), id.to_string()]);
    }
    let log = scratch.join("strace.log");
    let mut strace = Process::start("strace", &command, machine::LOAD_CORE, &log)?;
    let clock = Clock::System;
    let began = clock.now();
    while !is_traced(root) {
        strace.check_alive()?;
        if clock.now().since(began) > STRACE_DEADLINE {
            return Err(format!("strace did not attach: {}", strace.log_tail()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(strace)
}

fn is_traced(root: u32) -> bool {
    let tasks = process::tree(root).into_iter().flat_map(|id| {
        fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten()
    });
    let mut statuses =
        tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap_or_default());
    statuses.all(|status| !status.contains("TracerPid:\t0\n"))
}

/// Calls by name, most frequent first, from the table of `strace -c`.
fn read_strace(summary: &str) -> Result<Vec<(String, u64)>, String> {
    let mut calls: Vec<(String, u64)> = summary
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = *words.last()?;
            // Share, seconds, time per call and calls are numbers; the errors may be absent.
            words.first()?.parse::<f64>().ok()?;
            let count = words.get(3)?.parse().ok()?;
            (name != "total").then(|| (name.to_owned(), count))
        })
        .collect();
    if calls.is_empty() {
        return Err(format!("strace counted nothing: {}", summary.trim()));
    }
    calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(calls)
}

/// User instructions per request.
pub(super) fn instructions(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for kind in session.kinds_for(scenario) {
        if kind == Kind::Envoy {
            let why = "not counted: nginx and HAProxy are the references".to_owned();
            rows.push(Row::missing(kind, why));
            continue;
        }
        if !session.places.programs.contains_key(&kind) {
            rows.push(Row::missing(kind, "missing: not installed".to_owned()));
            continue;
        }
        let [short, long] = COUNTED_REQUESTS;
        let few = count_instructions(session, scenario, kind, short)?;
        let many = count_instructions(session, scenario, kind, long)?;
        let mut row = Row::new(kind);
        let per_request = many.all.saturating_sub(few.all) as f64 / (long - short) as f64;
        row.add("instructions_per_request", per_request);
        rows.push(row);
    }
    Ok(rows)
}

/// Instructions of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// Of all threads.
    pub(super) all: u64,
    /// Of the thread with the most.
    pub(super) busiest: u64,
}

/// Runs a subject under callgrind for `requests` requests on one connection.
pub(super) fn count_instructions(
    session: &Session,
    scenario: &Scenario,
    kind: Kind,
    requests: u64,
) -> Result<Count, String> {
    let name = format!("callgrind.{}", kind.name());
    let file = session.places.scratch.join(&name);
    // Counts of an earlier run must not be taken for this one's.
    for old in of_threads(session, &name)? {
        let _ = fs::remove_file(old);
    }
    let under = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--separate-threads=yes".to_owned(),
        format!("--callgrind-out-file={}", file.display()),
    ];
    let mut subject = Subject::start(kind, &session.places, &setup(session, scenario, &under))?;
    let request = scenario.request(kind);
    subject.await_serving(&request, SLOW_DEADLINE)?;
    load(&mut subject, request, 1, Pace::Closed, answers(requests))?;
    if let Some(process) = &mut subject.process {
        process.stop();
    }
    let mut count = Count { all: 0, busiest: 0 };
    for file in of_threads(session, &name)? {
        let text = fs::read_to_string(&file);
        let text = text.map_err(|error| format!("callgrind's file: {error}"))?;
        let one = read_callgrind(&text)?;
        count.all += one;
        count.busiest = count.busiest.max(one);
    }
    match count.all {
        0 => Err("callgrind counted nothing".to_owned()),
        _ => Ok(count),
    }
}

/// Callgrind's files of a run, one for each thread (`NAME-01`).
fn of_threads(session: &Session, name: &str) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("{}: {error}", session.places.scratch.display());
    let entries = fs::read_dir(&session.places.scratch).map_err(failed)?;
    let is_of_thread = |path: &PathBuf| {
        let number = path.file_name().and_then(|file| file.to_str());
        let number = number.and_then(|file| file.strip_prefix(name)?.strip_prefix('-'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(is_of_thread).collect())
}

/// The total of a callgrind file.
fn read_callgrind(text: &str) -> Result<u64, String> {
    text.lines()
        .rev()
        .find_map(|line| {
            line.strip_prefix("totals:")
                .or_else(|| line.strip_prefix("summary:"))
        })
        .and_then(|total| total.trim().parse().ok())
        .ok_or_else(|| "callgrind's file has no total".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table_of_strace() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            61.00    0.020000           5      2000           writev\n \
            39.00    0.010000           5      4001       100 recvfrom\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.030000           5      6001       100 total\n";
        let expected = [("recvfrom".to_owned(), 4001), ("writev".to_owned(), 2000)];
        assert_eq!(read_strace(summary).as_deref(), Ok(&expected[..]));
        assert!(read_strace("nothing").is_err());
    }

    #[test]
    fn reads_the_total_of_callgrind() {
        assert_eq!(
            read_callgrind("events: Ir\nfn=(1)\n1 5\ntotals: 12345\n"),
            Ok(12345)
        );
        assert!(read_callgrind("events: Ir\n").is_err());
    }
}
