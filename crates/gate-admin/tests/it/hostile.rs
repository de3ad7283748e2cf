//! Requests that nobody should send: answered with a problem, and nothing changes.

use crate::support::{Server, open, send};
use gate_api::client::Seen;
use gate_api::openapi::openapi;
use gate_api::types::DocumentInput;
use serde_json::{Value, json};

const APPLY: &str = "/api/v1/environments/staging/revisions";
const RESOURCE: &str = "/api/v1/environments/staging/resources/routes/a";

#[test]
fn every_wrong_request_is_told_what_is_wrong_with_it() {
    let server = Server::start(open());
    let client = server.staging();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: &[(&str, &str, &[u8], u16, &str)] = &[
        ("GET", "/api/v1/nowhere", b"", 404, "openapi.json"),
        ("GET", "/api/v2/me", b"", 404, ""),
        ("PATCH", "/api/v1/me", b"", 405, "GET"),
        ("GET", "/api/v1/environments/UPPER", b"", 400, "environment"),
        ("GET", "/api/v1/environments/a%2", b"", 400, "environment"),
        ("GET", "/api/v1/environments/nobody", b"", 404, "nobody"),
        ("GET", "/api/v1/revisions/0", b"", 400, "number"),
        ("GET", "/api/v1/revisions/99", b"", 404, "99"),
        (
            "GET",
            "/api/v1/revisions/99999999999999999999",
            b"",
            400,
            "",
        ),
        ("GET", "/api/v1/revisions?limit=0", b"", 400, "limit"),
        ("GET", "/api/v1/revisions?limit=1001", b"", 400, "limit"),
        ("GET", "/api/v1/revisions?cursor=%00", b"", 400, "cursor"),
        ("GET", "/api/v1/revisions?cursor=!!", b"", 404, "cursor"),
        ("GET", "/api/v1/revisions?unknown=1", b"", 400, "unknown"),
        (
            "GET",
            "/api/v1/revisions?limit=1&limit=2",
            b"",
            400,
            "twice",
        ),
        ("GET", "/api/v1/diff?from=1", b"", 400, "`to`"),
        ("POST", APPLY, b"", 400, "EOF"),
        ("POST", APPLY, b"{", 400, "EOF"),
        ("POST", APPLY, b"\xff\xfe", 400, ""),
        ("POST", APPLY, b"[]", 422, "invalid type"),
        ("POST", APPLY, b"{}", 422, "document"),
        ("POST", APPLY, br#"{"document":{},"extra":1}"#, 422, "extra"),
        (
            "POST",
            APPLY,
            br#"{"document":{"routes":[]}}"#,
            422,
            "object",
        ),
        (
            "POST",
            APPLY,
            br#"{"document":{"routes":{"a":{},"a":{}}}}"#,
            422,
            "twice",
        ),
        (
            "POST",
            APPLY,
            br#"{"document":{},"document":{}}"#,
            422,
            "duplicate",
        ),
        (
            "POST",
            APPLY,
            br#"{"document":{},"mode":"sk-live-key"}"#,
            422,
            "variant",
        ),
        (
            "POST",
            APPLY,
            br#"{"document":{},"manager":"nobody"}"#,
            422,
            "manager",
        ),
        (
            "POST",
            APPLY,
            br#"{"document":{"nonsense":{"a":{}}}}"#,
            422,
            "no such kind",
        ),
        ("POST", APPLY, deep.as_bytes(), 422, "list"),
        ("PUT", RESOURCE, deep.as_bytes(), 400, "recursion"),
        ("PUT", RESOURCE, b"1", 422, "object"),
        (
            "PUT",
            "/api/v1/environments/staging",
            br#"{"variables":{"a b":"1"}}"#,
            422,
            "variable",
        ),
        ("LOCK", "/api/v1/state/a", b"{}", 400, "ID"),
        ("POST", "/api/v1/state/a", b"{}", 422, "serial"),
        ("POST", "/api/v1/state/a%2F..%2Fb", b"{}", 400, "state"),
    ];
    for (method, path, body, status, words) in cases {
        let (got, problem) = send(&client, method, path, body);
        let text = problem.to_string();
        assert_eq!(got, *status, "{method} {path}: {text}");
        if path.starts_with("/api/v1") {
            assert_eq!(problem["status"], json!(status), "{method} {path}");
        }
        assert!(text.contains(words), "{method} {path}: {text}");
        assert!(!text.contains("sk-live"), "{text}");
    }
    let plain = [("Content-Type", "text/plain")];
    let refused = client.send("POST", APPLY, &plain, b"{}");
    assert_eq!(refused.unwrap().status, 415);
    let environment = client.environment("staging").unwrap();
    assert_eq!((environment.generation, environment.revision), (1, None));
}

#[test]
fn fifty_megabytes_of_nonsense_are_refused_unread() {
    let server = Server::start(open());
    let client = server.staging();
    let nonsense = vec![b'x'; 50 << 20];
    // The answer comes before everything was sent; how the connection ends is the system's choice.
    if let Ok(reply) = client.send("POST", APPLY, &[], &nonsense) {
        assert_eq!(reply.status, 413);
    }
    // Within the limit it is read, and refused as no JSON.
    let (status, problem) = send(&client, "POST", APPLY, &nonsense[..20 << 20]);
    assert_eq!((status, &problem["code"]), (400, &json!("malformed")));
    assert_eq!(client.environment("staging").unwrap().revision, None);
}

#[test]
fn the_description_is_served_and_secrets_are_not_shown() {
    let server = Server::start(open());
    let client = server.staging();
    let (status, served) = send(&client, "GET", "/api/v1/openapi.json", b"");
    assert_eq!((status, &served), (200, &openapi()));
    let secret = |text: &str| {
        let document = json!({ "upstreams": { "u": { "password": text } } });
        DocumentInput::sync(serde_json::from_value(document).unwrap(), "api")
    };
    client
        .apply("staging", Seen::Any, &secret("hunter1"))
        .unwrap();
    let plan = client.plan("staging", &secret("hunter2")).unwrap();
    let shown = serde_json::to_value(&plan).unwrap();
    let field = &shown["changes"][0]["fields"][0];
    assert_eq!(field["before"], Value::from("(hidden)"));
    assert!(!shown.to_string().contains("hunter"));
}
