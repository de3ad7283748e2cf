//! Why bytes could not be understood as a dialect's message.
//!
//! Messages are meant for the caller: they name the field and the rule, never a body's contents.

use std::borrow::Cow;

/// A request, response or stream that does not follow its dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// The bytes are not valid JSON.
    #[error("the body is not valid JSON near byte {offset}; send one JSON object in UTF-8")]
    Json {
        /// Where reading stopped, in bytes from the start of the document.
        offset: usize,
    },
    /// The bytes are JSON that the dialect's reader refuses.
    #[error("the body is not acceptable JSON: {reason}")]
    Structure {
        /// What the reader said.
        reason: String,
    },
    /// Objects and lists are nested more than 128 deep.
    #[error("the body is nested deeper than 128 levels")]
    TooDeep,
    /// A member that decides routing occurs twice, so that two readers could disagree on it.
    #[error("the member {field:?} occurs twice; send it once")]
    Duplicate {
        /// The member's name.
        field: &'static str,
    },
    /// A required member is absent.
    #[error("the member {field:?} is missing")]
    Missing {
        /// The member's name.
        field: &'static str,
    },
    /// A member has another type or value than the dialect allows.
    #[error("the member {field:?} must be {expected}")]
    WrongType {
        /// The member's name.
        field: &'static str,
        /// What the dialect allows.
        expected: &'static str,
    },
    /// A stream's event exceeds what the gateway buffers.
    #[error("a stream event exceeds {limit} bytes")]
    EventTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A stream's binary framing is broken.
    #[error("the stream's framing is broken: {reason}")]
    Frame {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A stream has more parts than the gateway follows.
    #[error("a stream has more than {limit} content blocks")]
    TooManyBlocks {
        /// The limit.
        limit: usize,
    },
    /// The request needs what only its own vendor has: an answer without it would be about something
    /// else.
    #[error("the member {field:?} cannot be served by this model's provider: {reason}")]
    Untranslatable {
        /// The member's name.
        field: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A tool call's arguments are not a JSON object, which the target's dialect needs.
    #[error("the arguments of a call to {tool:?} are not a JSON object")]
    Arguments {
        /// The tool's name.
        tool: Cow<'static, str>,
    },
}

impl DialectError {
    pub(crate) fn json(offset: usize) -> Self {
        Self::Json { offset }
    }

    pub(crate) fn wrong_type(field: &'static str, expected: &'static str) -> Self {
        Self::WrongType { field, expected }
    }

    pub(crate) fn from_serde(error: &serde_json::Error) -> Self {
        if error.is_data() {
            Self::Structure {
                reason: error.to_string(),
            }
        } else {
            // serde_json counts lines and columns; for one-line bodies the column is the offset.
            Self::Json {
                offset: error.column(),
            }
        }
    }
}
