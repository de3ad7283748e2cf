//! The client's side of one HTTP/2 connection.
//!
//! [`Http2Client`] is a cheap handle that many exchanges share; [`Http2Driver`] moves the bytes
//! and is spawned by whoever made the connection. A request's body is sent by the same task that
//! waits for the response and then reads it: polling the response's body also moves what is left
//! of the request's, so nothing is spawned and dropping the response cancels both.

use super::body::{Pump, Received, is_over};
use super::convert::{self, Outgoing};
use super::keepalive::Keepalive;
use super::{Http2Error, SEND_BUFFER, SendEnd};
use crate::io::Io;
use bytes::Bytes;
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Frame, Request, Response, Scheme,
};
use h2::Reason;
use h2::client::{Connection, ResponseFuture, SendRequest};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// Bounds on one connection to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2ClientOptions {
    /// The scheme of requests; `Https` when the connection has TLS.
    pub scheme: Scheme,
    /// Streams open at once, below what the upstream allows.
    pub streams: usize,
    /// Bytes of a decoded header list.
    pub header_bytes: u32,
    /// Bytes the upstream may send ahead on one stream.
    pub stream_window: u32,
    /// Bytes the upstream may send ahead on all streams together.
    pub connection_window: u32,
    /// Pause between pings.
    pub keepalive: Duration,
    /// Time a ping may stay unanswered.
    pub keepalive_timeout: Duration,
}

impl Default for Http2ClientOptions {
    fn default() -> Self {
        Self {
            scheme: Scheme::Http,
            streams: 1000,
            header_bytes: 64 * 1024,
            stream_window: 512 * 1024,
            connection_window: 4 * 1024 * 1024,
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
        }
    }
}

/// A handle to the connection.
#[derive(Clone)]
pub struct Http2Client {
    send: SendRequest<Bytes>,
    state: Arc<State>,
}

struct State {
    scheme: Scheme,
    streams: usize,
    open: AtomicUsize,
    closed: AtomicBool,
    freed: Notify,
}

/// Moves the connection's bytes; resolves when it has ended. Spawn it.
pub struct Http2Driver {
    connection: Connection<Io, Bytes>,
    keepalive: Option<Keepalive>,
    state: Arc<State>,
}

/// Why a request has no response.
#[derive(Debug)]
pub struct SendError {
    /// The cause, for the operator.
    pub error: Http2Error,
    /// Whether the upstream has certainly not begun to process it (REFUSED_STREAM, beyond a
    /// GOAWAY's last stream, or never sent), so that any method may be sent again.
    pub unprocessed: bool,
    /// The cause was the request's own body.
    pub body: Option<BodyError>,
    /// The request, whole, when nothing of it was sent.
    pub unsent: Option<Unsent>,
}

/// A request of which nothing was sent.
pub type Unsent = Box<Request>;

impl Http2Client {
    /// Begins HTTP/2 on a connection, by prior knowledge or after ALPN. Does not wait for the
    /// peer; the driver does.
    ///
    /// # Errors
    /// [`Http2Error`] when the socket fails.
    pub async fn handshake(
        io: Io,
        options: &Http2ClientOptions,
    ) -> Result<(Self, Http2Driver), Http2Error> {
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(options.header_bytes)
            .initial_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(64)
            .handshake(io);
        let (send, mut connection) = handshake.await.map_err(|error| Http2Error::of(&error))?;
        let state = Arc::new(State {
            scheme: options.scheme,
            streams: options.streams.max(1),
            open: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            freed: Notify::new(),
        });
        let keepalive = connection
            .ping_pong()
            .map(|pings| Keepalive::new(pings, options.keepalive, options.keepalive_timeout));
        let driver = Http2Driver {
            connection,
            keepalive,
            state: state.clone(),
        };
        Ok((Self { send, state }, driver))
    }

    /// Whether no further request can be sent: the connection ended, or the upstream said GOAWAY.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.state.closed.load(Ordering::Acquire)
            || matches!(self.send.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Streams open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// Streams that may be open at once: our limit and the upstream's.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state.streams.min(self.send.current_max_send_streams())
    }

