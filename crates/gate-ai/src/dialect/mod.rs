//! The dialects that callers and providers speak.
//!
//! A dialect is one folder that implements `Codec`: requests, responses, streams, usage and errors
//! to and from the neutral form. A further dialect is one more folder and one more arm below.

mod blocks;
pub(crate) mod chat_completions;
pub(crate) mod cohere_chat;
pub(crate) mod converse;
pub(crate) mod generate_content;
mod logprobs;
pub(crate) mod messages;
pub(crate) mod responses;
mod turns;

use crate::conversation::{Request, Response, StreamEvent};
use crate::failure::{ErrorClass, ProviderError};
use crate::framing::Framing;
use crate::{DialectError, Losses, TranslateOptions, Usage};

/// A vendor's wire format for conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    ChatCompletions,
    /// Anthropic Messages.
    Messages,
    /// Amazon Bedrock Converse.
    Converse,
    /// OpenAI Responses.
    Responses,
    /// Google's generateContent and streamGenerateContent.
    GenerateContent,
    /// Cohere Chat, version 2.
    CohereChat,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 6] = [
        Self::ChatCompletions,
        Self::Messages,
        Self::Converse,
        Self::Responses,
        Self::GenerateContent,
        Self::CohereChat,
    ];

    /// The dialect's name in configuration, metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Messages => "messages",
            Self::Converse => "converse",
            Self::Responses => "responses",
            Self::GenerateContent => "generate_content",
            Self::CohereChat => "cohere_chat",
        }
    }

    /// The dialect of this name, when this build has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
    }

    /// The path that callers post to; of dialects that name the model in the path, what all such
    /// paths begin with.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            // The model goes between; never the path of a call.
            Self::Converse => "/model/{model}/converse",
            Self::Responses => "/v1/responses",
            Self::GenerateContent => "/v1beta/models",
            Self::CohereChat => "/v2/chat",
        }
    }

    /// The dialect whose path this is.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.path() == path)
    }

    /// Content type of a whole answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::ChatCompletions
            | Self::Messages
            | Self::Converse
            | Self::Responses
            | Self::GenerateContent
            | Self::CohereChat => "application/json",
        }
    }

    /// Content type of a streamed answer.
    #[must_use]
    pub const fn stream_content_type(self) -> &'static str {
        match self {
            Self::ChatCompletions
            | Self::Messages
            | Self::Responses
            | Self::GenerateContent
            | Self::CohereChat => "text/event-stream; charset=utf-8",
            Self::Converse => "application/vnd.amazon.eventstream",
        }
    }

    /// Whether an answer with this content type is a stream of events.
    #[must_use]
    pub fn is_stream(self, content_type: &[u8]) -> bool {
        let wanted: &[u8] = match self.framing() {
            Framing::Sse => b"text/event-stream",
            Framing::EventStream => b"application/vnd.amazon.eventstream",
            // A list is told from a whole answer by who asked for it.
            Framing::JsonList => return false,
        };
        content_type.starts_with(wanted)
    }

    /// Whether the path of a request names the model and says whether the answer is streamed,
    /// instead of its body.
    #[must_use]
    pub const fn in_path(self) -> bool {
        match self {
            Self::ChatCompletions | Self::Messages | Self::Responses | Self::CohereChat => false,
            Self::Converse | Self::GenerateContent => true,
        }
    }

    /// How its streams are cut into events.
    pub(crate) const fn framing(self) -> Framing {
        match self {
            Self::ChatCompletions
            | Self::Messages
            | Self::Responses
            | Self::GenerateContent
            | Self::CohereChat => Framing::Sse,
            Self::Converse => Framing::EventStream,
        }
    }

    pub(crate) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::ChatCompletions => &chat_completions::ChatCompletions,
            Self::Messages => &messages::Messages,
            Self::Converse => &converse::Converse,
            Self::Responses => &responses::Responses,
            Self::GenerateContent => &generate_content::GenerateContent,
            Self::CohereChat => &cohere_chat::CohereChat,
        }
    }
}

/// Everything the gateway needs of a dialect.
pub(crate) trait Codec: Sync {
    /// Reads a request; what the neutral form has no place for is a loss.
    fn decode_request<'a>(
        &self,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Request<'a>, DialectError>;

    /// Writes a request; what this dialect cannot say is a loss.
    fn encode_request(
        &self,
        request: &Request<'_>,
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError>;

    /// Reads a whole response.
    fn decode_response<'a>(
        &self,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Response<'a>, DialectError>;

    /// Writes a whole response under the model's name that the caller knows.
    fn encode_response(
        &self,
        response: &Response<'_>,
        model: &str,
        options: &TranslateOptions,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, DialectError>;

    /// A reader of one stream.
    fn stream_decoder(&self) -> Box<dyn StreamDecoder>;

    /// A writer of one stream.
    fn stream_encoder(&self, model: &str, options: &TranslateOptions) -> Box<dyn StreamEncoder>;

    /// Reads the usage object at `at` of `document` into `usage`, member by member; `None` when
    /// there is no usage object, else where it ends.
    fn read_usage(&self, document: &[u8], at: usize, usage: &mut Usage) -> Option<usize>;

    /// Reads the usage of a stream event's data; false when it has none.
    fn read_stream_usage(&self, data: &[u8], usage: &mut Usage) -> bool;

    /// Whether a stream event's data holds usage and nothing of the answer.
    fn is_usage_chunk(&self, data: &[u8]) -> bool;

    /// Whether this event, as it came, ends a stream. Events framed as text are asked only when
    /// they are short.
    fn is_end(&self, event: &[u8]) -> bool;

    /// Whether a stream event's data that mentions usage is the stream's last, however long it is.
    fn ends_with_usage(&self, _data: &[u8]) -> bool {
        false
    }

    /// Whether a stream event's data holds text, thinking or a tool call.
    fn bears_token(&self, data: &[u8]) -> bool;

    /// An error's body.
    fn error_body(&self, status: u16, code: &str, message: &str) -> Vec<u8>;

    /// An error in the middle of a stream, as bytes of a whole event.
    fn error_event(&self, class: ErrorClass, code: &str, message: &str) -> Vec<u8>;

    /// What an error's body says.
    fn read_error(&self, body: &[u8]) -> ProviderError;
}

/// Receives the neutral events of a stream.
pub(crate) type Emit<'e> = dyn FnMut(StreamEvent<'_>, &mut Losses) + 'e;

/// Reads one stream of events.
pub(crate) trait StreamDecoder: Send {
    /// Reads one event.
    fn event(
        &mut self,
        name: Option<&[u8]>,
        data: &[u8],
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError>;

    /// The bytes have ended. Emits `End` when the turn was complete though its last event is
    /// missing, as some compatible servers do.
    fn finish(&mut self, losses: &mut Losses, emit: &mut Emit<'_>);
}

/// Writes one stream of events.
pub(crate) trait StreamEncoder: Send {
    /// Appends the bytes of one neutral event, if it has any in this dialect.
    fn event(&mut self, event: &StreamEvent<'_>, losses: &mut Losses, out: &mut Vec<u8>);

    /// Appends an error of the gateway's own in place of the stream's end.
    fn error(&mut self, class: ErrorClass, code: &str, message: &str, out: &mut Vec<u8>);

    /// Whether the answer is longer than this dialect lets the gateway keep; the stream then ends
    /// with an error.
    fn is_full(&self) -> bool {
        false
    }
}
