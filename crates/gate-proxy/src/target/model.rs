//! A route to models: which provider answers, in whose dialect, and what to try next.
//!
//! `gate-ai` turns bytes into bytes; this file owns the order of things: read the request, find the
//! model, try its targets one after the other until one answers, and pass the answer back. A caller
//! whose dialect is the provider's own gets the provider's bytes. Providers and models are compiled
//! in `model_compile.rs`, answers on their way are watched in `model_body.rs`.

use super::model_body::{Tap, TapStream, TranslateStream};
pub use super::model_compile::{Model, Models, Provider, ProviderTarget};
use crate::upstream::attempt::{Answered, attempt};
use crate::upstream::{Deadlines, Held};
use bytes::Bytes;
use gate_ai::{
    Dialect, DialectError, ErrorClass, ListedModel, ListingShape, Loss, RequestFacts, StreamTap,
    StreamTranslator, TranslateOptions, error_body, inspect, models_body, prepare_native,
    provider_error, response_facts, translate_request, translate_response,
};
use gate_flow::{AiFacts, Attempt, Exchange, Fault, LocalFuture, Target};
use gate_kit::http::{
    Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, ResponseHead, Version,
};
use gate_kit::random;
use gate_model::fault::{FaultCode, FaultSource};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// Most bytes of a request to a model.
const REQUEST_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a whole answer that is read for its usage or translated.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a provider's error that are read.
const ERROR_MAX: usize = 1024 * 1024;
/// Names what a translation could not carry over.
const LOSSES: &str = "x-tidegate-losses";

/// A route to models.
pub struct ToModels {
    models: Vec<(String, Arc<Model>)>,
}

/// A request that has been read.
struct Call<'a> {
    dialect: Dialect,
    body: Bytes,
    facts: RequestFacts,
    model: &'a Model,
}

/// What is to be sent to one target.
struct Outgoing {
    body: Bytes,
    strip_usage_chunk: bool,
    options: TranslateOptions,
    losses: Vec<Loss>,
}

/// What became of one target.
enum Tried {
    Answer(Response),
    /// Not this one; the fault is the caller's if no other answers.
    Next(Fault),
    Fault(Fault),
}

impl ToModels {
    /// A route to the models of these names, which exist.
    #[must_use]
    pub fn new(models: &Models, names: &[String]) -> Self {
        let find = |name: &String| Some((name.clone(), models.get(name)?.clone()));
        Self {
            models: names.iter().filter_map(find).collect(),
        }
    }

    async fn serve(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let head = &exchange.request.head;
        match (&head.method, head.path()) {
            (Method::Get | Method::Head, "/v1/models") => Ok(self.list(exchange)),
            (Method::Post, path) => {
                let dialect = Dialect::of_path(path).ok_or(FaultCode::RouteNotFound)?;
                self.converse(exchange, dialect).await
            }
            (_, path) if Dialect::of_path(path).is_some() || path == "/v1/models" => {
                Err(FaultCode::MethodNotAllowed.into())
            }
            _ => Err(FaultCode::RouteNotFound.into()),
        }
    }

    /// The models that this caller may use.
    fn list(&self, exchange: &Exchange) -> Response {
        let headers = &exchange.request.head.headers;
        let shape = match headers.contains(HeaderId::AnthropicVersion) {
            true => ListingShape::Anthropic,
            false => ListingShape::OpenAi,
        };
        let allowed = self
            .models
            .iter()
            .filter(|(name, _)| may_use(exchange, name));
        let listed = allowed.map(|(name, _)| ListedModel {
            name,
            created_unix_s: 0,
            owner: "tidegate",
        });
        Response::full(200, "application/json", models_body(shape, listed))
    }

