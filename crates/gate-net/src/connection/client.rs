//! The client's side of an HTTP/1.1 connection: one exchange at a time.
//!
//! Sending and receiving run side by side inside one poll, so an upload goes on while the answer
//! is already coming, and neither direction can block the other. When the answer has been read to
//! its end the connection goes back to where it came from.

use super::writer::{Delimiting, MessageWriter, WriteError};
use super::{Timer, limit};
use crate::http1::{
    self, BodyDecoder, BodyFraming, EncodeError, OutgoingFraming, ParseError, encode_request_head,
    parse_response,
};
use crate::io::Io;
use gate_kit::buffer::{self, PooledBuf};
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, Headers, Method, RequestHead,
    ResponseHead,
};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Interim responses tolerated before the real one.
const INTERIM_MAX: u32 = 16;

/// A connection to a server, between exchanges. Always boxed: it goes from hand to hand several
/// times per exchange.
pub struct ClientConnection {
    io: Io,
    /// Exchanges it has carried.
    pub uses: u32,
    /// Sweeps of its keeper that it has been idle for.
    pub idle_sweeps: u32,
    /// Which answer of the name service its keeper opened it behind.
    pub generation: u32,
    /// One lazily armed timer for whoever holds the connection, so that most exchanges arm none.
    pub timer: Timer,
    /// Counts it against a limit, for as long as it lives.
    pub lease: Option<Lease>,
}

/// A place under a limit of open connections; dropping it makes room and wakes one waiter.
#[derive(Debug)]
pub struct Lease(Rc<Places>);

/// A limit of open connections, on one worker.
pub struct Places {
    free: Cell<u32>,
    freed: tokio::sync::Notify,
    counted: Box<dyn Fn(Change)>,
}

/// What happened to the number of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A place was taken.
    Opened,
    /// A place was given back.
    Closed,
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Places({} free)", self.free.get())
    }
}

impl Places {
    /// A limit of `most` connections; `counted` hears of each that comes and goes.
    #[must_use]
    pub fn new(most: u32, counted: impl Fn(Change) + 'static) -> Rc<Self> {
        Rc::new(Self {
            free: Cell::new(most),
            freed: tokio::sync::Notify::new(),
            counted: Box::new(counted),
        })
    }

    /// A place, if one is free.
    #[must_use]
    pub fn try_take(self: &Rc<Self>) -> Option<Lease> {
        let free = self.free.get().checked_sub(1)?;
        self.free.set(free);
        (self.counted)(Change::Opened);
        Some(Lease(self.clone()))
    }

    /// Waits until a place may be free. Bounded by the caller's deadline.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Wakes one waiter although no place has become free, because an idle connection has.
    pub fn nudge(&self) {
        self.freed.notify_waiters();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        (self.0.counted)(Change::Closed);
        self.0.freed.notify_one();
    }
}

impl ClientConnection {
    /// A fresh connection.
    #[must_use]
    pub fn new(io: Io) -> Box<Self> {
        Box::new(Self {
            io,
            uses: 0,
            idle_sweeps: 0,
            generation: 0,
            timer: Timer::default(),
            lease: None,
        })
    }

    /// Whether an idle connection can still be used: the server has neither closed it nor sent
    /// anything unasked. Costs a system call only when something has happened.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.io.is_quiet()
    }

    /// The byte connection and its place, for another protocol to use.
    #[must_use]
    pub fn into_parts(self) -> (Io, Option<Lease>) {
        (self.io, self.lease)
    }

    /// The byte connection.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.io
    }
}

/// Where a connection goes when its exchange is over and it can carry another.
pub trait Recycle {
    /// Takes a connection that is ready for another exchange.
    fn recycle(&self, connection: Box<ClientConnection>);
}

