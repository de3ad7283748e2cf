//! What a load run is told, and what it brings back.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Samples, Tls};

/// One request, ready to be written.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method, target and version line, headers and body.
    pub bytes: Arc<[u8]>,
    /// What the answer must look like.
    pub expect: Expectation,
}

/// What every answer must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// The status code.
    pub status: u16,
    /// Bytes of the body without transfer coding; `None` checks only that there is a body.
    pub body_bytes: Option<u64>,
    /// Events of a stream (blank-line ends in the body).
    pub events: Option<u64>,
}

impl Request {
    /// A request with `headers` (each ending in CRLF) and a body.
    #[must_use]
    pub fn new(method: &str, path: &str, headers: &str, body: &str, expect: Expectation) -> Self {
        let length = match body.len() {
            0 => String::new(),
            bytes => format!("Content-Type: application/json\r\nContent-Length: {bytes}\r\n"),
        };
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: bench.test\r\n{headers}{length}\r\n{body}");
        Self {
            bytes: text.into_bytes().into(),
            expect,
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends as soon as its answer is whole.
    Closed,
    /// So many per second over all connections; latency counts from the scheduled moment.
    Open {
        /// Requests per second.
        rate: f64,
    },
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After a warm-up and a measured time.
    After {
        /// Time before the measurement.
        warm_up: Duration,
        /// Time of the measurement.
        measured: Duration,
    },
    /// After so many answers, all of them measured, but no later than the deadline.
    Answers {
        /// Answers.
        count: u64,
        /// The longest the run may take.
        deadline: Duration,
    },
}

/// One load run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// TLS towards the proxy.
    pub tls: Option<Tls>,
    /// Connections opened before the start.
    pub connections: usize,
    /// What each sends.
    pub request: Request,
    /// When they send.
    pub pace: Pace,
    /// When the run ends.
    pub stop: Stop,
}

/// The borders of the measured time, told to the caller so that it can read CPU counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The measured time starts.
    Start,
    /// The measured time ends; connections are still open.
    End,
}

/// What happened within the measured time.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers that were whole and right.
    pub answers: u64,
    /// Events seen in answers.
    pub events: u64,
    /// Length of the measured time.
    pub elapsed: Duration,
    /// From sending (closed) or from the schedule (open) to the whole answer.
    pub latency: Samples,
    /// From sending to the first byte of the body.
    pub first_byte: Samples,
    /// Connections opened anew because the proxy closed them after an answer.
    pub reconnects: u64,
}

/// Why a run failed.
#[derive(Debug)]
pub enum LoadError {
    /// A socket failed.
    Io(String, std::io::Error),
    /// An answer was wrong.
    Wrong(String),
    /// Nothing moved for longer than allowed.
    Stalled(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(what, error) => write!(f, "{what}: {error}"),
            LoadError::Wrong(what) => write!(f, "wrong answer: {what}"),
            LoadError::Stalled(what) => write!(f, "no progress: {what}"),
        }
    }
}

impl std::error::Error for LoadError {}
