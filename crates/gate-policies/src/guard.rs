//! Keeps personal data, secrets and unwanted text from passing between callers and models.
//!
//! Rules look at four points: the `request`, the model's `response`, a `tool_call` and a
//! `tool_result`. What they find is blocked (`guard_blocked`, in the caller's dialect; a stream ends
//! with that error), masked for good (`****`), or redacted: replaced by a placeholder such as
//! `[EMAIL_1]` that is turned back into the value in the answer, also in streams and in the
//! arguments of tool calls, so that the model never sees it and the caller never misses it. Nothing
//! else in a body changes by a byte. A stream waits only while its last word could be the beginning
//! of something that is looked for. Findings are counted in `tidegate_guard_findings_total` and
//! noted in the record, by rule, point and action; what was found is not kept.
//!
//! Patterns are validated (cards by Luhn and issuer, IBANs by mod 97, keys by their vendors'
//! formats). A `schema` holds answers and the arguments of tool calls against what their request
//! declares, or against a file. Rules that ask elsewhere (`http`, `judge`) see the text as the model will see it. Put this
//! policy behind `compress`, since it has to read answers; the prompts of a conversation are looked
//! at again with every turn.
//!
//! ```yaml
//! - guard:
//!     rules:
//!       - find: { patterns: [email, phone, card, iban] }
//!         at: [request, tool_result]
//!         action: redact
//!       - name: keys
//!         find: { patterns: [secret, assignment] }
//!         action: block
//!       - name: codenames
//!         find: { words: { list: [Project Tern, Kingfisher] } }
//!         at: [response]
//!         action: mask
//!     mode: enforce
//! ```

#[path = "guard/ask.rs"]
mod ask;
#[path = "guard/config.rs"]
mod config;
#[path = "guard/form.rs"]
mod form;
#[path = "guard/judge.rs"]
mod judge;
#[path = "guard/stream.rs"]
mod stream;
#[path = "guard/watch.rs"]
mod watch;

pub use config::{
    FindConfig, GuardAction, GuardConfig, GuardMode, GuardPoint, GuardRule, HttpConfig,
    JudgeConfig, OnFailure, SchemaConfig, ScriptsConfig, Unread, WordsConfig,
};

