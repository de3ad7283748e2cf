//! Translation between dialects: decode into the neutral form, encode from it.
//!
//! Streams are translated event by event; memory is bounded by one event and the result does not
//! depend on how the bytes were cut. A stream that breaks ends with an error event in the caller's
//! dialect, never silently.

mod whole;
mod writer;

pub use whole::translate_response_as_stream;

use crate::conversation::{Request, Response, StreamEvent};
use crate::dialect::StreamDecoder;
use crate::failure::ErrorClass;
use crate::framing::{Framer, Framing};
use crate::prices::ServiceTier;
use crate::{Dialect, DialectError, Loss, Losses, Usage, service_tier};
use writer::{State, Writer};

/// Longest stream event that is translated, in bytes.
pub const EVENT_MAX: usize = 4 * 1024 * 1024;

/// Most output tokens asked for where the target requires a limit and the caller gave none: what
/// every model on offer at Anthropic can produce without a beta header.
pub const DEFAULT_MAX_TOKENS: u64 = 8_192;

/// Choices that the bytes alone do not decide.
#[derive(Debug, Clone)]
pub struct TranslateOptions {
    /// Limit of output tokens for targets that require one.
    pub default_max_tokens: u64,
    /// The target is an older or compatible server that knows `max_tokens` and not
    /// `max_completion_tokens`.
    pub legacy_max_tokens: bool,
    /// The target takes thinking of earlier turns back (`reasoning_content`).
    pub keep_reasoning: bool,
    /// The target's model thinks adaptively and takes an effort instead of a budget of tokens.
    pub adaptive_thinking: bool,
    /// The caller asked for usage at the end of its stream.
    pub include_usage: bool,
    /// Whether the answer is streamed, where the caller's path says so and not its body.
    pub stream: Option<bool>,
    /// The caller's stream is one JSON list, which Google's dialect has where the caller does not
    /// ask for server-sent events.
    pub json_list: bool,
    /// Now, in seconds since 1970, for answers that must carry a time of creation.
    pub now_unix_s: u64,
}

impl Default for TranslateOptions {
    fn default() -> Self {
        Self {
            default_max_tokens: DEFAULT_MAX_TOKENS,
            legacy_max_tokens: false,
            keep_reasoning: false,
            adaptive_thinking: false,
            include_usage: false,
            stream: None,
            json_list: false,
            now_unix_s: 0,
        }
    }
}

/// Reads a request into the neutral form.
///
/// # Errors
/// [`DialectError`] when the body does not follow the dialect.
pub fn read_request(dialect: Dialect, body: &[u8]) -> Result<Request<'_>, DialectError> {
    let mut losses = Losses::new(dialect, dialect);
    dialect.codec().decode_request(body, &mut losses)
}

/// Reads a whole answer into the neutral form.
///
/// # Errors
/// [`DialectError`] when the body does not follow the dialect.
pub fn read_response(dialect: Dialect, body: &[u8]) -> Result<Response<'_>, DialectError> {
    let mut losses = Losses::new(dialect, dialect);
    dialect.codec().decode_response(body, &mut losses)
}

