//! The beginning of a stream, held back until it is known to be an answer.
//!
//! As long as no token has come, an error event, a stall or a cut can still be answered by another
//! target, and the caller never learns of it. What was held back then goes out unchanged.

use gate_ai::{Beginning, Dialect, ProviderError, StreamProbe};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, frame};
use std::collections::VecDeque;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// What a stream began with.
pub(super) enum Begun {
    /// A token; the whole stream, its beginning included.
    Answer(Body),
    /// A refusal.
    Refusal(ProviderError),
    /// Nothing that could be used, or nothing in time.
    Broken(BodyError),
}

/// Reads a stream of this dialect to its first token, at most until then. What is held is bounded
/// by the probe.
pub(super) async fn begin(mut body: Body, dialect: Dialect, until: Option<Instant>) -> Begun {
    let mut probe = StreamProbe::new(dialect);
    let mut held = VecDeque::with_capacity(2);
    loop {
        let next = frame(&mut body);
        let next = match until {
            None => next.await,
            Some(until) => match tokio::time::timeout_at(until, next).await {
                Ok(next) => next,
                Err(_) => return broken(BodyErrorKind::TimedOut, "no first token in time"),
            },
        };
        match next {
            Some(Ok(Frame::Data(chunk))) => {
                let found = probe.push(&chunk);
                held.push_back(chunk);
                match found {
                    Beginning::Unclear => {}
                    Beginning::Answer => break,
                    Beginning::Refusal(error) => return Begun::Refusal(error),
                }
            }
            Some(Err(error)) => return Begun::Broken(error),
            // Complete without a token: an empty answer, unless it said nothing at all.
            Some(Ok(Frame::Trailers(_))) | None if probe.has_spoken() => break,
            Some(Ok(Frame::Trailers(_))) | None => {
                return broken(BodyErrorKind::Disconnected, "the stream was empty");
            }
        }
    }
    Begun::Answer(Body::Stream(Box::new(Held { held, rest: body })))
}

fn broken(kind: BodyErrorKind, detail: &str) -> Begun {
    Begun::Broken(BodyError::new(kind, detail))
}

/// A body whose first chunks were read already.
struct Held {
    held: VecDeque<Chunk>,
    rest: Body,
}

impl BodyStream for Held {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.held.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::Data(chunk)))),
            None => self.rest.poll_frame(cx),
        }
    }
}
