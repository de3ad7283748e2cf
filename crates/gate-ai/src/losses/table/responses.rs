//! Losses of Responses: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::Responses;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str = "https://platform.openai.com/docs/api-reference/responses/create";
const ITEMS: &str = "https://platform.openai.com/docs/api-reference/responses/object";
const TOOLS: &str = "https://platform.openai.com/docs/guides/tools";

/// What only Responses says.
pub(super) const SAID: &[Group] = &[
    Group {
        from: One(Responses),
        to: Any,
        source: DOCUMENT,
        fields: &[
            (
                "background",
                "the answer is given at once; nothing runs on at the vendor",
            ),
            (
                "truncation",
                "only Responses shortens a conversation that is too long",
            ),
            (
                "max_tool_calls",
                "it counts calls of tools that run at OpenAI",
            ),
            ("context_management", "context is managed at OpenAI"),
            ("include.*", "a member of answers that only Responses has"),
            (
                "stream_options.*",
                "padding against guesses by length is OpenAI's",
            ),
            ("text.*", "this choice of form is Responses' own"),
            (
                "reasoning.context",
                "only Responses is told what earlier thinking it reads",
            ),
            (
                "reasoning.mode",
                "a way of thinking that only Responses has",
            ),
            (
                "reasoning.effort.unknown",
                "the level of thinking is unknown and was left out",
            ),
            (
                "service_tier.*",
                "this scheduling class is the vendor's own",
            ),
            (
                "tools.*",
                "this kind of tool runs at OpenAI, or is none that takes JSON",
            ),
            (
                "tools.function.*",
                "this member of a tool is Responses' own",
            ),
            (
                "tool_choice.*",
                "this choice is about tools that run at OpenAI, or take free text",
            ),
            (
                "messages.phase",
                "only Responses tells comments from the final answer",
            ),
            (
                "function_call.namespace",
                "only Responses groups tools in namespaces",
            ),
            (
                "function_call.caller",
                "programs that call tools run at OpenAI",
            ),
        ],
    },
    Group {
        from: One(Responses),
        to: Any,
        source: ITEMS,
        fields: &[
            ("annotations.*", "a citation of a file has no place"),
            (
                "status",
                "the answer is still being made in the background, at OpenAI",
            ),
            ("billing", "who pays is said at OpenAI"),
            ("tool_usage", "counts of tools that run at OpenAI"),
            ("moderation.results", "moderation runs at OpenAI"),
            ("content_filters", "verdicts of Azure's filters"),
        ],
    },
    Group {
        from: One(Responses),
        to: Any,
        source: TOOLS,
        fields: &[
            (
                "input.additional_tools",
                "tools are added in the middle at OpenAI only",
            ),
            ("input.tool_search_call", "tools are searched for at OpenAI"),
            (
                "input.tool_search_output",
                "tools are searched for at OpenAI",
            ),
            ("input.web_search_call", "tools ran at OpenAI"),
            ("input.code_interpreter_call", "tools ran at OpenAI"),
            ("input.image_generation_call", "tools ran at OpenAI"),
            ("input.mcp_list_tools", "tools ran at OpenAI"),
            ("input.mcp_call", "tools ran at OpenAI"),
            (
                "output.tool_search_call",
                "tools are searched for at OpenAI",
            ),
            (
                "output.tool_search_output",
                "tools are searched for at OpenAI",
            ),
            ("output.web_search_call", "tools ran at OpenAI"),
            ("output.x_search_call", "tools ran at xAI"),
            ("output.file_search_call", "tools ran at OpenAI"),
            ("output.code_interpreter_call", "tools ran at OpenAI"),
            ("output.image_generation_call", "tools ran at OpenAI"),
            ("output.mcp_list_tools", "tools ran at OpenAI"),
            ("output.mcp_call", "tools ran at OpenAI"),
            ("output.mcp_approval_request", "tools ran at OpenAI"),
            ("output.shell_call", "this tool is OpenAI's own"),
            ("output.shell_call_output", "this tool is OpenAI's own"),
            ("output.local_shell_call", "this tool is OpenAI's own"),
            ("output.apply_patch_call", "this tool is OpenAI's own"),
            ("output.program", "programs that call tools run at OpenAI"),
            (
                "output.program_output",
                "programs that call tools run at OpenAI",
            ),
            ("output.compaction", "context is managed at OpenAI"),
        ],
    },
];

/// What Responses cannot be told.
pub(super) const UNTOLD: &[Group] = &[Group {
    from: Any,
    to: One(Responses),
    source: DOCUMENT,
    fields: &[
        ("seed", "Responses has no seed"),
        ("n", "Responses gives one answer per request"),
        ("top_k", "Responses has no top_k"),
        ("stop_sequences", "Responses takes no stop texts"),
        ("frequency_penalty", "Responses has no penalties"),
        ("presence_penalty", "Responses has no penalties"),
        (
            "cache_control",
            "only the newest models take marks; all cache by themselves",
        ),
        (
            "reasoning.budget_tokens",
            "Responses has levels of thinking; the nearest is sent",
        ),
        (
            "content.reasoning",
            "thinking that is not sealed is refused",
        ),
        ("content.audio", "Responses has no audio input"),
        (
            "content.image.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.file",
            "a file at one vendor is unknown to the other",
        ),
        (
            "content.document.text",
            "a document of text is sent as text",
        ),
        (
            "content.tool_result.is_error",
            "Responses has no mark of a failed tool; its text says so",
        ),
        (
            "citations.cited_text",
            "a citation has an address and a title, not the passage",
        ),
        (
            "stop_sequence",
            "Responses does not say which stop text came up",
        ),
        (
            "stop_reason.pause",
            "Responses has no pause; the answer ends",
        ),
    ],
}];
