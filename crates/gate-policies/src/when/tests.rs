//! Conditions on exchanges: refusals at compile time first, then values.

use super::*;
use crate::testing::Harness;
use gate_flow::{Caller, Policy, Route, Step, Verdict, run_request};
use gate_kit::http::Body;
use gate_model::fault::FaultCode;

fn refusal(expression: &str) -> String {
    let finding = compile(expression).err();
    finding
        .unwrap_or_else(|| panic!("accepted {expression}"))
        .to_string()
}

fn holds(exchange: &Exchange, expression: &str) -> Result<bool, String> {
    let condition = compile(expression);
    condition
        .unwrap_or_else(|finding| panic!("{expression}: {finding}"))
        .holds(exchange)
}

#[test]
fn mistakes_are_found_before_any_request() {
    let deep = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    let wide = format!("1 in [{}]", vec!["1"; 300].join(","));
    for (expression, message) in [
        ("", "no CEL expression"),
        ("request.method ==", "no CEL expression"),
        (&deep, "no CEL expression"),
        (&wide, "more than 256 parts"),
        (
            &format!("request.path == '{}'", "x".repeat(2048)),
            "longer than 2048 bytes",
        ),
        ("request.metod == 'GET'", "did you mean `request.method`"),
        ("request == 1", "there is no variable `request`"),
        ("method == 'GET'", "there is no variable `method`"),
        ("user.name == 'x'", "the variables are request.method"),
        ("request.path.x == 'y'", "`request.path` has no `x`"),
        ("request.headers.x.y == 'z'", "has no `x`"),
        ("request.path.startWith('/a')", "did you mean `startsWith`"),
        ("now() > 1", "there is no function `now`"),
        ("request.path", "is a string, no bool"),
        ("request.size + 1", "is an int, no bool"),
        ("request.headers", "is a map, no bool"),
        ("[1, 2].map(x, x)", "is a list, no bool"),
        ("request.path && true", "`&&` is given a string"),
        ("!request.size", "is given an int"),
        ("request.size == '1'", "an int never equals a string"),
        ("'a' in request.path", "`in` looks into a string"),
        ("request.headers[1] == 'a'", "a map is asked for an int"),
        (
            "request.path.matches(request.method)",
            "written as a constant",
        ),
        ("request.path.matches('(')", "not valid"),
        ("request.path.matches('(a{1000}){1000}')", "not valid"),
        (
            "request.headers.all(a, request.headers.all(b, a == b))",
            "cannot be nested",
        ),
        ("has(request.size)", "is always there"),
        ("has(request.sise)", "did you mean `request.size`"),
        ("request.headers[?'a'].hasValue()", ""),
    ] {
        let finding = refusal(expression);
        assert!(finding.contains(message), "{expression}: {finding}");
    }
}

fn sample(harness: &Harness) -> Exchange {
    let mut exchange = harness.exchange(
        "POST /a/b?x=1&y=a%20b&x=2&flag\nhost: API.example.com:8443\nX-Debug: 1\nx-many: a\nX-Many: b",
    );
    exchange.address = "::ffff:10.1.2.3".parse().unwrap();
    exchange.request.body = Body::Full("12345".into());
    exchange.parameters.0.push(("id".into(), "b".to_owned()));
    exchange
}

