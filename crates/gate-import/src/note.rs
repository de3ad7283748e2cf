//! What an import could not carry over, each with its line and its reason.

use gate_kit::order::Order;
use serde::Serialize;
use std::collections::HashSet;

/// The most notes that are kept; the last one says how many more there were.
pub const NOTES_MAX: usize = 5_000;

/// What became of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the document, and something about it is different.
    Changed,
    /// It is not in the document.
    Dropped,
    /// It protects and cannot be expressed: what it protected answers 501.
    Closed,
    /// Somebody has to give something that does not stand in a file, such as a secret.
    Todo,
    /// It has no counterpart because none is needed.
    Needless,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Closed => "closed",
            Self::Todo => "todo",
            Self::Needless => "needless",
        }
    }
}

/// One directive of the file that the document does not say in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Note {
    /// The included file that it stands in; none for the one that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line from 1; 0 for the file as a whole.
    pub line: u32,
    /// The directive or field, as the file names it. Never a secret's value.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, without a full stop.
    pub why: String,
}

/// The notes so far; each is kept once.
#[derive(Default)]
pub(crate) struct Notes {
    kept: Vec<Note>,
    seen: HashSet<Note>,
    more: usize,
}

impl Notes {
    pub(crate) fn add(
        &mut self,
        line: u32,
        what: impl Into<String>,
        outcome: Outcome,
        why: impl Into<String>,
    ) {
        let note = Note {
            file: None,
            line,
            what: shortened(what.into()),
            outcome,
            why: why.into(),
        };
        if self.kept.len() >= NOTES_MAX {
            self.more += 1;
        } else if self.seen.insert(note.clone()) {
            self.kept.push(note);
        }
    }

    /// Files are numbered on behind one another while they are read: says which line is which.
    pub(crate) fn place(&mut self, place: impl Fn(u32) -> (Option<String>, u32)) {
        self.kept.order_by_key(|note| note.line);
        for note in &mut self.kept {
            (note.file, note.line) = place(note.line);
        }
    }

    /// All of them, in the order of the files and their lines.
    pub(crate) fn finish(mut self) -> Vec<Note> {
        // Stable, so that files stay in the order in which they were included.
        self.kept.order_by_key(|note| {
            (
                note.file.is_some(),
                note.file.is_none().then_some(note.line),
            )
        });
        if self.more > 0 {
            self.kept.push(Note {
                file: None,
                line: 0,
                what: "the file".to_owned(),
                outcome: Outcome::Dropped,
                why: format!("{} more notes are not listed", self.more),
            });
        }
        self.kept
    }
}

/// At most 80 characters, on one line.
fn shortened(text: String) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= 80 && !text.contains(char::is_control) {
        return text;
    }
    let mut short: String = text.chars().take(79).map(plain).collect();
    if text.chars().count() > 79 {
        short.push('…');
    }
    short
}
