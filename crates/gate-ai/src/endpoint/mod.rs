//! What a call to an AI route asks for, read from its method, path and query alone.
//!
//! An [`Endpoint`] names the operation (a conversation in a dialect, embeddings, a file's content),
//! where the model's name stands, and whether the path itself says that the answer is streamed. It
//! never sees a header or a body. Which vendor path serves an operation is the business of
//! [`crate::provider`]; the paths of callers are read in `paths.rs`.

mod paths;

use crate::Dialect;
use gate_kit::http::Method;
use std::borrow::Cow;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A turn of a conversation.
    Conversation(Dialect),
    /// A turn of a conversation in the model vendor's own format, by Bedrock's InvokeModel
    /// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>).
    Invoke {
        /// Whether the answer is a stream of frames.
        stream: bool,
    },
    /// Text completion of a bare prompt, OpenAI's older interface.
    Completions,
    /// Vectors for texts.
    Embeddings(EmbeddingDialect),
    /// Documents in order of relevance.
    Rerank(RerankDialect),
    /// Images from a prompt.
    ImageGenerations,
    /// Images from images and a prompt; a multipart form.
    ImageEdits,
    /// Images like an image; a multipart form.
    ImageVariations,
    /// Audio from text.
    Speech,
    /// Text from audio; a multipart form.
    Transcriptions,
    /// English text from audio; a multipart form.
    Translations,
    /// Whether content is harmful.
    Moderations,
    /// How many tokens a conversation of this dialect would have.
    CountTokens(Dialect),
    /// Files at the provider: upload, list, read, delete.
    Files,
    /// Batches of requests at the provider, created, listed, read and cancelled.
    Batches(BatchDialect),
    /// Conversations that the provider keeps: read, deleted, cancelled by id.
    StoredResponses,
    /// The models that the caller may use, or one of them. The gateway answers this itself.
    Models(ModelsDialect),
    /// A session over WebSocket (OpenAI Realtime).
    Realtime,
}

/// Wire formats of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmbeddingDialect {
    /// `input`, `dimensions`; `data[].embedding`
    /// (<https://platform.openai.com/docs/api-reference/embeddings>). Most vendors speak it.
    OpenAi,
    /// `texts`, `output_dimension`; `embeddings.float[]`
    /// (<https://docs.cohere.com/reference/embed>).
    Cohere,
    /// `requests[].content`; `embeddings[].values`
    /// (<https://ai.google.dev/api/embeddings>). One request has several contents.
    GeminiBatch,
    /// `content`; `embedding.values`, the same for one content.
    GeminiOne,
}

/// Wire formats of rerank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RerankDialect {
    /// `top_n`; `results[].relevance_score` (<https://docs.cohere.com/reference/rerank>). Most
    /// vendors speak it.
    Cohere,
    /// `top_k`; `data[].relevance_score` (<https://docs.voyageai.com/reference/reranker-api>).
    Voyage,
}

/// Wire formats of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchDialect {
    /// `/v1/batches` (<https://platform.openai.com/docs/api-reference/batch>).
    OpenAi,
    /// `/v1/messages/batches` (<https://docs.claude.com/en/api/creating-message-batches>).
    Anthropic,
    /// `/v1/batch/jobs` (<https://docs.mistral.ai/api/#tag/batch>).
    Mistral,
}

/// Whose list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelsDialect {
    /// `/v1/models`: OpenAI's, or Anthropic's where the caller sends `anthropic-version`.
    V1,
    /// `/v1beta/models` (<https://ai.google.dev/api/models>).
    Gemini,
}

