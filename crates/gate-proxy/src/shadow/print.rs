//! Prints of bodies: what is left of an answer that was read and thrown away, or has passed to its
//! caller.

use bytes::Bytes;
use gate_kit::http::{Body, BodyError, BodyStream, Frame, frame};
use std::hash::{DefaultHasher, Hasher};
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Most bytes of an answer to a copy that are read.
const BYTES_MAX: u64 = 16 << 20;

/// A body, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    /// Its length.
    pub(super) bytes: u64,
    /// A hash of its first bytes.
    pub(super) hash: u64,
    /// All of it, where it was to be kept and is not longer than that.
    pub(super) kept: Option<Bytes>,
}

/// A body that is being read.
#[derive(Debug)]
struct Printing {
    hasher: DefaultHasher,
    bytes: u64,
    left: usize,
    kept: Vec<u8>,
    kept_max: usize,
}

impl Printing {
    /// Of a body of which the first `most` bytes are compared, and so many kept.
    fn new(most: usize, kept_max: usize) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            bytes: 0,
            left: most,
            kept: Vec::new(),
            kept_max,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.left);
        self.hasher.write(&bytes[..taken]);
        self.left -= taken;
        self.bytes += bytes.len() as u64;
        let room = self.kept_max - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self) -> Print {
        let is_whole = self.kept_max > 0 && self.kept.len() as u64 == self.bytes;
        Print {
            bytes: self.bytes,
            hash: self.hasher.finish(),
            kept: is_whole.then(|| std::mem::take(&mut self.kept).into()),
        }
    }
}

/// Reads a body to its end; `None` when it breaks off, or is longer than is read.
pub(super) async fn print_of(body: &mut Body, most: usize, kept: usize) -> Option<Print> {
    let mut printing = Printing::new(most, kept);
    while let Some(next) = frame(body).await {
        match next {
            Ok(Frame::Data(chunk)) => printing.push(&chunk),
            Ok(Frame::Trailers(_)) => {}
            Err(_) => return None,
        }
        if printing.bytes > BYTES_MAX {
            return None;
        }
    }
    Some(printing.end())
}

/// Prints a body as it passes to the caller; the print comes once it has passed whole.
pub(super) fn watch(body: &mut Body, most: usize, kept: usize) -> oneshot::Receiver<Print> {
    let (sender, receiver) = oneshot::channel();
    let mut printing = Printing::new(most, kept);
    *body = match std::mem::take(body) {
        Body::Stream(inner) => Body::Stream(Box::new(Watched {
            inner,
            printing,
            sender: Some(sender),
        })),
        Body::Full(chunk) => {
            let bytes = chunk.into_bytes();
            printing.push(&bytes);
            // Whoever compares may have given up.
            let _ = sender.send(printing.end());
            Body::Full(bytes.into())
        }
        Body::Empty => {
            let _ = sender.send(printing.end());
            Body::Empty
        }
    };
    receiver
}

struct Watched {
    inner: Box<dyn BodyStream>,
    printing: Printing,
    sender: Option<oneshot::Sender<Print>>,
}

impl Watched {
    fn end(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(self.printing.end());
        }
    }
}

impl BodyStream for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        match &frame {
            Some(Ok(Frame::Data(chunk))) => self.printing.push(chunk),
            Some(Err(_)) => self.sender = None,
            Some(Ok(Frame::Trailers(_))) | None => self.end(),
        }
        // A body of known length may not be asked for its end.
        if self.inner.remaining() == Some(0) {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}
