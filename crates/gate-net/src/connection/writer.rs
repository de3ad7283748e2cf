//! Writing one message: everything at hand leaves in one system call, and nothing waits for more.
//!
//! The writer pulls frames while they are ready, up to a bound, and then writes head, chunk framing
//! and data together. A frame that is not ready never delays those that are. Small frames are
//! copied behind the head: a `send` of one piece costs the kernel less than a `writev` of two, by
//! more than the copy. Large ones leave from where they lie, and those that lie in a file as well are
//! not even copied by the kernel.
//!
//! Before it writes what one wake-up has brought, a writer lets every other task of its worker have
//! its turn, so that what came together leaves together: the receiver is still busy with the first
//! piece when the second comes, and need not be woken for it. Waking it is most of what a short
//! write costs.

use crate::http1::{CHUNK_SUFFIX, encode_chunk_prefix, encode_last_chunk};
use crate::io::Io;
use gate_kit::buffer::{self, LARGE};
use gate_kit::http::{Body, BodyError, BodyErrorKind, Chunk, Frame};
use smallvec::SmallVec;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// Most slices of one vectored write; Linux takes 1024, but a stack array should stay small.
const SLICES: usize = 16;
/// Largest frame that is copied, in bytes.
const COPIED: usize = 4 * 1024;

thread_local! {
    /// Messages of this worker on their way out, or waiting for their answers.
    static OPEN: Cell<u32> = const { Cell::new(0) };
}

/// How the body of a message being written is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiting {
    /// By the head alone, or by the end of the connection.
    None,
    /// By its length.
    Length(u64),
    /// By chunk framing.
    Chunked,
}

/// One message on its way out.
pub(crate) struct MessageWriter {
    /// Head, chunk framing and small frames; a scratch, lent only while there is something in it.
    framing: Vec<u8>,
    segments: SmallVec<[Segment; 2]>,
    next: usize,
    queued: usize,
    body: Body,
    delimiting: Delimiting,
    pulling: bool,
    /// Why the body ended early; reported once everything before it has left.
    failed: Option<BodyError>,
    sent_body: u64,
    /// Whether the other tasks have had their turn since everything had been written.
    yielded: bool,
}

enum Segment {
    /// A range of `framing`.
    Framing(usize, usize),
    Data(Chunk),
}

/// Why a message could not be written to its end.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The socket failed.
    Socket(io::Error),
    /// The body failed.
    Body(BodyError),
}

/// What a writer that is not done waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Its turn; the task has been woken already.
    Turn,
    /// The socket to take more.
    Socket,
    /// The body to bring more; everything so far has been written.
    Body,
}

impl MessageWriter {
    /// A message whose head has been encoded into `head`, a [`buffer::scratch`].
    pub(crate) fn new(head: Vec<u8>, body: Body, delimiting: Delimiting) -> Self {
        OPEN.set(OPEN.get() + 1);
        let queued = head.len();
        let mut segments = SmallVec::new();
        segments.push(Segment::Framing(0, queued));
        let pulling = !(body.is_empty() && delimiting != Delimiting::Chunked);
        Self {
            framing: head,
            segments,
            next: 0,
            queued,
            body,
            delimiting,
            pulling,
            failed: None,
            sent_body: 0,
            yielded: false,
        }
    }

    /// Body bytes handed to the socket's queue so far.
    pub(crate) fn sent_body(&self) -> u64 {
        self.sent_body
    }

