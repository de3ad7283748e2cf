//! The committed list of losses. An entry that ends in `*` stands for a family of names; the first
//! entry that fits counts.

use super::Entry;
use crate::Dialect::{self, ChatCompletions, Messages};

const OPENAI: &str = "https://platform.openai.com/docs/api-reference/chat/create";
const ANTHROPIC: &str = "https://docs.claude.com/en/api/messages";

const fn entry(
    dialects: (Dialect, Dialect),
    field: &'static str,
    reason: &'static str,
    source: &'static str,
) -> Entry {
    Entry {
        from: dialects.0,
        to: dialects.1,
        field,
        reason,
        source,
    }
}

/// From Chat Completions to Messages.
const fn openai(field: &'static str, reason: &'static str) -> Entry {
    entry((ChatCompletions, Messages), field, reason, ANTHROPIC)
}

/// From what compatible vendors made of Chat Completions to Messages.
const fn compatible(field: &'static str, reason: &'static str, source: &'static str) -> Entry {
    entry((ChatCompletions, Messages), field, reason, source)
}

/// From Messages to Chat Completions.
const fn anthropic(field: &'static str, reason: &'static str) -> Entry {
    entry((Messages, ChatCompletions), field, reason, OPENAI)
}

/// Every loss that we know and accept.
pub const TABLE: &[Entry] = &[
    openai("seed", "Messages has no seed"),
    openai("n", "Messages gives one answer per request"),
    openai("logprobs", "Messages gives no log probabilities"),
    openai("top_logprobs", "Messages gives no log probabilities"),
    openai("logit_bias", "Messages has no bias of tokens"),
    openai("frequency_penalty", "Messages has no penalties"),
    openai("presence_penalty", "Messages has no penalties"),
    openai(
        "temperature",
        "Messages ends at 1; higher temperatures are sent as 1",
    ),
    openai(
        "temperature.thinking",
        "a model that thinks takes no temperature",
    ),
    openai(
        "top_p.thinking",
        "a model that thinks takes a top_p of 0.95 and more only",
    ),
    openai("top_k.thinking", "a model that thinks takes no top_k"),
    openai(
        "top_p.temperature",
        "Claude takes temperature or top_p, not both; temperature is kept",
    ),
    openai(
        "reasoning_effort",
        "the level of thinking is unknown and was left out",
    ),
    openai(
        "reasoning_effort.tool_choice",
        "a model that must call a tool cannot think",
    ),
    openai(
        "reasoning_effort.history",
        "thinking goes on only where the earlier thoughts come with their signatures",
    ),
    openai(
        "reasoning_effort.max_tokens",
        "thinking needs a limit above 1,024 tokens",
    ),
    openai("reasoning.exclude", "Messages always shows its thinking"),
    openai("reasoning.summary", "Messages has no choice of summaries"),
    openai("reasoning_format", "Messages has one form of thinking"),
    openai(
        "clear_thinking",
        "Messages decides itself what earlier thinking it reads",
    ),
    openai(
        "thinking.clear_thinking",
        "Messages decides itself what earlier thinking it reads",
    ),
    openai(
        "response_format.json_object",
        "Messages has JSON with a schema only",
    ),
    openai(
        "functions",
        "the older form of tools is sent as tools; the reply calls tools",
    ),
    openai(
        "tools.*",
        "this kind of tool runs at the other vendor, or is none that takes JSON",
    ),
    openai(
        "tools.function.*",
        "this member of a tool is unknown to Messages",
    ),
    openai(
        "tool_calls.custom",
        "Messages' tools take JSON, not free text",
    ),
    openai(
        "tool_calls.nameless",
        "a call without a name calls nothing and was left out",
    ),
    openai(
        "tool_choice.allowed_tools",
        "Messages cannot allow some of the tools only",
    ),
    openai(
        "service_tier",
        "Messages has the classes auto and standard only; answers name it in their usage",
    ),
    openai("store", "Messages stores nothing to be read back"),
    openai(
        "metadata",
        "Messages takes a user's id and no other labels; answers have none",
    ),
    openai("prediction", "Messages takes no prediction"),
    openai("modalities", "Messages answers in text only"),
    openai("audio", "Messages answers in text only"),
    openai("verbosity", "Messages has no choice of verbosity"),
    openai(
        "prompt_cache_key",
        "Messages marks caches in the prompt, not by a key",
    ),
    openai(
        "prompt_cache_retention",
        "Messages marks caches in the prompt, not for the request",
    ),
    openai(
        "web_search_options",
        "web search is a tool that runs at the vendor",
    ),
    openai("moderation", "moderation runs at the vendor"),
    openai(
        "messages.system",
        "later instructions move in front of the conversation, their only place",
    ),
    openai("messages.system.content", "instructions are text only"),
    openai("messages.name", "Messages has no names of speakers"),
    openai(
        "messages.prefix",
        "Messages goes on with a last message of the assistant without being told",
    ),
    openai(
        "messages.reasoning",
        "thinking without a signature is refused",
    ),
    openai("messages.audio", "Messages has no audio"),
    openai(
        "messages.annotations",
        "annotations without text have nothing to stand at",
    ),
    openai("content.input_audio", "Messages has no audio"),
    openai("content.video_url", "Messages has no video"),
    openai(
        "content.image_url.detail",
        "Messages chooses the resolution itself",
    ),
    openai(
        "content.image_url.file",
        "a file at one vendor is unknown to the other",
    ),
    openai(
        "content.file.file_id",
        "a file at one vendor is unknown to the other",
    ),
    openai("content.file", "a file without data or id"),
    openai("annotations.file", "a citation of a file has no place"),
    openai(
        "choices",
        "Messages gives one answer; the first one was kept",
    ),
    openai("choices.logprobs", "Messages gives no log probabilities"),
    openai("system_fingerprint", "Messages does not name the backend"),
    compatible(
        "preset",
        "a choice at Perplexity",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    compatible(
        "search_settings",
        "web search runs at Perplexity",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    compatible(
        "citations",
        "Perplexity's list of pages beside the text has no place",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    compatible(
        "search_results",
        "Perplexity's list of pages beside the text has no place",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    compatible(
        "content.file_url",
        "a document part of Perplexity's",
        "https://docs.perplexity.ai/guides/file-attachments",
    ),
    compatible(
        "choices.delta",
        "Perplexity repeats an empty delta in whole answers",
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    compatible(
        "provider",
        "routing and the vendor's name belong to OpenRouter",
        "https://openrouter.ai/docs/features/provider-routing",
    ),
    compatible(
        "reasoning_details",
        "a kind of thinking that only OpenRouter has",
        "https://openrouter.ai/docs/use-cases/reasoning-tokens",
    ),
    compatible(
        "safe_prompt",
        "a prompt that Mistral adds",
        "https://docs.mistral.ai/api/",
    ),
    compatible(
        "content.document_url",
        "a document part of Mistral's",
        "https://docs.mistral.ai/capabilities/document_ai/document_qna",
    ),
    compatible(
        "x_groq",
        "ids and errors of Groq's own",
        "https://console.groq.com/docs/api-reference",
    ),
    compatible(
        "usage_breakdown",
        "counts of Groq's inner models",
        "https://console.groq.com/docs/api-reference",
    ),
    compatible(
        "messages.executed_tools",
        "tools that ran at Groq",
        "https://console.groq.com/docs/compound",
    ),
    compatible(
        "time_info",
        "timings of Cerebras",
        "https://inference-docs.cerebras.ai/api-reference/chat-completions",
    ),
    compatible(
        "prompt_filter_results",
        "verdicts of Azure's filters",
        "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/concepts/content-filter",
    ),
    compatible(
        "choices.content_filter_results",
        "verdicts of Azure's filters",
        "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/concepts/content-filter",
    ),
    compatible(
        "messages.extra_content",
        "signatures of Google's thinking",
        "https://ai.google.dev/gemini-api/docs/openai",
    ),
    compatible(
        "messages.thought_signature",
        "signatures of Google's thinking",
        "https://ai.google.dev/gemini-api/docs/openai",
    ),
    compatible(
        "prompt",
        "an empty list that Together adds",
        "https://docs.together.ai/reference/chat-completions-1",
    ),
    compatible(
        "choices.seed",
        "the seed that Together used",
        "https://docs.together.ai/reference/chat-completions-1",
    ),
    compatible(
        "choices.stop_reason",
        "the token at which vLLM stopped",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    compatible(
        "request_id",
        "an id of Z.AI's own",
        "https://docs.z.ai/api-reference/llm/chat-completion",
    ),
    anthropic(
        "thinking.budget_tokens",
        "Chat Completions has levels of thinking; the nearest is sent",
    ),
    anthropic(
        "thinking.display",
        "Chat Completions has no choice of how thinking is shown",
    ),
    anthropic("thinking.type", "this way of thinking is unknown"),
    anthropic(
        "output_config.effort",
        "Chat Completions has no such level; the nearest is sent",
    ),
    anthropic(
        "output_config.task_budget",
        "Chat Completions has no budget of tasks",
    ),
    anthropic("top_k", "Chat Completions has no top_k"),
    anthropic(
        "stop_sequences",
        "Chat Completions takes four stop texts; the first four are sent",
    ),
    anthropic(
        "cache_control",
        "Chat Completions caches by itself and takes no marks",
    ),
    anthropic("container", "containers run at Anthropic"),
    anthropic("context_management", "context is managed at Anthropic"),
    anthropic("mcp_servers", "MCP servers are called by Anthropic"),
    anthropic("metadata.*", "Chat Completions takes the user's id only"),
    anthropic("inference_geo", "a region of Anthropic's"),
    anthropic(
        "tools.*",
        "this kind of tool runs at Anthropic, or is a choice of its tools",
    ),
    anthropic(
        "messages.*",
        "this member of a message is unknown to Chat Completions",
    ),
    anthropic(
        "content.thinking",
        "earlier thinking has no place in a request; OpenAI refuses it",
    ),
    anthropic(
        "content.text.citations",
        "citations of documents, and in requests, have no place",
    ),
    anthropic("content.server_tool_use", "tools ran at Anthropic"),
    anthropic("content.web_search_tool_result", "tools ran at Anthropic"),
    anthropic("content.web_fetch_tool_result", "tools ran at Anthropic"),
    anthropic(
        "content.code_execution_tool_result",
        "tools ran at Anthropic",
    ),
    anthropic(
        "content.bash_code_execution_tool_result",
        "tools ran at Anthropic",
    ),
    anthropic(
        "content.text_editor_code_execution_tool_result",
        "tools ran at Anthropic",
    ),
    anthropic("content.tool_search_tool_result", "tools ran at Anthropic"),
    anthropic("content.advisor_tool_result", "tools ran at Anthropic"),
    anthropic("content.mcp_tool_use", "tools ran at Anthropic"),
    anthropic("content.mcp_tool_result", "tools ran at Anthropic"),
    anthropic(
        "content.tool_reference",
        "tools are searched for at Anthropic",
    ),
    anthropic(
        "content.tool_addition",
        "tools are added in the middle at Anthropic only",
    ),
    anthropic("content.container_upload", "containers run at Anthropic"),
    anthropic("content.compaction", "context is managed at Anthropic"),
    anthropic(
        "content.search_result",
        "Chat Completions has no part for results of a search",
    ),
    anthropic(
        "content.image.file",
        "a file at one vendor is unknown to the other",
    ),
    anthropic("content.image", "an image whose source is unknown"),
    anthropic("content.document", "a document whose source is unknown"),
    anthropic(
        "content.document.file",
        "a file at one vendor is unknown to the other",
    ),
    anthropic(
        "content.document.url",
        "Chat Completions takes documents as data only",
    ),
    anthropic(
        "content.document.text",
        "a document of text is sent as text",
    ),
    anthropic(
        "content.document.citations",
        "Chat Completions does not cite documents",
    ),
    anthropic(
        "content.document.context",
        "Chat Completions has no context of documents",
    ),
    anthropic(
        "content.tool_result.is_error",
        "Chat Completions has no mark of a failed tool; its text says so",
    ),
    anthropic(
        "content.tool_result.content",
        "tools answer in text only; the rest moves to the next message of the user",
    ),
    anthropic(
        "stop_sequence",
        "Chat Completions does not say which stop text came up",
    ),
    anthropic(
        "stop_details",
        "Chat Completions has no details of a refusal",
    ),
    anthropic(
        "stop_reason.pause_turn",
        "Chat Completions has no pause; the answer ends",
    ),
    anthropic("delta.*", "this kind of delta has no place"),
];
