//! The blocks of a stream whose vendor sends pieces without saying where a block begins or ends.
//!
//! Pieces of one kind in a row are one block; a piece of another kind ends it and begins the next.

use super::Emit;
use crate::conversation::{Block, Stop, StreamEvent, Text};
use crate::{DialectError, Losses};

/// Most blocks of one answer.
const BLOCKS_MAX: u32 = 1024;

/// A kind of block that consists of pieces of text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// What is said before a tool is called; text to everybody but its vendor.
    Plan,
    Refusal,
    Reasoning,
}

/// The blocks so far, and the one that is open.
#[derive(Default)]
pub(super) struct Blocks {
    count: u32,
    open: Option<(u32, Kind)>,
}

impl Blocks {
    /// The block that a piece of this kind belongs to, begun when it is not the open one.
    ///
    /// # Errors
    /// [`DialectError::TooManyBlocks`].
    pub(super) fn of(
        &mut self,
        kind: Kind,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<u32, DialectError> {
        if let Some((index, open)) = self.open
            && open == kind
        {
            return Ok(index);
        }
        self.close(losses, emit);
        let index = self.next()?;
        self.open = Some((index, kind));
        let block = match kind {
            Kind::Text | Kind::Plan => Block::Text,
            Kind::Refusal => Block::Refusal,
            Kind::Reasoning => Block::Reasoning,
        };
        emit(StreamEvent::BlockStart { index, block }, losses);
        Ok(index)
    }

    /// Hands a piece on in its block; an empty one begins none.
    ///
    /// # Errors
    /// [`DialectError::TooManyBlocks`].
    pub(super) fn piece(
        &mut self,
        kind: Kind,
        text: Text<'_>,
        losses: &mut Losses,
        emit: &mut Emit<'_>,
    ) -> Result<(), DialectError> {
        if text.is_empty() {
            return Ok(());
        }
        let index = self.of(kind, losses, emit)?;
        let event = match kind {
            Kind::Text | Kind::Plan | Kind::Refusal => StreamEvent::Text { index, text },
            Kind::Reasoning => StreamEvent::Reasoning { index, text },
        };
        emit(event, losses);
        Ok(())
    }

    /// The number of a block that the decoder begins by itself.
    ///
    /// # Errors
    /// [`DialectError::TooManyBlocks`].
    pub(super) fn next(&mut self) -> Result<u32, DialectError> {
        if self.count == BLOCKS_MAX {
            let limit = BLOCKS_MAX as usize;
            return Err(DialectError::TooManyBlocks { limit });
        }
        self.count += 1;
        Ok(self.count - 1)
    }

    /// Ends the open block, if there is one.
    pub(super) fn close(&mut self, losses: &mut Losses, emit: &mut Emit<'_>) {
        if let Some((index, _)) = self.open.take() {
            emit(StreamEvent::BlockStop { index }, losses);
        }
    }
}

/// Ends an answer whose vendor does not name the sequence that stopped it.
pub(super) fn finish(stop: Stop, losses: &mut Losses, emit: &mut Emit<'_>) {
    let stop_sequence = None;
    emit(
        StreamEvent::Finish {
            stop,
            stop_sequence,
        },
        losses,
    );
    emit(StreamEvent::End, losses);
}
