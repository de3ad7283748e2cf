//! Packing and unpacking, and what a million entries take.

use super::*;
use crate::shelf::{Shelf, Shelved};
use crate::testing::headers;

fn draft(number: usize) -> Draft {
    let tag = format!("\"{:016x}\"", number as u64 ^ 0x5bd1_e995_0000);
    let length = (number * 7919 % 90_000).to_string();
    let changed = gate_kit::date::http_date(std::time::Duration::from_secs(
        1_790_000_000 + number as u64 * 37 % 5_000_000,
    ));
    let date = gate_kit::date::http_date(std::time::Duration::from_secs(
        1_795_305_600 + number as u64 / 100,
    ));
    let head = headers(&[
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", &length),
        ("Cache-Control", "public, max-age=86400"),
        ("Date", &date),
        ("ETag", &tag),
        ("Last-Modified", &changed),
        ("Server", "nginx/1.22.1"),
        ("Vary", "Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Tag", "shop items"),
    ]);
    Draft {
        place: format!(
            "shop.example.com/items/category-{:03}/product-{number:012}.html",
            number % 500
        )
        .into(),
        status: 200,
        headers: head,
        length: 0,
        terms: Terms {
            born_ms: 1_795_305_600_000 + number as u64,
            lifetime: 86_400,
            ..Terms::default()
        },
        varied: None,
        family: number as u64,
        part: None,
        tags: vec![1, number as u64],
        stored_ms: 1_795_305_600_500,
        seen: 3,
        from_disk: false,
    }
}

#[test]
fn what_is_packed_comes_out_again() {
    let heads = Heads::default();
    let part = Slice {
        first: 5,
        last: 9,
        complete: None,
    };
    for number in 0..10 {
        let mut draft = draft(number);
        draft.terms.no_cache = number % 2 == 1;
        draft.part = Some(part).filter(|_| number % 3 == 1);
        let body = Bytes::from("x".repeat(number * BESIDE_MAX / 4));
        let stored = Arc::new(draft.pack(&heads, Some(body.clone())));
        let again = stored.draft(stored.headers(&heads));
        assert_eq!((stored.length(), stored.body()), (body.len() as u64, body));
        assert_eq!(again.place, draft.place);
        assert_eq!((again.terms, again.part), (draft.terms, draft.part));
        assert_eq!((&again.tags, again.family), (&draft.tags, draft.family));
        assert_eq!((again.stored_ms, again.seen), (draft.stored_ms, draft.seen));
        let fields = |headers: &Headers| format!("{:?}", headers.iter().collect::<Vec<_>>());
        assert_eq!(fields(&again.headers), fields(&draft.headers));
    }

    let coming = Draft {
        length: 7,
        ..draft(0)
    };
    let coming = Arc::new(coming.pack(&heads, None));
    assert_eq!((coming.length(), coming.body()), (7, Bytes::new()));
}

#[test]
fn a_body_that_is_read_outlives_its_entry() {
    let stored = Arc::new(draft(1).pack(&Heads::default(), Some(Bytes::from_static(b"hello"))));
    let (body, part) = (stored.body(), stored.body().slice(1..3));
    drop(stored);
    assert_eq!((&body[..], &part[..]), (&b"hello"[..], &b"el"[..]));
}

#[test]
fn a_body_that_is_asked_for_often_lies_in_a_file_too() {
    let pack = |length: usize| {
        let body = Bytes::from(vec![7; length]);
        Arc::new(draft(1).pack(&Heads::default(), Some(body)))
    };
    let often = pack(*FILED.start());
    for _ in 1..FILED_AFTER {
        assert!(often.chunk().file().is_none());
    }
    let mut chunk = often.chunk();
    chunk.advance(5);
    let (file, offset) = chunk.file().expect("a file");
    assert_eq!((file.bytes(), offset), (*FILED.start(), 5));
    assert_eq!(
        (chunk.len(), chunk.into_bytes()[0]),
        (*FILED.start() - 5, 7)
    );
    for length in [5, *FILED.start() - 1, *FILED.end() + 1] {
        let stored = pack(length);
        for _ in 0..2 * FILED_AFTER {
            let chunk = stored.chunk();
            assert!(chunk.file().is_none() && chunk.len() == length);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u64; 2]);

impl Shelved for Key {
    fn bits(&self) -> u64 {
        self.0[0]
    }
}

/// Bytes of this process's memory, each page shared with others counted in part.
fn proportional() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|text| text.parse::<usize>().ok())
        .expect("a number")
        * 1024
}

/// The bar: a million entries take less than 400 MiB besides their bodies. Places of 60 bytes, ten
/// fields, two tags.
#[test]
fn a_million_entries_are_small() {
    // A debug build takes a quarter of a minute for all of them; each takes the same.
    const ENTRIES: usize = if cfg!(debug_assertions) {
        100_000
    } else {
        1_000_000
    };
    let bar = (400 << 20) / 1_000_000 * ENTRIES;
    let heads = Heads::default();
    let shelf: Shelf<Key, Arc<Stored>> = Shelf::new(4 << 30, 16);
    let key = |number: usize| {
        let bits = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Key([bits ^ (bits >> 29), bits.rotate_left(31)])
    };
    let (before, mut weights) = (proportional(), 0);
    for number in 0..ENTRIES {
        let stored = Arc::new(draft(number).pack(&heads, Some(Bytes::new())));
        let weight = stored.weight();
        weights += weight;
        let kept = shelf.put(key(number), stored, weight, |_| false);
        assert!(kept.gone.is_empty() && !kept.oversized);
    }
    let taken = proportional() - before;
    let (mebibytes, weighed) = (taken >> 20, weights >> 20);
    #[expect(clippy::print_stdout, reason = "the figure is for people")]
    let say = |figure: String| println!("{figure}");
    say(format!(
        "{ENTRIES} entries take {mebibytes} MiB besides bodies; they were weighed as {weighed}"
    ));
    assert_eq!(shelf.totals().1, ENTRIES);
    let last = shelf.get(&key(ENTRIES - 1)).expect("kept");
    assert_eq!(last.headers(&heads).len(), 10);
    assert!(taken < bar, "{mebibytes} MiB");
    // Tests beside this one take some as well.
    assert!(
        (taken * 7 / 8..taken * 3 / 2).contains(&weights),
        "{weighed} for {mebibytes} MiB"
    );
}
