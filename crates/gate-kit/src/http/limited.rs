//! A body that may not exceed a number of bytes.

use super::{BodyError, BodyErrorKind, BodyStream, Frame};
use std::task::{Context, Poll, ready};

/// A body that fails with [`BodyErrorKind::TooLarge`] once it exceeds its limit.
pub struct Limited {
    inner: Box<dyn BodyStream>,
    left: u64,
    whose: &'static str,
}

impl Limited {
    /// Allows `inner` at most `bytes`; `whose` limit that is, for the operator.
    #[must_use]
    pub fn new(inner: Box<dyn BodyStream>, bytes: u64, whose: &'static str) -> Self {
        Self {
            inner,
            left: bytes,
            whose,
        }
    }
}

impl BodyStream for Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame {
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    let error = BodyError::new(BodyErrorKind::TooLarge, self.whose);
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
