//! What the gateway must know of a request before it picks a target, read lazily.
//!
//! The path names the model and says whether the answer is streamed; the body has the tools, the
//! turns and, one level down, the limit of tokens.

use crate::DialectError;
use crate::inspect::{RequestFacts, UsageWish};
use crate::json::scan::Scanner;
use crate::service_tier;

/// Reads a request's facts.
pub(crate) fn inspect(body: &[u8]) -> Result<RequestFacts, DialectError> {
    let mut scanner = Scanner::at(body, 0);
    scanner.open_object()?;
    let mut facts = RequestFacts {
        model: String::new(),
        model_span: 0..0,
        stream: false,
        include_usage: UsageWish::Present,
        messages_span: 0..0,
        has_tools: false,
        max_tokens: None,
        service_tier: None,
    };
    let (mut first, mut configured) = (true, false);
    while let Some(key) = scanner.next_key(&mut first)? {
        // A key spelt with escapes could be one of ours in disguise.
        let name = key.value(body)?;
        match name.as_ref() {
            "contents" => {
                let span = scanner.skip_value()?;
                if !facts.messages_span.is_empty() {
                    return Err(DialectError::Duplicate { field: "contents" });
                }
                facts.messages_span = span;
            }
            "tools" => {
                let span = scanner.skip_value()?;
                let inner = Scanner::at(body, span.start + 1).peek();
                facts.has_tools = match body[span.start] {
                    b'[' => inner != Some(b']'),
                    b'{' => inner != Some(b'}'),
                    _ => false,
                };
            }
            "serviceTier" | "service_tier" => {
                let span = scanner.skip_value()?;
                facts.service_tier = Some(service_tier::asked(&body[span]));
            }
            "generationConfig" | "generation_config" => {
                let span = scanner.skip_value()?;
                if std::mem::replace(&mut configured, true) {
                    return Err(DialectError::Duplicate {
                        field: "generationConfig",
                    });
                }
                if body[span.start] == b'{' {
                    facts.max_tokens = limit(body, span.start)?;
                }
            }
            _ => {
                scanner.skip_value()?;
            }
        }
    }
    scanner.finish()?;
    Ok(facts)
}

/// The limit of tokens in the object at `at`.
fn limit(body: &[u8], at: usize) -> Result<Option<u64>, DialectError> {
    let mut scanner = Scanner::at(body, at);
    scanner.open_object()?;
    let (mut first, mut limit) = (true, None);
    while let Some(key) = scanner.next_key(&mut first)? {
        let name = key.value(body)?;
        if !matches!(name.as_ref(), "maxOutputTokens" | "max_output_tokens") {
            scanner.skip_value()?;
            continue;
        }
        // Where both spellings are given the smaller one bounds the answer.
        limit = match (limit, scanner.unsigned()?) {
            (Some(a), Some(b)) => Some(u64::min(a, b)),
            (a, b) => a.or(b),
        };
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_found_one_level_down_in_either_spelling() {
        for (body, limit, tools) in [
            (
                r#"{"contents":[],"generationConfig":{"maxOutputTokens":5}}"#,
                Some(5),
                false,
            ),
            (
                r#"{"generation_config":{"x":{"maxOutputTokens":1},"max_output_tokens":7}}"#,
                Some(7),
                false,
            ),
            (r#"{"maxOutputTokens":5,"tools":[ ]}"#, None, false),
            (r#"{"tools":{"functionDeclarations":[]}}"#, None, true),
            (r#"{"generationConfig":null,"tools":[{}]}"#, None, true),
        ] {
            let facts = inspect(body.as_bytes()).unwrap();
            assert_eq!(
                (facts.max_tokens, facts.has_tools),
                (limit, tools),
                "{body}"
            );
        }
        assert!(inspect(br#"{"contents":[],"contents":[]}"#).is_err());
        assert!(inspect(br#"{"generationConfig":{},"generation_config":{}}"#).is_err());
    }
}
