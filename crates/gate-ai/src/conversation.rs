//! The neutral form that every dialect decodes into and encodes from.
//!
//! It is the union of what the dialects can say, named once, borrowing from the document it was
//! read from. A dialect's decoder puts everything here that has a place; its encoder reports what
//! it finds here and cannot say. Nothing here knows any vendor's field names.

use crate::Usage;
use std::borrow::Cow;

/// Text borrowed from a document where it had no escapes.
pub type Text<'a> = Cow<'a, str>;

/// Opens signatures of Google's thoughts, because no vendor takes another's: encoders for others
/// leave thoughts with it out and say so.
pub(crate) const GOOGLE_SIGNATURE: &str = "google:";

/// A request for a model's turn.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The model as the caller named it.
    pub model: Text<'a>,
    /// The turns so far, system instructions included, in order.
    pub messages: Vec<Message<'a>>,
    /// Tools that the caller runs.
    pub tools: Vec<Tool<'a>>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether several tools may be called in one turn; the provider's default when absent.
    pub parallel_tool_calls: Option<bool>,
    /// The form the answer must have.
    pub format: Option<Format<'a>>,
    /// How much the model may think.
    pub reasoning: Option<Reasoning>,
    /// Most tokens to produce, thinking included.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, in the caller's dialect's own range.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sampling from the k likeliest tokens.
    pub top_k: Option<f64>,
    /// Penalty on frequent tokens.
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens already present.
    pub presence_penalty: Option<f64>,
    /// Seed for reproducible sampling, as its JSON text.
    pub seed: Option<Text<'a>>,
    /// Number of alternative answers; one when absent.
    pub candidates: Option<u64>,
    /// Log probabilities wanted, with this many alternatives per token.
    pub logprobs: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'a>>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether a streamed answer must end with usage, where the dialect makes that a choice.
    pub include_usage: bool,
    /// An opaque id of the end user.
    pub user: Option<Text<'a>>,
    /// Scheduling class.
    pub service_tier: Option<ServiceTier>,
    /// A cache marker for the whole prompt, as its JSON text.
    pub cache: Option<Text<'a>>,
    /// Caches are shared by requests with the same key.
    pub prompt_cache_key: Option<Text<'a>>,
    /// How long the vendor keeps the prompt cached (`in_memory`, `24h`).
    pub prompt_cache_retention: Option<Text<'a>>,
    /// How the vendor caches the prompt: OpenAI's object, as its JSON text.
    pub prompt_cache_options: Option<Text<'a>>,
    /// How the vendor moderates: OpenAI's object, as its JSON text.
    pub moderation: Option<Text<'a>>,
    /// Which vendors a router may use: OpenRouter's object, as its JSON text.
    pub routing: Option<Text<'a>>,
    /// Whether the vendor keeps the answer to be read back; its default when absent.
    pub store: Option<bool>,
    /// Labels of a stored answer: a JSON object of strings, as its JSON text.
    pub metadata: Option<Text<'a>>,
    /// How wordy the answer should be (`low`, `medium`, `high`).
    pub verbosity: Option<Text<'a>>,
    /// How the model's thinking is to be summarised (`auto`, `concise`, `detailed`).
    pub reasoning_summary: Option<Text<'a>>,
}

/// Scheduling class of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceTier {
    /// Whatever the account has bought.
    Auto,
    /// The standard class only.
    Standard,
    /// Cheaper and slower, without a promise of capacity.
    Flex,
    /// Dearer and faster.
    Priority,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator of the application.
    System,
    /// The end user, and tools answering.
    User,
    /// The model.
    Assistant,
}

/// One turn, or a piece of one: dialects differ in whether neighbours of one role are merged.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part<'a>>,
}

/// A piece of a turn.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The piece.
    pub content: Content<'a>,
    /// A prompt-cache marker after this piece, as its JSON text.
    pub cache: Option<Text<'a>>,
}

impl Content<'_> {
    /// What seals a thought that vendors other than Google may be handed: the signature, or the
    /// thought itself where only its vendor can read it.
    pub(crate) fn seal_for_others(&self) -> Option<&str> {
        let seal = match self {
            Self::Reasoning { signature, .. } => signature.as_deref()?,
            Self::RedactedReasoning(data) => data,
            _ => return None,
        };
        (!seal.starts_with(GOOGLE_SIGNATURE)).then_some(seal)
    }
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self {
            content,
            cache: None,
        }
    }
}

