//! Keeps what callers sent and got in the access log, in exported log records and in the lake.
//!
//! Nothing is recorded without this policy. A body is gathered as it passes, up to `max`, and is
//! redacted before it is written: secrets always, personal data by `redact`. Only JSON, text and
//! streams of events are kept, and only uncompressed: put this policy behind `compress`. Where it
//! stands among the policies decides what it sees: in front of `guard` what the caller sent and got,
//! behind it what the model did. The access log has `bodies`; exported log records have
//! `tidegate.request.body` and `tidegate.response.body`, and for conversations that were kept whole
//! `gen_ai.input.messages` and `gen_ai.output.messages`. At most 64 MiB wait to be written; beyond
//! that bodies are dropped and counted (`tidegate_bodies_dropped_total`).
//!
//! ```yaml
//! - record_bodies:
//!     request: true
//!     response: true
//!     max: 16KiB
//!     redact: [email, phone, card, iban]
//!     share: 10%
//! ```

#[path = "record_bodies/reader.rs"]
mod reader;

use gate_ai::Dialect;
use gate_ai::endpoint::{Endpoint, Operation};
use gate_ai::guard::Pattern;
use gate_flow::{
    Bodies, BodyReader, BodyRoom, BodySide, CompileContext, Exchange, Policy, PolicyKind,
    RecordedBody, Replay, Verdict,
};
use gate_kit::http::{
    Body, BodyError, BodyStream, Frame, HeaderId, Headers, RequestHead, Response,
};
use gate_kit::random;
use gate_model::units::{ByteSize, Percent};
use reader::{Form, Reader, mask};
use schemars::JsonSchema;
use serde::Deserialize;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes of recorded bodies that may wait to be written.
const ROOM: usize = 64 * 1024 * 1024;
/// Most bytes of one body's text.
const MOST_MAX: usize = 1024 * 1024;
/// Bytes behind a body's limit that are looked at, so that nothing is kept in part.
const MORE: usize = gate_ai::guard::detect::MATCH_MAX;

/// Keeps what callers sent and got.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordBodiesConfig {
    /// Whether requests are kept.
    #[serde(default)]
    pub request: bool,
    /// Whether answers are kept.
    #[serde(default)]
    pub response: bool,
    /// Most bytes that are kept of each; at most 1 MiB.
    #[serde(default = "most")]
    pub max: ByteSize,
    /// What is masked. Secrets (`secret`, `assignment`) are masked in any case.
    #[serde(default = "everything")]
    pub redact: Vec<Pattern>,
    /// Share of the exchanges whose bodies are kept.
    #[serde(default = "always")]
    pub share: Percent,
}

fn most() -> ByteSize {
    ByteSize::from_kibibytes(16)
}

fn everything() -> Vec<Pattern> {
    Pattern::ALL.to_vec()
}

fn always() -> Percent {
    Percent::HUNDRED
}

/// The policy.
pub struct RecordBodies {
    request: bool,
    response: bool,
    most: usize,
    share: f64,
    rules: Arc<gate_ai::guard::RuleSet>,
    room: Arc<BodyRoom>,
}

/// What is remembered between a request and its answer.
struct Chosen(Option<Operation>);

impl PolicyKind for RecordBodies {
    const NAME: &'static str = "record_bodies";
    type Config = RecordBodiesConfig;

    fn compile(
        config: RecordBodiesConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        if !config.request && !config.response {
            let message = "neither `request` nor `response` is to be kept";
            return Err((Some("request"), message.into()));
        }
        let most = config.max.len();
        if most == 0 || most > MOST_MAX {
            return Err((Some("max"), "1 byte to 1 MiB can be kept of a body".into()));
        }
        if config.share == Percent::ZERO {
            return Err((Some("share"), "a share of 0% keeps nothing".into()));
        }
        let gateway = &context.resources.gateway;
        let exports = gateway.tracing.as_ref().is_some_and(|tracing| tracing.logs);
        let in_lake = gateway
            .lake
            .as_ref()
            .is_some_and(|lake| lake.bodies.is_some());
        if gateway.access_log.is_none() && !exports && !in_lake {
            let message = "bodies go into the access log, exported log records and the lake; none of them is configured";
            return Err((None, message.into()));
        }
        Ok(Arc::new(Self {
            request: config.request,
            response: config.response,
            most,
            share: config.share.fraction(),
            rules: mask(&config.redact).map_err(|error| (Some("redact"), error.to_string()))?,
            room: context.state.get_or_insert("", || BodyRoom::new(ROOM)),
        }))
    }
}

