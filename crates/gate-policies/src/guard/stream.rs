//! A guarded stream: what may leave leaves, the rest waits.

use super::Underway;
use super::ask::{Ask, CONTEXT};
use super::watch::Watch;
use gate_ai::guard::{GuardStream, Point, Side};
use gate_flow::{Fault, LocalFuture};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Bytes looked at before the worker turns to others.
const SLICE: usize = 8 * 1024;

type Polled = Poll<Option<Result<Frame, BodyError>>>;

/// A stream that is looked at while it is pulled.
pub(super) struct GuardBody {
    inner: Body,
    stream: GuardStream,
    watch: Watch,
    /// Input that the last poll had no time for.
    held: Chunk,
    spent: usize,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
    asking: Option<Asking>,
}

/// Where the text of an answer is looked at.
const POINTS: [Point; 2] = [Point::Response, Point::ToolCall];

/// The text at one point.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// Bytes that guards have seen.
    seen: usize,
}

impl Text {
    fn fresh(&self) -> usize {
        self.bytes.len() - self.seen
    }

    /// What guards are asked about: what is new and some before it.
    fn take(&mut self) -> Vec<u8> {
        let text = self.bytes.clone();
        let keep = self.bytes.len().saturating_sub(CONTEXT);
        self.bytes.drain(..keep);
        self.seen = self.bytes.len();
        text
    }
}

/// Guards elsewhere, and what waits for them.
struct Asking {
    asks: Vec<Arc<Ask>>,
    /// Events that wait for the verdict.
    waiting: Vec<u8>,
    /// Text at [`POINTS`] that no guard has seen, behind some that they have.
    texts: [Text; 2],
    flight: Option<LocalFuture<'static, Result<(), Fault>>>,
}

impl GuardBody {
    pub(super) fn new(inner: Body, underway: Underway, mut asks: Vec<Arc<Ask>>) -> Self {
        let mut stream = GuardStream::new(underway.session, underway.operation);
        asks.retain(|ask| ask.looks_at(Side::Response));
        let asking = (!asks.is_empty()).then(|| Asking {
            asks,
            waiting: Vec::new(),
            texts: Default::default(),
            flight: None,
        });
        if asking.is_some() {
            stream = stream.gathering();
        }
        Self {
            inner,
            stream,
            watch: underway.watch,
            held: Chunk::empty(),
            spent: 0,
            end: None,
            asking,
        }
    }

