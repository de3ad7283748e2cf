//! A body that one task fetches and several readers follow, each at its own pace.
//!
//! Whoever fetches pushes pieces and says how it ended; a reader gets what is there and waits for
//! the rest. Pieces stay until the last holder has gone, so that whoever makes one bounds it.

use super::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A body that grows while it is read.
#[derive(Debug)]
pub struct Growing {
    length: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    bytes: u64,
    end: Option<Result<(), BodyError>>,
    readers: Vec<Waker>,
}

/// The side that pushes; the body ends with an error when it is dropped before it ended it.
#[derive(Debug)]
pub struct Grower(Arc<Growing>);

impl Growing {
    /// A body that is to have so many bytes, and the side that pushes them.
    #[must_use]
    pub fn new(length: u64) -> (Arc<Self>, Grower) {
        let growing = Arc::new(Self {
            length,
            state: Mutex::default(),
        });
        (growing.clone(), Grower(growing))
    }

    /// A reader from the first byte on.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Body {
        Body::Stream(Box::new(Reader {
            growing: self.clone(),
            next: 0,
            left: self.length,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grower {
    /// Adds a piece.
    pub fn push(&self, piece: Bytes) {
        let mut state = self.0.lock();
        state.bytes += piece.len() as u64;
        state.pieces.push(piece);
        wake(state);
    }

    /// Ends the body, and gives all of it in one piece when it has the length that it was to have.
    #[must_use]
    pub fn end(self, result: Result<(), BodyError>) -> Option<Bytes> {
        let is_whole = result.is_ok();
        let mut state = self.0.lock();
        let short = is_whole && state.bytes != self.0.length;
        let short =
            short.then(|| BodyError::new(BodyErrorKind::Disconnected, "another length came"));
        state.end = Some(short.map_or(result, Err));
        let whole = matches!(state.end, Some(Ok(()))).then(|| match state.pieces.as_slice() {
            [one] => one.clone(),
            pieces => Bytes::from(pieces.concat()),
        });
        wake(state);
        whole
    }
}

impl Drop for Grower {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state
            .end
            .get_or_insert_with(|| Err(BodyError::new(BodyErrorKind::Internal, "given up")));
        wake(state);
    }
}

/// Wakes the readers once the lock is open.
fn wake(mut state: MutexGuard<'_, State>) {
    let readers = std::mem::take(&mut state.readers);
    drop(state);
    readers.into_iter().for_each(Waker::wake);
}

struct Reader {
    growing: Arc<Growing>,
    next: usize,
    left: u64,
}

impl BodyStream for Reader {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut state = self.growing.lock();
        if let Some(piece) = state.pieces.get(self.next) {
            self.next += 1;
            self.left = self.left.saturating_sub(piece.len() as u64);
            return Poll::Ready(Some(Ok(Frame::Data(Chunk::Shared(piece.clone())))));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                if !state
                    .readers
                    .iter()
                    .any(|known| known.will_wake(cx.waker()))
                {
                    state.readers.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader has by now: bytes, and how it ended if it did.
    fn read(body: &mut Body) -> (Vec<u8>, Option<bool>) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = Vec::new();
        loop {
            match body.poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(Frame::Data(chunk)))) => bytes.extend_from_slice(&chunk),
                Poll::Ready(Some(Ok(Frame::Trailers(_)))) => panic!("there are none"),
                Poll::Ready(Some(Err(_))) => return (bytes, Some(false)),
                Poll::Ready(None) => return (bytes, Some(true)),
                Poll::Pending => return (bytes, None),
            }
        }
    }

    #[test]
    fn readers_follow_from_wherever_they_began() {
        let (growing, grower) = Growing::new(4);
        let mut early = growing.reader();
        assert_eq!(early.length(), Some(4));
        grower.push(Bytes::from_static(b"ab"));
        assert_eq!(read(&mut early), (b"ab".to_vec(), None));
        grower.push(Bytes::from_static(b"cd"));
        let mut late = growing.reader();
        assert_eq!(grower.end(Ok(())), Some(Bytes::from_static(b"abcd")));
        assert_eq!(read(&mut early), (b"cd".to_vec(), Some(true)));
        assert_eq!(read(&mut late), (b"abcd".to_vec(), Some(true)));
    }

    #[test]
    fn what_is_not_whole_ends_with_an_error() {
        let (growing, grower) = Growing::new(4);
        grower.push(Bytes::from_static(b"abc"));
        assert_eq!(grower.end(Ok(())), None);
        assert_eq!(read(&mut growing.reader()), (b"abc".to_vec(), Some(false)));
        let (growing, grower) = Growing::new(1);
        drop(grower);
        assert_eq!(read(&mut growing.reader()), (Vec::new(), Some(false)));
    }
}
