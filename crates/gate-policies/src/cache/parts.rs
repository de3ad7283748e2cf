//! Several parts of a kept answer in one body: multipart/byteranges (RFC 9110 section 14.6).

use bytes::Bytes;
use gate_cache::Slice;
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, HeaderId, Headers, Response};
use gate_kit::random;
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// Most parts of one answer; who asks for more gets the whole.
pub(super) const PARTS_MAX: usize = 16;

/// The parts' heads and bytes, none of them copied.
struct Parts {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl BodyStream for Parts {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let piece = self.pieces.pop_front();
        Poll::Ready(piece.map(|piece| {
            self.left -= piece.len() as u64;
            Ok(Frame::Data(Chunk::Shared(piece)))
        }))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}

/// The answer of these parts of `body`, which is whole; none of them is empty.
pub(super) fn response(mut headers: Headers, body: &Bytes, slices: &[Slice]) -> Response {
    let boundary = format!("{:016x}{:016x}", random::bits(), random::bits());
    let kind = headers.get(HeaderId::ContentType).map(<[u8]>::to_vec);
    let mut pieces = VecDeque::with_capacity(slices.len() * 2 + 1);
    for slice in slices {
        let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(kind) = &kind {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(kind);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("Content-Range: {}\r\n\r\n", slice.text()).as_bytes());
        pieces.push_back(Bytes::from(head));
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        pieces.push_back(body.slice(at(slice.first)..at(slice.last) + 1));
    }
    pieces.push_back(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    let left = pieces.iter().map(|piece| piece.len() as u64).sum();
    let kind = format!("multipart/byteranges; boundary={boundary}");
    headers.set(HeaderId::ContentType, kind.as_bytes());
    super::give::response(206, headers, Body::Stream(Box::new(Parts { pieces, left })))
}
