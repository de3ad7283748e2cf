//! What is fuzzed: one function per target, which takes any bytes and panics when a property does
//! not hold. `libfuzzer/` hands them to libFuzzer (`cargo xtask fuzz`); `tests/seeds.rs` drives
//! them with the seeds and a bounded number of mutations in `./test`.
//!
//! To add a target: a function here, a line in [`TARGETS`], some small files under `seeds/<target>/`.

mod ai;
mod batch;
mod cache;
mod config;
mod contract;
mod event;
mod guard;
mod identity;
mod import;
mod resume;
mod rpc;
mod waf;

pub use ai::{
    chat_completions, cohere_chat, converse, event_stream, generate_content, messages, responses,
    sse,
};
pub use batch::batch;
pub use cache::{cache, cache_file};
pub use config::config;
pub use contract::{descriptors, graphql, json_grpc, openapi, shape};
pub use event::{cloud_event, event_pattern, schedule};
pub use guard::guard;
pub use identity::identity;
pub use import::import;
pub use resume::{form, resume};
pub use rpc::rpc;
pub use waf::{seclang, waf};

use gate_kit::http::{Headers, Method, Version};
use gate_net::http1::{
    BodyDecoder, BodyFraming, Limits, OutgoingFraming, ParseError, ResponseContext,
    encode_request_head, encode_response_head, parse_request, parse_response,
};
use gate_net::path::{EncodedSlashes, PathOptions, is_origin_form, normalise};
use gate_net::{client_hello as hello, proxy_protocol as proxy};

/// A target: any bytes in, a panic when a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("http1_chunked", http1_chunked),
    ("path", path),
    ("proxy_protocol", proxy_protocol),
    ("client_hello", client_hello),
    ("config", config),
    ("sse", sse),
    ("rpc", rpc),
    ("event_stream", event_stream),
    ("chat_completions", chat_completions),
    ("messages", messages),
    ("responses", responses),
    ("cohere_chat", cohere_chat),
    ("converse", converse),
    ("generate_content", generate_content),
    ("form", form),
    ("resume", resume),
    ("guard", guard),
    ("import", import),
    ("identity", identity),
    ("waf", waf),
    ("seclang", seclang),
    ("cache", cache),
    ("cache_file", cache_file),
    ("openapi", openapi),
    ("graphql", graphql),
    ("json_grpc", json_grpc),
    ("descriptors", descriptors),
    ("shape", shape),
    ("event_pattern", event_pattern),
    ("schedule", schedule),
    ("cloud_event", cloud_event),
    ("batch", batch),
];

