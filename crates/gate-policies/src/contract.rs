//! Holds requests and answers against an API's OpenAPI document.
//!
//! Every route that follows from an entry of `apis` ends in this policy, so that it is seldom written:
//! only where a route of your own is to keep to a contract. Parameters are read as their styles say
//! and checked against their schemas; bodies are JSON, URL-encoded or multipart forms, or text. A
//! request that breaks the contract is refused with `contract_violated`, whose `errors` name every
//! place by parameter and JSON pointer, or passes and is counted: `requests` and `responses` of the API
//! decide. Answers are looked at as they pass and wait for nothing, unless they are enforced. A
//! compressed request is refused where requests are enforced; compressed answers are only counted, so
//! put `compress` in front.
//!
//! Counts are in `tidegate_contract_messages_total`, by API, operation, side and what came of it. An
//! exchange's record (access log, kept records) names each place that was wrong in `contract`, by
//! JSON pointer, never the value.
//!
//! ```yaml
//! - contract: { api: orders, operation: createOrder }
//! ```

#[path = "contract/answers.rs"]
mod answers;
#[path = "contract/load.rs"]
mod load;

use crate::heavy;
use gate_contract::check::{Failure, Head, OperationCheck};
use gate_flow::{
    ApiFacts, Broken, CompileContext, ContractCounts, ContractNotes, ContractUse, Exchange, Fault,
    FaultError, LocalFuture, Policy, PolicyKind, Replay, Verdict,
};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response};
use gate_model::fault::FaultCode;
use gate_model::resources::Holding;
use load::{Loaded, loaded};
use schemars::JsonSchema;
use serde::Deserialize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Holds requests and answers against a contract.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractConfig {
    /// Name of the API.
    pub api: String,
    /// The operation: its `operationId`, or method and path as in `GET /orders/{id}`. When left out,
    /// the one that method and path of a request name; a request that names none is refused.
    #[serde(default)]
    pub operation: Option<String>,
}

/// The policy.
pub struct Contract {
    api: Arc<str>,
    loaded: Arc<Loaded>,
    /// The operation by its index, where it is always the same.
    operation: Option<usize>,
    requests: Holding,
    responses: Holding,
    body_max: usize,
    /// By operation.
    counts: Arc<Vec<Arc<ContractCounts>>>,
    users: Arc<ContractUse>,
}

/// What is remembered between a request and its answer.
struct Underway(usize);

impl PolicyKind for Contract {
    const NAME: &'static str = "contract";
    type Config = ContractConfig;

    fn compile(
        config: ContractConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let Some(api) = context.resources.apis.get(&config.api) else {
            let message = format!("there is no API `{}`", config.api);
            return Err((Some("api"), message));
        };
        let loaded = loaded(&config.api, api, context).map_err(|message| (Some("api"), message))?;
        let operation = match &config.operation {
            None => None,
            Some(name) => {
                let found = loaded.operations().iter().position(|one| one.name == *name);
                let message = || format!("the API has no operation `{name}`");
                Some(found.ok_or_else(|| (Some("operation"), message()))?)
            }
        };
        let users = context
            .state
            .get_or_insert(&config.api, ContractUse::default);
        Ok(Arc::new(Self {
            api: config.api.as_str().into(),
            counts: loaded.counts.clone(),
            loaded,
            operation,
            requests: api.requests,
            responses: api.responses,
            body_max: usize::try_from(api.body.bytes()).unwrap_or(usize::MAX),
            users,
        }))
    }
}

impl Contract {
    fn check(&self, operation: usize) -> &OperationCheck {
        &self.loaded.operations()[operation]
    }

    /// The operation of a request.
    fn operation_of(&self, exchange: &Exchange) -> Option<usize> {
        if self.operation.is_some() {
            return self.operation;
        }
        let head = &exchange.request.head;
        let below = self.below(head.path());
        self.loaded.operations().iter().position(|one| {
            let method = head.method.as_str();
            let serves = one.method == method || method == "HEAD" && one.method == "GET";
            serves && one.template.values(below).is_some()
        })
    }

