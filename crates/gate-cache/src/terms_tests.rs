//! Storing, freshness and age, by tables of heads.

use super::*;
use crate::testing::headers;

/// 2026-11-22 00:00:00.
const NOW: u64 = 1_795_305_600;

fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let headers = headers(fields);
    ResponseHead { status, headers }
}

fn kept(head: &ResponseHead, authorized: bool) -> Result<Terms, Unstorable> {
    let received = Received {
        method: &Method::Get,
        authorized,
        asked: Asked::default(),
        head,
        request_ms: NOW * 1000,
        response_ms: NOW * 1000,
    };
    let rules = Rules {
        lifetimes: vec![(500..=599, 2)],
        ..Rules::default()
    };
    terms(&received, &rules).map(|(terms, _)| terms)
}

/// Lifetime and age at once, or why it is not kept.
fn fresh(status: u16, fields: &[(&str, &str)]) -> Result<(u32, u32), Unstorable> {
    kept(&head(status, fields), false).map(|terms| (terms.lifetime, terms.age(NOW * 1000)))
}

#[test]
fn lifetimes_and_ages() {
    let date = ("date", "Sun, 22 Nov 2026 00:00:00 GMT");
    let changed = ("last-modified", "Sat, 21 Nov 2026 00:00:00 GMT");
    let cc = |value| ("cache-control", value);
    let cdn = |value| ("cdn-cache-control", value);
    let hour_ahead = ("expires", "Sun, 22 Nov 2026 01:00:00 GMT");
    for (status, fields, expected) in [
        (200, &[cc("max-age=3600")][..], Ok((3600, 0))),
        (200, &[cc("max-age=3600, s-maxage=1")], Ok((1, 0))),
        (
            200,
            &[cc("max-age=3600"), ("age", "7200, 0")],
            Ok((3600, 7200)),
        ),
        (
            200,
            &[cc("max-age=3600"), ("age", "0"), ("age", "9")],
            Ok((3600, 0)),
        ),
        (200, &[cc("max-age=3600"), ("age", "7200.0")], Ok((3600, 0))),
        (
            200,
            &[
                cc("max-age=3600"),
                ("date", "Sat, 21 Nov 2026 22:00:00 GMT"),
            ],
            Ok((3600, 7200)),
        ),
        (200, &[date, hour_ahead], Ok((3600, 0))),
        (200, &[("date", "foo"), hour_ahead], Ok((3600, 0))),
        (
            200,
            &[date, hour_ahead, hour_ahead],
            Err(Unstorable::Lifetime),
        ),
        (200, &[date, ("expires", "0"), changed], Ok((0, 0))),
        (200, &[hour_ahead, cc("max-age=1")], Ok((1, 0))),
        (200, &[changed], Ok((8640, 0))),
        (200, &[changed, ("set-cookie", "a=b")], Ok((0, 0))),
        (201, &[changed], Ok((0, 0))),
        (599, &[changed, cc("public")], Ok((2, 0))),
        (503, &[], Ok((2, 0))),
        (200, &[], Err(Unstorable::Lifetime)),
        (200, &[("etag", "\"a\"")], Ok((0, 0))),
        (200, &[cc("no-cache")], Err(Unstorable::Lifetime)),
        (200, &[cc("no-store"), cdn("max-age=10")], Ok((10, 0))),
        (200, &[cc("max-age=9"), cdn("max-age=1, &&")], Ok((9, 0))),
        (
            200,
            &[cc("max-age=9"), cdn("max-age=\"1\""), hour_ahead],
            Err(Unstorable::Lifetime),
        ),
        (
            200,
            &[cc("max-age=9, no-store, must-understand")],
            Ok((9, 0)),
        ),
        (
            599,
            &[cc("max-age=9, no-store, must-understand")],
            Err(Unstorable::Status),
        ),
        (200, &[cc("max-age=9, private")], Err(Unstorable::Private)),
        (
            200,
            &[cc("max-age=9"), ("vary", "a, *")],
            Err(Unstorable::Vary),
        ),
        (304, &[cc("max-age=9")], Err(Unstorable::Status)),
        (299, &[cc("max-age=9")], Ok((9, 0))),
    ] {
        assert_eq!(fresh(status, fields), expected, "{status} {fields:?}");
    }
}

#[test]
fn somebodys_answers_are_shared_only_where_they_say_so() {
    for (value, expected) in [
        ("max-age=9", Err(Unstorable::Authorized)),
        ("max-age=9, public", Ok(9)),
        ("max-age=9, must-revalidate", Ok(9)),
        ("s-maxage=9", Ok(9)),
    ] {
        let head = head(200, &[("cache-control", value)]);
        assert_eq!(
            kept(&head, true).map(|terms| terms.lifetime),
            expected,
            "{value}"
        );
    }
}

#[test]
fn uses_by_age_and_wish() {
    let terms = |value| kept(&head(200, &[("cache-control", value)]), false).expect("kept");
    let at =
        |terms: &Terms, seconds: u64, asked: Asked| terms.use_at((NOW + seconds) * 1000, &asked);
    let nothing = Asked::default;
    let swr = terms("max-age=2, stale-while-revalidate=4");
    assert_eq!(at(&swr, 1, nothing()), Use::Fresh);
    assert_eq!(at(&swr, 2, nothing()), Use::Stale { revalidate: true });
    assert_eq!(at(&swr, 6, nothing()), Use::Validate);
    let max_age = Asked {
        max_age: Some(0),
        ..nothing()
    };
    assert_eq!(at(&swr, 1, max_age), Use::Validate);
    let min_fresh = Asked {
        min_fresh: Some(2),
        ..nothing()
    };
    assert_eq!(at(&swr, 1, min_fresh), Use::Validate);
    let max_stale = Asked {
        max_stale: Some(10),
        ..nothing()
    };
    assert_eq!(at(&swr, 9, max_stale), Use::Stale { revalidate: false });
    let strict = terms("max-age=2, must-revalidate, stale-if-error=9, stale-while-revalidate=9");
    assert_eq!(at(&strict, 3, max_stale), Use::Validate);
    assert!(!strict.may_replace_error((NOW + 3) * 1000, &nothing(), true));
    let kind = terms("max-age=2, stale-if-error=9");
    assert!(kind.may_replace_error((NOW + 3) * 1000, &nothing(), false));
    assert!(!kind.may_replace_error((NOW + 12) * 1000, &nothing(), false));
    assert!(kind.may_replace_error((NOW + 12) * 1000, &nothing(), true));
    let s_maxage = terms("s-maxage=2");
    assert!(!s_maxage.may_replace_error((NOW + 3) * 1000, &nothing(), true));
}
