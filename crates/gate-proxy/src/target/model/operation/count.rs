//! Counting tokens where no provider of the model does: by the vendor's vocabulary when the operator
//! has named it, else by an estimate, which is marked.

use super::super::{Model, ProviderTarget};
use crate::money::count::exactly;
use bytes::Bytes;
use gate_ai::Dialect;
use gate_ai::tokenizer::{count_answer, counted};
use gate_ai::tokens::estimate_input;
use gate_flow::Exchange;
use gate_kit::http::Response;

/// Says that a count is an estimate.
const ESTIMATED: &str = "x-tidegate-estimated";

/// Answers with the input tokens of a request as the first of `targets` reads it.
pub(super) async fn here(
    exchange: &Exchange,
    model: &Model,
    targets: &[&ProviderTarget],
    (dialect, has_tools): (Dialect, bool),
    body: &Bytes,
) -> Response {
    let inner = body.slice_ref(counted(dialect, body));
    let tariff = targets.first().and_then(|target| {
        let provider = &target.provider.name;
        model.treasury.tariff(provider, &target.model)
    });
    let exact = match tariff.as_deref().and_then(|tariff| tariff.tokenizer()) {
        None => None,
        Some(tokenizer) => exactly(&*exchange.services, tokenizer, dialect, inner.clone()).await,
    };
    let count = exact.unwrap_or_else(|| estimate_input(dialect, &inner, has_tools));
    let answer = count_answer(dialect, count);
    let mut response = Response::full(200, dialect.content_type(), answer);
    if exact.is_none() {
        let headers = &mut response.head.headers;
        headers.append(ESTIMATED.as_bytes(), b"true");
    }
    response
}
