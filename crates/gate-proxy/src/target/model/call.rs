//! One call: its request read, its model found, the model's targets tried until one answers.

use super::attempt::{self, Tried};
use super::{Addressed, Model, may_use};
use bytes::Bytes;
use gate_ai::{Dialect, DialectError, RequestFacts, inspect};
use gate_flow::{AiFacts, Exchange, Fault};
use gate_kit::http::{Body, Response};
use gate_kit::random;
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Most bytes of a request to a model.
const REQUEST_MAX: usize = 64 * 1024 * 1024;

/// A request that has been read.
pub(super) struct Call<'a> {
    pub(super) dialect: Dialect,
    pub(super) body: Bytes,
    pub(super) facts: RequestFacts,
    pub(super) model: &'a Model,
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
    let mut facts = inspect(dialect, &body).map_err(|error| not_understood(&error))?;
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
    exchange.ai = Some(Rc::new(RefCell::new(AiFacts {
        operation: "chat",
        model: model.name.clone(),
        stream: facts.stream,
        ..AiFacts::default()
    })));
    exchange.record.target = Some(model.name.clone());
    let call = Call {
        dialect,
        body,
        facts,
        model: &model,
    };
    let targets = model.order(random::bits());
    let mut last = Fault::new(FaultCode::NoEndpoint);
    for (index, target) in targets.iter().enumerate() {
        let more = index + 1 < targets.len();
        match attempt::one(exchange, &call, target, more).await {
            Tried::Answer(response) => return Ok(response),
            Tried::Fault(fault) => return Err(fault),
            Tried::Next(fault) => last = fault,
        }
    }
    Err(last)
}

/// The fault of a request that its dialect does not know.
pub(super) fn not_understood(error: &DialectError) -> Fault {
    Fault::new(FaultCode::InvalidBody).message(error.to_string())
}
