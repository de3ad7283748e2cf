//! What a provider keeps: files, batches, stored responses. They name no model, so the provider is
//! chosen otherwise, and everything passes as it is.
//!
//! The header `x-tidegate-provider` names the provider; without it, it is the first one behind the
//! route's models that serves the operation, those of the vendor whose client asks before others:
//! Anthropic, Mistral and OpenAI keep files at one path. Ids are the provider's own. Whoever may use the
//! provider sees all that its account keeps. A batch could name any model, so that a caller who may
//! use some models only may not make one.

use super::super::answer::keep_for_caller;
use super::super::listing::expected;
use super::super::{Model, ProviderTarget, Road, may_use};
use super::answer::refused;
use super::send::{Sent, Wire, send};
use super::{Asked, Known, note_target, open_facts, targets};
use crate::money::batch::Seen;
use gate_ai::endpoint::BatchDialect;
use gate_ai::operation::batch_usage::{BatchResults, finished};
use gate_ai::operation::batches::with_own_results;
use gate_ai::provider::BatchFormat;
use gate_ai::{ListingShape, Operation};
use gate_flow::{Exchange, Fault, ProviderCall};
use gate_kit::http::{Body, BodyError, BodyStream, Frame, HeaderId, Response};
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Longest answer about batches, in bytes: a thousand of them, the most on one page, are less.
const BATCHES_MAX: usize = 4 * 1024 * 1024;
/// Names the provider to ask.
const PROVIDER_HEADER: &str = "x-tidegate-provider";
/// How long a provider may take to its first byte when the gateway calls it for a batch: what is sent
/// may be long, and who asks has deadlines of its own.
const FIRST_BYTE: Duration = Duration::from_secs(3_600);
/// Fields of the gateway's own calls that go on: those of Gemini's resumable uploads
/// (<https://ai.google.dev/gemini-api/docs/files>).
const UPLOAD_FIELDS: &[&str] = &[
    "x-goog-upload-protocol",
    "x-goog-upload-command",
    "x-goog-upload-offset",
    "x-goog-upload-header-content-length",
    "x-goog-upload-header-content-type",
];

/// Serves one call.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    asked: &Asked,
) -> Result<Response, Fault> {
    let inside = exchange.client.inside.as_ref();
    if let Some(call) = inside.and_then(|inside| inside.at_provider.clone()) {
        return at_provider(models, exchange, asked, &call).await;
    }
    let limited = exchange
        .caller
        .as_ref()
        .is_some_and(|caller| caller.models.is_some());
    if limited && matches!(asked.operation, Operation::Batches(_)) {
        let message = "This key may use some models only, and a batch could name any.";
        return Err(Fault::new(FaultCode::Forbidden).message(message));
    }
    let wanted = exchange.request.head.headers.get_named(PROVIDER_HEADER);
    let wanted = wanted.map(|name| String::from_utf8_lossy(name).into_owned());
    let wish = match &wanted {
        Some(name) => Wish::Provider(name),
        None => Wish::Client(expected(&exchange.request.head.headers)),
    };
    let (model, wish) = chosen(models, exchange, asked.operation, wish)?;
    let (target, road) = serving(&model, asked.operation, wish).ok_or(FaultCode::RouteNotFound)?;
    open_facts(exchange, asked.operation, &model.name, false);
    note_target(exchange, target, false);
    let query = exchange.request.head.query();
    let address = address(road.target(false), &asked.rest, query);
    let waits = Waits {
        // A model is only how the provider was found: how long its calls may take is nothing to files.
        deadline: route_deadline(exchange),
        first_byte: model.first_byte,
        idle: model.idle,
    };
    let sent = forwarded(exchange, target, &address, &["range"], waits).await?;
    if sent.head.status < 400 {
        let mut head = sent.head;
        keep_for_caller(&mut head.headers);
        let provider = &target.provider.name;
        let body = batch(exchange, &model, provider, asked, sent.body).await?;
        return Ok(Response { head, body });
    }
    refused(target, asked.operation, sent).await
}

