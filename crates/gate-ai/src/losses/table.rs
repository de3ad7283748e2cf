//! The committed list of losses.

use super::Entry;
use crate::Dialect::{self, ChatCompletions, Messages};

const OPENAI: &str = "https://platform.openai.com/docs/api-reference/chat/create";
const ANTHROPIC: &str = "https://docs.claude.com/en/api/messages";

const fn entry(
    from: Dialect,
    to: Dialect,
    field: &'static str,
    reason: &'static str,
    source: &'static str,
) -> Entry {
    Entry {
        from,
        to,
        field,
        reason,
        source,
    }
}

/// From Chat Completions to Messages.
const fn openai(field: &'static str, reason: &'static str) -> Entry {
    entry(ChatCompletions, Messages, field, reason, ANTHROPIC)
}

/// From Messages to Chat Completions.
const fn anthropic(field: &'static str, reason: &'static str) -> Entry {
    entry(Messages, ChatCompletions, field, reason, OPENAI)
}

/// Every loss that we know and accept.
pub const TABLE: &[Entry] = &[openai("seed", "Messages has no seed")];
