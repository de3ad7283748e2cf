//! The one shape of every refusal: a problem (RFC 9457) with a stable code.
//!
//! A code's meaning and its status are fixed here, so that server, client and description agree.

use crate::types::{Change, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema, thiserror::Error)]
#[error("{title} ({code}): {detail}")]
pub struct Problem {
    /// The page about the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request and what to do about it.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// What is wrong with the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// With `stale`: what has changed since the generation that the caller saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// With `stale`: the generation now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

macro_rules! codes {
    ($($name:ident, $code:literal, $status:literal, $title:literal;)*) => {
        /// Why a request can be refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// Its stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// Its HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// It in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    Malformed, "malformed", 400, "The request cannot be understood";
    BadParameter, "bad_parameter", 400, "A parameter is not what it must be";
    Unauthenticated, "unauthenticated", 401, "No valid key, token or session came with the request";
    Forbidden, "forbidden", 403, "The role or its scopes do not allow this";
    BadOrigin, "bad_origin", 403, "The request comes from another site";
    NotFound, "not_found", 404, "There is no such thing";
    MethodNotAllowed, "method_not_allowed", 405, "The method is not known here";
    FileManaged, "file_managed", 409, "This gateway's configuration is a file";
    OwnedElsewhere, "owned_elsewhere", 409, "Another manager owns a resource";
    Conflict, "conflict", 409, "The state of things does not allow this";
    Stale, "stale", 412, "Somebody else was faster";
    TooLarge, "too_large", 413, "The body is too large";
    UnsupportedMedia, "unsupported_media_type", 415, "The body is not JSON";
    Invalid, "invalid", 422, "The document is refused";
    Locked, "locked", 423, "Somebody has locked this";
    PreconditionRequired, "precondition_required", 428, "The request must say which state it saw";
    RateLimited, "rate_limited", 429, "Too many requests";
    Internal, "internal", 500, "Something of ours failed";
    NotSupported, "not_supported", 501, "This gateway does not offer that";
    StoreUnavailable, "store_unavailable", 503, "The store cannot be reached";
}

impl Problem {
    /// A problem of this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tidegate:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code: code.as_str().to_owned(),
            findings: Vec::new(),
            changes: Vec::new(),
            generation: None,
        }
    }

    /// A document that is refused for these findings.
    #[must_use]
    pub fn invalid(findings: Vec<Finding>) -> Self {
        let detail = match findings.first() {
            Some(first) if findings.len() == 1 => first.message.clone(),
            Some(first) => format!("{} (and {} more)", first.message, findings.len() - 1),
            None => String::new(),
        };
        Self {
            findings,
            ..Self::new(Code::Invalid, detail)
        }
    }

    /// Whether it is of this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }
}