/// Why an exchange failed before its answer's head was complete.
#[derive(Debug)]
pub enum ClientError {
    /// The request cannot be expressed in HTTP/1.1.
    Encode(EncodeError),
    /// The socket failed, or the server closed without an answer.
    Socket {
        /// What happened.
        error: io::Error,
        /// Whether any byte of an answer had come.
        answered: bool,
    },
    /// The answer is not valid HTTP.
    Malformed(ParseError),
    /// The request's own body failed.
    RequestBody(BodyError),
}

/// A response's head, and what is needed to read its body.
pub struct Answer {
    /// The head.
    pub head: ResponseHead,
    framing: BodyFraming,
    keep_alive: bool,
}

/// One request and its answer on a connection. Dropping it closes the connection. Boxed, because
/// moving it once costs as much as the box.
pub struct ClientExchange {
    connection: Box<ClientConnection>,
    writer: MessageWriter,
    writing: bool,
    method: Method,
    limits: http1::Limits,
    input: Option<PooledBuf>,
    tunnel: Option<Body>,
    interim: u32,
    /// Whether the answer was looked for before.
    asked: bool,
}

impl ClientExchange {
    /// Starts an exchange; nothing is written before the first poll.
    ///
    /// # Errors
    /// When the head cannot be expressed in HTTP/1.1; the connection is lost then.
    pub fn start(
        connection: Box<ClientConnection>,
        head: &RequestHead,
        body: Body,
        limits: http1::Limits,
    ) -> Result<Box<Self>, ClientError> {
        let mut out = buffer::scratch();
        // What follows an upgrade request is sent once the server has agreed to it.
        let (framing, body, tunnel) = match &head.upgrade {
            Some(protocol) => (OutgoingFraming::Upgrade(protocol), Body::Empty, Some(body)),
            None => (framing(head, &body), body, None),
        };
        let promised =
            encode_request_head(&mut out, head, framing, true).map_err(ClientError::Encode)?;
        let delimiting = match promised.framing {
            BodyFraming::Length(length) => Delimiting::Length(length),
            BodyFraming::Chunked => Delimiting::Chunked,
            BodyFraming::None | BodyFraming::UntilClose | BodyFraming::Tunnel => Delimiting::None,
        };
        let place = Box::new_uninit();
        let exchange = Self {
            connection,
            writer: MessageWriter::new(out, body, delimiting),
            writing: true,
            method: head.method.clone(),
            limits,
            input: None,
            tunnel,
            interim: 0,
            asked: false,
        };
        Ok(Box::write(place, exchange))
    }

