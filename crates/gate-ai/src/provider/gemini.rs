//! Gemini, in Google's API for developers.
//!
//! ```yaml
//! providers:
//!   google: { gemini: { credentials: [{ env: GEMINI_API_KEY }] } }
//! ```
//!
//! Conversations of callers in other dialects are translated into generateContent, which can say
//! more than Google's own compatible interface; embeddings in OpenAI's format go to that one.
//! Vendor's description: <https://ai.google.dev/api>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::{
    BatchApi, CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served, StreamUsage,
};
use crate::{Dialect, Operation};
use std::borrow::Cow;

/// What sets Gemini apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "gemini",
    telemetry_name: "gcp.gemini",
    dialect: Dialect::GenerateContent,
    base_url: "https://generativelanguage.googleapis.com/v1beta",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::GenerateContent),
            "/models/{model}:generateContent",
        )
        .streamed_at("/models/{model}:streamGenerateContent?alt=sse")
        .model_in_path(),
        Served::at(
            Operation::CountTokens(Dialect::GenerateContent),
            "/models/{model}:countTokens",
        )
        .model_in_path(),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::GeminiOne),
            "/models/{model}:embedContent",
        )
        .model_in_path(),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::GeminiBatch),
            "/models/{model}:batchEmbedContents",
        )
        .model_in_path(),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/openai/embeddings",
        ),
    ],
    batches: Some(BatchApi::GEMINI),
    credential: CredentialPlace::Header(Cow::Borrowed("x-goog-api-key")),
    required_headers: &[],
    forwarded_headers: &["x-goog-api-client"],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        ..Quirks::OPENAI
    },
    documentation: "https://ai.google.dev/api",
    example: "{ gemini: { credentials: [{ env: GEMINI_API_KEY }] } }",
};

/// Configuration of a `gemini` provider.
pub type Config = ProviderConfig;
