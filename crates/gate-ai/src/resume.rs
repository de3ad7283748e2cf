//! Continuing a broken stream on another target.
//!
//! Two halves: [`prefill`] puts the text so far at the end of the conversation, so that the next
//! model goes on from it; `Follower` knows what the caller has seen and makes the second stream's
//! blocks a continuation of the first one's. What cannot be continued honestly is not: a turn in
//! which a tool was called, one that has only thought so far, or one that had stopped.

use crate::conversation::{Block, StreamEvent, Text};
use crate::json::scan::Scanner;
use crate::json::write::Writer;
use crate::usage::value_of_member;
use crate::{Dialect, RequestFacts};

/// Longest text that is kept to be continued, in bytes.
const TEXT_MAX: usize = 1024 * 1024;

/// The request with `text` as the beginning of the model's answer; `None` where the dialect has no
/// place for that or the request asks for several answers. White space at the end of the text is
/// left out, because Anthropic refuses it.
#[must_use]
pub fn prefill(dialect: Dialect, body: &[u8], facts: &RequestFacts, text: &str) -> Option<Vec<u8>> {
    if !matches!(dialect, Dialect::ChatCompletions | Dialect::Messages) {
        return None;
    }
    let several = value_of_member(body, b"n").is_some_and(|at| {
        let one = Scanner::at(body, at).skip_value();
        one.is_ok_and(|span| !matches!(&body[span], b"1" | b"null"))
    });
    let list = facts.messages_span.clone();
    if several || body.get(list.start) != Some(&b'[') || list.len() < 2 {
        return None;
    }
    let end = list.end - 1;
    let is_empty = body[list.start + 1..end].trim_ascii().is_empty();
    let text = text.trim_end();
    if is_empty || text.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() + text.len() + 64);
    out.extend_from_slice(&body[..end]);
    out.push(b',');
    let mut w = Writer::new(&mut out);
    w.open().member("role", "assistant").member("content", text);
    w.close();
    out.extend_from_slice(&body[end..]);
    Some(out)
}

/// What the caller of a stream has seen, and how a second stream goes on from there.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    text: String,
    /// The text block that is open.
    open: Option<u32>,
    /// One past the highest block so far.
    next: u32,
    /// Something happened that no other model can go on from.
    closed: bool,
    /// Whether there was thinking.
    thought: bool,
    seam: Option<Seam>,
}

/// How the blocks of the second stream are numbered.
#[derive(Debug)]
struct Seam {
    /// Added to their numbers.
    offset: u32,
    /// Their block that goes on with an open one of ours.
    merged: Option<(u32, u32)>,
    /// No block of theirs has come yet.
    first: bool,
    /// White space was left out of the prefill and is not to come twice.
    trims: bool,
}

impl Follower {
    /// The text to go on from; `None` when the stream cannot be continued. Empty when the caller
    /// has seen nothing of the answer.
    pub(crate) fn text(&self) -> Option<&str> {
        let only_thought = self.thought && self.text.trim_end().is_empty();
        (!self.closed && !only_thought).then_some(&self.text)
    }

    /// From now on, events are those of a stream that goes on.
    pub(crate) fn splice(&mut self) {
        self.seam = Some(Seam {
            offset: self.next,
            merged: None,
            first: true,
            trims: self.text.len() != self.text.trim_end().len(),
        });
    }

