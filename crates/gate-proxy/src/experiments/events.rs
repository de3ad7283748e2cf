//! A model's stream with something wrong behind so many of its events: it breaks off, stalls, or has
//! an event that cannot be read.

use super::body::broken_off;
use super::strike::STEP;
use bytes::Bytes;
use gate_flow::Strike;
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Frame};
use gate_net::connection::Timer;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Where events end.
enum Ends {
    /// Server-sent events: behind an empty line. Whether the line so far is empty, and whether the
    /// event has any other.
    Lines { empty: bool, any: bool },
    /// Frames of `application/vnd.amazon.eventstream`, which begin with their length: the first
    /// bytes of the frame, and how many of it are to come.
    Frames {
        begun: [u8; 4],
        have: usize,
        left: u64,
    },
}

impl Ends {
    fn of(content_type: &[u8]) -> Self {
        match content_type.starts_with(b"application/vnd.amazon.eventstream") {
            true => Ends::Frames {
                begun: [0; 4],
                have: 0,
                left: 0,
            },
            false => Ends::Lines {
                empty: true,
                any: false,
            },
        }
    }

    /// Reads a byte; whether an event ends with it.
    fn ends(&mut self, byte: u8) -> bool {
        match self {
            Ends::Lines { empty, any } => match byte {
                b'\r' => false,
                b'\n' => {
                    let ends = *empty && *any;
                    *any = !ends && (*any || !*empty);
                    *empty = true;
                    ends
                }
                _ => {
                    *empty = false;
                    false
                }
            },
            Ends::Frames { begun, have, left } => {
                if *have < begun.len() {
                    begun[*have] = byte;
                    *have += 1;
                    if *have == begun.len() {
                        *left = u64::from(u32::from_be_bytes(*begun))
                            .saturating_sub(4)
                            .max(1);
                    }
                    return false;
                }
                *left -= 1;
                if *left == 0 {
                    *have = 0;
                }
                *left == 0
            }
        }
    }

    /// What no reader of such events understands.
    fn garbage(&self) -> &'static [u8] {
        match self {
            Ends::Lines { .. } => b"data: {\"broken\": \n\n",
            Ends::Frames { .. } => &[0xff; 16],
        }
    }
}

/// What happens.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// It breaks off.
    Cut,
    /// It says nothing for so long.
    Stall(Duration),
    /// An event cannot be read.
    Malformed,
}

/// A stream in which something happens behind so many events.
pub(super) struct Broken {
    /// None once it has happened.
    strike: Option<Strike>,
    inner: Body,
    ends: Ends,
    left: u32,
    then: Then,
    /// What has come and waits to go on.
    kept: Option<Bytes>,
    /// When it began to say nothing.
    silent: Option<Instant>,
    cut: bool,
    idle: Duration,
    timer: Timer,
}

impl Broken {
    /// `idle` is how long the stream may be silent; zero for as long as it likes.
    pub(super) fn new(
        strike: Strike,
        inner: Body,
        content_type: &[u8],
        after: u32,
        then: Then,
        idle: Duration,
    ) -> Self {
        Self {
            strike: Some(strike),
            inner,
            ends: Ends::of(content_type),
            left: after,
            then,
            kept: None,
            silent: None,
            cut: false,
            idle,
            timer: Timer::default(),
        }
    }

    /// Where in `bytes` it happens.
    fn place(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.left == 0 {
            return Some(0);
        }
        for (index, byte) in bytes.iter().enumerate() {
            if self.ends.ends(*byte) {
                self.left -= 1;
                if self.left == 0 {
                    return Some(index + 1);
                }
            }
        }
        None
    }

    /// Ready once the silence is over; an error where it was longer than is allowed.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while let (Some(since), Then::Stall(lasts)) = (self.silent, self.then) {
            let now = Instant::now();
            let left = self.strike.as_ref().and_then(Strike::left);
            let Some(left) = left.filter(|_| now < since + lasts) else {
                self.silent = None;
                self.strike = None;
                break;
            };
            let mut next = (since + lasts).min(now + left.min(STEP));
            if !self.idle.is_zero() {
                if now >= since + self.idle {
                    let detail = format!("nothing came for {:?}", self.idle);
                    let error = BodyError::new(BodyErrorKind::TimedOut, detail);
                    return Poll::Ready(Err(error));
                }
                next = next.min(since + self.idle);
            }
            ready!(self.timer.poll(cx, next));
        }
        Poll::Ready(Ok(()))
    }

    /// Lets it happen at `place`; what goes on at once.
    fn happen(&mut self, mut bytes: Bytes, place: usize) -> Option<Bytes> {
        let rest = bytes.split_off(place);
        match self.then {
            Then::Cut => self.cut = true,
            Then::Stall(_) => {
                self.silent = Some(Instant::now());
                self.kept = Some(rest).filter(|rest| !rest.is_empty());
            }
            Then::Malformed => {
                self.strike = None;
                return Some([&*bytes, self.ends.garbage(), &*rest].concat().into());
            }
        }
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}

impl BodyStream for Broken {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if self.cut {
                let error = self.strike.as_ref().map(broken_off);
                return Poll::Ready(error.map(Err));
            }
            if let Err(error) = ready!(self.poll_silence(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(kept) = self.kept.take() {
                return Poll::Ready(Some(Ok(Frame::Data(kept.into()))));
            }
            let frame = ready!(self.inner.poll_frame(cx));
            let Some(Ok(Frame::Data(chunk))) = frame else {
                return Poll::Ready(frame);
            };
            let runs = self.strike.as_ref().is_some_and(|one| one.left().is_some());
            if !runs || self.silent.is_some() {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            }
            let Some(place) = self.place(&chunk) else {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            };
            if let Some(bytes) = self.happen(chunk.into_bytes(), place) {
                return Poll::Ready(Some(Ok(Frame::Data(bytes.into()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(kind: &[u8], bytes: &[u8]) -> Vec<usize> {
        let mut ends = Ends::of(kind);
        let found = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| ends.ends(**byte));
        found.map(|(index, _)| index + 1).collect()
    }

    #[test]
    fn events_end_behind_an_empty_line() {
        let kind = b"text/event-stream";
        assert_eq!(ends(kind, b"data: 1\n\ndata: 2\n\n"), [9, 18]);
        assert_eq!(ends(kind, b"event: a\r\ndata: 1\r\n\r\n:c\n\n"), [21, 25]);
        assert_eq!(ends(kind, b"\n\n\ndata: 1\n\n\n"), [12]);
    }

    #[test]
    fn frames_end_where_their_length_says() {
        let mut bytes = Vec::new();
        for text in ["one", "second"] {
            gate_ai::event_stream::write_frame(&mut bytes, &[(":a", "b")], text.as_bytes());
        }
        let first = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let found = ends(b"application/vnd.amazon.eventstream", &bytes);
        assert_eq!(found, [first, bytes.len()]);
    }
}
