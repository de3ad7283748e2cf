//! An operation that is no conversation, as one of the calls that `super::super::call` makes: what
//! a target is sent for it, and what its answer becomes.
//!
//! Strategies, credentials, retries, fallbacks and races are those of every call. What is sent is
//! either JSON whose model stands in it or in the path, or a form that is here whole; a form on its
//! way can be sent only once and is `super::form`'s.

use super::super::answer::{keep_for_caller, report_losses};
use super::super::attempt::{Bad, Got};
use super::super::call::Call;
use super::super::request::{Outgoing, bear_losses, untranslated};
use super::super::tap::{Tap, TapStream};
use super::super::watch::Watch;
use super::super::{ProviderTarget, Road};
use super::answer::{passed, passed_as};
use crate::upstream::bounded;
use gate_ai::endpoint::EmbeddingDialect;
use gate_ai::operation::invoke::usage_of_fields;
use gate_ai::operation::{Answer, embeddings, rerank};
use gate_ai::{
    Dialect, DialectError, Loss, Operation, StreamTap, TranslateOptions, prepare_native,
};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response};
use gate_model::fault::FaultCode;
use gate_model::units::Pieces;
use std::ops::Range;

/// What is asked for, beside what every call has.
pub(in super::super) struct Other {
    /// The model as the caller names it.
    pub(super) name: String,
    pub(super) shape: Shape,
    /// What it comes to besides tokens, as far as the request shows.
    pub(super) pieces: Option<Pieces>,
}

/// What the request is.
pub(super) enum Shape {
    /// JSON that names its model, which the call's facts found.
    Json,
    /// JSON whose model stands in the path.
    Unnamed,
    /// A form.
    Form {
        content_type: Vec<u8>,
        /// Where the model's name lies.
        model: Range<usize>,
    },
}

/// A request that has not been read.
pub(super) static UNREAD: Other = Other {
    name: String::new(),
    shape: Shape::Unnamed,
    pieces: None,
};

impl Other {
    /// Bytes of the request that may be text for the model.
    pub(in super::super) fn text_bytes(&self, call: &Call<'_>) -> usize {
        match self.shape {
            Shape::Json | Shape::Unnamed => call.body.len(),
            Shape::Form { .. } => 0,
        }
    }

    /// Says in a request's head what its body is.
    pub(in super::super) fn mark(&self, headers: &mut Headers) {
        if let Shape::Form { content_type, .. } = &self.shape {
            headers.set(HeaderId::ContentType, content_type);
        }
    }

    /// The body for one target: the caller's with another model name, or a translation.
    pub(in super::super) fn outgoing(
        &self,
        call: &Call<'_>,
        target: &ProviderTarget,
    ) -> Result<Outgoing, Bad> {
        let Some(road) = target.road(call.operation) else {
            return Err(Bad::Final(super::super::fetch::unserved(call.model)));
        };
        let made = match (call.operation, road.sent) {
            (Operation::Embeddings(from), Operation::Embeddings(to)) if from != to => {
                embeddings::request(from, to, &call.body, &target.model)
            }
            (Operation::Rerank(from), Operation::Rerank(to)) if from != to => {
                rerank::request(from, to, &call.body, &target.model)
            }
            _ => {
                let native = self.native(call, target);
                return native.map_err(|error| untranslated(&error));
            }
        };
        let made = made.map_err(|error| untranslated(&error))?;
        bear_losses(call, &made.losses)?;
        Ok(Outgoing {
            losses: made.losses,
            ..whole(made.body)
        })
    }

    fn native(&self, call: &Call<'_>, target: &ProviderTarget) -> Result<Outgoing, DialectError> {
        let name = &target.model;
        if let Shape::Form { model, .. } = &self.shape {
            let parts = [
                &call.body[..model.start],
                name.as_bytes(),
                &call.body[model.end..],
            ];
            return Ok(whole(parts.concat()));
        }
        let gemini = [EmbeddingDialect::GeminiBatch, EmbeddingDialect::GeminiOne];
        if gemini
            .iter()
            .any(|one| call.operation == Operation::Embeddings(*one))
        {
            return Ok(whole(embeddings::rename(&call.body, name)?));
        }
        if matches!(self.shape, Shape::Unnamed) {
            return Ok(whole(call.body.clone()));
        }
        let wants_usage =
            call.operation == Operation::Completions && target.provider.asks_for_usage();
        let dialect = Dialect::ChatCompletions;
        let made = prepare_native(dialect, &call.body, &call.facts, name, wants_usage);
        Ok(Outgoing {
            strip_usage_chunk: made.strip_usage_chunk,
            ..whole(made.to_vec(&call.body))
        })
    }