impl Operation {
    /// Every operation in every wire format.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_dialects = Dialect::ALL
            .into_iter()
            .flat_map(|dialect| [Self::Conversation(dialect), Self::CountTokens(dialect)]);
        of_dialects.chain(OTHERS.iter().copied())
    }

    /// The operation as `gen_ai.operation.name` of OpenTelemetry spells it where it has a name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conversation(_) | Self::Invoke { .. } => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings(_) => "embeddings",
            Self::Rerank(_) => "rerank",
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations => "image_generation",
            Self::Speech => "speech",
            Self::Transcriptions => "transcription",
            Self::Translations => "translation",
            Self::Moderations => "moderation",
            Self::CountTokens(_) => "count_tokens",
            Self::Files => "files",
            Self::Batches(_) => "batches",
            Self::StoredResponses => "stored_responses",
            Self::Models(_) => "models",
            Self::Realtime => "realtime",
        }
    }

    /// The wire format, where the operation has several.
    #[must_use]
    pub const fn format(self) -> Option<&'static str> {
        Some(match self {
            Self::Conversation(dialect) | Self::CountTokens(dialect) => dialect.as_str(),
            Self::Embeddings(EmbeddingDialect::OpenAi) | Self::Batches(BatchDialect::OpenAi) => {
                "openai"
            }
            Self::Embeddings(EmbeddingDialect::Cohere) | Self::Rerank(RerankDialect::Cohere) => {
                "cohere"
            }
            Self::Embeddings(EmbeddingDialect::GeminiBatch) => "gemini_batch",
            Self::Embeddings(EmbeddingDialect::GeminiOne) => "gemini",
            Self::Rerank(RerankDialect::Voyage) => "voyage",
            Self::Batches(BatchDialect::Anthropic) => "anthropic",
            Self::Batches(BatchDialect::Mistral) => "mistral",
            Self::Models(ModelsDialect::Gemini) => "gemini",
            Self::Invoke { stream: false } => "invoke",
            Self::Invoke { stream: true } => "invoke_stream",
            _ => return None,
        })
    }

    /// The dialect in which this operation's errors are told.
    #[must_use]
    pub fn error_dialect(self) -> Dialect {
        match self {
            Self::Conversation(dialect) | Self::CountTokens(dialect) => dialect,
            Self::Batches(BatchDialect::Anthropic) => Dialect::Messages,
            Self::Invoke { .. } => Dialect::Converse,
            Self::Embeddings(EmbeddingDialect::GeminiBatch | EmbeddingDialect::GeminiOne)
            | Self::Models(ModelsDialect::Gemini) => {
                Dialect::named("generate_content").unwrap_or(Dialect::ChatCompletions)
            }
            _ => Dialect::ChatCompletions,
        }
    }
}

/// The operations that do not depend on a dialect of conversations.
const OTHERS: &[Operation] = &[
    Operation::Invoke { stream: false },
    Operation::Invoke { stream: true },
    Operation::Completions,
    Operation::Embeddings(EmbeddingDialect::OpenAi),
    Operation::Embeddings(EmbeddingDialect::Cohere),
    Operation::Embeddings(EmbeddingDialect::GeminiBatch),
    Operation::Embeddings(EmbeddingDialect::GeminiOne),
    Operation::Rerank(RerankDialect::Cohere),
    Operation::Rerank(RerankDialect::Voyage),
    Operation::ImageGenerations,
    Operation::ImageEdits,
    Operation::ImageVariations,
    Operation::Speech,
    Operation::Transcriptions,
    Operation::Translations,
    Operation::Moderations,
    Operation::Files,
    Operation::Batches(BatchDialect::OpenAi),
    Operation::Batches(BatchDialect::Anthropic),
    Operation::Batches(BatchDialect::Mistral),
    Operation::StoredResponses,
    Operation::Realtime,
];

/// Where the model's name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace<'a> {
    /// In the member `model` of the JSON body.
    Body,
    /// In the path, decoded here.
    Path(Cow<'a, str>),
    /// In the field `model` of the multipart form.
    Form,
    /// In the query, decoded here.
    Query(Cow<'a, str>),
    /// Nowhere: the call is about something that a provider keeps.
    Absent,
}

/// What one call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The operation.
    pub operation: Operation,
    /// Where the model's name stands.
    pub model: ModelPlace<'a>,
    /// Whether the answer is a stream, where the path says so; otherwise the body does.
    pub streams: Option<bool>,
    /// What follows the operation's own path, with its slash: `/file-1/content`. Empty for
    /// operations that are one path.
    pub rest: &'a str,
}

/// Why a call asks for nothing that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEndpoint {
    /// No endpoint has this path.
    Path,
    /// The endpoint of this path does not take the method.
    Method,
}

impl<'a> Endpoint<'a> {
    /// What a call with this method, path (in its one spelling) and query asks for.
    ///
    /// # Errors
    /// [`NoEndpoint`] when no endpoint has this path, or not with this method.
    #[inline]
    pub fn of(method: &Method, path: &'a str, query: Option<&'a str>) -> Result<Self, NoEndpoint> {
        // The two busiest paths need no search.
        let dialect = match path {
            "/v1/chat/completions" => Dialect::ChatCompletions,
            "/v1/messages" => Dialect::Messages,
            _ => return paths::endpoint(method, path, query),
        };
        match method {
            Method::Post => Ok(Self::in_body(Operation::Conversation(dialect))),
            _ => Err(NoEndpoint::Method),
        }
    }

    /// An endpoint whose body names the model and says whether it streams.
    const fn in_body(operation: Operation) -> Self {
        Self {
            operation,
            model: ModelPlace::Body,
            streams: None,
            rest: "",
        }
    }
}
