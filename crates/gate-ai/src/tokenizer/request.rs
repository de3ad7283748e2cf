//! How many tokens a request is read as.

use super::Tokenizer;
use crate::conversation::{Content, Part, Request};
use crate::{Dialect, DialectError, read_request};

/// Tokens that frame each message, and that begin the answer
/// (<https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>).
const PER_MESSAGE: u64 = 3;
const ANSWER: u64 = 3;

/// The input tokens of a request to a model with this tokenizer: exact for text. `None` when there
/// is something in it whose tokens do not follow from its text: tools, images, documents, audio.
///
/// # Errors
/// [`DialectError`] when the body does not follow the dialect.
pub fn count_request(
    tokenizer: &Tokenizer,
    dialect: Dialect,
    body: &[u8],
) -> Result<Option<u64>, DialectError> {
    let request = read_request(dialect, body)?;
    if !request.tools.is_empty() || request.format.is_some() {
        return Ok(None);
    }
    Ok(count(tokenizer, &request))
}

fn count(tokenizer: &Tokenizer, request: &Request<'_>) -> Option<u64> {
    let mut count = ANSWER;
    for message in &request.messages {
        // A role is one token of its own.
        count += PER_MESSAGE + 1;
        for Part { content, .. } in &message.parts {
            match content {
                Content::Text { text, .. } | Content::Refusal(text) => {
                    count += tokenizer.count(text);
                }
                _ => return None,
            }
        }
    }
    Some(count)
}
