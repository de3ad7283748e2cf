//! Answers as the gateway writes them: the envelope and its items, whole or streamed.
//!
//! The official clients want every member of an answer, also those that repeat the request. What
//! the request said is not known here; these members have the values of a request that said nothing.

use super::write_usage;
use crate::conversation::{Citation, Stop, TokenLogprob};
use crate::dialect::logprobs;
use crate::json::write::Writer;
use crate::{Losses, Usage};

/// What an answer says about itself.
pub(super) struct Envelope<'e> {
    pub(super) id: &'e str,
    pub(super) model: &'e str,
    pub(super) created: u64,
    pub(super) service_tier: Option<&'e str>,
    /// Why it ended; `None` while it is being written.
    pub(super) stop: Option<Stop>,
    pub(super) usage: Option<&'e Usage>,
}

impl Envelope<'_> {
    /// Writes the answer; `output` writes its list of items.
    pub(super) fn write(&self, w: &mut Writer<'_>, output: impl FnOnce(&mut Writer<'_>)) {
        w.open()
            .member("id", self.id)
            .member("object", "response")
            .key("created_at")
            .unsigned(self.created);
        let status = match self.stop {
            None => "in_progress",
            Some(stop) if incomplete(stop).is_some() => "incomplete",
            Some(_) => "completed",
        };
        w.member("status", status).key("background").boolean(false);
        w.key("error").null().key("incomplete_details");
        match self.stop.and_then(incomplete) {
            Some(reason) => w.open().member("reason", reason).close(),
            None => w.null(),
        };
        w.key("instructions").null();
        w.key("max_output_tokens").null();
        w.member("model", self.model).key("output");
        output(w);
        w.key("parallel_tool_calls").boolean(true);
        w.key("previous_response_id").null();
        w.key("reasoning").open();
        w.key("effort").null().key("summary").null().close();
        w.member_if("service_tier", self.service_tier);
        w.key("store").boolean(false).key("temperature").null();
        w.key("text").open().key("format").open();
        w.member("type", "text").close().close();
        w.member("tool_choice", "auto").key("tools").open_list();
        w.close_list().key("top_p").null();
        w.member("truncation", "disabled").key("usage");
        match self.usage {
            Some(usage) => write_usage(w, usage),
            None => {
                w.null();
            }
        }
        w.key("user").null().key("metadata").open().close();
        w.close();
    }
}

/// The reason that makes an answer incomplete.
pub(super) fn incomplete(stop: Stop) -> Option<&'static str> {
    match stop {
        Stop::MaxTokens | Stop::ContextWindow => Some("max_output_tokens"),
        Stop::Refusal => Some("content_filter"),
        Stop::EndTurn | Stop::StopSequence | Stop::ToolCall | Stop::Pause => None,
    }
}

/// Reports what an end says that has no word here.
pub(super) fn report_stop(stop: Stop, losses: &mut Losses) {
    match stop {
        Stop::StopSequence => losses.add("stop_sequence"),
        Stop::Pause => losses.add("stop_reason.pause"),
        _ => {}
    }
}

/// The id of an item: its kind, the answer's id, and its place. Ids of items go back and forth and
/// join nothing, so that they have to be unique and no more.
pub(super) fn item_id(kind: &str, response: &str, place: usize) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    let response: String = response.chars().filter(plain).take(48).collect();
    format!("{kind}_{response}_{place}")
}

/// One reasoning item. Without an id it is part of a request.
pub(super) fn write_reasoning(
    w: &mut Writer<'_>,
    id: Option<&str>,
    text: &str,
    sealed: Option<&str>,
) {
    w.open().member("type", "reasoning").member_if("id", id);
    w.key("summary").open_list();
    if !text.is_empty() {
        w.open().member("type", "summary_text");
        w.member("text", text).close();
    }
    w.close_list();
    w.member_if("encrypted_content", sealed).close();
}

/// One call.
pub(super) fn write_call(
    w: &mut Writer<'_>,
    id: &str,
    status: &str,
    call: (&str, &str),
    arguments: &str,
) {
    let (call_id, name) = call;
    w.open().member("id", id).member("type", "function_call");
    w.member("status", status).member("arguments", arguments);
    w.member("call_id", call_id).member("name", name).close();
}

/// One message, its parts already written.
pub(super) fn write_message(w: &mut Writer<'_>, id: &str, status: &str, parts: &str) {
    w.open().member("id", id).member("type", "message");
    w.member("status", status).key("content").open_list();
    if !parts.is_empty() {
        w.raw(parts);
    }
    w.close_list().member("role", "assistant").close();
}

/// One part of text; `annotations` and `tokens` are JSON lists without their brackets.
pub(super) fn write_text(w: &mut Writer<'_>, text: &str, annotations: &str, tokens: &str) {
    w.open().member("type", "output_text");
    for (key, list) in [("annotations", annotations), ("logprobs", tokens)] {
        w.key(key).open_list();
        if !list.is_empty() {
            w.raw(list);
        }
        w.close_list();
    }
    w.member("text", text).close();
}

/// One part that refuses.
pub(super) fn write_refusal(w: &mut Writer<'_>, text: &str) {
    w.open().member("type", "refusal");
    w.member("refusal", text).close();
}

/// The annotations of a text, as a list.
pub(super) fn write_annotations(
    w: &mut Writer<'_>,
    text: &str,
    citations: &[Citation<'_>],
    losses: &mut Losses,
) {
    let characters = text.chars().count() as u64;
    w.open_list();
    for citation in citations {
        write_annotation(w, citation, characters, losses);
    }
    w.close_list();
}

/// One annotation of a text that is so long so far.
pub(super) fn write_annotation(
    w: &mut Writer<'_>,
    citation: &Citation<'_>,
    characters: u64,
    losses: &mut Losses,
) {
    if citation.cited_text.is_some() || citation.reference.is_some() {
        losses.add("citations.cited_text");
    }
    let (start, end) = citation.span.unwrap_or((0, characters));
    w.open().member("type", "url_citation");
    w.key("start_index").unsigned(start);
    w.key("end_index").unsigned(end);
    w.member("title", citation.title.as_deref().unwrap_or_default());
    w.member("url", &citation.url).close();
}

/// Tokens as a JSON list without its brackets.
pub(super) fn tokens_json(tokens: &[TokenLogprob<'_>]) -> String {
    let mut out = Vec::new();
    logprobs::write(&mut Writer::new(&mut out), tokens);
    let list = String::from_utf8(out).unwrap_or_default();
    let inner = list
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'));
    inner.unwrap_or_default().to_owned()
}
