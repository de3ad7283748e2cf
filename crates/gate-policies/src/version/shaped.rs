//! Requests and answers of an old version on their way to and from a newer service.

use super::ChooseVersion;
use crate::heavy;
use bytes::Bytes;
use gate_contract::shape::{Chain, Underway};
use gate_flow::{Exchange, Fault, Services};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, Response};
use gate_model::fault::FaultCode;
use std::io::Read;

/// Fields of a request that ask for less than a whole, plain answer.
const ASKS: [HeaderId; 2] = [HeaderId::AcceptEncoding, HeaderId::Range];
/// Fields about the bytes of a body, which change.
const ABOUT_BYTES: [&str; 5] = [
    "Content-MD5",
    "Digest",
    "Content-Digest",
    "Repr-Digest",
    "Want-Repr-Digest",
];

/// Finds what applies to a request, and changes its path and query.
pub(super) fn begin(chain: &Chain, exchange: &mut Exchange) -> Underway {
    let head = &exchange.request.head;
    let underway = chain.begin(head.method.as_str(), head.path(), head.query());
    if underway.path.is_some() || underway.query.is_some() {
        crate::path_change::set_target(exchange, underway.path.clone(), underway.query.clone());
    }
    if chain.reads_response(&underway, None) {
        exchange.request.head.headers.remove_any(&ASKS);
        about_request(&mut exchange.request.head.headers);
    }
    underway
}

/// Whether the request's body is to be changed.
pub(super) fn reads_request(chain: &Chain, underway: &Underway, exchange: &Exchange) -> bool {
    let head = &exchange.request.head;
    let empty = exchange.request.body.length() == Some(0);
    !empty && chain.reads_request(underway) && is_json(&head.headers)
}

/// Whether the answer's body is to be changed.
pub(super) fn reads_response(
    chain: &Chain,
    underway: &Underway,
    exchange: &Exchange,
    response: &Response,
) -> bool {
    let empty = response.body.length() == Some(0) || exchange.request.head.method == Method::Head;
    let status = Some(response.head.status);
    !empty && chain.reads_response(underway, status) && is_json(&response.head.headers)
}

fn is_json(headers: &Headers) -> bool {
    let Some(media) = headers.get_str(HeaderId::ContentType) else {
        return false;
    };
    let essence = media
        .split(';')
        .next()
        .unwrap_or(media)
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// How a body is coded; none where it is plain.
fn coding(headers: &Headers) -> Option<String> {
    let coding = headers.get(HeaderId::ContentEncoding)?;
    let coding = String::from_utf8_lossy(coding).trim().to_ascii_lowercase();
    (!coding.is_empty() && coding != "identity").then_some(coding)
}

/// Why a body cannot be turned.
enum Problem {
    /// It has more bytes than a shape takes.
    TooLarge,
    /// It is not what it says, in a sentence.
    Malformed(String),
}

/// A body without its coding, of `most` bytes at most.
fn plain(coding: &str, bytes: &[u8], most: usize) -> Result<Vec<u8>, Problem> {
    let reader: Box<dyn Read + '_> = match coding {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        other => {
            let text = format!("its coding is `{other}`, and not gzip, deflate or br");
            return Err(Problem::Malformed(text));
        }
    };
    let mut plain = Vec::new();
    let read = reader.take(most as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| Problem::Malformed(format!("it is not what `{coding}` makes: {error}")))?;
    match plain.len() > most {
        true => Err(Problem::TooLarge),
        false => Ok(plain),
    }
}

/// Turns a body that was read whole, beside the worker where that may be long.
async fn turned(
    services: &dyn Services,
    coding: Option<String>,
    body: Bytes,
    most: usize,
    turn: impl FnOnce(&[u8]) -> Result<Vec<u8>, String> + Send + 'static,
) -> Result<Result<Vec<u8>, Problem>, Fault> {
    let inline = coding.is_none() && heavy::is_light(body.len());
    let work = move || match coding {
        None => turn(&body).map_err(Problem::Malformed),
        Some(coding) => turn(&plain(&coding, &body, most)?).map_err(Problem::Malformed),
    };
    heavy::done(services, inline, work).await
}

/// Fields about what is answered that do not hold for what the caller gets: a strong validator is of
/// the service's bytes, and parts of those are nothing to ask for.
pub(super) fn about_answer(headers: &mut Headers) {
    headers.remove_named("Accept-Ranges");
    let Some(tag) = headers.get_named("ETag").map(<[u8]>::to_vec) else {
        return;
    };
    if !tag.starts_with(b"W/") {
        headers.remove_named("ETag");
        let _ = headers.try_append(b"ETag", &[b"W/", &*tag].concat());
    }
}

/// What callers got as weak validators ([`about_answer`]), as the service gave them.
fn about_request(headers: &mut Headers) {
    let tags: Vec<Vec<u8>> = headers.all_named("If-Match").map(<[u8]>::to_vec).collect();
    if tags.is_empty() {
        return;
    }
    headers.remove_named("If-Match");
    for tag in tags {
        let text = String::from_utf8_lossy(&tag).replace("W/\"", "\"");
        let _ = headers.try_append(b"If-Match", text.as_bytes());
    }
}

fn forget_bytes(headers: &mut Headers) {
    headers.remove_any(&[HeaderId::ContentLength, HeaderId::ContentEncoding]);
    for name in ABOUT_BYTES {
        headers.remove_named(name);
    }
}

impl ChooseVersion {
    /// Turns a request's body into what the service takes.
    pub(super) async fn shape_request(
        &self,
        version: usize,
        underway: Underway,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        let Some(chain) = self.chains[version].clone() else {
            return Ok(());
        };
        let most = chain.body_max();
        let coding = coding(&exchange.request.head.headers);
        let body = exchange.request.body.collect(most).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let turn = move |body: &[u8]| chain.request(&underway, body);
        let turned = turned(&*exchange.services, coding, body, most, turn).await?;
        let shaped = turned.map_err(|problem| match problem {
            Problem::TooLarge => Fault::new(FaultCode::BodyTooLarge),
            Problem::Malformed(text) => {
                Fault::new(FaultCode::InvalidBody).message(format!("It is no plain JSON: {text}."))
            }
        })?;
        forget_bytes(&mut exchange.request.head.headers);
        exchange.request.body = Body::from(Chunk::Shared(shaped.into()));
        Ok(())
    }

    /// Turns an answer's body into what the caller expects.
    pub(super) async fn shape_response(
        &self,
        version: usize,
        underway: Underway,
        exchange: &mut Exchange,
        response: &mut Response,
    ) -> Result<(), Fault> {
        let Some(chain) = self.chains[version].clone() else {
            return Ok(());
        };
        let refuse = |text: String| Fault::new(FaultCode::UpstreamMalformed).detail(text);
        let most = chain.body_max();
        let coding = coding(&response.head.headers);
        let body = response.body.collect(most).await;
        let body = body
            .map_err(|error| Fault::from_response_body(&error))?
            .into_bytes();
        let status = response.head.status;
        let turn = move |body: &[u8]| chain.response(&underway, status, body);
        let turned = turned(&*exchange.services, coding, body, most, turn).await?;
        let shaped = turned.map_err(|problem| match problem {
            Problem::TooLarge => refuse("the answer is larger than its shape's `body`".to_owned()),
            Problem::Malformed(text) => refuse(format!("the answer is no plain JSON: {text}")),
        })?;
        forget_bytes(&mut response.head.headers);
        response.body = Body::from(Chunk::Shared(shaped.into()));
        Ok(())
    }
}
