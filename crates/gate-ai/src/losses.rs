//! What one dialect can say and another cannot, as data.
//!
//! A translation never drops anything in silence: it records a [`Loss`] here, which the gateway
//! reports in a response header and in the record, or refuses. [`table`] is the list of losses we
//! know and accept, each with the vendor's document that shows it; the tests fail on a loss in
//! recorded traffic that is not listed.
//!
//! A decoder names what it has to leave out as its own dialect names it. An encoder names what it
//! cannot say by one neutral vocabulary that all encoders share, whoever asks: `seed`, `n`,
//! `logprobs`, `temperature`, `top_p`, `top_k`, `frequency_penalty`, `presence_penalty`,
//! `stop_sequences`, `cache_control`, `response_format.*`, `reasoning.*`, `messages.system`,
//! `content.KIND.*` with the kinds `text`, `image`, `document`, `audio`, `reasoning`, `tool_call`,
//! `tool_result`, and of answers `stop_sequence` and `stop_reason.*`.

use crate::Dialect;
use std::borrow::Cow;

mod table;
pub use table::table;

/// Most losses kept for one exchange.
const LOSSES_MAX: usize = 64;

/// Which dialects an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialects {
    /// Each but the other side of the entry.
    Any,
    /// This one.
    One(Dialect),
    /// These.
    Some(&'static [Dialect]),
}

/// Known losses that share their dialects and their document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    from: Dialects,
    to: Dialects,
    source: &'static str,
    /// Each field with what becomes of it.
    fields: &'static [(&'static str, &'static str)],
}

/// A known loss.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The dialects that say it.
    pub from: Dialects,
    /// The dialects that cannot.
    pub to: Dialects,
    /// The field; content types as `content.TYPE`, tool types as `tools.TYPE`, members of a message
    /// as `messages.NAME`. One that ends in `*` stands for a family of names.
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
    /// Whether [`table`] lists it. Fields that no document describes are not listed.
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
        let entry = find(self.from, self.to, &field);
        self.list.push(Loss {
            reason: entry.map_or(
                "this field is unknown to the target and was left out",
                |e| e.reason,
            ),
            listed: entry.is_some(),
            field,
        });
    }

    /// Whether both sides are dialects of one vendor, at whom files have the same ids.
    pub(crate) fn shares_files(&self) -> bool {
        let openai = |dialect| matches!(dialect, Dialect::ChatCompletions | Dialect::Responses);
        openai(self.from) && openai(self.to)
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

/// The entry that lists this loss: the one with its very name, else the longest family.
#[must_use]
pub fn find(from: Dialect, to: Dialect, field: &str) -> Option<Entry> {
    let of_pair = |entry: &Entry| entry.from.contains(from) && entry.to.contains(to);
    let fits = |entry: &Entry| match entry.field.strip_suffix('*') {
        Some(prefix) => field.starts_with(prefix),
        None => entry.field == field,
    };
    table()
        .filter(|entry| of_pair(entry) && fits(entry))
        .max_by_key(|entry| (!entry.field.ends_with('*'), entry.field.len()))
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
    fn every_entry_is_complete_and_unique_for_its_pairs() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in table() {
            assert!(entry.source.starts_with("https://"), "{}", entry.field);
            assert!(!entry.reason.is_empty() && !entry.field.is_empty());
            let pairs = Dialect::ALL
                .iter()
                .flat_map(|from| Dialect::ALL.iter().map(move |to| (from, to)))
                .filter(|(from, to)| {
                    from != to && entry.from.contains(**from) && entry.to.contains(**to)
                });
            for (from, to) in pairs {
                let key = (from.as_str(), to.as_str(), entry.field);
                assert!(seen.insert(key), "{key:?} twice");
            }
        }
    }

    #[test]
    fn the_nearest_entry_counts() {
        let reason = |field| find(Dialect::ChatCompletions, Dialect::Messages, field);
        assert_eq!(reason("tools.web_search").unwrap().field, "tools.*");
        let nearer = reason("tools.function.x").unwrap();
        assert_eq!(nearer.field, "tools.function.*");
        assert!(reason("no_such_field").is_none());
        let back = find(Dialect::Messages, Dialect::ChatCompletions, "seed");
        assert!(back.is_none());
    }
}