impl RecordBodies {
    /// An empty record of a body, if there is room for it.
    fn begin(&self, side: BodySide, form: Form) -> Option<RecordedBody> {
        let place = self.room.take(self.most + MORE)?;
        let reader: Arc<dyn BodyReader> = Arc::new(Reader {
            rules: self.rules.clone(),
            form,
        });
        Some(RecordedBody::new(side, self.most, MORE, reader, place))
    }

    fn keep(&self, bodies: &Rc<RefCell<Bodies>>, side: BodySide, form: Form, body: &mut Body) {
        let mut bodies_now = bodies.borrow_mut();
        let Some(mut record) = self.begin(side, form) else {
            bodies_now.dropped += 1;
            return;
        };
        let streams = match body {
            Body::Full(whole) => {
                record.push(whole);
                false
            }
            Body::Stream(_) => true,
            Body::Empty => return,
        };
        *slot(&mut bodies_now, side) = Some(record);
        drop(bodies_now);
        if streams {
            let inner = std::mem::take(body);
            let bodies = bodies.clone();
            *body = Body::Stream(Box::new(Watched {
                inner,
                bodies,
                side,
            }));
        }
    }
}

fn slot(bodies: &mut Bodies, side: BodySide) -> &mut Option<RecordedBody> {
    match side {
        BodySide::Request => &mut bodies.request,
        BodySide::Response => &mut bodies.response,
    }
}

/// What a body is, as far as it can be read; none for what is no text.
fn form(headers: &Headers, operation: Option<Operation>) -> Option<Form> {
    let plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if !headers.get(HeaderId::ContentEncoding).is_none_or(plain) {
        return None;
    }
    let kind = headers.get(HeaderId::ContentType).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    match kind.as_slice() {
        b"text/event-stream" => Some(Form::Events(operation)),
        b"application/vnd.amazon.eventstream" => Some(Form::Events(Some(Operation::Conversation(
            Dialect::Converse,
        )))),
        b"application/json" => Some(Form::Json(operation)),
        kind if kind.ends_with(b"+json") => Some(Form::Json(operation)),
        kind if kind.starts_with(b"text/") => Some(Form::Text),
        _ => None,
    }
}

fn operation(head: &RequestHead) -> Option<Operation> {
    let endpoint = Endpoint::of(&head.method, head.path(), head.query()).ok()?;
    Some(endpoint.operation)
}

impl Policy for RecordBodies {
    fn replay(&self) -> Replay {
        Replay::Passive
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if self.share < 1.0 && random::fraction() >= self.share {
            return Verdict::Next;
        }
        let operation = operation(&exchange.request.head);
        if self.response {
            exchange.memory.keep(self, Chosen(operation));
        }
        let form = form(&exchange.request.head.headers, operation);
        if self.request
            && let Some(form) = form
        {
            let bodies = exchange.bodies.get_or_insert_default().clone();
            self.keep(&bodies, BodySide::Request, form, &mut exchange.request.body);
        }
        Verdict::Next
    }

    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        let Some(Chosen(operation)) = exchange.memory.take(self) else {
            return;
        };
        if let Some(form) = form(&response.head.headers, operation) {
            let bodies = exchange.bodies.get_or_insert_default().clone();
            self.keep(&bodies, BodySide::Response, form, &mut response.body);
        }
    }
}

/// A body that is gathered while it is pulled.
struct Watched {
    inner: Body,
    bodies: Rc<RefCell<Bodies>>,
    side: BodySide,
}

impl BodyStream for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame
            && let Some(record) = slot(&mut self.bodies.borrow_mut(), self.side)
        {
            record.push(chunk);
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

#[cfg(test)]
#[path = "record_bodies/tests.rs"]
mod tests;
