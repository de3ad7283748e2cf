//! A failure on its way to the caller: a code, words for the caller and words for the operator.

use gate_kit::http::{BodyError, BodyErrorKind};
use gate_model::fault::FaultCode;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// A failure of one exchange. It becomes bytes only in `gate-proxy/respond.rs`.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What kind of failure this is.
    pub code: FaultCode,
    /// Shown to the caller after the code's title; never holds internals. Empty for none.
    pub message: Cow<'static, str>,
    /// For the operator's log and the record; never shown to a caller.
    pub detail: Cow<'static, str>,
    /// When trying again makes sense, sent as Retry-After.
    pub retry_after: Option<Duration>,
    /// What is wrong, place by place, for the caller; none for most faults. Boxed twice, so that
    /// faults stay small.
    #[allow(
        clippy::box_collection,
        reason = "a fault is moved often and seldom has errors"
    )]
    pub errors: Option<Box<Vec<FaultError>>>,
}

/// One thing that is wrong with a message (RFC 9457, section 3.2: a problem's extension `errors`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultError {
    /// What is wrong, in a few words; repeats no value.
    pub detail: String,
    /// Which part of the message: `body`, `query`, `path`, `header`, `cookie` or `status`.
    #[serde(rename = "in")]
    pub place: &'static str,
    /// Name of the parameter or field; empty for bodies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// JSON pointer (RFC 6901) of the value within it, empty for all of it.
    pub pointer: String,
}

impl Fault {
    /// A fault without further words.
    #[must_use]
    pub const fn new(code: FaultCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(""),
            detail: Cow::Borrowed(""),
            retry_after: None,
            errors: None,
        }
    }

    /// Adds words for the caller.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds words for the operator.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds what is wrong, place by place.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FaultError>) -> Self {
        self.errors = Some(Box::new(errors));
        self
    }

    /// Adds the time after which trying again makes sense.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The fault for a request body that ended early.
    #[must_use]
    pub fn from_request_body(error: &BodyError) -> Self {
        let code = match error.kind {
            BodyErrorKind::Disconnected => FaultCode::ClientClosed,
            BodyErrorKind::Malformed => FaultCode::MalformedRequest,
            BodyErrorKind::TooLarge => FaultCode::BodyTooLarge,
            BodyErrorKind::TimedOut => FaultCode::RequestTimeout,
            BodyErrorKind::Internal => FaultCode::InternalError,
        };
        Self::new(code).detail(error.detail.to_string())
    }

    /// The fault for a response body that ended early.
    #[must_use]
    pub fn from_response_body(error: &BodyError) -> Self {
        let code = match error.kind {
            BodyErrorKind::Disconnected => FaultCode::UpstreamReset,
            BodyErrorKind::Malformed | BodyErrorKind::TooLarge => FaultCode::UpstreamMalformed,
            BodyErrorKind::TimedOut => FaultCode::UpstreamTimeout,
            BodyErrorKind::Internal => FaultCode::InternalError,
        };
        Self::new(code).detail(error.detail.to_string())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl From<FaultCode> for Fault {
    fn from(code: FaultCode) -> Self {
        Self::new(code)
    }
}
