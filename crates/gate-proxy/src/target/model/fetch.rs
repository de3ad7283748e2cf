//! A call sent to a target, up to where its answer is known to be one.
//!
//! Nothing of the exchange is touched, so that two of these can race, and one can be made when the
//! exchange is out of our hands.

use super::attempt::{Bad, Got};
use super::begin::{Begun, begin};
use super::call::Call;
use super::refusal::Refused;
use super::request::{Outgoing, outgoing, request_head};
use super::room::Room;
use super::sign::sign;
use super::state::headroom;
use super::{Model, ProviderTarget};
use crate::experiments::Struck;
use crate::money::limits::take_provider;
use crate::upstream::attempt::{Answered, Failure, attempt, is_blamed, row};
use crate::upstream::{Deadlines, Held};
use bytes::Bytes;
use gate_ai::{Operation, answer_error, may_be_error};
use gate_flow::{AiFacts, Attempt, Exchange, Fault, InScope, Overrides, Services, TraceContext};
use gate_kit::clock::Moment;
use gate_kit::http::{Body, BodyError, BodyErrorKind, Chunk, HeaderId, Headers, ResponseHead};
use gate_model::fault::{FaultCode, FaultSource};
use gate_model::resources::RetryOn;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Most bytes of a whole answer that is read for its usage or translated.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Within this time a connection that was closed while it was idle shows that it was.
const STALE: Duration = Duration::from_secs(1);

/// What a try needs to know of the exchange that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) services: &'a Rc<dyn Services>,
    /// The caller's header fields.
    pub(super) headers: &'a Headers,
    pub(super) trace: &'a TraceContext,
    /// Tries so far.
    pub(super) attempts: usize,
    /// Now, where that is known already.
    pub(super) moment: Option<Moment>,
    pub(super) started: Moment,
    pub(super) started_unix: Duration,
    pub(super) overrides: &'a Overrides,
    /// What is known of the call.
    pub(super) facts: Option<&'a Rc<RefCell<Box<AiFacts>>>>,
    /// Experiments that it is in the scope of.
    pub(super) experiments: Option<&'a InScope>,
}

impl<'a> Origin<'a> {
    /// Of an exchange at hand.
    pub(super) fn of(exchange: &'a Exchange) -> Self {
        Self {
            services: &exchange.services,
            headers: &exchange.request.head.headers,
            trace: &exchange.record.trace,
            attempts: exchange.record.attempts.len(),
            moment: Some(exchange.moment).filter(|_| exchange.record.attempts.is_empty()),
            started: exchange.record.started,
            started_unix: exchange.record.started_unix,
            overrides: &exchange.overrides,
            facts: exchange.ai.as_ref(),
            experiments: exchange.record.experiments.as_deref(),
        }
    }
}

/// A try that is over, or whose answer has begun.
pub(super) struct Fetched {
    /// Its row in the record; none when nothing was sent.
    pub(super) attempt: Option<Attempt>,
    /// The row of a try before it, on a connection that turned out to be closed.
    pub(super) stale: Option<Box<Attempt>>,
    pub(super) result: Result<Got, Bad>,
}

impl Fetched {
    fn unsent(bad: Bad) -> Self {
        Self {
            attempt: None,
            stale: None,
            result: Err(bad),
        }
    }
}

/// Sends a call to a target and waits until its answer is known to be one: to the whole answer,
/// or to the first token of a stream where somebody else could be asked instead.
///
/// Once more when the connection had been idle and was closed: that is no sign of anything but
/// that, and no reason to ask somebody else. May be dropped midway, which cancels it.
pub(super) async fn fetch(
    mut origin: Origin<'_>,
    call: &Call<'_>,
    target: &ProviderTarget,
    index: usize,
    room: &Room,
) -> Fetched {
    let now = origin.services.clock();
    let (meter, provider) = (target.meter.as_deref(), &target.provider.name);
    let taken = meter.map_or(Ok(()), |_| {
        take_provider(meter, provider, call.tokens(), origin.facts, now.now())
    });
    if let Err(fault) = taken {
        return Fetched::unsent(Bad::Unfit(fault));
    }
    let mut fetched = send(origin, call, target, index, room).await;
    if matches!(fetched.result, Err(Bad::Failed { stale: true, .. })) {
        let stale = fetched.attempt.map(Box::new);
        origin.attempts += 1;
        origin.moment = None;
        fetched = Box::pin(send(origin, call, target, index, room)).await;
        fetched.stale = stale;
    }
    fetched
}