/// Makes a call of the gateway's own, whose owner may use a model at the provider.
async fn at_provider(
    models: &Known,
    exchange: &mut Exchange,
    asked: &Asked,
    call: &ProviderCall,
) -> Result<Response, Fault> {
    let mut allowed = models.iter().filter(|(name, _)| may_use(exchange, name));
    let found = allowed.find_map(|(_, model)| {
        let mut all = model.targets.iter();
        let at = all.position(|target| *target.provider.name == *call.provider)?;
        Some((model.clone(), at))
    });
    let (model, at) = found.ok_or(FaultCode::RouteNotFound)?;
    let target = &model.targets[at];
    open_facts(exchange, asked.operation, &model.name, false);
    note_target(exchange, target, false);
    let waits = Waits {
        deadline: None,
        first_byte: FIRST_BYTE,
        idle: model.idle,
    };
    let sent = forwarded(exchange, target, &call.target, UPLOAD_FIELDS, waits).await?;
    if sent.head.status >= 400 {
        return refused(target, asked.operation, sent).await;
    }
    let mut head = sent.head;
    keep_for_caller(&mut head.headers);
    let body = match (&call.results, target.provider.kind.batches) {
        (Some(of), Some(api)) => {
            let seen = model.treasury.watch_batch(exchange, &target.provider.name);
            seen.borrow_mut().id.clone_from(&of.batch);
            let tariff = model.treasury.batch_tariff(&target.provider.name);
            let results = BatchResults::new(api.format, Some(of.model.clone()), tariff);
            watched(sent.body, results, seen)
        }
        _ => sent.body,
    };
    Ok(Response { head, body })
}

/// How long a request may take.
struct Waits {
    deadline: Option<Instant>,
    first_byte: Duration,
    idle: Duration,
}

/// When everything must be over by the route's own word.
fn route_deadline(exchange: &Exchange) -> Option<Instant> {
    let total = exchange.overrides.total.filter(|total| !total.is_zero())?;
    let clock = exchange.services.clock();
    Some(clock.deadline(exchange.moment, total).into())
}

/// Sends the exchange's request to this address of the provider's.
async fn forwarded(
    exchange: &mut Exchange,
    target: &ProviderTarget,
    address: &str,
    fields: &[&str],
    waits: Waits,
) -> Result<Sent, Fault> {
    let head = &exchange.request.head;
    let kind = head.headers.get(HeaderId::ContentType).map(<[u8]>::to_vec);
    let wire = Wire {
        method: head.method.clone(),
        target: address,
        content_type: kind.as_deref(),
        fields,
        upgrade: None,
        deadline: waits.deadline,
        first_byte: waits.first_byte,
        idle: waits.idle,
    };
    let mut body = Some(std::mem::take(&mut exchange.request.body));
    send(exchange, &target.provider, &wire, &mut body).await
}

/// An answer on its way, as it is unless it is about batches: those are read for what was consumed,
/// and where their results are.
async fn batch(
    exchange: &mut Exchange,
    model: &Model,
    provider: &Arc<str>,
    asked: &Asked,
    mut body: Body,
) -> Result<Body, Fault> {
    let Operation::Batches(dialect) = asked.operation else {
        return Ok(body);
    };
    let watch = |exchange: &mut Exchange| model.treasury.watch_batch(exchange, provider);
    let results = asked.rest.strip_suffix("/results");
    match (dialect, results) {
        // Results themselves are as long as they like.
        (BatchDialect::Anthropic, Some(batch)) => {
            let seen = watch(exchange);
            seen.borrow_mut().id = batch.trim_start_matches('/').to_owned();
            let tariff = model.treasury.batch_tariff(provider);
            let results = BatchResults::new(BatchFormat::Anthropic, None, tariff);
            Ok(watched(body, results, seen))
        }
        (BatchDialect::Anthropic | BatchDialect::OpenAi, _) => {
            let read = body.collect(BATCHES_MAX).await;
            let read = read.map_err(|error| Fault::from_response_body(&error))?;
            if dialect == BatchDialect::Anthropic {
                let own = with_own_results(&read).map(Into::into);
                return Ok(Body::Full(own.unwrap_or(read)));
            }
            if let Some((id, share)) = finished(&read) {
                let seen = watch(exchange);
                *seen.borrow_mut() = Seen {
                    id,
                    shares: vec![share],
                    partly: false,
                };
            }
            Ok(Body::Full(read))
        }
        (BatchDialect::Mistral, _) => Ok(body),
    }
}

