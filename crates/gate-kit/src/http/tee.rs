//! A copy of a body, kept as the body passes to whoever reads it.
//!
//! Nobody waits for the copy: it is complete when the body is, and given up when it becomes too
//! long, the body breaks off or nobody reads it to its end.

use super::{Body, BodyError, BodyStream, Chunk, Frame};
use bytes::Bytes;
use std::task::{Context, Poll, ready};

/// What a whole copy is handed to; `None` where it was given up.
type Keeper = Box<dyn FnOnce(Option<Bytes>)>;

impl Body {
    /// The same body, of which a copy of at most `most` bytes is kept. `keep` is called exactly
    /// once: with the copy when the body is complete, with nothing where there is no whole copy.
    #[must_use]
    pub fn tee(self, most: usize, keep: impl FnOnce(Option<Bytes>) + 'static) -> Body {
        if self.length().is_some_and(|length| length > most as u64) {
            keep(None);
            return self;
        }
        match self {
            Body::Empty => {
                keep(Some(Bytes::new()));
                Body::Empty
            }
            Body::Full(chunk) => {
                let bytes = chunk.into_bytes();
                keep(Some(bytes.clone()));
                Body::Full(Chunk::from(bytes))
            }
            Body::Stream(stream) => Body::Stream(Box::new(Tee {
                stream,
                most,
                kept: Vec::new(),
                keep: Some(Box::new(keep)),
            })),
        }
    }
}

struct Tee {
    stream: Box<dyn BodyStream>,
    most: usize,
    kept: Vec<u8>,
    /// `None` once it was called.
    keep: Option<Keeper>,
}

impl Tee {
    fn end(&mut self, is_whole: bool) {
        if let Some(keep) = self.keep.take() {
            let kept = std::mem::take(&mut self.kept);
            keep(is_whole.then(|| Bytes::from(kept)));
        }
    }
}

impl BodyStream for Tee {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.stream.poll_frame(cx));
        match &frame {
            Some(Ok(Frame::Data(_))) if self.keep.is_none() => {}
            Some(Ok(Frame::Data(chunk))) if self.kept.len() + chunk.len() > self.most => {
                self.end(false);
            }
            Some(Ok(Frame::Data(chunk))) => {
                self.kept.extend_from_slice(chunk);
                // A stream that knows its length is not always polled beyond it.
                if self.stream.remaining() == Some(0) {
                    self.end(true);
                }
            }
            None | Some(Ok(Frame::Trailers(_))) => self.end(true),
            Some(Err(_)) => self.end(false),
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.stream.remaining()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.end(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::BodyErrorKind;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Waker;

    /// Pieces; a body whose last one is empty breaks off there.
    struct Pieces(Vec<&'static [u8]>);

    impl BodyStream for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            Poll::Ready(Some(match self.0.remove(0) {
                b"" => Err(BodyError::new(BodyErrorKind::Disconnected, "gone")),
                piece => Ok(Frame::Data(Bytes::from_static(piece).into())),
            }))
        }
    }

    /// What is kept of a body of which so many frames are read.
    fn kept(body: Body, most: usize, frames: usize) -> Vec<Option<Vec<u8>>> {
        let kept = Rc::new(RefCell::new(Vec::new()));
        let keeper = kept.clone();
        let mut body = body.tee(most, move |bytes: Option<Bytes>| {
            keeper.borrow_mut().push(bytes.map(|bytes| bytes.to_vec()));
        });
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..frames {
            let _ = body.poll_frame(&mut cx);
        }
        drop(body);
        kept.take()
    }

    #[test]
    fn a_copy_is_whole_or_there_is_none() {
        let pieces = |all: &[&'static [u8]]| Body::Stream(Box::new(Pieces(all.to_vec())));
        let whole = Some(b"abcde".to_vec());
        for (body, most, frames, expected) in [
            (pieces(&[b"ab", b"cde"]), 5, 3, whole.clone()),
            (pieces(&[b"ab", b"cde"]), 4, 3, None),
            (pieces(&[b"ab", b"cde"]), 5, 2, None),
            (pieces(&[b"ab", b""]), 5, 2, None),
            (Body::Full("abcde".into()), 5, 0, whole),
            (Body::Full("abcde".into()), 4, 1, None),
            (Body::Empty, 0, 0, Some(Vec::new())),
        ] {
            assert_eq!(kept(body, most, frames), [expected], "{most} {frames}");
        }
    }
}
