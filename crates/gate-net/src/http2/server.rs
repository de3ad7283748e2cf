//! The server's side of one HTTP/2 connection.
//!
//! One task owns the [`Http2Server`] and accepts from it, which also moves every byte of the
//! connection; each accepted request is served by a task of its own and answered through its
//! [`Http2Responder`]. What a request is answered with is not known here.

use super::body::{Pump, Received, is_over};
use super::keepalive::Keepalive;
use super::{Http2Error, SEND_BUFFER, SendEnd, Sent};
use super::{Refusal, convert};
use crate::connection::limit;
use crate::io::Io;
use bytes::Bytes;
use gate_kit::http::{Body, Method, Request, Response, ResponseHead};
use h2::Reason;
use h2::server::{Connection, SendResponse};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Bounds on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams open at once.
    pub streams: u32,
    /// Bytes of a decoded header list (RFC 9113 section 6.5.2 counts 32 per field on top).
    pub header_bytes: u32,
    /// Fields per request.
    pub header_fields: usize,
    /// Bytes a caller may send ahead on one stream; memory is used only when a reader is slow.
    pub stream_window: u32,
    /// Bytes a caller may send ahead on all streams together.
    pub connection_window: u32,
    /// Bytes of one frame's payload, 16,384 to 16,777,215.
    pub frame_bytes: u32,
    /// Time without any stream after which the connection is closed, at most twice as late.
    pub idle: Duration,
    /// Pause between pings.
    pub keepalive: Duration,
    /// Time a ping may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Time for all of a request's body; zero for as long as it takes.
    pub body_time: Duration,
    /// Time that a caller may make no room for more of an answer; zero for any.
    pub write_time: Duration,
    /// Streams the caller may reset before more resets than half of all its streams end the
    /// connection.
    pub resets: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            header_bytes: 64 * 1024,
            header_fields: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            frame_bytes: 16 * 1024,
            idle: Duration::from_secs(75),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            body_time: Duration::from_secs(300),
            write_time: Duration::from_secs(60),
            resets: 100,
        }
    }
}

/// One connection's server side. Dropping it closes the connection and cuts its streams.
pub struct Http2Server {
    connection: Connection<Io, Bytes>,
    limits: Http2Limits,
    keepalive: Option<Keepalive>,
    idle: Pin<Box<Sleep>>,
    was_active: bool,
    draining: bool,
    accepted: u32,
    resets: Arc<AtomicU32>,
}

/// One request and the way to answer it.
pub struct Incoming {
    /// The request, or why it must be answered with [`Refusal::status`].
    pub request: Result<Request, Refusal>,
    /// Answers it; dropping it unused resets the stream.
    pub responder: Http2Responder,
}

/// Answers one request.
pub struct Http2Responder {
    send: SendResponse<Bytes>,
    answers_head: bool,
    write_time: Option<Duration>,
    resets: Arc<AtomicU32>,
}