/// Results that pass, read for what was consumed.
fn watched(inner: Body, results: BatchResults, seen: Rc<RefCell<Seen>>) -> Body {
    Body::Stream(Box::new(Results {
        inner,
        results,
        seen,
    }))
}

/// Results of a batch that pass unchanged and are read for what was consumed.
struct Results {
    inner: Body,
    results: BatchResults,
    seen: Rc<RefCell<Seen>>,
}

impl BodyStream for Results {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        match &frame {
            Some(Ok(Frame::Data(chunk))) => self.results.push(chunk),
            // Only the whole of it is settled: what is read in part is read again.
            Some(Ok(Frame::Trailers(_))) | None => {
                let (shares, unread) = self.results.finish();
                let mut seen = self.seen.borrow_mut();
                (seen.shares, seen.partly) = (shares, unread > 0);
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

/// The first model that the caller may use and whose provider serves the operation.
fn chosen<'w>(
    models: &Known,
    exchange: &Exchange,
    operation: Operation,
    wish: Wish<'w>,
) -> Result<(Arc<Model>, Wish<'w>), Fault> {
    let find = |wish: Wish<'w>| {
        let mut allowed = models.iter().filter(|(name, _)| may_use(exchange, name));
        let found = allowed.find(|(_, model)| serving(model, operation, wish).is_some());
        found.map(|(_, model)| (model.clone(), wish))
    };
    let found = match wish {
        Wish::Client(_) => find(wish).or_else(|| find(Wish::Any)),
        _ => find(wish),
    };
    found.ok_or_else(|| {
        let message = match wish {
            Wish::Provider(_) => "No provider of this name serves this operation here.",
            _ => "No provider serves this operation here.",
        };
        Fault::new(FaultCode::RouteNotFound).message(message)
    })
}

/// Whether a provider of these models, which the caller may use, serves the operation.
pub(in super::super) fn is_kept(models: &Known, exchange: &Exchange, operation: Operation) -> bool {
    let mut allowed = models.iter().filter(|(name, _)| may_use(exchange, name));
    allowed.any(|(_, model)| serving(model, operation, Wish::Any).is_some())
}

/// Which provider is asked for.
#[derive(Clone, Copy)]
enum Wish<'w> {
    /// The one of this name.
    Provider(&'w str),
    /// One of the vendor whose client expects these shapes.
    Client(ListingShape),
    /// Any.
    Any,
}

impl Wish<'_> {
    fn fits(self, target: &ProviderTarget) -> bool {
        let kind = target.provider.kind.name;
        match self {
            Self::Any => true,
            Self::Provider(name) => *target.provider.name == *name,
            Self::Client(ListingShape::Anthropic) => kind == "anthropic",
            Self::Client(ListingShape::Mistral) => kind == "mistral",
            Self::Client(_) => !matches!(kind, "anthropic" | "mistral"),
        }
    }
}

fn serving<'m>(
    model: &'m Model,
    operation: Operation,
    wish: Wish<'_>,
) -> Option<(&'m ProviderTarget, &'m Road)> {
    let fits = |target: &&ProviderTarget| wish.fits(target);
    let mut fitting = targets(model).into_iter().filter(fits);
    fitting.find_map(|target| Some((target, target.road(operation)?)))
}

/// The address: the operation's own path, what follows it, and the caller's query less what could
/// be a credential.
fn address(path: &str, rest: &str, query: Option<&str>) -> String {
    let mut address = format!("{path}{rest}");
    let kept = |pair: &&str| {
        !["key=", "api_key=", "access_token="]
            .iter()
            .any(|c| pair.starts_with(c))
    };
    for pair in query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(kept)
    {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(pair);
    }
    address
}