    /// Takes input until something may leave, the input pauses, or the source has ended.
    fn pull(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        while out.is_empty() && self.end.is_none() {
            if self.spent >= SLICE {
                self.spent = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.held.is_empty() {
                match self.inner.poll_frame(cx) {
                    Poll::Ready(Some(Ok(Frame::Data(chunk)))) => self.held = chunk,
                    Poll::Ready(Some(Ok(Frame::Trailers(_))) | None) => self.finish(Ok(()), out),
                    Poll::Ready(Some(Err(error))) => self.finish(Err(error), out),
                    Poll::Pending => {
                        self.spent = 0;
                        return Poll::Pending;
                    }
                }
            } else {
                self.look(out);
            }
        }
        Poll::Ready(())
    }

    /// Looks at a slice of the input.
    fn look(&mut self, out: &mut Vec<u8>) {
        let length = self.held.len().min(SLICE);
        let result = self.stream.push(&self.held[..length], out);
        self.held.advance(length);
        self.spent += length;
        if let Err(error) = result {
            let error = BodyError::new(BodyErrorKind::Malformed, format!("guard: {error}"));
            self.stream.tell_blocked(out);
            return self.cut(Err(error));
        }
        self.settle();
    }

    /// The source has ended; text that waits is decided.
    fn finish(&mut self, end: Result<(), BodyError>, out: &mut Vec<u8>) {
        let result = self.stream.finish(out);
        self.end = Some(match (end, result) {
            (Ok(()), Err(error)) => Err(BodyError::new(
                BodyErrorKind::Malformed,
                format!("guard: {error}"),
            )),
            (end, _) => end,
        });
        self.settle();
    }

    fn settle(&mut self) {
        let findings = self.stream.take_findings();
        if !findings.is_empty() {
            self.watch.note(&findings);
        }
        if self.stream.blocked().is_some() {
            self.cut(Ok(()));
        }
    }

    /// Ends the stream here: the caller has been told, the source is cancelled.
    fn cut(&mut self, end: Result<(), BodyError>) {
        self.watch.cut();
        self.inner = Body::Empty;
        self.held = Chunk::empty();
        self.end = Some(end);
    }

    /// Holds `out` back until the guards elsewhere have seen its text.
    fn ask(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        let is_blocked = self.stream.blocked().is_some();
        let Some(asking) = &mut self.asking else {
            return Poll::Ready(());
        };
        asking.waiting.append(out);
        asking.gather(self.stream.take_text());
        if is_blocked {
            // What waits was never judged, and the last event says that the stream is over.
            asking.flight = None;
            asking.waiting.clear();
            self.asking = None;
            self.stream.tell_blocked(out);
            return Poll::Ready(());
        }
        let fresh = asking.fresh();
        let window = asking.asks.iter().map(|ask| ask.window).min().unwrap_or(1);
        if asking.flight.is_none() {
            if fresh == 0 {
                out.append(&mut asking.waiting);
                return Poll::Ready(());
            }
            if fresh < window && self.end.is_none() {
                return Poll::Ready(());
            }
            asking.take_off(&self.watch);
        }
        let Some(flight) = &mut asking.flight else {
            return Poll::Ready(());
        };
        let verdict = std::task::ready!(flight.as_mut().poll(cx));
        asking.flight = None;
        match verdict {
            Ok(()) => out.append(&mut asking.waiting),
            Err(fault) => {
                tracing::debug!(%fault, "a guard elsewhere ended a stream");
                self.asking = None;
                self.stream.tell_blocked(out);
                self.cut(Ok(()));
            }
        }
        Poll::Ready(())
    }
}

impl Asking {
    /// Takes in what guards are asked about.
    fn gather(&mut self, texts: [Vec<u8>; 2]) {
        for ((point, known), new) in POINTS.into_iter().zip(&mut self.texts).zip(texts) {
            if self.asks.iter().any(|ask| ask.is_at(point)) {
                known.bytes.extend_from_slice(&new);
            }
        }
    }

    /// Bytes that no guard has seen.
    fn fresh(&self) -> usize {
        self.texts.iter().map(Text::fresh).sum()
    }

    /// Asks every guard about the text at its points that none has seen.
    fn take_off(&mut self, watch: &Watch) {
        let texts = POINTS.into_iter().zip(&mut self.texts);
        let questions: Vec<(Point, Vec<u8>)> = texts
            .filter(|(_, text)| text.fresh() > 0)
            .map(|(point, text)| (point, text.take()))
            .collect();
        let (asks, watch) = (self.asks.clone(), watch.clone());
        self.flight = Some(Box::pin(async move {
            for ask in &asks {
                for (point, text) in questions.iter().filter(|(point, _)| ask.is_at(*point)) {
                    ask.text(&watch, *point, text).await?;
                }
            }
            Ok(())
        }));
    }
}

impl BodyStream for GuardBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let mut out = Vec::new();
            let is_asked = self
                .asking
                .as_ref()
                .is_some_and(|asking| asking.flight.is_some());
            if !is_asked && self.pull(cx, &mut out).is_pending() {
                return Poll::Pending;
            }
            if self.ask(cx, &mut out).is_pending() {
                return Poll::Pending;
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(out)))));
            }
            if self.asking.as_ref().is_some_and(Asking::is_busy) {
                continue;
            }
            match self.end.replace(Ok(())) {
                None => self.end = None,
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl Asking {
    /// Whether something is still to be judged or to be let go.
    fn is_busy(&self) -> bool {
        self.flight.is_some() || !self.waiting.is_empty() || self.fresh() > 0
    }
}