    /// The event as the caller is to see it, and what stands in front of it. `None` for one that
    /// the caller has seen already.
    pub(crate) fn follow<'a>(
        &mut self,
        step: &StreamEvent<'a>,
    ) -> (Option<u32>, Option<StreamEvent<'a>>) {
        let (closes, step) = match self.seam.take() {
            None => (None, Some(step.clone())),
            Some(mut seam) => {
                let mapped = self.map(&mut seam, step);
                self.seam = Some(seam);
                mapped
            }
        };
        if let Some(step) = &step {
            self.note(step);
        }
        (closes, step)
    }

    fn map<'a>(
        &mut self,
        seam: &mut Seam,
        step: &StreamEvent<'a>,
    ) -> (Option<u32>, Option<StreamEvent<'a>>) {
        let mut closes = None;
        if let StreamEvent::BlockStart { index, block } = step
            && std::mem::take(&mut seam.first)
        {
            match (self.open, block) {
                (Some(ours), Block::Text) => {
                    seam.merged = Some((*index, ours));
                    return (None, None);
                }
                (Some(ours), _) => {
                    // Something else comes first: our text ends here.
                    closes = Some(ours);
                    self.open = None;
                }
                (None, _) => {}
            }
        }
        let mut step = step.clone();
        if let Some(index) = index_of(&mut step) {
            *index = match seam.merged {
                Some((theirs, ours)) if *index == theirs => ours,
                _ => index.saturating_add(seam.offset),
            };
        }
        if let StreamEvent::Text { text, .. } = &mut step
            && seam.trims
        {
            let rest = text.trim_start();
            if rest.is_empty() {
                return (closes, None);
            }
            seam.trims = false;
            *text = Text::Owned(rest.to_owned());
        }
        (closes, Some(step))
    }

    fn note(&mut self, step: &StreamEvent<'_>) {
        match step {
            StreamEvent::BlockStart { index, block } => {
                self.next = self.next.max(index.saturating_add(1));
                match block {
                    Block::Text => self.open = Some(*index),
                    Block::Reasoning | Block::RedactedReasoning(_) => self.thought = true,
                    _ => self.closed = true,
                }
            }
            StreamEvent::BlockStop { index } if self.open == Some(*index) => self.open = None,
            StreamEvent::Text { text, .. } => {
                if self.text.len() + text.len() > TEXT_MAX {
                    self.closed = true;
                } else {
                    self.text.push_str(text);
                }
            }
            StreamEvent::Finish { .. } | StreamEvent::End => self.closed = true,
            _ => {}
        }
    }
}