/// What a piece of a turn is.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Text, with what it cites.
    Text {
        /// The text.
        text: Text<'a>,
        /// Its sources.
        citations: Vec<Citation<'a>>,
    },
    /// The model's refusal to answer.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// Its bytes or where they are.
        source: Source<'a>,
        /// Resolution wanted (`low`, `high`, `auto`).
        detail: Option<Text<'a>>,
    },
    /// A document (PDF or text).
    Document {
        /// Its bytes or where they are.
        source: Source<'a>,
        /// Its title or file name.
        title: Option<Text<'a>>,
    },
    /// Audio input.
    Audio {
        /// Base64 data.
        data: Text<'a>,
        /// `wav` or `mp3`.
        format: Text<'a>,
    },
    /// The model's thinking.
    Reasoning {
        /// The thinking, possibly a summary of it.
        text: Text<'a>,
        /// The vendor's signature, needed to hand it back.
        signature: Option<Text<'a>>,
    },
    /// Thinking that only the vendor can read.
    RedactedReasoning(Text<'a>),
    /// The model calls a tool.
    ToolCall {
        /// Joins the call to its result.
        id: Text<'a>,
        /// The tool.
        name: Text<'a>,
        /// The arguments, as JSON text exactly as the model wrote them.
        arguments: Text<'a>,
    },
    /// A tool answers.
    ToolResult {
        /// The call it answers.
        id: Text<'a>,
        /// The answer: texts, images, documents.
        parts: Vec<Part<'a>>,
        /// Whether the tool failed.
        is_error: bool,
    },
}

/// Where the bytes of an image or document are.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// Inline.
    Base64 {
        /// Media type, such as `image/png`.
        media_type: Text<'a>,
        /// The data in base64.
        data: Text<'a>,
    },
    /// At an address that the provider fetches.
    Url(Text<'a>),
    /// In the provider's own file store.
    File(Text<'a>),
    /// Plain text.
    Text(Text<'a>),
}

/// A source that a text cites.
#[derive(Debug, Clone, Default)]
pub struct Citation<'a> {
    /// The page.
    pub url: Text<'a>,
    /// Its title.
    pub title: Option<Text<'a>>,
    /// The passage of the page.
    pub cited_text: Option<Text<'a>>,
    /// The vendor's reference, needed to hand the citation back.
    pub reference: Option<Text<'a>>,
    /// The characters of the text that it stands behind, from and up to, counted from the start of
    /// the piece of text; all of it when absent.
    pub span: Option<(u64, u64)>,
}

/// How likely the model found a token of its answer.
#[derive(Debug, Clone, Default)]
pub struct TokenLogprob<'a> {
    /// The token's text.
    pub token: Text<'a>,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, as a JSON list: a token may be part of a character.
    pub bytes: Option<Text<'a>>,
    /// The likeliest tokens at its place; they have none themselves.
    pub top: Vec<TokenLogprob<'a>>,
}

/// A tool that the caller runs.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// JSON Schema of its arguments, as JSON text; absent means no arguments.
    pub schema: Option<Text<'a>>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// A prompt-cache marker after this tool, as its JSON text.
    pub cache: Option<Text<'a>>,
}

/// Whether and which tool must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Required,
    /// This tool.
    Tool(Text<'a>),
    /// None but these tools.
    Allowed {
        /// Their names.
        names: Vec<Text<'a>>,
        /// Whether one of them must be called.
        required: bool,
    },
}

/// The form the answer must have.
#[derive(Debug, Clone)]
pub enum Format<'a> {
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// A name for it.
        name: Option<Text<'a>>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The schema, as JSON text.
        schema: Text<'a>,
        /// Whether it must be followed exactly.
        strict: Option<bool>,
    },
}

/// How much the model may think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// As much as the model finds right.
    Adaptive(Option<Effort>),
    /// At most this many tokens.
    Budget(u64),
}

