//! Bodies: pulled frame by frame, bounded by whoever pulls.

use super::Headers;
use crate::MemoryFile;
use crate::buffer::PooledBuf;
use bytes::Bytes;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Some bytes of a body, in whichever memory they happen to lie.
pub enum Chunk {
    /// Borrowed from the thread's pool.
    Pooled(PooledBuf),
    /// Shared, reference-counted memory.
    Shared(Bytes),
    /// Shared memory with a copy in a file, from which the kernel sends without copying.
    Filed(Box<Filed>),
}

/// Bytes, and the same bytes in a file.
pub struct Filed {
    bytes: Bytes,
    file: Arc<MemoryFile>,
    offset: u64,
}

impl Chunk {
    /// An empty chunk, which owns nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Chunk::Shared(Bytes::new())
    }

    /// Bytes of which this file holds a copy.
    ///
    /// # Panics
    /// When the file is not as long as they are.
    #[must_use]
    pub fn filed(bytes: Bytes, file: Arc<MemoryFile>) -> Self {
        assert_eq!(bytes.len(), file.bytes(), "a file of other bytes");
        let offset = 0;
        Chunk::Filed(Box::new(Filed {
            bytes,
            file,
            offset,
        }))
    }

    /// The file that holds these bytes too, and from which offset on.
    #[must_use]
    pub fn file(&self) -> Option<(&MemoryFile, u64)> {
        match self {
            Chunk::Filed(filed) => Some((&filed.file, filed.offset)),
            Chunk::Pooled(_) | Chunk::Shared(_) => None,
        }
    }

    /// Drops the first `n` bytes.
    ///
    /// # Panics
    /// When the chunk is shorter than `n`.
    pub fn advance(&mut self, n: usize) {
        match self {
            Chunk::Pooled(buffer) => buffer.advance(n),
            Chunk::Shared(bytes) => drop(bytes.split_to(n)),
            Chunk::Filed(filed) => {
                drop(filed.bytes.split_to(n));
                filed.offset += n as u64;
            }
        }
    }

    /// Keeps the first `n` bytes; a shorter chunk stays as it is.
    pub fn truncate(&mut self, n: usize) {
        match self {
            Chunk::Pooled(buffer) => buffer.truncate(n),
            Chunk::Shared(bytes) => bytes.truncate(n),
            Chunk::Filed(filed) => filed.bytes.truncate(n),
        }
    }

    /// The same bytes as shared memory; pooled memory is wrapped, not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Chunk::Pooled(buffer) => Bytes::from_owner(buffer),
            Chunk::Shared(bytes) => bytes,
            Chunk::Filed(filed) => filed.bytes,
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Chunk::Pooled(buffer) => buffer,
            Chunk::Shared(bytes) => bytes,
            Chunk::Filed(filed) => &filed.bytes,
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Chunk::Shared(bytes)
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Chunk::Shared(bytes.into())
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Self {
        Chunk::Shared(text.into())
    }
}

impl From<&'static str> for Chunk {
    fn from(text: &'static str) -> Self {
        Chunk::Shared(Bytes::from_static(text.as_bytes()))
    }
}

impl From<PooledBuf> for Chunk {
    fn from(buffer: PooledBuf) -> Self {
        Chunk::Pooled(buffer)
    }
}

/// One step of a body.
#[derive(Debug)]
pub enum Frame {
    /// Bytes; never empty.
    Data(Chunk),
    /// Trailer fields; always the last frame.
    Trailers(Headers),
}

/// Why a body ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// What happened.
    pub kind: BodyErrorKind,
    /// For the operator's log; never shown to a caller.
    pub detail: Box<str>,
}

/// What ended a body early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyErrorKind {
    /// The peer closed or reset the connection before the end it had promised.
    Disconnected,
    /// The peer sent framing that cannot be understood.
    Malformed,
    /// The body exceeds the limit set for it.
    TooLarge,
    /// Nothing came for longer than the limit set for it.
    TimedOut,
    /// Something of ours failed while producing the body.
    Internal,
}

