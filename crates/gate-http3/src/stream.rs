//! A request's stream as `h3` wants it, with the gate before what is received and the clock beside
//! what is sent.

use crate::gate::{Broken, Gate};
use crate::limits::PROGRESS_BYTES;
use crate::shared::{Aside, Shared, read_error, stream_id, varint, write_error};
use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::WriteError;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that are taken from a stream at once.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// A request's stream, both ways.
pub(crate) struct RequestStream {
    send: SendHalf,
    receive: RecvHalf,
}

impl RequestStream {
    pub(crate) fn new(
        send: quinn::SendStream,
        stream: quinn::RecvStream,
        shared: &Rc<Shared>,
    ) -> Self {
        let limits = &shared.limits;
        let aside = Rc::new(Aside {
            is_oversized: Cell::new(false),
            stopped: Cell::new(Some(Box::pin(send.stopped()))),
        });
        shared.newest.replace(Some(aside.clone()));
        Self {
            send: SendHalf::new(send, true, limits.write_time),
            receive: RecvHalf {
                stream,
                gate: Gate::new(limits.header_bytes, limits.header_fields),
                ended: false,
                shared: shared.clone(),
                aside,
            },
        }
    }
}

impl quic::BidiStream<Bytes> for RequestStream {
    type SendStream = SendHalf;
    type RecvStream = RecvHalf;

    fn split(self) -> (SendHalf, RecvHalf) {
        (self.send, self.receive)
    }
}

impl quic::RecvStream for RequestStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let data = ready!(self.receive.poll_gated(cx));
        Poll::Ready(data.map_err(|stopped| {
            if let Stopping::Malformed(code) = stopped {
                self.send.reset_with(code);
            }
            stopped.into()
        }))
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for RequestStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// What a client sends of a request.
pub(crate) struct RecvHalf {
    stream: quinn::RecvStream,
    gate: Gate,
    ended: bool,
    shared: Rc<Shared>,
    aside: Rc<Aside>,
}

/// Why nothing more comes.
enum Stopping {
    /// The message is malformed; the code says how.
    Malformed(u64),
    Error(StreamErrorIncoming),
}

impl From<Stopping> for StreamErrorIncoming {
    fn from(stopped: Stopping) -> Self {
        match stopped {
            Stopping::Malformed(error_code) => StreamErrorIncoming::StreamTerminated { error_code },
            Stopping::Error(error) => error,
        }
    }
}

impl RecvHalf {
    fn poll_gated(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Stopping>> {
        loop {
            match self.gate.next() {
                Ok(Some(bytes)) => {
                    self.aside.is_oversized.set(self.gate.is_oversized());
                    return Poll::Ready(Ok(Some(bytes)));
                }
                Ok(None) if self.ended => return Poll::Ready(Ok(None)),
                Ok(None) => {}
                Err(broken) => return Poll::Ready(Err(self.broken(broken))),
            }
            let chunk = ready!(pin!(self.stream.read_chunk(READ_BYTES, true)).poll(cx));
            match chunk {
                Ok(Some(chunk)) => self.gate.put(chunk.bytes),
                Ok(None) => {
                    self.ended = true;
                    if let Err(broken) = self.gate.finish() {
                        return Poll::Ready(Err(self.broken(broken)));
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Err(Stopping::Error(read_error(error))));
                }
            }
        }
    }

    fn broken(&mut self, broken: Broken) -> Stopping {
        match broken {
            Broken::Stream(code, reason) => {
                tracing::debug!(reason, "an HTTP/3 message is malformed");
                self.ended = true;
                let _ = self.stream.stop(varint(code));
                Stopping::Malformed(code)
            }
            Broken::Connection(code, reason) => {
                self.ended = true;
                let connection_error = self.shared.close(code, reason);
                Stopping::Error(StreamErrorIncoming::ConnectionErrorIncoming { connection_error })
            }
        }
    }
}

impl quic::RecvStream for RecvHalf {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.poll_gated(cx).map_err(Into::into)
    }

    fn stop_sending(&mut self, code: u64) {
        self.ended = true;
        let _ = self.stream.stop(varint(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        if !self.ended {
            // RFC 9114 section 4.1: an answer may come before the whole request has.
            let _ = self.stream.stop(varint(Code::H3_NO_ERROR.value()));
        }
    }
}

/// What is sent on a stream.
pub(crate) struct SendHalf {
    stream: quinn::SendStream,
    /// What waits for room: a frame, and perhaps an informational head before it.
    writing: VecDeque<WriteBuf<Bytes>>,
    /// Whether it is an answer, which must not look complete when it is not.
    is_answer: bool,
    is_over: bool,
    patience: Duration,
    /// Since when the client has not taken [`PROGRESS_BYTES`], and what it has taken since.
    stalled: Option<(Instant, u64)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SendHalf {
    pub(crate) fn new(stream: quinn::SendStream, is_answer: bool, patience: Duration) -> Self {
        Self {
            stream,
            writing: VecDeque::new(),
            is_answer,
            is_over: false,
            patience,
            stalled: None,
            timer: None,
        }
    }

    fn reset_with(&mut self, code: u64) {
        self.is_over = true;
        let _ = self.stream.reset(varint(code));
    }

    /// What a wait for room comes to: more patience, or the stream's end.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<StreamErrorIncoming> {
        if self.patience.is_zero() {
            return Poll::Pending;
        }
        let (since, _) = *self.stalled.get_or_insert_with(|| (Instant::now(), 0));
        let deadline = since + self.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        self.reset_with(Code::H3_REQUEST_CANCELLED.value());
        let error = std::io::Error::other("the peer reads too slowly");
        Poll::Ready(StreamErrorIncoming::Unknown(Box::new(error)))
    }
}

impl quic::SendStream<Bytes> for SendHalf {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(data) = self.writing.front_mut() {
            if !data.has_remaining() {
                self.writing.pop_front();
                continue;
            }
            match Pin::new(&mut self.stream).poll_write(cx, data.chunk()) {
                Poll::Ready(Ok(written)) => {
                    data.advance(written);
                    if let Some((_, taken)) = &mut self.stalled {
                        *taken += written as u64;
                        if *taken >= PROGRESS_BYTES {
                            self.stalled = None;
                        }
                    }
                }
                Poll::Ready(Err(error)) => {
                    // The client has said so, and hears the same.
                    if let WriteError::Stopped(code) = error {
                        self.reset_with(code.into_inner());
                    }
                    return Poll::Ready(Err(write_error(error)));
                }
                Poll::Pending => return self.poll_stalled(cx).map(Err),
            }
        }
        self.stalled = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.writing.push_back(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.is_over = true;
        // It fails for a stream that the client has stopped: nobody waits for its end.
        let _ = self.stream.finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.reset_with(code);
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        if self.is_answer && !self.is_over {
            // quinn would end it as if it were complete.
            self.reset_with(Code::H3_INTERNAL_ERROR.value());
        }
    }
}
