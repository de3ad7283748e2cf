//! How many tokens a request is read as.

use super::Tokenizer;
use crate::conversation::{Content, Part, Role};
use crate::json::scan::Scanner;
use crate::tokens::reach;
use crate::usage::value_of_member;
use crate::{Dialect, Losses};
use std::sync::Arc;

/// Tokens that frame each message, its role included
/// (<https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>).
const PER_MESSAGE: u64 = 4;
/// Tokens that begin the answer.
const ANSWER: u64 = 3;
/// The same of models that reason, and what frames their own turns besides: measured on recorded calls
/// (`tests/it/tokens.rs`).
const REASONED_ANSWER: u64 = 2;
const REASONED_TURN: u64 = 2;

/// Tokens by which a provider's count of a request may exceed this one; no recorded call does by
/// more.
pub const MARGIN: u64 = 16;

/// The request inside of a request to count tokens: Google and Amazon wrap it.
#[must_use]
pub fn counted(dialect: Dialect, body: &[u8]) -> &[u8] {
    let inside = |body: &'_ [u8], names: &[&[u8]]| {
        let mut range = 0..body.len();
        for name in names {
            let at = value_of_member(&body[range.clone()], name)? + range.start;
            range = Scanner::at(body, at).skip_value().ok()?;
        }
        Some(range)
    };
    let range = match dialect {
        Dialect::GenerateContent => inside(body, &[b"generateContentRequest"]),
        Dialect::Converse => inside(body, &[b"input", b"converse"]),
        _ => None,
    };
    range.map_or(body, |range| &body[range])
}

/// The answer to a request to count tokens.
#[must_use]
pub fn count_answer(dialect: Dialect, tokens: u64) -> String {
    match dialect {
        Dialect::GenerateContent => format!("{{\"totalTokens\":{tokens}}}"),
        Dialect::Converse => format!("{{\"inputTokens\":{tokens}}}"),
        Dialect::Responses => {
            format!("{{\"object\":\"response.input_tokens\",\"input_tokens\":{tokens}}}")
        }
        Dialect::Messages | Dialect::ChatCompletions | Dialect::CohereChat => {
            format!("{{\"input_tokens\":{tokens}}}")
        }
    }
}

/// A model's tokenizer, and how the model frames messages.
#[derive(Debug, Clone)]
pub struct ModelTokenizer {
    tokenizer: Arc<Tokenizer>,
    reasons: bool,
}

impl ModelTokenizer {
    /// The tokenizer of the vendor's model of this name.
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>, model: &str) -> Self {
        let model = model.strip_prefix("openai/").unwrap_or(model);
        let reasons = ["o1", "o3", "o4", "gpt-5"];
        Self {
            tokenizer,
            reasons: reasons.iter().any(|prefix| model.starts_with(prefix)),
        }
    }

    /// The input tokens of a request: exact for text. `None` when there is something in it whose
    /// tokens do not follow from its text (tools, images, documents, audio), or that is not
    /// understood, or that makes the provider read elsewhere.
    #[must_use]
    pub fn count(&self, dialect: Dialect, body: &[u8]) -> Option<u64> {
        if reach(body).remote {
            return None;
        }
        let mut losses = Losses::new(dialect, dialect);
        let request = dialect.codec().decode_request(body, &mut losses).ok()?;
        let is_plain = request.tools.is_empty() && request.format.is_none();
        if !is_plain || !losses.as_slice().is_empty() {
            return None;
        }
        let mut count = if self.reasons {
            REASONED_ANSWER
        } else {
            ANSWER
        };
        for message in &request.messages {
            count += PER_MESSAGE;
            if self.reasons && message.role == Role::Assistant {
                count += REASONED_TURN;
            }
            for Part { content, .. } in &message.parts {
                match content {
                    Content::Text { text, .. } | Content::Refusal(text) => {
                        count += self.tokenizer.count(text);
                    }
                    _ => return None,
                }
            }
        }
        Some(count)
    }
}
