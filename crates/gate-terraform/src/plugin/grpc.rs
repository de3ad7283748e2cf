//! Unary gRPC over one HTTP/2 connection: frames, statuses, and which call is meant.
//!
//! Calls run on threads that may block, because the way to the server blocks; a connection's task
//! only moves bytes. Every message has a limit, and so has the number of calls at a time.

use super::messages::Health;
use bytes::{BufMut, Bytes};
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Frame, Headers, Response, ResponseHead,
};
use gate_net::http2::{Http2Limits, Http2Server, Incoming};
use gate_net::io::Io;
use prost::Message;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The most bytes of a call's message; Terraform itself stops at 64 MiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Calls at a time; Terraform makes ten unless `-parallelism` says otherwise.
pub(super) const CALLS_MAX: u32 = 128;
/// Where the calls of the provider are.
const PROVIDER: &str = "/tfplugin6.Provider/";

/// A call's failure, as gRPC tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Of gRPC: 3 invalid argument, 12 unimplemented, 13 internal.
    pub code: u8,
    /// One sentence.
    pub message: String,
}

impl Status {
    /// The call does not exist here.
    #[must_use]
    pub fn unimplemented(name: &str) -> Self {
        Self {
            code: 12,
            message: format!("there is no call `{name}`"),
        }
    }

    /// What came is no message of this call.
    pub fn invalid(error: impl std::fmt::Display) -> Self {
        Self {
            code: 3,
            message: error.to_string(),
        }
    }
}

/// What answers calls: the bytes of a message for the bytes of a message.
pub trait Calls: Send + Sync + 'static {
    /// Answers a call by its name, such as `PlanResourceChange`. May block.
    ///
    /// # Errors
    /// [`Status`] when the call could not even be understood; all else is in its answer.
    fn call(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, Status>;
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client left.
    Closed,
    /// The client asked the process to end.
    Shutdown,
}

/// Serves one connection to its end. Needs a `LocalSet`.
pub(super) async fn serve(io: Io, calls: Arc<dyn Calls>) -> Ended {
    let limits = Http2Limits {
        streams: CALLS_MAX,
        // Terraform may wait for a person's yes for as long as it takes.
        idle: Duration::from_secs(7 * 24 * 3600),
        keepalive_timeout: Duration::from_secs(120),
        ..Http2Limits::default()
    };
    let Ok(mut server) = Http2Server::handshake(io, limits).await else {
        return Ended::Closed;
    };
    let mut ended = Ended::Closed;
    while let Some(Ok(incoming)) = server.accept().await {
        let path = match &incoming.request {
            Ok(request) => request.head.path().to_owned(),
            Err(_) => String::new(),
        };
        if path == "/plugin.GRPCController/Shutdown" {
            ended = Ended::Shutdown;
            server.drain();
        }
        tokio::task::spawn_local(answer(incoming, path, calls.clone()));
    }
    ended
}

async fn answer(incoming: Incoming, path: String, calls: Arc<dyn Calls>) {
    let Incoming { request, responder } = incoming;
    let result = match request {
        Err(refusal) => {
            let _ = responder.respond(Response::empty(refusal.status())).await;
            return;
        }
        Ok(mut request) => match receive(&mut request.body).await {
            Ok(message) => dispatch(path, message, calls).await,
            Err(status) => Err(status),
        },
    };
    let _ = responder.respond(response(result)).await;
}

/// The one message of a request: a flag, four bytes of length, the bytes.
async fn receive(body: &mut Body) -> Result<Bytes, Status> {
    let whole = body.collect(MESSAGE_BYTES_MAX).await;
    let mut whole = whole.map_err(Status::invalid)?.into_bytes();
    if whole.len() < 5 {
        return Err(Status::invalid("a message is missing"));
    }
    let message = whole.split_off(5);
    let length = u32::from_be_bytes([whole[1], whole[2], whole[3], whole[4]]);
    if whole[0] != 0 || length as usize != message.len() {
        return Err(Status::invalid("not one uncompressed message"));
    }
    Ok(message)
}

async fn dispatch(path: String, message: Bytes, calls: Arc<dyn Calls>) -> Result<Vec<u8>, Status> {
    if path == "/grpc.health.v1.Health/Check" {
        return Ok(Health { status: 1 }.encode_to_vec());
    }
    if path == "/plugin.GRPCController/Shutdown" {
        return Ok(Vec::new());
    }
    let Some(name) = path.strip_prefix(PROVIDER).map(str::to_owned) else {
        return Err(Status::unimplemented(&path));
    };
    let called = tokio::task::spawn_blocking(move || calls.call(&name, &message)).await;
    called.unwrap_or_else(|panicked| {
        Err(Status {
            code: 13,
            message: format!("the provider failed: {panicked}"),
        })
    })
}

fn response(result: Result<Vec<u8>, Status>) -> Response {
    let mut headers = Headers::new();
    headers.append(b"content-type", b"application/grpc");
    let body = match result {
        Ok(message) => {
            let mut framed = Vec::with_capacity(message.len() + 5);
            framed.put_u8(0);
            framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
            framed.extend_from_slice(&message);
            Reply {
                message: Some(framed),
                trailers: Some(trailers(0, "")),
            }
        }
        Err(status) => Reply {
            message: None,
            trailers: Some(trailers(status.code, &status.message)),
        },
    };
    Response {
        head: ResponseHead {
            status: 200,
            headers,
        },
        body: Body::Stream(Box::new(body)),
    }
}

fn trailers(code: u8, message: &str) -> Headers {
    let mut trailers = Headers::new();
    trailers.append(b"grpc-status", code.to_string().as_bytes());
    if !message.is_empty() {
        let _ = trailers.try_append(b"grpc-message", percent(message).as_bytes());
    }
    trailers
}

/// Percent-encoding of what is no printable ASCII (gRPC over HTTP/2, "Status-Message").
fn percent(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A message and the trailers behind it.
struct Reply {
    message: Option<Vec<u8>>,
    trailers: Option<Headers>,
}

impl BodyStream for Reply {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::Data(message.into()))));
        }
        let trailers = self.trailers.take().map(Frame::Trailers);
        Poll::Ready(trailers.map(Ok).or_else(|| {
            let over = BodyError::new(BodyErrorKind::Internal, "asked beyond the end");
            Some(Err(over))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_not_whole_are_refused() {
        let receive = |bytes: &'static [u8]| {
            let mut body = Body::from(gate_kit::http::Chunk::from(Bytes::from_static(bytes)));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(super::receive(&mut body)).ok()
        };
        assert_eq!(
            receive(&[0, 0, 0, 0, 2, 7, 8]).as_deref(),
            Some(&[7, 8][..])
        );
        assert_eq!(receive(&[0, 0, 0, 0, 0]).as_deref(), Some(&[][..]));
        for bytes in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 1, 7],
            &[0, 0, 0, 0, 2, 7],
            &[0, 0, 0, 0, 1, 7, 8],
            &[0, 0xff, 0xff, 0xff, 0xff, 7],
        ] {
            assert_eq!(receive(bytes), None, "{bytes:?}");
        }
        assert_eq!(percent("50 % – ok"), "50 %25 %E2%80%93 ok");
    }
}
