//! A provider's refusal: what it means, and how the caller gets it when nobody else answers.

use super::ProviderTarget;
use super::answer::keep_for_caller;
use super::call::Call;
use super::provider::Provider;
use super::state::headroom::retry_after;
use bytes::Bytes;
use gate_ai::failure::classify;
use gate_ai::{
    Blame, ErrorClass, ProviderError, error_body, error_header, provider_error, with_error_kind,
};
use gate_flow::Fault;
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response, ResponseHead};
use gate_model::fault::FaultCode;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a provider's error that are read.
const ERROR_MAX: usize = 1024 * 1024;

/// A provider said no.
pub(super) struct Refused {
    /// What kind of no.
    pub(super) class: ErrorClass,
    /// The status it came with, or the one that says the same.
    pub(super) status: u16,
    /// How long the provider asks to wait.
    pub(super) retry_after: Option<Duration>,
    error: ProviderError,
    headers: Headers,
    /// The status that the provider's own words came with.
    shown: u16,
    /// The provider's own words, where they are for the caller as they are: in its dialect, and
    /// not inside a stream.
    body: Option<Bytes>,
    provider: Arc<Provider>,
}

impl Refused {
    /// Reads an answer that is a refusal. `unix` is now as UNIX time.
    ///
    /// # Errors
    /// The fault of an answer that broke off.
    pub(super) async fn read(
        call: &Call<'_>,
        target: &ProviderTarget,
        head: ResponseHead,
        mut body: Body,
        unix: Duration,
    ) -> Result<Self, Fault> {
        let bytes = body.collect(ERROR_MAX).await;
        let bytes = bytes
            .map_err(|error| Fault::from_response_body(&error))?
            .into_bytes();
        let spoken = target.spoken(call.operation);
        let kind = head.headers.get_named("x-amzn-errortype");
        let error = with_error_kind(provider_error(spoken, &bytes), kind);
        Ok(Self {
            class: classify(head.status, &error),
            status: head.status,
            shown: head.status,
            retry_after: retry_after(&head.headers, unix),
            error,
            headers: head.headers,
            body: Some(bytes).filter(|_| call.is_native(target)),
            provider: target.provider.clone(),
        })
    }

    /// A refusal that came as the first event of a stream.
    pub(super) fn in_stream(
        target: &ProviderTarget,
        error: ProviderError,
        retry_after: Option<Duration>,
    ) -> Self {
        let class = classify(500, &error);
        Self {
            class,
            status: status_of(class),
            retry_after,
            error,
            headers: Headers::new(),
            shown: 200,
            body: None,
            provider: target.provider.clone(),
        }
    }

    /// A refusal that came whole as an answer of status 200. What passes as it is keeps that status.
    pub(super) fn in_answer(
        call: &Call<'_>,
        target: &ProviderTarget,
        (head, body): (ResponseHead, Bytes),
        error: ProviderError,
        retry_after: Option<Duration>,
    ) -> Self {
        Self {
            headers: head.headers,
            shown: head.status,
            body: Some(body).filter(|_| call.is_native(target)),
            ..Self::in_stream(target, error, retry_after)
        }
    }

    /// Whether another credential may be answered.
    pub(super) fn is_the_credentials(&self) -> bool {
        matches!(
            self.class.blame(self.status),
            Blame::Credential | Blame::Account | Blame::Rate
        )
    }

    /// The caller's answer: the provider's own words where it speaks the caller's dialect.
    ///
    /// # Errors
    /// [`FaultCode::UpstreamRejected`]: our own credential or account is no business of the
    /// caller's.
    pub(super) fn into_answer(self, call: &Call<'_>) -> Result<Response, Fault> {
        let words = self.error.message.as_deref().unwrap_or_default();
        if self.class == ErrorClass::BadCredential {
            let detail = format!(
                "{}: {} ({}): {words}",
                self.provider.name,
                self.status,
                self.class.as_str()
            );
            return Err(Fault::new(FaultCode::UpstreamRejected).detail(detail));
        }
        let mut response = match self.body {
            Some(bytes) => {
                let mut headers = self.headers.clone();
                keep_for_caller(&mut headers);
                Response {
                    head: ResponseHead {
                        status: self.shown,
                        headers,
                    },
                    body: Chunk::Shared(bytes).into(),
                }
            }
            None => {
                let code = self.error.code.as_deref().or(self.error.kind.as_deref());
                let code = code.unwrap_or(self.class.as_str());
                let said = format!("The provider answered with status {}.", self.status);
                let words = if words.is_empty() { &said } else { words };
                let body = error_body(call.dialect, self.status, code, words);
                let mut response = Response::full(self.status, call.dialect.content_type(), body);
                if let Some((name, value)) = error_header(call.dialect, self.status) {
                    let headers = &mut response.head.headers;
                    headers.append(name.as_bytes(), value.as_bytes());
                }
                response
            }
        };
        let headers = &mut response.head.headers;
        if headers.contains(HeaderId::RetryAfter) {
            return Ok(response);
        }
        if let Some(after) = self.headers.get(HeaderId::RetryAfter) {
            headers.append_known(HeaderId::RetryAfter, after);
        } else if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.append_known(HeaderId::RetryAfter, seconds.to_string().as_bytes());
        }
        Ok(response)
    }
}

/// The status that says what a class says, for errors that came without one.
const fn status_of(class: ErrorClass) -> u16 {
    match class {
        ErrorClass::RateLimited | ErrorClass::QuotaExhausted => 429,
        ErrorClass::Overloaded => 503,
        ErrorClass::ContextLength | ErrorClass::ContentFilter | ErrorClass::BadRequest => 400,
        ErrorClass::BadCredential => 401,
        ErrorClass::NotFound => 404,
        ErrorClass::Timeout => 504,
        ErrorClass::Server => 500,
    }
}
