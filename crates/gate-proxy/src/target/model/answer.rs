//! An answer on its way to the caller: watched for usage, or translated.

use super::ProviderTarget;
use super::attempt::Got;
use super::call::Call;
use super::resume::ResumeStream;
use super::tap::{Tap, TapStream};
use super::translated::TranslateStream;
use super::watch::Watch;
use gate_ai::{
    Loss, StreamTap, StreamTranslator, Tapped, response_facts, service_tier, translate_response,
    translate_response_as_stream,
};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Response};
use gate_model::fault::FaultCode;
use gate_model::resources::ServiceTier;

/// Names what a translation could not carry over.
const LOSSES: &str = "x-tidegate-losses";

/// Makes an answer ready for the caller.
pub(super) fn answer(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    got: Got,
) -> Result<Response, Fault> {
    let mut tap = Tap::new(exchange);
    if call.model.measures() {
        let clock = exchange.services.clock();
        match got.is_stream {
            true => tap.measure(target.state.clone(), got.started),
            false => {
                let now = clock.now();
                target.state.whole.observe(now.since(got.started), now);
            }
        }
    }
    if call.facts.service_tier.is_some() {
        tap.tier(tier(call, target, &got));
    }
    if let Some(other) = call.other {
        return other.answer(exchange, call, target, tap, got);
    }
    let native = call.is_native(target);
    let (response, losses) = match (native, got.is_stream) {
        (_, true) if call.model.resume && !call.is_json_list() => {
            resumable(exchange, call, target, tap, got)
        }
        (true, true) => native_stream(exchange, call, target, tap, got),
        (true, false) => native_whole(call, target, &tap, got),
        (false, true) => translated_stream(exchange, call, target, tap, got),
        (false, false) => translated_whole(call, target, &tap, got)?,
    };
    let Response { mut head, body } = response;
    report_losses(exchange, &mut head.headers, &losses);
    Ok(Response { head, body })
}

/// The tier that a call is served in as far as the head of its answer and a whole body say. A
/// dearer one that was asked for is granted where the provider says nothing; a cheaper one is not.
pub(super) fn tier(call: &Call<'_>, target: &ProviderTarget, got: &Got) -> Option<ServiceTier> {
    let word = got.head.headers.get_named("x-gemini-service-tier");
    let word = word.and_then(|word| std::str::from_utf8(word).ok());
    let told = || match &got.body {
        Body::Full(whole) if !got.is_stream => {
            service_tier::granted(target.spoken(call.operation), whole)
        }
        _ => None,
    };
    let dearer = || {
        let asked = call.facts.service_tier;
        asked.filter(|tier| *tier == ServiceTier::Priority)
    };
    word.map(ServiceTier::of).or_else(told).or_else(dearer)
}

fn native_stream(
    exchange: &Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    tap: Tap,
    mut got: Got,
) -> (Response, Vec<Loss>) {
    keep_for_caller(&mut got.head.headers);
    let strips = got.outgoing.strip_usage_chunk;
    let hides_errors = target.provider.hides_errors();
    let mut stream = StreamTap::new(call.dialect, strips)
        .hiding_errors(hides_errors)
        .reading_tier(call.facts.service_tier.is_some());
    if call.is_json_list() {
        stream = stream.in_json_list();
    }
    let watch = Watch::new(&exchange.overrides, call);
    let stream = TapStream::new(got.body, stream, tap, watch);
    let response = Response {
        head: got.head,
        body: Body::Stream(Box::new(stream)),
    };
    (response, got.outgoing.losses)
}

fn native_whole(
    call: &Call<'_>,
    target: &ProviderTarget,
    tap: &Tap,
    mut got: Got,
) -> (Response, Vec<Loss>) {
    keep_for_caller(&mut got.head.headers);
    if let Body::Full(whole) = &got.body {
        let facts = response_facts(call.dialect, whole, &target.model);
        tap.note(facts.usage, facts.model.as_deref());
    }
    let response = Response {
        head: got.head,
        body: got.body,
    };
    (response, got.outgoing.losses)
}

