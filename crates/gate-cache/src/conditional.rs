//! Conditions of callers answered from the cache, and questions to the target whether a kept answer
//! still holds (RFC 9110 section 13, RFC 9111 section 4.3).

use crate::control::members;
use crate::terms::date_of;
use gate_kit::date::parse_http_date;
use gate_kit::http::{HeaderId, Headers};

/// What a caller's condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There is none, or it holds: the whole answer.
    Whole,
    /// The caller has it: 304.
    NotModified,
}

/// Whether a request has conditions that only the target may judge (RFC 9110 section 13.2.1: those of
/// writers).
#[must_use]
pub fn only_servers_judge(request: &Headers) -> bool {
    request.get_named("if-match").is_some() || request.get_named("if-unmodified-since").is_some()
}

/// Judges If-None-Match, or If-Modified-Since where that is absent, against a kept answer with a
/// 2xx status. `now` is UNIX time in seconds.
#[must_use]
pub fn condition(request: &Headers, kept: &Headers, now: u64) -> Condition {
    let mut tags = request
        .all_named("if-none-match")
        .flat_map(members)
        .peekable();
    if tags.peek().is_some() {
        let kept = kept.get(HeaderId::ETag);
        let is_same = |tag: &[u8]| tag == b"*" || kept.is_some_and(|kept| weakly_same(tag, kept));
        return match tags.any(is_same) {
            true => Condition::NotModified,
            false => Condition::Whole,
        };
    }
    let Some(since) = request.get_named("if-modified-since") else {
        return Condition::Whole;
    };
    let since = parse_http_date(since, now);
    // RFC 9111 section 4.3.2: the Date field stands in for a missing Last-Modified.
    let changed = date_of(kept, "last-modified", now).or_else(|| date_of(kept, "date", now));
    match (since, changed) {
        (Some(since), Some(changed)) if changed <= since => Condition::NotModified,
        _ => Condition::Whole,
    }
}

