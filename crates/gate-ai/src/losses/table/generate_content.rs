//! Losses of generateContent: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::GenerateContent;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str = "https://ai.google.dev/api/generate-content";

/// What only generateContent says.
pub(super) const SAID: &[Group] = &[
    Group {
        from: One(GenerateContent),
        to: Any,
        source: DOCUMENT,
        fields: &[
            ("cachedContent", "a cache that Google keeps"),
            ("safetySettings", "filters run at Google"),
            ("labels", "labels for Google's bills"),
            ("modelArmorConfig", "filters run at Google"),
            ("serviceTier", "this scheduling class is the vendor's own"),
            (
                "generationConfig.responseModalities",
                "answers are translated as text only",
            ),
            (
                "generationConfig.responseMimeType",
                "other vendors answer in text or JSON",
            ),
            ("generationConfig.*", "other vendors have no such setting"),
            ("contents.*", "this member of a turn is no other vendor's"),
            (
                "content.inlineData.*",
                "bytes of a kind that no other vendor takes",
            ),
            (
                "content.fileData.*",
                "other vendors take audio inline, no videos, and no files that Google keeps",
            ),
            ("content.thought", "thoughts that are no text"),
            ("content.executableCode", "code that ran at Google"),
            ("content.codeExecutionResult", "code that ran at Google"),
            ("content.toolCall", "tools ran at Google"),
            ("content.toolResponse", "tools ran at Google"),
            ("content.videoMetadata", "no other vendor takes videos"),
            (
                "content.mediaResolution",
                "other vendors choose the resolution themselves",
            ),
            ("content.partMetadata", "labels of parts are Google's"),
            (
                "content.functionCall.*",
                "arguments arrive piece by piece in streams only",
            ),
            (
                "content.functionResponse.*",
                "only Google is told how to go on while a tool runs",
            ),
        ],
    },
    Group {
        from: One(GenerateContent),
        to: Any,
        source: "https://ai.google.dev/api/caching#Tool",
        fields: &[
            (
                "tools.functionDeclarations.*",
                "other vendors know a tool's name, description and parameters",
            ),
            ("tools.*", "this kind of tool runs at Google"),
            (
                "toolConfig.functionCallingConfig.mode.VALIDATED",
                "elsewhere a tool itself says whether its arguments follow the schema",
            ),
            (
                "toolConfig.*",
                "settings of streamed arguments and of tools that run at Google",
            ),
        ],
    },
    Group {
        from: One(GenerateContent),
        to: Any,
        source: "https://ai.google.dev/api/generate-content#candidate",
        fields: &[
            (
                "candidates",
                "other vendors give one answer; the first one was kept",
            ),
            ("candidates.avgLogprobs", "a mean that only Google gives"),
            ("candidates.finishMessage", "only Google explains an end"),
            ("candidates.safetyRatings", "verdicts of Google's filters"),
            (
                "candidates.urlContextMetadata",
                "pages that Google has read for a tool of its own",
            ),
            ("candidates.tokenCount", "the usage says it"),
            (
                "candidates.logprobsResult.*",
                "numbers of tokens in Google's vocabulary, and sums",
            ),
            (
                "candidates.groundingAttributions",
                "sources in the form of an older model",
            ),
            (
                "promptFeedback.*",
                "verdicts of Google's filters on the prompt",
            ),
            ("modelStatus", "the age of a model at Google"),
            (
                "finishReason.*",
                "other vendors have no such end; the answer ends",
            ),
            (
                "groundingMetadata.groundingSupports",
                "a stream tells its stretches when the text has gone out",
            ),
            (
                "groundingMetadata.*",
                "queries, excerpts and sources without an address are Google's",
            ),
            (
                "citationMetadata.*",
                "places and licences of quotations are Google's",
            ),
        ],
    },
];

/// What generateContent cannot be told.
pub(super) const UNTOLD: &[Group] = &[Group {
    from: Any,
    to: One(GenerateContent),
    source: DOCUMENT,
    fields: &[
        ("user", "Google takes no id of the end user"),
        (
            "service_tier",
            "Google's services take scheduling classes in different places",
        ),
        (
            "cache_control",
            "Google caches by itself, or by a name made before",
        ),
        ("prompt_cache_key", "Google has no keys of caches"),
        (
            "prompt_cache_retention",
            "Google keeps caches made before as long as they were made for",
        ),
        ("store", "Google does not keep answers"),
        ("metadata", "Google does not keep answers, nor their labels"),
        ("verbosity", "Google is not told how wordy to be"),
        (
            "reasoning.summary",
            "Google has one form of thoughts to show",
        ),
        (
            "reasoning.effort",
            "the model has no such level; the nearest is sent",
        ),
        (
            "reasoning.off",
            "the model always thinks; the least is asked for",
        ),
        (
            "parallel_tool_calls",
            "Google has no limit on calls in one turn",
        ),
        (
            "messages.system",
            "later instructions move in front of the conversation, their only place",
        ),
        ("messages.system.content", "instructions are text only"),
        (
            "content.reasoning.signature",
            "no vendor takes another's signature; the thought itself is sent",
        ),
        (
            "content.image.detail",
            "Google sets the resolution for a whole request",
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
            "content.document.title",
            "parts with data have no name here",
        ),
        (
            "content.tool_result.content",
            "before Gemini 3 tools answer in text only; the rest stands beside it",
        ),
        (
            "content.tool_call.arguments",
            "a call whose arguments are no object ends the answer as malformed",
        ),
        (
            "content.text.citations",
            "what is sent has no sources, only what is answered",
        ),
        (
            "content.text.citations.cited_text",
            "Google's sources have no excerpt",
        ),
        (
            "content.text.citations.reference",
            "a reference that only the other vendor can read",
        ),
        (
            "content.text.citations.span",
            "in a stream sources stand at what has gone out so far",
        ),
        (
            "stop_sequence",
            "Google does not say which stop text came up",
        ),
        ("stop_reason.pause", "Google has no pause; the answer ends"),
    ],
}];
