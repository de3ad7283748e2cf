//! What a shared HTTP cache may keep, give again and must ask about: RFC 9111 and its neighbours, pure.
//!
//! Nothing here does I/O, knows a clock or keeps state beyond [`Shelf`], a bounded map, and [`Heads`],
//! with which kept answers ([`Stored`]) are small. A head goes in with the times at which it was asked for and came; out comes what it allows ([`Terms`]), and
//! later, with a caller's wishes ([`Asked`]), how it may be used ([`Use`]). Read [`terms()`] for
//! storing and [`Terms::use_at`] for using; `policies/cache` is what calls them.
//!
//! | Part | Standard | File |
//! |---|---|---|
//! | Cache-Control | RFC 9111 section 5.2, RFC 5861, RFC 8246 | `control.rs` |
//! | targeted fields | RFC 9213 over RFC 8941 | `targeted.rs`, `structured.rs` |
//! | storing, freshness, age | RFC 9111 sections 3 and 4.2 | `terms.rs` |
//! | Vary | RFC 9111 section 4.1 | `vary.rs` |
//! | validation | RFC 9111 section 4.3, RFC 9110 section 13 | `conditional.rs` |
//! | ranges | RFC 9110 section 14 | `range.rs` |
//! | invalidation | RFC 9111 section 4.4 | `invalidation.rs` |
//! | No-Vary-Search | draft-ietf-httpbis-no-vary-search | `search.rs` |
//! | Cache-Status | RFC 9211 | `status.rs` |

mod conditional;
mod control;
pub mod file;
mod heads;
mod invalidation;
mod packed;
mod range;
mod search;
mod shelf;
mod slots;
mod status;
mod structured;
mod targeted;
mod terms;
#[cfg(test)]
mod testing;
mod vary;

pub use conditional::{
    Condition, condition, freshen, is_validated_by, not_modified, only_servers_judge, validators,
};
pub use control::{Asked, Control};
pub use heads::Heads;
pub use invalidation::{is_safe, named_places};
pub use packed::{BESIDE_MAX, Draft, Stored, TAGS_MAX};
pub use range::{Ranged, Slice, Slices, content_range, slice};
pub use search::Search;
pub use shelf::{Kept, SHELF_OVERHEAD, Shelf, Shelved};
pub use status::{Forwarded, hit, miss};
pub use structured::{Bare, dictionary};
pub use terms::{Received, Rules, Terms, Unstorable, Use, terms};
pub use vary::{Varied, forbids_reuse};
