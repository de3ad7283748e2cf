//! What comes back of small heads, and how small they are.

use super::*;
use crate::testing::headers;
use gate_kit::date::http_date;
use proptest::prelude::*;

fn listed(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = headers.iter();
    fields
        .map(|(_, name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// Encodes so often that everything that can be learnt is, and compares what comes back.
fn check(heads: &Heads, head: &Headers) -> Vec<usize> {
    let sizes = (0..=OFTEN).map(|_| {
        let mut bytes = Vec::new();
        heads.encode(head, &mut bytes);
        let again = heads.decode(&bytes, 1, 8).expect("it was just written");
        assert_eq!(listed(&again), listed(head));
        let ids = |headers: &Headers| headers.iter().map(|(id, ..)| id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(head));
        bytes.len()
    });
    sizes.collect()
}

#[test]
fn a_usual_head_becomes_a_fifth() {
    let heads = Heads::default();
    let head = headers(&[
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "public, max-age=86400"),
        ("Date", "Sun, 22 Nov 2026 00:00:00 GMT"),
        ("Last-Modified", "Sat, 21 Nov 2026 23:59:59 GMT"),
        ("ETag", "\"5f2c1a\""),
        ("Content-Length", "10240"),
        ("Vary", "Accept-Encoding"),
        ("Server", "nginx"),
        ("X-Content-Type-Options", "nosniff"),
        ("Strict-Transport-Security", "max-age=63072000"),
    ]);
    let sizes = check(&heads, &head);
    assert!(
        sizes[0] > 250 && sizes[usize::from(OFTEN)] < 60,
        "{sizes:?}"
    );
}

#[test]
fn what_no_number_gives_again_stays_text() {
    let heads = Heads::default();
    for value in [
        "",
        "0",
        "00",
        "007",
        "-1",
        "999999999999999999",
        "1234567890123456789012",
        "Sun, 22 nov 2026 00:00:00 GMT",
        "Mon, 22 Nov 2026 00:00:00 GMT",
        "Sun, 31 Feb 2027 00:00:00 GMT",
        "Sun, 22 Nov 2026 00:00:60 GMT",
        "Sat, 01 Jan 2200 00:00:00 GMT",
        "a: b",
    ] {
        check(
            &heads,
            &headers(&[("x", value), ("X", value), ("x", value)]),
        );
    }
    let long = "y".repeat(TEXT_MAX);
    check(&heads, &headers(&[("x", &long), (&long, "x")]));
}

#[test]
fn dates_are_written_as_everywhere() {
    for seconds in [0, 68_169_599, 951_782_399, 1_795_305_600, u32::MAX] {
        let expected = http_date(Duration::from_secs(u64::from(seconds)));
        assert_eq!(date_text(seconds), expected.as_bytes());
    }
}

#[test]
fn a_full_table_only_costs_room() {
    let heads = Heads::default();
    for number in 0..TEXTS_MAX + 10 {
        let value = format!("v{number}");
        for _ in 0..=OFTEN * 2 {
            heads.encode(&headers(&[("x", &value)]), &mut Vec::new());
        }
    }
    let sizes = check(&heads, &headers(&[("y", "of-late")]));
    assert_eq!(sizes.first(), sizes.last());
}

proptest! {
    #[test]
    fn other_bytes_are_no_head(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let heads = Heads::default();
        check(&heads, &headers(&[("a", "b"), ("c", "1")]));
        let _ = heads.decode(&bytes, 0, 0);
    }
}