    /// Writes as much as can be written now. `Ready(None)` means the message is complete.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
    ) -> Poll<Result<Option<Waiting>, WriteError>> {
        let owes_turn = !self.yielded && OPEN.get() > 1;
        if owes_turn && self.queued > 0 {
            return self.yield_turn(cx);
        }
        // Once the body has nothing more, it wakes the task and need not be asked again.
        let mut asked = false;
        loop {
            if !asked {
                match self.pull(cx, owes_turn) {
                    Ok(pending) => asked = pending,
                    Err(error) => {
                        self.pulling = false;
                        self.failed = Some(error);
                    }
                }
            }
            if self.queued == 0 {
                let flushed = io.poll_flush(cx).map_err(WriteError::Socket)?;
                if flushed.is_ready()
                    && let Some(error) = self.failed.take()
                {
                    return Poll::Ready(Err(WriteError::Body(error)));
                }
                return match (flushed, self.pulling) {
                    (Poll::Pending, _) => Poll::Ready(Ok(Some(Waiting::Socket))),
                    (Poll::Ready(()), true) => {
                        self.yielded = false;
                        Poll::Ready(Ok(Some(Waiting::Body)))
                    }
                    (Poll::Ready(()), false) => Poll::Ready(Ok(None)),
                };
            }
            if owes_turn {
                return self.yield_turn(cx);
            }
            match self.write(cx, io) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(WriteError::Socket(error))),
                Poll::Pending => return Poll::Ready(Ok(Some(Waiting::Socket))),
            }
        }
    }

    /// Lets the other tasks have their turn before anything is written.
    fn yield_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Waiting>, WriteError>> {
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(Some(Waiting::Turn)))
    }

    /// Queues frames that are ready, up to the bound; just one where others have their turn first,
    /// for the body is asked again behind it. True when the body has no more for now.
    fn pull(&mut self, cx: &mut Context<'_>, owes_turn: bool) -> Result<bool, BodyError> {
        while self.pulling && self.queued < LARGE && self.segments.len() - self.next + 3 <= SLICES {
            if owes_turn && self.queued > 0 {
                break;
            }
            match self.body.poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(None) => self.end(None)?,
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => self.end(Some(&trailers))?,
                Poll::Ready(Some(Ok(Frame::Data(chunk)))) => self.push(chunk)?,
                Poll::Ready(Some(Err(error))) => return Err(error),
            }
        }
        Ok(false)
    }

    fn push(&mut self, chunk: Chunk) -> Result<(), BodyError> {
        let length = chunk.len();
        self.sent_body += length as u64;
        match self.delimiting {
            Delimiting::Chunked => {
                self.frame(|out| encode_chunk_prefix(out, length as u64));
                self.data(chunk);
                self.frame(|out| out.extend_from_slice(CHUNK_SUFFIX));
            }
            Delimiting::Length(promised) => {
                if self.sent_body > promised {
                    let detail = format!("more than the {promised} bytes promised");
                    return Err(BodyError::new(BodyErrorKind::Malformed, detail));
                }
                self.data(chunk);
                if self.sent_body == promised {
                    // Nothing more may follow, so the end need not be asked for.
                    self.finish_exact();
                }
            }
            Delimiting::None => self.data(chunk),
        }
        Ok(())
    }

    fn data(&mut self, chunk: Chunk) {
        if chunk.len() <= COPIED {
            self.frame(|out| out.extend_from_slice(&chunk));
        } else {
            self.queued += chunk.len();
            self.segments.push(Segment::Data(chunk));
        }
    }

    /// With the promised length reached, only an `Empty` or `Full` body is surely over; a stream
    /// is asked once more, so that what produces it learns that it is done.
    fn finish_exact(&mut self) {
        if self.body.is_empty() {
            self.pulling = false;
        }
    }

    fn end(&mut self, trailers: Option<&gate_kit::http::Headers>) -> Result<(), BodyError> {
        self.pulling = false;
        match self.delimiting {
            Delimiting::Chunked => self.frame(|out| encode_last_chunk(out, trailers)),
            Delimiting::Length(promised) if self.sent_body < promised => {
                let detail = format!("{} of {promised} bytes", self.sent_body);
                return Err(BodyError::new(BodyErrorKind::Disconnected, detail));
            }
            Delimiting::Length(_) | Delimiting::None => {}
        }
        Ok(())
    }

    /// Appends framing bytes, merging them with a framing segment just before.
    fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.framing.capacity() == 0 {
            self.framing = buffer::scratch();
        }
        let start = self.framing.len();
        write(&mut self.framing);
        let end = self.framing.len();
        self.queued += end - start;
        match self.segments.last_mut() {
            Some(Segment::Framing(_, last)) if *last == start => *last = end,
            _ => self.segments.push(Segment::Framing(start, end)),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, io: &Io) -> Poll<io::Result<()>> {
        let written = match self.is_of_file() && io.sends_files() {
            true => std::task::ready!(self.write_file(cx, io))?,
            false => std::task::ready!(self.write_slices(cx, io))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    /// Whether what comes next lies in a file, at once or behind what frames it.
    fn is_of_file(&self) -> bool {
        let next = &self.segments[self.next..];
        let data = match next {
            [Segment::Framing(..), data, ..] | [data @ Segment::Data(_), ..] => data,
            _ => return false,
        };
        matches!(data, Segment::Data(chunk) if chunk.file().is_some())
    }

    /// What frames it leaves first, and waits in the kernel for the file's bytes.
    fn write_file(&self, cx: &mut Context<'_>, io: &Io) -> Poll<io::Result<usize>> {
        match &self.segments[self.next] {
            Segment::Framing(start, end) => io.poll_write_more(cx, &self.framing[*start..*end]),
            Segment::Data(chunk) => match chunk.file() {
                Some(file) => io.poll_send_file(cx, file, chunk.len()),
                None => io.poll_write(cx, &[IoSlice::new(chunk)]),
            },
        }
    }

    fn write_slices(&self, cx: &mut Context<'_>, io: &Io) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for segment in self.segments[self.next..].iter().take(SLICES) {
            slices[count] = match segment {
                Segment::Framing(start, end) => IoSlice::new(&self.framing[*start..*end]),
                Segment::Data(chunk) => IoSlice::new(chunk),
            };
            count += 1;
        }
        io.poll_write(cx, &slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.queued -= written;
        if self.queued == 0 {
            self.segments.clear();
            buffer::give_back(std::mem::take(&mut self.framing));
            self.next = 0;
            return;
        }
        while written > 0 {
            let segment = &mut self.segments[self.next];
            let length = match segment {
                Segment::Framing(start, end) => *end - *start,
                Segment::Data(chunk) => chunk.len(),
            };
            if written < length {
                match segment {
                    Segment::Framing(start, _) => *start += written,
                    Segment::Data(chunk) => chunk.advance(written),
                }
                return;
            }
            written -= length;
            // The memory goes back to the pool as soon as its bytes have left.
            *segment = Segment::Framing(0, 0);
            self.next += 1;
        }
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
        buffer::give_back(std::mem::take(&mut self.framing));
    }
}
