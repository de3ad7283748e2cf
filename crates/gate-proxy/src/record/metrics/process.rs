//! What the operating system knows about this process, read from Linux's `/proc` at each scrape.
//!
//! Names follow Prometheus's convention for process metrics. Elsewhere than on Linux the files do
//! not exist and the families are left out; nothing else depends on them.

use super::exposition::{Exposition, Kind};
use std::fs;

/// Clock ticks per second in `/proc/self/stat`: USER_HZ, 100 on every Linux that Rust supports
/// (`man 5 proc_pid_stat`, `man 7 time`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes the process's families. Blocks for a few file reads; never call it on a worker.
pub(super) fn write(page: &mut Exposition, started_unix_seconds: f64) {
    let name = "process_start_time_seconds";
    page.single(
        name,
        Kind::Gauge,
        "seconds",
        "UNIX time at which the process started.",
        started_unix_seconds,
    );
    if let Some(seconds) = cpu_seconds() {
        let help = "CPU time spent in user and system mode.";
        page.single(
            "process_cpu_seconds",
            Kind::Counter,
            "seconds",
            help,
            seconds,
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = field(&status, "VmRSS:") {
        let help = "Memory resident in RAM.";
        page.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "bytes",
            help,
            kib * 1024,
        );
    }
    if let Some(kib) = field(&status, "VmSize:") {
        let help = "Memory mapped.";
        page.single(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "bytes",
            help,
            kib * 1024,
        );
    }
    if let Some(threads) = field(&status, "Threads:") {
        page.single(
            "process_threads",
            Kind::Gauge,
            "",
            "Threads of the process.",
            threads,
        );
    }
    if let Some(count) = open_files() {
        page.single(
            "process_open_fds",
            Kind::Gauge,
            "",
            "Open file descriptors.",
            count,
        );
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = field(&limits, "Max open files") {
        page.single(
            "process_max_fds",
            Kind::Gauge,
            "",
            "Most file descriptors allowed.",
            most,
        );
    }
}

/// User and system time, fields 14 and 15; counted after the name, which may hold spaces.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// The first number after a label at the start of a line.
fn field(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Open descriptors. Linux 6.2 and newer tell their number as the folder's size; counting entries
/// of a gateway with 100,000 connections would take tens of milliseconds.
fn open_files() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let entries = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(entries.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_their_labels() {
        let limits = "Limit  Soft\nMax open files            1024     4096   files\n";
        assert_eq!(field(limits, "Max open files"), Some(1024));
        assert_eq!(field("VmRSS:\t  123 kB\n", "VmRSS:"), Some(123));
        assert_eq!(field("VmRSS:\t  123 kB\n", "Threads:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_time_and_files() {
        assert!(cpu_seconds().is_some());
        let before = open_files().expect("Linux has /proc");
        let _file = fs::File::open("/proc/self/stat").expect("Linux has /proc");
        assert!(open_files().expect("Linux has /proc") > 0 && before > 0);
    }
}
