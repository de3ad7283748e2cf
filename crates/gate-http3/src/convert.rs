//! Heads between the `http` crate's types, which `h3` speaks, and ours.

use bytes::Bytes;
use gate_kit::http::multiplexed::{self, Pseudo, Refusal};
use gate_kit::http::{Body, Headers, RequestHead, ResponseHead, Version};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// A received request's head and its Content-Length.
pub(crate) fn request_in(
    request: &http::Request<()>,
    header_bytes: usize,
    header_fields: usize,
) -> Result<(RequestHead, Option<u64>), Refusal> {
    let size = |(name, value): (&[u8], &[u8])| name.len() + value.len() + 32;
    let fields = || fields_of(request.headers());
    if fields().map(size).sum::<usize>() > header_bytes {
        return Err(Refusal::TooManyFields);
    }
    let uri = request.uri();
    let pseudo = Pseudo {
        method: request.method().as_str().as_bytes(),
        authority: uri.authority().map(|a| a.as_str().as_bytes()),
        path: uri.path_and_query().map_or("/", |path| path.as_str()),
        protocol: None,
    };
    multiplexed::request(Version::Http3, pseudo, fields, header_fields)
}

fn fields_of(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

pub(crate) fn trailers_in(map: &HeaderMap) -> Headers {
    multiplexed::trailers(fields_of(map))
}

/// Fields to send: all but those that belong to a connection or to framing.
pub(crate) fn headers_out(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    for (id, name, value) in multiplexed::to_send(headers) {
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value));
        let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name), value) else {
            debug_assert!(false, "Headers hold only valid fields");
            continue;
        };
        value.set_sensitive(multiplexed::is_sensitive(id));
        map.append(name, value);
    }
    map
}

/// A response's head to send. `answers_head`: the request was a HEAD.
pub(crate) fn response_out(
    head: &ResponseHead,
    body: &Body,
    answers_head: bool,
) -> http::Response<()> {
    let mut map = headers_out(&head.headers);
    let length = multiplexed::response_length(head.status, &head.headers, body, answers_head);
    if let Some(length) = length {
        map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut response = http::Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(head.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = map;
    response
}
