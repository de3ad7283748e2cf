//! Ranges by table: one, several, parts.

use super::*;
use crate::testing::headers;

#[test]
fn ranges_of_whole_and_partial_answers() {
    let part = |first, last, complete| {
        Ranged::Part(Slice {
            first,
            last,
            complete: Some(complete),
        })
    };
    let whole = Slice {
        first: 0,
        last: 10,
        complete: Some(11),
    };
    let tail = Slice {
        first: 4,
        last: 8,
        complete: Some(9),
    };
    for (held, range, expected) in [
        (whole, "bytes=0-1", part(0, 1, 11)),
        (whole, "bytes=1-", part(1, 10, 11)),
        (whole, "bytes=-1", part(10, 10, 11)),
        (whole, "bytes=-99", part(0, 10, 11)),
        (whole, "Bytes=5-99", part(5, 10, 11)),
        (whole, "bytes=11-", Ranged::Unsatisfiable),
        (whole, "bytes=-0", Ranged::Unsatisfiable),
        // Parts of something so small would be longer than it is.
        (whole, "bytes=0-1, 3-4", part(0, 4, 11)),
        (whole, "bytes=11-12, 3-4,", part(3, 4, 11)),
        (whole, "bytes=11-12, -0", Ranged::Unsatisfiable),
        (whole, "bytes=0-1, x", Ranged::Whole),
        (whole, "bytes=", Ranged::Whole),
        (tail, "bytes=4-5, 6-7", Ranged::Elsewhere),
        (whole, "bytes=5-1", Ranged::Whole),
        (whole, "lines=1-2", Ranged::Whole),
        (whole, "bytes=+1-2", Ranged::Whole),
        (tail, "bytes=-5", part(4, 8, 9)),
        (tail, "bytes=6-8", part(6, 8, 9)),
        (tail, "bytes=6-", part(6, 8, 9)),
        (tail, "bytes=-1", part(8, 8, 9)),
        (tail, "bytes=0-5", Ranged::Elsewhere),
        (tail, "bytes=9-", Ranged::Unsatisfiable),
    ] {
        let request = headers(&[("range", range)]);
        let found = slice(&request, &headers(&[]), held, 0, 16);
        assert_eq!(found, expected, "{range}");
    }
    assert_eq!(
        slice(&headers(&[]), &headers(&[]), tail, 0, 16),
        Ranged::Elsewhere
    );
    let kept = headers(&[("etag", "\"a\"")]);
    for (condition, expected) in [("\"a\"", part(0, 1, 11)), ("\"b\"", Ranged::Whole)] {
        let request = headers(&[("range", "bytes=0-1"), ("if-range", condition)]);
        assert_eq!(slice(&request, &kept, whole, 0, 16), expected);
    }
}

#[test]
fn several_ranges_are_few_parts_in_order() {
    let whole = Slice {
        first: 0,
        last: 9_999,
        complete: Some(10_000),
    };
    let read = |range: &str| {
        let request = headers(&[("range", range)]);
        match slice(&request, &headers(&[]), whole, 0, 4) {
            Ranged::Parts(slices) => slices.iter().map(|s| (s.first, s.last)).collect(),
            Ranged::Part(slice) => vec![(slice.first, slice.last)],
            Ranged::Unsatisfiable => Vec::new(),
            other => vec![(u64::from(other == Ranged::Whole), 0)],
        }
    };
    for (range, expected) in [
        ("bytes=5000-5009, 0-9", &[(5000, 5009), (0, 9)][..]),
        ("bytes=0-9, 5000-5009, 10-99", &[(0, 99), (5000, 5009)]),
        ("bytes=0-9, 200-209, 80-129", &[(0, 209)]),
        ("bytes=0-9, 99999-, -10", &[(0, 9), (9990, 9999)]),
        ("bytes=0-9, 0-9, 0-9", &[(0, 9)]),
        ("bytes=0-4999, 5100-", &[(1, 0)]),
        (
            "bytes=0-9, 1000-1009, 2000-2009, 3000-3009",
            &[(0, 9), (1000, 1009), (2000, 2009), (3000, 3009)],
        ),
        (
            "bytes=0-0, 1000-1000, 2000-2000, 3000-3000, 4000-4000",
            &[(1, 0)],
        ),
        ("bytes=99999-, -0", &[]),
    ] {
        assert_eq!(read(range), expected, "{range}");
    }
}

#[test]
fn parts_that_touch_are_one() {
    let part = |first, last, complete| Slice {
        first,
        last,
        complete,
    };
    for (one, other, expected) in [
        (
            part(0, 4, Some(9)),
            part(5, 8, Some(9)),
            Some(part(0, 8, Some(9))),
        ),
        (
            part(5, 8, None),
            part(0, 6, Some(9)),
            Some(part(0, 8, Some(9))),
        ),
        (part(0, 3, Some(9)), part(5, 8, Some(9)), None),
        (part(0, 4, Some(9)), part(5, 8, Some(10)), None),
    ] {
        assert_eq!(one.joined(&other), expected);
        assert_eq!(other.joined(&one), expected);
    }
    assert!(part(0, 8, Some(9)).is_whole() && !part(0, 8, None).is_whole());
}

#[test]
fn content_ranges_and_the_length_that_came() {
    let read = |text, length| content_range(&headers(&[("content-range", text)]), length);
    let slice = |first, last, complete| {
        Some(Slice {
            first,
            last,
            complete,
        })
    };
    assert_eq!(read("bytes 0-4/10", 5), slice(0, 4, Some(10)));
    assert_eq!(read("bytes 0-4/*", 5), slice(0, 4, None));
    assert_eq!(read("bytes 4-9/10", 5), slice(4, 8, Some(9)));
    for (text, length) in [
        ("bytes 0-4/10", 6),
        ("bytes 5-4/10", 1),
        ("x", 1),
        ("bytes 0-9/5", 10),
    ] {
        assert_eq!(read(text, length), None, "{text}");
    }
    assert_eq!(slice(0, 4, None).unwrap().text(), "bytes 0-4/*");
}
