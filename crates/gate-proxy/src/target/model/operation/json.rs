//! Operations with a JSON body: it is read, its model is found in it or in the path, and the call
//! goes the way of every call (`super::super::call`). What is sent and what comes back is in
//! `other`.

use super::super::call::{self, Call, not_understood};
use super::other::{Other, Shape};
use super::{Asked, Known, Place, count, deadline, model, open_facts, reserve};
use bytes::Bytes;
use gate_ai::operation::pieces::requested;
use gate_ai::{Dialect, Operation, RequestFacts, inspect};
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;

/// Most bytes of a JSON body.
const REQUEST_MAX: usize = 64 * 1024 * 1024;

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
    exchange.moment = exchange.services.clock().now();
    let (facts, other) = read(asked, &body)?;
    let model = model(models, exchange, &other.name)?;
    open_facts(exchange, asked.operation, &model.name, facts.stream);
    if let Operation::CountTokens(dialect) = asked.operation {
        let targets: Vec<_> = model.targets.iter().collect();
        let is_served =
            |target: &&super::super::ProviderTarget| target.road(asked.operation).is_some();
        if !targets.iter().any(is_served) {
            let asked = (dialect, facts.has_tools);
            return Ok(count::here(exchange, &model, &targets, asked, &body).await);
        }
    }
    let pieces = other.pieces;
    reserve(
        exchange,
        &model,
        asked.operation,
        Some(&body),
        (facts.max_tokens, pieces.as_ref()),
    )
    .await?;
    let call = Call {
        dialect: asked.operation.error_dialect(),
        operation: asked.operation,
        other: Some(&other),
        body,
        facts,
        model: &model,
        deadline: deadline(exchange, &model),
        query: None,
    };
    call::answer(exchange, &call).await
}

/// What a request asks for, and its model.
fn read(asked: &Asked, body: &Bytes) -> Result<(RequestFacts, Other), Fault> {
    let facts = inspect(Dialect::ChatCompletions, body);
    let pieces = requested(asked.operation, body);
    let Place::Address(name) = &asked.place else {
        let facts = facts.map_err(|error| not_understood(&error))?;
        let name = facts.model.clone();
        let shape = Shape::Json;
        return Ok((
            facts,
            Other {
                name,
                shape,
                pieces,
            },
        ));
    };
    if let Operation::Invoke { stream } = asked.operation {
        // Whatever the model's vendor has in a body: what is common to most is found.
        let mut facts = inspect(Dialect::Converse, body).unwrap_or_default();
        facts.stream = stream;
        let (name, shape) = (name.clone(), Shape::Unnamed);
        return Ok((
            facts,
            Other {
                name,
                shape,
                pieces,
            },
        ));
    }
    // The body may name the model besides; what is sent has to agree with the path.
    let (facts, shape) = match facts {
        Ok(facts) => (facts, Shape::Json),
        Err(_) => (RequestFacts::default(), Shape::Unnamed),
    };
    let name = name.clone();
    Ok((
        facts,
        Other {
            name,
            shape,
            pieces,
        },
    ))
}
