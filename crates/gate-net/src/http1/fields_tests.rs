//! Fields that are put aside for those who judge them.

use crate::http1::{Limits, parse_request};
use gate_kit::http::RequestHead;

#[test]
fn one_hops_fields_are_put_aside_for_those_who_judge_them() {
    let text = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-One, te\r\nx-one: 1\r\n\
                X-One: 2\r\nTE: gzip\r\nConnection:  close,close\r\nX-Two: 2\r\nKeep-Alive: 5\r\n\r\n";
    let keeps = Limits {
        keeps_connection_fields: true,
        ..Limits::default()
    };
    let parsed = parse_request(text.as_bytes(), &keeps).unwrap().unwrap();
    let plain = parse_request(text.as_bytes(), &Limits::default());
    let plain = plain.unwrap().unwrap();
    let fields = |head: &RequestHead| {
        head.headers
            .iter()
            .map(|(_, n, v)| [n, v].concat())
            .collect()
    };
    let (left, without): (Vec<_>, Vec<_>) = (fields(&parsed.head), fields(&plain.head));
    assert_eq!(left, [b"X-Two2"]);
    assert_eq!(left, without, "nothing that is read or sent differs");
    let mut sent = Vec::new();
    parsed.head.headers.write_lines(&mut sent, |_| false);
    assert_eq!(sent, b"X-Two: 2\r\n");
    let aside = parsed.head.headers.of_connection();
    let aside: Vec<_> = aside.map(|(_, n, v)| (n, v)).collect();
    let expected: [(&[u8], &[u8]); 6] = [
        (b"Connection", b"keep-alive, X-One, te"),
        (b"x-one", b"1"),
        (b"X-One", b"2"),
        (b"TE", b"gzip"),
        (b"Connection", b"close,close"),
        (b"Keep-Alive", b"5"),
    ];
    assert_eq!(aside, expected);
    assert_eq!(plain.head.headers.of_connection().count(), 0);
}
