//! What comes back from an operation: a refusal, an answer that passes, or one to translate.

use super::super::ProviderTarget;
use super::super::answer::keep_for_caller;
use super::super::tap::Tap;
use super::send::Sent;
use gate_ai::operation::{Answer, Watch};
use gate_ai::{DialectError, ErrorClass, Loss, Operation, error_body, provider_error};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, HeaderId, Response, ResponseHead};
use gate_model::fault::FaultCode;
use std::task::{Context, Poll, ready};

/// Most bytes of an answer that is translated.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a provider's error that are read.
const ERROR_MAX: usize = 1024 * 1024;
/// Names what a translation could not carry over.
const LOSSES: &[u8] = b"x-tidegate-losses";

/// A provider's refusal.
pub(super) enum Refused {
    /// Another target may answer; the fault is the caller's if none does.
    Next(Fault),
    /// The caller's business.
    Answer(Response),
    Fault(Fault),
}

/// Reads a refusal: on to the next target, or to the caller, in its own words where it speaks as
/// the provider does.
pub(super) async fn refused(
    target: &ProviderTarget,
    asked: Operation,
    sent: Sent,
    more: bool,
) -> Refused {
    let Sent { mut head, mut body } = sent;
    let bytes = match body.collect(ERROR_MAX).await {
        Ok(chunk) => chunk.into_bytes(),
        Err(error) => return Refused::Next(Fault::from_response_body(&error)),
    };
    let error = provider_error(asked.error_dialect(), &bytes);
    let class = gate_ai::failure::classify(head.status, &error);
    let words = error.message.clone().unwrap_or_default();
    let provider = &target.provider.name;
    let detail = format!("{provider}: {} ({}): {words}", head.status, class.as_str());
    if more && class.falls_back() {
        return Refused::Next(Fault::new(FaultCode::UpstreamRejected).detail(detail));
    }
    // Our own credential or account is no business of the caller's.
    if matches!(class, ErrorClass::BadCredential) {
        return Refused::Fault(Fault::new(FaultCode::UpstreamRejected).detail(detail));
    }
    let native = target.road(asked).is_none_or(|road| road.sent == asked);
    if native {
        keep_for_caller(&mut head.headers);
        let body = Chunk::Shared(bytes).into();
        return Refused::Answer(Response { head, body });
    }
    let code = error.code.as_deref().unwrap_or(class.as_str());
    let body = error_body(asked.error_dialect(), head.status, code, &words);
    let mut response = Response::full(head.status, "application/json", body);
    if let Some(after) = head.headers.get(HeaderId::RetryAfter) {
        let headers = &mut response.head.headers;
        headers.append_known(HeaderId::RetryAfter, after);
    }
    Refused::Answer(response)
}

/// An answer in the caller's own format: it passes, watched for usage.
pub(super) fn passed(exchange: &Exchange, sent: Sent) -> Response {
    let Sent { mut head, body } = sent;
    let kind = head.headers.get(HeaderId::ContentType).unwrap_or_default();
    let watch = Watch::of(kind);
    keep_for_caller(&mut head.headers);
    let tap = Tap::new(exchange);
    let body = Body::Stream(Box::new(Watched {
        inner: body,
        watch,
        tap,
    }));
    Response { head, body }
}

/// An answer that `translate` turns into the caller's format.
pub(super) async fn translated(
    exchange: &Exchange,
    sent: Sent,
    losses: &[Loss],
    translate: impl FnOnce(&[u8]) -> Result<Answer, DialectError>,
) -> Result<Response, Fault> {
    let Sent { head, mut body } = sent;
    let whole = body.collect(ANSWER_MAX).await;
    let whole = whole.map_err(|error| Fault::from_response_body(&error))?;
    let answer = translate(&whole)
        .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
    Tap::new(exchange).note(answer.usage, None);
    let mut response = Response::full(head.status, "application/json", answer.body);
    report(exchange, &mut response.head, losses);
    Ok(response)
}

/// Says in a header and in the record what could not be carried over.
fn report(exchange: &Exchange, head: &mut ResponseHead, losses: &[Loss]) {
    if losses.is_empty() {
        return;
    }
    let fields: Vec<&str> = losses.iter().map(|loss| &*loss.field).collect();
    let mut text = fields.join(", ");
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text.truncate(1024);
    if head.headers.try_append(LOSSES, text.as_bytes()).is_err() {
        tracing::debug!("losses do not fit a header");
    }
    if let Some(ai) = &exchange.ai {
        ai.borrow_mut().losses = fields.into_iter().map(Into::into).collect();
    }
}

/// A body that passes unchanged and is watched.
struct Watched {
    inner: Body,
    watch: Watch,
    tap: Tap,
}

impl BodyStream for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame {
            self.watch.push(chunk);
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let model = self.watch.take_model();
        self.tap.note(self.watch.usage(), model.as_deref());
    }
}
