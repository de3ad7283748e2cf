//! A stream that goes on elsewhere when it breaks: `resume: true`.
//!
//! While the first provider speaks the caller's dialect its bytes pass unchanged; a translator
//! follows them silently and knows what the caller has seen. When the stream breaks (a cut, a
//! stall, an error event), the text so far becomes the beginning of the answer in a call to the
//! next target, and the translator writes what that one adds. What cannot be continued (see
//! `gate_ai::prefill`) ends with an error event, like any stream.

use super::answer::{pieces, tier};
use super::attempt::{Bad, Got, given_up};
use super::call::Call;
use super::candidates::{candidates, lane};
use super::fetch::{Origin, fetch};
use super::tap::{Tap, last_words};
use super::watch::Watch;
use super::{Model, ProviderTarget, learn, room};
use bytes::Bytes;
use gate_ai::inspect::UsageWish;
use gate_ai::{
    Dialect, Operation, RequestFacts, StreamTap, StreamTranslator, Usage, inspect, prefill,
};
use gate_flow::{
    AiFacts, Exchange, Extension, InScope, Leg, LegEnd, LegParts, Overrides, Seam, Services,
    TraceContext,
};
use gate_kit::clock::Moment;
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, Headers};
use gate_model::fault::FaultCode;
use gate_model::resources::ServiceTier;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of text that count as a token.
const TOKEN_BYTES: usize = 4;

/// What is needed to make another call when the exchange is out of our hands.
struct Kept {
    services: Rc<dyn Services>,
    headers: Headers,
    trace: TraceContext,
    attempts: usize,
    started: Moment,
    started_unix: Duration,
    overrides: Overrides,
    experiments: Option<Arc<InScope>>,
    facts_of_exchange: Option<Rc<RefCell<Box<AiFacts>>>>,
    dialect: Dialect,
    body: Bytes,
    facts: RequestFacts,
    model: Arc<Model>,
    deadline: Option<Instant>,
    /// Positions of the targets that may go on.
    targets: VecDeque<usize>,
    /// What sets more aside for providers beyond those that were foreseen.
    extension: Option<Rc<dyn Extension>>,
    /// How many more providers may be paid out of what is set aside.
    foreseen: u32,
}

/// A target that goes on.
struct Opened {
    kept: Kept,
    /// Position of the target, the tier it serves in as far as its head says, and its stream; none
    /// when nobody goes on.
    stream: Option<(usize, Option<ServiceTier>, Body)>,
}

enum Source {
    Stream(Body),
    Opening(Pin<Box<dyn Future<Output = Opened>>>),
}

/// A stream that may be continued.
pub(super) struct ResumeStream {
    source: Source,
    /// Passes the first provider's bytes, where it speaks the caller's dialect.
    native: Option<StreamTap>,
    translator: StreamTranslator,
    kept: Option<Kept>,
    tap: Tap,
    watch: Watch,
    /// What the stream broke with.
    broken: Option<BodyError>,
    /// Length of the text when the present stream began.
    text_before: usize,
    /// The same when it broke.
    broken_at: usize,
    next: VecDeque<Chunk>,
    end: Option<Result<(), BodyError>>,
}

impl ResumeStream {
    /// A stream of `target` for this call's caller.
    pub(super) fn new(
        exchange: &mut Exchange,
        call: &Call<'_>,
        target: &ProviderTarget,
        tap: Tap,
        got: Got,
    ) -> Self {
        let provider = target.spoken(call.operation);
        let mut options = got.outgoing.options;
        let native = (provider == call.dialect).then(|| {
            options.include_usage = call.facts.include_usage == UsageWish::Present;
            StreamTap::new(provider, got.outgoing.strip_usage_chunk)
                .hiding_errors(target.provider.hides_errors())
        });
        let name = &call.facts.model;
        let translator = StreamTranslator::new(provider, call.dialect, name, &options)
            .resumable()
            .reading_tier(call.facts.service_tier.is_some());
        Self {
            source: Source::Stream(got.body),
            native,
            translator,
            kept: Some(Kept::of(exchange, call, target)),
            tap,
            watch: Watch::new(&exchange.overrides, call),
            broken: None,
            text_before: 0,
            broken_at: 0,
            next: VecDeque::new(),
            end: None,
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.next.push_back(Chunk::from(bytes));
        }
    }

