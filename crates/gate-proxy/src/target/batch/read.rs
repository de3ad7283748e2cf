//! A file on its way out, read piece by piece on the desk's thread.

use crate::batches::Desk;
use gate_flow::{Fault, LocalFuture};
use gate_kit::http::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes of a piece.
const PIECE: usize = 256 * 1024;

type Piece = Result<(File, Vec<u8>), io::Error>;

/// A file that is read while it is sent.
struct Reading {
    desk: Arc<Desk>,
    /// The next piece, and the file.
    next: LocalFuture<'static, Result<Piece, Fault>>,
    left: u64,
}

/// A body of the first `bytes` of a file.
pub(crate) fn body(desk: Arc<Desk>, file: File, bytes: u64) -> Body {
    if bytes == 0 {
        return Body::Empty;
    }
    let next = piece(&desk, file, bytes);
    Body::Stream(Box::new(Reading {
        desk,
        next,
        left: bytes,
    }))
}

fn piece(desk: &Arc<Desk>, file: File, left: u64) -> LocalFuture<'static, Result<Piece, Fault>> {
    let desk = desk.clone();
    Box::pin(async move {
        desk.ask(move |_| {
            let most = (PIECE as u64).min(left);
            let mut bytes = Vec::new();
            let mut file = file;
            (&mut file).take(most).read_to_end(&mut bytes)?;
            Ok((file, bytes))
        })
        .await
    })
}

impl BodyStream for Reading {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let read = ready!(self.next.as_mut().poll(cx));
        let broken = |text: String| BodyError::new(BodyErrorKind::Disconnected, text);
        let read = match read {
            Ok(Ok((file, bytes))) if !bytes.is_empty() => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.next = piece(&self.desk, file, self.left);
                Ok(Frame::Data(Chunk::from(bytes)))
            }
            Ok(Ok(_)) => Err(broken("a kept file has become shorter".to_owned())),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken("a kept file is not read in time".to_owned())),
        };
        if read.is_err() {
            self.left = 0;
        }
        Poll::Ready(Some(read))
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.left)
    }
}
