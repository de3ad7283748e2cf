//! Bodies, paths and queries as two versions see them.

use super::*;
use gate_model::document::{Document, Path};

fn read(yaml: &str) -> Shape {
    let document = Document::parse(yaml.as_bytes(), "s.yaml").expect("valid YAML");
    document
        .read(&Path::root())
        .unwrap_or_else(|finding| panic!("{finding}"))
}

fn chain(shapes: &[&str]) -> Chain {
    let shapes: Vec<Shape> = shapes.iter().map(|yaml| read(yaml)).collect();
    let shapes: Vec<&Shape> = shapes.iter().collect();
    Chain::compile(&shapes).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn one(list: &str, changes: &str) -> Chain {
    chain(&[&format!(
        "{{ onto: 2.0.0, operations: [{{ {list}: [{changes}] }}] }}"
    )])
}

fn request(chain: &Chain, body: &str) -> String {
    let underway = chain.begin("POST", "/orders", None);
    assert!(chain.reads_request(&underway));
    String::from_utf8(chain.request(&underway, body.as_bytes()).expect(body)).expect("UTF-8")
}

fn response(chain: &Chain, body: &str) -> String {
    let underway = chain.begin("POST", "/orders", None);
    assert!(chain.reads_response(&underway, Some(200)));
    String::from_utf8(chain.response(&underway, 200, body.as_bytes()).expect(body)).expect("UTF-8")
}

#[test]
fn fields_are_moved_made_removed_and_mapped() {
    for (changes, before, after) in [
        (
            "{ move: { from: /a, to: /b } }",
            r#"{"a":1,"c":2}"#,
            r#"{"c":2,"b":1}"#,
        ),
        (
            "{ move: { from: /a, to: /x/y } }",
            r#"{"a":1}"#,
            r#"{"x":{"y":1}}"#,
        ),
        (
            "{ move: { from: /x/y, to: /a } }",
            r#"{"x":{"y":1}}"#,
            r#"{"a":1}"#,
        ),
        (
            "{ move: { from: /x/y, to: /a } }",
            r#"{"x":{"y":1,"z":2}}"#,
            r#"{"x":{"z":2},"a":1}"#,
        ),
        ("{ move: { from: /a, to: /b } }", r#"{"c":2}"#, r#"{"c":2}"#),
        (
            "{ move: { from: /a, to: /b/c } }",
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"a":1}"#,
        ),
        (
            "{ move: { from: '', to: /data } }",
            r#"[1]"#,
            r#"{"data":[1]}"#,
        ),
        (
            "{ move: { from: /data, to: '' } }",
            r#"{"data":[1]}"#,
            r#"[1]"#,
        ),
        (
            "{ move: { from: /items/*/cost, to: /items/*/price/amount } }",
            r#"{"items":[{"cost":1},{"no":0}]}"#,
            r#"{"items":[{"price":{"amount":1}},{"no":0}]}"#,
        ),
        (
            "{ copy: { from: /a, to: /b } }",
            r#"{"a":[1]}"#,
            r#"{"a":[1],"b":[1]}"#,
        ),
        (
            "{ default: { at: /c, value: EUR } }",
            r#"{"c":"USD"}"#,
            r#"{"c":"USD"}"#,
        ),
        (
            "{ default: { at: /c, value: EUR } }",
            r#"{}"#,
            r#"{"c":"EUR"}"#,
        ),
        (
            "{ set: { at: /c, value: { a: [1, null] } } }",
            r#"{"c":1}"#,
            r#"{"c":{"a":[1,null]}}"#,
        ),
        (
            "{ remove: /*/secret }",
            r#"[{"secret":1,"a":2}]"#,
            r#"[{"a":2}]"#,
        ),
        (
            "{ values: { at: /s, map: { open: OPEN } } }",
            r#"{"s":"open"}"#,
            r#"{"s":"OPEN"}"#,
        ),
        (
            "{ values: { at: /s, map: { open: OPEN } } }",
            r#"{"s":"x"}"#,
            r#"{"s":"x"}"#,
        ),
        (
            "{ values: { at: /s, map: { open: OPEN }, otherwise: OTHER } }",
            r#"{"s":"x"}"#,
            r#"{"s":"OTHER"}"#,
        ),
        (
            "{ cast: { at: /id, to: string } }",
            r#"{"id":12345678901234567890}"#,
            r#"{"id":"12345678901234567890"}"#,
        ),
        (
            "{ cast: { at: /id, to: number } }",
            r#"{"id":"1.50"}"#,
            r#"{"id":1.50}"#,
        ),
        (
            "{ cast: { at: /id, to: number } }",
            r#"{"id":"x1"}"#,
            r#"{"id":"x1"}"#,
        ),
        (
            "{ cast: { at: /ok, to: boolean } }",
            r#"{"ok":"true"}"#,
            r#"{"ok":true}"#,
        ),
        (
            "{ cast: { at: /tag, to: list } }",
            r#"{"tag":"a"}"#,
            r#"{"tag":["a"]}"#,
        ),
        (
            "{ cast: { at: /tag, to: first } }",
            r#"{"tag":["a","b"]}"#,
            r#"{"tag":"a"}"#,
        ),
    ] {
        assert_eq!(
            request(&one("request", changes), before),
            after,
            "{changes}"
        );
        assert_eq!(
            response(&one("response", changes), before),
            after,
            "{changes}"
        );
    }
}

#[test]
fn what_no_change_names_keeps_every_byte() {
    let chain = one("request", "{ move: { from: /a, to: /b } }");
    let body = "{ \"n\": 1.10, \"big\": 123456789012345678901234567890, \"e\": 1E5, \"t\": \"\\u00e9\\/\" }";
    let expected =
        "{\"n\":1.10,\"big\":123456789012345678901234567890,\"e\":1E5,\"t\":\"\\u00e9\\/\"}";
    assert_eq!(request(&chain, body), expected);
}

#[test]
fn what_is_done_to_requests_is_undone_to_answers() {
    let chain = one(
        "both",
        "{ move: { from: /name, to: /customer/name } }, \
         { values: { at: /state, map: { open: OPEN, done: CLOSED } } }, \
         { cast: { at: /id, to: string, back: number } }, { set: { at: /source, value: v1 } }",
    );
    let old = r#"{"state":"done","id":7,"name":"Ada"}"#;
    let new = r#"{"state":"CLOSED","id":"7","customer":{"name":"Ada"},"source":"v1"}"#;
    assert_eq!(request(&chain, old), new);
    assert_eq!(response(&chain, new), old);
}

#[test]
fn versions_that_are_far_apart_are_reached_step_by_step() {
    let chain = chain(&[
        "{ onto: 2.0.0, operations: [{ both: [{ move: { from: /a, to: /b } }] }] }",
        "{ onto: 3.0.0, operations: [{ both: [{ move: { from: /b, to: /c/d } }] }] }",
    ]);
    assert_eq!(request(&chain, r#"{"a":1}"#), r#"{"c":{"d":1}}"#);
    assert_eq!(response(&chain, r#"{"c":{"d":1}}"#), r#"{"a":1}"#);
}

#[test]
fn paths_and_queries_follow() {
    let chain = chain(&[
        "{ onto: 2.0.0, operations: [{ methods: [get], path: '/purchases/{id}', \
        to_path: '/orders/{id}', query: [{ move: { from: /max, to: /limit } }, \
        { default: { at: /sort, value: id } }, { values: { at: /state, map: { 'a b': A } } }, \
        { remove: /debug }] }] }",
    ]);
    let ways = |method: &str, path: &str, query: Option<&str>| {
        let underway = chain.begin(method, path, query);
        (underway.path, underway.query)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        ways(
            "GET",
            "/purchases/a%2Fb",
            Some("max=%31&debug&state=a+b&x=%7e")
        ),
        (
            some("/orders/a%2Fb"),
            Some(some("limit=%31&state=A&x=%7e&sort=id"))
        )
    );
    assert_eq!(ways("HEAD", "/purchases/1", None).0, some("/orders/1"));
    assert_eq!(ways("POST", "/purchases/1", None), (None, None));
    assert_eq!(ways("GET", "/purchases/1/2", None), (None, None));
    assert_eq!(ways("GET", "/purchases/", None), (None, None));
}

#[test]
fn only_answers_of_the_named_statuses_change() {
    let chain = chain(&[
        "{ onto: 2.0.0, operations: [{ statuses: [404], response: [{ remove: /a }] }, \
                         { response: [{ remove: /b }] }] }",
    ]);
    let underway = chain.begin("GET", "/", None);
    let answer = |status| {
        let body = chain.response(&underway, status, br#"{"a":1,"b":2}"#);
        String::from_utf8(body.expect("JSON")).expect("UTF-8")
    };
    assert_eq!([answer(200), answer(404)], [r#"{"a":1}"#, r#"{"b":2}"#]);
    assert!(!chain.reads_response(&underway, Some(500)));
    assert!(!chain.reads_request(&underway));
}

#[test]
fn bodies_that_are_no_plain_documents_are_refused() {
    let chain = one("request", "{ remove: /a }");
    let underway = chain.begin("POST", "/", None);
    let deep = "[".repeat(DEPTH_MAX + 2);
    for body in [
        "",
        " ",
        "{",
        "{}}",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "nul",
        "\"a",
        "\"\\",
        "01",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "\u{1}",
        &deep,
        "{\"a\":1,}",
        "[\"\n\"]",
    ] {
        assert!(chain.request(&underway, body.as_bytes()).is_err(), "{body}");
    }
    assert!(chain.request(&underway, b"\xff").is_err());
}

#[test]
fn shapes_that_cannot_act_are_refused() {
    let refusal = |operation: &str| {
        let shape = read(&format!("{{ onto: 2.0.0, operations: [{operation}] }}"));
        Chain::compile(&[&shape])
            .err()
            .unwrap_or_else(|| panic!("accepted {operation}"))
    };
    for operation in [
        "{ both: [{ remove: /a }] }",
        "{ both: [{ cast: { at: /a, to: string } }] }",
        "{ both: [{ values: { at: /a, map: { x: z, y: z } } }] }",
        "{ request: [{ move: { from: a, to: /b } }] }",
        "{ request: [{ move: { from: /a, to: /a } }] }",
        "{ request: [{ move: { from: /a, to: /a/b } }] }",
        "{ request: [{ move: { from: /x/*/a, to: /y/*/a } }] }",
        "{ request: [{ remove: '' }] }",
        "{ request: [{ values: { at: /a, map: {} } }] }",
        "{ path: orders }",
        "{ path: '/a/{*r}/b' }",
        "{ path: '/a/{id}', to_path: '/b/{other}' }",
        "{ path: '/a/../b' }",
        "{ query: [{ move: { from: /a/b, to: /c } }] }",
        "{ query: [{ cast: { at: /a, to: string } }] }",
    ] {
        let (index, (way, text)) = refusal(operation);
        assert_eq!(
            (index, way[0].as_str()),
            (0, "operations[0]"),
            "{operation}: {text}"
        );
    }
}