    fn chunk(&mut self, chunk: Chunk) {
        if let Err(error) = self.watch.saw(&chunk) {
            return self.broke(error);
        }
        let mut out = Vec::new();
        let pushed = self.translator.push(&chunk, &mut out);
        self.tap.token(self.translator.token_seen());
        if let Err(error) = pushed {
            self.send(out);
            return self.broke(BodyError::new(BodyErrorKind::Malformed, error.to_string()));
        }
        if let Some(class) = self.translator.provider_error() {
            self.send(out);
            let detail = format!("the provider reported `{}` in its stream", class.as_str());
            return self.broke(BodyError::new(BodyErrorKind::Disconnected, detail));
        }
        match &mut self.native {
            None => self.send(out),
            Some(stream) => {
                let tapped = stream.push(&chunk);
                let (first, second) = pieces(chunk, tapped);
                self.next.extend(first.into_iter().chain(second));
            }
        }
    }

    /// The source has ended: in order, or as cleanly as a cut can look.
    fn complete(&mut self) {
        let mut out = Vec::new();
        if let Err(error) = self.translator.finish(&mut out) {
            tracing::debug!(%error, "a provider's stream could not be translated to its end");
        }
        if !self.translator.ended() {
            self.send(out);
            let detail = "the provider's stream ended before its last event";
            return self.broke(BodyError::new(BodyErrorKind::Disconnected, detail));
        }
        if let Some(stream) = &mut self.native {
            out = stream.finish();
        }
        self.send(out);
        self.source = Source::Stream(Body::Empty);
        self.end = Some(Ok(()));
    }

    /// The stream has broken: another target goes on, or the caller is told.
    fn broke(&mut self, error: BodyError) {
        self.source = Source::Stream(Body::Empty);
        if self.translator.ended() {
            self.end = Some(Ok(()));
            return;
        }
        self.native = None;
        self.tap.broke(&error);
        self.broken = Some(error);
        let text = self.translator.partial().map(str::to_owned);
        match (text, self.kept.take()) {
            (Some(text), Some(kept)) if !kept.targets.is_empty() => {
                self.broken_at = text.len();
                self.source = Source::Opening(Box::pin(kept.open(text)));
            }
            _ => self.give_up(),
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Opened { kept, stream } = opened;
        let Some((index, tier, body)) = stream else {
            return self.give_up();
        };
        let target = &kept.model.targets[index];
        let spoken = target.spoken(Operation::Conversation(kept.dialect));
        let (usage, told) = (self.translator.usage(), self.translator.tier());
        self.translator.continue_with(spoken);
        self.watch = Watch::of(&kept.overrides, &kept.model, kept.deadline);
        kept.note_leg(self.broken_at.saturating_sub(self.text_before), usage, told);
        self.text_before = self.broken_at;
        kept.note_seam(target, tier, self.text_before);
        self.source = Source::Stream(body);
        self.kept = Some(kept);
    }

    fn give_up(&mut self) {
        self.source = Source::Stream(Body::Empty);
        let error = self.broken.take().unwrap_or_else(|| {
            BodyError::new(BodyErrorKind::Internal, "a stream was given up unbroken")
        });
        let (class, code, message) = last_words(&error);
        let mut out = Vec::new();
        self.translator.fail(class, code, message, &mut out);
        self.send(out);
        self.end = Some(Err(error));
    }
}

impl Kept {
    fn of(exchange: &mut Exchange, call: &Call<'_>, answered: &ProviderTarget) -> Self {
        let reservation = exchange.reservation.as_mut();
        let extension = reservation.and_then(|one| one.extension());
        let raced = exchange.ai.as_ref().is_some_and(|ai| {
            let ai = ai.borrow();
            ai.detours
                .as_ref()
                .is_some_and(|detours| detours.hedges > 0)
        });
        // Whoever is awake, the one that answered last: what broke it may be gone.
        let awake = candidates(exchange, call).unwrap_or_default();
        let position = |target: &ProviderTarget| {
            let mut all = call.model.targets.iter();
            all.position(|known| std::ptr::eq(known, target))
        };
        let others = awake
            .iter()
            .filter(|target| !std::ptr::eq(**target, answered));
        let targets = others.copied().chain([answered]).filter_map(position);
        Self {
            services: exchange.services.clone(),
            headers: exchange.request.head.headers.clone(),
            trace: exchange.record.trace,
            attempts: exchange.record.attempts.len(),
            started: exchange.record.started,
            started_unix: exchange.record.started_unix,
            overrides: exchange.overrides,
            experiments: exchange.record.experiments.clone(),
            facts_of_exchange: exchange.ai.clone(),
            dialect: call.dialect,
            body: call.body.clone(),
            facts: call.facts.clone(),
            model: call.model.clone(),
            deadline: call.deadline,
            targets: targets.collect(),
            extension,
            foreseen: u32::from(!raced),
        }
    }

