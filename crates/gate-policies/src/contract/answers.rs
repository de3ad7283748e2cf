//! Answers, and requests that are only observed: looked at beside their way.

use super::load::Loaded;
use super::{Contract, content_type, errors, heavy, is_encoded, summary, texts};
use gate_contract::check::{Failure, is_json};
use gate_flow::{Broken, ContractCounts, ContractNotes, Exchange, Fault, LocalFuture, Services};
use gate_kit::http::{Body, Chunk, Headers, Response};
use gate_model::fault::FaultCode;
use gate_model::resources::Holding;
use std::rc::Rc;
use std::sync::Arc;

/// What it takes to look at a body that has passed.
pub(super) struct Look {
    pub(super) notes: Rc<ContractNotes>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) counts: Arc<ContractCounts>,
    pub(super) services: Rc<dyn Services>,
    pub(super) operation: usize,
}

/// Counts what was found, and notes it for the exchange's record.
fn note(
    counts: &ContractCounts,
    notes: &ContractNotes,
    now: std::time::Duration,
    side: &'static str,
    failures: Vec<Failure>,
) {
    let (kept, broken) = match side {
        "request" => (&counts.requests_kept, &counts.requests_broken),
        _ => (&counts.answers_kept, &counts.answers_broken),
    };
    if failures.is_empty() {
        return kept.add(1);
    }
    broken.add(1);
    let errors = errors(failures);
    notes.add(side, &errors);
    tracing::debug!(side, failures = %summary(&errors), "a message breaks its contract");
    counts.remember(Broken {
        at: now,
        side,
        errors,
    });
}

impl Look {
    /// Looks at a request's body that has passed, or that did not pass whole.
    pub(super) fn request(
        self,
        content_type: Option<String>,
        mut failures: Vec<Failure>,
        whole: Option<bytes::Bytes>,
    ) {
        let Some(whole) = whole else {
            return self.counts.requests_unread.add(1);
        };
        let operation = self.operation;
        let loaded = self.loaded.clone();
        let length = whole.len();
        self.run("request", length, move || {
            failures
                .extend(loaded.operations()[operation].check_body(content_type.as_deref(), &whole));
            failures
        });
    }

    fn answer(self, status: u16, headers: Headers, whole: Option<bytes::Bytes>) {
        let Some(whole) = whole else {
            return self.counts.answers_unread.add(1);
        };
        let (loaded, operation, length) = (self.loaded.clone(), self.operation, whole.len());
        self.run("response", length, move || {
            let header = |name: &str| texts(&headers, name);
            loaded.operations()[operation].check_answer(status, &header, Some(&whole))
        });
    }

    /// Works now where that is short, else as a task on the bounded pool. What that cannot take is
    /// counted as not read.
    fn run(
        self,
        side: &'static str,
        length: usize,
        work: impl FnOnce() -> Vec<Failure> + Send + 'static,
    ) {
        let now = self.services.clock().unix();
        if heavy::is_light(length) {
            return note(&self.counts, &self.notes, now, side, work());
        }
        let (counts, services) = (self.counts.clone(), self.services.clone());
        let unread = counts.clone();
        let looking = Looking::begin(self.notes);
        let task = Box::pin(async move {
            match heavy::done(&*services, false, work).await {
                Ok(failures) => note(&counts, &looking.0, now, side, failures),
                Err(_) => missed(&counts, side),
            }
        });
        if !self.services.spawn(task) {
            missed(&unread, side);
        }
    }
}

/// A message that is looked at beside the exchange's way, until dropped: the record waits for it.
struct Looking(Rc<ContractNotes>);

impl Looking {
    fn begin(notes: Rc<ContractNotes>) -> Self {
        notes.look();
        Self(notes)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looked();
    }
}

fn missed(counts: &ContractCounts, side: &'static str) {
    match side {
        "request" => counts.requests_unread.add(1),
        _ => counts.answers_unread.add(1),
    }
}

impl Contract {
    /// Looks at an answer: beside its way, or before it leaves where answers are enforced.
    pub(super) fn look_at_answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
        operation: usize,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let status = response.head.status;
        let headers = &response.head.headers;
        let is_read = content_type(headers).as_deref().is_none_or(is_json)
            && !matches!(status, 204 | 304)
            && exchange.request.head.method != gate_kit::http::Method::Head;
        if !is_read || is_encoded(headers) {
            if is_read {
                self.counts[operation].answers_unread.add(1);
            }
            let header = |name: &str| texts(headers, name);
            let failures = self.check(operation).check_answer(status, &header, None);
            let result = self.settle_answer(exchange, operation, failures);
            return match result {
                Ok(()) => None,
                Err(fault) => Some(Box::pin(std::future::ready(Err(fault)))),
            };
        }
        if self.responses == Holding::Enforce {
            return Some(Box::pin(self.enforce_answer(exchange, response, operation)));
        }
        let look = Look {
            notes: self.notes(exchange, operation),
            loaded: self.loaded.clone(),
            counts: self.counts[operation].clone(),
            services: exchange.services.clone(),
            operation,
        };
        let headers = headers.clone();
        let body = std::mem::take(&mut response.body);
        response.body = body.tee(self.body_max, move |whole| {
            look.answer(status, headers, whole)
        });
        None
    }

    fn settle_answer(
        &self,
        exchange: &mut Exchange,
        operation: usize,
        failures: Vec<Failure>,
    ) -> Result<(), Fault> {
        let is_broken = !failures.is_empty();
        let detail = summary(&errors(failures.clone()));
        let now = exchange.services.clock().unix();
        let notes = self.notes(exchange, operation);
        note(&self.counts[operation], &notes, now, "response", failures);
        match is_broken && self.responses == Holding::Enforce {
            true => {
                let detail = format!("{}: {detail}", self.check(operation).name);
                Err(Fault::new(FaultCode::AnswerViolatesContract).detail(detail))
            }
            false => Ok(()),
        }
    }

    async fn enforce_answer(
        &self,
        exchange: &mut Exchange,
        response: &mut Response,
        operation: usize,
    ) -> Result<(), Fault> {
        let body = response.body.collect(self.body_max).await;
        let body = body
            .map_err(|error| match error.kind {
                gate_kit::http::BodyErrorKind::TooLarge => {
                    let detail = "the answer is larger than the API's `body`";
                    Fault::new(FaultCode::AnswerViolatesContract).detail(detail)
                }
                _ => Fault::from_response_body(&error),
            })?
            .into_bytes();
        response.body = Body::from(Chunk::Shared(body.clone()));
        let (loaded, headers) = (self.loaded.clone(), response.head.headers.clone());
        let status = response.head.status;
        let light = heavy::is_light(body.len());
        let work = move || {
            let header = |name: &str| texts(&headers, name);
            loaded.operations()[operation].check_answer(status, &header, Some(&body))
        };
        let failures = heavy::done(&*exchange.services, light, work).await?;
        self.settle_answer(exchange, operation, failures)
    }
}
