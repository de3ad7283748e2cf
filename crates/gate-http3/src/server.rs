//! The server's side of one HTTP/3 connection.
//!
//! One task owns the [`Http3Server`] and accepts from it; each accepted request is read, served and
//! answered by a task of its own. What a request is answered with is not known here.

use crate::body::{Begun, Received};
use crate::convert;
use crate::endpoint::Http3Error;
use crate::limits::Http3Limits;
use crate::quic::Quic;
use crate::shared::{Aside, OpenRequest, Shared, Stopped};
use crate::stream::{RecvHalf, SendHalf};
use bytes::{Buf, Bytes};
use gate_kit::http::multiplexed::Refusal;
use gate_kit::http::{Body, Frame, Method, Request, Response, ResponseHead, SendEnd, Sent};
use h3::error::{Code, ConnectionError};
use h3::server::{Connection, RequestResolver};
use quinn::VarInt;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// One connection's server side. Dropping it closes the connection and cuts its requests.
pub struct Http3Server {
    connection: Connection<Quic, Bytes>,
    shared: Rc<Shared>,
    idle: Pin<Box<Sleep>>,
    seen: u32,
    draining: bool,
}

/// A request whose head may still be on its way.
pub struct Incoming {
    resolver: RequestResolver<Quic, Bytes>,
    aside: Rc<Aside>,
    open: Rc<OpenRequest>,
    shared: Rc<Shared>,
}

/// Answers one request. Dropping it unused resets the stream.
pub struct Http3Responder {
    send: h3::server::RequestStream<SendHalf, Bytes>,
    answers_head: bool,
    /// Whether an informational head waits for room.
    informing: bool,
    stopped: Option<Stopped>,
    open: Rc<OpenRequest>,
    shared: Rc<Shared>,
}

fn lost(error: &ConnectionError) -> Http3Error {
    Http3Error::Lost(error.to_string())
}

impl Http3Server {
    pub(crate) async fn begin(
        connection: quinn::Connection,
        limits: Arc<Http3Limits>,
    ) -> Result<Self, Http3Error> {
        let shared = Shared::new(connection, limits);
        let limits = &shared.limits;
        // Fields are bounded before and after they are decoded; this is beyond both, because `h3`
        // would answer by itself.
        let most = limits.header_bytes * 2 + 128 * (limits.header_fields + 4);
        let connection = h3::server::builder()
            .send_grease(false)
            .max_field_section_size(most as u64)
            .build(Quic::new(shared.clone()))
            .await
            .map_err(|error| lost(&error))?;
        Ok(Self {
            connection,
            idle: Box::pin(tokio::time::sleep(limits.idle)),
            shared,
            seen: 0,
            draining: false,
        })
    }

    /// The next request; `None` when the connection has ended in good order. It must be called
    /// again at once, because settings and the end of idleness are noticed by it. May be dropped
    /// midway.
    ///
    /// # Errors
    /// [`Http3Error`] when the connection is over otherwise.
    pub async fn accept(&mut self) -> Option<Result<Incoming, Http3Error>> {
        loop {
            if self.is_rapid_reset() {
                let code = VarInt::from_u32(Code::H3_EXCESSIVE_LOAD.value() as u32);
                self.shared
                    .connection
                    .close(code, b"too many cancelled requests");
                return Some(Err(Http3Error::RapidReset));
            }
            let (shared, draining) = (self.shared.clone(), self.draining);
            let quiet = poll_fn(|cx| match draining {
                true => shared.poll_quiet(cx),
                false => Poll::Pending,
            });
            tokio::select! {
                biased;
                accepted = self.connection.accept() => match accepted {
                    Ok(Some(resolver)) => return Some(Ok(self.incoming(resolver))),
                    Ok(None) => return None,
                    Err(error) if error.is_h3_no_error() => return None,
                    Err(error) => return Some(Err(lost(&error))),
                },
                () = quiet => return None,
                () = self.idle.as_mut() => self.idled().await,
            }
        }
    }

    /// Refuses new requests (GOAWAY), lets the open ones finish, then [`Self::accept`] ends.
    pub async fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.shared.refuse_more();
        // One more than `h3` has seen: it announces the last request as refused otherwise. What
        // it would still accept, `stream.rs` refuses.
        let more = usize::from(self.shared.accepted.get() > 0);
        if let Err(error) = self.connection.shutdown(more).await {
            tracing::debug!(%error, "no GOAWAY");
        }
    }

    fn is_rapid_reset(&self) -> bool {
        let (cancelled, accepted) = (self.shared.cancelled.get(), self.shared.accepted.get());
        cancelled > self.shared.limits.resets && cancelled > accepted / 2
    }

    /// The time for idleness is over: looks whether there was any.
    async fn idled(&mut self) {
        let idle = self.shared.limits.idle;
        self.idle.as_mut().reset(Instant::now() + idle);
        let accepted = self.shared.accepted.get();
        let was_active = std::mem::replace(&mut self.seen, accepted) != accepted;
        if self.shared.open_requests() == 0 && !was_active {
            self.drain().await;
        }
    }

    fn incoming(&self, resolver: RequestResolver<Quic, Bytes>) -> Incoming {
        let aside = self.shared.newest.take();
        Incoming {
            resolver,
            aside: aside.expect("each accepted stream has one"),
            open: Rc::new(OpenRequest::new(self.shared.clone())),
            shared: self.shared.clone(),
        }
    }
}