fn fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(_, name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// An accepted request, written and read again, is the same request.
pub fn http1_request(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(Some(first)) = parse_request(bytes, &limits) else {
        return;
    };
    assert!(first.consumed <= bytes.len() && first.consumed <= limits.head_bytes + 2);
    let cut = parse_request(&bytes[..first.consumed], &limits);
    assert!(cut.is_ok_and(|cut| cut.is_some_and(|cut| cut.framing == first.framing)));
    let head = &first.head;
    let framing = match (&head.upgrade, first.framing) {
        (_, BodyFraming::Length(length)) => OutgoingFraming::Length(length),
        (_, BodyFraming::Chunked) => OutgoingFraming::Chunked,
        (Some(protocol), BodyFraming::None) => OutgoingFraming::Upgrade(protocol),
        _ => OutgoingFraming::None,
    };
    let mut out = Vec::new();
    let sent = encode_request_head(&mut out, head, framing, first.keep_alive);
    if head.authority.is_empty() {
        return;
    }
    let sent = sent.expect("what was read can be written");
    let roomy = Limits {
        head_bytes: usize::MAX,
        header_count: usize::MAX,
        ..limits
    };
    let second = match parse_request(&out, &roomy) {
        // The added fields may exceed the hard limits, which is no matter of meaning.
        Err(ParseError::HeadTooLarge | ParseError::TooManyHeaders) => return,
        other => other.expect("our own head is valid").expect("and complete"),
    };
    assert_eq!(second.consumed, out.len());
    assert_eq!(second.head.method, head.method);
    assert_eq!(second.head.target, head.target);
    assert_eq!(second.head.authority, head.authority);
    assert_eq!(fields(&second.head.headers), fields(&head.headers));
    if head.upgrade.is_none() {
        assert_eq!(second.keep_alive, first.keep_alive);
    }
    match sent.framing {
        // A POST without body is told to have no bytes.
        BodyFraming::None => assert!(matches!(
            second.framing,
            BodyFraming::None | BodyFraming::Length(0)
        )),
        framing => assert_eq!(second.framing, framing),
    }
}

/// An accepted response, written and read again, is the same response.
pub fn http1_response(bytes: &[u8]) {
    let limits = Limits::default();
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let method = match choice % 3 {
        0 => Method::Get,
        1 => Method::Head,
        _ => Method::Connect,
    };
    let Ok(Some(first)) = parse_response(bytes, &method, &limits) else {
        return;
    };
    assert!(first.consumed <= bytes.len());
    let framing = match first.framing {
        BodyFraming::Length(length) => OutgoingFraming::Length(length),
        BodyFraming::Chunked => OutgoingFraming::Chunked,
        BodyFraming::UntilClose => OutgoingFraming::UntilClose,
        BodyFraming::None | BodyFraming::Tunnel => match &first.upgrade {
            Some(protocol) => OutgoingFraming::Upgrade(protocol),
            None => OutgoingFraming::None,
        },
    };
    let context = ResponseContext {
        version: Version::Http11,
        keep_alive: first.keep_alive,
        request_method: &method,
    };
    let mut out = Vec::new();
    let sent = encode_response_head(&mut out, &first.head, framing, context)
        .expect("what was read can be written");
    let roomy = Limits {
        head_bytes: usize::MAX,
        header_count: usize::MAX,
        ..limits
    };
    let second = match parse_response(&out, &method, &roomy) {
        Err(ParseError::HeadTooLarge | ParseError::TooManyHeaders) => return,
        other => other.expect("our own head is valid").expect("and complete"),
    };
    assert_eq!(second.consumed, out.len());
    assert_eq!(second.head.status, first.head.status);
    assert_eq!(second.framing, sent.framing);
    assert_eq!(second.framing, first.framing);
    assert_eq!(fields(&second.head.headers), fields(&first.head.headers));
}

/// What a decoder makes of bytes that come in pieces: body, bytes used, completeness, trailers.
type Decoded = Result<(Vec<u8>, usize, bool, Option<Vec<(Vec<u8>, Vec<u8>)>>), ParseError>;

fn decode(pieces: &[&[u8]]) -> Decoded {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let (mut body, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let mut window = piece.to_vec();
        let decoded = decoder.decode(&mut window)?;
        assert!(decoded.data <= decoded.consumed && decoded.consumed <= window.len());
        assert_eq!(window[decoded.consumed..], piece[decoded.consumed..]);
        body.extend_from_slice(&window[..decoded.data]);
        consumed += decoded.consumed;
        if decoded.end {
            break;
        }
        assert_eq!(decoded.consumed, piece.len());
    }
    let trailers = decoder.take_trailers().map(|headers| fields(&headers));
    Ok((body, consumed, decoder.is_complete(), trailers))
}

/// A chunked body is the same wherever the network splits it. Very long inputs are cut.
pub fn http1_chunked(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(1024)];
    let whole = decode(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&single), whole);
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(decode(&[head, tail]), whole, "cut at {cut}");
    }
}

/// Normalising twice is normalising once, and no dot segment is left.
pub fn path(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let Ok(target) = std::str::from_utf8(bytes) else {
        return;
    };
    let options = PathOptions {
        merge_slashes: choice & 1 == 0,
        encoded_slashes: match choice / 2 % 3 {
            0 => EncodedSlashes::Keep,
            1 => EncodedSlashes::Reject,
            _ => EncodedSlashes::Decode,
        },
    };
    let Ok(once) = normalise(target, &options) else {
        return;
    };
    let twice = normalise(&once, &options);
    assert_eq!(twice.as_deref(), Ok(&*once));
    if matches!(&*once, "" | "*") {
        return;
    }
    assert!(is_origin_form(once.as_bytes()));
    let path = once.split('?').next().unwrap_or_default();
    assert!(path.split('/').all(|part| part != "." && part != ".."));
}

/// Bytes behind a PROXY header never change it, and no beginning of an accepted one is refused.
pub fn proxy_protocol(bytes: &[u8]) {
    if let Ok(Some((header, length))) = proxy::parse(bytes) {
        assert_eq!(proxy::parse(&bytes[..length]), Ok(Some((header, length))));
        for end in (0..length).rev().take(300) {
            assert_eq!(proxy::parse(&bytes[..end]), Ok(None));
        }
    }
}

/// No beginning of an accepted ClientHello is refused, and bytes behind it never change it.
pub fn client_hello(bytes: &[u8]) {
    if let Ok(Some(found)) = hello::parse(bytes) {
        let more = [bytes, &[0xff; 3]].concat();
        assert_eq!(hello::parse(&more), Ok(Some(found)));
        for end in (0..bytes.len()).rev().take(300) {
            assert!(hello::parse(&bytes[..end]).is_ok());
        }
    }
}