    /// A path without the API's base.
    fn below<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.loaded.base.as_str()).unwrap_or(path)
    }

    fn head_failures(&self, operation: usize, exchange: &Exchange) -> Vec<Failure> {
        let head = &exchange.request.head;
        let header = |name: &str| texts(&head.headers, name);
        self.check(operation).check_head(&Head {
            path: self.below(head.path()),
            query: head.query().unwrap_or_default(),
            header: &header,
        })
    }

    /// Counts a request and refuses it, if that is what is to happen.
    fn settle(
        &self,
        exchange: &mut Exchange,
        operation: usize,
        failures: Vec<Failure>,
    ) -> Verdict<'static> {
        let is_broken = !failures.is_empty();
        let counts = &self.counts[operation];
        if let Some(caller) = &exchange.caller {
            let now = exchange.services.clock().unix();
            self.users.count(&caller.name, is_broken, now);
        }
        if !is_broken {
            counts.requests_kept.add(1);
            return Verdict::Next;
        }
        counts.requests_broken.add(1);
        let errors = errors(failures);
        self.notes(exchange, operation).add("request", &errors);
        self.remember(
            exchange.services.clock().unix(),
            operation,
            "request",
            errors.clone(),
        );
        if self.requests != Holding::Enforce {
            return Verdict::Next;
        }
        refused(&self.check(operation).name, errors)
    }

    /// What is found wrong with the messages of an exchange, for its record.
    fn notes(&self, exchange: &mut Exchange, operation: usize) -> Rc<ContractNotes> {
        let new = || {
            let name = self.loaded.names[operation].clone();
            Rc::new(ContractNotes::new(self.api.clone(), name))
        };
        exchange.contract.get_or_insert_with(new).clone()
    }

    fn remember(
        &self,
        at: Duration,
        operation: usize,
        side: &'static str,
        errors: Vec<FaultError>,
    ) {
        let name = &self.check(operation).name;
        tracing::debug!(api = &*self.api, operation = name, side, failures = %summary(&errors),
            "a message breaks its contract");
        self.counts[operation].remember(Broken { at, side, errors });
    }

    /// Reads a request's body and settles the request.
    async fn with_body(
        &self,
        exchange: &mut Exchange,
        operation: usize,
        mut failures: Vec<Failure>,
    ) -> Verdict<'static> {
        let limit = exchange.overrides.body.unwrap_or(u64::MAX);
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(self.body_max);
        let body = match exchange.request.body.collect(limit).await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Verdict::refuse(Fault::from_request_body(&error)),
        };
        exchange.request.body = Body::from(Chunk::Shared(body.clone()));
        let (loaded, content_type) = (
            self.loaded.clone(),
            content_type(&exchange.request.head.headers),
        );
        let work =
            move || loaded.operations()[operation].check_body(content_type.as_deref(), &body);
        let length = exchange.request.body.length().unwrap_or(0) as usize;
        match heavy::done(&*exchange.services, heavy::is_light(length), work).await {
            Ok(more) => failures.extend(more),
            Err(fault) => return Verdict::refuse(fault),
        }
        self.settle(exchange, operation, failures)
    }

    /// Looks at a request's body as it passes, for a contract that is only observed.
    fn observe_body(&self, exchange: &mut Exchange, operation: usize, failures: Vec<Failure>) {
        let body = std::mem::take(&mut exchange.request.body);
        let look = answers::Look {
            notes: self.notes(exchange, operation),
            loaded: self.loaded.clone(),
            counts: self.counts[operation].clone(),
            services: exchange.services.clone(),
            operation,
        };
        if let Some(caller) = &exchange.caller {
            let now = exchange.services.clock().unix();
            self.users.count(&caller.name, !failures.is_empty(), now);
        }
        let content_type = content_type(&exchange.request.head.headers);
        exchange.request.body = body.tee(self.body_max, move |whole| {
            look.request(content_type, failures, whole);
        });
    }
}

