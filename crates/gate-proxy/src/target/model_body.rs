//! Answers of models on their way back: watched for usage and first token, or translated.
//!
//! What is learnt goes into the exchange's facts as it is learnt, so that a caller who leaves in
//! the middle of a stream is still accounted for.

use gate_ai::{StreamTap, StreamTranslator, Tapped, Usage};
use gate_flow::{AiFacts, Exchange};
use gate_kit::clock::{Clock, Moment};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Where facts about an answer go.
pub(super) struct Tap {
    facts: Option<Rc<RefCell<AiFacts>>>,
    clock: Clock,
    started: Moment,
    token_seen: bool,
}

impl Tap {
    /// A tap into an exchange's facts.
    #[must_use]
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            facts: exchange.ai.clone(),
            clock: exchange.services.clock().clone(),
            started: exchange.record.started,
            token_seen: false,
        }
    }

    /// Notes usage and the model that answered.
    pub(super) fn note(&self, usage: Option<Usage>, model: Option<String>) {
        let Some(facts) = &self.facts else { return };
        let mut facts = facts.borrow_mut();
        if let Some(model) = model {
            facts.response_model = Some(model.into());
        }
        let Some(usage) = usage else { return };
        facts.input_tokens = Some(usage.input_tokens);
        facts.output_tokens = Some(usage.output_tokens);
        facts.cached_tokens = Some(usage.cached_tokens);
        facts.cache_written_tokens = Some(usage.cache_written_tokens);
        facts.reasoning_tokens = Some(usage.reasoning_tokens);
    }

    fn token(&mut self, seen: bool) {
        if seen && !self.token_seen {
            self.token_seen = true;
            if let Some(facts) = &self.facts {
                facts.borrow_mut().first_token = Some(self.clock.now().since(self.started));
            }
        }
    }
}

/// A stream in the caller's own dialect: its bytes pass, at most one chunk is taken out.
pub(super) struct TapStream {
    inner: Body,
    stream: StreamTap,
    strips: bool,
    tap: Tap,
    over: bool,
}

impl TapStream {
    /// Watches `inner`.
    #[must_use]
    pub(super) fn new(inner: Body, stream: StreamTap, strips: bool, tap: Tap) -> Self {
        Self {
            inner,
            stream,
            strips,
            tap,
            over: false,
        }
    }
}

impl BodyStream for TapStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => {
                    let tapped = self.stream.push(&chunk);
                    self.tap.token(self.stream.token_seen());
                    if tapped == Tapped::All {
                        return Poll::Ready(Some(Ok(Frame::Data(chunk))));
                    }
                    let mut kept = Vec::with_capacity(chunk.len());
                    tapped.write_into(&chunk, &mut kept);
                    if !kept.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(kept)))));
                    }
                }
                None => {
                    self.over = true;
                    let held = self.stream.finish();
                    if !held.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(held)))));
                    }
                }
                end => {
                    self.over = true;
                    return Poll::Ready(end);
                }
            }
        }
    }

    fn remaining(&self) -> Option<u64> {
        if self.strips {
            None
        } else {
            self.inner.length()
        }
    }
}

impl Drop for TapStream {
    fn drop(&mut self) {
        self.tap.note(self.stream.usage(), None);
    }
}

/// A stream in another dialect, translated event by event.
///
/// One that breaks off ends with an error event, for the caller, and then with the error itself,
/// so that neither the connection nor the record passes it off as whole.
pub(super) struct TranslateStream {
    inner: Body,
    translator: StreamTranslator,
    tap: Tap,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
}

impl TranslateStream {
    /// Translates `inner`.
    #[must_use]
    pub(super) fn new(inner: Body, translator: StreamTranslator, tap: Tap) -> Self {
        Self {
            inner,
            translator,
            tap,
            end: None,
        }
    }

    /// Ends the stream; the caller is told in its own dialect when it ends too early.
    fn finish(&mut self, broken: Option<BodyError>, out: &mut Vec<u8>) {
        let ended = self.translator.ended();
        if let Err(error) = self.translator.finish(out) {
            tracing::debug!(%error, "a provider's stream could not be translated to its end");
        }
        self.end = Some(match broken {
            // Whatever becomes of the connection after the last event is nothing the caller lacks.
            _ if ended || self.translator.ended() => Ok(()),
            Some(error) => Err(error),
            None => Err(BodyError::new(
                BodyErrorKind::Disconnected,
                "the provider's stream ended before its last event",
            )),
        });
    }
}

impl BodyStream for TranslateStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            match self.end.take() {
                None => {}
                Some(Ok(())) => {
                    self.end = Some(Ok(()));
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.end = Some(Ok(()));
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let mut out = Vec::new();
            match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => {
                    if let Err(error) = self.translator.push(&chunk, &mut out) {
                        let kind = BodyErrorKind::Malformed;
                        self.end = Some(Err(BodyError::new(kind, error.to_string())));
                    }
                    self.tap.token(self.translator.token_seen());
                }
                Some(Err(error)) => self.finish(Some(error), &mut out),
                Some(Ok(Frame::Trailers(_))) | None => self.finish(None, &mut out),
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(Chunk::from(out)))));
            }
        }
    }
}

impl Drop for TranslateStream {
    fn drop(&mut self) {
        self.tap.note(self.translator.usage(), None);
    }
}