    async fn converse(&self, exchange: &mut Exchange, dialect: Dialect) -> Result<Response, Fault> {
        let limit = exchange
            .overrides
            .body
            .map_or(REQUEST_MAX, |bytes| bytes as usize);
        let body = exchange.request.body.collect(limit).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let facts = inspect(dialect, &body).map_err(|error| not_understood(&error))?;
        let model = self
            .models
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
            match self.attempt(exchange, &call, target, more).await {
                Tried::Answer(response) => return Ok(response),
                Tried::Fault(fault) => return Err(fault),
                Tried::Next(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn attempt(
        &self,
        exchange: &mut Exchange,
        call: &Call<'_>,
        target: &ProviderTarget,
        more: bool,
    ) -> Tried {
        let provider = &target.provider;
        let outgoing = match outgoing(exchange, call, target) {
            Ok(outgoing) => outgoing,
            Err(fault) => return Tried::Fault(fault),
        };
        note_provider(exchange, call, target);
        let head = match request_head(exchange, provider) {
            Ok(head) => head,
            Err(fault) => return Tried::Fault(fault),
        };
        let upstream = &provider.upstream;
        let started = exchange.services.clock().now();
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
            total: overrides.total.map(|total| Instant::now() + total),
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
}

impl Target for ToModels {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(self.serve(exchange))
    }

    fn render_fault(&self, exchange: &Exchange, fault: &Fault) -> Option<Response> {
        let dialect = Dialect::of_path(exchange.request.head.path())?;
        let mut message = fault.code.title().to_owned();
        if !fault.message.is_empty() {
            message.push(' ');
            message.push_str(&fault.message);
        }
        let status = fault.code.status();
        let body = error_body(dialect, status, fault.code.as_str(), &message);
        Some(Response::full(status, dialect.content_type(), body))
    }
}

fn may_use(exchange: &Exchange, model: &str) -> bool {
    let models = exchange
        .caller
        .as_ref()
        .and_then(|caller| caller.models.as_ref());
    models.is_none_or(|models| models.iter().any(|allowed| allowed == model))
}

fn not_understood(error: &DialectError) -> Fault {
    Fault::new(FaultCode::InvalidBody).message(error.to_string())
}

fn note_provider(exchange: &Exchange, call: &Call<'_>, target: &ProviderTarget) {
    let Some(ai) = &exchange.ai else { return };
    let mut ai = ai.borrow_mut();
    ai.provider = Some(target.provider.name.clone());
    ai.provider_kind = target.provider.kind.telemetry_name;
    ai.provider_model = Some(target.model.clone());
    ai.translated = target.provider.kind.dialect != call.dialect;
}

/// The body for one target: the caller's with another model name, or a translation.
fn outgoing(
    exchange: &Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
) -> Result<Outgoing, Fault> {
    let kind = target.provider.kind;
    let now_unix_s = exchange.services.clock().unix().as_secs();
    let mut options = TranslateOptions {
        now_unix_s,
        ..target.provider.options.clone()
    };
    if kind.dialect == call.dialect {
        let prepared = prepare_native(call.dialect, &call.body, &call.facts, &target.model, true);
        let strip_usage_chunk = prepared.strip_usage_chunk;
        let mut body = Vec::new();
        prepared.write_into(&call.body, &mut body);
        return Ok(Outgoing {
            body: body.into(),
            strip_usage_chunk,
            options,
            losses: Vec::new(),
        });
    }
    let translated = translate_request(
        call.dialect,
        kind.dialect,
        &call.body,
        &target.model,
        &options,
    )
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
fn request_head(exchange: &Exchange, provider: &Provider) -> Result<RequestHead, Fault> {
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
    let secret = provider.secret();
    provider
        .kind
        .authorize(&mut headers, secret)
        .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))?;
    crate::record::trace::inject(
        &exchange.record.trace,
        exchange.record.attempts.len(),
        &mut headers,
    );
    Ok(RequestHead {
        method: Method::Post,
        authority: provider.authority.clone(),
        target: provider.path.clone(),
        version: Version::Http11,
        headers,
        upgrade: None,
    })
}

/// A provider said no: on to the next target, or to the caller in its own dialect.
async fn refused(
    call: &Call<'_>,
    target: &ProviderTarget,
    answered: Answered,
    more: bool,
) -> Tried {
    let Answered {
        head,
        mut body,
        in_flight: _in_flight,
        ..
    } = answered;
    let kind = target.provider.kind;
    let bytes = match body.collect(ERROR_MAX).await {
        Ok(chunk) => chunk.into_bytes(),
        Err(error) => return Tried::Next(Fault::from_response_body(&error)),
    };
    let error = provider_error(kind.dialect, &bytes);
    let class = gate_ai::failure::classify(head.status, &error);
    let words = error.message.clone().unwrap_or_default();
    let detail = format!(
        "{}: {} ({}): {words}",
        target.provider.name,
        head.status,
        class.as_str()
    );
    if more && class.falls_back() {
        return Tried::Next(fault_of(class, &head).detail(detail));
    }
    // Our own credential or account is no business of the caller's.
    if matches!(class, ErrorClass::BadCredential) {
        return Tried::Fault(Fault::new(FaultCode::UpstreamRejected).detail(detail));
    }
    let mut response = if kind.dialect == call.dialect {
        let mut headers = head.headers.clone();
        keep_for_caller(&mut headers);
        Response {
            head: ResponseHead {
                status: head.status,
                headers,
            },
            body: Chunk::Shared(bytes).into(),
        }
    } else {
        let code = error
            .code
            .as_deref()
            .or(error.kind.as_deref())
            .unwrap_or(class.as_str());
        let body = error_body(call.dialect, head.status, code, &words);
        Response::full(head.status, call.dialect.content_type(), body)
    };
    if let Some(after) = head.headers.get(HeaderId::RetryAfter)
        && !response.head.headers.contains(HeaderId::RetryAfter)
    {
        response
            .head
            .headers
            .append_known(HeaderId::RetryAfter, after);
    }
    Tried::Answer(response)
}

fn fault_of(class: ErrorClass, head: &ResponseHead) -> Fault {
    let code = match class {
        ErrorClass::RateLimited | ErrorClass::Overloaded | ErrorClass::QuotaExhausted => {
            FaultCode::UpstreamOverloaded
        }
        ErrorClass::Timeout => FaultCode::UpstreamTimeout,
        ErrorClass::BadCredential | ErrorClass::NotFound => FaultCode::UpstreamRejected,
        _ => FaultCode::UpstreamMalformed,
    };
    let after = head
        .headers
        .get_str(HeaderId::RetryAfter)
        .and_then(|text| text.trim().parse().ok());
    match after {
        Some(seconds) => Fault::new(code).retry_after(std::time::Duration::from_secs(seconds)),
        None => Fault::new(code),
    }
}

/// The provider's fields that go on to the caller: all but cookies, which are the provider's with
/// us, and the encoding of a body that may be rewritten.
fn keep_for_caller(headers: &mut Headers) {
    headers.retain(|id, _, _| {
        !matches!(
            id,
            HeaderId::SetCookie | HeaderId::AltSvc | HeaderId::ContentLength
        )
    });
}

/// Passes an answer back, watching it for usage, or translating it.
async fn answer(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    outgoing: Outgoing,
    response: Response,
) -> Result<Response, Fault> {
    let Response { mut head, mut body } = response;
    let kind = target.provider.kind;
    let is_stream = head
        .headers
        .get(HeaderId::ContentType)
        .is_some_and(|value| value.starts_with(b"text/event-stream"));
    let tap = Tap::new(exchange);
    let native = kind.dialect == call.dialect;
    let mut losses = outgoing.losses;
    if native {
        keep_for_caller(&mut head.headers);
    } else {
        head.headers = Headers::new();
    }
    let body = match (native, is_stream) {
        (true, true) => {
            let stream = StreamTap::new(kind.dialect, outgoing.strip_usage_chunk);
            Body::Stream(Box::new(TapStream::new(
                body,
                stream,
                outgoing.strip_usage_chunk,
                tap,
            )))
        }
        (true, false) => {
            let whole = body
                .collect(ANSWER_MAX)
                .await
                .map_err(|e| Fault::from_response_body(&e))?;
            let facts = response_facts(kind.dialect, &whole);
            tap.note(facts.usage, facts.model);
            Body::from(whole)
        }
        (false, true) => {
            head.headers.append_known(
                HeaderId::ContentType,
                call.dialect.stream_content_type().as_bytes(),
            );
            head.headers
                .append_known(HeaderId::CacheControl, b"no-cache");
            let name = call.facts.model.clone();
            let translator =
                StreamTranslator::new(kind.dialect, call.dialect, &name, &outgoing.options);
            Body::Stream(Box::new(TranslateStream::new(body, translator, tap)))
        }
        (false, false) => {
            let whole = body
                .collect(ANSWER_MAX)
                .await
                .map_err(|e| Fault::from_response_body(&e))?;
            let translated = translate_response(
                kind.dialect,
                call.dialect,
                &whole,
                &call.facts.model,
                &outgoing.options,
            )
            .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
            tap.note(translated.usage, Some(translated.provider_model));
            losses.extend(translated.losses);
            head.headers.append_known(
                HeaderId::ContentType,
                call.dialect.content_type().as_bytes(),
            );
            Body::from(Chunk::from(translated.body))
        }
    };
    report_losses(exchange, &mut head.headers, &losses);
    Ok(Response { head, body })
}

/// Says in a header and in the record what could not be carried over.
fn report_losses(exchange: &Exchange, headers: &mut Headers, losses: &[Loss]) {
    if losses.is_empty() {
        return;
    }
    let fields: Vec<&str> = losses.iter().map(|loss| &*loss.field).collect();
    let mut text = fields.join(", ");
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text.truncate(1024);
    if headers
        .try_append(LOSSES.as_bytes(), text.as_bytes())
        .is_err()
    {
        tracing::debug!("losses do not fit a header");
    }
    if let Some(ai) = &exchange.ai {
        ai.borrow_mut().losses = fields.into_iter().map(Into::into).collect();
    }
}
