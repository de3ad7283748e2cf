//! The files that a configuration includes: how many, how large, and which line is whose.

use crate::note::{Notes, Outcome};
use crate::{FILE_BYTES_MAX, ImportError, Include};

/// The most files that are included.
const FILES_MAX: usize = 256;

/// Files in the order in which they were read.
pub(super) struct Files<'i> {
    include: Include<'i>,
    /// Name and first line of each; lines are numbered on from file to file.
    names: Vec<(String, u32)>,
    next: u32,
    bytes_left: usize,
    /// Includes that lead to no file: line and reason.
    unread: Vec<(u32, String, String)>,
}

impl<'i> Files<'i> {
    pub(super) fn new(include: Include<'i>) -> Self {
        Self {
            include,
            names: Vec::new(),
            next: 1,
            bytes_left: FILE_BYTES_MAX,
            unread: Vec::new(),
        }
    }

    /// The number of a text's first line, once for each text.
    pub(super) fn first_line(&mut self, text: &str) -> u32 {
        let first = self.next;
        let lines = text.bytes().filter(|byte| *byte == b'\n').count();
        let lines = u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1);
        self.next = self.next.saturating_add(lines);
        first
    }

    /// A file begins; the number of its first line.
    pub(super) fn begin(&mut self, name: String, text: &str) -> u32 {
        let line = self.first_line(text);
        self.names.push((name, line));
        line
    }

    /// The files that a pattern names; nothing where there are none, which will be told.
    ///
    /// # Errors
    /// There are too many, they are too large, or one is no text.
    pub(super) fn open(
        &mut self,
        pattern: &str,
        line: u32,
    ) -> Result<Option<Vec<(String, String)>>, ImportError> {
        let found = match (self.include)(pattern) {
            Ok(found) => found,
            Err(why) => {
                self.unread.push((line, pattern.to_owned(), why));
                return Ok(None);
            }
        };
        if self.names.len() + found.len() > FILES_MAX {
            let message = format!("it includes more than {FILES_MAX} files");
            return Err(ImportError::new(line, message));
        }
        let mut texts = Vec::new();
        for (name, bytes) in found {
            let Some(left) = self.bytes_left.checked_sub(bytes.len()) else {
                let message = format!("what it includes is larger than {FILE_BYTES_MAX} bytes");
                return Err(ImportError::new(line, message));
            };
            self.bytes_left = left;
            match String::from_utf8(bytes) {
                Ok(text) => texts.push((name, text)),
                Err(_) => {
                    let message = format!("`{name}` is not UTF-8");
                    return Err(ImportError::new(line, message));
                }
            }
        }
        Ok(Some(texts))
    }

    /// Says which includes led nowhere.
    pub(super) fn tell(&mut self, notes: &mut Notes) {
        for (line, pattern, why) in self.unread.drain(..) {
            notes.add(line, format!("include {pattern}"), Outcome::Dropped, why);
        }
    }

    /// Which file a line is of, and its number there.
    pub(super) fn place(&self, line: u32) -> (Option<String>, u32) {
        let file = self.names.iter().rev().find(|(_, first)| *first <= line);
        match file {
            Some((name, first)) => (Some(name.clone()), line - first + 1),
            None => (None, line),
        }
    }
}
