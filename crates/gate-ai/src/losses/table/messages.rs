//! Losses of Messages: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::Messages;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str = "https://docs.claude.com/en/api/messages";

/// What only Messages says.
pub(super) const SAID: &[Group] = &[Group {
    from: One(Messages),
    to: Any,
    source: DOCUMENT,
    fields: &[
        (
            "thinking.display",
            "only Messages has a choice of how thinking is shown",
        ),
        ("thinking.type", "this way of thinking is unknown"),
        ("output_config.effort", "this level of thinking is unknown"),
        (
            "output_config.task_budget",
            "budgets of tasks are Anthropic's",
        ),
        ("container", "containers run at Anthropic"),
        ("context_management", "context is managed at Anthropic"),
        ("mcp_servers", "MCP servers are called by Anthropic"),
        ("metadata.*", "other vendors take the user's id only"),
        ("inference_geo", "a region of Anthropic's"),
        (
            "tools.*",
            "this kind of tool runs at Anthropic, or is a choice of its tools",
        ),
        (
            "messages.*",
            "this member of a message is no other vendor's",
        ),
        (
            "content.text.citations.document",
            "citations of documents have no place elsewhere",
        ),
        ("content.server_tool_use", "tools ran at Anthropic"),
        ("content.web_search_tool_result", "tools ran at Anthropic"),
        ("content.web_fetch_tool_result", "tools ran at Anthropic"),
        (
            "content.code_execution_tool_result",
            "tools ran at Anthropic",
        ),
        (
            "content.bash_code_execution_tool_result",
            "tools ran at Anthropic",
        ),
        (
            "content.text_editor_code_execution_tool_result",
            "tools ran at Anthropic",
        ),
        ("content.tool_search_tool_result", "tools ran at Anthropic"),
        ("content.advisor_tool_result", "tools ran at Anthropic"),
        ("content.mcp_tool_use", "tools ran at Anthropic"),
        ("content.mcp_tool_result", "tools ran at Anthropic"),
        (
            "content.tool_reference",
            "tools are searched for at Anthropic",
        ),
        (
            "content.tool_addition",
            "tools are added in the middle at Anthropic only",
        ),
        ("content.container_upload", "containers run at Anthropic"),
        ("content.compaction", "context is managed at Anthropic"),
        (
            "content.search_result",
            "only Messages has a part for results of a search",
        ),
        ("content.image", "an image whose source is unknown"),
        ("content.document", "a document whose source is unknown"),
        (
            "content.document.citations",
            "only Anthropic cites documents by its own choice",
        ),
        (
            "content.document.context",
            "only Messages has a context of documents",
        ),
        ("stop_details", "only Messages has details of a refusal"),
        ("delta.*", "this kind of delta has no place"),
    ],
}];

/// What Messages cannot be told.
pub(super) const UNTOLD: &[Group] = &[Group {
    from: Any,
    to: One(Messages),
    source: DOCUMENT,
    fields: &[
        ("seed", "Messages has no seed"),
        (
            "prompt_cache_options",
            "Messages marks caches in the prompt, not for the request",
        ),
        ("moderation", "Messages has no moderation to choose"),
        (
            "provider",
            "which vendors a router may use is said to OpenRouter only",
        ),
        ("store", "Messages stores nothing to be read back"),
        ("metadata", "Messages takes a user's id and no other labels"),
        ("verbosity", "Messages has no choice of verbosity"),
        (
            "prompt_cache_key",
            "Messages marks caches in the prompt, not by a key",
        ),
        (
            "prompt_cache_retention",
            "Messages marks caches in the prompt, not for the request",
        ),
        ("reasoning.summary", "Messages has no choice of summaries"),
        (
            "service_tier",
            "Messages has the classes auto and standard only; answers name it in their usage",
        ),
        (
            "tool_choice.allowed",
            "Messages cannot allow some of the tools only",
        ),
        ("n", "Messages gives one answer per request"),
        ("logprobs", "Messages gives no log probabilities"),
        ("frequency_penalty", "Messages has no penalties"),
        ("presence_penalty", "Messages has no penalties"),
        (
            "temperature",
            "Messages ends at 1; higher temperatures are sent as 1",
        ),
        (
            "temperature.thinking",
            "a model that thinks takes no temperature",
        ),
        (
            "top_p.thinking",
            "a model that thinks takes a top_p of 0.95 and more only",
        ),
        ("top_k.thinking", "a model that thinks takes no top_k"),
        (
            "top_p.temperature",
            "Claude takes temperature or top_p, not both; temperature is kept",
        ),
        (
            "reasoning.tool_choice",
            "a model that must call a tool cannot think",
        ),
        (
            "reasoning.history",
            "thinking goes on only where the earlier thoughts come with their signatures",
        ),
        (
            "reasoning.max_tokens",
            "thinking needs a limit above 1,024 tokens",
        ),
        (
            "response_format.json_object",
            "Messages has JSON with a schema only",
        ),
        (
            "messages.system",
            "later instructions move in front of the conversation, their only place",
        ),
        ("messages.system.content", "instructions are text only"),
        (
            "content.reasoning",
            "thinking without a signature is refused",
        ),
        ("content.audio", "Messages has no audio"),
        (
            "content.image.detail",
            "Messages chooses the resolution itself",
        ),
        (
            "content.image.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.file",
            "a file at one vendor is unknown to the other",
        ),
    ],
}];
