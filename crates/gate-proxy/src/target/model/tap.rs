//! Answers of models on their way back, watched for usage and first token.
//!
//! What is learnt goes into the exchange's facts as it is learnt, so that a caller who leaves in
//! the middle of a stream is still accounted for. A stream that breaks off ends with an error event
//! in the caller's dialect: events go out whole, so that the error stands behind a whole one.

use super::answer::pieces;
use super::state::TargetState;
use super::watch::Watch;
use gate_ai::{ErrorClass, Loss, StreamTap, Usage};
use gate_flow::{AiFacts, Exchange, Spent};
use gate_kit::clock::{Clock, Moment};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use gate_model::fault::FaultCode;
use gate_model::resources::ServiceTier;
use gate_model::units::{Money, Pieces};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Where facts about an answer go.
pub(super) struct Tap {
    facts: Option<Rc<RefCell<Box<AiFacts>>>>,
    clock: Clock,
    started: Moment,
    token_seen: bool,
    measured: Option<(Arc<TargetState>, Moment)>,
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
            measured: None,
        }
    }

    /// Measures the time to the first token of a try that began at `started`.
    pub(super) fn measure(&mut self, state: Arc<TargetState>, started: Moment) {
        self.measured = Some((state, started));
    }

    /// Notes usage and the model that answered.
    pub(super) fn note(&self, usage: Option<Usage>, model: Option<&str>) {
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
        facts.cache_written_hour_tokens = usage.cache_written_1h_tokens;
        facts.audio_input_tokens = usage.audio_input_tokens;
        facts.audio_output_tokens = usage.audio_output_tokens;
        if usage.pieces != Pieces::default() {
            let known = facts.pieces.as_deref().copied().unwrap_or_default();
            facts.pieces = Some(Box::new(known.or_better(&usage.pieces)));
        }
    }

    /// Prices one response of a session by itself: its length, and not the session's, decides what
    /// its tokens cost.
    pub(super) fn priced(&self, usage: &Usage) {
        let Some(facts) = &self.facts else { return };
        let mut facts = facts.borrow_mut();
        let one = AiFacts {
            input_tokens: Some(usage.input_tokens),
            output_tokens: Some(usage.output_tokens),
            cached_tokens: Some(usage.cached_tokens),
            cache_written_tokens: Some(usage.cache_written_tokens),
            cache_written_hour_tokens: usage.cache_written_1h_tokens,
            reasoning_tokens: Some(usage.reasoning_tokens),
            audio_input_tokens: usage.audio_input_tokens,
            audio_output_tokens: usage.audio_output_tokens,
            pieces: (usage.pieces != Pieces::default()).then(|| Box::new(usage.pieces)),
            service_tier: facts.service_tier,
            ..AiFacts::default()
        };
        let cost = facts.tariff.as_ref().and_then(|tariff| tariff.cost(&one));
        if let Some(cost) = cost {
            facts.priced = Some(facts.priced.unwrap_or(Money::ZERO) + cost);
        }
    }

    /// Notes the tier that the call is served in.
    pub(super) fn tier(&self, tier: Option<ServiceTier>) {
        if let (Some(facts), Some(tier)) = (&self.facts, tier) {
            facts.borrow_mut().service_tier = tier;
        }
    }

    /// Notes what the call comes to besides tokens.
    pub(super) fn pieces(&self, pieces: Option<Pieces>) {
        if let (Some(facts), Some(pieces)) = (&self.facts, pieces) {
            facts.borrow_mut().pieces = Some(Box::new(pieces));
        }
    }

    /// Notes what a stream lost, beside what its request did.
    pub(super) fn losses(&self, losses: &[Loss]) {
        let Some(facts) = self.facts.as_ref().filter(|_| !losses.is_empty()) else {
            return;
        };
        let noted = &mut facts.borrow_mut().losses;
        for loss in losses {
            if !noted.iter().any(|known| **known == *loss.field) {
                noted.push((*loss.field).into());
            }
        }
    }

    /// Notes the first token, once it is seen.
    pub(super) fn token(&mut self, seen: bool) {
        if seen && !self.token_seen {
            self.token_seen = true;
            let now = self.clock.now();
            if let Some(facts) = &self.facts {
                facts.borrow_mut().first_token = Some(now.since(self.started));
            }
            if let Some((state, started)) = &self.measured {
                let time = now.since(*started);
                state.first_token.observe(time, now);
                state.limiter.succeeded(Some(time.as_secs_f64()), now);
            }
        }
    }

    /// What the answer has come to so far.
    pub(super) fn used(&self) -> Spent {
        let Some(facts) = &self.facts else {
            return Spent::default();
        };
        let facts = facts.borrow();
        let tokens = facts
            .input_tokens
            .unwrap_or(0)
            .saturating_add(facts.output_tokens.unwrap_or(0));
        Spent {
            cost: facts.price(),
            tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
        }
    }

    /// Notes that the answer was ended by the gateway itself.
    pub(super) fn refused(&self, code: FaultCode) {
        if let Some(facts) = &self.facts {
            facts.borrow_mut().detours().fault = Some(code);
        }
    }

    /// Notes that the provider reported an error inside its stream.
    pub(super) fn provider_failed(&self, class: ErrorClass) {
        let Some(facts) = &self.facts else { return };
        let mut facts = facts.borrow_mut();
        let detours = facts.detours();
        detours.stream_error = Some(class.as_str());
        detours.fault = Some(match class {
            ErrorClass::RateLimited | ErrorClass::Overloaded | ErrorClass::QuotaExhausted => {
                FaultCode::UpstreamOverloaded
            }
            ErrorClass::Timeout => FaultCode::UpstreamTimeout,
            ErrorClass::BadCredential | ErrorClass::NotFound => FaultCode::UpstreamRejected,
            _ => FaultCode::UpstreamMalformed,
        });
    }

    /// Notes that a stream broke off.
    pub(super) fn broke(&self, error: &BodyError) {
        if let (BodyErrorKind::TimedOut, Some(facts)) = (error.kind, &self.facts) {
            facts.borrow_mut().detours().stalled = true;
        }
    }
}