impl Incoming {
    /// Reads the head: the request, or why it must be answered with [`Refusal::status`]. `None`
    /// where there is nobody to answer: the client left, took too long, or broke the protocol.
    pub async fn read(self) -> Option<(Result<Request, Refusal>, Http3Responder)> {
        let limits = self.shared.limits.clone();
        let resolved = tokio::time::timeout(limits.head_time, self.resolver.resolve_request());
        let (request, stream) = match resolved.await {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no HTTP/3 request");
                count_cancelled(&self.shared);
                return None;
            }
            Err(_) => return None,
        };
        let (send, receive) = stream.split();
        let mut responder = Http3Responder {
            send,
            answers_head: false,
            informing: false,
            stopped: self.aside.stopped.take(),
            open: self.open.clone(),
            shared: self.shared,
        };
        if self.aside.is_oversized.get() {
            return Some((Err(Refusal::TooManyFields), responder));
        }
        let read = convert::request_in(&request, limits.header_bytes, limits.header_fields);
        let (head, length) = match read {
            Ok(read) => read,
            Err(refusal) => return Some((Err(refusal), responder)),
        };
        responder.answers_head = head.method == Method::Head;
        if request.headers().contains_key(http::header::EXPECT) {
            // Only a courtesy: a caller that cannot get it sends its body anyway.
            responder.inform(&go_on());
        }
        let patience = Some(limits.body_time).filter(|time| !time.is_zero());
        let body = body_of(receive, length, patience, self.open);
        Some((Ok(Request { head, body }), responder))
    }
}

fn go_on() -> ResponseHead {
    ResponseHead {
        status: 100,
        headers: Default::default(),
    }
}

/// HTTP/3 does not say whether a body follows until it does or the stream ends, and most clients
/// end the stream with the head of a request without one.
fn body_of(
    mut receive: h3::server::RequestStream<RecvHalf, Bytes>,
    length: Option<u64>,
    patience: Option<Duration>,
    open: Rc<OpenRequest>,
) -> Body {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut begun = Begun::Nothing;
    if length.is_none()
        && let Poll::Ready(Ok(first)) = receive.poll_recv_data(&mut cx)
    {
        begun = match first.map(|mut data| data.copy_to_bytes(data.remaining())) {
            Some(data) => Begun::Data(data),
            None => match receive.poll_recv_trailers(&mut cx) {
                Poll::Ready(Ok(None)) => return Body::Empty,
                Poll::Ready(Ok(Some(trailers))) => Begun::Trailers(trailers),
                Poll::Ready(Err(_)) | Poll::Pending => Begun::Ended,
            },
        };
    }
    Received::body(receive, begun, length, patience, open)
}

fn count_cancelled(shared: &Shared) {
    shared
        .cancelled
        .set(shared.cancelled.get().saturating_add(1));
}

impl Http3Responder {
    /// Sends an informational head (1xx but 101). One that finds no room waits for the answer, and
    /// others after it are left out.
    pub fn inform(&mut self, head: &ResponseHead) {
        if self.informing {
            return;
        }
        let response = convert::response_out(head, &Body::Empty, false);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // A stream that is gone is noticed by the answer.
        self.informing = pin!(self.send.send_response(response))
            .poll(&mut cx)
            .is_pending();
    }

    /// Sends the response at the caller's pace. May be dropped midway, which resets the stream.
    pub async fn respond(mut self, response: Response) -> Sent {
        let Response { head, mut body } = response;
        let out = convert::response_out(&head, &body, self.answers_head);
        if self.answers_head || matches!(head.status, 204 | 304) {
            body = Body::Empty;
        }
        let mut bytes = 0;
        let end = match self.send.send_response(out).await {
            Ok(()) => self.send_body(&mut body, &mut bytes).await,
            Err(error) => SendEnd::Cancelled(error.to_string()),
        };
        match &end {
            SendEnd::Complete => self.hold(),
            SendEnd::Cancelled(_) => count_cancelled(&self.shared),
            SendEnd::Cut(_) => self.send.stop_stream(Code::H3_INTERNAL_ERROR),
        }
        Sent { bytes, end }
    }

    async fn send_body(&mut self, body: &mut Body, bytes: &mut u64) -> SendEnd {
        loop {
            let next = poll_fn(|cx| match body.poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Some(frame)),
                // While the body keeps us waiting, the peer may lose interest.
                Poll::Pending => self.poll_stopped(cx).map(|()| None),
            });
            let Some(frame) = next.await else {
                return SendEnd::Cancelled("the peer cancelled the request".to_owned());
            };
            let (sent, is_last) = match frame {
                Some(Ok(Frame::Data(chunk))) => {
                    let length = chunk.len() as u64;
                    let sent = self.send.send_data(chunk.into_bytes()).await;
                    *bytes += if sent.is_ok() { length } else { 0 };
                    (sent, false)
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    let trailers = convert::headers_out(&trailers);
                    (self.send.send_trailers(trailers).await, true)
                }
                None => (Ok(()), true),
                Some(Err(error)) => return SendEnd::Cut(error),
            };
            let sent = match sent {
                Ok(()) if is_last => self.send.finish().await,
                sent => sent,
            };
            match sent {
                Ok(()) if is_last => return SendEnd::Complete,
                Ok(()) => {}
                Err(error) => return SendEnd::Cancelled(error.to_string()),
            }
        }
    }

    /// Keeps the connection from being closed until the client has the whole answer: what is
    /// closed loses what is still on its way.
    fn hold(&mut self) {
        let (stopped, open) = (self.stopped.take(), self.open.clone());
        let patience = self.shared.limits.silence;
        if let Some(stopped) = stopped {
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(patience, stopped).await;
                drop(open);
            });
        }
    }

    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stopped {
            Some(stopped) => stopped.as_mut().poll(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Ready when the caller has cancelled the request or left, so that work for it can stop. Once
    /// only: it counts towards the limit on resets.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let gone = self.poll_stopped(cx);
        if gone.is_ready() {
            self.stopped = None;
            count_cancelled(&self.shared);
        }
        gone
    }
}
