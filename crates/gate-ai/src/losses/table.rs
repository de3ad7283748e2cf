//! The committed table, put together from one file per dialect.
//!
//! A dialect's file has what only that dialect says (`SAID`) and what that dialect cannot be told
//! (`UNTOLD`), each in groups that share a document. A new dialect is one more file and one more
//! line in [`GROUPS`]; an entry never needs a change elsewhere.

use super::{Dialects, Entry, Group};

mod chat_completions;
mod cohere_chat;
mod converse;
mod generate_content;
mod messages;
mod responses;

/// What each dialect's file says.
const GROUPS: &[&[Group]] = &[
    chat_completions::SAID,
    chat_completions::UNTOLD,
    cohere_chat::SAID,
    cohere_chat::UNTOLD,
    converse::SAID,
    converse::UNTOLD,
    generate_content::SAID,
    generate_content::UNTOLD,
    messages::SAID,
    messages::UNTOLD,
    responses::SAID,
    responses::UNTOLD,
];

/// Every loss that we know and accept.
pub fn table() -> impl Iterator<Item = Entry> {
    GROUPS.iter().copied().flatten().flat_map(|group| {
        group.fields.iter().map(|(field, reason)| Entry {
            from: group.from,
            to: group.to,
            field,
            reason,
            source: group.source,
        })
    })
}

impl Dialects {
    /// Whether the dialect is one of these.
    #[must_use]
    pub fn contains(self, dialect: crate::Dialect) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == dialect,
            Self::Some(some) => some.contains(&dialect),
        }
    }
}