/// What a caller is told of a stream that broke off: class, code and message.
pub(super) fn last_words(error: &BodyError) -> (ErrorClass, &'static str, &'static str) {
    match error.kind {
        BodyErrorKind::TimedOut => (
            ErrorClass::Timeout,
            "upstream_timeout",
            "The provider's stream stalled and was given up.",
        ),
        _ => (
            ErrorClass::Server,
            "upstream_stream_broken",
            "The provider's stream broke off before its end.",
        ),
    }
}

/// A stream in the caller's own dialect: its bytes pass, at most one chunk is taken out.
pub(super) struct TapStream {
    inner: Body,
    stream: StreamTap,
    tap: Tap,
    watch: Watch,
    /// Goes out next, before anything else is read.
    next: Option<Chunk>,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
}

impl TapStream {
    /// Watches `inner`.
    #[must_use]
    pub(super) fn new(inner: Body, stream: StreamTap, tap: Tap, watch: Watch) -> Self {
        Self {
            inner,
            stream,
            tap,
            watch,
            next: None,
            end: None,
        }
    }

    /// What of a chunk goes out now; the rest of it in [`Self::next`].
    fn pass(&mut self, chunk: Chunk) -> Option<Chunk> {
        if let Err(error) = self.watch.saw(&chunk) {
            self.break_off(error);
            return None;
        }
        let tapped = self.stream.push(&chunk);
        self.tap.token(self.stream.token_seen());
        let (first, second) = pieces(chunk, tapped);
        self.next = second;
        first
    }

    /// The source has ended in order. What was held back goes out, unless the answer broke off
    /// before its last event: that is the beginning of one that never came, and the caller is told.
    fn complete(&mut self) -> Option<Chunk> {
        let held = self.stream.finish();
        if !self.stream.is_whole() {
            let detail = "the provider's stream ended before its last event";
            self.break_off(BodyError::new(BodyErrorKind::Disconnected, detail));
            return None;
        }
        self.end = Some(Ok(()));
        (!held.is_empty()).then(|| Chunk::from(held))
    }

    /// Ends the stream whose source failed. The caller is told in its own dialect, unless it has
    /// everything, or an error, already.
    fn break_off(&mut self, error: BodyError) {
        self.inner = Body::Empty;
        self.tap.broke(&error);
        if self.stream.ended() {
            self.end = Some(Ok(()));
            return;
        }
        if self.stream.error().is_none() {
            let (class, code, message) = last_words(&error);
            let event = self.stream.error_event(class, code, message);
            self.next = Some(Chunk::from(event));
        }
        self.end = Some(Err(error));
    }
}

impl BodyStream for TapStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if let Some(chunk) = self.next.take() {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            }
            if let Some(end) = &mut self.end {
                let end = std::mem::replace(end, Ok(()));
                return Poll::Ready(end.err().map(Err));
            }
            let next = match self.inner.poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => Some(Err(ready!(self.watch.poll(cx)))),
            };
            let chunk = match next {
                Some(Ok(Frame::Data(chunk))) => self.pass(chunk),
                Some(Ok(Frame::Trailers(_))) | None => self.complete(),
                Some(Err(error)) => {
                    self.break_off(error);
                    None
                }
            };
            if let Some(chunk) = chunk {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            }
        }
    }
}

impl Drop for TapStream {
    fn drop(&mut self) {
        self.tap.note(self.stream.usage(), None);
        self.tap.tier(self.stream.tier());
        if let Some(class) = self.stream.error() {
            self.tap.provider_failed(class);
        }
    }
}