/// One try, on whatever connection there is.
async fn send(
    origin: Origin<'_>,
    call: &Call<'_>,
    target: &ProviderTarget,
    index: usize,
    room: &Room,
) -> Fetched {
    let Some(road) = target.road(call.operation) else {
        return Fetched::unsent(Bad::Final(unserved(call.model)));
    };
    let outgoing = match outgoing(origin, call, target) {
        Ok(outgoing) => outgoing,
        Err(bad) => return Fetched::unsent(bad),
    };
    let credential = target.provider.credentials.get(index);
    let secret = credential.and_then(|credential| credential.secret.as_deref());
    let token = match credential.and_then(|credential| credential.account.as_ref()) {
        Some(account) => match account.token(origin.services).await {
            Ok(token) => Some(token),
            Err(fault) => return Fetched::unsent(Bad::failed(fault, false)),
        },
        None => None,
    };
    let secret = token.as_deref().or(secret);
    let path = call.target(road);
    let mut head = match request_head(origin, &target.provider, secret, &path) {
        Ok(head) => head,
        Err(fault) => return Fetched::unsent(Bad::Final(fault)),
    };
    if let Some(other) = call.other {
        other.mark(&mut head.headers);
    }
    if !call.is_native(target) {
        // What the caller accepts is what it is translated into.
        head.headers.set(HeaderId::Accept, b"*/*");
    }
    if target.provider.config.signs(target.provider.kind) {
        let (services, provider) = (origin.services, &target.provider);
        let signed = Box::pin(sign(services, provider, secret, &mut head, &outgoing.body));
        if let Err(fault) = signed.await {
            return Fetched::unsent(Bad::Final(fault));
        }
    }
    let upstream = &target.provider.upstream;
    let clock = origin.services.clock();
    let started = origin.moment.unwrap_or_else(|| clock.now());
    let admitted = upstream
        .admit()
        .and_then(|permit| Ok((permit, upstream.pick(started, None, &[])?)));
    let (permit, endpoint) = match admitted {
        Ok(admitted) => admitted,
        Err(fault) => return Fetched::unsent(Bad::failed(fault, true)),
    };
    let busy = (!call.model.only_one).then(|| target.state.enter());
    let deadlines = deadlines(origin, call, started);
    let mut body = Some(Body::Full(Chunk::Shared(outgoing.body.clone())));
    let struck = struck(origin, call, target);
    let result = attempt(
        upstream, &endpoint, &head, &mut body, &deadlines, None, struck,
    )
    .await;
    let now = clock.now();
    let mut row = row(&endpoint, &result, started..now, origin.started);
    upstream.note(&endpoint, is_blamed(&row));
    let result = match result {
        Err(failure) => Err(failed(failure, row.duration)),
        Ok(answered) => {
            let received = Received {
                outgoing,
                started,
                now,
                index,
                peeks: !call.model.only_one || !call.model.first_token.is_zero(),
            };
            let Answered {
                head,
                body,
                in_flight,
                ..
            } = answered;
            let body = match body {
                Body::Stream(inner) => Body::Stream(Box::new(Held::new(
                    inner,
                    (permit, in_flight, busy, room.clone()),
                ))),
                at_hand => at_hand,
            };
            match received.is_plain(call, target, &head, &body) {
                true => Ok(received.got(head, body, false)),
                // Its memory is that of few calls.
                false => Box::pin(received.read(origin, call, target, head, body)).await,
            }
        }
    };
    if let Err(Bad::Failed {
        fault,
        billed: true,
        ..
    }) = &result
    {
        // An answer that began and came to nothing.
        row.fault = Some(fault.code);
        row.duration = clock.now().since(started);
    } else if matches!(result, Err(Bad::Refused(_))) && row.status < 400 {
        row.fault = Some(FaultCode::UpstreamRejected);
    }
    Fetched {
        attempt: Some(row),
        stale: None,
        result,
    }
}

