//! EventBridge's pattern language: which of many rules hold of an event.
//!
//! [`Pattern`] is a rule's pattern, read and checked ([`parse`](Pattern::parse)), and says which of
//! its fields a schema does not have ([`unknown_fields`](Pattern::unknown_fields)). [`RuleSet`] holds
//! many and finds those that hold of one event. Verdicts are those of the reference, aws/event-ruler;
//! how the set is built and where it differs on purpose is in decision 0030. Nothing here knows what
//! a rule is for.

mod affix;
mod decide;
mod fields;
mod filter;
mod hash;
mod homes;
mod limits;
mod matcher;
mod node;
mod number;
mod parse;
mod read;
mod rules;
mod scan;
mod schema;
mod slab;
#[cfg(test)]
mod tests;

pub use limits::{Full, Limits};
pub use parse::{
    BRANCHES_MAX, FIELDS_MAX, PATTERN_BYTES_MAX, PATTERN_DEPTH_MAX, Pattern, PatternError,
};
pub use read::Memory;
pub use rules::{Matched, RuleId, RuleSet};
pub use scan::Malformed;
pub use schema::UnknownField;
