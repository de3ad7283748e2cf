//! Every answer of the mock upstream, made once: what is written, in which pieces, at what pace.
//!
//! A reply is a list of pieces, each written with one system call. JSON is one piece; a
//! coalesced stream is one piece; a burst stream is one piece per event without pause; a paced
//! stream waits between pieces. So the server knows nothing about streams. A reply of a stand-in for a
//! model comes when the model has the time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;

use super::{Question, SPEEDS};

/// Events in every stream, the closing `[DONE]` included.
pub const EVENTS_PER_STREAM: u64 = 203;
/// Pause between the events of a paced stream.
pub const PACED_GAP: Duration = Duration::from_millis(20);

/// One answer: bytes in the pieces in which they are written.
#[derive(Debug)]
pub struct Reply {
    /// The pieces; each leaves in a write of its own.
    pub pieces: Vec<Vec<u8>>,
    /// The pause between two pieces.
    pub gap: Option<Duration>,
    /// Bytes of the body once transfer coding is removed.
    pub body_bytes: u64,
    /// Which of [`SPEEDS`] the server that answers so has; at once where it is none.
    pub speed: Option<usize>,
}

/// The answers by what is asked.
#[derive(Debug, Clone)]
pub struct Replies {
    json_1k: Arc<Reply>,
    json_16k: Arc<Reply>,
    kept_1k: Arc<Reply>,
    kept_64k: Arc<Reply>,
    chat: Arc<Reply>,
    thought: [Arc<Reply>; SPEEDS.len()],
    message: Arc<Reply>,
    burst: Arc<Reply>,
    coalesced: Arc<Reply>,
    paced: Arc<Reply>,
    missing: Arc<Reply>,
}

impl Default for Replies {
    fn default() -> Self {
        let events = chat_events();
        let body_bytes = events.iter().map(|event| event.len() as u64).sum();
        let pieces = chunked(&events);
        let coalesced = vec![pieces.concat()];
        let stream = |pieces: &[Vec<u8>], gap| {
            Arc::new(Reply {
                pieces: pieces.to_vec(),
                gap,
                body_bytes,
                speed: None,
            })
        };
        let thought = |speed| {
            let mut reply = whole("200 OK", &chat_completion());
            reply.speed = Some(speed);
            Arc::new(reply)
        };
        Self {
            json_1k: json("200 OK", &orders(1024)),
            json_16k: json("200 OK", &orders(16 * 1024)),
            kept_1k: kept(&orders(1024)),
            kept_64k: kept(&orders(64 * 1024)),
            chat: json("200 OK", &chat_completion()),
            thought: std::array::from_fn(thought),
            message: json("200 OK", &anthropic_message()),
            burst: stream(&pieces, None),
            coalesced: stream(&coalesced, None),
            paced: stream(&pieces, Some(PACED_GAP)),
            missing: json("404 Not Found", "{\"error\":\"no such path in the mock\"}"),
        }
    }
}

impl Replies {
    /// The answer to a request.
    #[must_use]
    pub fn find(&self, question: &Question<'_>) -> &Arc<Reply> {
        let (mode, path) = split_mode(question.path);
        match (question.method, path) {
            ("GET", "/json/1k") => &self.json_1k,
            ("GET", "/json/16k") => &self.json_16k,
            ("POST", "/v1/orders") => &self.json_1k,
            ("GET", "/kept/1k") => &self.kept_1k,
            ("GET", "/kept/64k") => &self.kept_64k,
            ("POST", "/v1/chat/completions") if wants_stream(question.body) => match mode {
                "burst" => &self.burst,
                "paced" => &self.paced,
                _ => &self.coalesced,
            },
            ("POST", "/v1/chat/completions") => {
                match SPEEDS.iter().position(|speed| speed.mode == mode) {
                    Some(speed) => &self.thought[speed],
                    None => &self.chat,
                }
            }
            ("POST", "/v1/messages") => &self.message,
            _ => &self.missing,
        }
    }
}

/// Splits `/burst/v1/...` into the pace of the stream, or the speed of the server, and the rest; no
/// pace is `""`.
fn split_mode(path: &str) -> (&str, &str) {
    let speeds = SPEEDS.iter().map(|speed| speed.mode);
    for mode in ["burst", "coalesced", "paced"].into_iter().chain(speeds) {
        let rest = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(mode));
        if let Some(rest) = rest.filter(|rest| rest.starts_with('/')) {
            return (mode, rest);
        }
    }
    ("", path)
}

fn wants_stream(body: &[u8]) -> bool {
    memmem::find(body, b"\"stream\":true").is_some()
        || memmem::find(body, b"\"stream\": true").is_some()
}

fn json(status: &str, body: &str) -> Arc<Reply> {
    Arc::new(whole(status, body))
}

fn whole(status: &str, body: &str) -> Reply {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Reply {
        pieces: vec![[head.as_bytes(), body.as_bytes()].concat()],
        gap: None,
        body_bytes: body.len() as u64,
        speed: None,
    }
}

/// An answer that caches may keep, with the fields that such answers usually have.
fn kept(body: &str) -> Arc<Reply> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nVary: Accept-Encoding\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\
         Cache-Control: public, max-age=86400\r\nETag: \"5f2c1a9b\"\r\n\
         Last-Modified: Sat, 21 Nov 2026 00:00:00 GMT\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    Arc::new(Reply {
        pieces: vec![[head.as_bytes(), body.as_bytes()].concat()],
        gap: None,
        body_bytes: body.len() as u64,
        speed: None,
    })
}

