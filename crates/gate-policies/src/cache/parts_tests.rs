//! Ranges: several at once, and parts that become one.

use super::{Bench, HOUR, TAG, field};

/// The parts of a multipart body: what each says of itself, and its bytes.
fn parts(kind: &str, body: &str) -> Vec<(String, String)> {
    let boundary = kind.split_once("boundary=").expect("a boundary").1;
    let (between, end) = (
        format!("\r\n--{boundary}\r\n"),
        format!("\r\n--{boundary}--\r\n"),
    );
    let inner = body.strip_suffix(&end).expect("an end");
    let mut parts = inner.split(&between);
    assert_eq!(parts.next(), Some(""));
    let part = |part: &str| {
        let (head, bytes) = part.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), bytes.to_owned())
    };
    parts.map(part).collect()
}

#[test]
fn several_ranges_come_in_one_body() {
    let bench = Bench::new("{}");
    let text: &'static str = Box::leak("0123456789".repeat(100).into_boxed_str());
    let kind = ("content-type", "text/plain");
    bench.answered("GET /a", 200, &[HOUR, TAG, kind], text);
    let asked = "GET /a\nrange: bytes=500-504, 0-2, 1-4, 2000-";
    let answer = bench.ask(asked).ok().expect("kept");
    let kind = field(&answer, "content-type").to_owned();
    assert_eq!(answer.head.status, 206);
    assert!(
        kind.starts_with("multipart/byteranges; boundary="),
        "{kind}"
    );
    assert_eq!(field(&answer, "content-range"), "");
    let length = answer.body.length().expect("it is known");
    let body = bench.text(answer);
    assert_eq!(body.len() as u64, length);
    let head =
        |range: &str| format!("Content-Type: text/plain\r\nContent-Range: bytes {range}/1000");
    assert_eq!(
        parts(&kind, &body),
        [
            (head("500-504"), "01234".to_owned()),
            (head("0-4"), "01234".to_owned())
        ]
    );
    // If-Range names another answer; too many parts; none that is there; HEAD, which has none.
    let other = bench.ask(&format!("{asked}\nif-range: \"b\"")).ok();
    assert_eq!(other.expect("kept").head.status, 200);
    let many: Vec<String> = (0..17).map(|at| format!("{0}-{0}", at * 20)).collect();
    let many = format!("GET /a\nrange: bytes={}", many.join(","));
    assert_eq!(bench.ask(&many).ok().expect("kept").head.status, 200);
    let none = bench.ask("GET /a\nrange: bytes=1000-, 2000-").ok();
    assert_eq!(none.expect("kept").head.status, 416);
    let head = bench.ask("HEAD /a\nrange: bytes=0-1, 500-501").ok();
    assert_eq!(head.expect("kept").head.status, 200);
}

#[test]
fn parts_of_the_same_become_one() {
    let bench = Bench::new("{}");
    let part = |range: &str, tag: &str, content: &str, body: &'static str| {
        let fields = [HOUR, ("etag", tag), ("content-range", content)];
        bench.answered(&format!("GET /a\nrange: bytes={range}"), 206, &fields, body);
    };
    part("0-3", "\"a\"", "bytes 0-3/10", "0123");
    assert_eq!(bench.given("GET /a\nrange: bytes=1-2"), "12");
    // It overlaps what is kept.
    part("2-6", "\"a\"", "bytes 2-6/10", "23456");
    assert_eq!(bench.given("GET /a\nrange: bytes=0-6"), "0123456");
    // A hole stays one: the newer part is kept, since nothing joins them.
    part("9-9", "\"a\"", "bytes 9-9/10", "9");
    assert!(bench.ask("GET /a\nrange: bytes=0-6").is_err());
    // In front of what is kept.
    part("3-8", "\"a\"", "bytes 3-8/10", "345678");
    assert_eq!(bench.given("GET /a\nrange: bytes=3-9"), "3456789");
    // Another version takes the place of the first, and weak tags say nothing of bytes.
    part("0-2", "\"b\"", "bytes 0-2/10", "abc");
    assert!(bench.ask("GET /a\nrange: bytes=3-9").is_err());
    assert!(bench.ask("GET /a").is_err());
    part("3-9", "\"b\"", "bytes 3-9/10", "defghij");
    let whole = bench.ask("GET /a").ok().expect("nothing is missing");
    assert_eq!(
        (whole.head.status, field(&whole, "content-range")),
        (200, "")
    );
    assert_eq!(bench.text(whole), "abcdefghij");
    for (range, body) in [("0-4", "01234"), ("5-9", "56789")] {
        let content: &'static str = Box::leak(format!("bytes {range}/10").into_boxed_str());
        let fields = [HOUR, ("etag", "W/\"a\""), ("content-range", content)];
        bench.answered(&format!("GET /w\nrange: bytes={range}"), 206, &fields, body);
    }
    assert!(bench.ask("GET /w").is_err());
}

#[test]
fn parts_do_not_grow_beyond_what_one_answer_may_have() {
    let bench = Bench::new("entry: 4KiB");
    let (low, high): (&'static str, &'static str) = (
        Box::leak("a".repeat(3_000).into_boxed_str()),
        Box::leak("b".repeat(3_000).into_boxed_str()),
    );
    for (range, body) in [("0-2999", low), ("3000-5999", high)] {
        let content: &'static str = Box::leak(format!("bytes {range}/6000").into_boxed_str());
        let fields = [HOUR, TAG, ("content-range", content)];
        bench.answered(&format!("GET /a\nrange: bytes={range}"), 206, &fields, body);
    }
    assert_eq!(bench.given("GET /a\nrange: bytes=3000-3001"), "bb");
    assert!(bench.ask("GET /a\nrange: bytes=0-1").is_err() && bench.ask("GET /a").is_err());
}
