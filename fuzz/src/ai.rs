//! The AI path: event framing and both dialects, as callers' requests, providers' answers and
//! providers' streams. One target per dialect takes its bytes as each of the three.

use gate_ai::{
    Dialect, DialectError, EventFrame, EventStreamFramer, SseFramer, StreamTap, StreamTranslator,
    TranslateOptions, Usage, inspect, prepare_native, provider_error, response_facts,
    translate_request, translate_response,
};
use serde_json::Value;

/// Most bytes that translating may add to a byte of input: an escape such as `\u0000` within a
/// string within a string, and the envelope of an event.
const GROWTH: usize = 128;
/// And apart from the input: error events, an answer's beginning and end.
const ENVELOPE: usize = 4096;

/// An event: its name and data.
type Event = (Option<Vec<u8>>, Option<Vec<u8>>);

fn frame(limit: usize, pieces: &[&[u8]]) -> (Vec<Event>, Result<(), DialectError>) {
    let mut events = Vec::new();
    let mut framer = SseFramer::new(limit);
    let mut keep = |event: gate_ai::SseEvent<'_>| {
        if event.name.is_some() || event.data.is_some() {
            let data = event.data.map(std::borrow::Cow::into_owned);
            events.push((event.name.map(<[u8]>::to_vec), data));
        }
        Ok(())
    };
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| framer.push(piece, &mut keep));
    }
    let result = result.and_then(|()| framer.finish(&mut keep));
    (events, result)
}

/// Events, and whether one is too long, do not depend on where the bytes were cut. The first byte
/// chooses the limit. Very long inputs are cut.
pub fn sse(bytes: &[u8]) {
    let limit = match bytes.first() {
        Some(&byte @ 1..=31) => usize::from(byte),
        _ => 1 << 20,
    };
    let bytes = &bytes[..bytes.len().min(1024)];
    let whole = frame(limit, &[bytes]);
    if whole.1.is_ok() {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(frame(limit, &single), whole);
    }
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(frame(limit, &[head, tail]), whole, "cut at {cut}");
    }
}

/// What a framer of binary frames found: names and payloads, and how it ended.
type Frames = (Vec<(Option<Vec<u8>>, Vec<u8>)>, Result<(), DialectError>);

fn binary_frames(limit: usize, pieces: &[&[u8]]) -> Frames {
    let (mut found, mut result) = (Vec::new(), Ok(()));
    let mut framer = EventStreamFramer::new(limit);
    for piece in pieces {
        result = result.and_then(|()| {
            framer.push(piece, |frame: EventFrame<'_>| {
                let name = frame.name().map(<[u8]>::to_vec);
                found.push((name, frame.payload.to_vec()));
                Ok(())
            })
        });
    }
    (found, result)
}

/// Binary frames, and what is wrong with them, do not depend on where the bytes were cut, and what
/// was read can be written and read again. The first byte chooses the limit.
pub fn event_stream(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let limit = if choice == 0 {
        1 << 20
    } else {
        usize::from(choice)
    };
    let bytes = &bytes[..bytes.len().min(1024)];
    let whole = binary_frames(limit, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(binary_frames(limit, &single), whole);
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(binary_frames(limit, &[head, tail]), whole, "cut at {cut}");
    }
    for (name, payload) in whole.0 {
        let Some(name) = name.and_then(|name| String::from_utf8(name).ok()) else {
            continue;
        };
        let mut made = Vec::new();
        gate_ai::event_stream::write_frame(&mut made, &[(":event-type", &name)], &payload);
        let again = binary_frames(usize::MAX, &[&made]);
        assert_eq!(again, (vec![(Some(name.into_bytes()), payload)], Ok(())));
    }
}

/// Chat Completions; see [`messages`].
pub fn chat_completions(bytes: &[u8]) {
    dialect(Dialect::ChatCompletions, bytes);
}

/// Whatever a caller or provider sends in this dialect, what we make of it is JSON of bounded
/// size, a stream that passes is byte-exact, and nothing depends on where bytes were cut.
pub fn messages(bytes: &[u8]) {
    dialect(Dialect::Messages, bytes);
}

/// Responses; see [`messages`].
pub fn responses(bytes: &[u8]) {
    dialect(Dialect::Responses, bytes);
}

/// Converse, whose streams are binary; see [`messages`].
pub fn converse(bytes: &[u8]) {
    dialect(Dialect::Converse, bytes);
}

/// generateContent, whose streams may be lists; see [`messages`].
pub fn generate_content(bytes: &[u8]) {
    dialect(Dialect::GenerateContent, bytes);
}

/// Cohere's Chat; see [`messages`].
pub fn cohere_chat(bytes: &[u8]) {
    dialect(Dialect::CohereChat, bytes);
}

fn dialect(from: Dialect, bytes: &[u8]) {
    request(from, bytes);
    answer(from, bytes);
    stream(from, bytes);
}