/// The number of the block that an event belongs to.
fn index_of<'s>(step: &'s mut StreamEvent<'_>) -> Option<&'s mut u32> {
    match step {
        StreamEvent::BlockStart { index, .. }
        | StreamEvent::Text { index, .. }
        | StreamEvent::Logprobs { index, .. }
        | StreamEvent::Reasoning { index, .. }
        | StreamEvent::Signature { index, .. }
        | StreamEvent::Arguments { index, .. }
        | StreamEvent::Citation { index, .. }
        | StreamEvent::BlockStop { index } => Some(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::ServiceTier;
    use crate::{ErrorClass, StreamTranslator, TranslateOptions, inspect};

    fn filled(dialect: Dialect, body: &str, text: &str) -> Option<String> {
        let facts = inspect(dialect, body.as_bytes()).unwrap();
        let made = prefill(dialect, body.as_bytes(), &facts, text)?;
        assert!(inspect(dialect, &made).is_ok());
        Some(String::from_utf8(made).unwrap())
    }

    #[test]
    fn the_text_becomes_the_beginning_of_the_answer() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"q"} ],"x":1}"#;
        let made = filled(Dialect::Messages, body, "half \"way\"\n").unwrap();
        assert_eq!(
            made,
            r#"{"model":"m","messages":[{"role":"user","content":"q"} ,{"role":"assistant","content":"half \"way\""}],"x":1}"#
        );
        let several = body.replace("\"x\":1", "\"n\":2");
        assert_eq!(filled(Dialect::ChatCompletions, &several, "half"), None);
        assert_eq!(filled(Dialect::ChatCompletions, body, " \n"), None);
        let empty = r#"{"model":"m","messages":[ ]}"#;
        assert_eq!(filled(Dialect::ChatCompletions, empty, "half"), None);
    }

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"c\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n";

    fn block(index: u32, kind: &str) -> String {
        format!(
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{kind}}}\n\n"
        )
    }

    fn text(index: u32, text: &str) -> String {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    }

    fn stop(index: u32) -> String {
        format!(
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"
        )
    }

    fn end() -> String {
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned()
    }

    const TEXT: &str = "{\"type\":\"text\",\"text\":\"\"}";

    fn translator(from: Dialect, to: Dialect) -> StreamTranslator {
        StreamTranslator::new(from, to, "m", &TranslateOptions::default()).resumable()
    }

    #[test]
    fn a_second_stream_goes_on_in_the_open_block() {
        let mut translator = translator(Dialect::Messages, Dialect::Messages);
        let mut out = Vec::new();
        let first = format!("{START}{}{}", block(0, TEXT), text(0, "one "));
        translator.push(first.as_bytes(), &mut out).unwrap();
        assert_eq!(translator.partial(), Some("one "));
        translator.continue_with(Dialect::ChatCompletions);
        let chat = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" two\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        translator.push(chat.as_bytes(), &mut out).unwrap();
        assert!(translator.ended());
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.matches("message_start\"").count(), 1, "{out}");
        assert_eq!(out.matches("content_block_start\"").count(), 1, "{out}");
        assert_eq!(out.matches("content_block_stop\"").count(), 1, "{out}");
        let pieces: Vec<&str> = out
            .split("\"text\":\"")
            .skip(2)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert_eq!(pieces, ["one ", "two"], "the space is not there twice");
    }

    #[test]
    fn usage_and_tier_of_the_first_stream_are_not_those_of_the_second() {
        let mut translator =
            translator(Dialect::ChatCompletions, Dialect::ChatCompletions).reading_tier(true);
        let mut out = Vec::new();
        let first = "data: {\"id\":\"x\",\"service_tier\":\"priority\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";
        translator.push(first.as_bytes(), &mut out).unwrap();
        assert_eq!(translator.usage().unwrap().input_tokens, 7);
        assert_eq!(translator.tier(), Some(ServiceTier::Priority));
        translator.continue_with(Dialect::ChatCompletions);
        assert_eq!((translator.usage(), translator.tier()), (None, None));
    }

    #[test]
    fn blocks_behind_the_seam_get_numbers_of_their_own() {
        let mut translator = translator(Dialect::Messages, Dialect::Messages);
        let mut out = Vec::new();
        let first = format!("{START}{}{}{}", block(0, TEXT), text(0, "one"), stop(0));
        translator.push(first.as_bytes(), &mut out).unwrap();
        translator.continue_with(Dialect::Messages);
        let second = format!(
            "{START}{}{}{}{}",
            block(0, TEXT),
            text(0, "two"),
            stop(0),
            end()
        );
        translator.push(second.as_bytes(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains(&text(1, "two")) && out.contains(&stop(1)),
            "{out}"
        );
        assert_eq!(out.matches("message_start\"").count(), 1);
    }

    #[test]
    fn tool_calls_thinking_alone_and_finished_turns_are_not_continued() {
        let tool = "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}";
        let thinking = "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}";
        for (stream, partial) in [
            (START.to_owned(), Some("")),
            (format!("{START}{}", block(0, tool)), None),
            (
                format!(
                    "{START}{}{}{}{}",
                    block(0, TEXT),
                    text(0, "a"),
                    stop(0),
                    block(1, tool)
                ),
                None,
            ),
            (format!("{START}{}", block(0, thinking)), None),
            (
                format!(
                    "{START}{}{}{}{}",
                    block(0, thinking),
                    stop(0),
                    block(1, TEXT),
                    text(1, "a")
                ),
                Some("a"),
            ),
            (
                format!(
                    "{START}{}{}{}{}",
                    block(0, TEXT),
                    text(0, "a"),
                    stop(0),
                    end()
                ),
                None,
            ),
        ] {
            let mut translator = translator(Dialect::Messages, Dialect::ChatCompletions);
            translator.push(stream.as_bytes(), &mut Vec::new()).unwrap();
            assert_eq!(translator.partial(), partial, "{stream}");
        }
    }

    #[test]
    fn errors_are_kept_from_the_caller_until_nobody_goes_on() {
        let mut translator = translator(Dialect::Messages, Dialect::ChatCompletions);
        let mut out = Vec::new();
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let first = format!("{START}{}{}{error}", block(0, TEXT), text(0, "one"));
        translator.push(first.as_bytes(), &mut out).unwrap();
        assert!(translator.failed() && !String::from_utf8_lossy(&out).contains("error"));
        assert_eq!(translator.partial(), Some("one"));
        translator.fail(ErrorClass::Server, "broken", "It broke.", &mut out);
        assert!(String::from_utf8_lossy(&out).contains("error"));
    }
}
