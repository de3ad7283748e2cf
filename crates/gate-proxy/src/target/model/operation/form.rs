//! Operations that are multipart forms: the file streams through, the model is found and replaced.
//!
//! A form is held until its field `model` has come, at most [`HELD_MAX`] bytes. Where the file comes
//! first and is longer, the model must be known otherwise: from the header `x-tidegate-model`, or
//! because the caller may use one model only that serves the operation. The field is then replaced
//! when it comes; one that names another model ends the call.
//!
//! A form that is no longer than that is read whole where there is anything to choose: it can be
//! sent again, so that credentials, retries and fallbacks are those of every call. A longer one goes
//! to one target, once.

use super::super::call::{self, Call};
use super::super::tap::Tap;
use super::super::{Model, may_use};
use super::answer::{passed, refused};
use super::other::{Other, Shape};
use super::send::{Wire, send};
use super::{Asked, Known, deadline, first, model, open_facts, reserve, take_once, targets};
use bytes::Bytes;
use gate_ai::RequestFacts;
use gate_ai::operation::pieces::uploaded;
use gate_ai::operation::{Form, FormError, boundary};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, HeaderId, Method, Response,
};
use gate_model::fault::FaultCode;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Most bytes of a form that are held while its model is looked for.
const HELD_MAX: usize = 1024 * 1024;
/// Names the model where the form says it too late.
const MODEL_HEADER: &str = "x-tidegate-model";

/// Whether the request is a form.
pub(super) fn is_form(exchange: &Exchange) -> bool {
    let kind = exchange.request.head.headers.get_str(HeaderId::ContentType);
    kind.and_then(boundary).is_some()
}

/// The front of a form, read until its model was found.
struct Front {
    form: Form,
    /// What goes on of it.
    bytes: Vec<u8>,
    /// All of it is here.
    whole: bool,
    /// The length of the whole form, where the caller said it.
    length: Option<u64>,
}

/// Serves one call.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    asked: &Asked,
) -> Result<Response, Fault> {
    let kind = exchange.request.head.headers.get(HeaderId::ContentType);
    let content_type = kind.unwrap_or_default().to_vec();
    let mut front = front(exchange, &content_type).await?;
    let model = chosen(models, exchange, asked, &front)?;
    if !model.only_one {
        hold_rest(exchange, &mut front, &model).await?;
    }
    open_facts(exchange, asked.operation, &model.name, false);
    let length = match front.whole {
        true => Some(front.bytes.len() as u64),
        false => front.length,
    };
    let pieces = uploaded(asked.operation, length);
    let most = pieces.as_ref().map(|(most, _)| most);
    reserve(exchange, &model, asked.operation, None, (None, most)).await?;
    let usual = pieces.map(|(_, usual)| usual);
    exchange.moment = exchange.services.clock().now();
    if let Some(span) = front.form.span().filter(|_| front.whole) {
        let other = Other {
            name: model.name.to_string(),
            shape: Shape::Form {
                content_type,
                model: span,
            },
            pieces: usual,
        };
        return repeatable(exchange, asked, &model, &other, front.bytes.into()).await;
    }
    let (target, road) = first(exchange, &model, asked.operation)?;
    take_once(exchange, target)?;
    let inner = std::mem::take(&mut exchange.request.body);
    let limit = exchange.overrides.body;
    let upload = Upload::new(front, inner, &model.name, &target.model, limit);
    let wire = Wire {
        method: Method::Post,
        target: road.target(false),
        content_type: Some(&content_type),
        fields: &[],
        upgrade: None,
        deadline: deadline(exchange, &model),
        first_byte: model.first_byte,
        idle: model.idle,
    };
    let mut body = Some(Body::Stream(Box::new(upload)));
    let sent = send(exchange, &target.provider, &wire, &mut body).await?;
    if sent.head.status < 400 {
        return Ok(passed(Tap::new(exchange), usual, sent.head, sent.body));
    }
    refused(target, asked.operation, sent).await
}

/// Serves a form that is here whole.
async fn repeatable(
    exchange: &mut Exchange,
    asked: &Asked,
    model: &Arc<Model>,
    other: &Other,
    form: Bytes,
) -> Result<Response, Fault> {
    let call = Call {
        dialect: asked.operation.error_dialect(),
        operation: asked.operation,
        other: Some(other),
        body: form,
        facts: RequestFacts::default(),
        model,
        deadline: deadline(exchange, model),
        query: None,
    };
    call::answer(exchange, &call).await
}

/// Reads what follows the model, as far as a form is held.
async fn hold_rest(exchange: &mut Exchange, front: &mut Front, model: &Model) -> Result<(), Fault> {
    let fits = |length: u64| length <= HELD_MAX as u64;
    if front.form.model().is_none() || !front.length.is_none_or(fits) {
        return Ok(());
    }
    while !front.whole && front.bytes.len() < HELD_MAX {
        front.read(&mut exchange.request.body).await?;
    }
    let limit = exchange.overrides.body.unwrap_or(u64::MAX);
    if front.bytes.len() as u64 > limit {
        return Err(Fault::from_request_body(&too_long()));
    }
    match front.form.model() {
        Some(name) if name != &*model.name => {
            let message = "The form names two models.";
            Err(Fault::new(FaultCode::InvalidBody).message(message))
        }
        _ => Ok(()),
    }
}

