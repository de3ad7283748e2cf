//! Contracts: OpenAPI documents, GraphQL requests, JSON for gRPC methods, and shapes of bodies.

use gate_contract::check::{Contract, Head, Options};
use gate_contract::diff::{self, compare};
use gate_contract::graphql::{Costs, TOKENS_MAX, measure, parse};
use gate_contract::grpc::{Frames, Print, Transcoder, framed};
use gate_contract::openapi::Api;
use gate_contract::shape::Chain;
use gate_model::document::{Document, Path};
use gate_model::resources::Shape;
use serde_json::Value;
use std::sync::LazyLock;

/// Any document is a contract or is refused with reasons; a contract holds messages without a panic,
/// and differs in nothing from itself.
pub fn openapi(bytes: &[u8]) {
    let Ok(document) = Document::parse(bytes, "api.yaml") else {
        return;
    };
    let same = compare(&document, &document, &diff::Options::default());
    assert!(
        same.changes.is_empty() || !same.complete,
        "{:?}",
        same.changes
    );
    let base = Document::parse(BASE.as_bytes(), "base.yaml").expect("a constant");
    for (old, new) in [(&base, &document), (&document, &base)] {
        let diff = compare(old, new, &diff::Options::default());
        assert!(diff.changes.iter().all(|change| !change.rule.is_empty()));
    }
    let api = match Api::from_document(document) {
        Ok(api) => api,
        Err(findings) => return assert!(!findings.is_empty()),
    };
    let options = Options {
        failures: 10,
        refuse_unknown_query: true,
    };
    let contract = match Contract::compile(&api, options) {
        Ok(contract) => contract,
        Err(findings) => return assert!(!findings.is_empty()),
    };
    let header = |_: &str| vec!["a,1,true".to_owned()];
    for operation in contract.operations.iter().take(20) {
        let head = Head {
            path: "/a/1",
            query: "a=1&b%5Bc%5D=%7B%7D&a=x",
            header: &header,
        };
        for body in [
            &b"{\"a\":[1,null,{\"b\":\"c\"}]}"[..],
            b"a=1&b=2",
            b"[]",
            b"\xff",
        ] {
            for kind in [
                "application/json",
                "application/x-www-form-urlencoded",
                "text/plain",
            ] {
                let failures = operation.check_body(Some(kind), body);
                assert!(failures.iter().all(|one| !one.detail.is_empty()));
            }
            let _ = operation.check_answer(200, &header, Some(body));
        }
        let _ = operation.check_head(&head);
    }
}

const BASE: &str = "openapi: 3.1.0\npaths: { /a: { post: { operationId: a, requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/A' } } } }, responses: { '200': { description: d } } } } }\ncomponents: { schemas: { A: { properties: { a: { $ref: '#/components/schemas/A' }, b: { type: string } } } } }\n";

/// Any text is a GraphQL document that is measured in bounded time, or is refused with a reason.
pub fn graphql(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let document = match parse(&text) {
        Ok(document) => document,
        Err(reason) => return assert!(!reason.is_empty()),
    };
    let costs = Costs {
        fields: [("b".to_owned(), u64::MAX)].into(),
        lists: vec!["first".to_owned()],
    };
    let variables = serde_json::json!({ "n": 1_000_000_000_000_i64, "first": -1 });
    let Ok(found) = measure(&document, Some(&variables), &costs) else {
        return;
    };
    assert!(found.depth <= TOKENS_MAX as u64, "{found:?}");
    assert!(found.directives <= TOKENS_MAX as u64, "{found:?}");
    // Blanks and comments mean nothing.
    let spaced = format!("# a\n,{text}\n#b");
    let again = parse(&spaced).and_then(|document| measure(&document, Some(&variables), &costs));
    assert_eq!(again.as_ref(), Ok(&found), "{text}");
}

static SHOP: LazyLock<Transcoder> = LazyLock::new(|| {
    let bytes = include_bytes!("../../crates/gate-contract/tests/data/shop.pb");
    Transcoder::new(bytes, &[], true, Print::default()).expect("a sound descriptor set")
});

/// A request line and a body become the message of some method, or are refused with places; any
/// bytes are an answer that becomes JSON, or are refused.
pub fn json_grpc(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, body) = bytes.split_at(end.unwrap_or(bytes.len()));
    let body = body.get(1..).unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let (verb, target) = line.split_once(' ').unwrap_or(("GET", &line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(call) = SHOP.find(verb, path) else {
        return;
    };
    match call.message(query, body) {
        Ok(message) => {
            let mut frames = Frames::new(message.len());
            for byte in framed(&message) {
                assert!(frames.take().expect("whole frames").is_none());
                frames.push(&[byte]);
            }
            assert_eq!(frames.take(), Ok(Some(message)));
            assert!(frames.is_empty());
        }
        Err(failures) => assert!(failures.iter().all(|one| !one.detail.is_empty())),
    }
    if let Ok(json) = call.answer(body) {
        let read: Result<Value, _> = serde_json::from_slice(&json);
        assert!(read.is_ok(), "{}", String::from_utf8_lossy(&json));
    }
    let mut frames = Frames::new(1024);
    frames.push(body);
    while let Ok(Some(frame)) = frames.take() {
        assert!(frame.len() <= 1024);
    }
}

/// Any bytes are a descriptor set or are refused with a reason.
pub fn descriptors(bytes: &[u8]) {
    match Transcoder::new(bytes, &[], true, Print::default()) {
        Ok(transcoder) => {
            let _ = transcoder
                .find("GET", "/v1/a/b")
                .map(|call| call.message("a.b=1", b"{}"));
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let text = r#"{ "onto": "2.0.0", "operations": [{ "both": [
        { "move": { "from": "/a", "to": "/b/c" } },
        { "move": { "from": "/items/*/x", "to": "/items/*/y/z" } },
        { "copy": { "from": "/d", "to": "/e" } },
        { "default": { "at": "/f", "value": [1, { "g": null }] } },
        { "values": { "at": "/s/*", "map": { "open": "OPEN" } } },
        { "cast": { "at": "/n", "to": "string", "back": "number" } }],
        "response": [{ "remove": "/deep/*/*/secret" }] }] }"#;
    let document = Document::parse(text.as_bytes(), "shape.json").expect("a constant");
    let shape: Shape = document.read(&Path::root()).expect("a constant");
    Chain::compile(&[&shape]).expect("a constant")
});

/// What is JSON stays JSON on its way through a shape, both ways; what is none is refused.
pub fn shape(bytes: &[u8]) {
    let underway = CHAIN.begin("POST", "/orders", None);
    let sent = CHAIN.request(&underway, bytes);
    let told = CHAIN.response(&underway, 200, bytes);
    for changed in [sent, told] {
        match changed {
            Ok(text) => {
                let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&text);
                assert!(read.is_ok(), "{}", String::from_utf8_lossy(&text));
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}
