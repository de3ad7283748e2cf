//! A body that may not exceed a number of bytes.

use gate_kit::http::{BodyError, BodyErrorKind, BodyStream, Frame};
use std::task::{Context, Poll, ready};

/// A body that fails once it exceeds its limit.
pub(crate) struct Limited {
    inner: Box<dyn BodyStream>,
    left: u64,
}

impl Limited {
    /// Allows `inner` at most `bytes`.
    #[must_use]
    pub(crate) fn new(inner: Box<dyn BodyStream>, bytes: u64) -> Self {
        Self { inner, left: bytes }
    }
}

impl BodyStream for Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame {
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    let error =
                        BodyError::new(BodyErrorKind::TooLarge, "over the listener's limit");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}