/// A level of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is its level")]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// Every level, lowest first.
    pub const ALL: [Self; 6] = [
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::XHigh,
        Self::Max,
    ];

    /// The level's usual name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == name)
    }

    /// Tokens of thinking that stand for this level where a dialect counts tokens.
    #[must_use]
    pub const fn budget(self) -> u64 {
        match self {
            Self::Minimal => 1_024,
            Self::Low => 2_048,
            Self::Medium => 8_192,
            Self::High => 16_384,
            Self::XHigh => 24_576,
            Self::Max => 32_000,
        }
    }

    /// The level that stands for this many tokens where a dialect knows levels only.
    #[must_use]
    pub const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0..=2_048 => Self::Low,
            2_049..=8_192 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It had said what it wanted to say.
    EndTurn,
    /// The limit of tokens was reached.
    MaxTokens,
    /// The context window was full.
    ContextWindow,
    /// One of the caller's stop texts came up.
    StopSequence,
    /// It waits for tools.
    ToolCall,
    /// It refused, or a filter cut it.
    Refusal,
    /// The provider paused a long turn; the caller is to send it back.
    Pause,
}

/// A model's whole turn.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// The provider's id for it.
    pub id: Text<'a>,
    /// The model as the provider names it.
    pub model: Text<'a>,
    /// When it was made, in seconds since 1970, where the dialect says.
    pub created: Option<u64>,
    /// What the model said, in order.
    pub parts: Vec<Part<'a>>,
    /// Why it stopped.
    pub stop: Stop,
    /// The stop text that came up.
    pub stop_sequence: Option<Text<'a>>,
    /// What it cost in tokens.
    pub usage: Option<Usage>,
    /// The likelihoods of the text's tokens, where they were asked for.
    pub logprobs: Vec<TokenLogprob<'a>>,
    /// The scheduling class that served it, in the vendor's word.
    pub service_tier: Option<Text<'a>>,
}

/// One step of a streamed turn. Blocks are numbered from zero in order of their start; several may
/// be open at once.
#[derive(Debug, Clone)]
pub enum StreamEvent<'a> {
    /// The turn begins.
    Start {
        /// The provider's id for it.
        id: Text<'a>,
        /// When it was made, in seconds since 1970, where the dialect says.
        created: Option<u64>,
    },
    /// A block begins.
    BlockStart {
        /// Its number.
        index: u32,
        /// Its kind.
        block: Block<'a>,
    },
    /// More text of a text block.
    Text {
        /// The block.
        index: u32,
        /// The piece.
        text: Text<'a>,
    },
    /// The likelihoods of the tokens in the next piece of a text block.
    Logprobs {
        /// The block.
        index: u32,
        /// The tokens, in order.
        tokens: Vec<TokenLogprob<'a>>,
    },
    /// More thinking of a reasoning block.
    Reasoning {
        /// The block.
        index: u32,
        /// The piece.
        text: Text<'a>,
    },
    /// The signature of a reasoning block.
    Signature {
        /// The block.
        index: u32,
        /// The signature, whole.
        signature: Text<'a>,
    },
    /// More argument text of a tool call.
    Arguments {
        /// The block.
        index: u32,
        /// The piece.
        json: Text<'a>,
    },
    /// A source that a text block cites.
    Citation {
        /// The block.
        index: u32,
        /// The source.
        citation: Citation<'a>,
    },
    /// A block is complete.
    BlockStop {
        /// The block.
        index: u32,
    },
    /// The model stopped; usage may still follow.
    Finish {
        /// Why.
        stop: Stop,
        /// The stop text that came up.
        stop_sequence: Option<Text<'a>>,
    },
    /// Counts so far; later ones replace earlier ones.
    Usage(Usage),
    /// The stream is complete.
    End,
    /// The provider failed in the middle.
    Error {
        /// Its own word for the failure.
        kind: Text<'a>,
        /// Its message.
        message: Text<'a>,
    },
}

/// The kind of a streamed block.
#[derive(Debug, Clone)]
pub enum Block<'a> {
    /// Text follows.
    Text,
    /// A refusal follows, as pieces of text.
    Refusal,
    /// Thinking follows.
    Reasoning,
    /// Thinking that only the vendor can read, whole.
    RedactedReasoning(Text<'a>),
    /// A tool call, whose arguments follow.
    ToolCall {
        /// Joins the call to its result.
        id: Text<'a>,
        /// The tool.
        name: Text<'a>,
    },
}