impl Http2Server {
    /// Exchanges prefaces. The deadline is the caller's; may be dropped midway.
    ///
    /// # Errors
    /// [`Http2Error`] when the peer leaves or speaks something else.
    pub async fn handshake(io: Io, limits: Http2Limits) -> Result<Self, Http2Error> {
        let handshake = h2::server::Builder::new()
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.header_bytes)
            .initial_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window)
            .max_frame_size(limits.frame_bytes.clamp(16_384, 16_777_215))
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(32)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(Some(256))
            .enable_connect_protocol()
            .handshake(io);
        let mut connection = handshake.await.map_err(|error| Http2Error::of(&error))?;
        let keepalive = connection
            .ping_pong()
            .map(|pings| Keepalive::new(pings, limits.keepalive, limits.keepalive_timeout));
        Ok(Self {
            connection,
            keepalive,
            idle: Box::pin(tokio::time::sleep(limits.idle)),
            was_active: true,
            draining: false,
            accepted: 0,
            resets: Arc::default(),
            limits,
        })
    }

    /// The next request; `None` when the connection has ended in good order. It must be called
    /// again at once, because nothing moves otherwise. May be dropped midway.
    ///
    /// # Errors
    /// [`Http2Error`] when the connection is over otherwise.
    pub async fn accept(&mut self) -> Option<Result<Incoming, Http2Error>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`Self::accept`] as a poll.
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, Http2Error>>> {
        if self.is_rapid_reset() {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            let _ = self.connection.poll_closed(cx);
            return Poll::Ready(Some(Err(Http2Error::RapidReset)));
        }
        match self.connection.poll_accept(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(Http2Error::of(&error))));
            }
            Poll::Ready(Some(Ok((request, send)))) => {
                self.was_active = true;
                self.accepted = self.accepted.saturating_add(1);
                return Poll::Ready(Some(Ok(self.incoming(request, send))));
            }
            Poll::Pending => {}
        }
        if let Some(keepalive) = &mut self.keepalive
            && keepalive.poll_silent(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Http2Error::Silent)));
        }
        self.poll_idle(cx)
    }

    /// Refuses new streams (GOAWAY), lets the open ones finish, then [`Self::accept`] ends.
    pub fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.connection.graceful_shutdown();
        }
    }

    /// Whether any stream is open.
    #[must_use]
    pub fn has_streams(&mut self) -> bool {
        self.connection.has_streams()
    }

    fn is_rapid_reset(&self) -> bool {
        let resets = self.resets.load(Ordering::Relaxed);
        resets > self.limits.resets && resets > self.accepted / 2
    }

    fn poll_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        while self.idle.as_mut().poll(cx).is_ready() {
            self.idle.as_mut().reset(Instant::now() + self.limits.idle);
            if self.connection.has_streams() || std::mem::take(&mut self.was_active) {
                continue;
            }
            if self.draining {
                // The peer has not even answered the GOAWAY.
                return Poll::Ready(None);
            }
            self.drain();
            // The shutdown moves only when the connection is polled again.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn incoming(
        &self,
        request: http::Request<h2::RecvStream>,
        mut send: SendResponse<Bytes>,
    ) -> Incoming {
        let (parts, stream) = request.into_parts();
        let request =
            convert::request_in(&parts, self.limits.header_fields).map(|(head, length)| {
                if parts.headers.contains_key(http::header::EXPECT) {
                    let mut go_on = http::Response::new(());
                    *go_on.status_mut() = http::StatusCode::CONTINUE;
                    // Only a courtesy: a caller that cannot get it sends its body anyway.
                    let _ = send.send_informational(go_on);
                }
                // A WebSocket's bytes come for as long as it is open.
                let patience = limit(self.limits.body_time).filter(|_| head.upgrade.is_none());
                let body = Received::body(stream, length, patience);
                Request { head, body }
            });
        let responder = Http2Responder {
            answers_head: request
                .as_ref()
                .is_ok_and(|r| r.head.method == Method::Head),
            send,
            write_time: limit(self.limits.write_time),
            resets: self.resets.clone(),
        };
        Incoming { request, responder }
    }
}

impl Http2Responder {
    /// Sends an informational head (1xx but 101).
    ///
    /// # Errors
    /// When the stream is gone; the final response will report it too.
    pub fn inform(&mut self, head: &ResponseHead) -> Result<(), Http2Error> {
        let response = convert::response_out(head, &Body::Empty, false);
        self.send
            .send_informational(response)
            .map_err(|error| Http2Error::of(&error))
    }

    /// Sends the response at the caller's pace. A status of 101 accepts an upgrade: the body is
    /// then what flows to the caller. May be dropped midway, which resets the stream.
    pub async fn respond(mut self, response: Response) -> Sent {
        let Response { head, mut body } = response;
        let out = convert::response_out(&head, &body, self.answers_head);
        if self.answers_head || matches!(head.status, 204 | 304) {
            body = Body::Empty;
        }
        let over = is_over(&body) && head.status != 101;
        let stream = match self.send.send_response(out, over) {
            Ok(stream) => stream,
            Err(error) => {
                self.count_reset();
                let end = SendEnd::Cancelled(error.to_string());
                return Sent { bytes: 0, end };
            }
        };
        if over {
            let end = SendEnd::Complete;
            return Sent { bytes: 0, end };
        }
        let pump = Pump::new(body, stream, Reason::INTERNAL_ERROR);
        let mut pump = pump.patient(self.write_time);
        let end = poll_fn(|cx| pump.poll(cx)).await;
        if matches!(end, SendEnd::Cancelled(_)) {
            self.count_reset();
        }
        let bytes = pump.bytes();
        Sent { bytes, end }
    }

    /// Refuses the stream so that the caller knows it was not processed and may try again.
    pub fn refuse(mut self) {
        self.send.send_reset(Reason::REFUSED_STREAM);
    }

    /// Ready when the caller has reset the stream or left, so that work for it can stop. Once
    /// only: it counts towards the limit on resets.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let gone = self.send.poll_reset(cx).map(drop);
        if gone.is_ready() {
            self.count_reset();
        }
        gone
    }

    fn count_reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }
}
