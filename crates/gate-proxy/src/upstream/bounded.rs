//! A body that has to end by some time, however much comes of it.

use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Frame};
use gate_net::connection::Timer;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// Cuts a body that has not ended by then.
struct Bounded {
    inner: Box<dyn BodyStream>,
    end: Instant,
    timer: Timer,
}

impl Bounded {
    fn new(inner: Box<dyn BodyStream>, end: Instant) -> Self {
        Self {
            inner,
            end,
            timer: Timer::default(),
        }
    }
}

/// A body that is cut where it has not ended by `end`.
pub(crate) fn bounded(body: Body, end: Option<Instant>) -> Body {
    match (body, end) {
        (Body::Stream(inner), Some(end)) => Body::Stream(Box::new(Bounded::new(inner, end))),
        (body, _) => body,
    }
}

impl BodyStream for Bounded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.inner.poll_frame(cx) {
            // What always comes never lets the timer be asked.
            Poll::Ready(Some(Ok(_))) if Instant::now() >= self.end => {}
            Poll::Ready(frame) => return Poll::Ready(frame),
            Poll::Pending => ready!(self.timer.poll(cx, self.end)),
        }
        let detail = "the answer was not complete within `total`".to_owned();
        Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::TimedOut, detail))))
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}
