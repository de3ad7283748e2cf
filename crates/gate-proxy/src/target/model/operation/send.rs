//! Sends one request of an operation to one provider.

use super::super::Provider;
use super::super::fetch::is_billed;
use super::super::request::forward;
use super::super::sign::sign_body;
use super::secret;
use crate::experiments::Struck;
use crate::money::by_time;
use crate::upstream::attempt::{Answered, attempt, is_blamed, row};
use crate::upstream::{Deadlines, Held, bounded};
use gate_ai::Dialect;
use gate_flow::{Exchange, Fault, Leg, LegEnd, LegParts};
use gate_kit::http::{Body, HeaderId, Headers, Method, RequestHead, ResponseHead, Version};
use gate_model::fault::FaultCode;
use std::time::Duration;
use tokio::time::Instant;

/// Longest silence of a session over WebSocket.
pub(super) const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// What is sent, but for its body.
pub(super) struct Wire<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: &'a str,
    /// Type of the body; none where there is none.
    pub(super) content_type: Option<&'a [u8]>,
    /// Fields of the caller that go on besides those that the provider's file lists.
    pub(super) fields: &'a [&'a str],
    /// The protocol to change to.
    pub(super) upgrade: Option<&'a str>,
    /// When all of it must be over, but for what an upgrade tunnels.
    pub(super) deadline: Option<Instant>,
    pub(super) first_byte: Duration,
    pub(super) idle: Duration,
}

/// An answer, its place held until its body ends.
pub(super) struct Sent {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
}

/// Sends `body`, which is taken once there is a connection.
///
/// May be dropped midway, which cancels the request.
pub(super) async fn send(
    exchange: &mut Exchange,
    provider: &Provider,
    wire: &Wire<'_>,
    body: &mut Option<Body>,
) -> Result<Sent, Fault> {
    let secret = secret(provider, exchange.services.clock().now());
    let token = provider.token(&exchange.services, secret).await?;
    let shown = token.as_deref().or(secret);
    let mut head = request_head(exchange, provider, wire, shown)?;
    sign_body(&exchange.services, provider, secret, &mut head, body).await?;
    let upstream = &provider.upstream;
    let clock = exchange.services.clock();
    let started = clock.now();
    let permit = upstream.admit()?;
    let endpoint = upstream.pick(started, None, &[])?;
    let overrides = &exchange.overrides;
    let deadlines = Deadlines {
        started,
        total: wire.deadline,
        first_byte: overrides.first_byte.unwrap_or(wire.first_byte),
        idle: overrides.idle.unwrap_or(wire.idle),
    };
    let experiments = exchange.record.experiments.as_deref();
    let model = exchange.record.target.as_deref().unwrap_or_default();
    let (name, dialect) = (&provider.name, Dialect::ChatCompletions);
    let struck = Struck::model(experiments, name, model, false, dialect);
    let result = attempt(upstream, &endpoint, &head, body, &deadlines, None, struck).await;
    let now = exchange.services.clock().now();
    let row = row(&endpoint, &result, started..now, exchange.record.started);
    upstream.note(&endpoint, is_blamed(&row));
    if let Err(failure) = &result
        && is_billed(failure, row.duration)
        && let Some(ai) = &exchange.ai
    {
        let mut ai = ai.borrow_mut();
        let provider_model = ai.provider_model.clone().unwrap_or_default();
        ai.detours().legs.push(Leg {
            provider: provider.name.clone(),
            provider_model,
            end: LegEnd::GivenUp(failure.fault.code),
            input_tokens: 0,
            output_tokens: by_time(row.duration),
            parts: LegParts::default(),
            estimated: true,
            running_since: None,
        });
    }
    exchange.record.attempts.push(row);
    let Answered {
        head,
        body,
        in_flight,
        ..
    } = result.map_err(|failure| failure.fault)?;
    let body = match body {
        Body::Stream(inner) => Body::Stream(Box::new(Held::new(inner, (permit, in_flight)))),
        at_hand => at_hand,
    };
    let end = wire.deadline.filter(|_| head.status != 101);
    let body = bounded(body, end);
    Ok(Sent { head, body })
}

/// The head: the provider's address and credential, and of the caller's fields only those listed.
fn request_head(
    exchange: &Exchange,
    provider: &Provider,
    wire: &Wire<'_>,
    secret: Option<&str>,
) -> Result<RequestHead, Fault> {
    let broken = |error: String| Fault::new(FaultCode::InternalError).detail(error);
    let caller = &exchange.request.head.headers;
    let mut headers = Headers::with_capacity(16, 512);
    if let Some(kind) = wire.content_type {
        let set = headers.try_append(b"content-type", kind);
        set.map_err(|error| broken(error.to_string()))?;
    }
    let accept = caller.get(HeaderId::Accept).unwrap_or(b"*/*");
    headers.append_known(HeaderId::Accept, accept);
    forward(provider.kind.forwarded_headers, caller, &mut headers);
    forward(wire.fields, caller, &mut headers);
    for (name, value) in &provider.headers {
        let set = headers.try_set(name, value.as_bytes());
        set.map_err(|error| broken(error.to_string()))?;
    }
    let place = provider.config.place(provider.kind);
    let authorized = provider.kind.authorize_at(place, &mut headers, secret);
    authorized.map_err(|error| broken(error.to_string()))?;
    let trace = &exchange.record.trace;
    crate::record::trace::inject(trace, exchange.record.attempts.len(), &mut headers);
    let target = secret.and_then(|secret| place.in_target(wire.target, secret));
    Ok(RequestHead {
        method: wire.method.clone(),
        authority: provider.authority.clone(),
        target: target.unwrap_or_else(|| wire.target.to_owned()),
        version: Version::Http11,
        headers,
        upgrade: wire.upgrade.map(Into::into),
    })
}