/// Reads a whole stream into the neutral form, event by event.
///
/// # Errors
/// [`DialectError`] when the stream does not follow the dialect.
pub fn read_stream(
    dialect: Dialect,
    stream: &[u8],
    mut each: impl FnMut(StreamEvent<'_>),
) -> Result<(), DialectError> {
    let mut losses = Losses::new(dialect, dialect);
    let mut framer = Framer::new(dialect.framing(), EVENT_MAX);
    let mut decoder = dialect.codec().stream_decoder();
    framer.push(stream, &mut |name, data| {
        decoder.event(name, data, &mut losses, &mut |event, _| each(event))
    })?;
    framer.finish(&mut |name, data| {
        decoder.event(name, data, &mut losses, &mut |event, _| each(event))
    })?;
    decoder.finish(&mut losses, &mut |event, _| each(event));
    Ok(())
}

/// A request in the provider's dialect.
#[derive(Debug, Clone)]
pub struct TranslatedRequest {
    /// The body to send.
    pub body: Vec<u8>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the caller asked for usage at the end of its stream.
    pub include_usage: bool,
    /// What could not be carried over.
    pub losses: Vec<Loss>,
}

/// Translates a caller's request for a provider.
///
/// # Errors
/// [`DialectError`] when the body does not follow the caller's dialect.
pub fn translate_request(
    from: Dialect,
    to: Dialect,
    body: &[u8],
    provider_model: &str,
    options: &TranslateOptions,
) -> Result<TranslatedRequest, DialectError> {
    let mut losses = Losses::new(from, to);
    let mut request = from.codec().decode_request(body, &mut losses)?;
    request.model = provider_model.into();
    request.stream = options.stream.unwrap_or(request.stream);
    let body = to.codec().encode_request(&request, options, &mut losses)?;
    Ok(TranslatedRequest {
        body,
        stream: request.stream,
        include_usage: request.include_usage,
        losses: losses.into_vec(),
    })
}

/// A whole answer in the caller's dialect.
#[derive(Debug, Clone)]
pub struct TranslatedResponse {
    /// The body to send.
    pub body: Vec<u8>,
    /// Token counts, where the provider gave them.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub provider_model: String,
    /// What could not be carried over.
    pub losses: Vec<Loss>,
}

/// Translates a provider's whole answer for a caller, which knows the model as `caller_model`.
///
/// # Errors
/// [`DialectError`] when the body does not follow the provider's dialect.
pub fn translate_response(
    provider_dialect: Dialect,
    caller_dialect: Dialect,
    body: &[u8],
    caller_model: &str,
    options: &TranslateOptions,
) -> Result<TranslatedResponse, DialectError> {
    written_response(
        provider_dialect,
        caller_dialect,
        body,
        |response, losses| {
            let codec = caller_dialect.codec();
            codec.encode_response(&response, caller_model, options, losses)
        },
    )
}

/// Reads a provider's whole answer and has it written for a caller.
fn written_response<'a>(
    provider_dialect: Dialect,
    caller_dialect: Dialect,
    body: &'a [u8],
    write: impl FnOnce(Response<'a>, &mut Losses) -> Result<Vec<u8>, DialectError>,
) -> Result<TranslatedResponse, DialectError> {
    let mut losses = Losses::new(provider_dialect, caller_dialect);
    let codec = provider_dialect.codec();
    let response = codec.decode_response(body, &mut losses)?;
    let usage = response.usage;
    let provider_model = response.model.clone().into_owned();
    Ok(TranslatedResponse {
        body: write(response, &mut losses)?,
        usage,
        provider_model,
        losses: losses.into_vec(),
    })
}

/// Translates one stream.
pub struct StreamTranslator {
    framer: Framer,
    decoder: Box<dyn StreamDecoder>,
    losses: Losses,
    writer: Writer,
    /// Whose answer it is.
    provider: Dialect,
    /// Whether the tier that the call is served in is read, and what it is.
    reads_tier: bool,
    tier: Option<ServiceTier>,
}

impl StreamTranslator {
    /// A translator from a provider's stream to a caller's, which knows the model as
    /// `caller_model`.
    #[must_use]
    pub fn new(
        provider_dialect: Dialect,
        caller_dialect: Dialect,
        caller_model: &str,
        options: &TranslateOptions,
    ) -> Self {
        Self {
            framer: Framer::new(provider_dialect.framing(), EVENT_MAX),
            decoder: provider_dialect.codec().stream_decoder(),
            losses: Losses::new(provider_dialect, caller_dialect),
            writer: Writer {
                encoder: caller_dialect.codec().stream_encoder(caller_model, options),
                started: false,
                token_seen: false,
                state: State::Open,
                error: None,
                usage: None,
                follower: None,
            },
            provider: provider_dialect,
            reads_tier: false,
            tier: None,
        }
    }

    /// The same, reading the service tier that the provider names.
    #[must_use]
    pub fn reading_tier(mut self, reads: bool) -> Self {
        self.reads_tier = reads;
        self
    }

    /// The same, remembering what the caller has seen, so that another stream can go on with it.
    /// When the stream breaks or the provider reports an error, the caller is told nothing until
    /// [`Self::fail`].
    #[must_use]
    pub fn resumable(mut self) -> Self {
        self.writer.follower = Some(Box::default());
        self
    }

    /// The text that another model can go on from; `None` when none can, or when this was not made
    /// to be resumable. Empty when the caller has seen nothing of the answer.
    #[must_use]
    pub fn partial(&self) -> Option<&str> {
        self.writer.follower.as_ref()?.text()
    }

    /// From now on, bytes, usage and tier are those of another provider's stream that goes on with this one.
    pub fn continue_with(&mut self, provider_dialect: Dialect) {
        self.framer = Framer::new(provider_dialect.framing(), EVENT_MAX);
        self.decoder = provider_dialect.codec().stream_decoder();
        self.provider = provider_dialect;
        self.writer.state = State::Open;
        self.writer.error = None;
        (self.writer.usage, self.tier) = (None, None);
        if let Some(follower) = &mut self.writer.follower {
            follower.splice();
        }
    }

    /// Ends the stream with an error event in these words, unless it has ended or the caller has
    /// been told of an error.
    pub fn fail(&mut self, class: ErrorClass, code: &str, message: &str, out: &mut Vec<u8>) {
        let untold = self.writer.follower.take().is_some() && self.writer.state == State::Failed;
        if untold || self.writer.state == State::Open {
            self.writer.state = State::Failed;
            self.writer.encoder.error(class, code, message, out);
        }
    }

    /// The same for a provider's stream that is one JSON list.
    #[must_use]
    pub fn from_json_list(mut self) -> Self {
        self.framer = Framer::new(Framing::JsonList, EVENT_MAX);
        self
    }

    /// Translates the provider's next bytes; appends what they yield to `out`.
    ///
    /// # Errors
    /// [`DialectError`] when the stream does not follow its dialect. The caller's error event is
    /// in `out` then, and further bytes are ignored.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DialectError> {
        if self.writer.state != State::Open {
            return Ok(());
        }
        let Self {
            framer,
            decoder,
            losses,
            writer,
            provider,
            reads_tier,
            tier,
        } = self;
        let result = framer.push(bytes, &mut |name, data| {
            if *reads_tier {
                *tier = service_tier::granted(*provider, data).or(*tier);
            }
            decoder.event(name, data, losses, &mut |step, losses| {
                writer.write(&step, losses, out);
            })
        });
        result.inspect_err(|_| writer.fail(out))
    }

    /// The provider's bytes have ended. A stream that was not complete gets an error event.
    ///
    /// # Errors
    /// [`DialectError`] when a last piece does not follow the dialect; `out` has the error event.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DialectError> {
        if self.writer.state != State::Open {
            return Ok(());
        }
        let Self {
            framer,
            decoder,
            losses,
            writer,
            ..
        } = self;
        // A cut may fall into an event; what is not whole JSON is the cut, not another error.
        let _ = framer.finish(&mut |name, data| {
            decoder.event(name, data, losses, &mut |step, losses| {
                writer.write(&step, losses, out);
            })
        });
        decoder.finish(losses, &mut |step, losses| writer.write(&step, losses, out));
        if writer.state == State::Open {
            writer.fail(out);
        }
        Ok(())
    }

    /// Token counts so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.writer.usage
    }

    /// The service tier that the provider names, where it is read.
    #[must_use]
    pub fn tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// Whether a token (text, thinking or a tool call) has been written.
    #[must_use]
    pub fn token_seen(&self) -> bool {
        self.writer.token_seen
    }

    /// Whether the caller's stream is complete.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.writer.state == State::Ended
    }

    /// The class of the error that the provider sent as an event, if it did.
    #[must_use]
    pub fn provider_error(&self) -> Option<ErrorClass> {
        self.writer.error
    }

    /// Whether the caller was sent an error event.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.writer.state == State::Failed
    }

    /// What could not be carried over so far.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        self.losses.as_slice()
    }
}

impl std::fmt::Debug for StreamTranslator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamTranslator")
            .field("usage", &self.writer.usage)
            .field("ended", &self.ended())
            .field("failed", &self.failed())
            .finish_non_exhaustive()
    }
}
