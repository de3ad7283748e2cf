//! What the parts of one connection know of each other, and their errors in `h3`'s words.

use crate::limits::{CONTROL_BYTES, CONTROL_BYTES_PER_REQUEST, Http3Limits};
use h3::quic::{ConnectionErrorIncoming, StreamErrorIncoming, StreamId};
use quinn::{ReadError, StoppedError, VarInt, WriteError};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Ready once the peer wants no more of a stream, or has all of it.
pub(crate) type Stopped = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>>>>;

/// What the streams of a connection share.
pub(crate) struct Shared {
    pub(crate) connection: quinn::Connection,
    pub(crate) limits: Arc<Http3Limits>,
    /// Bytes that streams other than requests may still carry.
    control: Cell<i64>,
    /// Requests that have come.
    pub(crate) accepted: Cell<u32>,
    /// Those of them that the client cancelled.
    pub(crate) cancelled: Cell<u32>,
    /// Requests whose answers are not with the client yet.
    open: Cell<u32>,
    waiting: RefCell<Option<Waker>>,
    /// What there is beside the request that was accepted last; taken by whoever accepts it.
    pub(crate) newest: RefCell<Option<Rc<Aside>>>,
    /// The first request that a GOAWAY has announced not to serve, by its number.
    refused_from: Cell<Option<u64>>,
}

impl Shared {
    pub(crate) fn new(connection: quinn::Connection, limits: Arc<Http3Limits>) -> Rc<Self> {
        Rc::new(Self {
            connection,
            limits,
            control: Cell::new(CONTROL_BYTES),
            accepted: Cell::default(),
            cancelled: Cell::default(),
            open: Cell::default(),
            waiting: RefCell::default(),
            newest: RefCell::default(),
            refused_from: Cell::default(),
        })
    }

    /// Counts a request in by its number; false where it has to be refused.
    pub(crate) fn admit(&self, index: u64) -> bool {
        if self.refused_from.get().is_some_and(|from| index >= from) {
            return false;
        }
        let number = u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX);
        self.accepted.set(self.accepted.get().max(number));
        let control = self.control.get() + CONTROL_BYTES_PER_REQUEST;
        self.control.set(control.min(CONTROL_BYTES));
        true
    }

    /// Whether streams other than requests may carry so many bytes more.
    pub(crate) fn spend_control(&self, bytes: usize) -> bool {
        let left = self.control.get() - bytes as i64;
        self.control.set(left);
        left >= 0
    }

    /// Refuses requests that come from now on.
    pub(crate) fn refuse_more(&self) {
        self.refused_from.set(Some(u64::from(self.accepted.get())));
    }

    pub(crate) fn open_requests(&self) -> u32 {
        self.open.get()
    }

    /// Ready when no request is open.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        if self.open.get() == 0 {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Closes the connection with this code.
    pub(crate) fn close(&self, code: u64, reason: &str) -> ConnectionErrorIncoming {
        self.connection.close(varint(code), reason.as_bytes());
        ConnectionErrorIncoming::Undefined(Arc::new(std::io::Error::other(reason.to_owned())))
    }
}

/// Counts a request as open for as long as it lives.
pub(crate) struct OpenRequest(Rc<Shared>);

impl OpenRequest {
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(shared)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0
            && let Some(waker) = self.0.waiting.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

pub(crate) fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

pub(crate) fn connection_error(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose {
                error_code: close.error_code.into(),
            }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

pub(crate) fn lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming {
        connection_error: connection_error(error),
    }
}

pub(crate) fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        ReadError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

pub(crate) fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        WriteError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

/// What is known about a request besides its messages; `h3` hides the stream that knows it.
pub(crate) struct Aside {
    /// Whether its head was too large to be read.
    pub(crate) is_oversized: Cell<bool>,
    /// What becomes of its answer at the client's end; taken once.
    pub(crate) stopped: Cell<Option<Stopped>>,
}

/// A stream's number.
pub(crate) fn stream_id(id: quinn::StreamId) -> StreamId {
    u64::from(VarInt::from(id))
        .try_into()
        .expect("QUIC and HTTP/3 number streams alike")
}
