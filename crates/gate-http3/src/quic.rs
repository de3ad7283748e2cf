//! quinn's connections as `h3` wants them: streams that come, and those that are opened.
//!
//! The crate `h3-quinn` does the plain part of this and of `stream.rs`; it can neither bound a frame nor
//! tell that a client has lost interest in an answer.

use crate::shared::{Shared, connection_error, lost, read_error, stream_id, varint};
use crate::stream::{READ_BYTES, RequestStream, SendHalf};
use bytes::Bytes;
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

type Pending<T> = Option<Pin<Box<dyn Future<Output = T>>>>;

type Accepted<T> = Pending<Result<T, quinn::ConnectionError>>;

/// A connection, as `h3` accepts streams from it.
pub(crate) struct Quic {
    shared: Rc<Shared>,
    requests: Accepted<(quinn::SendStream, quinn::RecvStream)>,
    others: Accepted<quinn::RecvStream>,
    opening: Accepted<quinn::SendStream>,
}

impl Quic {
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        Self {
            shared,
            requests: None,
            others: None,
            opening: None,
        }
    }
}

/// Polls the future that is kept in the slot, or a new one. It has to be kept: dropping it would
/// drop the wake-up that it waits for.
fn poll_kept<T>(
    slot: &mut Pending<T>,
    cx: &mut Context<'_>,
    make: impl FnOnce() -> Pin<Box<dyn Future<Output = T>>>,
) -> Poll<T> {
    let output = ready!(slot.get_or_insert_with(make).as_mut().poll(cx));
    *slot = None;
    Poll::Ready(output)
}

impl quic::Connection<Bytes> for Quic {
    type RecvStream = OtherRecv;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<OtherRecv, ConnectionErrorIncoming>> {
        let connection = self.shared.connection.clone();
        let make = || Box::pin(async move { connection.accept_uni().await }) as _;
        let accepted = ready!(poll_kept(&mut self.others, cx, make));
        Poll::Ready(match accepted {
            Ok(stream) => Ok(OtherRecv {
                stream,
                shared: self.shared.clone(),
            }),
            Err(error) => Err(connection_error(error)),
        })
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RequestStream, ConnectionErrorIncoming>> {
        loop {
            let connection = self.shared.connection.clone();
            let make = || Box::pin(async move { connection.accept_bi().await }) as _;
            let accepted = ready!(poll_kept(&mut self.requests, cx, make));
            let (mut send, mut receive) = match accepted {
                Ok(streams) => streams,
                Err(error) => return Poll::Ready(Err(connection_error(error))),
            };
            if !self.shared.admit(send.id().index()) {
                let code = varint(Code::H3_REQUEST_REJECTED.value());
                let _ = (send.reset(code), receive.stop(code));
                continue;
            }
            return Poll::Ready(Ok(RequestStream::new(send, receive, &self.shared)));
        }
    }

    fn opener(&self) -> Opener {
        Opener(Quic::new(self.shared.clone()))
    }
}

impl quic::OpenStreams<Bytes> for Quic {
    type BidiStream = RequestStream;
    type SendStream = SendHalf;

    fn poll_open_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<RequestStream, StreamErrorIncoming>> {
        // RFC 9114 section 6.1: servers open none.
        let error = std::io::Error::other("a server opens no request");
        Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SendHalf, StreamErrorIncoming>> {
        let connection = self.shared.connection.clone();
        let make = || Box::pin(async move { connection.open_uni().await }) as _;
        let opened = ready!(poll_kept(&mut self.opening, cx, make));
        Poll::Ready(match opened {
            Ok(stream) => Ok(SendHalf::new(stream, false, Duration::ZERO)),
            Err(error) => Err(lost(error)),
        })
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.shared.connection.close(varint(code.value()), reason);
    }
}

/// Opens streams beside the connection; `h3` asks for one and servers never use it.
pub(crate) struct Opener(Quic);

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = RequestStream;
    type SendStream = SendHalf;

    fn poll_open_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RequestStream, StreamErrorIncoming>> {
        self.0.poll_open_bidi(cx)
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SendHalf, StreamErrorIncoming>> {
        self.0.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.0.close(code, reason);
    }
}

/// A stream from the client that is no request. What it may carry is bounded over all of them.
pub(crate) struct OtherRecv {
    stream: quinn::RecvStream,
    shared: Rc<Shared>,
}

impl quic::RecvStream for OtherRecv {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let chunk = ready!(pin!(self.stream.read_chunk(READ_BYTES, true)).poll(cx));
        let Some(chunk) = chunk.map_err(read_error)? else {
            return Poll::Ready(Ok(None));
        };
        if !self.shared.spend_control(chunk.bytes.len()) {
            let code = Code::H3_EXCESSIVE_LOAD.value();
            let connection_error = self.shared.close(code, "too many settings and priorities");
            let error = StreamErrorIncoming::ConnectionErrorIncoming { connection_error };
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(Some(chunk.bytes)))
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.stream.stop(varint(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}
