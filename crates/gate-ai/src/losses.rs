//! What one dialect can say and another cannot, as data.
//!
//! A translation never drops anything in silence: it records a [`Loss`] here, which the gateway
//! reports in a response header and in the record, or refuses. [`TABLE`] is the list of losses we
//! know and accept, each with the vendor's document that shows it; the tests fail on a loss in
//! recorded traffic that is not listed.

use crate::Dialect;
use std::borrow::Cow;

mod table;
pub use table::TABLE;

/// Most losses kept for one exchange.
const LOSSES_MAX: usize = 64;

/// A known loss.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The dialect that says it.
    pub from: Dialect,
    /// The dialect that cannot.
    pub to: Dialect,
    /// The field, as the losing side names it; content types as `content.TYPE`, tool types as
    /// `tools.TYPE`, members of a message as `messages.NAME`.
    pub field: &'static str,
    /// What becomes of it.
    pub reason: &'static str,
    /// The vendor's document.
    pub source: &'static str,
}

/// Something that a translation could not carry over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The field, named as in [`Entry::field`].
    pub field: Cow<'static, str>,
    /// What became of it.
    pub reason: &'static str,
    /// Whether [`TABLE`] lists it. Fields that no document describes are not listed.
    pub listed: bool,
}

/// The losses of one translation, each field once, at most 64.
#[derive(Debug, Clone)]
pub struct Losses {
    from: Dialect,
    to: Dialect,
    list: Vec<Loss>,
}

impl Losses {
    /// No losses yet between these two.
    #[must_use]
    pub fn new(from: Dialect, to: Dialect) -> Self {
        Self {
            from,
            to,
            list: Vec::new(),
        }
    }

    /// Records that a field was lost.
    pub(crate) fn add(&mut self, field: impl Into<Cow<'static, str>>) {
        let mut field = field.into();
        if field.len() > 128 {
            field = "a member with an overlong name".into();
        }
        if self.list.len() == LOSSES_MAX || self.list.iter().any(|loss| loss.field == field) {
            return;
        }
        let entry = TABLE.iter().find(|entry| {
            entry.from == self.from && entry.to == self.to && matches(entry.field, &field)
        });
        self.list.push(Loss {
            reason: entry.map_or(
                "this field is unknown to the target and was left out",
                |e| e.reason,
            ),
            listed: entry.is_some(),
            field,
        });
    }

    /// The losses in order of discovery.
    #[must_use]
    pub fn as_slice(&self) -> &[Loss] {
        &self.list
    }

    /// The losses, given away.
    #[must_use]
    pub fn into_vec(self) -> Vec<Loss> {
        self.list
    }
}

/// An entry may end in `*` for a family of versioned names.
fn matches(pattern: &str, field: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => field.starts_with(prefix),
        None => pattern == field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_named_once_and_bounded() {
        let mut losses = Losses::new(Dialect::ChatCompletions, Dialect::Messages);
        losses.add("seed");
        losses.add("seed");
        assert_eq!(losses.as_slice().len(), 1);
        assert!(losses.as_slice()[0].listed);
        for i in 0..100 {
            losses.add(format!("x{i}"));
        }
        assert_eq!(losses.as_slice().len(), LOSSES_MAX);
        assert!(!losses.as_slice()[1].listed);
    }

    #[test]
    fn every_entry_is_complete_and_unique() {
        for (i, entry) in TABLE.iter().enumerate() {
            assert_ne!(entry.from, entry.to, "{}", entry.field);
            assert!(entry.source.starts_with("https://"), "{}", entry.field);
            assert!(!entry.reason.is_empty() && !entry.field.is_empty());
            assert!(
                !TABLE[..i].iter().any(|other| other.from == entry.from
                    && other.to == entry.to
                    && other.field == entry.field),
                "{} twice",
                entry.field
            );
        }
    }
}
