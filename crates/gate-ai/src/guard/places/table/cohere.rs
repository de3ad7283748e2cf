//! The places of Cohere's Chat, after the types of its SDK (`cohere` on PyPI).

use super::Point::{Request, Response, ToolCall, ToolResult};
use super::{Kind, Lines, Means, again, delta, json, json_delta, text};

pub(super) const COHERE_REQUEST: Lines = &[
    ("messages[role=tool].content", text(ToolResult)),
    ("messages[role=tool].content[].text", text(ToolResult)),
    (
        "messages[role=tool].content[].document.data.**",
        text(ToolResult),
    ),
    ("messages[].content", text(Request)),
    ("messages[].content[].text|thinking", text(Request)),
    ("messages[].tool_plan", text(Request)),
    ("messages[].tool_calls[].function.arguments", json(ToolCall)),
    ("documents[]", text(Request)),
    ("documents[].data.**", text(Request)),
];

/// A citation repeats what it stands behind, and its source.
pub(super) const COHERE_RESPONSE: Lines = &[
    ("message.content[].text|thinking", text(Response)),
    ("message.tool_plan", text(Response)),
    ("message.tool_calls[].function.arguments", json(ToolCall)),
    ("message.citations[].text", again(Response, Kind::Text)),
    (
        "message.citations[].sources[].document|tool_output.**",
        again(Response, Kind::Text),
    ),
];

pub(super) const COHERE_EVENTS: Lines = &[
    (
        "{type=content-delta,#index}.delta.message.content.text",
        delta(Response),
    ),
    (
        "{type=content-delta,#index}.delta.message.content.thinking",
        delta(Response),
    ),
    ("delta.message.tool_plan", delta(Response)),
    (
        "{type=tool-call-delta,#index}.delta.message.tool_calls.function.arguments",
        json_delta(ToolCall),
    ),
    ("delta.message.citations.text", again(Response, Kind::Text)),
    (
        "delta.message.citations.sources[].document|tool_output.**",
        again(Response, Kind::Text),
    ),
    ("{type=content-end|tool-call-end,#index}", Means::End),
    ("{type=tool-call-start|message-end}", Means::End),
];
