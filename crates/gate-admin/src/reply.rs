//! Answers before they become bytes on a connection.

use gate_api::problem::{Code, MEDIA_TYPE, Problem};
use gate_kit::http::{Body, HeaderId, Response};
use gate_store::{ControlError, StoreError};
use serde::Serialize;

/// What a handler answers.
pub(crate) type Answer = Result<Reply, Problem>;

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// No content.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// JSON.
    pub(crate) fn json(value: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(value)
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        Ok(Self {
            status: 200,
            headers: Vec::new(),
            content_type: "application/json",
            body,
        })
    }

    /// JSON that is text already.
    pub(crate) fn json_text(text: String) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content_type: "application/json",
            body: text.into_bytes(),
        }
    }

    /// A problem.
    pub(crate) fn problem(problem: &Problem) -> Self {
        let mut headers = Vec::new();
        if problem.is(Code::Unauthenticated) {
            let scheme = "Bearer realm=\"tidegate\"".to_owned();
            headers.push(("WWW-Authenticate", scheme));
        }
        if problem.is(Code::RateLimited) || problem.is(Code::StoreUnavailable) {
            headers.push(("Retry-After", "1".to_owned()));
        }
        Self {
            status: problem.status,
            headers,
            content_type: MEDIA_TYPE,
            body: serde_json::to_vec(problem).unwrap_or_default(),
        }
    }

    /// The same with the entity tag of this generation.
    pub(crate) fn tagged(self, generation: u64) -> Self {
        self.with("ETag", format!("\"{generation}\""))
    }

    /// The same with a header field.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// As bytes for a connection.
    pub(crate) fn into_response(self) -> Response {
        let mut response = match self.body.is_empty() {
            true => Response::empty(self.status),
            false => Response::full(self.status, self.content_type, self.body),
        };
        if self.status != 204 && matches!(response.body, Body::Empty) {
            response.body = Body::Full(gate_kit::http::Chunk::empty());
        }
        let headers = &mut response.head.headers;
        headers.append_known(HeaderId::CacheControl, b"no-store");
        headers.append(b"X-Content-Type-Options", b"nosniff");
        for (name, value) in self.headers {
            // Values are made here or were checked when they came in.
            let _ = headers.try_append(name.as_bytes(), value.as_bytes());
        }
        response
    }
}

/// What a store's refusal means for a caller.
#[must_use]
pub fn refused(error: ControlError) -> Problem {
    let text = error.to_string();
    let code = match error {
        ControlError::Store(StoreError::Unreachable(_)) => Code::StoreUnavailable,
        ControlError::Store(error) => {
            tracing::error!(%error, "the store of the admin API");
            Code::Internal
        }
        ControlError::Missing(_) => Code::NotFound,
        ControlError::Exists(_)
        | ControlError::StaleRollout { .. }
        | ControlError::NotLeader(_)
        | ControlError::StateNotLocked(_)
        | ControlError::Lineage { .. }
        | ControlError::Serial { .. } => Code::Conflict,
        ControlError::Stale { current, .. } => {
            return Problem {
                generation: Some(current),
                ..Problem::new(Code::Stale, text)
            };
        }
        ControlError::Locked(_) | ControlError::StateLocked(_) => Code::Locked,
        ControlError::TooLarge { .. } => Code::TooLarge,
        ControlError::Seal(_) => Code::Internal,
    };
    Problem::new(code, text)
}
