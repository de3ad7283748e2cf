//! A request's body as it comes. Credit returns to the client as it is read, because QUIC's window
//! moves with the reader. All of it has to come in time.

use crate::convert;
use crate::shared::OpenRequest;
use crate::stream::RecvHalf;
use bytes::{Buf, Bytes};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Frame};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// What of a body came with its head.
pub(crate) enum Begun {
    Nothing,
    Data(Bytes),
    /// There is no data; trailers may follow.
    Ended,
    Trailers(http::HeaderMap),
}

/// A received body.
pub(crate) struct Received {
    stream: RequestStream<RecvHalf, Bytes>,
    begun: Begun,
    /// What Content-Length promised and has not come yet.
    left: Option<u64>,
    data_ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// The connection stays open for it.
    _open: Rc<OpenRequest>,
}

impl Received {
    /// The body of a request with this Content-Length that has begun so, all of which must come within `patience`.
    pub(crate) fn body(
        stream: RequestStream<RecvHalf, Bytes>,
        begun: Begun,
        content_length: Option<u64>,
        patience: Option<Duration>,
        open: Rc<OpenRequest>,
    ) -> Body {
        Body::Stream(Box::new(Self {
            stream,
            left: content_length,
            data_ended: matches!(begun, Begun::Ended),
            begun,
            timer: patience.map(|patience| Box::pin(tokio::time::sleep(patience))),
            _open: open,
        }))
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, BodyError>>> {
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        let error = BodyError::new(BodyErrorKind::TimedOut, "the request body was slow");
        Poll::Ready(Some(Err(error)))
    }

    /// RFC 9114 section 4.1.2: a message whose length is not what it promised is malformed.
    fn miscounted<T>(&mut self) -> Poll<Option<Result<T, BodyError>>> {
        self.stream.stop_sending(Code::H3_MESSAGE_ERROR);
        let error = BodyError::new(
            BodyErrorKind::Malformed,
            "the body is not as long as Content-Length says",
        );
        Poll::Ready(Some(Err(error)))
    }
}

impl BodyStream for Received {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match std::mem::replace(&mut self.begun, Begun::Nothing) {
            Begun::Data(first) if !first.is_empty() => {
                return Poll::Ready(Some(Ok(Frame::Data(first.into()))));
            }
            Begun::Trailers(trailers) => {
                let trailers = convert::trailers_in(&trailers);
                return Poll::Ready(Some(Ok(Frame::Trailers(trailers))));
            }
            _ => {}
        }
        while !self.data_ended {
            let Poll::Ready(data) = self.stream.poll_recv_data(cx) else {
                return self.wait(cx);
            };
            match data {
                Err(error) => return Poll::Ready(Some(Err(body_error(&error)))),
                Ok(None) if self.left.is_some_and(|left| left > 0) => return self.miscounted(),
                Ok(None) => self.data_ended = true,
                Ok(Some(mut data)) => {
                    let bytes = data.copy_to_bytes(data.remaining());
                    if bytes.is_empty() {
                        continue;
                    }
                    if let Some(left) = self.left {
                        match left.checked_sub(bytes.len() as u64) {
                            Some(left) => self.left = Some(left),
                            None => return self.miscounted(),
                        }
                    }
                    return Poll::Ready(Some(Ok(Frame::Data(bytes.into()))));
                }
            }
        }
        let Poll::Ready(trailers) = self.stream.poll_recv_trailers(cx) else {
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
        self.left.filter(|left| *left > 0)
    }
}

fn body_error(error: &StreamError) -> BodyError {
    let is_malformed = match error {
        StreamError::RemoteTerminate { code, .. } | StreamError::StreamError { code, .. } => {
            *code == Code::H3_MESSAGE_ERROR || *code == Code::H3_EXCESSIVE_LOAD
        }
        _ => false,
    };
    let kind = match is_malformed {
        true => BodyErrorKind::Malformed,
        false => BodyErrorKind::Disconnected,
    };
    BodyError::new(kind, error.to_string())
}
