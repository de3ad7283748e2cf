//! One call: its request read, its model found, the model's targets tried until one answers.
//!
//! A round goes through the candidates in their order, each with as many of its credentials as
//! have something left to say. What a failure leads to is decided by its class: another
//! credential, another target, a target with a longer context, another round, or the caller.

use super::attempt::{self, Bad, Tried};
use super::candidates::{Candidates, candidates, lane};
use super::hedge::{self, Runner};
use super::operation::Other;
use super::room::{self, Room};
use super::{Addressed, Model, ProviderTarget, Road, may_use};
use crate::money::reserve::Asked;
use bytes::Bytes;
use gate_ai::{
    Dialect, DialectError, ErrorClass, Operation, RequestFacts, inspect, inspect_with_reach,
    target_in_form, wants_json_list,
};
use gate_flow::{AiFacts, Exchange, Fault};
use gate_kit::http::{Body, Response};
use gate_kit::random;
use gate_model::fault::FaultCode;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Most bytes of a request to a model.
const REQUEST_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a request that count as a token.
const TOKEN_BYTES: usize = 4;

/// A request that has been read.
pub(super) struct Call<'a> {
    /// The caller's; of an operation that is no conversation, the one its errors are told in.
    pub(super) dialect: Dialect,
    /// What is asked for.
    pub(super) operation: Operation,
    /// What is asked for besides, where it is no conversation.
    pub(super) other: Option<&'a Other>,
    pub(super) body: Bytes,
    pub(super) facts: RequestFacts,
    pub(super) model: &'a Arc<Model>,
    /// When everything must be over.
    pub(super) deadline: Option<Instant>,
    /// The caller's query, in the dialects in which it says something of the answer.
    pub(super) query: Option<String>,
}

impl Call<'_> {
    /// Whether the answer is a stream that is one JSON list.
    pub(super) fn is_json_list(&self) -> bool {
        self.facts.stream
            && self.dialect == Dialect::GenerateContent
            && wants_json_list(self.query.as_deref())
    }

    /// The path of a provider that speaks the caller's dialect, in the form the caller asks for.
    pub(super) fn target<'t>(&self, road: &'t Road) -> Cow<'t, str> {
        let path = road.target(self.facts.stream);
        if road.sent != Operation::Conversation(self.dialect) {
            return path.into();
        }
        match (self.dialect, self.query.as_deref()) {
            (Dialect::GenerateContent, query) => target_in_form(path, query).into(),
            // Anthropic's SDK asks for what is new by `?beta=true`.
            (_, Some(query)) if !path.contains('?') => format!("{path}?{query}").into(),
            _ => path.into(),
        }
    }

    /// Tokens of the input, estimated.
    pub(super) fn tokens(&self) -> u64 {
        let bytes = match self.other {
            None => self.facts.messages_span.len(),
            Some(other) => other.text_bytes(self),
        };
        (bytes / TOKEN_BYTES) as u64
    }

    /// Whether a target is sent what the caller asks for in the caller's own format.
    pub(super) fn is_native(&self, target: &ProviderTarget) -> bool {
        let road = target.road(self.operation);
        road.is_some_and(|road| road.sent == self.operation)
    }
}

