//! An answer on its way to the caller: watched for usage, or translated.

use super::ProviderTarget;
use super::attempt::Outgoing;
use super::call::Call;
use super::tap::{Tap, TapStream};
use super::translated::TranslateStream;
use gate_ai::{Loss, StreamTap, StreamTranslator, response_facts, translate_response};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response};
use gate_model::fault::FaultCode;

/// Most bytes of a whole answer that is read for its usage or translated.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Names what a translation could not carry over.
const LOSSES: &str = "x-tidegate-losses";

/// Passes an answer back, watching it for usage, or translating it.
pub(super) async fn answer(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    outgoing: Outgoing,
    response: Response,
) -> Result<Response, Fault> {
    let Response { mut head, mut body } = response;
    let spoken = target.spoken(call.dialect);
    let is_stream = head
        .headers
        .get(HeaderId::ContentType)
        .is_some_and(|value| spoken.is_stream(value));
    let tap = Tap::new(exchange);
    let native = spoken == call.dialect;
    let mut losses = outgoing.losses;
    if native {
        keep_for_caller(&mut head.headers);
    } else {
        head.headers = Headers::new();
    }
    let body = match (native, is_stream) {
        (true, true) => {
            let stream = StreamTap::new(spoken, outgoing.strip_usage_chunk);
            Body::Stream(Box::new(TapStream::new(
                body,
                stream,
                outgoing.strip_usage_chunk,
                tap,
            )))
        }
        (true, false) => {
            let whole = body
                .collect(ANSWER_MAX)
                .await
                .map_err(|e| Fault::from_response_body(&e))?;
            let facts = response_facts(spoken, &whole);
            tap.note(facts.usage, facts.model);
            Body::from(whole)
        }
        (false, true) => {
            head.headers.append_known(
                HeaderId::ContentType,
                call.dialect.stream_content_type().as_bytes(),
            );
            head.headers
                .append_known(HeaderId::CacheControl, b"no-cache");
            let name = call.facts.model.clone();
            let translator = StreamTranslator::new(spoken, call.dialect, &name, &outgoing.options);
            Body::Stream(Box::new(TranslateStream::new(body, translator, tap)))
        }
        (false, false) => {
            let whole = body
                .collect(ANSWER_MAX)
                .await
                .map_err(|e| Fault::from_response_body(&e))?;
            let translated = translate_response(
                spoken,
                call.dialect,
                &whole,
                &call.facts.model,
                &outgoing.options,
            )
            .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
            tap.note(translated.usage, Some(translated.provider_model));
            losses.extend(translated.losses);
            head.headers.append_known(
                HeaderId::ContentType,
                call.dialect.content_type().as_bytes(),
            );
            Body::from(Chunk::from(translated.body))
        }
    };
    report_losses(exchange, &mut head.headers, &losses);
    Ok(Response { head, body })
}

/// The provider's fields that go on to the caller: all but cookies, which are the provider's with
/// us, and the encoding of a body that may be rewritten.
pub(super) fn keep_for_caller(headers: &mut Headers) {
    headers.retain(|id, _, _| {
        !matches!(
            id,
            HeaderId::SetCookie | HeaderId::AltSvc | HeaderId::ContentLength
        )
    });
}

/// Says in a header and in the record what could not be carried over.
fn report_losses(exchange: &Exchange, headers: &mut Headers, losses: &[Loss]) {
    if losses.is_empty() {
        return;
    }
    let fields: Vec<&str> = losses.iter().map(|loss| &*loss.field).collect();
    let mut text = fields.join(", ");
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text.truncate(1024);
    if headers
        .try_append(LOSSES.as_bytes(), text.as_bytes())
        .is_err()
    {
        tracing::debug!("losses do not fit a header");
    }
    if let Some(ai) = &exchange.ai {
        ai.borrow_mut().losses = fields.into_iter().map(Into::into).collect();
    }
}