/// A list of orders as JSON of exactly `bytes` bytes.
fn orders(bytes: usize) -> String {
    let mut text = String::from("{\"orders\":[");
    let mut id = 1000;
    loop {
        let order = format!(
            "{{\"id\":{id},\"state\":\"paid\",\"currency\":\"EUR\",\"total\":{}.50}},",
            id % 97
        );
        // The end below takes 21 bytes; stop while there is room for it.
        if text.len() + order.len() + 21 > bytes {
            break;
        }
        text.push_str(&order);
        id += 1;
    }
    text.pop();
    text.push_str("],\"next\":\"");
    let padding = bytes - text.len() - 2;
    text.extend(std::iter::repeat_n('p', padding));
    text.push_str("\"}");
    text
}

const SENTENCE: &str = "The gateway keeps each connection open, reads the answer as it \
arrives and passes every byte on without waiting for more. ";

fn chat_completion() -> String {
    format!(
        "{{\"id\":\"chatcmpl-bench0001\",\"object\":\"chat.completion\",\"created\":1760000000,\
         \"model\":\"bench-model\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":\"{}\",\"refusal\":null,\"annotations\":[]}},\"logprobs\":null,\
         \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":402,\"completion_tokens\":198,\
         \"total_tokens\":600,\"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\
         \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}},\
         \"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}}",
        SENTENCE.repeat(7)
    )
}

fn anthropic_message() -> String {
    format!(
        "{{\"id\":\"msg_bench0001\",\"type\":\"message\",\"role\":\"assistant\",\
         \"model\":\"bench-model\",\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}],\
         \"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{{\"input_tokens\":402,\
         \"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":198}}}}",
        SENTENCE.repeat(8)
    )
}

/// The events of a chat stream: a role, 199 tokens, the end with usage, usage alone, `[DONE]`.
fn chat_events() -> Vec<String> {
    let event = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-bench0001\",\"object\":\"chat.completion.chunk\",\
             \"created\":1760000000,\"model\":\"bench-model\",\"service_tier\":\"default\",\
             \"system_fingerprint\":\"fp_bench\",\"choices\":[{choices}],\"usage\":{usage},\
             \"obfuscation\":\"Zq3xW9\"}}\n\n"
        )
    };
    let choice = |delta: &str, finish: &str| {
        format!("{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}")
    };
    let role = "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}";
    let usage = "{\"prompt_tokens\":402,\"completion_tokens\":199,\"total_tokens\":601}";
    let mut events = vec![event(&choice(role, "null"), "null")];
    for word in SENTENCE.split_inclusive(' ').cycle().take(199) {
        let mut delta = String::from("{\"content\":\"");
        let _ = write!(delta, "{word}\"}}");
        events.push(event(&choice(&delta, "null"), "null"));
    }
    events.push(event(&choice("{}", "\"stop\""), "null"));
    events.push(event("", usage));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// One chunk per event; the head leaves with the first and the end with the last.
fn chunked(events: &[String]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = events
        .iter()
        .map(|event| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes())
        .collect();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    pieces[0].splice(..0, head.bytes());
    let last = pieces.len() - 1;
    pieces[last].extend_from_slice(b"0\r\n\r\n");
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'a>(replies: &'a Replies, method: &str, path: &str, body: &str) -> &'a Reply {
        let body = body.as_bytes();
        replies.find(&Question { method, path, body })
    }

    #[test]
    fn sizes_are_those_that_the_scenarios_name() {
        let replies = Replies::default();
        assert_eq!(ask(&replies, "GET", "/json/1k", "").body_bytes, 1024);
        assert_eq!(ask(&replies, "GET", "/json/16k", "").body_bytes, 16 * 1024);
        let chat = ask(&replies, "POST", "/v1/chat/completions", "{}");
        assert!(
            (1300..1500).contains(&chat.body_bytes),
            "{}",
            chat.body_bytes
        );
        let stream = "{\"stream\":true}";
        let burst = ask(&replies, "POST", "/burst/v1/chat/completions", stream);
        assert_eq!(burst.pieces.len() as u64, EVENTS_PER_STREAM);
        assert!(
            (55_000..65_000).contains(&burst.body_bytes),
            "{}",
            burst.body_bytes
        );
        let coalesced = ask(&replies, "POST", "/coalesced/v1/chat/completions", stream);
        assert_eq!((coalesced.pieces.len(), coalesced.gap), (1, None));
        let paced = ask(&replies, "POST", "/paced/v1/chat/completions", stream);
        assert_eq!(paced.gap, Some(PACED_GAP));
    }

    #[test]
    fn bodies_are_json() {
        for text in [
            orders(1024),
            orders(16 * 1024),
            chat_completion(),
            anthropic_message(),
        ] {
            serde_json::from_str::<serde_json::Value>(&text).expect("a reply is JSON");
        }
        let events = chat_events();
        for event in &events[..events.len() - 1] {
            let data = event.strip_prefix("data: ").expect("an event has data");
            serde_json::from_str::<serde_json::Value>(data).expect("an event is JSON");
        }
    }
}