/// Answers a conversation in `dialect` with one of `models`.
pub(super) async fn converse(
    models: &[(String, Arc<Model>)],
    exchange: &mut Exchange,
    dialect: Dialect,
    addressed: Addressed,
) -> Result<Response, Fault> {
    let limit = exchange
        .overrides
        .body
        .map_or(REQUEST_MAX, |bytes| bytes as usize);
    let at_hand = !matches!(exchange.request.body, Body::Stream(_));
    let body = exchange.request.body.collect(limit).await;
    if !at_hand {
        exchange.moment = exchange.services.clock().now();
    }
    let body = body
        .map_err(|error| Fault::from_request_body(&error))?
        .into_bytes();
    // What a call may cost depends on the whole of the request, which is read once.
    let reserves = models.iter().any(|(_, model)| model.treasury.reserves());
    let inspected = match reserves {
        true => inspect_with_reach(dialect, &body).map(|(facts, reach)| (facts, Some(reach))),
        false => inspect(dialect, &body).map(|facts| (facts, None)),
    };
    let (mut facts, reach) = inspected.map_err(|error| not_understood(&error))?;
    if facts.model.is_empty() {
        facts.model = addressed.model.unwrap_or_default();
    }
    facts.stream = addressed.streams.unwrap_or(facts.stream);
    let model = models
        .iter()
        .find(|(name, _)| *name == facts.model && may_use(exchange, name))
        .map(|(_, model)| model.clone())
        .ok_or_else(|| {
            let shown: String = facts.model.chars().take(100).collect();
            Fault::new(FaultCode::ModelNotFound)
                .message(format!("The model `{shown}` does not exist."))
        })?;
    exchange.ai = Some(Rc::new(RefCell::new(Box::new(AiFacts {
        operation: "chat",
        model: model.name.clone(),
        stream: facts.stream,
        ..AiFacts::default()
    }))));
    exchange.record.target = Some(model.name.clone());
    let asked = Asked {
        dialect,
        body: Some(&body),
        reach,
        has_tools: facts.has_tools,
        max_tokens: facts.max_tokens,
        pieces: None,
        // The other runner of a race, or whoever continues a stream, is paid as well.
        copies: if model.hedge.is_some() || model.resume {
            2
        } else {
            1
        },
    };
    model.treasury.reserve(exchange, &asked).await?;
    let total = exchange.overrides.total.unwrap_or(model.total);
    let clock = exchange.services.clock();
    let call = Call {
        dialect,
        operation: Operation::Conversation(dialect),
        other: None,
        body,
        facts,
        model: &model,
        deadline: (!total.is_zero()).then(|| clock.deadline(exchange.moment, total).into()),
        query: match dialect {
            Dialect::GenerateContent | Dialect::Messages => {
                exchange.request.head.query().map(str::to_owned)
            }
            _ => None,
        },
    };
    answer(exchange, &call).await
}

/// Whether the budget of a target's provider has no room for this call.
pub(super) fn is_barred(exchange: &Exchange, target: &ProviderTarget) -> bool {
    let barred =
        |ai: &Rc<RefCell<Box<AiFacts>>>| ai.borrow().barred.contains(&target.provider.name);
    exchange.ai.as_ref().is_some_and(barred)
}

/// The fault of a request that its dialect does not know.
pub(super) fn not_understood(error: &DialectError) -> Fault {
    Fault::new(FaultCode::InvalidBody).message(error.to_string())
}

/// What the rounds have come to so far.
#[derive(Default)]
struct Progress {
    /// What the caller gets when nobody answers.
    last: Option<Bad>,
    /// Whether a failure of this round may pass by itself.
    passes: bool,
    /// The shortest wait that a provider asked for in this round.
    wait: Option<Duration>,
    /// The longest context that was too short.
    too_short: Option<u64>,
    /// Providers of tries that came to nothing and may be billed, for which nothing more has been set
    /// aside yet.
    spent: Vec<Arc<str>>,
    /// Whether more has been set aside, so that budgets of providers may have run out meanwhile.
    extended: bool,
    /// Whether there was no room for more.
    refused: bool,
}

/// Tries the model's targets until one answers.
pub(super) async fn answer(exchange: &mut Exchange, call: &Call<'_>) -> Result<Response, Fault> {
    let mut progress = Progress::default();
    let mut held = None;
    let mut rounds = 0;
    loop {
        let targets = candidates(exchange, call)?;
        if let Some(response) = round(exchange, call, &targets, &mut progress).await? {
            return Ok(response);
        }
        let Some(wait) = before_next_round(call, &progress, rounds) else {
            break;
        };
        if !progress.spent.is_empty() && !Box::pin(progress.extend(exchange)).await {
            break;
        }
        let in_flight = call.model.targets[0].provider.upstream.in_flight();
        let extra = call.model.extra.take(in_flight, call.model.extra_share);
        if extra.is_none() {
            break;
        }
        held = extra;
        rounds += 1;
        detour(exchange, |detours| detours.retries += 1);
        between_tries(exchange, true);
        exchange.services.sleep(wait).await;
        between_tries(exchange, false);
    }
    drop(held);
    match progress.last {
        Some(Bad::Refused(refused)) => refused.into_answer(call),
        Some(Bad::Failed { fault, .. } | Bad::Unfit(fault) | Bad::Final(fault)) => Err(fault),
        None => Err(FaultCode::NoEndpoint.into()),
    }
}

