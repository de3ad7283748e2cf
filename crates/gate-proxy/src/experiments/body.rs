//! Bodies with something wrong, whatever they are: cut off, corrupted, slow. Each does so only while
//! its experiment runs; what comes after its end passes untouched.

use super::strike::STEP;
use gate_flow::Strike;
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use gate_kit::random;
use gate_net::connection::Timer;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

type Polled = Poll<Option<Result<Frame, BodyError>>>;

/// What a body that breaks off ends with.
pub(super) fn broken_off(strike: &Strike) -> BodyError {
    let detail = format!("broke off, by the experiment `{}`", strike.name());
    BodyError::new(BodyErrorKind::Disconnected, detail)
}

/// A body that breaks off behind so many bytes.
pub(super) struct CutOff {
    strike: Strike,
    inner: Body,
    left: u64,
}

impl CutOff {
    pub(super) fn new(strike: Strike, inner: Body, left: u64) -> Self {
        Self {
            strike,
            inner,
            left,
        }
    }
}

impl BodyStream for CutOff {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let cuts = self.strike.left().is_some();
        if self.left == 0 && cuts {
            return Poll::Ready(Some(Err(broken_off(&self.strike))));
        }
        let mut frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &mut frame {
            if cuts && chunk.len() as u64 > self.left {
                chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            }
            self.left = self.left.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

/// A body some of whose bytes are others.
pub(super) struct Corrupted {
    strike: Strike,
    inner: Body,
    share: f64,
}

impl Corrupted {
    pub(super) fn new(strike: Strike, inner: Body, share: f64) -> Self {
        Self {
            strike,
            inner,
            share,
        }
    }
}

impl BodyStream for Corrupted {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let frame = ready!(self.inner.poll_frame(cx));
        let Some(Ok(Frame::Data(chunk))) = frame else {
            return Poll::Ready(frame);
        };
        if self.strike.left().is_none() {
            return Poll::Ready(Some(Ok(Frame::Data(chunk))));
        }
        let mut bytes = chunk.to_vec();
        let count = ((bytes.len() as f64 * self.share).ceil() as usize).max(1);
        for _ in 0..count {
            let place = random::below(bytes.len());
            // Never the byte that it was.
            bytes[place] ^= 1 + random::below(255) as u8;
        }
        Poll::Ready(Some(Ok(Frame::Data(Chunk::from(bytes)))))
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

/// A body that comes at so many bytes in a second.
pub(super) struct Slowed {
    strike: Strike,
    inner: Body,
    rate: u64,
    kept: Option<Chunk>,
    free: Instant,
    timer: Timer,
}

impl Slowed {
    pub(super) fn new(strike: Strike, inner: Body, rate: u64) -> Self {
        Self {
            strike,
            inner,
            rate,
            kept: None,
            free: Instant::now(),
            timer: Timer::default(),
        }
    }
}

impl BodyStream for Slowed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        while let Some(left) = self.strike.left() {
            let now = Instant::now();
            if now >= self.free {
                break;
            }
            ready!(self.timer.poll(cx, self.free.min(now + left.min(STEP))));
        }
        let chunk = match self.kept.take() {
            Some(chunk) => chunk,
            None => match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => chunk,
                other => return Poll::Ready(other),
            },
        };
        if self.strike.left().is_none() {
            return Poll::Ready(Some(Ok(Frame::Data(chunk))));
        }
        // Ten pieces in a second, so that it is slow and not in bursts.
        let most = usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1);
        let mut rest = chunk.into_bytes();
        let piece = rest.split_to(most.min(rest.len()));
        if !rest.is_empty() {
            self.kept = Some(rest.into());
        }
        let takes = Duration::from_secs_f64(piece.len() as f64 / self.rate as f64);
        self.free = self.free.max(Instant::now()) + takes;
        Poll::Ready(Some(Ok(Frame::Data(piece.into()))))
    }

    fn remaining(&self) -> Option<u64> {
        let kept = self.kept.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.inner.length().map(|length| length + kept)
    }
}