/// The experiment that strikes a try, if one does.
#[inline]
fn struck(origin: Origin<'_>, call: &Call<'_>, target: &ProviderTarget) -> Option<Struck> {
    let (provider, model) = (&target.provider.name, &call.model.name);
    let spoken = target.spoken(call.operation);
    Struck::model(
        origin.experiments,
        provider,
        model,
        call.facts.stream,
        spoken,
    )
}

fn failed(failure: Failure, took: Duration) -> Bad {
    if failure.fault.code.source() == FaultSource::Client {
        return Bad::Final(failure.fault);
    }
    let reset = failure.reason == Some(RetryOn::Reset);
    Bad::Failed {
        passes: reset || failure.reason == Some(RetryOn::Connect),
        stale: is_stale(&failure, took),
        billed: is_billed(&failure, took),
        fault: failure.fault,
    }
}

/// Whether a connection had been kept idle for too long: whoever had the request for longer than a
/// moment may have worked on it.
fn is_stale(failure: &Failure, took: Duration) -> bool {
    failure.reason == Some(RetryOn::Reset) && failure.reused && took < STALE
}

/// Whether the provider may bill a try without an answer: it may have had the request.
pub(super) fn is_billed(failure: &Failure, took: Duration) -> bool {
    let unsent = failure.reason == Some(RetryOn::Connect);
    let source = failure.fault.code.source();
    !unsent && source == FaultSource::Upstream && !is_stale(failure, took)
}

fn deadlines(origin: Origin<'_>, call: &Call<'_>, started: Moment) -> Deadlines {
    let overrides = origin.overrides;
    Deadlines {
        started,
        total: call.deadline,
        first_byte: overrides.first_byte.unwrap_or(call.model.first_byte),
        idle: overrides.idle.unwrap_or(call.model.idle),
    }
}

/// The fault of a model none of whose providers serves what was asked.
pub(super) fn unserved(model: &Model) -> Fault {
    let name = &model.name;
    let message = format!("No provider of the model `{name}` serves this operation.");
    Fault::new(FaultCode::ModelNotFound).message(message)
}

/// A try whose head has been received.
struct Received {
    outgoing: Outgoing,
    started: Moment,
    now: Moment,
    index: usize,
    peeks: bool,
}

impl Received {
    /// Whether this is a whole answer that is at hand already, and nobody else to learn from it.
    fn is_plain(
        &self,
        call: &Call<'_>,
        target: &ProviderTarget,
        head: &ResponseHead,
        body: &Body,
    ) -> bool {
        let is_whole = match body {
            // What another dialect calls an answer is looked at; what passes is the caller's.
            Body::Full(chunk) => {
                chunk.len() <= ANSWER_MAX && (call.is_native(target) || !may_be_error(chunk))
            }
            _ => false,
        };
        is_whole
            && call.model.only_one
            && head.status < 400
            && !call.is_json_list()
            && !self.is_stream(call, target, head)
    }

    fn is_stream(&self, call: &Call<'_>, target: &ProviderTarget, head: &ResponseHead) -> bool {
        let content_type = head.headers.get(HeaderId::ContentType);
        content_type.is_some_and(|value| target.spoken(call.operation).is_stream(value))
    }

    fn got(self, head: ResponseHead, body: Body, is_stream: bool) -> Got {
        Got {
            outgoing: self.outgoing,
            head,
            body,
            is_stream,
            started: self.started,
        }
    }