fn json(made: &[u8], from: &[u8]) -> Value {
    assert!(made.len() <= from.len() * GROWTH + ENVELOPE);
    serde_json::from_slice(made).expect("what we write is JSON")
}

fn request(from: Dialect, body: &[u8]) {
    let options = TranslateOptions::default();
    for to in Dialect::ALL {
        let Ok(made) = translate_request(from, to, body, "m\"", &options) else {
            continue;
        };
        let made_json = json(&made.body, body);
        assert!(to.in_path() || made_json["model"] == "m\"");
        let again = translate_request(to, from, &made.body, "m", &options);
        assert!(again.is_ok(), "our own request is refused: {again:?}");
    }
    let Ok(facts) = inspect(from, body) else {
        return;
    };
    let is_json = serde_json::from_slice::<Value>(body).is_ok();
    for want_usage in [false, true] {
        let made = prepare_native(from, body, &facts, "m\"", want_usage);
        let sent = made.to_vec(body);
        assert_eq!(sent.len(), made.length);
        // What is malformed in a place that nobody reads is the provider's to refuse.
        let again = inspect(from, &sent).expect("our own request reads");
        if from.in_path() {
            assert_eq!((sent.as_slice(), &again), (body, &facts));
            continue;
        }
        if is_json {
            let sent_json = json(&sent, body);
            assert!(from.in_path() || sent_json["model"] == "m\"");
        }
        assert_eq!((again.model.as_str(), again.stream), ("m\"", facts.stream));
    }
}

fn answer(from: Dialect, body: &[u8]) {
    let options = TranslateOptions::default();
    let _ = (
        response_facts(from, body, "gpt"),
        provider_error(from, body),
    );
    for to in Dialect::ALL {
        if let Ok(made) = translate_response(from, to, body, "m", &options) {
            let answer = json(&made.body, body);
            let model = match to {
                Dialect::GenerateContent => &answer["modelVersion"],
                // The path names it, or nothing does.
                Dialect::Converse | Dialect::CohereChat => continue,
                _ => &answer["model"],
            };
            assert_eq!(model, "m");
        }
    }
}

/// Google's streams are lists where the caller does not ask for events.
fn is_list(dialect: Dialect, pieces: &[&[u8]]) -> bool {
    let first = pieces.iter().find_map(|piece| piece.first());
    dialect == Dialect::GenerateContent && first == Some(&b'[')
}

/// What a tap saw: bytes forwarded, usage, first token, end, events.
type Seen = (Vec<u8>, Option<Usage>, bool, bool, u64);

fn tap(dialect: Dialect, strip: bool, pieces: &[&[u8]]) -> Seen {
    let mut tap = StreamTap::new(dialect, strip);
    if is_list(dialect, pieces) {
        tap = tap.in_json_list();
    }
    let mut out = Vec::new();
    for piece in pieces {
        tap.push(piece).write_into(piece, &mut out);
    }
    out.extend(tap.finish());
    (
        out,
        tap.usage(),
        tap.token_seen(),
        tap.ended(),
        tap.events(),
    )
}

/// What a translator made: bytes, usage, whether it ended as it should.
fn translate(from: Dialect, to: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, Option<Usage>, bool) {
    let options = TranslateOptions {
        include_usage: true,
        json_list: pieces.concat().len() % 2 == 1,
        ..TranslateOptions::default()
    };
    let mut translator = StreamTranslator::new(from, to, "m", &options);
    if is_list(from, pieces) {
        translator = translator.from_json_list();
    }
    let mut out = Vec::new();
    for piece in pieces {
        // What is wrong is in `out` too, as an error event.
        let _ = translator.push(piece, &mut out);
    }
    let _ = translator.finish(&mut out);
    assert!(translator.ended() != translator.failed());
    (out, translator.usage(), translator.ended())
}

fn stream(from: Dialect, bytes: &[u8]) {
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    // Every offset of a short input, some of a longer one: the rest is for other inputs.
    let step = 1 + bytes.len() / 8;
    let first = usize::from(bytes.last().copied().unwrap_or(0)) % step;
    let cuts = (first..bytes.len()).step_by(step);
    let split = |cut: usize| [&bytes[..cut], &bytes[cut..]];
    for strip in [false, true] {
        let whole = tap(from, strip, &[bytes]);
        if strip {
            assert!(whole.0.len() <= bytes.len());
        } else {
            assert_eq!(whole.0, bytes);
        }
        assert_eq!(tap(from, strip, &single), whole);
        for cut in cuts.clone() {
            assert_eq!(tap(from, strip, &split(cut)), whole, "cut at {cut}");
        }
    }
    for to in Dialect::ALL {
        let whole = translate(from, to, &[bytes]);
        assert!(whole.0.len() <= bytes.len() * GROWTH + ENVELOPE);
        assert_eq!(translate(from, to, &single), whole);
        for cut in cuts.clone() {
            assert_eq!(translate(from, to, &split(cut)), whole, "cut at {cut}");
        }
    }
}
