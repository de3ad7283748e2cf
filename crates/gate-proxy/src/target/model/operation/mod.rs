//! Operations other than conversations: embeddings, rerank, images, audio, files and sessions.
//!
//! `json` serves what has a JSON body and names its model there or in the path, `form` what is a
//! multipart form; both become calls like any other, and `other` says what is sent for them.
//! `kept` serves what a provider keeps (files, batches), `realtime` sessions over
//! WebSocket; what can be sent only once goes through `send`, and what comes back through `answer`.

mod answer;
mod count;
mod form;
mod json;
mod kept;
mod other;
mod realtime;
mod send;

pub(super) use kept::is_kept;
pub(super) use other::Other;

use super::call::Call;
use super::candidates::candidates;
use super::fetch::unserved;
use super::{Model, Provider, ProviderTarget, Road, may_use};
use crate::money;
use bytes::Bytes;
use gate_ai::{Endpoint, ModelPlace, Operation, RequestFacts};
use gate_flow::{AiFacts, Exchange, Fault};
use gate_kit::clock::Moment;
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use gate_model::units::Pieces;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// The models of a route, by name.
type Known = [(String, Arc<Model>)];

/// What is asked for, apart from the request that said so.
pub(super) struct Asked {
    operation: Operation,
    place: Place,
    rest: String,
}

/// Where the model's name stands.
enum Place {
    Body,
    Form,
    /// In path or query; here it is.
    Address(String),
    Absent,
}

impl From<Endpoint<'_>> for Asked {
    fn from(endpoint: Endpoint<'_>) -> Self {
        Self {
            operation: endpoint.operation,
            place: match endpoint.model {
                ModelPlace::Body => Place::Body,
                ModelPlace::Form => Place::Form,
                ModelPlace::Path(name) | ModelPlace::Query(name) => {
                    Place::Address(name.into_owned())
                }
                ModelPlace::Absent => Place::Absent,
            },
            rest: endpoint.rest.to_owned(),
        }
    }
}

/// Serves what was asked for with one of `models`.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    asked: Asked,
) -> Result<Response, Fault> {
    match (asked.operation, &asked.place) {
        (Operation::Realtime, Place::Address(name)) => {
            realtime::serve(models, exchange, name).await
        }
        (Operation::Realtime, _) => {
            let message = "Name a model in the query: /v1/realtime?model=NAME.";
            Err(Fault::new(FaultCode::InvalidBody).message(message))
        }
        (_, Place::Absent) => kept::serve(models, exchange, &asked).await,
        (_, Place::Form) if form::is_form(exchange) => form::serve(models, exchange, &asked).await,
        _ => json::serve(models, exchange, &asked).await,
    }
}

/// The model of this name, when the caller may use it.
fn model(models: &Known, exchange: &Exchange, name: &str) -> Result<Arc<Model>, Fault> {
    let known = models.iter().find(|(known, _)| known == name);
    let allowed = known.filter(|(name, _)| may_use(exchange, name));
    allowed.map(|(_, model)| model.clone()).ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        Fault::new(FaultCode::ModelNotFound).message(format!("The model `{shown}` does not exist."))
    })
}

/// A model's targets in the order to try them.
fn targets(model: &Model) -> Vec<&ProviderTarget> {
    model.drawn()
}

/// The target for what can be sent only once: the first of those that would be tried.
fn first<'m>(
    exchange: &Exchange,
    model: &'m Arc<Model>,
    operation: Operation,
) -> Result<(&'m ProviderTarget, &'m Road), Fault> {
    let call = Call {
        dialect: operation.error_dialect(),
        operation,
        other: Some(&other::UNREAD),
        body: Bytes::new(),
        facts: RequestFacts::default(),
        model,
        deadline: None,
        query: None,
    };
    let target = candidates(exchange, &call)?.into_iter().next();
    let found = target.and_then(|target| Some((target, target.road(operation)?)));
    found.ok_or_else(|| unserved(model))
}

/// When everything must be over.
fn deadline(exchange: &Exchange, model: &Model) -> Option<Instant> {
    let total = exchange.overrides.total.unwrap_or(model.total);
    let clock = exchange.services.clock();
    (!total.is_zero()).then(|| clock.deadline(exchange.moment, total).into())
}

/// A credential of the provider: the next in turn that does not rest.
fn secret(provider: &Provider, now: Moment) -> Option<&str> {
    let count = provider.credentials.len();
    let turn = provider.turn();
    let mut all = (0..count).map(|step| &provider.credentials[(turn + step) % count]);
    let awake = all.clone().find(|credential| !credential.bench.is_out(now));
    awake.or_else(|| all.next())?.secret.as_deref()
}

/// Opens the facts of a call.
fn open_facts(exchange: &mut Exchange, operation: Operation, model: &Arc<str>, stream: bool) {
    exchange.ai = Some(Rc::new(RefCell::new(Box::new(AiFacts {
        operation: operation.as_str(),
        model: model.clone(),
        stream,
        ..AiFacts::default()
    }))));
    exchange.record.target = Some(model.clone());
}

/// Reserves what the call may cost; `body` where it has been read whole, `most` the most that it can
/// write and come to besides tokens, as far as the request says.
async fn reserve(
    exchange: &mut Exchange,
    model: &Model,
    operation: Operation,
    body: Option<&Bytes>,
    (max_tokens, pieces): (Option<u64>, Option<&Pieces>),
) -> Result<(), Fault> {
    let writes_nothing = matches!(
        operation,
        Operation::Embeddings(_)
            | Operation::Rerank(_)
            | Operation::Moderations
            | Operation::CountTokens(_)
    );
    let asked = money::reserve::Asked {
        dialect: operation.error_dialect(),
        body,
        reach: None,
        has_tools: false,
        max_tokens: writes_nothing.then_some(0).or(max_tokens),
        pieces,
        copies: if model.hedge.is_some() { 2 } else { 1 },
    };
    model.treasury.reserve(exchange, &asked).await
}

/// Notes who is tried of what can be sent only once, and takes it from the provider's limits.
fn take_once(exchange: &Exchange, target: &ProviderTarget) -> Result<(), Fault> {
    note_target(exchange, target, false);
    let (meter, name) = (target.meter.as_deref(), &target.provider.name);
    let now = exchange.services.clock().now();
    money::limits::take_provider(meter, name, 0, exchange.ai.as_ref(), now)
}

/// Notes who is tried, and whether for another operation than was asked.
fn note_target(exchange: &Exchange, target: &ProviderTarget, translated: bool) {
    let Some(ai) = &exchange.ai else { return };
    let mut ai = ai.borrow_mut();
    ai.provider = Some(target.provider.name.clone());
    ai.provider_kind = target.provider.kind.telemetry_name;
    ai.provider_model = Some(target.model.clone());
    ai.tariff.clone_from(&target.tariff);
    ai.translated = translated;
}
