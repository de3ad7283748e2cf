//! One try: a target's request made, sent, and its outcome told apart.

use super::answer::answer;
use super::call::{Call, not_understood};
use super::refusal::refused;
use super::sign::sign;
use super::{Model, Provider, ProviderTarget};
use crate::upstream::attempt::{Answered, attempt};
use crate::upstream::{Deadlines, Held};
use bytes::Bytes;
use gate_ai::{Loss, Operation, TranslateOptions, prepare_native, translate_request};
use gate_flow::{Attempt, Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, Version};
use gate_model::fault::{FaultCode, FaultSource};

/// What is to be sent to one target.
pub(super) struct Outgoing {
    pub(super) body: Bytes,
    pub(super) strip_usage_chunk: bool,
    pub(super) options: TranslateOptions,
    pub(super) losses: Vec<Loss>,
}

/// What became of one target.
pub(super) enum Tried {
    Answer(Response),
    /// Not this one; the fault is the caller's if no other answers.
    Next(Fault),
    Fault(Fault),
}

/// Tries `target`; `more` says whether another is left when it fails.
pub(super) async fn one(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    more: bool,
) -> Tried {
    let provider = &target.provider;
    let Some(road) = target.road(Operation::Conversation(call.dialect)) else {
        return Tried::Next(unserved(call.model));
    };
    let outgoing = match outgoing(exchange, call, target) {
        Ok(outgoing) => outgoing,
        Err(fault) => return Tried::Fault(fault),
    };
    note_provider(exchange, call, target);
    let secret = provider.secret();
    let path = road.target(call.facts.stream);
    let mut head = match request_head(exchange, provider, path, secret) {
        Ok(head) => head,
        Err(fault) => return Tried::Fault(fault),
    };
    if target.spoken(call.dialect) != call.dialect {
        // What the caller accepts is what it is translated into.
        head.headers.set(HeaderId::Accept, b"*/*");
    }
    if let Err(fault) = sign(exchange, provider, secret, &mut head, &outgoing.body).await {
        return Tried::Fault(fault);
    }
    let upstream = &provider.upstream;
    let clock = exchange.services.clock();
    let started = match exchange.record.attempts.is_empty() {
        true => exchange.moment,
        false => clock.now(),
    };
    let endpoint = match upstream
        .admit()
        .and_then(|permit| Ok((permit, upstream.pick(started, None, &[])?)))
    {
        Ok(endpoint) => endpoint,
        Err(fault) => return Tried::Next(fault),
    };
    let (permit, endpoint) = endpoint;
    let overrides = &exchange.overrides;
    let deadlines = Deadlines {
        started,
        total: overrides
            .total
            .map(|total| clock.deadline(started, total).into()),
        first_byte: overrides.first_byte.unwrap_or(call.model.first_byte),
        idle: overrides.idle.unwrap_or(call.model.idle),
    };
    let mut body = Some(Body::Full(Chunk::Shared(outgoing.body.clone())));
    let result = attempt(upstream, &endpoint, &head, &mut body, &deadlines, None).await;
    let now = exchange.services.clock().now();
    let (status, fault, reused) = match &result {
        Ok(answered) => (answered.head.status, None, answered.reused),
        Err(failure) => (0, Some(failure.fault.code), failure.reused),
    };
    exchange.record.attempts.push(Attempt {
        endpoint: endpoint.address.clone(),
        status,
        fault,
        started: started.since(exchange.record.started),
        duration: now.since(started),
        reused,
    });
    upstream.note(&endpoint, fault.is_some() || matches!(status, 500..=504));
    let answered = match result {
        Ok(answered) => answered,
        Err(failure) if failure.fault.code.source() == FaultSource::Client => {
            return Tried::Fault(failure.fault);
        }
        Err(failure) => return Tried::Next(failure.fault),
    };
    if answered.head.status >= 400 {
        return refused(call, target, answered, more).await;
    }
    let Answered {
        head,
        body,
        in_flight,
        ..
    } = answered;
    let body = match body {
        Body::Stream(inner) => Body::Stream(Box::new(Held::new(inner, (permit, in_flight)))),
        at_hand => at_hand,
    };
    match answer(exchange, call, target, outgoing, Response { head, body }).await {
        Ok(response) => Tried::Answer(response),
        Err(fault) if more => Tried::Next(fault),
        Err(fault) => Tried::Fault(fault),
    }
}

