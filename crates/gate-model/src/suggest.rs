//! The nearest valid name for a mistyped one.
//!
//! Used by every message that refuses a name. It knows nothing of documents; candidates come from
//! the caller.

/// Longer names are not compared: the distance takes quadratic time, and nobody mistypes these.
const NAME_BYTES_MAX: usize = 64;

/// The candidate that `name` was most likely meant to be, or `None` when none is close. Close means
/// at most one edit (insertion, deletion, change, swap of neighbours) for every three characters,
/// at least one; letter case and `-` against `_` cost nothing. The first of equals wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = fold(name);
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_BYTES_MAX)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&name, &fold(candidate)),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_close() {
        let names = ["host", "path", "method", "rate_limit", "to"];
        for (name, expected) in [
            ("", None),
            ("x", None),
            ("upstreams", None),
            (&*"h".repeat(65), None),
            ("hots", Some("host")),
            ("HOST", Some("host")),
            ("paht", Some("path")),
            ("methods", Some("method")),
            ("rate-limit", Some("rate_limit")),
            ("ratelimits", Some("rate_limit")),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