    /// Asks the next targets until one goes on from `text`.
    async fn open(mut self, text: String) -> Opened {
        let filled = match text.is_empty() {
            true => Some((self.body.clone(), self.facts.clone())),
            false => self.filled(&text),
        };
        let Some((body, facts)) = filled else {
            return self.nobody();
        };
        let model = self.model.clone();
        let call = Call {
            dialect: self.dialect,
            operation: Operation::Conversation(self.dialect),
            other: None,
            body,
            facts,
            model: &model,
            deadline: self.deadline,
            // One JSON list is never continued.
            query: Some("alt=sse".to_owned()),
        };
        while let Some(position) = self.targets.pop_front() {
            let target = &model.targets[position];
            let now = self.services.clock().now();
            let Some(index) = lane(now, &call, target, &[]) else {
                continue;
            };
            let provider = &target.provider.name;
            if self.is_barred(provider) || (self.foreseen == 0 && !self.extend(provider).await) {
                continue;
            }
            let Some(room) = room::take(&call, target) else {
                continue;
            };
            let origin = Origin {
                services: &self.services,
                headers: &self.headers,
                trace: &self.trace,
                attempts: self.attempts,
                moment: Some(now),
                started: self.started,
                started_unix: self.started_unix,
                overrides: &self.overrides,
                facts: self.facts_of_exchange.as_ref(),
                experiments: self.experiments.as_deref(),
            };
            self.note(Leg {
                end: LegEnd::ClientClosed,
                running_since: Some(now.since(self.started)),
                ..given_up(&call, target, FaultCode::UpstreamReset, Duration::ZERO)
            });
            let fetched = fetch(origin, &call, target, index, &room).await;
            self.ran();
            self.attempts += 1;
            let now = self.services.clock().now();
            learn::from(&call, target, index, &fetched.result, now);
            let billed = fetched.result.as_ref().err().and_then(Bad::billed);
            if let (Some(code), Some(row)) = (billed, &fetched.attempt) {
                self.foreseen = self.foreseen.saturating_sub(1);
                self.note(given_up(&call, target, code, row.duration));
            }
            if let Some(facts) = &self.facts_of_exchange {
                let rows = fetched.stale.map(|row| *row).into_iter();
                let rows = rows.chain(fetched.attempt);
                facts.borrow_mut().detours().later_attempts.extend(rows);
            }
            if let Ok(got) = fetched.result
                && got.is_stream
            {
                self.foreseen = self.foreseen.saturating_sub(1);
                let asked = call.facts.service_tier;
                let tier = asked.and_then(|_| tier(&call, target, &got));
                return Opened {
                    stream: Some((position, tier, got.body)),
                    kept: self,
                };
            }
        }
        self.nobody()
    }

    /// Whether the budget of a provider has no room.
    fn is_barred(&self, provider: &Arc<str>) -> bool {
        let facts = self.facts_of_exchange.as_ref();
        facts.is_some_and(|facts| facts.borrow().barred.contains(provider))
    }

    /// Sets more aside for a call to a provider; false where there is no room.
    async fn extend(&mut self, provider: &Arc<str>) -> bool {
        let Some(extension) = &self.extension else {
            return true;
        };
        let barred = extension.extend(std::slice::from_ref(provider)).await;
        let has_room = barred
            .as_ref()
            .is_some_and(|barred| !barred.contains(provider));
        self.foreseen += u32::from(has_room);
        has_room
    }

    /// Records a call beside the one that answers.
    fn note(&self, leg: Leg) {
        if let Some(facts) = &self.facts_of_exchange {
            facts.borrow_mut().detours().legs.push(leg);
        }
    }

