//! Losses of Chat Completions: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::ChatCompletions;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str = "https://platform.openai.com/docs/api-reference/chat/create";

/// What only Chat Completions says, OpenAI's and what compatible vendors made of it.
pub(super) const SAID: &[Group] = &[
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: DOCUMENT,
        fields: &[
            (
                "reasoning_effort",
                "the level of thinking is unknown and was left out",
            ),
            ("logit_bias", "a bias of tokens belongs to Chat Completions"),
            ("reasoning.exclude", "only OpenRouter can hide thinking"),
            (
                "reasoning_format",
                "only Groq has several forms of thinking",
            ),
            (
                "clear_thinking",
                "only Z.AI is told what earlier thinking it reads",
            ),
            (
                "thinking.clear_thinking",
                "only Z.AI is told what earlier thinking it reads",
            ),
            (
                "functions",
                "the older form of tools is sent as tools; the reply calls tools",
            ),
            (
                "tools.*",
                "this kind of tool runs at the other vendor, or is none that takes JSON",
            ),
            (
                "tools.function.*",
                "this member of a tool is no other vendor's",
            ),
            (
                "tool_calls.custom",
                "tools that take free text are OpenAI's",
            ),
            (
                "tool_choice.custom",
                "tools that take free text are OpenAI's",
            ),
            (
                "service_tier.*",
                "this scheduling class is the vendor's own",
            ),
            (
                "choices.logprobs",
                "likelihoods in a compatible server's own form, or of a refusal",
            ),
            (
                "tool_calls.nameless",
                "a call without a name calls nothing and was left out",
            ),
            ("prediction", "only Chat Completions takes a prediction"),
            ("modalities", "answers are translated as text only"),
            ("audio", "answers are translated as text only"),
            (
                "web_search_options",
                "web search is a tool that runs at the vendor",
            ),
            (
                "metadata.labels",
                "labels of an answer are the vendor's own",
            ),
            ("moderation.results", "moderation runs at the vendor"),
            ("messages.name", "other vendors have no names of speakers"),
            (
                "messages.prefix",
                "other vendors go on with a last message of the assistant without being told",
            ),
            (
                "messages.audio",
                "earlier spoken answers are kept at OpenAI",
            ),
            (
                "messages.annotations",
                "annotations without text have nothing to stand at",
            ),
            (
                "content.video_url",
                "videos by address belong to compatible servers",
            ),
            ("content.file", "a file without data or id"),
            ("annotations.file", "a citation of a file has no place"),
            (
                "choices",
                "other vendors give one answer; the first one was kept",
            ),
            (
                "system_fingerprint",
                "other vendors do not name the backend",
            ),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.perplexity.ai/api-reference/chat-completions-post",
        fields: &[
            ("preset", "a choice at Perplexity"),
            ("search_settings", "web search runs at Perplexity"),
            (
                "citations",
                "Perplexity's list of pages beside the text has no place",
            ),
            (
                "search_results",
                "Perplexity's list of pages beside the text has no place",
            ),
            (
                "choices.delta",
                "Perplexity repeats an empty delta in whole answers",
            ),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.perplexity.ai/guides/file-attachments",
        fields: &[("content.file_url", "a document part of Perplexity's")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://openrouter.ai/docs/features/provider-routing",
        fields: &[("provider.name", "the name of the vendor behind OpenRouter")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://openrouter.ai/docs/use-cases/reasoning-tokens",
        fields: &[(
            "reasoning_details",
            "a kind of thinking that only OpenRouter has",
        )],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.mistral.ai/api/",
        fields: &[("safe_prompt", "a prompt that Mistral adds")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.mistral.ai/capabilities/document_ai/document_qna",
        fields: &[("content.document_url", "a document part of Mistral's")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://console.groq.com/docs/api-reference",
        fields: &[
            ("x_groq", "ids and errors of Groq's own"),
            ("usage_breakdown", "counts of Groq's inner models"),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://console.groq.com/docs/compound",
        fields: &[("messages.executed_tools", "tools that ran at Groq")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://inference-docs.cerebras.ai/api-reference/chat-completions",
        fields: &[("time_info", "timings of Cerebras")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/concepts/content-filter",
        fields: &[
            ("prompt_filter_results", "verdicts of Azure's filters"),
            (
                "choices.content_filter_results",
                "verdicts of Azure's filters",
            ),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://ai.google.dev/gemini-api/docs/openai",
        fields: &[
            ("messages.extra_content", "signatures of Google's thinking"),
            (
                "messages.thought_signature",
                "signatures of Google's thinking",
            ),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.together.ai/reference/chat-completions-1",
        fields: &[
            ("prompt", "an empty list that Together adds"),
            ("choices.seed", "the seed that Together used"),
        ],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        fields: &[("choices.stop_reason", "the token at which vLLM stopped")],
    },
    Group {
        from: One(ChatCompletions),
        to: Any,
        source: "https://docs.z.ai/api-reference/llm/chat-completion",
        fields: &[("request_id", "an id of Z.AI's own")],
    },
];

/// What Chat Completions cannot be told.
pub(super) const UNTOLD: &[Group] = &[Group {
    from: Any,
    to: One(ChatCompletions),
    source: DOCUMENT,
    fields: &[
        (
            "reasoning.budget_tokens",
            "Chat Completions has levels of thinking; the nearest is sent",
        ),
        ("top_k", "Chat Completions has no top_k"),
        (
            "reasoning.summary",
            "Chat Completions has no choice of summaries",
        ),
        (
            "stop_sequences",
            "Chat Completions takes four stop texts; the first four are sent",
        ),
        (
            "cache_control",
            "Chat Completions caches by itself and takes no marks",
        ),
        (
            "content.reasoning",
            "earlier thinking has no place in a request; OpenAI refuses it",
        ),
        (
            "content.text.citations",
            "citations of documents, and in requests, have no place",
        ),
        (
            "content.image.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.url",
            "Chat Completions takes documents as data only",
        ),
        (
            "content.document.text",
            "a document of text is sent as text",
        ),
        (
            "content.tool_result.is_error",
            "Chat Completions has no mark of a failed tool; its text says so",
        ),
        (
            "content.tool_result.content",
            "tools answer in text only; the rest moves to the next message of the user",
        ),
        (
            "stop_sequence",
            "Chat Completions does not say which stop text came up",
        ),
        (
            "stop_reason.pause",
            "Chat Completions has no pause; the answer ends",
        ),
    ],
}];
