//! The operator's log: lines on standard error that never make a worker wait.
//!
//! Lines pass a bounded queue to a thread that writes. When standard error is a pipe that nobody
//! reads, lines are dropped and counted; the count is told as soon as writing goes on.

use clap::ValueEnum;
use gate_kit::queue::BoundedQueue;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait.
const LINES_MAX: usize = 4096;
/// Most lines written at once.
const BATCH: usize = 256;

/// How the operator's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Only what is broken.
    Error,
    /// And what may break.
    Warn,
    /// And what happened to the process.
    Info,
    /// And what happened to connections.
    Debug,
}

/// Ends the log: what waits is written, bounded in time.
pub(crate) struct Guard {
    lines: Arc<BoundedQueue<Vec<u8>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.lines.close();
        if let Some(thread) = self.thread.take() {
            // A reader that is gone must not keep the process alive.
            for _ in 0..100 {
                if thread.is_finished() {
                    let _ = thread.join();
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Starts the log of this process.
///
/// # Errors
/// When its thread cannot be started.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> Result<Guard, String> {
    let lines = Arc::new(BoundedQueue::new(LINES_MAX));
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(colour)
        .with_writer(Queue(lines.clone()));
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    let queue = lines.clone();
    let thread = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || write(&queue))
        .map_err(|error| format!("cannot start the log: {error}"))?;
    Ok(Guard {
        lines,
        thread: Some(thread),
    })
}

fn write(lines: &BoundedQueue<Vec<u8>>) {
    let mut batch = Vec::new();
    let mut told = 0;
    while lines.drain(&mut batch, BATCH, Duration::from_secs(1)) {
        let mut bytes: Vec<u8> = batch.drain(..).flatten().collect();
        let dropped = lines.dropped();
        if dropped > told && !bytes.is_empty() {
            bytes.extend_from_slice(
                format!("({} log lines were dropped)\n", dropped - told).as_bytes(),
            );
            told = dropped;
        }
        // Nobody is left to be told when standard error itself fails.
        let _ = io::stderr().write_all(&bytes);
    }
}

struct Queue(Arc<BoundedQueue<Vec<u8>>>);

/// One event's line, queued when it is complete.
struct Line<'a> {
    bytes: Vec<u8>,
    queue: &'a BoundedQueue<Vec<u8>>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            bytes: Vec::with_capacity(160),
            queue: &self.0,
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.queue.push(std::mem::take(&mut self.bytes));
        }
    }
}
