//! Answers and tool calls that have to hold to a JSON Schema.
//!
//! What one request's answer has to look like is found while the request passes; the answer is
//! held against it as the caller will see it, behind every other rule. A stream waits only while
//! something has begun that cannot be judged yet, and up to a limit.

use super::config::{GuardAction, GuardRule, OnFailure, SchemaConfig, points};
use super::watch::{Watch, refusal};
use crate::heavy;
use bytes::Bytes;
use gate_ai::endpoint::Operation;
use gate_ai::guard::{Breach, Broken, Contract, ContractStream, Mismatch, Point, Schema, Terms};
use gate_ai::{DialectError, ErrorClass, error_event};
use gate_flow::{CompileContext, Fault, LocalFuture};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame};
use gate_model::fault::FaultCode;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Most bytes of a stream that wait for a verdict.
const WAITING_MAX: usize = 8 * 1024 * 1024;

/// A rule about the form of answers.
pub(super) struct Form {
    name: Arc<str>,
    blocks: bool,
    on_failure: OnFailure,
    terms: Terms,
}

/// What one answer has to look like, by one rule.
#[derive(Clone)]
pub(super) struct Bound {
    form: Arc<Form>,
    contract: Arc<Contract>,
}

impl Form {
    pub(super) fn new(
        rule: &GuardRule,
        config: &SchemaConfig,
        observes: bool,
        context: &CompileContext<'_>,
    ) -> Result<Self, String> {
        let blocks = match rule.action {
            GuardAction::Block => !observes,
            GuardAction::Observe => false,
            GuardAction::Mask | GuardAction::Redact => {
                return Err("a schema can only be observed or block".into());
            }
        };
        let at = points(rule);
        let (answers, tools) = (at.contains(&Point::Response), at.contains(&Point::ToolCall));
        if !rule.at.is_empty() && at.iter().any(|at| !is_looked_at(*at)) || !(answers || tools) {
            return Err("a schema is for `response` and `tool_call`".into());
        }
        let answer = match &config.file {
            Some(_) if !answers => return Err("a schema's `file` is for `response`".into()),
            Some(file) => {
                let text = context.secrets.public_file(&context.resolve(file))?;
                let schema =
                    Schema::new(&text).map_err(|error| format!("{}: {error}", file.display()))?;
                Some(Arc::new(schema))
            }
            None => None,
        };
        Ok(Self {
            name: rule.name.as_deref().unwrap_or("schema").into(),
            blocks,
            on_failure: config.on_failure,
            terms: Terms {
                declared_answer: answers && answer.is_none(),
                declared_tools: tools,
                answer,
            },
        })
    }

    /// What the answer to this request has to look like; nothing when anything will do.
    ///
    /// # Errors
    /// `policy_failed` when that cannot be checked and must be.
    pub(super) async fn bind(
        self: &Arc<Self>,
        watch: &Watch,
        operation: Operation,
        body: &Bytes,
    ) -> Result<Option<Bound>, Fault> {
        let Operation::Conversation(dialect) = operation else {
            return Ok(None);
        };
        let (form, text) = (self.clone(), body.clone());
        let work = move || Contract::of_request(dialect, &text, &form.terms);
        let services = watch.beside.services().clone();
        match heavy::done(&*services, heavy::is_light(body.len()), work).await? {
            Ok(contract) => Ok(contract.map(|contract| Bound {
                form: self.clone(),
                contract: Arc::new(contract),
            })),
            Err(error) => self.failed(watch, &error.to_string()).map(|()| None),
        }
    }

    /// Something could not be checked.
    fn failed(&self, watch: &Watch, cause: &str) -> Result<(), Fault> {
        watch.add(&self.name, Point::Response, "failed", 1);
        if !self.blocks || self.on_failure == OnFailure::Pass {
            return Ok(());
        }
        let detail = format!("guard: `{}` cannot check the answer: {cause}", self.name);
        Err(Fault::new(FaultCode::PolicyFailed).detail(detail))
    }

    /// What a check has come to.
    fn verdict(&self, watch: &Watch, found: Option<Breach>) -> Result<(), Fault> {
        let Some(Breach { point, what }) = found else {
            return Ok(());
        };
        if what == Broken::Value(Mismatch::TooCostly) {
            return self.failed(watch, "it takes too many steps");
        }
        let action = if self.blocks { "block" } else { "observe" };
        watch.add(&self.name, point, action, 1);
        if !self.blocks {
            return Ok(());
        }
        let fault = refusal(&self.name, point);
        let detail = format!("{}: {what}", fault.detail);
        Err(fault.detail(detail))
    }
}

const fn is_looked_at(point: Point) -> bool {
    matches!(point, Point::Response | Point::ToolCall)
}

impl Bound {
    /// Holds a whole answer against it.
    ///
    /// # Errors
    /// The refusal, or `policy_failed` when it cannot be checked and must be.
    pub(super) async fn whole(&self, watch: &Watch, body: &Bytes) -> Result<(), Fault> {
        let (contract, text) = (self.contract.clone(), body.clone());
        let services = watch.beside.services().clone();
        let work = move || contract.check_whole(&text);
        match heavy::done(&*services, heavy::is_light(body.len()), work).await? {
            Ok(found) => self.form.verdict(watch, found),
            Err(error) => self.form.failed(watch, &error.to_string()),
        }
    }
}

