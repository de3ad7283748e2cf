//! A whole answer as a stream, for callers who asked for one where a provider streams none.

use super::{TranslateOptions, TranslatedResponse, written_response};
use crate::conversation::{Block, Content, Response, StreamEvent, Text};
use crate::{Dialect, DialectError};

/// Translates a provider's whole answer into the stream that the caller asked for.
///
/// # Errors
/// [`DialectError`] when the body does not follow the provider's dialect.
pub fn translate_response_as_stream(
    provider_dialect: Dialect,
    caller_dialect: Dialect,
    body: &[u8],
    caller_model: &str,
    options: &TranslateOptions,
) -> Result<TranslatedResponse, DialectError> {
    written_response(
        provider_dialect,
        caller_dialect,
        body,
        |response, losses| {
            let mut encoder = caller_dialect.codec().stream_encoder(caller_model, options);
            let mut out = Vec::with_capacity(2 * body.len());
            for step in steps(response) {
                encoder.event(&step, losses, &mut out);
            }
            Ok(out)
        },
    )
}

/// The steps of a turn that was not streamed.
fn steps(response: Response<'_>) -> Vec<StreamEvent<'_>> {
    let mut steps = vec![StreamEvent::Start {
        id: response.id,
        created: response.created,
    }];
    // Counts of what was read come first in the dialects that have them there.
    steps.extend(response.usage.map(StreamEvent::Usage));
    let mut logprobs = response.logprobs;
    let mut index = 0;
    for part in response.parts {
        let Some((block, mut pieces)) = pieces(index, part.content) else {
            continue;
        };
        if matches!(block, Block::Text) && !logprobs.is_empty() {
            let tokens = std::mem::take(&mut logprobs);
            pieces.insert(0, StreamEvent::Logprobs { index, tokens });
        }
        steps.push(StreamEvent::BlockStart { index, block });
        steps.extend(pieces);
        steps.push(StreamEvent::BlockStop { index });
        index += 1;
    }
    steps.push(StreamEvent::Finish {
        stop: response.stop,
        stop_sequence: response.stop_sequence,
    });
    steps.extend(response.usage.map(StreamEvent::Usage));
    steps.push(StreamEvent::End);
    steps
}

fn words(text: Text<'_>) -> Option<Text<'_>> {
    (!text.is_empty()).then_some(text)
}

/// The block of a piece of an answer, and what it has; none for what models do not say.
fn pieces(index: u32, content: Content<'_>) -> Option<(Block<'_>, Vec<StreamEvent<'_>>)> {
    Some(match content {
        Content::Text { text, citations } => {
            let text = words(text).map(|text| StreamEvent::Text { index, text });
            let cited = citations.into_iter();
            let cited = cited.map(|citation| StreamEvent::Citation { index, citation });
            (Block::Text, text.into_iter().chain(cited).collect())
        }
        Content::Refusal(text) => {
            let text = words(text).map(|text| StreamEvent::Text { index, text });
            (Block::Refusal, text.into_iter().collect())
        }
        Content::Reasoning { text, signature } => {
            let text = words(text).map(|text| StreamEvent::Reasoning { index, text });
            let signature = signature.map(|signature| StreamEvent::Signature { index, signature });
            (
                Block::Reasoning,
                text.into_iter().chain(signature).collect(),
            )
        }
        Content::RedactedReasoning(data) => (Block::RedactedReasoning(data), Vec::new()),
        Content::ToolCall {
            id,
            name,
            arguments,
        } => {
            let json = arguments;
            let all = vec![StreamEvent::Arguments { index, json }];
            (Block::ToolCall { id, name }, all)
        }
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::ToolResult { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::read_stream;

    const ANSWER: &str = r#"{"id":"a","type":"message","role":"assistant","model":"x","stop_reason":"tool_use",
        "content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Let me see."},
        {"type":"tool_use","id":"t1","name":"look","input":{"at":"sky"}},{"type":"tool_use","id":"t2","name":"look","input":{}}],
        "usage":{"input_tokens":7,"output_tokens":5}}"#;

    #[test]
    fn every_dialect_reads_the_stream_as_it_was_said_whole() {
        for caller in Dialect::ALL {
            let made = translate_response_as_stream(
                Dialect::Messages,
                caller,
                ANSWER.as_bytes(),
                "m",
                &TranslateOptions {
                    include_usage: true,
                    ..TranslateOptions::default()
                },
            );
            let made = made.unwrap();
            assert_eq!(made.usage.unwrap().output_tokens, 5);
            let (mut text, mut calls, mut arguments) = (String::new(), vec![], String::new());
            let (mut stop, mut usage, mut ends) = (None, None, 0);
            read_stream(caller, &made.body, |step| match step {
                StreamEvent::Text { text: more, .. } => text += &more,
                StreamEvent::BlockStart {
                    block: Block::ToolCall { name, .. },
                    ..
                } => calls.push(name.into_owned()),
                StreamEvent::Arguments { json, .. } => arguments += &json,
                StreamEvent::Finish { stop: why, .. } => stop = Some(why),
                StreamEvent::Usage(counts) => usage = Some(counts),
                StreamEvent::End => ends += 1,
                StreamEvent::Error { kind, message } => panic!("{caller:?} {kind} {message}"),
                _ => {}
            })
            .unwrap();
            assert_eq!(text, "Let me see.", "{caller:?}");
            assert_eq!(calls, ["look", "look"], "{caller:?}");
            let arguments = arguments.replace(' ', "");
            assert!(
                arguments.starts_with(r#"{"at":"sky"}"#),
                "{caller:?} {arguments}"
            );
            assert_eq!(ends, 1, "{caller:?}");
            assert_eq!(
                stop,
                Some(crate::conversation::Stop::ToolCall),
                "{caller:?}"
            );
            let usage = usage.unwrap();
            assert_eq!(
                (usage.input_tokens, usage.output_tokens),
                (7, 5),
                "{caller:?}"
            );
        }
    }
}
