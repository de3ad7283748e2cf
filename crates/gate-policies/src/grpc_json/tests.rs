//! One method without annotations; the whole way to a server is tested in gate-proxy.

use super::*;
use crate::testing::{Harness, VerdictExt, response};

const SET: &str = "ClsKB28ucHJvdG8SB3Nob3AudjEiFAoCSWQSDgoCaWQYASABKAlSAmlkMikKBk9yZGVycxIfCgNHZXQSCy5zaG9wLnYxLklkGgsuc2hvcC52MS5JZGIGcHJvdG8z";

fn policy(harness: &Harness) -> Arc<dyn Policy> {
    harness.policy::<GrpcJson>(&format!(
        "{{ descriptors: {{ base64: {SET} }}, unannotated: true }}"
    ))
}

#[test]
fn a_request_becomes_a_call_and_its_status_an_answer() {
    let harness = Harness::new();
    let policy = policy(&harness);
    let mut exchange = harness
        .exchange("POST /shop.v1.Orders/Get\ncontent-type: application/json\naccept: text/html");
    exchange.request.body = Body::from(Chunk::from(r#"{"id":"7"}"#));
    assert!(harness.request(&policy, &mut exchange).is_next());
    let head = &exchange.request.head;
    assert_eq!(head.target, "/shop.v1.Orders/Get");
    assert_eq!(
        head.headers.get_str(HeaderId::ContentType),
        Some("application/grpc")
    );
    assert!(!head.headers.contains(HeaderId::Accept));
    let body = harness
        .block_on(exchange.request.body.collect(100))
        .expect("it is whole");
    assert_eq!(&*body, b"\0\0\0\0\x03\x0a\x017");
    let fields = [
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "no%20such"),
    ];
    let answer = harness.respond(&policy, &mut exchange, response(200, &fields, Body::Empty));
    assert_eq!(answer.head.status, 404);
    assert!(answer.head.headers.get_named("grpc-status").is_none());
    let Body::Full(body) = &answer.body else {
        panic!("it says why")
    };
    assert_eq!(&**body, br#"{"code":5,"message":"no such","details":[]}"#);
    assert_eq!(
        exchange.request.head.headers.get_str(HeaderId::ContentType),
        Some("application/json")
    );
}

#[test]
fn calls_that_are_grpc_already_pass_untouched() {
    let harness = Harness::new();
    let policy = policy(&harness);
    let mut exchange =
        harness.exchange("POST /any.Service/Method\ncontent-type: application/grpc+proto");
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(exchange.request.head.target, "/any.Service/Method");
}

#[test]
fn what_fits_no_method_or_message_is_refused() {
    let harness = Harness::new();
    let policy = policy(&harness);
    for (head, body, code) in [
        ("GET /shop.v1.Orders/Get", "", FaultCode::RouteNotFound),
        (
            "POST /shop.v1.Orders/Get",
            r#"{"nobody":1}"#,
            FaultCode::ContractViolated,
        ),
        (
            "POST /shop.v1.Orders/Get\ncontent-encoding: gzip",
            "x",
            FaultCode::InvalidBody,
        ),
    ] {
        let mut exchange = harness.exchange(head);
        exchange.request.body = Body::from(Chunk::from(body));
        let fault = harness
            .request(&policy, &mut exchange)
            .refused()
            .expect(head);
        assert_eq!(fault.code, code, "{head}");
    }
    for wrong in [
        "{ descriptors: { base64: '?' } }",
        "{ descriptors: { file: nobody.pb } }",
        "{ descriptors: { base64: aGk= } }",
    ] {
        assert!(harness.compile::<GrpcJson>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_stream_of_nothing_is_an_empty_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../gate-proxy/tests/data");
    let harness = Harness::new().folder(folder);
    let policy = harness.policy::<GrpcJson>("{ descriptors: { file: notes.pb } }");
    let fields = [("content-type", "application/grpc"), ("grpc-status", "0")];
    for (head, status, expected) in [
        ("GET /v1/count/x/0", 200, "[]"),
        ("GET /v1/count/x/0\naccept: application/x-ndjson", 200, ""),
    ] {
        let mut exchange = harness.exchange(head);
        assert!(harness.request(&policy, &mut exchange).is_next());
        let answer = response(200, &fields, Body::Empty);
        let mut answer = harness.respond(&policy, &mut exchange, answer);
        let body = harness.block_on(answer.body.collect(100)).expect("whole");
        assert_eq!((answer.head.status, &*body), (status, expected.as_bytes()));
    }
    let mut exchange = harness.exchange("GET /v1/echo/x");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let mut answer = response(200, &fields, Body::Empty);
    let later = policy.answer(&mut exchange, &mut answer).expect("it waits");
    let fault = harness
        .block_on(later)
        .expect_err("one message is promised");
    assert_eq!(fault.code, FaultCode::UpstreamMalformed);
}