    /// Reads as much of the body as must be known before the answer counts as one.
    async fn read(
        self,
        origin: Origin<'_>,
        call: &Call<'_>,
        target: &ProviderTarget,
        head: ResponseHead,
        body: Body,
    ) -> Result<Got, Bad> {
        if !call.model.only_one || head.status >= 400 {
            let unix = self.unix(origin);
            if let Some(lane) = target.lanes.get(self.index) {
                lane.note(&head.headers, self.now, unix);
            }
            if head.status >= 400 {
                let refused = Box::pin(Refused::read(call, target, head, body, unix)).await;
                return Err(refused.map_or_else(
                    |fault| Bad::failed(fault, true),
                    |refused| Bad::Refused(Box::new(refused)),
                ));
            }
        }
        if call.other.is_some() {
            return Box::pin(self.read_other(call, target, head, body)).await;
        }
        // One JSON list is a stream, too, though its type does not say so. It is not peeked into.
        let is_list = call.is_json_list() && target.spoken(call.operation) == call.dialect;
        let is_stream = is_list || self.is_stream(call, target, &head);
        let body = match (is_stream, self.peeks && !is_list) {
            (true, false) => body,
            (true, true) => Box::pin(self.peek(origin, call, target, &head, body)).await?,
            (false, _) => whole(call, body).await?,
        };
        let matters = !is_stream && (!call.model.only_one || !call.is_native(target));
        if let (Body::Full(answer), true) = (&body, matters)
            && let Some(error) = answer_error(target.spoken(call.operation), answer)
        {
            let after = headroom::retry_after(&head.headers, self.unix(origin));
            let answer = Bytes::copy_from_slice(answer);
            let refused = Refused::in_answer(call, target, (head, answer), error, after);
            return Err(Bad::Refused(Box::new(refused)));
        }
        Ok(self.got(head, body, is_stream))
    }

    /// The same of an operation that is no conversation: what is translated must be here whole, all
    /// else goes on as it comes.
    async fn read_other(
        self,
        call: &Call<'_>,
        target: &ProviderTarget,
        head: ResponseHead,
        body: Body,
    ) -> Result<Got, Bad> {
        let kind = head.headers.get(HeaderId::ContentType);
        let is_stream = match call.operation {
            Operation::Invoke { stream } => stream,
            _ => kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")),
        };
        let body = match call.is_native(target) {
            true => body,
            false => whole(call, body).await?,
        };
        Ok(self.got(head, body, is_stream))
    }

    fn unix(&self, origin: Origin<'_>) -> Duration {
        origin.started_unix + self.now.since(origin.started)
    }

    /// Holds a stream back until its first token, while it can still turn out to be a refusal.
    async fn peek(
        &self,
        origin: Origin<'_>,
        call: &Call<'_>,
        target: &ProviderTarget,
        head: &ResponseHead,
        body: Body,
    ) -> Result<Body, Bad> {
        let patience = match call.model.first_token {
            zero if zero.is_zero() => deadlines(origin, call, self.started).idle,
            first_token => {
                let waited = origin.services.clock().now().since(self.started);
                first_token.saturating_sub(waited)
            }
        };
        let limited = !call.model.first_token.is_zero() || !patience.is_zero();
        let until = limited.then(|| Instant::now() + patience);
        let until = match (until, call.deadline) {
            (Some(until), Some(deadline)) => Some(until.min(deadline)),
            (until, deadline) => until.or(deadline),
        };
        match begin(body, target.spoken(call.operation), until).await {
            Begun::Answer(body) => Ok(body),
            Begun::Refusal(error) => {
                let after = headroom::retry_after(&head.headers, self.unix(origin));
                let refused = Refused::in_stream(target, error, after);
                Err(Bad::Refused(Box::new(refused)))
            }
            Begun::Broken(error) => Err(Bad::broken(Fault::from_response_body(&error), true)),
        }
    }
}

/// Reads a whole answer.
async fn whole(call: &Call<'_>, mut body: Body) -> Result<Body, Bad> {
    let collected = match call.deadline {
        None => body.collect(ANSWER_MAX).await,
        Some(deadline) => {
            let late =
                || BodyError::new(BodyErrorKind::TimedOut, "the time for everything is over");
            let collecting = Box::pin(body.collect(ANSWER_MAX));
            match tokio::time::timeout_at(deadline, collecting).await {
                Ok(collected) => collected,
                Err(_) => Err(late()),
            }
        }
    };
    match collected {
        Ok(chunk) => Ok(Body::from(chunk)),
        Err(error) => {
            let passes = error.kind == BodyErrorKind::Disconnected;
            Err(Bad::broken(Fault::from_response_body(&error), passes))
        }
    }
}
