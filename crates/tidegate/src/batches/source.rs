//! The lines of a batch's file, one by one.

use super::Halt;
use gate_ai::batch::{LINE_MAX, Line, Lines};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

/// Bytes that are read of the file at once.
const PIECE: u64 = 64 * 1024;

/// The lines of a batch's file, in their order; a few of them are held.
pub(super) struct Source {
    file: File,
    lines: Lines,
    read: VecDeque<Vec<u8>>,
    index: u32,
    ended: bool,
}

impl Source {
    pub(super) const fn over(file: File) -> Self {
        Self {
            file,
            lines: Lines::new(LINE_MAX),
            read: VecDeque::new(),
            index: 0,
            ended: false,
        }
    }

    /// The next line, and its number from 0.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Vec<u8>)>, Halt> {
        while self.read.is_empty() && !self.ended {
            let mut piece = Vec::new();
            (&mut self.file).take(PIECE).read_to_end(&mut piece)?;
            let read = &mut self.read;
            let mut keep = |_: u64, line: Line<'_>| match line {
                Line::Whole(line) => read.push_back(line.to_vec()),
                // Its number counts all the same.
                Line::TooLong => read.push_back(Vec::new()),
            };
            self.lines.push(&piece, &mut keep);
            if piece.is_empty() {
                self.lines.finish(keep);
                self.ended = true;
            }
        }
        let Some(line) = self.read.pop_front() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        Ok(Some((index, line)))
    }
}
