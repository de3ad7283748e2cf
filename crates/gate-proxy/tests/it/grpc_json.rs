//! JSON over HTTP to a tonic server, and back.

use crate::grpc::serve;
use crate::support::{Answer, Gateway};
use std::path::Path;

fn gateway() -> Gateway {
    with("")
}

/// A gateway whose policy has more settings.
fn with(settings: &str) -> Gateway {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let yaml = format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ notes: {{ endpoints: ['{}'], protocol: http2, retry: {{ attempts: 0 }} }} }}\n\
         routes:\n  json:\n    match: {{ path: '/{{*rest}}' }}\n    policies: [{{ grpc_json: {{ descriptors: {{ file: notes.pb }}{settings} }} }}]\n    target: {{ upstream: notes }}\n",
        serve()
    );
    Gateway::start_with_files(&folder, &yaml).unwrap_or_else(|error| panic!("{error}"))
}

fn ask(gateway: &Gateway, line: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    gateway.send(&format!(
        "{line} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn calls_are_made_and_answered_in_json() {
    let gateway = gateway();
    for (line, body, status, expected) in [
        (
            "GET /v1/echo/a%20b?number=7",
            "",
            200,
            r#"{"text":"a b","number":7}"#,
        ),
        ("POST /v1/echo", r#"{"text":"x"}"#, 200, r#"{"text":"x"}"#),
        (
            "GET /v1/echo/fail",
            "",
            400,
            r#"{"code":9,"message":"50 % of this is wrong","details":[]}"#,
        ),
        (
            "DELETE /v1/gone",
            "",
            501,
            r#"{"code":12,"message":"the server has no such method","details":[]}"#,
        ),
        (
            "GET /v1/count/whole/3",
            "",
            200,
            r#"[{"text":"whole"},{"text":"whole","number":1},{"text":"whole","number":2}]"#,
        ),
        ("GET /v1/count/whole/0", "", 200, "[]"),
        (
            "GET /v1/count/cut/0",
            "",
            400,
            r#"{"code":11,"message":"no more","details":[]}"#,
        ),
    ] {
        let answer = ask(&gateway, line, "", body);
        assert_eq!((answer.status, answer.text()), (status, expected), "{line}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{line}"
        );
        assert!(answer.complete, "{line}");
    }
    let lines = ask(
        &gateway,
        "GET /v1/count/whole/2",
        "accept: application/x-ndjson\r\n",
        "",
    );
    assert_eq!(
        lines.text(),
        "{\"text\":\"whole\"}\n{\"text\":\"whole\",\"number\":1}\n"
    );
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
}

#[test]
fn a_stream_that_fails_midway_says_so_and_is_cut() {
    let gateway = gateway();
    let answer = ask(&gateway, "GET /v1/count/cut/1", "", "");
    assert_eq!(answer.status, 200);
    let expected = r#"[{"text":"cut"},{"error":{"code":11,"message":"no more","details":[]}}"#;
    assert_eq!(answer.text(), expected);
    assert!(!answer.complete, "nobody takes it for whole");
}

#[test]
fn what_no_method_takes_is_refused() {
    let gateway = gateway();
    for (line, body, status, expected) in [
        ("GET /v1/nobody", "", 404, "route_not_found"),
        ("PUT /v1/echo", "{}", 404, "route_not_found"),
        ("POST /v1/echo", "{", 400, "is no JSON"),
        ("POST /v1/echo", r#"{"nobody":1}"#, 400, "nobody"),
        ("GET /v1/echo/a?number=x", "", 400, "contract_violated"),
    ] {
        let answer = ask(&gateway, line, "", body);
        assert_eq!(answer.status, status, "{line} {}", answer.text());
        assert!(
            answer.text().contains(expected),
            "{line}: {}",
            answer.text()
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[test]
fn limits_hold_both_ways() {
    let gateway = with(", body: 1KiB");
    let long = "a".repeat(2_000);
    let body = format!(r#"{{"text":"{long}"}}"#);
    let refused = ask(&gateway, "POST /v1/echo", "", &body);
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(refused.text().contains("body_too_large"));
    for line in [
        format!("GET /v1/echo/{long}"),
        format!("GET /v1/count/{long}/2"),
    ] {
        let cut = ask(&gateway, &line, "", "");
        assert_eq!(cut.status, 502, "{}", cut.text());
        assert!(cut.text().contains("upstream_malformed"), "{}", cut.text());
    }
    let short = ask(&gateway, "GET /v1/echo/short", "", "");
    assert_eq!(short.text(), r#"{"text":"short"}"#);
}
