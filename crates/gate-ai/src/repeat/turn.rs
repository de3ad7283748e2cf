//! The texts that are compared by meaning: what was asked last, and what was answered.

use super::value_in;
use crate::Dialect;
use crate::conversation::{Content, StreamEvent};
use crate::json::scan::Scanner;
use crate::translate::{read_response, read_stream};
use std::ops::Range;

/// The last turn of a conversation as one text, where it is a user's and nothing but one text.
/// Gives the text and where its JSON string begins.
#[must_use]
pub fn last_turn(dialect: Dialect, body: &[u8]) -> Option<(String, usize)> {
    let turns = match dialect {
        Dialect::ChatCompletions | Dialect::Messages | Dialect::Converse | Dialect::CohereChat => {
            "messages"
        }
        Dialect::Responses => "input",
        Dialect::GenerateContent => "contents",
    };
    let span = value_in(body, 0, turns)?;
    if body[span.start] == b'"' {
        return text(body, span);
    }
    let turn = last_element(body, span.start)?;
    let role = value_in(body, turn.start, "role");
    let is_user = match role {
        Some(role) => &body[role] == b"\"user\"",
        // Google's role may be left out.
        None => dialect == Dialect::GenerateContent,
    };
    if !is_user {
        return None;
    }
    let parts = match dialect {
        Dialect::GenerateContent => "parts",
        _ => "content",
    };
    let content = value_in(body, turn.start, parts)?;
    if body[content.start] == b'"' {
        return text(body, content);
    }
    let part = only_element(body, content.start)?;
    text(body, value_in(body, part.start, "text")?)
}

fn text(body: &[u8], span: Range<usize>) -> Option<(String, usize)> {
    let raw = Scanner::at(body, span.start).string().ok()?;
    Some((raw.value(body).ok()?.into_owned(), span.start))
}

fn last_element(body: &[u8], at: usize) -> Option<Range<usize>> {
    let (mut first, mut last) = (true, None);
    let mut scanner = Scanner::at(body, at);
    scanner.open_list().ok()?;
    while scanner.next_element(&mut first).ok()? {
        last = Some(scanner.skip_value().ok()?);
    }
    last.filter(|span| body[span.start] == b'{')
}

fn only_element(body: &[u8], at: usize) -> Option<Range<usize>> {
    let mut first = true;
    let mut scanner = Scanner::at(body, at);
    scanner.open_list().ok()?;
    if !scanner.next_element(&mut first).ok()? {
        return None;
    }
    let only = scanner.skip_value().ok()?;
    let more = scanner.next_element(&mut first).ok()?;
    (!more && body[only.start] == b'{').then_some(only)
}

/// The text of an answer, up to `most` bytes; none where it holds anything besides text (a tool
/// call, say) or cannot be read. Reasoning is passed over.
#[must_use]
pub fn answer_text(dialect: Dialect, streamed: bool, body: &[u8], most: usize) -> Option<String> {
    let (mut said, mut other) = (String::new(), false);
    if streamed {
        read_stream(dialect, body, |event| match event {
            StreamEvent::Text { text, .. } if said.len() < most => said.push_str(&text),
            StreamEvent::Arguments { .. } | StreamEvent::Error { .. } => other = true,
            _ => {}
        })
        .ok()?;
    } else {
        for part in read_response(dialect, body).ok()?.parts {
            match part.content {
                Content::Text { text, .. } => said.push_str(&text),
                Content::Reasoning { .. } | Content::RedactedReasoning(_) => {}
                _ => other = true,
            }
        }
    }
    let too_long = said.len() > most;
    (!other && !too_long && !said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_turn_is_found_where_it_is_one_text_of_a_user() {
        let found = |dialect, body: &str| last_turn(dialect, body.as_bytes());
        for (dialect, body) in [
            (
                Dialect::ChatCompletions,
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"h\u0069"}]}"#,
            ),
            (
                Dialect::Messages,
                r#"{"messages":[{"content":[{"type":"text","text":"hi"}],"role":"user"}]}"#,
            ),
            (Dialect::Responses, r#"{"input":"hi"}"#),
            (
                Dialect::Responses,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
            ),
            (
                Dialect::GenerateContent,
                r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
            ),
            (
                Dialect::Converse,
                r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
            ),
        ] {
            let (text, at) = found(dialect, body).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(text, "hi", "{body}");
            assert!(body[at..].starts_with("\"h"), "{body}");
        }
        for body in [
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]}"#,
            r#"{"messages":[{"role":"tool","content":"a"}]}"#,
            r#"{"messages":[]}"#,
            r#"{"messages":null}"#,
            r#"{"messages":[{"role":"user","content":[]}]}"#,
            "[]",
        ] {
            assert_eq!(found(Dialect::ChatCompletions, body), None, "{body}");
        }
    }

    #[test]
    fn the_text_of_an_answer_is_all_of_it_or_nothing() {
        let whole = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Paris"},"finish_reason":"stop"}]}"#;
        let chat = Dialect::ChatCompletions;
        let text = |body: &str, most| answer_text(chat, false, body.as_bytes(), most);
        assert_eq!(text(whole, 100).as_deref(), Some("Paris"));
        assert_eq!(text(whole, 4), None);
        let calls = whole.replace(
            r#""content":"Paris""#,
            r#""content":"Paris","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#,
        );
        assert_eq!(text(&calls, 100), None);
        let stream = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Par\"}}]}\n\ndata: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"is\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let streamed = answer_text(chat, true, stream.as_bytes(), 100);
        assert_eq!(streamed.as_deref(), Some("Paris"));
    }
}