/// A stream that another target continues when it breaks.
fn resumable(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    tap: Tap,
    mut got: Got,
) -> (Response, Vec<Loss>) {
    match call.is_native(target) {
        true => keep_for_caller(&mut got.head.headers),
        false => got.head.headers = stream_headers(call),
    }
    let head = got.head.clone();
    let losses = std::mem::take(&mut got.outgoing.losses);
    let stream = ResumeStream::new(exchange, call, target, tap, got);
    let body = Body::Stream(Box::new(stream));
    (Response { head, body }, losses)
}

fn stream_headers(call: &Call<'_>) -> Headers {
    let mut headers = Headers::new();
    headers.append_known(
        HeaderId::ContentType,
        match call.is_json_list() {
            true => call.dialect.content_type().as_bytes(),
            false => call.dialect.stream_content_type().as_bytes(),
        },
    );
    headers.append_known(HeaderId::CacheControl, b"no-cache");
    headers
}

/// What of a chunk goes out, in order, after a look at it.
pub(super) fn pieces(mut chunk: Chunk, tapped: Tapped) -> (Option<Chunk>, Option<Chunk>) {
    let (held, ranges) = match tapped {
        Tapped::All => return (Some(chunk), None),
        Tapped::Some { held, ranges } => (held, ranges),
    };
    let held_chunk = |held: Option<Vec<u8>>| held.map(Chunk::from);
    match &ranges[..] {
        [] => (held_chunk(held), None),
        // No copy for what is one piece.
        [range] => {
            chunk.truncate(range.end);
            chunk.advance(range.start);
            match held_chunk(held) {
                None => (Some(chunk), None),
                held => (held, Some(chunk)),
            }
        }
        _ => {
            let mut kept = Vec::with_capacity(chunk.len());
            Tapped::Some { held, ranges }.write_into(&chunk, &mut kept);
            (Some(Chunk::from(kept)), None)
        }
    }
}

fn translated_stream(
    exchange: &Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    tap: Tap,
    mut got: Got,
) -> (Response, Vec<Loss>) {
    got.head.headers = stream_headers(call);
    let translator = StreamTranslator::new(
        target.spoken(call.operation),
        call.dialect,
        &call.facts.model,
        &got.outgoing.options,
    )
    .reading_tier(call.facts.service_tier.is_some());
    let watch = Watch::new(&exchange.overrides, call);
    let stream = TranslateStream::new(got.body, translator, tap, watch);
    let response = Response {
        head: got.head,
        body: Body::Stream(Box::new(stream)),
    };
    (response, got.outgoing.losses)
}

fn translated_whole(
    call: &Call<'_>,
    target: &ProviderTarget,
    tap: &Tap,
    mut got: Got,
) -> Result<(Response, Vec<Loss>), Fault> {
    let empty = Chunk::empty();
    let whole = match &got.body {
        Body::Full(whole) => whole,
        _ => &empty,
    };
    // A provider that streams none still has an answer, of which a caller who reads a stream would see
    // nothing.
    let translate = match call.facts.stream {
        true => translate_response_as_stream,
        false => translate_response,
    };
    let translated = translate(
        target.spoken(call.operation),
        call.dialect,
        whole,
        &call.facts.model,
        &got.outgoing.options,
    )
    .map_err(|error| Fault::new(FaultCode::UpstreamMalformed).detail(error.to_string()))?;
    tap.note(translated.usage, Some(&translated.provider_model));
    let mut losses = got.outgoing.losses;
    losses.extend(translated.losses);
    got.head.headers = match call.facts.stream {
        true => stream_headers(call),
        false => Headers::new(),
    };
    if !call.facts.stream {
        let kind = call.dialect.content_type().as_bytes();
        got.head.headers.append_known(HeaderId::ContentType, kind);
    }
    let response = Response {
        head: got.head,
        body: Body::from(Chunk::from(translated.body)),
    };
    Ok((response, losses))
}

/// The provider's fields that go on to the caller: all but cookies, which are the provider's with
/// us, and the length of a body that may be rewritten.
pub(super) fn keep_for_caller(headers: &mut Headers) {
    headers.retain(|id, _, _| {
        !matches!(
            id,
            HeaderId::SetCookie | HeaderId::AltSvc | HeaderId::ContentLength
        )
    });
}

/// Says in a header and in the record what could not be carried over.
pub(super) fn report_losses(exchange: &Exchange, headers: &mut Headers, losses: &[Loss]) {
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
