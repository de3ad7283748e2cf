//! How long a worker's task runs before it lets others run, by the kernel's probes in the program.
//!
//! Every instance of tokio's `task::raw::poll` gets a probe at its entry and at its return
//! (`uprobe_events` of tracefs). Time in which the worker's thread was not on a core is taken off by
//! the scheduler's own events. A probe costs a poll one to three microseconds, which stay in. It
//! needs root, tracefs and a program whose symbols have not been stripped.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Session;
use super::fleet::{Fleet, load};
use crate::load::{Pace, Stop};
use crate::results::Row;
use crate::scenario::Scenario;
use crate::subject::Kind;

const TRACEFS: &str = "/sys/kernel/tracing";
/// Kilobytes of events that each core keeps.
const BUFFER_KB: &str = "65536";
/// Connections of the load.
const CONNECTIONS: usize = 32;
/// Requests under the probes.
const REQUESTS: u64 = 20_000;
/// The longest load under the probes.
const DEADLINE: Duration = Duration::from_secs(60);
/// What no poll should take, in microseconds.
const LIMIT_US: f64 = 200.0;

/// Times of polls on the gateway's workers; peers have none.
pub(super) fn polls(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let Some(program) = session.places.programs.get(&Kind::Tidegate) else {
        return Ok(Vec::new());
    };
    let probes = match Probes::set(program) {
        Ok(probes) => probes,
        Err(why) => return Ok(vec![Row::missing(Kind::Tidegate, why)]),
    };
    let mut fleet = Fleet::start(session, scenario, false)?;
    for (subject, row) in fleet.subjects.iter_mut().zip(&mut fleet.rows) {
        if subject.kind != Kind::Tidegate {
            row.note = Some("not measured".to_owned());
            continue;
        }
        let stop = || Stop::Answers {
            count: REQUESTS,
            deadline: DEADLINE,
        };
        let request = || subject.request(scenario);
        let warm = request();
        let measured = request();
        load(subject, warm, CONNECTIONS, Pace::Closed, stop())?;
        probes.start()?;
        let loaded = load(subject, measured, CONNECTIONS, Pace::Closed, stop());
        probes.stop()?;
        loaded?;
        let trace = fs::read_to_string(tracefs("trace")).map_err(|e| format!("trace: {e}"))?;
        let mut times = read_trace(&trace);
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1).ok_or("the probes saw no poll")?;
        let quantile = |share: f64| times[((times.len() as f64 * share) as usize).min(last)];
        row.add("polls", times.len() as f64);
        row.add("p50_us", quantile(0.5));
        row.add("p99_us", quantile(0.99));
        row.add("p999_us", quantile(0.999));
        row.add("max_us", times[last]);
        let long = times.iter().filter(|time| **time > LIMIT_US).count();
        row.add("over_200_us", long as f64);
    }
    Ok(fleet.finish())
}

fn tracefs(file: &str) -> String {
    format!("{TRACEFS}/{file}")
}

fn write(file: &str, text: &str) -> Result<(), String> {
    fs::write(tracefs(file), text).map_err(|error| format!("{}: {error}", tracefs(file)))
}

/// Probes in a program, which end with this.
struct Probes;

impl Probes {
    /// Sets them; none is active yet.
    fn set(program: &Path) -> Result<Self, String> {
        let symbols = output("nm", program)?;
        let segments = output("readelf", program)?;
        let (offset, address) = code_segment(&segments).ok_or("the program has no code segment")?;
        let mut events = String::new();
        for (number, at) in polls_in(&symbols).into_iter().enumerate() {
            let at = at - address + offset;
            let program = program.display();
            events += &format!("p:in{number} {program}:{at:#x}\nr:out{number} {program}:{at:#x}\n");
        }
        if events.is_empty() {
            let why = "not measured: build with CARGO_PROFILE_RELEASE_STRIP=none for symbols";
            return Err(why.to_owned());
        }
        let probes = Self;
        write("uprobe_events", &events).map_err(|why| format!("not measured: {why}"))?;
        write("buffer_size_kb", BUFFER_KB)?;
        let workers = "prev_comm ~ \"worker*\" || next_comm ~ \"worker*\"";
        write("events/sched/sched_switch/filter", workers)?;
        Ok(probes)
    }

    fn start(&self) -> Result<(), String> {
        write("trace", "")?;
        write("events/sched/sched_switch/enable", "1")?;
        write("events/uprobes/enable", "1")?;
        write("tracing_on", "1")
    }

    fn stop(&self) -> Result<(), String> {
        write("tracing_on", "0")?;
        write("events/uprobes/enable", "0")?;
        write("events/sched/sched_switch/enable", "0")
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        // What is still active cannot be removed; what is not there needs no removal.
        let _ = self.stop();
        let _ = write("events/sched/sched_switch/filter", "0");
        let _ = write("uprobe_events", "");
        let _ = write("trace", "");
        let _ = write("buffer_size_kb", "1408");
    }
}

