//! Requests and answers of an old version on their way to and from a newer service.

use super::ChooseVersion;
use crate::heavy;
use gate_contract::shape::{Chain, Underway};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, Method, Response};
use gate_model::fault::FaultCode;

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

fn is_coded(headers: &Headers) -> bool {
    let coding = headers.get(HeaderId::ContentEncoding);
    coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

fn forget_bytes(headers: &mut Headers) {
    headers.remove(HeaderId::ContentLength);
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
        if is_coded(&exchange.request.head.headers) {
            let text = "A compressed body cannot be turned into the newer version's.";
            return Err(Fault::new(FaultCode::InvalidBody).message(text));
        }
        let body = exchange.request.body.collect(chain.body_max()).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let inline = heavy::is_light(body.len());
        let work = move || chain.request(&underway, &body);
        let shaped = heavy::done(&*exchange.services, inline, work).await?;
        let shaped = shaped.map_err(|text| {
            Fault::new(FaultCode::InvalidBody).message(format!("It is no plain JSON: {text}."))
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
        if is_coded(&response.head.headers) {
            let text = "the answer is compressed though none was asked for, so that its shape \
                        cannot be changed";
            return Err(refuse(text.into()));
        }
        let body = response.body.collect(chain.body_max()).await;
        let body = body
            .map_err(|error| Fault::from_response_body(&error))?
            .into_bytes();
        let status = response.head.status;
        let inline = heavy::is_light(body.len());
        let work = move || chain.response(&underway, status, &body);
        let shaped = heavy::done(&*exchange.services, inline, work).await?;
        let shaped =
            shaped.map_err(|text| refuse(format!("the answer is no plain JSON: {text}")))?;
        forget_bytes(&mut response.head.headers);
        response.body = Body::from(Chunk::Shared(shaped.into()));
        Ok(())
    }
}