/// One round; an answer, or nothing when everybody failed.
async fn round<'m>(
    exchange: &mut Exchange,
    call: &Call<'m>,
    targets: &Candidates<'m>,
    progress: &mut Progress,
) -> Result<Option<Response>, Fault> {
    progress.passes = false;
    progress.wait = None;
    let (mut asked, mut full) = (false, None);
    let mut left = targets.as_slice();
    while let [target, others @ ..] = left {
        left = others;
        let is_too_short = |than| target.facts.context.is_some_and(|context| context <= than);
        if progress.too_short.is_some_and(is_too_short) {
            detour(exchange, |detours| detours.passed_over += 1);
            continue;
        }
        if !progress.spent.is_empty() && !Box::pin(progress.extend(exchange)).await {
            return Ok(None);
        }
        if progress.extended && is_barred(exchange, target) {
            detour(exchange, |detours| detours.passed_over += 1);
            continue;
        }
        let Some(room) = room::take(call, target) else {
            full = full.or(Some(*target));
            continue;
        };
        let is_first = !std::mem::replace(&mut asked, true) && progress.last.is_none();
        let delay = hedge::delay(call.model, target, call.facts.stream).filter(|_| is_first);
        let answer = match delay {
            None => {
                let tried = through_credentials(exchange, call, target, room, progress).await;
                progress.take(call, tried)?
            }
            Some(delay) => {
                let hedged = hedged(exchange, call, (target, room), &mut left, delay, progress);
                Box::pin(hedged).await?
            }
        };
        if answer.is_some() {
            return Ok(answer);
        }
    }
    let Some(target) = full.filter(|_| !asked) else {
        return Ok(None);
    };
    let room = Box::pin(room::wait(exchange, call, target)).await?;
    exchange.moment = exchange.services.clock().now();
    let tried = through_credentials(exchange, call, target, room, progress).await;
    progress.take(call, tried)
}

/// The first target, raced by the next of `left`, or by itself when there is none.
async fn hedged<'m>(
    exchange: &mut Exchange,
    call: &Call<'m>,
    (target, room): (&'m ProviderTarget, Room),
    left: &mut &[&'m ProviderTarget],
    delay: Duration,
    progress: &mut Progress,
) -> Result<Option<Response>, Fault> {
    let first = Runner {
        target,
        index: lane(exchange.services.clock().now(), call, target, &[]).unwrap_or(0),
        room,
    };
    let rival = left.first().copied();
    let second = |exchange: &Exchange, first: &Runner<'m>| {
        let target = rival.unwrap_or(target);
        let used: &[usize] = match rival {
            None if target.lanes.len() > 1 => std::slice::from_ref(&first.index),
            _ => &[],
        };
        Some(Runner {
            target,
            index: lane(exchange.services.clock().now(), call, target, used)?,
            room: room::take(call, target)?,
        })
    };
    let raced = hedge::race(exchange, call, first, second, delay).await;
    if raced.both && rival.is_some() {
        *left = &left[1..];
    }
    for (target, tried) in raced.failed.into_iter().chain([raced.last]) {
        progress.note(&tried, target, call);
        if let Some(response) = progress.take(call, tried)? {
            return Ok(Some(response));
        }
    }
    Ok(None)
}

/// Whether no other target is asked after a refusal of this class.
fn is_final(call: &Call<'_>, class: ErrorClass) -> bool {
    match class {
        ErrorClass::ContentFilter => !call.model.filtered_falls_back,
        class => !class.falls_back(),
    }
}

/// One target, with one credential after the other while it is the credential that is refused.
async fn through_credentials(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    room: Room,
    progress: &mut Progress,
) -> Tried {
    let mut used: SmallVec<[usize; 4]> = SmallVec::new();
    let mut index = lane(exchange.moment, call, target, &used).unwrap_or(0);
    loop {
        let tried = attempt::one(exchange, call, target, index, &room).await;
        match &tried {
            Tried::Answer(_) => return tried,
            Tried::Bad(Bad::Refused(refused)) if refused.is_the_credentials() => {
                progress.note(&tried, target, call);
            }
            Tried::Bad(_) => {
                progress.note(&tried, target, call);
                return tried;
            }
        }
        used.push(index);
        match lane(exchange.services.clock().now(), call, target, &used) {
            Some(next) => index = next,
            None => return tried,
        }
    }
}

