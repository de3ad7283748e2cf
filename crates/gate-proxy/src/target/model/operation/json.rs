//! Operations with a JSON body: the model is found in body or path, replaced, and the rest passes;
//! embeddings and rerank are translated where a provider speaks another format.

use super::super::call::{is_barred, not_understood};
use super::super::fetch::unserved;
use super::super::tap::{Tap, TapStream};
use super::super::watch::Watch;
use super::super::{Model, ProviderTarget, Road};
use super::answer::{Refused, passed, refused, translated};
use super::send::{Sent, Wire, send};
use super::{Asked, Known, Place, model, note_target, open_facts, reserve, targets_for};
use bytes::Bytes;
use gate_ai::endpoint::EmbeddingDialect;
use gate_ai::operation::{embeddings, rerank};
use gate_ai::{Dialect, Loss, Operation, RequestFacts, StreamTap, inspect, prepare_native};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Method, Response};
use gate_model::fault::FaultCode;

/// Most bytes of a JSON body.
const REQUEST_MAX: usize = 64 * 1024 * 1024;

/// A request that has been read.
struct Read {
    operation: Operation,
    body: Bytes,
    /// The model as the caller names it.
    model: String,
    /// Where it stands, when it stands in the body.
    facts: Option<RequestFacts>,
}

/// What is sent to one target.
struct Outgoing {
    body: Bytes,
    strips_usage: bool,
    losses: Vec<Loss>,
}

/// Serves one call.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    asked: &Asked,
) -> Result<Response, Fault> {
    let limit = exchange
        .overrides
        .body
        .map_or(REQUEST_MAX, |bytes| bytes as usize);
    let body = exchange.request.body.collect(limit).await;
    let body = body
        .map_err(|error| Fault::from_request_body(&error))?
        .into_bytes();
    let read = read(asked, body)?;
    let model = model(models, exchange, &read.model)?;
    let stream = read.facts.as_ref().is_some_and(|facts| facts.stream);
    open_facts(exchange, asked.operation, &model.name, stream);
    reserve(exchange, &model, asked.operation, Some(&read.body)).await?;
    let targets = targets_for(exchange, &model)?;
    let mut last = unserved(&model);
    for (index, target) in targets.iter().enumerate() {
        let Some(road) = target.road(asked.operation) else {
            continue;
        };
        if is_barred(exchange, target) {
            continue;
        }
        let more = index + 1 < targets.len();
        let outgoing = outgoing(&read, target, road)?;
        note_target(exchange, target, road.sent != asked.operation);
        let wire = Wire {
            method: Method::Post,
            target: road.target(stream),
            content_type: Some(b"application/json"),
            fields: &[],
            upgrade: None,
            first_byte: model.first_byte,
            idle: model.idle,
        };
        let mut body = Some(Body::Full(Chunk::Shared(outgoing.body.clone())));
        let sent = match send(exchange, &target.provider, &wire, &mut body).await {
            Ok(sent) => sent,
            Err(fault) if more => {
                last = fault;
                continue;
            }
            Err(fault) => return Err(fault),
        };
        if sent.head.status < 400 {
            return answered(exchange, &model, &read, road, &outgoing, sent).await;
        }
        match refused(target, asked.operation, sent, more).await {
            Refused::Answer(response) => return Ok(response),
            Refused::Fault(fault) => return Err(fault),
            Refused::Next(fault) => last = fault,
        }
    }
    Err(last)
}

fn read(asked: &Asked, body: Bytes) -> Result<Read, Fault> {
    let operation = asked.operation;
    if let Place::Address(name) = &asked.place {
        let model = name.clone();
        // The body may name the model besides; what is sent has to agree with the path.
        let facts = inspect(Dialect::ChatCompletions, &body).ok();
        return Ok(Read {
            operation,
            body,
            model,
            facts,
        });
    }
    let facts = inspect(Dialect::ChatCompletions, &body).map_err(|error| not_understood(&error))?;
    let model = facts.model.clone();
    Ok(Read {
        operation,
        body,
        model,
        facts: Some(facts),
    })
}

/// The body for one target.
fn outgoing(read: &Read, target: &ProviderTarget, road: &Road) -> Result<Outgoing, Fault> {
    let refuse = |error| not_understood(&error);
    let made = match (read.operation, road.sent) {
        (Operation::Embeddings(from), Operation::Embeddings(to)) if from != to => {
            embeddings::request(from, to, &read.body, &target.model).map_err(refuse)?
        }
        (Operation::Rerank(from), Operation::Rerank(to)) if from != to => {
            rerank::request(from, to, &read.body, &target.model).map_err(refuse)?
        }
        _ => return native(read, target).map_err(refuse),
    };
    Ok(Outgoing {
        body: made.body.into(),
        strips_usage: false,
        losses: made.losses,
    })
}

fn native(read: &Read, target: &ProviderTarget) -> Result<Outgoing, gate_ai::DialectError> {
    let whole = |body| Outgoing {
        body,
        strips_usage: false,
        losses: Vec::new(),
    };
    let gemini = [EmbeddingDialect::GeminiBatch, EmbeddingDialect::GeminiOne];
    if gemini
        .iter()
        .any(|one| read.operation == Operation::Embeddings(*one))
    {
        return Ok(whole(embeddings::rename(&read.body, &target.model)?.into()));
    }
    let Some(facts) = &read.facts else {
        return Ok(whole(read.body.clone()));
    };
    let wants_usage = read.operation == Operation::Completions && target.provider.asks_for_usage();
    let dialect = Dialect::ChatCompletions;
    let made = prepare_native(dialect, &read.body, facts, &target.model, wants_usage);
    Ok(Outgoing {
        strips_usage: made.strip_usage_chunk,
        ..whole(made.to_vec(&read.body).into())
    })
}

async fn answered(
    exchange: &Exchange,
    model: &Model,
    read: &Read,
    road: &Road,
    outgoing: &Outgoing,
    sent: Sent,
) -> Result<Response, Fault> {
    let (losses, name) = (&outgoing.losses, &read.model);
    match (read.operation, road.sent) {
        (Operation::Embeddings(to), Operation::Embeddings(from)) if from != to => {
            let base64 = embeddings::wants_base64(to, &read.body);
            let turn = |body: &[u8]| embeddings::answer(from, to, body, name, base64);
            translated(exchange, sent, losses, turn).await
        }
        (Operation::Rerank(to), Operation::Rerank(from)) if from != to => {
            let turn = |body: &[u8]| rerank::answer(from, to, body, name);
            translated(exchange, sent, losses, turn).await
        }
        (Operation::Completions, _) if is_stream(&sent) => {
            let stream = StreamTap::new(Dialect::ChatCompletions, outgoing.strips_usage);
            let mut head = sent.head;
            super::super::answer::keep_for_caller(&mut head.headers);
            let tap = Tap::new(exchange);
            let watch = Watch::of(&exchange.overrides, model, None);
            let body = TapStream::new(sent.body, stream, tap, watch);
            let body = Body::Stream(Box::new(body));
            Ok(Response { head, body })
        }
        (Operation::CountTokens(_), _) => {
            // What it counts is not used up.
            let mut head = sent.head;
            super::super::answer::keep_for_caller(&mut head.headers);
            Ok(Response {
                head,
                body: sent.body,
            })
        }
        (asked, other) if asked != other => Err(FaultCode::InternalError.into()),
        _ => Ok(passed(exchange, sent)),
    }
}

fn is_stream(sent: &Sent) -> bool {
    let kind = sent.head.headers.get(HeaderId::ContentType);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}