/// RFC 9110 section 8.8.3.2: the opaque parts are the same.
fn weakly_same(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether a caller's If-Range names exactly this answer, so that parts of it fit what the caller
/// has (RFC 9110 section 13.1.5); true where there is none.
pub(crate) fn if_range_holds(request: &Headers, kept: &Headers, now: u64) -> bool {
    let Some(wanted) = request.get_named("if-range") else {
        return true;
    };
    if wanted.starts_with(b"\"") || wanted.starts_with(b"W/") {
        let kept = kept.get(HeaderId::ETag);
        return kept.is_some_and(|kept| kept == wanted && kept.starts_with(b"\""));
    }
    let changed = kept.get_named("last-modified");
    changed == Some(wanted) && parse_http_date(wanted, now).is_some()
}

/// Turns a request into the question whether a kept answer still holds: the caller's own conditions
/// and range leave, the kept validators come in. Says whether there was one.
pub fn validators(request: &mut Headers, kept: &Headers) -> bool {
    request.remove_named("if-none-match");
    request.remove_named("if-modified-since");
    request.remove_named("if-range");
    request.remove(HeaderId::Range);
    let tag = kept.get(HeaderId::ETag);
    if let Some(tag) = tag {
        request.append(b"if-none-match", tag);
    }
    let changed = kept.get_named("last-modified");
    if let Some(changed) = changed {
        request.append(b"if-modified-since", changed);
    }
    tag.is_some() || changed.is_some()
}

/// Whether a 304 is about this kept answer (RFC 9111 section 4.3.4): a strong validator in it has to
/// be the kept one's; without any it is about what was asked for.
#[must_use]
pub fn is_validated_by(kept: &Headers, answer: &Headers) -> bool {
    match answer.get(HeaderId::ETag) {
        Some(tag) => kept
            .get(HeaderId::ETag)
            .is_some_and(|kept| weakly_same(tag, kept)),
        None => true,
    }
}

/// Fields that describe a message or its bytes and not the kept answer: they never move from a 304
/// or an answer to HEAD into it (RFC 9111 section 3.2).
const OF_THE_BYTES: [HeaderId; 4] = [
    HeaderId::ContentLength,
    HeaderId::ContentEncoding,
    HeaderId::ContentRange,
    HeaderId::Age,
];

/// The kept fields with those of a newer answer in their place.
#[must_use]
pub fn freshen(kept: &Headers, newer: &Headers) -> Headers {
    let stays = |id: HeaderId| OF_THE_BYTES.contains(&id);
    let mut headers = kept.clone();
    headers.retain(|id, name, _| {
        let name = std::str::from_utf8(name).unwrap_or_default();
        stays(id) || newer.get_named(name).is_none()
    });
    for (id, name, value) in newer.iter() {
        if !stays(id) {
            headers.append(name, value);
        }
    }
    headers
}

/// The head of a 304 about a kept answer (RFC 9110 section 15.4.5).
#[must_use]
pub fn not_modified(kept: &Headers) -> Headers {
    let mut headers = Headers::new();
    for (id, name, value) in kept.iter() {
        let is_known = matches!(
            id,
            HeaderId::CacheControl | HeaderId::Date | HeaderId::ETag | HeaderId::Vary
        );
        let is_named = [
            "content-location",
            "expires",
            "last-modified",
            "cdn-cache-control",
        ]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        if is_known || is_named {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const NOW: u64 = 1_795_305_600;
    const OLD: &str = "Sat, 21 Nov 2026 00:00:00 GMT";
    const NEW: &str = "Sun, 22 Nov 2026 00:00:00 GMT";

    #[test]
    fn conditions_of_callers() {
        use Condition::{NotModified, Whole};
        let tagged = headers(&[("etag", "\"a\""), ("last-modified", NEW)]);
        let dated = headers(&[("date", OLD)]);
        let inm = |value| ("if-none-match", value);
        let ims = |value| ("if-modified-since", value);
        for (kept, request, expected) in [
            (&tagged, &[][..], Whole),
            (&tagged, &[inm("\"a\"")], NotModified),
            (&tagged, &[inm("\"b\", W/\"a\", \"c\"")], NotModified),
            (&tagged, &[inm("\"b\""), ims(NEW)], Whole),
            (&tagged, &[inm("*")], NotModified),
            (&tagged, &[inm("\"a\""), ims(OLD)], NotModified),
            (&tagged, &[ims(NEW)], NotModified),
            (&tagged, &[ims(OLD)], Whole),
            (
                &tagged,
                &[ims("Sunday, 22-Nov-26 00:00:00 GMT")],
                NotModified,
            ),
            (&tagged, &[ims("now")], Whole),
            (&dated, &[ims(NEW)], NotModified),
            (&dated, &[inm("\"a\"")], Whole),
        ] {
            assert_eq!(
                condition(&headers(request), kept, NOW),
                expected,
                "{request:?}"
            );
        }
    }

    #[test]
    fn a_question_names_the_kept_answer_only() {
        let mut request = headers(&[
            ("If-None-Match", "\"x\""),
            ("Range", "bytes=0-"),
            ("a", "b"),
        ]);
        assert!(validators(
            &mut request,
            &headers(&[("etag", "\"a\""), ("last-modified", OLD)])
        ));
        assert_eq!(request.get_named("if-none-match"), Some(&b"\"a\""[..]));
        assert_eq!(request.get_named("if-modified-since"), Some(OLD.as_bytes()));
        assert!(!request.contains(HeaderId::Range) && request.get_named("a").is_some());
        assert!(!validators(&mut request, &headers(&[])));
    }

    #[test]
    fn newer_fields_take_the_place_of_kept_ones() {
        let kept = headers(&[
            ("a", "1"),
            ("a", "2"),
            ("b", "1"),
            ("content-length", "3"),
            ("age", "9"),
        ]);
        let newer = headers(&[
            ("A", "3"),
            ("content-length", "5"),
            ("c", "1"),
            ("age", "1"),
        ]);
        let fresh = freshen(&kept, &newer);
        let values: Vec<_> = fresh.all_named("a").collect();
        assert_eq!(values, [b"3"]);
        assert_eq!(fresh.get(HeaderId::ContentLength), Some(&b"3"[..]));
        assert!(fresh.get_named("b").is_some() && fresh.get_named("c").is_some());
        assert!(is_validated_by(
            &headers(&[("etag", "\"a\"")]),
            &headers(&[])
        ));
        assert!(!is_validated_by(
            &headers(&[("etag", "\"a\"")]),
            &headers(&[("etag", "\"b\"")])
        ));
        let head = not_modified(&headers(&[("etag", "\"a\""), ("expires", NEW), ("x", "1")]));
        assert_eq!(head.len(), 2);
    }
}
