//! What one head costs to read and to write, for `valgrind --tool=callgrind`.
//!
//! ```text
//! cargo build --profile bench -p gate-net --example codec_cost
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/codec_cost parse-request 0
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/codec_cost parse-request 1000
//! ```
//!
//! The difference of the two `Collected` figures, over 1000, is the cost of one, with the release
//! of its memory.

use gate_kit::http::{Method, Version};
use gate_net::http1::{
    BodyDecoder, BodyFraming, Limits, OutgoingFraming, ResponseContext, encode_request_head,
    encode_response_head, parse_request, parse_response,
};
use gate_net::path::{PathOptions, normalise};
use std::hint::black_box;

const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: OpenAI/Python 1.99.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Content-Type: application/json\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    Content-Length: 1024\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n\
    Server: sample\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 1024\r\n\
    Cache-Control: no-store\r\n\
    X-Request-Id: 0123456789abcdef\r\n\r\n";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let rounds: u32 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let limits = Limits::default();
    let request = parse_request(REQUEST, &limits)
        .ok()
        .flatten()
        .expect("the sample is valid");
    let response = parse_response(RESPONSE, &Method::Get, &limits)
        .ok()
        .flatten()
        .expect("the sample is valid");
    let context = ResponseContext {
        version: Version::Http11,
        keep_alive: true,
        request_method: &Method::Post,
    };
    let framing = OutgoingFraming::Length(1024);
    let mut out = Vec::with_capacity(4096);
    let events = "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n";
    let stream = events.repeat(200);
    for _ in 0..rounds {
        out.clear();
        match what.as_str() {
            "parse-request" => drop(black_box(parse_request(black_box(REQUEST), &limits))),
            "parse-response" => {
                drop(black_box(parse_response(
                    black_box(RESPONSE),
                    &Method::Get,
                    &limits,
                )));
            }
            "encode-request" => {
                let _ = black_box(encode_request_head(
                    &mut out,
                    black_box(&request.head),
                    framing,
                    true,
                ));
            }
            "encode-response" => {
                let head = black_box(&response.head);
                let _ = black_box(encode_response_head(&mut out, head, framing, context));
            }
            "path" => {
                let target = black_box(request.head.target.as_str());
                let _ = black_box(normalise(target, &PathOptions::default()));
            }
            "chunks" => {
                out.extend_from_slice(stream.as_bytes());
                let _ = black_box(BodyDecoder::new(BodyFraming::Chunked).decode(&mut out));
            }
            _ => panic!("name what to measure; see the head of this file"),
        }
    }
}