impl Policy for Contract {
    fn replay(&self) -> Replay {
        Replay::Unknown("the body")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let Some(operation) = self.operation_of(exchange) else {
            let message = "The API's contract has no such operation.";
            return match self.requests {
                Holding::Enforce => {
                    Verdict::refuse(Fault::new(FaultCode::RouteNotFound).message(message))
                }
                _ => Verdict::Next,
            };
        };
        // Calls of an API are counted by who makes them, also where it has no versions.
        if exchange.record.api.is_none() {
            exchange.record.api = Some(Box::new(ApiFacts {
                api: self.api.clone(),
                version: None,
                refused: false,
            }));
        }
        let check = self.check(operation);
        if self.responses != Holding::Off && check.describes_answers() {
            exchange.memory.keep(self, Underway(operation));
        }
        if self.requests == Holding::Off {
            return Verdict::Next;
        }
        let mut failures = self.head_failures(operation, exchange);
        if !check.takes_body() {
            return self.settle(exchange, operation, failures);
        }
        // Two content types would let the service read another body than was checked.
        if exchange
            .request
            .head
            .headers
            .all(HeaderId::ContentType)
            .count()
            > 1
        {
            failures.push(Failure {
                r#in: "header",
                name: "Content-Type".to_owned(),
                pointer: String::new(),
                detail: "stands more than once".to_owned(),
            });
            return self.settle(exchange, operation, failures);
        }
        if is_encoded(&exchange.request.head.headers) {
            if self.requests == Holding::Enforce {
                failures.push(Failure {
                    r#in: "header",
                    name: "Content-Encoding".to_owned(),
                    pointer: String::new(),
                    detail: "a compressed body cannot be held against the contract".to_owned(),
                });
            } else {
                self.counts[operation].requests_unread.add(1);
                return Verdict::Next;
            }
            return self.settle(exchange, operation, failures);
        }
        if self.requests == Holding::Observe {
            self.observe_body(exchange, operation, failures);
            return Verdict::Next;
        }
        Verdict::Wait(Box::pin(self.with_body(exchange, operation, failures)))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let Underway(operation) = exchange.memory.take(self)?;
        // A fault of the gateway's own is no answer of the service.
        if exchange.record.fault.is_some() || response.head.status < 200 {
            return None;
        }
        self.look_at_answer(exchange, response, operation)
    }
}

/// Refuses a request for what is wrong with it; `what` names the operation for the operator.
pub(crate) fn refusal(what: &str, failures: Vec<Failure>) -> Verdict<'static> {
    refused(what, errors(failures))
}

fn refused(what: &str, errors: Vec<FaultError>) -> Verdict<'static> {
    let detail = format!("{what}: {}", summary(&errors));
    Verdict::refuse(
        Fault::new(FaultCode::ContractViolated)
            .detail(detail)
            .errors(errors),
    )
}

/// The values of a header as texts; what is no UTF-8 is read with replacements.
fn texts(headers: &Headers, name: &str) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.all_named(name).map(text).collect()
}

fn content_type(headers: &Headers) -> Option<String> {
    headers.get_str(HeaderId::ContentType).map(str::to_owned)
}

fn is_encoded(headers: &Headers) -> bool {
    headers
        .get(HeaderId::ContentEncoding)
        .is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

fn errors(failures: Vec<Failure>) -> Vec<FaultError> {
    let error = |failure: Failure| FaultError {
        detail: failure.detail,
        place: failure.r#in,
        name: failure.name,
        pointer: failure.pointer,
    };
    failures.into_iter().map(error).collect()
}

/// The first failures in one line, for the operator.
fn summary(errors: &[FaultError]) -> String {
    let one = |error: &FaultError| {
        let FaultError {
            place,
            name,
            pointer,
            detail,
        } = error;
        format!("{place} {name}{pointer} {detail}")
    };
    let mut text = errors
        .iter()
        .take(3)
        .map(one)
        .collect::<Vec<_>>()
        .join("; ");
    if errors.len() > 3 {
        text.push_str(&format!("; and {} more", errors.len() - 3));
    }
    text
}

#[cfg(test)]
#[path = "contract/tests.rs"]
mod tests;
