//! Losses of Cohere's Chat: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::CohereChat;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str = "https://docs.cohere.com/reference/chat";

/// What only Cohere's Chat says.
pub(super) const SAID: &[Group] = &[Group {
    from: One(CohereChat),
    to: Any,
    source: DOCUMENT,
    fields: &[
        (
            "citation_options",
            "how answers are cited is chosen at Cohere only",
        ),
        ("safety_mode", "safety instructions are Cohere's own"),
        ("priority", "Cohere's numbers of priority"),
        (
            "messages.*",
            "this member of a message is no other vendor's",
        ),
        (
            "tools.function.*",
            "other vendors know a tool's name, description and parameters",
        ),
        (
            "response_format.*",
            "other vendors know a kind and a schema",
        ),
        ("content.*", "this kind of content is unknown"),
        (
            "content.text.citations.sources",
            "elsewhere a source is a page with an address",
        ),
        (
            "logprobs.chunk",
            "Cohere gives the likelihoods of several tokens for one piece of text",
        ),
    ],
}];

/// What Cohere's Chat cannot be told.
pub(super) const UNTOLD: &[Group] = &[Group {
    from: Any,
    to: One(CohereChat),
    source: DOCUMENT,
    fields: &[
        (
            "cache_control",
            "Cohere caches by itself and takes no marks",
        ),
        ("prompt_cache_key", "Cohere has no keys of caches"),
        (
            "prompt_cache_retention",
            "Cohere caches by itself, as long as it likes",
        ),
        ("prompt_cache_options", "Cohere caches by itself"),
        ("n", "Cohere gives one answer per request"),
        ("user", "Cohere takes no id of the end user"),
        (
            "service_tier",
            "Cohere has no classes, only numbers of priority",
        ),
        ("store", "Cohere does not keep answers"),
        ("metadata", "Cohere does not keep answers, nor their labels"),
        ("verbosity", "Cohere has no choice of verbosity"),
        (
            "provider",
            "which vendors a router may use is said to OpenRouter only",
        ),
        ("moderation", "Cohere has no moderation to choose"),
        ("reasoning.summary", "Cohere has no choice of summaries"),
        (
            "parallel_tool_calls",
            "Cohere cannot forbid calls in parallel",
        ),
        (
            "top_logprobs",
            "Cohere gives the likelihood of what it said only",
        ),
        (
            "stop_sequences",
            "Cohere takes five stop texts; the first five are sent",
        ),
        ("top_p", "Cohere takes 0.01 to 0.99; the nearest is sent"),
        ("top_k", "Cohere ends at 500, which is sent"),
        (
            "frequency_penalty",
            "Cohere takes 0 to 1; the nearest is sent",
        ),
        (
            "presence_penalty",
            "Cohere takes 0 to 1; the nearest is sent",
        ),
        (
            "tools.strict",
            "at Cohere all tools follow their schemas exactly, or none",
        ),
        (
            "tool_choice.tool",
            "Cohere can require a call, but not which; a call is required",
        ),
        (
            "tool_choice.allowed",
            "Cohere cannot allow some of the tools only",
        ),
        ("messages.system.content", "instructions are text only"),
        ("content.audio", "Cohere's Chat has no audio"),
        (
            "content.image.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.file",
            "a file at one vendor is unknown to the other",
        ),
        ("content.document.url", "Cohere takes documents as text"),
        (
            "content.document.media_type",
            "Cohere takes documents as text",
        ),
        (
            "content.reasoning.signature",
            "Cohere's thinking has no signature; the thought itself is sent",
        ),
        (
            "content.reasoning.redacted",
            "thinking that only another vendor can read",
        ),
        (
            "content.text.citations.reference",
            "a reference that only the other vendor can read",
        ),
        (
            "content.tool_result.is_error",
            "Cohere has no mark of a failed tool; its text says so",
        ),
        (
            "content.tool_result.content",
            "tools answer in text and documents of text; the rest moves to the next message",
        ),
        (
            "stop_sequence",
            "Cohere does not say which stop text came up",
        ),
        (
            "stop_reason.refusal",
            "Cohere has no refusal; the answer ends",
        ),
        ("stop_reason.pause", "Cohere has no pause; the answer ends"),
    ],
}];
