//! A kept stream, given as a stream again: its bytes, piece by piece, as fast as they are taken.

use bytes::Bytes;
use gate_kit::http::{BodyError, BodyStream, Chunk, Frame};
use std::task::{Context, Poll};

/// Bytes of one piece: what a socket takes at once.
const PIECE: usize = 16 * 1024;

/// The bytes that are left.
pub(super) struct Replay(Bytes);

impl Replay {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl BodyStream for Replay {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.0.split_to(self.0.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::Data(Chunk::Shared(piece)))))
    }
}
