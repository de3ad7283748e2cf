//! Answers of models on their way back, watched for usage and first token.
//!
//! What is learnt goes into the exchange's facts as it is learnt, so that a caller who leaves in
//! the middle of a stream is still accounted for.

use gate_ai::{StreamTap, Tapped, Usage};
use gate_flow::{AiFacts, Exchange};
use gate_kit::clock::{Clock, Moment};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
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
            // Mostly the name that was asked for, which is there already.
            let asked = facts
                .provider_model
                .as_ref()
                .filter(|asked| ***asked == *model);
            facts.response_model = Some(asked.map_or_else(|| model.into(), Arc::clone));
        }
        let Some(usage) = usage else { return };
        facts.input_tokens = Some(usage.input_tokens);
        facts.output_tokens = Some(usage.output_tokens);
        facts.cached_tokens = Some(usage.cached_tokens);
        facts.cache_written_tokens = Some(usage.cache_written_tokens);
        facts.reasoning_tokens = Some(usage.reasoning_tokens);
    }

    /// Notes the first token, once it is seen.
    pub(super) fn token(&mut self, seen: bool) {
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
