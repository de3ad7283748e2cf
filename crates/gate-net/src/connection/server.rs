//! The server's side of an HTTP/1.1 connection.
//!
//! [`ServerConnection::next`] waits for a request, [`ServerConnection::respond`] writes its answer;
//! between the two, [`ServerConnection::poll_closed`] tells when the caller has gone. A request
//! whose body came with its head costs no allocation beyond its head. Bodies still on their way are
//! read by whoever pulls them, straight from the socket.

use super::writer::{Delimiting, MessageWriter, Waiting, WriteError};
use super::{Timer, limit};
use crate::http1::{
    self, BodyDecoder, BodyFraming, OutgoingFraming, ParseError, ResponseContext,
    encode_response_head, parse_request,
};
use crate::io::Io;
use gate_kit::buffer::{self, LARGE, PooledBuf, SMALL};
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, HeaderId, Headers, Method, Request,
    RequestHead, Response, ResponseHead, Version,
};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of an unread request body that are still read after the answer, so that closing does not
/// reset the connection before the caller has seen the answer (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// The connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Limits of a connection; a zero duration means no limit.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Of a head.
    pub head: http1::Limits,
    /// Bytes of a body.
    pub body_bytes: u64,
    /// Between two requests.
    pub idle: Duration,
    /// For a head to arrive, from its first byte.
    pub head_time: Duration,
    /// For a body to arrive, from its head.
    pub body_time: Duration,
    /// For the caller to take more bytes of an answer.
    pub write_time: Duration,
}

/// What the next thing on a connection is.
pub enum Next {
    /// A request.
    Request(Request),
    /// The caller speaks HTTP/2; nothing has been consumed.
    Http2,
    /// A request whose body is announced as larger than the limit; answer 413 and close.
    TooLarge(RequestHead),
    /// What came is not acceptable; answer it and close.
    Refused(ParseError),
    /// A head was begun and not completed in time; answer 408 and close.
    Slow,
    /// The caller closed, stayed idle for too long, or the socket failed.
    Closed,
}

/// How writing an answer ended.
#[derive(Debug)]
pub enum Sent {
    /// It was written to its end; `reuse` tells whether another request may follow.
    Complete {
        /// Body bytes written.
        bytes: u64,
        /// Whether the connection can carry another request.
        reuse: bool,
    },
    /// The caller went away or took too long to take the bytes.
    ClientClosed {
        /// Body bytes written.
        bytes: u64,
    },
    /// The answer's source failed midway; the connection was cut so that the caller can tell.
    Cut {
        /// Body bytes written.
        bytes: u64,
        /// What the source said.
        error: BodyError,
    },
}

/// One connection, from accept to close.
pub struct ServerConnection {
    shared: Rc<Shared>,
    timer: Timer,
    current: Current,
    served: u64,
}

/// What request bodies share with their connection.
struct Shared {
    io: Io,
    options: Arc<ServerOptions>,
    /// Bytes that were read and belong to what comes next.
    input: RefCell<Option<PooledBuf>>,
    /// Whether the current request's body has been read to its end.
    body_done: Cell<bool>,
    /// Whether the caller waits for 100 (Continue) before it sends its body.
    expects_continue: Cell<bool>,
    /// Encoded interim responses (1xx) not yet written.
    interim: RefCell<Vec<u8>>,
    /// Whether the caller of the current request knows interim responses.
    interim_allowed: Cell<bool>,
    /// Whether the peer has closed its side.
    eof: Cell<bool>,
}

/// Since when a connection has been waiting for its next request.
#[derive(Default)]
struct Waited {
    /// For anything at all.
    idle: Option<Instant>,
    /// For the rest of a head.
    for_head: Option<Instant>,
}

/// What must be remembered of the request being answered.
#[derive(Clone)]
struct Current {
    method: Method,
    version: Version,
    keep_alive: bool,
    upgrade: Option<Box<str>>,
}

impl ServerConnection {
    /// A connection over an accepted socket.
    #[must_use]
    pub fn new(io: Io, options: Arc<ServerOptions>) -> Self {
        let shared = Shared {
            io,
            options,
            input: RefCell::new(None),
            body_done: Cell::new(true),
            expects_continue: Cell::new(false),
            interim: RefCell::new(Vec::new()),
            interim_allowed: Cell::new(false),
            eof: Cell::new(false),
        };
        let current = Current {
            method: Method::Get,
            version: Version::Http11,
            keep_alive: true,
            upgrade: None,
        };
        Self {
            shared: Rc::new(shared),
            timer: Timer::default(),
            current,
            served: 0,
        }
    }

