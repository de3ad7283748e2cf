//! A provider's refusal: on to the next target, or to the caller in its own dialect.

use super::ProviderTarget;
use super::answer::keep_for_caller;
use super::attempt::Tried;
use super::call::Call;
use crate::upstream::attempt::Answered;
use gate_ai::{ErrorClass, error_body, error_header, provider_error, with_error_kind};
use gate_flow::Fault;
use gate_kit::http::{Chunk, HeaderId, Response, ResponseHead};
use gate_model::fault::FaultCode;

/// Most bytes of a provider's error that are read.
const ERROR_MAX: usize = 1024 * 1024;

/// A provider said no: on to the next target, or to the caller in its own dialect.
pub(super) async fn refused(
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
    let spoken = target.spoken(call.dialect);
    let bytes = match body.collect(ERROR_MAX).await {
        Ok(chunk) => chunk.into_bytes(),
        Err(error) => return Tried::Next(Fault::from_response_body(&error)),
    };
    let kind = head.headers.get_named("x-amzn-errortype");
    let error = with_error_kind(provider_error(spoken, &bytes), kind);
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
    let mut response = if spoken == call.dialect {
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
        let mut response = Response::full(head.status, call.dialect.content_type(), body);
        if let Some((name, value)) = error_header(call.dialect, head.status) {
            response
                .head
                .headers
                .append(name.as_bytes(), value.as_bytes());
        }
        response
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