    /// Sends, and waits for the answer's head. Interim responses other than 100 go to `interim`.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        interim: &mut dyn FnMut(&ResponseHead),
    ) -> Poll<Result<Answer, ClientError>> {
        // A server may answer and close without reading the rest, so a failed write counts only
        // when no answer can be read either.
        let write_error = match self.poll_send(cx) {
            Ok(()) => None,
            Err(WriteError::Body(error)) => {
                return Poll::Ready(Err(ClientError::RequestBody(error)));
            }
            Err(WriteError::Socket(error)) => Some(error),
        };
        loop {
            if let Some(answer) = self.parse(interim)? {
                return Poll::Ready(Ok(answer));
            }
            // Right behind the request the answer has rarely come.
            let early = !std::mem::replace(&mut self.asked, true) && write_error.is_none();
            if early && self.connection.io.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            let mut buffer = self.input.take().unwrap_or_else(PooledBuf::small);
            if buffer.spare().is_empty() {
                buffer.compact();
            }
            if buffer.spare().is_empty() {
                let mut large = PooledBuf::large();
                large.spare()[..buffer.len()].copy_from_slice(&buffer);
                large.filled(buffer.len());
                buffer = large;
            }
            let read = self.connection.io.poll_read(cx, buffer.spare());
            let answered = !buffer.is_empty();
            if let Poll::Ready(Ok(n)) = &read {
                buffer.filled(*n);
            }
            if !buffer.is_empty() {
                self.input = Some(buffer);
            }
            let error = match read {
                Poll::Ready(Ok(n)) if n > 0 => continue,
                Poll::Ready(Ok(_)) => io::ErrorKind::UnexpectedEof.into(),
                Poll::Ready(Err(error)) => error,
                Poll::Pending => match write_error {
                    Some(error) => error,
                    None => return Poll::Pending,
                },
            };
            return Poll::Ready(Err(ClientError::Socket { error, answered }));
        }
    }

    /// Ready once `deadline` has passed, through the connection's own timer.
    pub fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.connection.timer.poll(cx, deadline)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), WriteError> {
        if self.writing
            && let Poll::Ready(waiting) = self.writer.poll(cx, &self.connection.io)
        {
            match waiting {
                Ok(Some(_)) => {}
                Ok(None) => self.writing = false,
                Err(error) => {
                    self.writing = false;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn parse(
        &mut self,
        interim: &mut dyn FnMut(&ResponseHead),
    ) -> Result<Option<Answer>, ClientError> {
        while let Some(buffer) = &mut self.input {
            let parsed = match parse_response(buffer, &self.method, &self.limits) {
                Ok(Some(parsed)) => parsed,
                Ok(None) => return Ok(None),
                Err(error) => return Err(ClientError::Malformed(error)),
            };
            buffer.advance(parsed.consumed);
            if buffer.is_empty() {
                self.input = None;
            }
            if (100..200).contains(&parsed.head.status) && parsed.head.status != 101 {
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Err(ClientError::Malformed(ParseError::HeadTooLarge));
                }
                if parsed.head.status != 100 {
                    interim(&parsed.head);
                }
                continue;
            }
            return Ok(Some(Answer {
                head: parsed.head,
                framing: parsed.framing,
                keep_alive: parsed.keep_alive,
            }));
        }
        Ok(None)
    }

    /// The body behind an answer. Whatever came with the head is used first; when that was all,
    /// the connection is given back at once and nothing is allocated.
    #[must_use]
    pub fn into_body(
        mut self: Box<Self>,
        answer: Answer,
        idle: Duration,
        recycle: Rc<dyn Recycle>,
    ) -> (ResponseHead, Body) {
        let at_hand = self.input.as_ref().map_or(0, |input| input.len());
        let exact = match answer.framing {
            BodyFraming::None => at_hand == 0,
            BodyFraming::Length(length) => at_hand as u64 == length,
            _ => false,
        };
        if exact && !self.writing && answer.keep_alive {
            let body = self
                .input
                .take()
                .map_or(Body::Empty, |buffer| Body::Full(Chunk::Pooled(buffer)));
            self.give_back(&*recycle);
            return (answer.head, body);
        }
        if answer.framing == BodyFraming::Tunnel {
            let body = self.tunnel.take().unwrap_or_default();
            self.writer = MessageWriter::new(Vec::new(), body, Delimiting::None);
            self.writing = true;
        }
        let body = ResponseBody {
            exchange: Some(self),
            decoder: BodyDecoder::new(answer.framing),
            keep_alive: answer.keep_alive,
            tunnel: answer.framing == BodyFraming::Tunnel,
            recycle,
            trailers: None,
            full_reads: 0,
            idle,
            waiting_since: None,
        };
        (answer.head, Body::Stream(Box::new(body)))
    }

    fn give_back(self, recycle: &dyn Recycle) {
        let mut connection = self.connection;
        connection.uses += 1;
        connection.timer.forget();
        recycle.recycle(connection);
    }
}

fn framing(head: &RequestHead, body: &Body) -> OutgoingFraming<'static> {
    match body.length() {
        // RFC 9110 section 8.6: no Content-Length for methods that do not expect a body.
        Some(0) if !matches!(head.method, Method::Post | Method::Put | Method::Patch) => {
            OutgoingFraming::None
        }
        Some(length) => OutgoingFraming::Length(length),
        None => OutgoingFraming::Chunked,
    }
}

/// An answer's body still on its way. Dropping it closes the connection, which cancels the call.
struct ResponseBody {
    /// `None` once the body has ended.
    exchange: Option<Box<ClientExchange>>,
    decoder: BodyDecoder,
    keep_alive: bool,
    tunnel: bool,
    recycle: Rc<dyn Recycle>,
    trailers: Option<Headers>,
    /// Reads in a row that filled their buffer; bulk answers earn bigger ones.
    full_reads: u32,
    idle: Duration,
    waiting_since: Option<Instant>,
}

impl ResponseBody {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<PooledBuf>, BodyError>> {
        let exchange = self.exchange.as_mut().expect("polled only until the end");
        if let Some(buffer) = exchange.input.take() {
            return Poll::Ready(Ok(Some(buffer)));
        }
        let mut buffer = if self.full_reads > 0 {
            PooledBuf::large()
        } else {
            PooledBuf::small()
        };
        match exchange.connection.io.poll_read(cx, buffer.spare()) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(None)),
            Poll::Ready(Ok(n)) => {
                self.full_reads = if n == buffer.spare().len() {
                    self.full_reads + 1
                } else {
                    0
                };
                buffer.filled(n);
                self.waiting_since = None;
                Poll::Ready(Ok(Some(buffer)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(BodyError::new(
                BodyErrorKind::Disconnected,
                error.to_string(),
            ))),
            Poll::Pending => {
                let Some(idle) = limit(self.idle) else {
                    return Poll::Pending;
                };
                let timer = &mut exchange.connection.timer;
                ready!(match self.waiting_since {
                    Some(since) => timer.poll(cx, since + idle),
                    None => {
                        let now = Instant::now();
                        self.waiting_since = Some(now);
                        timer.poll_from(cx, now, now + idle)
                    }
                });
                let detail = format!("nothing came for {idle:?}");
                Poll::Ready(Err(BodyError::new(BodyErrorKind::TimedOut, detail)))
            }
        }
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            let Some(mut buffer) = ready!(self.poll_bytes(cx))? else {
                let ended = self.decoder.finish_at_eof();
                self.exchange = None;
                return Poll::Ready(ended.err().map(|error| {
                    Err(BodyError::new(
                        BodyErrorKind::Disconnected,
                        error.to_string(),
                    ))
                }));
            };
            let decoded = self
                .decoder
                .decode(&mut buffer)
                .map_err(|error| BodyError::new(BodyErrorKind::Malformed, error.to_string()))?;
            if decoded.end {
                self.trailers = self.decoder.take_trailers();
                let clean = decoded.consumed == buffer.len();
                if let Some(exchange) = self.exchange.take()
                    && clean
                    && self.keep_alive
                    && !exchange.writing
                {
                    exchange.give_back(&*self.recycle);
                }
            }
            if decoded.data > 0 {
                buffer.truncate(decoded.data);
                return Poll::Ready(Some(Ok(Frame::Data(Chunk::Pooled(buffer)))));
            }
            if decoded.end {
                return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::Trailers(t))));
            }
        }
    }
}

impl BodyStream for ResponseBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Ready(
                self.trailers
                    .take()
                    .map(|trailers| Ok(Frame::Trailers(trailers))),
            );
        };
        match exchange.poll_send(cx) {
            Ok(()) => {}
            // A request that cannot be completed ends the exchange, unless the server has already
            // begun its answer and simply wants no more of the request.
            Err(WriteError::Body(error)) => {
                self.exchange = None;
                return Poll::Ready(Some(Err(error)));
            }
            Err(WriteError::Socket(_)) => self.keep_alive = false,
        }
        if self.tunnel
            && self
                .exchange
                .as_ref()
                .is_some_and(|exchange| !exchange.writing)
            && let Some(exchange) = &self.exchange
        {
            // The caller has ended its direction; pass that on and keep reading the other.
            let _ = exchange.connection.io.poll_shutdown(cx);
        }
        let frame = ready!(self.poll_decoded(cx));
        if matches!(frame, Some(Err(_))) {
            self.exchange = None;
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }
}
