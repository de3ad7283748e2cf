//! Precedence and conflicts, as tables.

use super::*;
use gate_kit::http::{Headers, Version};

fn conditions(yaml: &[(&str, &str)]) -> BTreeMap<String, Match> {
    yaml.iter()
        .map(|(name, text)| {
            let document = gate_model::document::Document::parse(text.as_bytes(), "test").unwrap();
            ((*name).to_owned(), document.read(&Path::root()).unwrap())
        })
        .collect()
}

fn request(method: &str, host: &str, target: &str) -> RequestHead {
    RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        authority: host.into(),
        target: target.into(),
        version: Version::Http11,
        headers: Headers::new(),
        upgrade: None,
    }
}

/// The name of the route found, or `-`, or `405`; with its parameters.
fn find(routes: &BTreeMap<String, Match>, request: &RequestHead) -> String {
    let compiled = Routes::compile(routes).unwrap_or_else(|findings| panic!("{findings:?}"));
    let mut parameters = Parameters::default();
    match compiled.find("main", request, &mut parameters) {
        Found::Nothing => "-".into(),
        Found::OtherMethod => "405".into(),
        Found::Route(index) => {
            let mut text = routes.keys().nth(index).unwrap().clone();
            for (name, value) in &parameters.0 {
                text.push_str(&format!(" {name}={value}"));
            }
            text
        }
    }
}

#[test]
fn the_most_specific_route_wins() {
    let routes = conditions(&[
        ("any", "{}"),
        ("prefix", "{ path: '/api/{*rest}' }"),
        ("deeper", "{ path: '/api/v1/{*rest}' }"),
        ("parameter", "{ path: '/api/{version}/users' }"),
        ("exact", "{ path: /api/v1/users }"),
        ("pattern", "{ path_regex: '/files/[0-9]+' }"),
        ("host", "{ host: a.example.com, path: '/api/{*rest}' }"),
        ("wild", "{ host: '*.example.com' }"),
        ("wilder", "{ host: '*.b.example.com' }"),
        ("root", "{ path: / }"),
    ]);
    for (host, target, expected) in [
        ("x", "/api/v1/users", "exact"),
        ("x", "/api/v2/users", "parameter version=v2"),
        ("x", "/api/v1/things/7", "deeper rest=things/7"),
        ("x", "/api/v2/things", "prefix rest=v2/things"),
        ("x", "/api", "prefix rest="),
        ("x", "/api/", "prefix rest="),
        ("x", "/apis", "any"),
        ("x", "/files/42", "pattern"),
        ("x", "/files/42/x", "any"),
        ("x", "/", "root"),
        ("x", "/?q=1", "root"),
        ("A.Example.Com:8443", "/api/v1/users", "host rest=v1/users"),
        ("a.example.com", "/other", "wild"),
        ("c.b.example.com", "/", "wilder"),
        ("b.example.com.", "/", "wild"),
        ("example.com", "/nothing", "any"),
    ] {
        assert_eq!(
            find(&routes, &request("GET", host, target)),
            expected,
            "{host}{target}"
        );
    }
}

#[test]
fn methods_headers_and_query_decide_among_equals() {
    let routes = conditions(&[
        ("get", "{ path: /x, methods: [GET] }"),
        ("post", "{ path: /x, methods: [POST] }"),
        (
            "beta",
            "{ path: /x, methods: [GET], headers: { X-Beta: { equals: '1' } } }",
        ),
        (
            "debug",
            "{ path: /x, methods: [GET], headers: { x-beta: { equals: '1' } }, query: { debug: { present: true } } }",
        ),
    ]);
    let mut with_header = request("GET", "h", "/x");
    with_header.headers.append(b"x-beta", b"1");
    let mut both = request("GET", "h", "/x?a=1&debug");
    both.headers.append(b"X-BETA", b"1");
    assert_eq!(find(&routes, &request("GET", "h", "/x")), "get");
    assert_eq!(find(&routes, &request("HEAD", "h", "/x")), "get");
    assert_eq!(find(&routes, &request("POST", "h", "/x")), "post");
    assert_eq!(find(&routes, &request("DELETE", "h", "/x")), "405");
    assert_eq!(find(&routes, &request("DELETE", "h", "/y")), "-");
    assert_eq!(find(&routes, &with_header), "beta");
    assert_eq!(find(&routes, &both), "debug");
}

#[test]
fn routes_that_could_tie_are_refused() {
    for (a, b, conflict) in [
        ("{ path: /x }", "{ path: /x }", true),
        ("{ path: '/{a}' }", "{ path: '/{b}' }", true),
        (
            "{ path: /x, methods: [GET] }",
            "{ path: /x, methods: [POST] }",
            false,
        ),
        (
            "{ path: /x, methods: [GET] }",
            "{ path: /x, methods: [POST, GET] }",
            true,
        ),
        ("{ path: /x, methods: [GET] }", "{ path: /x }", false),
        (
            "{ path: /x, headers: { a: { equals: '1' } } }",
            "{ path: /x, headers: { a: { equals: '2' } } }",
            false,
        ),
        (
            "{ path: /x, headers: { a: { equals: '1' } } }",
            "{ path: /x, headers: { b: { equals: '1' } } }",
            true,
        ),
        ("{ host: a.b }", "{ host: c.b }", false),
        ("{ path_regex: /x }", "{ path_regex: /x }", true),
        (
            "{ path: /x, listeners: [a] }",
            "{ path: /x, listeners: [b] }",
            false,
        ),
    ] {
        let result = Routes::compile(&conditions(&[("a", a), ("b", b)]));
        assert_eq!(result.is_err(), conflict, "{a} and {b}");
    }
}

#[test]
fn what_cannot_be_compiled_is_reported_where_it_stands() {
    for (text, code, at) in [
        ("{ path: x }", "invalid_path", "routes.r.match.path"),
        (
            "{ path: '/{a}/{a}' }",
            "invalid_path",
            "routes.r.match.path",
        ),
        (
            "{ path: '/{*rest}/x' }",
            "invalid_path",
            "routes.r.match.path",
        ),
        ("{ path: '/x{id}' }", "invalid_path", "routes.r.match.path"),
        (
            "{ path_regex: '(' }",
            "invalid_regex",
            "routes.r.match.path_regex",
        ),
        (
            "{ methods: ['G T'] }",
            "invalid_method",
            "routes.r.match.methods[0]",
        ),
        ("{ host: '*' }", "invalid_host", "routes.r.match.host"),
        (
            "{ headers: { a: { regex: '[' } } }",
            "invalid_regex",
            "routes.r.match.headers.a.regex",
        ),
    ] {
        let findings = Routes::compile(&conditions(&[("r", text)]))
            .err()
            .expect(text);
        assert_eq!(
            (findings[0].code, findings[0].path.to_string().as_str()),
            (code, at),
            "{text}"
        );
    }
}