    /// Forgets the call that ran, which has ended in another way.
    fn ran(&self) {
        if let Some(facts) = &self.facts_of_exchange {
            let mut facts = facts.borrow_mut();
            facts
                .detours()
                .legs
                .retain(|leg| leg.running_since.is_none());
        }
    }

    fn nobody(self) -> Opened {
        Opened {
            kept: self,
            stream: None,
        }
    }

    fn filled(&self, text: &str) -> Option<(Bytes, RequestFacts)> {
        let body = prefill(self.dialect, &self.body, &self.facts, text)?;
        let facts = inspect(self.dialect, &body).ok()?;
        Some((body.into(), facts))
    }

    /// Records the stream that broke: with what its provider had counted by then, which is the least
    /// there was, and with the tier that it told, if it did.
    fn note_leg(&self, text_bytes: usize, usage: Option<Usage>, told: Option<ServiceTier>) {
        let Some(facts) = &self.facts_of_exchange else {
            return;
        };
        let (provider, provider_model, granted) = {
            let facts = facts.borrow();
            let (provider, model) = (facts.provider.clone(), facts.provider_model.clone());
            (provider, model, facts.service_tier)
        };
        let estimate = (self.facts.messages_span.len() / TOKEN_BYTES) as u64;
        let written = text_bytes.div_ceil(TOKEN_BYTES) as u64;
        let counted = usage.unwrap_or_default();
        self.note(Leg {
            provider: provider.unwrap_or_default(),
            provider_model: provider_model.unwrap_or_default(),
            end: LegEnd::Broken,
            input_tokens: usage.map_or(estimate, |usage| usage.input_tokens),
            output_tokens: counted.output_tokens.max(written),
            parts: LegParts {
                cached_tokens: counted.cached_tokens,
                cache_written_tokens: counted.cache_written_tokens,
                cache_written_hour_tokens: counted.cache_written_1h_tokens,
                reasoning_tokens: counted.reasoning_tokens,
                audio_input_tokens: counted.audio_input_tokens,
                audio_output_tokens: counted.audio_output_tokens,
                service_tier: Some(told.unwrap_or(granted)),
            },
            estimated: true,
            running_since: None,
        });
    }

    /// Records where another target went on; from now on it is the one that answers.
    fn note_seam(&self, target: &ProviderTarget, tier: Option<ServiceTier>, text_bytes: usize) {
        let Some(facts) = &self.facts_of_exchange else {
            return;
        };
        let mut facts = facts.borrow_mut();
        facts.provider = Some(target.provider.name.clone());
        facts.provider_kind = target.provider.kind.telemetry_name;
        facts.provider_model = Some(target.model.clone());
        facts.tariff.clone_from(&target.tariff);
        facts.service_tier = tier.unwrap_or_default();
        let spoken = target.spoken(Operation::Conversation(self.dialect));
        facts.translated |= spoken != self.dialect;
        let at = self.services.clock().now().since(self.started);
        facts.detours().seams.push(Seam {
            at,
            provider: target.provider.name.clone(),
            provider_model: target.model.clone(),
            text_bytes: text_bytes as u64,
        });
    }
}

impl BodyStream for ResumeStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if let Some(chunk) = self.next.pop_front() {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            }
            if let Some(end) = &mut self.end {
                let end = std::mem::replace(end, Ok(()));
                return Poll::Ready(end.err().map(Err));
            }
            match &mut self.source {
                Source::Opening(opening) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.opened(opened);
                }
                Source::Stream(body) => {
                    let next = match body.poll_frame(cx) {
                        Poll::Ready(next) => next,
                        Poll::Pending => Some(Err(ready!(self.watch.poll(cx)))),
                    };
                    match next {
                        Some(Ok(Frame::Data(chunk))) => self.chunk(chunk),
                        Some(Err(error)) => self.broke(error),
                        Some(Ok(Frame::Trailers(_))) | None => self.complete(),
                    }
                }
            }
        }
    }
}

impl Drop for ResumeStream {
    fn drop(&mut self) {
        self.tap.note(self.translator.usage(), None);
        self.tap.tier(self.translator.tier());
        if let Some(class) = self.translator.provider_error() {
            self.tap.provider_failed(class);
        }
    }
}