#[test]
fn variables_have_their_values() {
    let harness = Harness::new();
    let mut exchange = sample(&harness);
    for expression in [
        "request.method == 'POST'",
        "request.host == 'api.example.com'",
        "request.path == '/a/b' && request.path.startsWith('/a') && request.path.endsWith('b')",
        "request.path.contains('/') && request.path.matches('^/a/[a-z]$')",
        "matches(request.path, 'b$') && !matches(request.path, '^b')",
        "request.scheme == 'https' && request.size == 5 && request.size < 6",
        "request.query.x == '1' && request.query['y'] == 'a b' && 'flag' in request.query",
        "size(request.query) == 3 && size(request.headers) == 2",
        "request.headers['x-debug'] == '1' && request.headers['x-many'] == 'a, b'",
        "has(request.query.x) && !has(request.query.z) && has(params.id)",
        "'x-debug' in request.headers && !('x-none' in request.headers)",
        "request.headers['x-none'] == '' && request.query.none == '' && params.none == ''",
        "request.headers.exists(name, name.startsWith('x-m') && request.headers[name] == 'a, b')",
        "request.headers.all(name, name in ['x-debug', 'x-many'])",
        "client.address == '10.1.2.3'",
        "consumer.name == '' && consumer.team == '' && !consumer.name.startsWith('a')",
        "route.name == 'r' && params.id == 'b' && params['id'] == 'b'",
        "request.method in ['GET', 'POST'] ? true : false",
        "int(request.query.x) == 1 && string(request.size) == '5'",
    ] {
        assert_eq!(holds(&exchange, expression), Ok(true), "{expression}");
        assert_eq!(
            holds(&exchange, &format!("!({expression})")),
            Ok(false),
            "{expression}"
        );
    }
    exchange.caller = Some(Arc::new(Caller {
        name: "shop".into(),
        team: Some("sales".into()),
        ..Caller::default()
    }));
    assert_eq!(
        holds(
            &exchange,
            "consumer.name == 'shop' && consumer.team == 'sales'"
        ),
        Ok(true)
    );
}

#[test]
fn a_condition_without_a_value_says_why_and_shows_no_values() {
    let harness = Harness::new();
    let mut exchange = sample(&harness);
    exchange.request.head.headers.append(b"x-key", b"secret");
    for (expression, reason) in [
        ("int(request.headers['x-key']) > 1", "`int` failed"),
        ("1 / (request.size - 5) == 1", "division by zero"),
        ("request.headers['x-key'] > 1", ""),
        ("[1][request.size] == 1", "out of bounds"),
        ("{'a': true}[request.headers['x-key']]", "no such key"),
        ("{'a': 1}['a']", "is a int, no bool"),
    ] {
        let error = holds(&exchange, expression).expect_err(expression);
        assert!(error.contains(reason), "{expression}: {error}");
        assert!(!error.contains("secret"), "{expression}: {error}");
    }
}

struct Refuses;

impl Policy for Refuses {
    fn request<'a>(&'a self, _: &'a mut Exchange) -> Verdict<'a> {
        Verdict::refuse(FaultCode::Forbidden)
    }
}

#[test]
fn a_step_applies_when_its_condition_holds_and_fails_closed() {
    let harness = Harness::new();
    let route = |expression: &str| Route {
        name: "r".into(),
        steps: vec![Step {
            name: "refuses",
            when: Some(compile(expression).expect(expression)),
            policy: Arc::new(Refuses),
        }],
        target: Box::new(crate::testing::NoTarget),
        objectives: None,
    };
    for (expression, code) in [
        ("request.method == 'POST'", Some(FaultCode::Forbidden)),
        ("request.method == 'GET'", None),
        ("1 / (request.size - 5) == 1", Some(FaultCode::PolicyFailed)),
    ] {
        let mut exchange = sample(&harness);
        let route = route(expression);
        let mut passed = Default::default();
        let result = harness.block_on(run_request(&route.steps, &mut exchange, &mut passed));
        assert_eq!(result.err().map(|fault| fault.code), code, "{expression}");
    }
}

#[test]
fn what_a_condition_reads_is_known() {
    let reads = |text: &str| compile(text).expect(text).reads();
    let plain = reads("request.method == 'GET' && params.id != '' && consumer.team == 'a'");
    assert_eq!(plain, gate_flow::Reads::default());
    let text = "request.headers['x-a'] == '1' || has(request.headers.b) || request.query.page == '2' \
                || 'q' in request.query || request.headers.c.matches('^a')";
    let some = reads(text);
    assert_eq!(
        some.headers.into_iter().collect::<Vec<_>>(),
        ["b", "c", "x-a"]
    );
    assert_eq!(
        some.parameters.into_iter().collect::<Vec<_>>(),
        ["page", "q"]
    );
    assert!(some.beyond.is_empty());
    for all in [
        "request.headers.exists(name, name.startsWith('x-'))",
        "size(request.headers) > 3",
        "request.headers[request.method] == 'x'",
        "request.method in request.headers",
    ] {
        assert!(reads(all).beyond.contains("every header"), "{all}");
    }
    let ai = compile_for_models("ai.tokens > 5").expect("valid").reads();
    assert!(ai.beyond.contains("what a call asks for"));
}
