//! Bodies over HTTP/2 streams, both ways, at the pace of whoever is slower.
//!
//! Receiving: a chunk's flow-control credit returns to the peer when the next chunk is asked for,
//! that is, when the reader has dealt with it. Sending: a chunk is taken from a body only after
//! the one before it has found room in the stream's window and buffer. A caller's body has to come
//! in time, and a caller has to make room in time: a peer that answers pings and does nothing else
//! would hold its streams for ever.

use super::{SendStream, convert};
use crate::connection::Timer;
use bytes::Bytes;
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Frame, SendEnd};
use h2::{Reason, RecvStream};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// A received body.
pub(super) struct Received {
    stream: RecvStream,
    /// What Content-Length promised and has not come yet; `h2` enforces it.
    left: Option<u64>,
    /// Bytes handed out whose credit has not been returned.
    lent: usize,
    data_ended: bool,
    /// When all of it must have come.
    deadline: Option<Instant>,
    timer: Timer,
}

impl Received {
    /// The body of a request with this Content-Length, all of which must come within `patience`.
    pub(super) fn body(
        stream: RecvStream,
        content_length: Option<u64>,
        patience: Option<Duration>,
    ) -> Body {
        if stream.is_end_stream() {
            return Body::Empty;
        }
        let mut received = Self::new(stream, content_length);
        received.deadline = patience.map(|patience| Instant::now() + patience);
        Body::Stream(Box::new(received))
    }

    pub(super) fn new(stream: RecvStream, content_length: Option<u64>) -> Self {
        Self {
            stream,
            left: content_length,
            lent: 0,
            data_ended: false,
            deadline: None,
            timer: Timer::default(),
        }
    }

    /// What a wait for the peer comes to: more patience, or its end.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, BodyError>>> {
        match self.deadline {
            Some(deadline) if self.timer.poll(cx, deadline).is_ready() => {
                let error = BodyError::new(BodyErrorKind::TimedOut, "the request body was slow");
                Poll::Ready(Some(Err(error)))
            }
            _ => Poll::Pending,
        }
    }
}

impl BodyStream for Received {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.lent > 0 {
            // It fails only on a stream that has ended, where credit means nothing.
            let _ = self.stream.flow_control().release_capacity(self.lent);
            self.lent = 0;
        }
        while !self.data_ended {
            let Poll::Ready(data) = self.stream.poll_data(cx) else {
                return self.wait(cx);
            };
            match data {
                None => self.data_ended = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(body_error(&error)))),
                // h2 bounds how many empty frames a peer may send.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.lent = bytes.len();
                    self.left = self
                        .left
                        .map(|left| left.saturating_sub(bytes.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::Data(bytes.into()))));
                }
            }
        }
        let Poll::Ready(trailers) = self.stream.poll_trailers(cx) else {
            return self.wait(cx);
        };
        Poll::Ready(match trailers {
            Ok(None) => None,
            Ok(Some(trailers)) => Some(Ok(Frame::Trailers(convert::trailers_in(&trailers)))),
            Err(error) => Some(Err(body_error(&error))),
        })
    }

    fn remaining(&self) -> Option<u64> {
        // Trailers may follow the last promised byte, so nothing is over before the stream is.
        self.left
            .filter(|left| *left > 0 || self.stream.is_end_stream())
    }
}

pub(super) fn body_error(error: &h2::Error) -> BodyError {
    let kind = if error.is_library() && error.reason() == Some(Reason::PROTOCOL_ERROR) {
        BodyErrorKind::Malformed
    } else {
        BodyErrorKind::Disconnected
    };
    BodyError::new(kind, error.to_string())
}

/// What a peer has to take of an answer in time. A window that is opened byte by byte would hold a
/// stream for ever.
const PROGRESS_BYTES: usize = 1024;

/// Moves a body into a stream.
pub(super) struct Pump {
    body: Body,
    stream: SendStream,
    chunk: Bytes,
    bytes: u64,
    /// What the peer is told when the body fails.
    on_cut: Reason,
    /// How long the peer may take for [`PROGRESS_BYTES`] more, or the rest of a chunk.
    patience: Option<Duration>,
    /// Since when it has not, and the bytes that it has taken since.
    stalled: Option<(Instant, usize)>,
    timer: Timer,
}

/// Whether certainly nothing follows, trailers included.
pub(super) fn is_over(body: &Body) -> bool {
    body.length() == Some(0)
}

impl Pump {
    pub(super) fn new(body: Body, stream: SendStream, on_cut: Reason) -> Self {
        Self {
            body,
            stream,
            chunk: Bytes::new(),
            bytes: 0,
            on_cut,
            patience: None,
            stalled: None,
            timer: Timer::default(),
        }
    }

    /// Gives the peer so long for each bit of progress.
    pub(super) fn patient(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience;
        self
    }

    /// What a wait for room comes to: more patience, or the stream's end.
    fn stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, String>> {
        let Some(patience) = self.patience else {
            return Poll::Pending;
        };
        let (since, _) = *self.stalled.get_or_insert_with(|| (Instant::now(), 0));
        ready!(self.timer.poll(cx, since + patience));
        self.stream.send_reset(Reason::CANCEL);
        Poll::Ready(Err("the peer reads too slowly".to_owned()))
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Runs until the body has ended. Not to be polled again after that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SendEnd> {
        loop {
            while !self.chunk.is_empty() {
                match ready!(self.poll_piece(cx)) {
                    Ok(false) => {}
                    Ok(true) => return Poll::Ready(SendEnd::Complete),
                    Err(detail) => return Poll::Ready(SendEnd::Cancelled(detail)),
                }
            }
            let Poll::Ready(frame) = self.body.poll_frame(cx) else {
                // While the body keeps us waiting, the peer may lose interest.
                return self.stream.poll_reset(cx).map(cancelled);
            };
            let done = match frame {
                Some(Ok(Frame::Data(chunk))) => {
                    self.chunk = chunk.into_bytes();
                    continue;
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.stream.send_trailers(convert::headers_out(&trailers))
                }
                None => self.stream.send_data(Bytes::new(), true),
                Some(Err(error)) => {
                    self.stream.send_reset(self.on_cut);
                    return Poll::Ready(SendEnd::Cut(error));
                }
            };
            return Poll::Ready(match done {
                Ok(()) => SendEnd::Complete,
                Err(error) => SendEnd::Cancelled(error.to_string()),
            });
        }
    }

    /// Sends as much of the chunk as there is room for; true when it was the last of the body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, String>> {
        self.stream.reserve_capacity(self.chunk.len());
        while self.stream.capacity() == 0 {
            let Poll::Ready(room) = self.stream.poll_capacity(cx) else {
                return self.stalled(cx);
            };
            match room {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.to_string())),
                None => return Poll::Ready(Err("the stream is closed".to_owned())),
            }
        }
        let room = self.stream.capacity().min(self.chunk.len());
        let piece = self.chunk.split_to(room);
        if let Some((_, taken)) = &mut self.stalled {
            *taken += room;
            if *taken >= PROGRESS_BYTES || self.chunk.is_empty() {
                self.stalled = None;
            }
        }
        let last = self.chunk.is_empty() && is_over(&self.body);
        let sent = self.stream.send_data(piece, last);
        self.bytes += room as u64;
        Poll::Ready(sent.map(|()| last).map_err(|error| error.to_string()))
    }
}

fn cancelled(reset: Result<Reason, h2::Error>) -> SendEnd {
    SendEnd::Cancelled(match reset {
        Ok(reason) => format!("the peer reset the stream: {reason}"),
        Err(error) => error.to_string(),
    })
}