/// The fault of a model none of whose providers serves what was asked.
pub(super) fn unserved(model: &Model) -> Fault {
    let name = &model.name;
    let message = format!("No provider of the model `{name}` serves this operation.");
    Fault::new(FaultCode::ModelNotFound).message(message)
}

fn note_provider(exchange: &Exchange, call: &Call<'_>, target: &ProviderTarget) {
    let Some(ai) = &exchange.ai else { return };
    let mut ai = ai.borrow_mut();
    ai.provider = Some(target.provider.name.clone());
    ai.provider_kind = target.provider.kind.telemetry_name;
    ai.provider_model = Some(target.model.clone());
    ai.translated = target.spoken(call.dialect) != call.dialect;
}

/// The body for one target: the caller's with another model name, or a translation.
fn outgoing(
    exchange: &Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
) -> Result<Outgoing, Fault> {
    let spoken = target.spoken(call.dialect);
    let now_unix_s = exchange.record.started_unix.as_secs();
    let mut options = TranslateOptions {
        now_unix_s,
        stream: call.dialect.in_path().then_some(call.facts.stream),
        ..target.provider.options.clone()
    };
    if spoken == call.dialect {
        let wants = target.provider.asks_for_usage();
        let prepared = prepare_native(spoken, &call.body, &call.facts, &target.model, wants);
        let strip_usage_chunk = prepared.strip_usage_chunk;
        let body = match prepared.is_unchanged() {
            true => call.body.clone(),
            false => prepared.to_vec(&call.body).into(),
        };
        return Ok(Outgoing {
            body,
            strip_usage_chunk,
            options,
            losses: Vec::new(),
        });
    }
    let translated = translate_request(call.dialect, spoken, &call.body, &target.model, &options)
        .map_err(|error| not_understood(&error))?;
    options.include_usage = translated.include_usage;
    Ok(Outgoing {
        body: translated.body.into(),
        strip_usage_chunk: false,
        options,
        losses: translated.losses,
    })
}

/// The head for a provider: its address, its credential, and of the caller's fields only those
/// that the provider's file lists.
fn request_head(
    exchange: &Exchange,
    provider: &Provider,
    target: &str,
    secret: Option<&str>,
) -> Result<RequestHead, Fault> {
    let caller = &exchange.request.head.headers;
    let mut headers = Headers::with_capacity(12, 512);
    headers.append_known(HeaderId::ContentType, b"application/json");
    headers.append_known(
        HeaderId::Accept,
        caller.get(HeaderId::Accept).unwrap_or(b"*/*"),
    );
    for name in provider.kind.forwarded_headers {
        for value in caller.all_named(name) {
            headers.append(name.as_bytes(), value);
        }
    }
    for (name, value) in &provider.headers {
        headers
            .try_set(name, value.as_bytes())
            .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))?;
    }
    let place = provider.config.place(provider.kind);
    provider
        .kind
        .authorize_at(place, &mut headers, secret)
        .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))?;
    crate::record::trace::inject(
        &exchange.record.trace,
        exchange.record.attempts.len(),
        &mut headers,
    );
    Ok(RequestHead {
        method: Method::Post,
        authority: provider.authority.clone(),
        target: secret
            .and_then(|secret| place.in_target(target, secret))
            .unwrap_or_else(|| target.to_owned()),
        version: Version::Http11,
        headers,
        upgrade: None,
    })
}