    /// Makes an answer ready for the caller.
    ///
    /// # Errors
    /// [`FaultCode::UpstreamMalformed`] when it could not be translated.
    pub(in super::super) fn answer(
        &self,
        exchange: &Exchange,
        call: &Call<'_>,
        target: &ProviderTarget,
        tap: Tap,
        got: Got,
    ) -> Result<Response, Fault> {
        let (name, sent) = (&self.name, target.road(call.operation).map(Road::sent));
        match (call.operation, sent) {
            (Operation::Embeddings(to), Some(Operation::Embeddings(from))) if from != to => {
                let base64 = embeddings::wants_base64(to, &call.body);
                let turn = |body: &[u8]| embeddings::answer(from, to, body, name, base64);
                translated(exchange, &tap, got, turn)
            }
            (Operation::Rerank(to), Some(Operation::Rerank(from))) if from != to => {
                let turn = |body: &[u8]| rerank::answer(from, to, body, name);
                tap.pieces(self.pieces);
                translated(exchange, &tap, got, turn)
            }
            (asked, sent) if Some(asked) != sent => Err(FaultCode::InternalError.into()),
            (Operation::Completions, _) if got.is_stream => {
                let stream =
                    StreamTap::new(Dialect::ChatCompletions, got.outgoing.strip_usage_chunk)
                        .hiding_errors(target.provider.hides_errors());
                Ok(streamed(exchange, call, tap, stream, got))
            }
            (Operation::Invoke { .. }, _) if got.is_stream => {
                let stream = StreamTap::new(Dialect::Messages, false).in_invoke_frames();
                Ok(streamed(exchange, call, tap, stream, got))
            }
            (Operation::Invoke { .. }, _) => {
                let headers = &got.head.headers;
                tap.note(usage_of_fields(|name| headers.get_named(name)), None);
                Ok(passed_as(tap, Dialect::Messages, got.head, got.body))
            }
            (Operation::CountTokens(_), _) => {
                // What it counts is not used up.
                let mut head = got.head;
                keep_for_caller(&mut head.headers);
                let body = got.body;
                Ok(Response { head, body })
            }
            _ => {
                let body = bounded(got.body, call.deadline);
                Ok(passed(tap, self.pieces, got.head, body))
            }
        }
    }
}

/// A stream that passes, watched by `stream`.
fn streamed(
    exchange: &Exchange,
    call: &Call<'_>,
    tap: Tap,
    stream: StreamTap,
    got: Got,
) -> Response {
    let mut head = got.head;
    keep_for_caller(&mut head.headers);
    let watch = Watch::new(&exchange.overrides, call);
    let body = TapStream::new(got.body, stream, tap, watch);
    let body = Body::Stream(Box::new(body));
    Response { head, body }
}

/// A body as it is sent, from which nothing is taken out on the way back.
fn whole(body: impl Into<bytes::Bytes>) -> Outgoing {
    Outgoing {
        body: body.into(),
        strip_usage_chunk: false,
        options: TranslateOptions::default(),
        losses: Vec::new(),
    }
}

/// An answer that `translate` turns into the caller's format.
fn translated(
    exchange: &Exchange,
    tap: &Tap,
    got: Got,
    translate: impl FnOnce(&[u8]) -> Result<Answer, DialectError>,
) -> Result<Response, Fault> {
    let empty = Chunk::empty();
    let body = match &got.body {
        Body::Full(whole) => whole,
        _ => &empty,
    };
    let answer = translate(body)
        .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
    tap.note(answer.usage, None);
    let mut response = Response::full(got.head.status, "application/json", answer.body);
    let losses: &[Loss] = &got.outgoing.losses;
    report_losses(exchange, &mut response.head.headers, losses);
    Ok(response)
}
