//! The product's table of contents: what happens to one exchange, from its head to its answer.
//!
//! Listeners and protocols are in `connection.rs`, finding a route in `route.rs`, the loop over
//! policies in `gate-flow`, targets in `target/`, faults as bytes in `respond.rs`, and what is kept
//! of it all in `record/`.

use crate::{respond, shadow};
use gate_flow::{
    Exchange, Fault, Found, InScope, Passed, Snapshot, TrialPlace, run_request, run_response,
};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::sync::Arc;

/// Serves one exchange. May be dropped midway when the caller goes away: the upstream call is
/// cancelled with it. Writing the answer and closing the record are the connection's part.
pub async fn serve(exchange: &mut Exchange) -> Response {
    let mut copy = None;
    if !exchange.trial.is_absent() {
        TrialPlace::assign(exchange);
        copy = shadow::copy(exchange);
    }
    let snapshot = exchange.snapshot.clone();
    let mut passed = Passed::default();
    let answer = answer(&snapshot, exchange, &mut passed).await;
    let mut response = answer.unwrap_or_else(|fault| respond::fault(exchange, fault));
    if let Some(route) = exchange.route {
        run_response(
            &snapshot.routes[route].steps,
            exchange,
            passed,
            &mut response,
            respond::fault,
        )
        .await;
    }
    if !exchange.response_headers.is_empty() {
        response.head.headers.extend(&exchange.response_headers);
    }
    if let Some(copy) = copy {
        copy.compare(exchange, &mut response);
    }
    response
}

async fn answer(
    snapshot: &Arc<Snapshot>,
    exchange: &mut Exchange,
    passed: &mut Passed,
) -> Result<Response, Fault> {
    let listener = &exchange.client.listener;
    let found = snapshot
        .router
        .find(listener, &exchange.request.head, &mut exchange.parameters);
    let index = match found {
        Found::Route(index) => index,
        Found::OtherMethod => return Err(FaultCode::MethodNotAllowed.into()),
        Found::Nothing => return Err(FaultCode::RouteNotFound.into()),
    };
    let route = &snapshot.routes[index];
    exchange.route = Some(index);
    exchange.record.route = Some(route.name.clone());
    if let Some(reply) = run_request(&route.steps, exchange, passed).await? {
        return Ok(reply);
    }
    if exchange.record.experiments.is_some() {
        InScope::narrow(exchange);
    }
    if let Some(fault) = exchange.services.refuses(exchange) {
        return Err(fault);
    }
    route.target.call(exchange).await
}