fn output(tool: &str, program: &Path) -> Result<String, String> {
    let mut command = Command::new(tool);
    if tool == "readelf" {
        command.arg("-lW");
    }
    let output = command.arg(program).output();
    let output = output.map_err(|error| format!("not measured: {tool}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Addresses of all instances of tokio's `task::raw::poll`, from what `nm` prints.
fn polls_in(symbols: &str) -> Vec<u64> {
    let address = |line: &str| {
        line.contains("tokio7runtime4task3raw4poll")
            .then(|| u64::from_str_radix(line.split(' ').next()?, 16).ok())
            .flatten()
    };
    symbols.lines().filter_map(address).collect()
}

/// File offset and address of the code, from what `readelf -lW` prints.
fn code_segment(segments: &str) -> Option<(u64, u64)> {
    let line = segments
        .lines()
        .find(|line| line.trim_start().starts_with("LOAD") && line.contains("R E"))?;
    let number = |index: usize| {
        let word = line.split_whitespace().nth(index)?;
        u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
    };
    Some((number(1)?, number(2)?))
}

/// What a thread is doing.
#[derive(Default)]
struct Thread<'t> {
    /// Probes entered, when, and the time off the core until then.
    open: Vec<(&'t str, f64, f64)>,
    left_at: Option<f64>,
    off_us: f64,
}

/// Times on a core of all polls in a trace, in microseconds.
fn read_trace(trace: &str) -> Vec<f64> {
    let mut threads: HashMap<&str, Thread<'_>> = HashMap::new();
    let mut times = Vec::new();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let Some((thread, at_us, event)) = read_line(line) else {
            continue;
        };
        if let Some(switch) = event.strip_prefix("sched_switch: ") {
            if let Some(left) = member(switch, "prev_pid=") {
                threads.entry(left).or_default().left_at = Some(at_us);
            }
            let back = member(switch, "next_pid=").and_then(|pid| threads.get_mut(pid));
            if let Some(back) = back {
                back.off_us += back.left_at.take().map_or(0.0, |left| at_us - left);
            }
        } else if let Some(probe) = number_of(event, "in") {
            let thread = threads.entry(thread).or_default();
            thread.open.push((probe, at_us, thread.off_us));
        } else if let Some(probe) = number_of(event, "out") {
            let thread = threads.entry(thread).or_default();
            if let Some((entered, began, off_us)) = thread.open.pop()
                && entered == probe
            {
                times.push(at_us - began - (thread.off_us - off_us));
            }
        }
    }
    times
}

/// Thread, time and event of a line such as `worker-0-12 [001] d..1. 7.000010: in5: (0x7)`.
fn read_line(line: &str) -> Option<(&str, f64, &str)> {
    let (task, rest) = line.split_once('[')?;
    let (_, thread) = task.trim_end().rsplit_once('-')?;
    let (before, event) = rest.split_once(": ")?;
    let seconds: f64 = before.split_whitespace().last()?.parse().ok()?;
    Some((thread, seconds * 1e6, event))
}

fn member<'t>(event: &'t str, name: &str) -> Option<&'t str> {
    let value = &event[event.find(name)? + name.len()..];
    value.split(' ').next()
}

fn number_of<'t>(event: &'t str, kind: &str) -> Option<&'t str> {
    let (number, _) = event.strip_prefix(kind)?.split_once(':')?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_timed_without_what_others_had_of_the_core() {
        let trace = "# tracer: nop\n \
            worker-0-12 [001] DNZff 7.000010: in5: (0x7)\n \
            worker-0-12 [001] d..2. 7.000020: sched_switch: prev_comm=worker-0 prev_pid=12 prev_prio=120 prev_state=R ==> next_comm=cat next_pid=9 next_prio=120\n \
            cat-9 [001] d..2. 7.000050: sched_switch: prev_comm=cat prev_pid=9 prev_prio=120 prev_state=S ==> next_comm=worker-0 next_pid=12 next_prio=120\n \
            worker-0-12 [001] DNZff 7.000060: in6: (0x8)\n \
            worker-0-12 [001] DNZff 7.000063: out6: (0x9 <- 0x8)\n \
            worker-0-12 [001] DNZff 7.000065: out5: (0x9 <- 0x7)\n \
            worker-0-12 [001] DNZff 7.000070: out4: (0x9 <- 0x7)\n";
        let times: Vec<f64> = read_trace(trace).iter().map(|us| us.round()).collect();
        assert_eq!(times, [3.0, 25.0]);
    }

    #[test]
    fn reads_what_the_tools_print() {
        let symbols = "0000000000788c10 t _ZN5tokio7runtime4task3raw4poll17h01E\n\
            0000000000788d00 t _ZN5tokio7runtime4task3raw8shutdown17h02E\n";
        assert_eq!(polls_in(symbols), [0x0078_8c10]);
        let segments = "  LOAD           0x000000 0x0000000000000000 0x0 0x10 0x10 R   0x1000\n  \
            LOAD           0x3c1000 0x00000000003c2000 0x0 0x20 0x20 R E 0x1000\n";
        assert_eq!(code_segment(segments), Some((0x003c_1000, 0x003c_2000)));
        assert_eq!(code_segment(""), None);
    }
}
