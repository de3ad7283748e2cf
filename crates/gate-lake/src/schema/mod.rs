//! What a row of the lake is: its columns, their kinds, and what is refused at the door.
//!
//! There are two data sets. [`Dataset::Records`] has one row per exchange and no content;
//! [`Dataset::Bodies`] has what was said, for those exchanges whose bodies are recorded. They lie in
//! files of their own, so that each can be kept for a time of its own.
//!
//! Columns may be added at the end, all of them optional; none is ever renamed, moved or given
//! another kind. A file says which version it was written in, and a reader refuses a newer one.

mod body;
mod row;
#[cfg(test)]
mod tests;

pub use body::{BODY_COLUMNS, BodyField, BodyRow, Direction};
pub use row::{COLUMNS, Field, Row};

/// The version of the schema that is written. A reader understands this one and older ones.
pub const VERSION: u32 = 1;
/// The key under which a Parquet file's footer says its version.
pub const VERSION_KEY: &str = "tidegate.schema";
/// Most bytes of a text in a row.
pub const TEXT_BYTES_MAX: usize = 256;
/// Most bytes of one body.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A set of files with the same columns, kept, redacted and deleted by its own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dataset {
    /// One row per exchange, without content.
    Records,
    /// What was sent and answered.
    Bodies,
}

impl Dataset {
    /// Both.
    pub const ALL: [Dataset; 2] = [Dataset::Records, Dataset::Bodies];

    /// The name, which is its folder in the lake and its table in queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dataset::Records => "records",
            Dataset::Bodies => "bodies",
        }
    }

    /// The data set of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Its columns, in the order of the files.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Dataset::Records => &COLUMNS,
            Dataset::Bodies => &BODY_COLUMNS,
        }
    }
}

/// A column of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name, in files and in queries.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Whether a row may lack a value.
    pub optional: bool,
    /// What it means, for people.
    pub meaning: &'static str,
}

const fn column(name: &'static str, kind: Kind, optional: bool, meaning: &'static str) -> Column {
    Column {
        name,
        kind,
        optional,
        meaning,
    }
}

/// What values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Microseconds since 1970 in UTC.
    Time,
    /// A whole number of 64 bits, not negative but for money.
    Integer,
    /// 16 bytes.
    Id,
    /// UTF-8 with few different values, of [`TEXT_BYTES_MAX`] bytes at most.
    Word,
    /// UTF-8 with many different values, of [`TEXT_BYTES_MAX`] bytes at most.
    Text,
    /// Bytes of a body.
    Content,
    /// Yes or no.
    Flag,
}

/// Why a row is refused at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A text is longer than the limit.
    #[error("`{0}` has more than {TEXT_BYTES_MAX} bytes")]
    TextTooLong(&'static str),
    /// A number is not in the column's range.
    #[error("`{0}` is out of range")]
    OutOfRange(&'static str),
    /// A body is longer than the limit.
    #[error("the body has more than {BODY_BYTES_MAX} bytes")]
    BodyTooLong,
    /// A value that every row has is empty.
    #[error("`{0}` is empty")]
    Empty(&'static str),
}

/// The longest beginning of a text that a column takes.
#[must_use]
pub fn cut(text: &str) -> &str {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