impl BodyError {
    /// An error of this kind with its cause for the log.
    pub fn new(kind: BodyErrorKind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for BodyError {}

/// A body whose bytes are still on their way.
///
/// After an error, `None` or trailers the stream is finished and is not polled again. Dropping an
/// unfinished stream cancels whatever produces it.
pub trait BodyStream {
    /// The next frame. Never returns an empty `Data`.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>>;

    /// Bytes still to come, when the sender has said so.
    fn remaining(&self) -> Option<u64> {
        None
    }
}

/// A request's or response's body.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// All the bytes, at hand.
    Full(Chunk),
    /// Bytes still on their way.
    Stream(Box<dyn BodyStream>),
}

impl Body {
    /// The exact length, when it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Full(chunk) => Some(chunk.len() as u64),
            Body::Stream(stream) => stream.remaining(),
        }
    }

    /// Whether there are certainly no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Body::Empty)
    }

    /// The next frame; the body is [`Body::Empty`] once everything has been taken.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self {
            Body::Empty => Poll::Ready(None),
            Body::Full(_) => match std::mem::take(self) {
                Body::Full(chunk) if !chunk.is_empty() => Poll::Ready(Some(Ok(Frame::Data(chunk)))),
                _ => Poll::Ready(None),
            },
            Body::Stream(stream) => {
                let frame = std::task::ready!(stream.poll_frame(cx));
                if !matches!(frame, Some(Ok(Frame::Data(_)))) {
                    *self = Body::Empty;
                }
                Poll::Ready(frame)
            }
        }
    }

    /// Reads the whole body into one chunk of at most `limit` bytes, dropping trailers.
    ///
    /// May be dropped midway; what was read is then lost.
    ///
    /// # Errors
    /// [`BodyErrorKind::TooLarge`] beyond the limit, or whatever ended the body.
    pub async fn collect(&mut self, limit: usize) -> Result<Chunk, BodyError> {
        let too_large = || BodyError::new(BodyErrorKind::TooLarge, format!("over {limit} bytes"));
        if self.length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        // What is at hand is handed over as it is.
        if let Body::Full(whole) = self {
            let whole = std::mem::replace(whole, Chunk::empty());
            *self = Body::Empty;
            return Ok(whole);
        }
        let mut first: Option<Chunk> = None;
        let mut joined: Vec<u8> = Vec::new();
        while let Some(next) = frame(self).await {
            let Frame::Data(chunk) = next? else { break };
            let so_far = if joined.is_empty() {
                first.as_ref().map_or(0, |c| c.len())
            } else {
                joined.len()
            };
            if so_far + chunk.len() > limit {
                return Err(too_large());
            }
            match first.take() {
                None if joined.is_empty() => first = Some(chunk),
                head => {
                    if let Some(head) = head {
                        joined.extend_from_slice(&head);
                    }
                    joined.extend_from_slice(&chunk);
                }
            }
        }
        Ok(first.unwrap_or_else(|| Chunk::from(joined)))
    }
}

/// The next frame of a body, as a future.
pub async fn frame(body: &mut Body) -> Option<Result<Frame, BodyError>> {
    poll_fn(|cx| body.poll_frame(cx)).await
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Full(chunk) => write!(f, "Full({} bytes)", chunk.len()),
            Body::Stream(stream) => write!(f, "Stream(remaining {:?})", stream.remaining()),
        }
    }
}

impl From<Chunk> for Body {
    fn from(chunk: Chunk) -> Self {
        if chunk.is_empty() {
            Body::Empty
        } else {
            Body::Full(chunk)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    struct Pieces(Vec<&'static [u8]>);

    impl BodyStream for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(Frame::Data(
                Bytes::from_static(self.0.remove(0)).into(),
            ))))
        }
    }

    fn collect(mut body: Body, limit: usize) -> Result<Vec<u8>, BodyErrorKind> {
        let mut future = Box::pin(async move { body.collect(limit).await });
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => result.map(|chunk| chunk.to_vec()).map_err(|e| e.kind),
            Poll::Pending => panic!("these bodies never wait"),
        }
    }
    use std::future::Future;

    #[test]
    fn collecting_joins_pieces_up_to_the_limit() {
        let pieces = || Body::Stream(Box::new(Pieces(vec![b"ab", b"cd", b"e"])));
        assert_eq!(collect(pieces(), 5), Ok(b"abcde".to_vec()));
        assert_eq!(collect(pieces(), 4), Err(BodyErrorKind::TooLarge));
        assert_eq!(collect(Body::Empty, 0), Ok(Vec::new()));
        assert_eq!(
            collect(Body::Full("abc".into()), 2),
            Err(BodyErrorKind::TooLarge)
        );
    }
}
