//! One request to a server over streamable HTTP: what is sent, and what its status means.
//!
//! Of the caller's request nothing goes along but the message.

use super::Trouble;
use super::server::Server;
use super::session::Opened;
use crate::target::around::Around;
use crate::target::peer::Peer;
use gate_flow::Fault;
use gate_kit::http::{
    Body, Chunk, HeaderId, Headers, Method, RequestHead, Response, ResponseHead, Version,
};
use gate_model::fault::FaultCode;
use std::time::Duration;

/// What is asked of a server.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Another path of the server than its endpoint's.
    pub(super) target: Option<&'a str>,
    /// The session at the server, once there is one.
    pub(super) opened: Option<&'a Opened>,
    /// The message.
    pub(super) body: Option<bytes::Bytes>,
    /// Where a broken stream goes on.
    pub(super) last_event: Option<&'a str>,
    /// To the first byte of the answer.
    pub(super) first_byte: Duration,
    /// Between two pieces of it; zero for a stream that may be silent.
    pub(super) idle: Duration,
}

/// Sends a request to a server.
///
/// # Errors
/// Why there is no answer that counts. May be dropped midway, which cancels it.
pub(super) async fn send(
    around: &Around,
    server: &Server,
    peer: &Peer,
    ask: Ask<'_>,
) -> Result<Response, Trouble> {
    let head = head(peer, &ask)?;
    let body = ask
        .body
        .map_or(Body::Empty, |b| Body::from(Chunk::Shared(b)));
    let answer = peer
        .send(around, head, body, ask.first_byte, ask.idle)
        .await?;
    judge(server, peer, answer, ask.opened.is_some())
}

fn head(peer: &Peer, ask: &Ask<'_>) -> Result<RequestHead, Fault> {
    let mut headers = Headers::with_capacity(10, 512);
    let accept: &[u8] = match ask.method {
        Method::Get if ask.target.is_some() => b"application/json",
        Method::Get => b"text/event-stream",
        _ => b"application/json, text/event-stream",
    };
    headers.append_known(HeaderId::Accept, accept);
    if ask.body.is_some() {
        headers.append_known(HeaderId::ContentType, b"application/json");
    }
    if let Some(opened) = ask.opened {
        if let Some(session) = &opened.session {
            headers.append(b"mcp-session-id", session.as_bytes());
        }
        headers.append(b"mcp-protocol-version", opened.offer.version.as_bytes());
    }
    if let Some(last) = ask.last_event {
        let appended = headers.try_append(b"last-event-id", last.as_bytes());
        appended.map_err(|error| Fault::new(FaultCode::InvalidBody).detail(error.to_string()))?;
    }
    Ok(RequestHead {
        method: ask.method.clone(),
        authority: String::new(),
        target: ask.target.unwrap_or(&peer.target).to_owned(),
        version: Version::Http11,
        headers,
        upgrade: None,
    })
}

/// What a status means. An error with a body of JSON-RPC is an answer.
fn judge(
    server: &Server,
    peer: &Peer,
    answer: Response,
    in_session: bool,
) -> Result<Response, Trouble> {
    let fault = |code: FaultCode| {
        let detail = format!("`{}` answered {}", server.name, answer.head.status);
        Trouble::Fault(Fault::new(code).detail(detail))
    };
    match answer.head.status {
        200..=299 => Ok(answer),
        status @ (401 | 403) if peer.passes => Err(Trouble::Challenge {
            status,
            wanted: answer
                .head
                .headers
                .get(HeaderId::WwwAuthenticate)
                .map(<[u8]>::to_vec),
        }),
        401 | 403 => Err(fault(FaultCode::UpstreamRejected)),
        404 if in_session => Err(Trouble::Lost),
        405 => Err(Trouble::Unserved),
        429 | 503 => Err(fault(FaultCode::UpstreamOverloaded)),
        _ if is_json(&answer.head) => Ok(answer),
        400..=499 => Err(fault(FaultCode::UpstreamRejected)),
        _ => Err(fault(FaultCode::UpstreamMalformed)),
    }
}

/// Whether an answer is one document.
pub(super) fn is_json(head: &ResponseHead) -> bool {
    has_type(head, b"application/json")
}

/// Whether an answer is a stream of events.
pub(super) fn is_stream(head: &ResponseHead) -> bool {
    has_type(head, b"text/event-stream")
}

fn has_type(head: &ResponseHead, wanted: &[u8]) -> bool {
    let value = head.headers.get(HeaderId::ContentType);
    value.is_some_and(|value| {
        let start = value.get(..wanted.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    })
}
