//! What a request has and what purges look at: the parts of a kept answer that the product's own words
//! are in. The answer itself is `gate_cache::Stored`.

use gate_cache::{Stored, TAGS_MAX};
use gate_flow::{Purged, tag_hash};
use gate_kit::http::{HeaderId, Headers};

/// Tags of an answer, from fields of words parted by white space or commas.
pub(super) fn tags<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let mut tags: Vec<u64> = values
        .flat_map(|value| value.split(|byte| byte.is_ascii_whitespace() || *byte == b','))
        .filter(|tag| !tag.is_empty())
        .filter_map(|tag| Some(tag_hash(std::str::from_utf8(tag).ok()?)))
        .take(TAGS_MAX)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Shows what purges look at of a kept answer.
pub(super) fn as_purged<T>(stored: &Stored, route: &str, look: impl FnOnce(&Purged<'_>) -> T) -> T {
    look(&Purged {
        place: stored.place(),
        tags: &stored.tags(),
        route,
        stored_ms: stored.stored_ms(),
    })
}

/// What a request has, seen once: whether there is anything to look at more closely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) control: bool,
    pub(super) range: bool,
    pub(super) conditions: bool,
    /// If-Match or If-Unmodified-Since, which the target judges.
    pub(super) servers: bool,
    pub(super) authorization: bool,
}

impl Wishes {
    /// One pass over the fields; names are compared only where their length is right.
    pub(super) fn of(headers: &Headers) -> Self {
        let mut wishes = Self::default();
        for (id, name, _) in headers.iter() {
            match id {
                HeaderId::CacheControl => wishes.control = true,
                HeaderId::Range => wishes.range = true,
                HeaderId::Authorization => wishes.authorization = true,
                HeaderId::Other => match name.len() {
                    6 => wishes.control |= name.eq_ignore_ascii_case(b"pragma"),
                    8 => wishes.servers |= name.eq_ignore_ascii_case(b"if-match"),
                    13 => wishes.conditions |= name.eq_ignore_ascii_case(b"if-none-match"),
                    17 => wishes.conditions |= name.eq_ignore_ascii_case(b"if-modified-since"),
                    19 => wishes.servers |= name.eq_ignore_ascii_case(b"if-unmodified-since"),
                    _ => {}
                },
                _ => {}
            }
        }
        wishes
    }
}
