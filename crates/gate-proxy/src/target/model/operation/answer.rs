//! What comes back from an operation that is sent once: a refusal, or an answer that passes.

use super::super::ProviderTarget;
use super::super::answer::keep_for_caller;
use super::super::tap::Tap;
use super::send::Sent;
use gate_ai::operation::Watch;
use gate_ai::{Dialect, ErrorClass, Operation, error_body, provider_error};
use gate_flow::Fault;
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, HeaderId, Response, ResponseHead};
use gate_model::fault::FaultCode;
use gate_model::units::Pieces;
use std::task::{Context, Poll, ready};

/// Most bytes of a provider's error that are read.
const ERROR_MAX: usize = 1024 * 1024;

/// Reads a refusal, for the caller: in the provider's own words where it speaks as the caller does.
///
/// # Errors
/// [`FaultCode::UpstreamRejected`]: our own credential or account is no business of the caller's.
pub(super) async fn refused(
    target: &ProviderTarget,
    asked: Operation,
    sent: Sent,
) -> Result<Response, Fault> {
    let Sent { mut head, mut body } = sent;
    let bytes = body.collect(ERROR_MAX).await;
    let bytes = bytes
        .map_err(|error| Fault::from_response_body(&error))?
        .into_bytes();
    let error = provider_error(asked.error_dialect(), &bytes);
    let class = gate_ai::failure::classify(head.status, &error);
    let words = error.message.clone().unwrap_or_default();
    let provider = &target.provider.name;
    let detail = format!("{provider}: {} ({}): {words}", head.status, class.as_str());
    if matches!(class, ErrorClass::BadCredential) {
        return Err(Fault::new(FaultCode::UpstreamRejected).detail(detail));
    }
    let native = target.road(asked).is_none_or(|road| road.sent == asked);
    if native {
        keep_for_caller(&mut head.headers);
        let body = Chunk::Shared(bytes).into();
        return Ok(Response { head, body });
    }
    let code = error.code.as_deref().unwrap_or(class.as_str());
    let body = error_body(asked.error_dialect(), head.status, code, &words);
    let mut response = Response::full(head.status, "application/json", body);
    if let Some(after) = head.headers.get(HeaderId::RetryAfter) {
        let headers = &mut response.head.headers;
        headers.append_known(HeaderId::RetryAfter, after);
    }
    Ok(response)
}

/// An answer in the caller's own format: it passes, watched for usage. `pieces` is what the request
/// asked for besides tokens.
pub(super) fn passed(tap: Tap, pieces: Option<Pieces>, head: ResponseHead, body: Body) -> Response {
    tap.pieces(pieces);
    let kind = head.headers.get(HeaderId::ContentType).unwrap_or_default();
    let watch = Watch::of(kind);
    watched(tap, pieces, watch, head, body)
}

/// The same of a conversation whose usage is counted as in this dialect.
pub(super) fn passed_as(tap: Tap, dialect: Dialect, head: ResponseHead, body: Body) -> Response {
    let kind = head.headers.get(HeaderId::ContentType).unwrap_or_default();
    let watch = Watch::of(kind).counting_as(dialect);
    watched(tap, None, watch, head, body)
}

fn watched(
    tap: Tap,
    pieces: Option<Pieces>,
    watch: Watch,
    mut head: ResponseHead,
    body: Body,
) -> Response {
    keep_for_caller(&mut head.headers);
    let body = Body::Stream(Box::new(Watched {
        inner: body,
        watch,
        pieces,
        tap,
    }));
    Response { head, body }
}

/// A body that passes unchanged and is watched.
struct Watched {
    inner: Body,
    watch: Watch,
    /// What the request asked for besides tokens.
    pieces: Option<Pieces>,
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
        let usage = self.watch.usage();
        let model = self.watch.take_model();
        self.tap.note(usage, model.as_deref());
        let Some(asked) = self.pieces else { return };
        let mut pieces = asked.or_better(&self.watch.pieces());
        // Some answers count what was drawn without saying that it is images.
        if pieces.images > 0 && pieces.image_output_tokens == 0 {
            pieces.image_output_tokens = usage.map_or(0, |usage| usage.output_tokens);
        }
        self.tap.pieces(Some(pieces));
    }
}