    /// The byte connection, for its facts.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.shared.io
    }

    /// Gives the byte connection back when the caller turned out to speak something else.
    ///
    /// `None` while a request's body still refers to it.
    #[must_use]
    pub fn into_io(self) -> Option<(Io, Option<PooledBuf>)> {
        let shared = Rc::into_inner(self.shared)?;
        Some((shared.io, shared.input.into_inner()))
    }

    /// Waits for the next request. May be dropped midway only when the connection is closed then.
    pub async fn next(&mut self) -> Next {
        let mut waiting = Waited::default();
        poll_fn(|cx| self.poll_next(cx, &mut waiting)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, waited: &mut Waited) -> Poll<Next> {
        loop {
            let held = self.shared.input.borrow_mut().take();
            // Right behind an answer the next request has rarely come.
            let mut early = waited.idle.is_none() && self.served > 0;
            if let Some(buffer) = held {
                early = false;
                match self.parse(buffer) {
                    Parsed::Next(next) => return Poll::Ready(next),
                    Parsed::Partial(buffer) => *self.shared.input.borrow_mut() = Some(buffer),
                }
            }
            let filled = match early && self.shared.io.poll_readable(cx).is_pending() {
                true => Poll::Pending,
                false => self.poll_fill(cx),
            };
            match filled {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(self.at_eof()),
                Poll::Pending => {
                    // The clock is asked only here: most heads come whole.
                    let options = &self.shared.options;
                    let (since, patience) = match self.shared.input.borrow().is_some() {
                        true => (&mut waited.for_head, options.head_time),
                        false => (&mut waited.idle, options.idle),
                    };
                    let from = *since.get_or_insert_with(Instant::now);
                    let Some(patience) = limit(patience) else {
                        return Poll::Pending;
                    };
                    ready!(self.timer.poll(cx, from + patience));
                    let begun = self.shared.input.borrow().is_some();
                    return Poll::Ready(if begun { Next::Slow } else { Next::Closed });
                }
            }
        }
    }

    /// Half a head at the end of input is refused; nothing at all is an ordinary close.
    fn at_eof(&self) -> Next {
        match self.shared.input.borrow_mut().take() {
            Some(_) => Next::Refused(ParseError::BodyTruncated),
            None => Next::Closed,
        }
    }

    /// Reads once into the held buffer, or into one that is held only if something came.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut input = self.shared.input.borrow_mut();
        let mut buffer = match input.take() {
            None => PooledBuf::small(),
            Some(mut buffer) => {
                if buffer.spare().is_empty() {
                    buffer.compact();
                }
                if buffer.spare().is_empty() {
                    buffer = grown(&buffer);
                }
                buffer
            }
        };
        let had = buffer.len();
        let read = self.shared.io.poll_read(cx, buffer.spare());
        let result = match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => {
                self.shared.eof.set(true);
                Poll::Ready(false)
            }
            Poll::Ready(Ok(n)) => {
                buffer.filled(n);
                Poll::Ready(true)
            }
        };
        if had > 0 || buffer.len() > had {
            *input = Some(buffer);
        }
        result
    }

    fn parse(&mut self, mut buffer: PooledBuf) -> Parsed {
        if self.served == 0 && buffer.starts_with(&PREFACE[..PREFACE.len().min(buffer.len())]) {
            if buffer.len() < PREFACE.len() {
                return Parsed::Partial(buffer);
            }
            *self.shared.input.borrow_mut() = Some(buffer);
            return Parsed::Next(Next::Http2);
        }
        let mut parsed = match parse_request(&buffer, &self.shared.options.head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Parsed::Partial(buffer),
            Err(error) => return Parsed::Next(Next::Refused(error)),
        };
        buffer.advance(parsed.consumed);
        self.served += 1;
        self.current = Current {
            method: parsed.head.method.clone(),
            version: parsed.head.version,
            keep_alive: parsed.keep_alive,
            upgrade: parsed.head.upgrade.clone(),
        };
        let knows_interim = parsed.head.version == Version::Http11;
        self.shared.interim_allowed.set(knows_interim);
        // The expectation is met here, when somebody first asks for the body.
        self.shared.expects_continue.set(parsed.expect_continue);
        if parsed.expect_continue {
            parsed.head.headers.remove(HeaderId::Expect);
        }
        // Bytes after an upgrade request belong to the protocol upgraded to, if it comes to that.
        let framing = match parsed.framing {
            BodyFraming::None if self.current.upgrade.is_some() => BodyFraming::Tunnel,
            framing => framing,
        };
        if let BodyFraming::Length(length) = framing
            && length > self.shared.options.body_bytes
        {
            self.shared.body_done.set(false);
            return Parsed::Next(Next::TooLarge(parsed.head));
        }
        let body = self.body(framing, buffer);
        Parsed::Next(Next::Request(Request {
            head: parsed.head,
            body,
        }))
    }

    /// The body behind a head: at hand when all of it has come, else pulled from the socket.
    fn body(&mut self, framing: BodyFraming, mut buffer: PooledBuf) -> Body {
        self.shared.body_done.set(false);
        match framing {
            BodyFraming::None | BodyFraming::Length(0) => {
                self.shared.body_done.set(true);
                self.keep(buffer);
                Body::Empty
            }
            BodyFraming::Length(length) if length <= buffer.len() as u64 => {
                let length = usize::try_from(length).expect("fits a buffer");
                if buffer.len() > length {
                    self.keep(PooledBuf::copy_of(&buffer[length..]));
                    buffer.truncate(length);
                }
                self.shared.body_done.set(true);
                Body::Full(Chunk::Pooled(buffer))
            }
            framing => {
                self.keep(buffer);
                let deadline = limit(self.shared.options.body_time)
                    .filter(|_| framing != BodyFraming::Tunnel)
                    .map(|time| Instant::now() + time);
                Body::Stream(Box::new(RequestBody {
                    shared: self.shared.clone(),
                    decoder: BodyDecoder::new(framing),
                    received: 0,
                    full_reads: 0,
                    deadline,
                    timer: Timer::default(),
                    tunnel: framing == BodyFraming::Tunnel,
                    finished: false,
                    trailers: None,
                }))
            }
        }
    }

    fn keep(&self, buffer: PooledBuf) {
        if !buffer.is_empty() {
            *self.shared.input.borrow_mut() = Some(buffer);
        }
    }

    /// Ready once the caller has gone, while its request is being served. Also writes interim
    /// responses that are waiting.
    ///
    /// A caller that sends its next request early is not gone; its bytes are kept, up to one
    /// buffer, and nothing more is read until they are needed.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.shared.interim.borrow().is_empty() && self.poll_interim(cx).is_err() {
            return Poll::Ready(());
        }
        // An unfinished body is read by whoever pulls it and meets the end there.
        if !self.shared.body_done.get() {
            return Poll::Pending;
        }
        if self.shared.input.borrow().is_some() {
            return Poll::Pending;
        }
        if self.shared.io.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        match self.poll_fill(cx) {
            Poll::Ready(false) => Poll::Ready(()),
            Poll::Ready(true) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let mut bytes = self.shared.interim.borrow_mut();
        while !bytes.is_empty() {
            match self
                .shared
                .io
                .poll_write(cx, &[std::io::IoSlice::new(&bytes)])?
            {
                Poll::Ready(n) => drop(bytes.drain(..n)),
                Poll::Pending => break,
            }
        }
        let _ = self.shared.io.poll_flush(cx)?;
        Ok(())
    }

    /// A handle through which interim responses (103, 102) are sent ahead of an answer, for the
    /// connection's whole life.
    #[must_use]
    pub fn interim(&self) -> Interim {
        Interim {
            shared: self.shared.clone(),
        }
    }

    /// Writes an answer. `close` asks for the connection to end with it.
    pub async fn respond(&mut self, response: Response, close: bool) -> Sent {
        let Response { head, body } = response;
        let upgraded = head.status == 101 && self.current.upgrade.is_some();
        let unread = !self.shared.body_done.get() && self.current.upgrade.is_none();
        let context = ResponseContext {
            version: self.current.version,
            request_method: &self.current.method,
            keep_alive: self.current.keep_alive && !close && !unread,
        };
        let framing = match (body.length(), &self.current.upgrade) {
            (_, Some(protocol)) if upgraded => OutgoingFraming::Upgrade(protocol),
            // A length among the fields describes a body that is not sent (HEAD, 304).
            (Some(0), _) if head.headers.contains(HeaderId::ContentLength) => OutgoingFraming::None,
            (Some(length), _) => OutgoingFraming::Length(length),
            (None, _) => OutgoingFraming::Chunked,
        };
        let mut out = std::mem::take(&mut *self.shared.interim.borrow_mut());
        if out.capacity() == 0 {
            out = buffer::scratch();
        }
        let promised = match encode_response_head(&mut out, &head, framing, context) {
            Ok(promised) => promised,
            Err(error) => {
                let error = BodyError::new(BodyErrorKind::Internal, error.to_string());
                return Sent::Cut { bytes: 0, error };
            }
        };
        let (body, delimiting) = match promised.framing {
            BodyFraming::None => (Body::Empty, Delimiting::None),
            BodyFraming::Length(length) => (body, Delimiting::Length(length)),
            BodyFraming::Chunked => (body, Delimiting::Chunked),
            BodyFraming::UntilClose | BodyFraming::Tunnel => (body, Delimiting::None),
        };
        let mut writer = MessageWriter::new(out, body, delimiting);
        let written = self.write(&mut writer, upgraded).await;
        let bytes = writer.sent_body();
        match written {
            Ok(()) => {
                // A policy may have answered while the body was still coming; what it left unread
                // has to be looked at now, not when the head was written.
                let unread = unread
                    || (!self.shared.body_done.get()
                        && !upgraded
                        && self.current.upgrade.is_none());
                if !promised.keep_alive || unread {
                    self.close(unread).await;
                    return Sent::Complete {
                        bytes,
                        reuse: false,
                    };
                }
                Sent::Complete { bytes, reuse: true }
            }
            Err(WriteError::Socket(_)) => Sent::ClientClosed { bytes },
            Err(WriteError::Body(error)) => Sent::Cut { bytes, error },
        }
    }

    async fn write(
        &mut self,
        writer: &mut MessageWriter,
        upgraded: bool,
    ) -> Result<(), WriteError> {
        let patience = limit(self.shared.options.write_time);
        let mut stalled_since: Option<Instant> = None;
        poll_fn(|cx| {
            let before = writer.sent_body();
            match ready!(writer.poll(cx, &self.shared.io))? {
                None => return Poll::Ready(Ok(())),
                Some(Waiting::Turn) => {}
                Some(Waiting::Body) => {
                    stalled_since = None;
                    // A tunnel's two directions end independently; elsewhere a caller that closes
                    // has given up on the answer.
                    if !upgraded && self.poll_closed(cx).is_ready() {
                        return Poll::Ready(Err(WriteError::Socket(
                            std::io::ErrorKind::ConnectionAborted.into(),
                        )));
                    }
                }
                Some(Waiting::Socket) => {
                    if writer.sent_body() > before {
                        stalled_since = None;
                    }
                    let since = *stalled_since.get_or_insert_with(Instant::now);
                    if let Some(patience) = patience
                        && self.timer.poll(cx, since + patience).is_ready()
                    {
                        return Poll::Ready(Err(WriteError::Socket(
                            std::io::ErrorKind::TimedOut.into(),
                        )));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Closes so that the caller sees the answer: ends our side, then reads a bounded rest.
    async fn close(&mut self, unread: bool) {
        let _ = poll_fn(|cx| self.shared.io.poll_shutdown(cx)).await;
        if !unread {
            return;
        }
        let deadline = Instant::now() + LINGER_TIME;
        let mut left = LINGER_BYTES;
        let mut buffer = PooledBuf::small();
        poll_fn(|cx| {
            loop {
                match self.shared.io.poll_read(cx, buffer.spare()) {
                    Poll::Ready(Ok(n)) if n > 0 && n <= left => left -= n,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.poll(cx, deadline),
                }
            }
        })
        .await;
    }
}

enum Parsed {
    Next(Next),
    Partial(PooledBuf),
}

/// The same contents with room behind them.
fn grown(buffer: &PooledBuf) -> PooledBuf {
    let mut large = PooledBuf::large();
    large.spare()[..buffer.len()].copy_from_slice(buffer);
    large.filled(buffer.len());
    large
}

/// Sends interim responses (1xx) ahead of the answer.
pub struct Interim {
    shared: Rc<Shared>,
}

impl Interim {
    /// Queues an interim response; it leaves at the next opportunity, at the latest with the
    /// answer. Dropped for HTTP/1.0 callers (RFC 9110 section 15.2) and beyond 16 KiB.
    pub fn send(&self, head: &ResponseHead) {
        let mut out = self.shared.interim.borrow_mut();
        if !self.shared.interim_allowed.get() || out.len() > SMALL {
            return;
        }
        let context = ResponseContext {
            version: Version::Http11,
            request_method: &Method::Get,
            keep_alive: true,
        };
        let before = out.len();
        if encode_response_head(&mut out, head, OutgoingFraming::None, context).is_err() {
            out.truncate(before);
        }
    }
}

/// A request body still on its way.
struct RequestBody {
    shared: Rc<Shared>,
    decoder: BodyDecoder,
    received: u64,
    /// Reads in a row that filled their buffer; bulk uploads earn bigger ones.
    full_reads: u32,
    deadline: Option<Instant>,
    timer: Timer,
    tunnel: bool,
    finished: bool,
    trailers: Option<Headers>,
}

impl RequestBody {
    /// Tells the caller to go on, when it waits for that.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        if !self.shared.expects_continue.get() {
            return Poll::Ready(Ok(()));
        }
        let written = ready!(
            self.shared
                .io
                .poll_write(cx, &[std::io::IoSlice::new(CONTINUE)])
        );
        self.shared.expects_continue.set(false);
        match written {
            Ok(n) if n == CONTINUE.len() => {
                let _ = self.shared.io.poll_flush(cx);
                Poll::Ready(Ok(()))
            }
            // 25 bytes that do not fit an empty send buffer mean a connection beyond use.
            Ok(_) => Poll::Ready(Err(disconnected("100 Continue did not fit"))),
            Err(error) => Poll::Ready(Err(disconnected(&error.to_string()))),
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<PooledBuf, BodyError>> {
        if let Some(buffer) = self.shared.input.borrow_mut().take() {
            return Poll::Ready(Ok(buffer));
        }
        let mut buffer = if self.full_reads > 0 {
            PooledBuf::large()
        } else {
            PooledBuf::small()
        };
        match self.shared.io.poll_read(cx, buffer.spare()) {
            Poll::Pending => {
                if let Some(deadline) = self.deadline
                    && self.timer.poll(cx, deadline).is_ready()
                {
                    let error =
                        BodyError::new(BodyErrorKind::TimedOut, "the request body was slow");
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.shared.eof.set(true);
                Poll::Ready(Err(disconnected("the caller closed inside a request body")))
            }
            Poll::Ready(Ok(n)) => {
                self.full_reads = if n == buffer.spare().len() {
                    self.full_reads + 1
                } else {
                    0
                };
                buffer.filled(n);
                Poll::Ready(Ok(buffer))
            }
            Poll::Ready(Err(error)) => {
                self.shared.eof.set(true);
                Poll::Ready(Err(disconnected(&error.to_string())))
            }
        }
    }
}

impl BodyStream for RequestBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.finished {
            return Poll::Ready(
                self.trailers
                    .take()
                    .map(|trailers| Ok(Frame::Trailers(trailers))),
            );
        }
        if let Err(error) = ready!(self.poll_continue(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let mut buffer = match ready!(self.poll_bytes(cx)) {
                Ok(buffer) => buffer,
                // The end of input is how a tunnel's direction ends.
                Err(_) if self.tunnel => {
                    self.shared.body_done.set(true);
                    self.finished = true;
                    return Poll::Ready(None);
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let decoded = match self.decoder.decode(&mut buffer) {
                Ok(decoded) => decoded,
                Err(error) => {
                    let error = BodyError::new(BodyErrorKind::Malformed, error.to_string());
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if decoded.end {
                self.shared.body_done.set(true);
                if decoded.consumed < buffer.len() {
                    let rest = PooledBuf::copy_of(&buffer[decoded.consumed..]);
                    *self.shared.input.borrow_mut() = Some(rest);
                }
            }
            self.received += decoded.data as u64;
            if !self.tunnel && self.received > self.shared.options.body_bytes {
                let detail = format!("over {} bytes", self.shared.options.body_bytes);
                return Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::TooLarge, detail))));
            }
            if decoded.end {
                self.finished = true;
                self.trailers = self.decoder.take_trailers();
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

    fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }
}

fn disconnected(detail: &str) -> BodyError {
    BodyError::new(BodyErrorKind::Disconnected, detail)
}

const _: () = assert!(LARGE > SMALL);
