//! Keeps a stream's time: between two pieces of the answer, and in total.
//!
//! The connection notices when nothing at all comes. A provider that only sends comments or pings
//! keeps the connection busy and the caller waiting; that is noticed here. A stream that keeps
//! flowing costs a look at the first byte of each chunk; clocks are read for pings and totals only.

use super::Model;
use super::call::Call;
use gate_flow::Overrides;
use gate_kit::http::{BodyError, BodyErrorKind};
use gate_net::connection::Timer;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Longest chunk that is taken for a ping.
const PING_MAX: usize = 160;

/// The time of one stream.
pub(super) struct Watch {
    idle: Duration,
    deadline: Option<Instant>,
    /// Since when there have been only pings.
    pinging_since: Option<Instant>,
    timer: Timer,
}

impl Watch {
    /// The watch of a call's stream.
    pub(super) fn new(overrides: &Overrides, call: &Call<'_>) -> Self {
        Self::of(overrides, call.model, call.deadline)
    }

    /// The same by its parts.
    pub(super) fn of(overrides: &Overrides, model: &Model, deadline: Option<Instant>) -> Self {
        Self {
            idle: overrides.idle.unwrap_or(model.idle),
            deadline,
            pinging_since: None,
            timer: Timer::default(),
        }
    }

    /// Notes a chunk that came.
    ///
    /// # Errors
    /// When the time was over before it came.
    pub(super) fn saw(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        if is_ping(chunk) {
            self.pinging_since.get_or_insert_with(Instant::now);
        } else {
            self.pinging_since = None;
        }
        match self.ends() {
            Some(end) if Instant::now() >= end => Err(self.error()),
            _ => Ok(()),
        }
    }

    /// Ready when the time is over; asked while nothing comes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let Some(end) = self.ends() else {
            return Poll::Pending;
        };
        ready!(self.timer.poll(cx, end));
        Poll::Ready(self.error())
    }

    fn ends(&self) -> Option<Instant> {
        let since = self.pinging_since.filter(|_| !self.idle.is_zero());
        match (since.map(|since| since + self.idle), self.deadline) {
            (Some(stall), Some(deadline)) => Some(stall.min(deadline)),
            (stall, deadline) => stall.or(deadline),
        }
    }

    fn error(&self) -> BodyError {
        let total = self.deadline.is_some_and(|end| Instant::now() >= end);
        let detail = match total {
            true => "the time for everything is over".to_owned(),
            false => format!("nothing but pings came for {:?}", self.idle),
        };
        BodyError::new(BodyErrorKind::TimedOut, detail)
    }
}

/// Whether a chunk is one comment or one ping. Chunks that begin inside an event are not looked
/// into: a stream of those is flowing.
fn is_ping(chunk: &[u8]) -> bool {
    let begins = match chunk.first() {
        Some(b':') => true,
        Some(b'e') => chunk.starts_with(b"event: ping") || chunk.starts_with(b"event:ping"),
        Some(b'\n' | b'\r') => return chunk.iter().all(|byte| matches!(byte, b'\n' | b'\r')),
        _ => false,
    };
    begins && chunk.len() <= PING_MAX && is_one_event(chunk)
}

fn is_one_event(chunk: &[u8]) -> bool {
    let end = |blank: &[u8]| {
        let at = chunk.windows(blank.len()).position(|bytes| bytes == blank);
        at.map(|at| at + blank.len())
    };
    let end = end(b"\n\n").or_else(|| end(b"\r\n\r\n"));
    end.is_none_or(|end| end == chunk.len() || is_ping(&chunk[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_told_from_pieces_of_an_answer() {
        for ping in [
            ": OPENROUTER PROCESSING\n\n",
            ":\n\n",
            "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            ": a\r\n\r\n: b\r\n\r\n",
            ": keep-alive\n",
            "\n",
        ] {
            assert!(is_ping(ping.as_bytes()), "{ping:?}");
        }
        for piece in [
            "data: {}\n\n",
            ": a\n\ndata: {}\n\n",
            "event: ping\ndata: {}\n\nevent: content_block_delta\ndata: {}\n\n",
            "\ndata: {}",
            "",
        ] {
            assert!(!is_ping(piece.as_bytes()), "{piece:?}");
        }
        assert!(!is_ping(&[b':'; PING_MAX + 1]));
    }
}
