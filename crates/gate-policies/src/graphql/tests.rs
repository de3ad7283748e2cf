//! Requests, and what is said of them.

use super::*;
use crate::testing::{Harness, VerdictExt};

fn refused(settings: &str, head: &str, body: &str) -> Option<String> {
    let harness = Harness::new();
    let policy = harness.policy::<Graphql>(settings);
    let mut exchange = harness.exchange(head);
    exchange.request.body = Body::from(Chunk::from(body.to_owned()));
    let fault = harness.request(&policy, &mut exchange).refused()?;
    assert_eq!(fault.code, FaultCode::ContractViolated);
    let errors = fault.errors.expect("it says what is wrong");
    Some(format!("{} {}", errors[0].pointer, errors[0].detail))
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let post = "POST /graphql\ncontent-type: application/json";
    let limits = "{ depth: 2, cost: 10, aliases: 1, batch: 2 }";
    for (head, body, expected) in [
        (post, r#"{"query":"{ a { b } }"}"#, None),
        (
            post,
            r#"{"query":"{ a { b { c } } }"}"#,
            Some("/query has a depth of 3, more than 2"),
        ),
        (
            post,
            r#"{"query":"query($n: Int) { a(first: $n) { b } }","variables":{"n":10}}"#,
            Some("/query has a cost of 11, more than 10"),
        ),
        (
            post,
            r#"{"query":"{ x: a y: a }"}"#,
            Some("/query has a count of aliases of 2, more than 1"),
        ),
        (
            post,
            r#"{"query":"{ __schema { types } }"}"#,
            Some("/query asks for the schema, which is not shown here"),
        ),
        (
            post,
            r#"{"query":"subscription { a }"}"#,
            Some("/query subscribes, which is not served here"),
        ),
        (
            post,
            r#"[{"query":"{ a }"},{"query":"{ a { b { c } } }"}]"#,
            Some("/1/query has a depth of 3, more than 2"),
        ),
        (
            post,
            r#"[{"query":"{ a }"},{"query":"{ a }"},{"query":"{ a }"}]"#,
            Some(" has 3 operations, more than 2"),
        ),
        (
            post,
            r#"{"query":"{ a }","query":"{ b }"}"#,
            Some(" is no JSON: a member stands twice in one object at line 1 column 33"),
        ),
        (
            post,
            r#"{"extensions":{"persistedQuery":{}}}"#,
            Some("/query is missing"),
        ),
        (post, r#"{"query":"{"}"#, Some("/query ends too early")),
        (
            "POST /graphql\ncontent-type: application/graphql",
            "{ a { b { c } } }",
            Some("/query has a depth of 3, more than 2"),
        ),
        (
            "POST /graphql\ncontent-type: text/plain",
            "{ a }",
            Some(" is neither `application/json` nor `application/graphql`"),
        ),
        (
            "POST /graphql\ncontent-type: application/json\ncontent-encoding: gzip",
            "x",
            Some(" is compressed, so that it cannot be measured"),
        ),
        ("GET /graphql?query=%7Ba%7D", "", None),
        (
            "GET /graphql?query=%7Ba%7Bb%7Bc%7D%7D%7D",
            "",
            Some("/query has a depth of 3, more than 2"),
        ),
        (
            "GET /graphql?query=%7Ba%7D&query=%7Bb%7D",
            "",
            Some(" has the parameter `query` twice"),
        ),
        (
            "GET /graphql?query=%7Ba%7D&%71uery=%7Bb%7D",
            "",
            Some(" has a parameter whose name is encoded"),
        ),
        ("GET /graphql", "", Some("/query is missing")),
        ("OPTIONS /graphql", "", None),
        (
            "POST /graphql?query=%7Bb%7D\ncontent-type: application/json",
            r#"{"query":"{ a }"}"#,
            Some(" brings a query in its URL, or two content types"),
        ),
        (
            "POST /graphql?%71uery=%7Bb%7D\ncontent-type: application/json",
            r#"{"query":"{ a }"}"#,
            Some(" brings a query in its URL, or two content types"),
        ),
        (
            "POST /graphql?trace=1\ncontent-type: application/json",
            r#"{"query":"{ a }"}"#,
            None,
        ),
        (
            "POST /graphql\ncontent-type: application/json\ncontent-type: application/graphql",
            r#"{"query":"{ a }"}"#,
            Some(" brings a query in its URL, or two content types"),
        ),
    ] {
        assert_eq!(
            refused(limits, head, body).as_deref(),
            expected,
            "{head} {body}"
        );
    }
}

#[test]
fn settings_open_what_is_closed() {
    let post = "POST /graphql\ncontent-type: application/json";
    let open =
        "{ introspection: true, subscriptions: true, persisted: true, costs: { a: 5 }, cost: 8 }";
    for (body, expected) in [
        (r#"{"query":"{ __schema { types } }"}"#, None),
        (r#"{"query":"subscription { a }"}"#, None),
        (r#"{"extensions":{"persistedQuery":{}}}"#, None),
        (
            r#"{"query":"{ a x: a }"}"#,
            Some("/query has a cost of 10, more than 8"),
        ),
    ] {
        assert_eq!(refused(open, post, body).as_deref(), expected, "{body}");
    }
    let harness = Harness::new();
    assert!(harness.compile::<Graphql>("{ depth: 0 }").is_err());
}
