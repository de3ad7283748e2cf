//! Requests and answers of one operation, held against its contract.

use super::*;
use crate::testing::{Harness, VerdictExt, response};
use gate_kit::http::Response;

const API: &str = r##"
apis:
  shop:
    base: /v1
    target: { fixed: { status: 200 } }
    SETTINGS
    openapi:
      inline:
        openapi: 3.0.3
        info: { title: Shop, version: 1.0.0 }
        paths:
          /orders/{id}:
            parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
            get:
              operationId: getOrder
              responses: { "200": { description: one, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } } }
            put:
              operationId: putOrder
              requestBody: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } }
        components: { schemas: { Order: { type: object, required: [sku], properties: { sku: { type: string }, n: { type: array, items: { type: integer } } } } } }
"##;

fn harness(settings: &str) -> Harness {
    Harness::new().resources(&API.replace("SETTINGS", settings))
}

fn policy(harness: &Harness, settings: &str) -> Arc<dyn Policy> {
    harness.policy::<Contract>(settings)
}

fn counts(harness: &Harness, operation: &str) -> [u64; 6] {
    let all = harness.state.all::<ContractCounts>();
    let (_, counts) = all
        .iter()
        .find(|(name, _)| name == operation)
        .expect("it is counted");
    [
        counts.requests_kept.sum(),
        counts.requests_broken.sum(),
        counts.requests_unread.sum(),
        counts.answers_kept.sum(),
        counts.answers_broken.sum(),
        counts.answers_unread.sum(),
    ]
}

/// The pointers of a refusal; none when the request passes.
fn sent(
    harness: &Harness,
    policy: &Arc<dyn Policy>,
    head: &str,
    body: &str,
) -> Option<Vec<String>> {
    let mut exchange = harness.exchange(head);
    exchange.request.body = Body::from(Chunk::from(body.to_owned()));
    let verdict = harness.request(policy, &mut exchange);
    let passed = harness.block_on(exchange.request.body.collect(1 << 20));
    match verdict.refused() {
        None => {
            assert_eq!(
                &*passed.expect("it is whole"),
                body.as_bytes(),
                "the body goes on as it came"
            );
            None
        }
        Some(fault) => {
            assert_eq!(fault.code, FaultCode::ContractViolated);
            let errors = fault.errors.expect("it says what is wrong");
            let place = |one: &FaultError| format!("{} {}{}", one.place, one.name, one.pointer);
            Some(errors.iter().map(place).collect())
        }
    }
}

const PUT: &str = "PUT /v1/orders/7\ncontent-type: application/json";