impl Progress {
    /// Sets more aside for another try; false where nobody is to be asked any more.
    async fn extend(&mut self, exchange: &mut Exchange) -> bool {
        let spent = std::mem::take(&mut self.spent);
        let reservation = exchange.reservation.as_mut();
        let Some(extension) = reservation.and_then(|one| one.extension()) else {
            return true;
        };
        self.extended = true;
        between_tries(exchange, true);
        let barred = extension.extend(&spent).await;
        between_tries(exchange, false);
        exchange.moment = exchange.services.clock().now();
        let has_room = barred.is_some();
        if let (Some(barred), Some(ai)) = (barred, &exchange.ai) {
            ai.borrow_mut().barred.extend(barred);
        }
        self.refused |= !has_room;
        has_room
    }

    /// Notes what a failure means for the rest of the call.
    fn note(&mut self, tried: &Tried, target: &ProviderTarget, call: &Call<'_>) {
        let refused = match tried {
            Tried::Answer(_) | Tried::Bad(Bad::Unfit(_) | Bad::Final(_)) => return,
            Tried::Bad(bad @ Bad::Failed { passes, .. }) => {
                self.passes |= passes;
                if bad.billed().is_some() {
                    self.spent.push(target.provider.name.clone());
                }
                return;
            }
            Tried::Bad(Bad::Refused(refused)) => refused,
        };
        self.passes |= refused.class.is_retryable();
        if let Some(after) = refused.retry_after {
            self.wait = Some(self.wait.map_or(after, |wait| wait.min(after)));
        }
        if refused.class == ErrorClass::ContextLength {
            // A context of unknown length is at least shorter than this call.
            let context = target.facts.context.unwrap_or_else(|| call.tokens());
            self.too_short = Some(self.too_short.unwrap_or(0).max(context));
        }
    }

    /// Tells what ends the call from what leaves it to the next target.
    fn take(&mut self, call: &Call<'_>, tried: Tried) -> Result<Option<Response>, Fault> {
        match tried {
            Tried::Answer(response) => Ok(Some(response)),
            Tried::Bad(Bad::Final(fault)) => Err(fault),
            Tried::Bad(Bad::Refused(refused)) if is_final(call, refused.class) => {
                refused.into_answer(call).map(Some)
            }
            // What really went wrong says more.
            Tried::Bad(bad @ Bad::Unfit(_)) if self.last.is_none() => {
                self.last = Some(bad);
                Ok(None)
            }
            Tried::Bad(Bad::Unfit(_)) => Ok(None),
            Tried::Bad(bad) => {
                self.last = Some(bad);
                Ok(None)
            }
        }
    }
}

/// Time before another round; none when there is no point in one.
fn before_next_round(call: &Call<'_>, progress: &Progress, rounds: u32) -> Option<Duration> {
    if rounds >= call.model.retries || !progress.passes || progress.refused {
        return None;
    }
    let backoff = &call.model.backoff;
    let most = backoff.most.duration();
    let wait = match progress.wait {
        // Whoever asks for more than we wait gets asked by the caller, who is told how long.
        Some(asked) if asked > most => return None,
        Some(asked) => asked,
        None => {
            let full = backoff.base.duration().saturating_mul(1 << rounds.min(16));
            full.min(most).mul_f64(0.5 + 0.5 * random::fraction())
        }
    };
    let in_time = |deadline| Instant::now() + wait < deadline;
    call.deadline.is_none_or(in_time).then_some(wait)
}

/// Notes whether nothing is in flight: who leaves then has consumed nothing more.
pub(super) fn between_tries(exchange: &Exchange, waits: bool) {
    detour(exchange, |detours| detours.between_tries = waits);
}

/// Notes something that an ordinary call does not do.
pub(super) fn detour(exchange: &Exchange, note: impl FnOnce(&mut gate_flow::Detours)) {
    if let Some(ai) = &exchange.ai {
        note(ai.borrow_mut().detours());
    }
}
