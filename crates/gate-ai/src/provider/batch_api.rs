//! Vendors' own APIs for batches of requests, which cost less and take hours.
//!
//! A vendor's file says here whether it has one and in which format; that is the one place where it is
//! decided whether batches may be relayed to it. How a format is spoken is the business of
//! `tidegate/batches/relay`. Vendors whose batches lie in buckets (Bedrock's in S3, Vertex's in Cloud
//! Storage) and those with an API that nobody else has (xAI, Fireworks) have none here: their batches are
//! run by the gateway, request by request.

use crate::Dialect;
use crate::endpoint::{EmbeddingDialect, Operation};
use serde::{Deserialize, Serialize};

/// How batches are handed to a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchApi {
    /// Its wire format.
    pub format: BatchFormat,
    /// Where batches are, below the vendor's base address.
    pub batches: &'static str,
    /// Where files are, below the vendor's base address; empty where requests stand in the batch.
    pub files: &'static str,
    /// What it runs, each with the name that the vendor has for it. Of several conversations the first
    /// is the one that others are translated into.
    pub runs: &'static [(Operation, &'static str)],
    /// What a batch names as its endpoint, where that is not the name of what its requests ask for.
    pub endpoint: Option<&'static str>,
    /// Most bytes of one batch's requests.
    pub bytes_max: u64,
    /// Most requests of one batch.
    pub requests_max: u64,
}

/// Wire formats of vendors' batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFormat {
    /// A file of requests, a batch over it, files of results
    /// (<https://platform.openai.com/docs/api-reference/batch>).
    OpenAi,
    /// OpenAI's with other paths and shapes around it
    /// (<https://docs.together.ai/docs/inference/batch/overview>).
    Together,
    /// Requests inline, results in one stream
    /// (<https://docs.claude.com/en/api/creating-message-batches>).
    Anthropic,
    /// A file in a resumable upload, an operation, a file of responses
    /// (<https://ai.google.dev/gemini-api/docs/batch-api>).
    Gemini,
    /// A file of requests, a job over it, files of results
    /// (<https://docs.mistral.ai/capabilities/batch>).
    Mistral,
}

/// OpenAI's chat completions.
const CHAT: (Operation, &str) = (
    Operation::Conversation(Dialect::ChatCompletions),
    "/v1/chat/completions",
);
/// OpenAI's responses.
const RESPONSES: (Operation, &str) = (Operation::Conversation(Dialect::Responses), "/v1/responses");
/// OpenAI's embeddings.
const EMBEDDINGS: (Operation, &str) = (
    Operation::Embeddings(EmbeddingDialect::OpenAi),
    "/v1/embeddings",
);
/// OpenAI's moderations.
const MODERATIONS: (Operation, &str) = (Operation::Moderations, "/v1/moderations");

impl BatchApi {
    /// OpenAI's own: at most 50,000 requests in 200 MB.
    pub const OPENAI: Self = Self {
        format: BatchFormat::OpenAi,
        batches: "/batches",
        files: "/files",
        runs: &[
            CHAT,
            RESPONSES,
            EMBEDDINGS,
            (Operation::Completions, "/v1/completions"),
            MODERATIONS,
            (Operation::ImageGenerations, "/v1/images/generations"),
            (Operation::ImageEdits, "/v1/images/edits"),
        ],
        endpoint: None,
        bytes_max: 200_000_000,
        requests_max: 50_000,
    };

    /// Azure's: a batch names one endpoint whatever its requests ask for, which the vendor reads in its
    /// file (<https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch>).
    pub const AZURE: Self = Self {
        batches: "/openai/v1/batches",
        files: "/openai/v1/files",
        runs: &[CHAT, RESPONSES],
        endpoint: Some("/chat/completions"),
        requests_max: 100_000,
        ..Self::OPENAI
    };

    /// Groq's: chat completions alone (<https://console.groq.com/docs/batch>).
    pub const GROQ: Self = Self {
        runs: &[CHAT],
        bytes_max: 100_000_000,
        ..Self::OPENAI
    };

    /// Together's: chat completions, 50,000 requests in 100 MB.
    pub const TOGETHER: Self = Self {
        format: BatchFormat::Together,
        ..Self::GROQ
    };

    /// Anthropic's: 100,000 messages in 256 MiB.
    pub const ANTHROPIC: Self = Self {
        format: BatchFormat::Anthropic,
        batches: "/messages/batches",
        files: "",
        runs: &[(
            Operation::Conversation(Dialect::Messages),
            crate::batch::MESSAGES,
        )],
        endpoint: None,
        bytes_max: crate::batch::ANTHROPIC_BYTES_MAX,
        requests_max: crate::batch::ANTHROPIC_REQUESTS_MAX,
    };

    /// Gemini's: a file of at most 2 GB; embeddings have a method of their own
    /// (<https://ai.google.dev/api/batch-api>).
    pub const GEMINI: Self = Self {
        format: BatchFormat::Gemini,
        batches: "/batches",
        files: "/files",
        runs: &[
            (
                Operation::Conversation(Dialect::GenerateContent),
                "batchGenerateContent",
            ),
            (
                Operation::Embeddings(EmbeddingDialect::GeminiOne),
                "asyncBatchEmbedContent",
            ),
        ],
        endpoint: None,
        bytes_max: 2_000_000_000,
        requests_max: u64::MAX,
    };

    /// Mistral's: at most a million requests, in files of 512 MB
    /// (<https://docs.mistral.ai/capabilities/batch>).
    pub const MISTRAL: Self = Self {
        format: BatchFormat::Mistral,
        batches: "/batch/jobs",
        files: "/files",
        runs: &[CHAT, EMBEDDINGS, MODERATIONS],
        endpoint: None,
        bytes_max: 512_000_000,
        requests_max: 1_000_000,
    };

    /// What is sent for requests that ask for `asked`, and the vendor's name for it: the same where the
    /// vendor runs that in batches, else what it can be translated to.
    #[must_use]
    pub fn running(&self, asked: Operation) -> Option<(Operation, &'static str)> {
        let find = |fits: &dyn Fn(Operation) -> bool| {
            self.runs.iter().find(|(runs, _)| fits(*runs)).copied()
        };
        find(&|runs| runs == asked).or_else(|| match asked {
            Operation::Conversation(_) => find(&|runs| matches!(runs, Operation::Conversation(_))),
            Operation::Embeddings(_) => find(&|runs| matches!(runs, Operation::Embeddings(_))),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vendor_runs_is_not_translated_and_the_rest_is_where_it_can_be() {
        let chat = Operation::Conversation(Dialect::ChatCompletions);
        let messages = Operation::Conversation(Dialect::Messages);
        assert_eq!(BatchApi::OPENAI.running(chat), Some(CHAT));
        assert_eq!(BatchApi::OPENAI.running(messages), Some(CHAT));
        assert_eq!(BatchApi::MISTRAL.running(EMBEDDINGS.0), Some(EMBEDDINGS));
        let (sent, name) = BatchApi::GEMINI.running(EMBEDDINGS.0).unwrap();
        assert_eq!(
            (sent, name),
            (
                Operation::Embeddings(EmbeddingDialect::GeminiOne),
                "asyncBatchEmbedContent"
            )
        );
        assert_eq!(BatchApi::GEMINI.running(Operation::Moderations), None);
        assert_eq!(BatchApi::ANTHROPIC.running(EMBEDDINGS.0), None);
        assert_eq!(BatchApi::GROQ.running(EMBEDDINGS.0), None);
    }
}