fn too_long() -> BodyError {
    let detail = "the form is longer than the route allows";
    BodyError::new(BodyErrorKind::TooLarge, detail)
}

/// Reads until the model is found, everything is read, or too much would be held.
async fn front(exchange: &mut Exchange, content_type: &[u8]) -> Result<Front, Fault> {
    let text = std::str::from_utf8(content_type).unwrap_or_default();
    let boundary = boundary(text).unwrap_or_default();
    let mut front = Front {
        form: Form::new(boundary),
        bytes: Vec::new(),
        whole: false,
        length: exchange.request.body.length(),
    };
    while !front.whole && front.form.model().is_none() && front.bytes.len() < HELD_MAX {
        front.read(&mut exchange.request.body).await?;
    }
    Ok(front)
}

impl Front {
    /// Reads the next piece.
    async fn read(&mut self, body: &mut Body) -> Result<(), Fault> {
        match poll_fn(|cx| body.poll_frame(cx)).await {
            Some(Ok(Frame::Data(chunk))) => {
                let pushed = self.form.push(&chunk, &mut self.bytes);
                pushed.map_err(|error| refuse(&error))
            }
            Some(Err(error)) => Err(Fault::from_request_body(&error)),
            Some(Ok(Frame::Trailers(_))) | None => {
                self.form.finish(&mut self.bytes);
                self.whole = true;
                Ok(())
            }
        }
    }
}

fn refuse(error: &FormError) -> Fault {
    Fault::new(FaultCode::InvalidBody).message(error.to_string())
}

/// The model of a form, however it is known.
fn chosen(
    models: &Known,
    exchange: &Exchange,
    asked: &Asked,
    front: &Front,
) -> Result<Arc<Model>, Fault> {
    if let Some(name) = front.form.model() {
        return model(models, exchange, name);
    }
    if front.whole {
        let message = "The form has no field `model`.";
        return Err(Fault::new(FaultCode::InvalidBody).message(message));
    }
    let named = exchange.request.head.headers.get_named(MODEL_HEADER);
    if let Some(name) = named.and_then(|name| std::str::from_utf8(name).ok()) {
        return model(models, exchange, name);
    }
    let serves = |model: &Model| {
        targets(model)
            .iter()
            .any(|t| t.road(asked.operation).is_some())
    };
    let mut fitting = models
        .iter()
        .filter(|(name, model)| may_use(exchange, name) && serves(model));
    match (fitting.next(), fitting.next()) {
        (Some((_, only)), None) => Ok(only.clone()),
        _ => {
            let message = "Send the form's field `model` before its file, or name the model in \
                           the header `x-tidegate-model`.";
            Err(Fault::new(FaultCode::InvalidBody).message(message))
        }
    }
}

/// A form on its way to the provider.
struct Upload {
    /// What goes first.
    front: Vec<u8>,
    inner: Body,
    form: Form,
    /// The model that was chosen, as the caller names it.
    model: Arc<str>,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
    /// Most bytes to take from the caller; and those taken.
    limit: Option<u64>,
    taken: u64,
    over: bool,
}

impl Upload {
    fn new(front: Front, inner: Body, model: &Arc<str>, sent: &str, limit: Option<u64>) -> Self {
        let Front {
            mut form,
            mut bytes,
            whole,
            length,
        } = front;
        let taken = bytes.len() as u64;
        let mut remaining = None;
        match form.span() {
            Some(span) => {
                let change = |length: u64| length - span.len() as u64 + sent.len() as u64;
                remaining = length.map(change);
                bytes.splice(span.clone(), sent.bytes());
                if whole {
                    remaining = Some(bytes.len() as u64);
                }
            }
            None => form.replace_with(sent),
        }
        Self {
            front: bytes,
            inner,
            form,
            model: model.clone(),
            remaining,
            limit,
            taken,
            over: whole,
        }
    }

    fn read(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.taken += chunk.len() as u64;
        if self.limit.is_some_and(|limit| self.taken > limit) {
            return Err(too_long());
        }
        let broken = |detail: String| BodyError::new(BodyErrorKind::Malformed, detail);
        let pushed = self.form.push(chunk, out);
        pushed.map_err(|error| broken(error.to_string()))?;
        match self.form.model() {
            Some(name) if name != &*self.model => Err(broken(
                "the form names another model than was chosen".into(),
            )),
            _ => Ok(()),
        }
    }
}

impl BodyStream for Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut out = std::mem::take(&mut self.front);
        while out.is_empty() {
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.inner.poll_frame(cx)) {
                Some(Ok(Frame::Data(chunk))) => {
                    if let Err(error) = self.read(&chunk, &mut out) {
                        self.over = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Some(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(Frame::Trailers(_))) | None => {
                    self.over = true;
                    self.form.finish(&mut out);
                }
            }
        }
        let length = out.len() as u64;
        self.remaining = self.remaining.map(|left| left.saturating_sub(length));
        Poll::Ready(Some(Ok(Frame::Data(Chunk::from(out)))))
    }

    fn remaining(&self) -> Option<u64> {
        self.remaining
    }
}
