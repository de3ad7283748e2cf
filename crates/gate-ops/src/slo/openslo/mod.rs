//! Objectives as OpenSLO v1 documents, both ways.
//!
//! What OpenSLO has no words for (the short windows, the least count, who is counted) stands in an
//! annotation, so that what was written reads back the same; beside it the same things as far as
//! OpenSLO can say them, for others. Of what others wrote, [`parse`] takes what we have and says what
//! it could not take: nothing is dropped in silence.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::parse;
pub use write::write;

use super::Definition;

/// The annotation with our own words, as JSON.
pub const ANNOTATION: &str = "tidegate/objective";
/// Documents that are read from one text, at most.
pub const DOCUMENTS_MAX: usize = 1000;

/// Something that could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Where: the document's number from 1, and the field.
    pub place: String,
    /// What, and what became of it, in a sentence.
    pub message: String,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// Objectives, in order.
    pub definitions: Vec<Definition>,
    /// What could not be taken over.
    pub lacks: Vec<Lack>,
}
