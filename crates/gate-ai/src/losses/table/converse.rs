//! Losses of Converse: what only it says, and what it cannot be told.

use super::super::Group;
use crate::Dialect::Converse;
use crate::losses::Dialects::{Any, One};

const DOCUMENT: &str =
    "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html";
const MODELS: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html";

/// What only Converse says.
pub(super) const SAID: &[Group] = &[Group {
    from: One(Converse),
    to: Any,
    source: DOCUMENT,
    fields: &[
        (
            "additionalModelRequestFields.*",
            "a field of one model's own that has no other name",
        ),
        (
            "additionalModelResponseFields",
            "a field of one model's own that has no other name",
        ),
        (
            "additionalModelResponseFieldPaths",
            "only Bedrock's models have fields of their own",
        ),
        ("guardrailConfig", "guardrails run at Bedrock"),
        ("trace", "guardrails run at Bedrock"),
        (
            "content.guardContent",
            "what a guardrail is to look at is sent without the mark",
        ),
        ("performanceConfig", "only Bedrock has models made faster"),
        ("promptVariables", "prompts are kept at Bedrock"),
        (
            "serviceTier",
            "reserved capacity belongs to Bedrock, and streams name no class",
        ),
        ("metrics", "only Bedrock says how long it took"),
        ("outputConfig.effort", "this level of thinking is unknown"),
        ("tools.systemTool", "this tool runs at Bedrock"),
        (
            "tools.cachePoint",
            "a mark of the cache before the first tool marks nothing",
        ),
        (
            "content.cachePoint",
            "a mark of the cache before the first block marks nothing",
        ),
        ("content.toolUse.server_tool_use", "the tool ran at Bedrock"),
        ("content.toolResult.type", "the tool ran at Bedrock"),
        ("content.toolResult", "the tool ran at Bedrock"),
        (
            "content.toolAddition",
            "tools are added in the middle at Bedrock only",
        ),
        (
            "content.toolRemoval",
            "tools are removed in the middle at Bedrock only",
        ),
        (
            "content.searchResult",
            "only Converse and Messages have results of a search",
        ),
        ("content.video", "videos are not translated"),
        (
            "content.audio.format",
            "audio in this form or place has no other name",
        ),
        ("content.redactedContent", "hidden thinking that is no text"),
        (
            "content.image",
            "an image whose source is unknown, or in a stream",
        ),
        (
            "content.image.s3Location.bucketOwner",
            "objects of S3 are fetched by Bedrock",
        ),
        ("content.document", "a document whose source is unknown"),
        (
            "content.document.s3Location.bucketOwner",
            "objects of S3 are fetched by Bedrock",
        ),
        (
            "content.document.content",
            "a document in pieces is sent as one text",
        ),
        (
            "content.document.citations",
            "documents are cited by the vendor's own choice",
        ),
        (
            "content.document.context",
            "documents have no context elsewhere",
        ),
        (
            "content.text.citations.document",
            "citations of documents have no place elsewhere",
        ),
        (
            "stop_reason.malformed",
            "only Bedrock says that the model's output is malformed",
        ),
    ],
}];

/// What Converse cannot be told.
pub(super) const UNTOLD: &[Group] = &[
    Group {
        from: Any,
        to: One(Converse),
        source: DOCUMENT,
        fields: &[
            ("seed", "Converse has no seed"),
            ("n", "Converse gives one answer per request"),
            ("logprobs", "Converse gives no log probabilities"),
            ("frequency_penalty", "Converse has no penalties"),
            ("presence_penalty", "Converse has no penalties"),
            ("user", "Converse has no id of the end user"),
            ("store", "Bedrock stores nothing to be read back"),
            (
                "metadata",
                "labels with letters that Bedrock's labels cannot have",
            ),
            ("verbosity", "Converse has no choice of verbosity"),
            (
                "prompt_cache_key",
                "Converse marks caches in the prompt, not by a key",
            ),
            (
                "prompt_cache_retention",
                "Converse marks caches in the prompt, not for the request",
            ),
            ("reasoning.summary", "Converse has no choice of summaries"),
            (
                "parallel_tool_calls",
                "Converse cannot forbid calls in parallel",
            ),
            (
                "tool_choice.none",
                "Converse cannot forbid calls where earlier turns have some",
            ),
            (
                "temperature",
                "Converse ends at 1; higher temperatures are sent as 1",
            ),
            (
                "response_format.json_object",
                "Converse has JSON with a schema only",
            ),
            (
                "messages.system",
                "later instructions move in front of the conversation, their only place",
            ),
            ("messages.system.content", "instructions are text only"),
            ("content.image.url", "Bedrock fetches images from S3 only"),
            (
                "content.image.file",
                "a file at one vendor is unknown to the other",
            ),
            (
                "content.image.media_type",
                "Bedrock does not take this kind of image",
            ),
            (
                "content.image.detail",
                "Converse chooses the resolution itself",
            ),
            (
                "content.document.url",
                "Bedrock fetches documents from S3 only",
            ),
            (
                "content.document.file",
                "a file at one vendor is unknown to the other",
            ),
            (
                "content.document.media_type",
                "Bedrock does not take this kind of document",
            ),
            (
                "content.reasoning",
                "thinking without a signature is refused",
            ),
            (
                "content.document.title",
                "names of documents have fewer letters here, and have to differ",
            ),
            (
                "usage.reasoning_tokens",
                "Converse counts thinking among the other tokens",
            ),
            (
                "usage.audio_tokens",
                "Converse counts audio among the other tokens",
            ),
            (
                "stop_reason.pause",
                "Converse has no pause; the answer ends",
            ),
        ],
    },
    Group {
        from: Any,
        to: One(Converse),
        source: MODELS,
        fields: &[
            ("top_k", "this model on Bedrock has no top_k that we know"),
            (
                "reasoning",
                "this model on Bedrock has no choice of thinking that we know",
            ),
            (
                "reasoning.budget_tokens",
                "this model has levels of thinking; the nearest is sent",
            ),
            (
                "reasoning.effort",
                "this model has no such level; the nearest is sent",
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
            ("cache_control", "this model on Bedrock caches no prompts"),
        ],
    },
];
