//! The version that a request names.

use semver::{Comparator, Op, Prerelease, Version, VersionReq};

/// Most bytes of what a request may name.
pub const ASKED_BYTES_MAX: usize = 64;
/// Most comparators of a range.
const COMPARATORS_MAX: usize = 8;

/// A version or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Exactly this one.
    Exact(Version),
    /// Any within.
    Range(VersionReq),
    /// The newest.
    Newest,
}

impl Asked {
    /// Reads `2`, `v2`, `2.1`, `2.1.0`, `^2`, `>=2.1 <3` (commas may stand between comparators), or
    /// `latest`.
    ///
    /// # Errors
    /// One sentence for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let refuse = || "it is neither a version nor a range of versions".to_owned();
        if text.is_empty() || text.len() > ASKED_BYTES_MAX || !text.is_ascii() {
            return Err(refuse());
        }
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Asked::Newest);
        }
        let plain = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if plain.starts_with(|first: char| first.is_ascii_digit()) && !plain.contains([' ', ',']) {
            return match plain.matches('.').count() {
                0 | 1 if !plain.contains(['-', '+']) => prefix(plain).ok_or_else(refuse),
                _ => Version::parse(plain)
                    .map(Asked::Exact)
                    .map_err(|_| refuse()),
            };
        }
        let list = comparators(text);
        if list.is_empty() || list.len() > COMPARATORS_MAX {
            return Err(refuse());
        }
        let range = VersionReq::parse(&list.join(", ")).map_err(|_| refuse())?;
        Ok(Asked::Range(range))
    }

    /// Whether a version is one of those.
    #[must_use]
    pub fn fits(&self, version: &Version) -> bool {
        match self {
            Asked::Exact(exact) => exact == version,
            Asked::Range(range) => range.matches(version),
            Asked::Newest => version.pre.is_empty(),
        }
    }
}

/// `2` is any 2.x, and `2.1` any 2.1.x.
fn prefix(text: &str) -> Option<Asked> {
    let (major, minor) = match text.split_once('.') {
        Some((major, minor)) => (major, Some(minor.parse().ok()?)),
        None => (text, None),
    };
    let comparator = Comparator {
        op: Op::Wildcard,
        major: major.parse().ok()?,
        minor,
        patch: None,
        pre: Prerelease::EMPTY,
    };
    let comparators = vec![comparator];
    Some(Asked::Range(VersionReq { comparators }))
}

/// The comparators of a range, whether commas or spaces stand between them.
fn comparators(text: &str) -> Vec<String> {
    let is_operator = |word: &str| {
        word.chars()
            .all(|c| matches!(c, '<' | '>' | '=' | '^' | '~'))
    };
    let mut list: Vec<String> = Vec::new();
    let mut operator = "";
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        if is_operator(word) {
            operator = word;
            continue;
        }
        list.push(format!("{operator}{word}"));
        operator = "";
    }
    if !operator.is_empty() {
        list.push(operator.to_owned());
    }
    list
}
