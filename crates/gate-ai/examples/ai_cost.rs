//! What the AI work of one exchange costs, for `valgrind --tool=callgrind` or a stopwatch.
//!
//! `ai_cost WHAT N` does one thing N times, WHAT being one of `request` (inspect and prepare a
//! 1.9 KB chat), `usage` (usage and model of a 1.4 KB answer), `stream` (tap a 60 KB stream of 203
//! events in one piece), `pieces` (the same, event by event), `translate` (request and answer to
//! Messages and back), `translate_stream` (that stream to Messages). Run it with two counts and
//! subtract to get rid of the start.

use gate_ai::{
    Dialect, StreamTap, StreamTranslator, TranslateOptions, inspect, prepare_native,
    response_facts, translate_request, translate_response,
};
use std::hint::black_box;
use std::time::Instant;

fn request() -> Vec<u8> {
    let text =
        "The gateway forwards what the caller sent and changes nothing but a name. ".repeat(3);
    let turns: Vec<String> = (0..7)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{text}"}}"#)
        })
        .collect();
    format!(
        r#"{{"model":"assistant","messages":[{}],"temperature":0.7,"max_tokens":512,"stream":false}}"#,
        turns.join(",")
    )
    .into_bytes()
}

fn answer() -> Vec<u8> {
    let text = "An answer of some length, as models give. ".repeat(22);
    format!(
        concat!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-5-mini","#,
            r#""choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","#,
            r#""refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"#,
            r#""usage":{{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"#,
            r#""prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"#,
            r#""completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"#,
            r#""service_tier":"default","system_fingerprint":"fp_1"}}"#
        ),
        text
    )
    .into_bytes()
}

fn events() -> Vec<Vec<u8>> {
    let chunk = |rest: &str| {
        format!(
            concat!(
                r#"data: {{"id":"chatcmpl-C1pp4gLmBGwGdRLRzgA0bUvjmVbXh","#,
                r#""object":"chat.completion.chunk","created":1754501234,"#,
                r#""model":"gpt-5-mini-2025-08-07","service_tier":"default","#,
                r#""system_fingerprint":"fp_0123456789","{}}}"#,
                "\n\n"
            ),
            rest
        )
        .into_bytes()
    };
    let delta = |delta: &str| {
        chunk(&format!(
            concat!(
                r#"choices":[{{"index":0,"delta":{},"logprobs":null,"finish_reason":null}}],"#,
                r#""usage":null,"obfuscation":"Aq3fK9""#
            ),
            delta
        ))
    };
    let mut events = vec![delta(r#"{"role":"assistant","content":"","refusal":null}"#)];
    events.extend((0..200).map(|_| delta(r#"{"content":" token"}"#)));
    events.push(chunk(
        r#"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":200,"total_tokens":219}"#,
    ));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "request".into());
    let count: u32 = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000);
    let (request, answer, events) = (request(), answer(), events());
    let stream = events.concat();
    let options = TranslateOptions::default();
    let (chat, messages) = (Dialect::ChatCompletions, Dialect::Messages);
    let started = Instant::now();
    for _ in 0..count {
        match what.as_str() {
            "request" => {
                let body = black_box(&request);
                let facts = inspect(chat, body).expect("the sample is valid");
                let made = prepare_native(chat, body, &facts, "gpt-5-mini", true);
                black_box(made.to_vec(body));
            }
            "usage" => drop(black_box(response_facts(chat, black_box(&answer), "gpt"))),
            "stream" => {
                let mut tap = StreamTap::new(chat, false);
                black_box(tap.push(black_box(&stream)));
                black_box(tap.usage());
            }
            "pieces" => {
                let mut tap = StreamTap::new(chat, false);
                for event in black_box(&events) {
                    black_box(tap.push(event));
                }
                black_box(tap.usage());
            }
            "translate" => {
                let body = black_box(&request);
                let made = translate_request(chat, messages, body, "claude", &options);
                drop(black_box(made.expect("the sample is valid")));
                let made = translate_response(chat, messages, &answer, "assistant", &options);
                drop(black_box(made.expect("the sample is valid")));
            }
            "translate_stream" => {
                let mut translator = StreamTranslator::new(chat, messages, "a", &options);
                let mut out = Vec::with_capacity(64 * 1024);
                translator
                    .push(black_box(&stream), &mut out)
                    .expect("the sample is valid");
                translator.finish(&mut out).expect("the sample is valid");
                black_box(out);
            }
            _ => return eprintln!("unknown: {what}"),
        }
    }
    let nanoseconds = started.elapsed().as_nanos() / u128::from(count.max(1));
    eprintln!(
        "{what}: {nanoseconds} ns each; request {} B, answer {} B, stream {} B in {} events",
        request.len(),
        answer.len(),
        stream.len(),
        events.len()
    );
}