/// What a check hands back: the stream, and the first thing that does not hold.
type Judged = (ContractStream, Option<Breach>);

/// A stream that is held against what its request asks for.
pub(super) struct FormBody {
    inner: Body,
    bound: Bound,
    watch: Watch,
    operation: Operation,
    /// Gone while a check is underway, and for good once it is pointless.
    stream: Option<ContractStream>,
    waiting: Vec<u8>,
    /// Bytes in front of `waiting` that may leave.
    ready: usize,
    flight: Option<LocalFuture<'static, Result<Judged, Fault>>>,
    /// How the stream ends, once its source has ended.
    end: Option<Result<(), BodyError>>,
}

impl FormBody {
    pub(super) fn new(inner: Body, bound: Bound, watch: Watch, operation: Operation) -> Self {
        Self {
            stream: Some(ContractStream::of(bound.contract.clone())),
            inner,
            bound,
            watch,
            operation,
            waiting: Vec::new(),
            ready: 0,
            flight: None,
            end: None,
        }
    }

    /// Takes what came; says what of it may leave, and starts a check where one is due.
    fn take(&mut self, chunk: &[u8]) {
        let before = self.waiting.len();
        self.waiting.extend_from_slice(chunk);
        let Some(stream) = &mut self.stream else {
            self.ready = self.waiting.len();
            return;
        };
        let was_open = stream.is_open();
        match stream.push(chunk) {
            Err(error) => return self.give_up(&error),
            Ok(_) if !self.bound.form.blocks => self.ready = self.waiting.len(),
            Ok(free) if !was_open => self.ready = before + free,
            Ok(_) => {}
        }
        if stream.due() > 0 {
            self.check(false);
        } else if self.waiting.len() - self.ready > WAITING_MAX {
            let limit = WAITING_MAX;
            self.give_up(&DialectError::EventTooLarge { limit });
        }
    }

    /// The stream cannot be read: it ends here, or goes on unchecked.
    fn give_up(&mut self, error: &DialectError) {
        self.stream = None;
        match self.bound.form.failed(&self.watch, &error.to_string()) {
            Ok(()) => self.ready = self.waiting.len(),
            Err(fault) => self.refuse(&fault),
        }
    }

    fn check(&mut self, at_end: bool) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let services = self.watch.beside.services().clone();
        let length = if at_end { stream.kept() } else { stream.due() };
        self.flight = Some(Box::pin(async move {
            let work = move || {
                let found = match at_end {
                    true => stream.finish(),
                    false => stream.check(),
                };
                (stream, found)
            };
            heavy::done(&*services, heavy::is_light(length), work).await
        }));
    }

    /// Ends the stream with an error event in place of what waits.
    fn refuse(&mut self, fault: &Fault) {
        tracing::debug!(%fault, "the form of an answer ended a stream");
        self.watch.cut();
        self.inner = Body::Empty;
        self.stream = None;
        let (class, words) = (
            ErrorClass::ContentFilter,
            "a guard of the gateway ended this answer",
        );
        self.tell(class, fault.code.as_str(), words);
        self.end = Some(Ok(()));
    }

    /// An error event takes the place of what waits.
    fn tell(&mut self, class: ErrorClass, code: &str, words: &str) {
        let event = error_event(self.operation.error_dialect(), class, code, words);
        self.waiting.truncate(self.ready);
        self.waiting.extend_from_slice(&event);
        self.ready = self.waiting.len();
    }

    /// Waits for a check that is underway.
    fn poll_check(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(flight) = &mut self.flight else {
            return Poll::Ready(());
        };
        let judged = ready!(flight.as_mut().poll(cx));
        self.flight = None;
        let verdict = judged.and_then(|(stream, found)| {
            self.bound.form.verdict(&self.watch, found)?;
            Ok(stream)
        });
        match verdict {
            Err(fault) => self.refuse(&fault),
            Ok(stream) => {
                if self.end.is_some() {
                    self.ready = self.waiting.len();
                } else if !stream.is_open() {
                    self.ready = self.waiting.len() - stream.partial().min(self.waiting.len());
                }
                self.stream = Some(stream);
            }
        }
        Poll::Ready(())
    }

    fn leave(&mut self) -> Option<Chunk> {
        let ready = std::mem::take(&mut self.ready);
        if ready == 0 {
            return None;
        }
        let rest = self.waiting.split_off(ready);
        Some(Chunk::from(std::mem::replace(&mut self.waiting, rest)))
    }
}

impl BodyStream for FormBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            ready!(self.poll_check(cx));
            if let Some(chunk) = self.leave() {
                return Poll::Ready(Some(Ok(Frame::Data(chunk))));
            }
            if let Some(end) = &mut self.end {
                let end = std::mem::replace(end, Ok(()));
                return Poll::Ready(end.err().map(Err));
            }
            match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => self.take(&chunk),
                Some(Ok(Frame::Trailers(_))) | None => {
                    self.end = Some(Ok(()));
                    self.check(true);
                    if self.flight.is_none() {
                        self.ready = self.waiting.len();
                    }
                }
                Some(Err(error)) => {
                    if !self.waiting.is_empty() {
                        // It was never judged.
                        let (class, code) = (ErrorClass::Server, "upstream_stream_broken");
                        self.tell(class, code, "The stream broke off before its end.");
                    }
                    self.end = Some(Err(error));
                }
            }
        }
    }
}
