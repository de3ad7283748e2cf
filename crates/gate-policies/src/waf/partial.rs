//! A body of which the beginning was gathered, and the rest is still on its way.

use bytes::Bytes;
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, frame};
use std::task::{Context, Poll};

/// What was gathered.
pub(super) struct Partial {
    begin: Bytes,
    /// How much of the beginning may be looked at.
    limit: usize,
    rest: Body,
    trailers: Option<Frame>,
}

impl Partial {
    /// Gathers up to `limit` bytes. May be dropped midway; what was gathered is then lost.
    ///
    /// # Errors
    /// What ended the body.
    pub(super) async fn gather(mut body: Body, limit: usize) -> Result<Partial, BodyError> {
        let mut chunks: Vec<Bytes> = Vec::new();
        let mut length = 0;
        let mut trailers = None;
        while length <= limit {
            match frame(&mut body).await {
                None => break,
                Some(Ok(Frame::Data(chunk))) => {
                    length += chunk.len();
                    chunks.push(super::shared(chunk));
                }
                Some(Ok(other)) => {
                    trailers = Some(other);
                    break;
                }
                Some(Err(error)) => return Err(error),
            }
        }
        let begin = match chunks.len() {
            1 => chunks.swap_remove(0),
            _ => chunks.concat().into(),
        };
        Ok(Partial {
            begin,
            limit,
            rest: body,
            trailers,
        })
    }

    /// Whether more came than may be looked at.
    pub(super) fn is_cut(&self) -> bool {
        self.begin.len() > self.limit
    }

    /// What may be looked at.
    pub(super) fn bytes(&self) -> Bytes {
        self.begin.slice(..self.begin.len().min(self.limit))
    }

    /// The whole body again.
    pub(super) fn into_body(self) -> Body {
        let begin = Chunk::Shared(self.begin);
        if self.rest.is_empty() && self.trailers.is_none() {
            return Body::from(begin);
        }
        Body::Stream(Box::new(Joined {
            begin: Some(begin),
            rest: self.rest,
            trailers: self.trailers,
        }))
    }
}

/// A beginning, and what follows it.
struct Joined {
    begin: Option<Chunk>,
    rest: Body,
    trailers: Option<Frame>,
}

impl BodyStream for Joined {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(begin) = self.begin.take().filter(|begin| !begin.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::Data(begin))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(trailers)));
        }
        self.rest.poll_frame(cx)
    }

    fn remaining(&self) -> Option<u64> {
        if self.trailers.is_some() {
            return None;
        }
        let begin = self.begin.as_ref().map_or(0, |begin| begin.len());
        Some(self.rest.length()? + begin as u64)
    }
}