use ask::Ask;
use form::{Bound, Form, FormBody};
use gate_ai::endpoint::{Endpoint, Operation};
use gate_ai::guard::{Guard as Session, RuleSet, Side, can_read, can_read_answer};
use gate_flow::{
    CompileContext, Exchange, Fault, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_kit::http::{Body, Chunk, HeaderId, Method, Response};
use gate_kit::random;
use gate_model::fault::FaultCode;
use std::sync::Arc;
use stream::GuardBody;
use watch::{Watch, checked};

/// Most bytes of a body that is looked at.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// The policy.
pub struct Guard {
    rules: Arc<RuleSet>,
    names: Arc<[Arc<str>]>,
    asks: Vec<Arc<Ask>>,
    forms: Vec<Arc<Form>>,
    observes: bool,
    share: f64,
    unread: Unread,
}

/// What is remembered between a request and its answer.
struct Underway {
    session: Session,
    operation: Operation,
    watch: Watch,
    bounds: Vec<Bound>,
}

impl PolicyKind for Guard {
    const NAME: &'static str = "guard";
    type Config = GuardConfig;

    fn compile(
        config: GuardConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        config::compile(config, context)
    }
}

impl Guard {
    /// Looks at a request; refuses it, or sends it on as it may be sent.
    async fn request(&self, exchange: &mut Exchange, operation: Operation) -> Result<(), Fault> {
        let limit = exchange
            .overrides
            .body
            .map_or(BODY_MAX, |bytes| bytes as usize);
        let body = exchange.request.body.collect(limit).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let watch = Watch::new(self, exchange);
        let session = Session::new(self.rules.clone(), self.observes);
        let (session, result) =
            checked(&*exchange.services, session, operation, Side::Request, body).await?;
        let body = result
            .map_err(|error| Fault::new(FaultCode::InvalidBody).message(error.to_string()))?;
        let mut underway = Underway {
            session,
            operation,
            watch,
            bounds: Vec::new(),
        };
        underway.settle()?;
        for ask in &self.asks {
            ask.whole(&underway.watch, operation, Side::Request, &body)
                .await?;
        }
        for form in &self.forms {
            let bound = form.bind(&underway.watch, operation, &body).await?;
            underway.bounds.extend(bound);
        }
        exchange.request.body = Body::from(Chunk::Shared(body));
        let asks_about_answers = self.asks.iter().any(|ask| ask.looks_at(Side::Response));
        let is_bound = !underway.bounds.is_empty();
        if underway.session.looks_at_answers() || asks_about_answers || is_bound {
            exchange.memory.keep(self, underway);
        }
        Ok(())
    }

    /// Looks at a whole answer.
    async fn whole(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
        mut underway: Underway,
    ) -> Result<(), Fault> {
        let body = response.body.collect(BODY_MAX).await;
        let body = body
            .map_err(|error| Fault::from_response_body(&error))?
            .into_bytes();
        let operation = underway.operation;
        let (session, result) = checked(
            &*exchange.services,
            underway.session,
            operation,
            Side::Response,
            body,
        )
        .await?;
        let body = result
            .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
        underway.session = session;
        underway.settle()?;
        for ask in &self.asks {
            ask.whole(&underway.watch, operation, Side::Response, &body)
                .await?;
        }
        for bound in &underway.bounds {
            bound.whole(&underway.watch, &body).await?;
        }
        response.body = Body::from(Chunk::Shared(body));
        Ok(())
    }
}

impl Underway {
    /// Notes what was found.
    ///
    /// # Errors
    /// [`FaultCode::GuardBlocked`] when a rule blocks.
    fn settle(&mut self) -> Result<(), Fault> {
        self.watch.note(&self.session.take_findings());
        match self.session.blocked() {
            Some((rule, point)) => Err(self.watch.refusal(rule, point)),
            None => Ok(()),
        }
    }
}

/// Whether an answer is a stream of events.
fn is_stream(operation: Operation, content_type: &[u8]) -> bool {
    match operation {
        Operation::Conversation(dialect) => dialect.is_stream(content_type),
        _ => content_type.starts_with(b"text/event-stream"),
    }
}

/// Whether a request carries something to a provider.
fn takes_content(operation: Operation, method: &Method) -> bool {
    let sends = matches!(method, Method::Post | Method::Put | Method::Patch);
    operation == Operation::Realtime || sends && !matches!(operation, Operation::Models(_))
}

impl Policy for Guard {
    fn replay(&self) -> Replay {
        Replay::Unknown("the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        let Ok(endpoint) = Endpoint::of(&head.method, head.path(), head.query()) else {
            // No model answers it either.
            return Verdict::Next;
        };
        let operation = endpoint.operation;
        if !can_read(operation) {
            return match self.unread {
                Unread::Refuse if takes_content(operation, &head.method) => Verdict::refuse(
                    Fault::new(FaultCode::GuardBlocked)
                        .message("The gateway cannot look into such requests."),
                ),
                _ => Verdict::Next,
            };
        }
        if self.share < 1.0 && random::fraction() >= self.share {
            return Verdict::Next;
        }
        Verdict::Wait(Box::pin(async move {
            match self.request(exchange, operation).await {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let mut underway: Underway = exchange.memory.take(self)?;
        let headers = &response.head.headers;
        if response.head.status >= 300 {
            return None;
        }
        let content_type = headers.get(HeaderId::ContentType).unwrap_or_default();
        let is_encoded = headers
            .get(HeaderId::ContentEncoding)
            .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        if is_encoded {
            let detail = "the answer is compressed, so that `guard` cannot read it; list `guard` behind `compress`";
            let fault = Fault::new(FaultCode::PolicyFailed).detail(detail);
            return Some(Box::pin(std::future::ready(Err(fault))));
        }
        if is_stream(underway.operation, content_type) {
            let body = std::mem::take(&mut response.body);
            let bounds = std::mem::take(&mut underway.bounds);
            let (watch, operation) = (underway.watch.clone(), underway.operation);
            let guarded = GuardBody::new(body, underway, self.asks.clone());
            response.body = Body::Stream(Box::new(guarded));
            for bound in bounds {
                let body = std::mem::take(&mut response.body);
                let bound = FormBody::new(body, bound, watch.clone(), operation);
                response.body = Body::Stream(Box::new(bound));
            }
            return None;
        }
        if !content_type.starts_with(b"application/json") {
            if !can_read_answer(underway.operation) {
                return None;
            }
            let detail =
                "the answer is neither JSON nor a stream of events, so that `guard` cannot read it";
            let fault = Fault::new(FaultCode::PolicyFailed).detail(detail);
            return Some(Box::pin(std::future::ready(Err(fault))));
        }
        Some(Box::pin(self.whole(exchange, response, underway)))
    }
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