#[test]
fn requests_that_break_the_contract_are_refused_with_every_place() {
    let harness = harness("");
    let policy = policy(&harness, "{ api: shop, operation: putOrder }");
    assert_eq!(sent(&harness, &policy, PUT, r#"{"sku":"a"}"#), None);
    let head = PUT.replace('7', "x");
    let found = sent(&harness, &policy, &head, r#"{"n":[1,"x"]}"#).expect("it is refused");
    assert_eq!(
        found,
        ["path id", "body /sku", "body /n/1"]
            .map(str::to_owned)
            .to_vec()
    );
    let gzip = format!("{PUT}\ncontent-encoding: gzip");
    assert_eq!(
        sent(&harness, &policy, &gzip, "x"),
        Some(vec!["header Content-Encoding".to_owned()])
    );
    let twice = format!("{PUT}\ncontent-type: text/plain");
    assert_eq!(
        sent(&harness, &policy, &twice, "x"),
        Some(vec!["header Content-Type".to_owned()])
    );
    assert_eq!(counts(&harness, "shop/putOrder"), [1, 3, 0, 0, 0, 0]);
    let large = format!(r#"{{"sku":"{}"}}"#, "a".repeat(100_000));
    assert_eq!(sent(&harness, &policy, PUT, &large), None, "on the pool");
    let mut exchange = harness.exchange(PUT);
    exchange.request.body = Body::from(Chunk::from("a".repeat(2 << 20)));
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("too large");
    assert_eq!(fault.code, FaultCode::BodyTooLarge);
}

#[test]
fn what_is_only_observed_passes_and_is_counted() {
    let harness = harness("requests: observe");
    let policy = policy(&harness, "{ api: shop, operation: putOrder }");
    assert_eq!(sent(&harness, &policy, PUT, r#"{"n":1}"#), None);
    assert_eq!(sent(&harness, &policy, PUT, r#"{"sku":"a"}"#), None);
    let large = format!(r#"{{"n":1,"x":"{}"}}"#, "a".repeat(100_000));
    assert_eq!(sent(&harness, &policy, PUT, &large), None);
    harness.settle();
    assert_eq!(counts(&harness, "shop/putOrder"), [1, 2, 0, 0, 0, 0]);
    let all = harness.state.all::<ContractCounts>();
    let recent = all.iter().flat_map(|(_, counts)| counts.recent());
    let pointers: Vec<String> = recent
        .flat_map(|one| one.errors)
        .map(|one| one.pointer)
        .collect();
    assert!(
        pointers.contains(&"/sku".to_owned()) && pointers.contains(&"/n".to_owned()),
        "{pointers:?}"
    );
}

fn answered(harness: &Harness, policy: &Arc<dyn Policy>, answer: Response) -> Response {
    let mut exchange = harness.exchange("GET /v1/orders/7");
    assert!(harness.request(policy, &mut exchange).is_next());
    let mut answer = harness.respond(policy, &mut exchange, answer);
    let body = harness
        .block_on(answer.body.collect(1 << 20))
        .expect("it is whole");
    answer.body = Body::from(body);
    harness.settle();
    answer
}

#[test]
fn answers_are_observed_as_they_pass() {
    let harness = harness("");
    let policy = policy(&harness, "{ api: shop, operation: getOrder }");
    let json = [("content-type", "application/json")];
    for (status, headers, body) in [
        (200, &json[..], r#"{"sku":"a"}"#),
        (200, &json[..], r#"{"sku":1}"#),
        (200, &[("content-type", "text/html")][..], "x"),
        (500, &json[..], "{}"),
        (
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", "br"),
            ][..],
            "x",
        ),
    ] {
        let answer = response(status, headers, Chunk::from(body));
        let answer = answered(&harness, &policy, answer);
        assert!(matches!(&answer.body, Body::Full(whole) if **whole == *body.as_bytes()));
    }
    let [.., kept, broken, unread] = counts(&harness, "shop/getOrder");
    assert_eq!((broken, unread), (3, 1));
    assert!(kept >= 1);
}

#[test]
fn answers_are_refused_where_that_is_asked() {
    let harness = harness("responses: enforce");
    let policy = policy(&harness, "{ api: shop, operation: getOrder }");
    let json = [("content-type", "application/json")];
    let good = response(200, &json, Chunk::from(r#"{"sku":"a"}"#));
    assert_eq!(answered(&harness, &policy, good).head.status, 200);
    for (status, headers, body) in [
        (200, &json[..], "{}"),
        (404, &json[..], "{}"),
        (200, &[("content-type", "text/html")][..], "x"),
    ] {
        let mut exchange = harness.exchange("GET /v1/orders/7");
        assert!(harness.request(&policy, &mut exchange).is_next());
        let mut answer = response(status, headers, Chunk::from(body));
        let later = policy.answer(&mut exchange, &mut answer).expect("it waits");
        let fault = harness.block_on(later).expect_err(body);
        assert_eq!(fault.code, FaultCode::AnswerViolatesContract);
    }
}

#[test]
fn an_operation_is_found_by_method_and_path() {
    let harness = harness("");
    let policy = policy(&harness, "{ api: shop }");
    let found = sent(&harness, &policy, "GET /v1/orders/x", "").expect("it is refused");
    assert_eq!(found, ["path id".to_owned()]);
    let mut exchange = harness.exchange("DELETE /v1/orders/7");
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("nobody serves it");
    assert_eq!(fault.code, FaultCode::RouteNotFound);
    for wrong in ["{ api: nobody }", "{ api: shop, operation: nobody }"] {
        assert!(harness.compile::<Contract>(wrong).is_err());
    }
}