    /// Whether a request would be sent without waiting for another to end.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open() < self.limit()
    }

    /// Whether the upstream takes upgrades over HTTP/2 (RFC 8441); known once its settings came.
    #[must_use]
    pub fn takes_upgrades(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// Sends a request and waits for the head of its response. Waits for room first. Deadlines are
    /// the caller's; dropping it, or the response's body, resets the stream with CANCEL.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request may be sent again.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        let Some(slot) = self.slot().await else {
            let error = Http2Error::Lost("the connection is closing".to_owned());
            return Err(SendError::before(error, request));
        };
        if request.head.upgrade.is_some() && !self.takes_upgrades() {
            let error = Http2Error::Protocol("the upstream takes no upgrades".to_owned());
            return Err(SendError::before(error, request));
        }
        let Some(head) = convert::request_out(&request, self.state.scheme) else {
            let error = Http2Error::Protocol("authority and path make no URI".to_owned());
            return Err(SendError::before(error, request));
        };
        let outgoing = Outgoing::of(&request.head);
        let over = is_over(&request.body) && !outgoing.upgrade;
        let (mut response, stream) = match self.send.clone().send_request(head, over) {
            Ok(sent) => sent,
            Err(error) => return Err(SendError::before(Http2Error::of(&error), request)),
        };
        let mut upload = (!over).then(|| Pump::new(request.body, stream, Reason::CANCEL));
        let response = poll_fn(|cx| poll_head(&mut upload, &mut response, cx)).await?;
        let (parts, stream) = response.into_parts();
        let (head, length) = convert::response_in(&parts, &outgoing)
            .map_err(|refusal| SendError::after(Http2Error::Protocol(refusal.to_string())))?;
        let body = if stream.is_end_stream() && upload.is_none() {
            Body::Empty
        } else {
            Body::Stream(Box::new(Download {
                received: Received::new(stream, length),
                upload,
                _slot: slot,
            }))
        };
        Ok(Response { head, body })
    }

    /// Room for one stream; `None` when the connection takes no more.
    async fn slot(&self) -> Option<Slot> {
        loop {
            let freed = self.state.freed.notified();
            if self.is_closed() {
                // Others that wait must hear it too.
                self.state.freed.notify_one();
                return None;
            }
            if self.has_room() {
                self.state.open.fetch_add(1, Ordering::Relaxed);
                return Some(Slot(self.state.clone()));
            }
            freed.await;
        }
    }
}

/// One open stream's place; dropping it lets the next request go.
struct Slot(Arc<State>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

fn poll_head(
    upload: &mut Option<Pump>,
    response: &mut ResponseFuture,
    cx: &mut Context<'_>,
) -> Poll<Result<http::Response<h2::RecvStream>, SendError>> {
    // The response first: an upstream may answer and stop reading.
    if let Poll::Ready(done) = Pin::new(response).poll(cx) {
        return Poll::Ready(done.map_err(|error| SendError::of(&error)));
    }
    let Some(pump) = upload else {
        return Poll::Pending;
    };
    match pump.poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(SendEnd::Cut(error)) => Poll::Ready(Err(SendError {
            body: Some(error),
            ..SendError::after(Http2Error::Lost("the request's body failed".to_owned()))
        })),
        Poll::Ready(SendEnd::Complete | SendEnd::Cancelled(_)) => {
            // A reset of the upload is also the response's fate, which tells the reason and has
            // this task's waker already.
            *upload = None;
            Poll::Pending
        }
    }
}

impl SendError {
    fn before(error: Http2Error, request: Request) -> Self {
        Self {
            error,
            unprocessed: true,
            body: None,
            unsent: Some(Box::new(request)),
        }
    }

    const fn after(error: Http2Error) -> Self {
        Self {
            error,
            unprocessed: false,
            body: None,
            unsent: None,
        }
    }

    /// RFC 9113 section 8.7: a refused stream, or one beyond a GOAWAY's last, was not processed.
    /// `h2` fails with a remote GOAWAY exactly the streams beyond its last identifier.
    fn of(error: &h2::Error) -> Self {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        Self {
            unprocessed: error.is_remote() && (refused || error.is_go_away()),
            ..Self::after(Http2Error::of(error))
        }
    }
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.body {
            Some(body) => write!(f, "{}: {body}", self.error),
            None => write!(f, "{}", self.error),
        }
    }
}

impl std::error::Error for SendError {}

/// A response's body, carrying what is left of the request's.
struct Download {
    received: Received,
    upload: Option<Pump>,
    _slot: Slot,
}

impl BodyStream for Download {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(pump) = &mut self.upload
            && let Poll::Ready(end) = pump.poll(cx)
        {
            self.upload = None;
            if let SendEnd::Cut(error) = end {
                let detail = format!("the request's body failed: {error}");
                let error = BodyError::new(BodyErrorKind::Disconnected, detail);
                return Poll::Ready(Some(Err(error)));
            }
        }
        self.received.poll_frame(cx)
    }

    fn remaining(&self) -> Option<u64> {
        self.received.remaining()
    }
}

impl Future for Http2Driver {
    type Output = Result<(), Http2Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let driver = self.get_mut();
        if let Poll::Ready(ended) = Pin::new(&mut driver.connection).poll(cx) {
            return Poll::Ready(ended.map_err(|error| Http2Error::of(&error)));
        }
        if let Some(keepalive) = &mut driver.keepalive
            && keepalive.poll_silent(cx).is_ready()
        {
            return Poll::Ready(Err(Http2Error::Silent));
        }
        Poll::Pending
    }
}

impl Drop for Http2Driver {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Release);
        self.state.freed.notify_one();
    }
}
