//! What a provider keeps: files, batches, stored responses. They name no model, so the provider is
//! chosen otherwise, and everything passes as it is.
//!
//! The header `x-tidegate-provider` names the provider; without it, it is the first one behind the
//! route's models that serves the operation. Ids are the provider's own. Whoever may use the
//! provider sees all that its account keeps. A batch could name any model, so that a caller who may
//! use some models only may not make one.

use super::super::answer::keep_for_caller;
use super::super::{Model, ProviderTarget, Road, may_use};
use super::answer::refused;
use super::send::{Wire, send};
use super::{Asked, Known, note_target, open_facts, targets};
use gate_ai::Operation;
use gate_flow::{Exchange, Fault};
use gate_kit::http::{HeaderId, Response};
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// Names the provider to ask.
const PROVIDER_HEADER: &str = "x-tidegate-provider";

/// Serves one call.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    asked: &Asked,
) -> Result<Response, Fault> {
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
    let model = chosen(models, exchange, asked.operation, wanted.as_deref())?;
    let (target, road) =
        serving(&model, asked.operation, wanted.as_deref()).ok_or(FaultCode::RouteNotFound)?;
    open_facts(exchange, asked.operation, &model.name, false);
    note_target(exchange, target, false);
    let head = &exchange.request.head;
    let address = address(road.target(false), &asked.rest, head.query());
    let kind = head.headers.get(HeaderId::ContentType).map(<[u8]>::to_vec);
    let wire = Wire {
        method: head.method.clone(),
        target: &address,
        content_type: kind.as_deref(),
        fields: &["range"],
        upgrade: None,
        first_byte: model.first_byte,
        idle: model.idle,
    };
    let mut body = Some(std::mem::take(&mut exchange.request.body));
    let sent = send(exchange, &target.provider, &wire, &mut body).await?;
    if sent.head.status < 400 {
        let mut head = sent.head;
        keep_for_caller(&mut head.headers);
        return Ok(Response {
            head,
            body: sent.body,
        });
    }
    refused(target, asked.operation, sent).await
}

/// The first model that the caller may use and whose provider serves the operation.
fn chosen(
    models: &Known,
    exchange: &Exchange,
    operation: Operation,
    wanted: Option<&str>,
) -> Result<Arc<Model>, Fault> {
    let mut allowed = models.iter().filter(|(name, _)| may_use(exchange, name));
    let found = allowed.find(|(_, model)| serving(model, operation, wanted).is_some());
    found.map(|(_, model)| model.clone()).ok_or_else(|| {
        let message = match wanted {
            Some(_) => "No provider of this name serves this operation here.",
            None => "No provider serves this operation here.",
        };
        Fault::new(FaultCode::RouteNotFound).message(message)
    })
}

fn serving<'m>(
    model: &'m Model,
    operation: Operation,
    wanted: Option<&str>,
) -> Option<(&'m ProviderTarget, &'m Road)> {
    let fits = |target: &&ProviderTarget| wanted.is_none_or(|name| *target.provider.name == *name);
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
