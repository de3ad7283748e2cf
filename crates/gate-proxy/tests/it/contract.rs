//! APIs through a gateway: routes that follow from a document, and what holds them.

use crate::support::{Answer, Gateway};
use std::io::Write;

const DOCUMENT: &str = r#"
openapi: 3.0.3
info: { title: Shop, version: 1.0.0 }
servers: [{ url: https://shop.example.com/v1 }]
paths:
  /orders/{order-id}:
    get:
      operationId: getOrder
      parameters: [{ name: order-id, in: path, required: true, schema: { type: integer } }]
  /reports/{name}.csv:
    get: { parameters: [{ name: name, in: path, required: true, schema: { type: string, maxLength: 3 } }] }
  /orders:
    post:
      requestBody: { required: true, content: { application/json: { schema: { type: object, required: [sku] } } } }
"#;

fn with(settings: &str, routes: &str) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         apis:\n  shop:\n    openapi: {{ file: shop.yaml }}\n    target: {{ fixed: {{ status: 200, body: made }} }}\n{settings}\n{routes}\n"
    )
}

fn start(document: &str, yaml: &str) -> Result<(Gateway, tempfile::TempDir), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("shop.yaml")).unwrap();
    file.write_all(document.as_bytes()).unwrap();
    let gateway = Gateway::start_with_files(folder.path(), yaml);
    gateway
        .map(|gateway| (gateway, folder))
        .map_err(|error| error.to_string())
}

fn post(gateway: &Gateway, target: &str, body: &str) -> Answer {
    let length = body.len();
    gateway.send(&format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn operations_are_routes_and_the_rest_is_not_served() {
    let (gateway, _folder) = start(DOCUMENT, &with("", "")).unwrap_or_else(|e| panic!("{e}"));
    for (target, status) in [
        ("/v1/orders/7", 200),
        ("/v1/orders/x", 400),
        ("/v1/reports/abc.csv", 200),
        ("/v1/reports/abcd.csv", 400),
        ("/v1/reports/abc.pdf", 404),
        ("/orders/7", 404),
        ("/v1/orders", 405),
    ] {
        assert_eq!(gateway.get(target).status, status, "{target}");
    }
    assert_eq!(post(&gateway, "/v1/orders", r#"{"sku":1}"#).text(), "made");
    let refused = post(&gateway, "/v1/orders", "{}");
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .text()
            .contains(r#""errors":[{"detail":"is required","in":"body","pointer":"/sku"}]"#),
        "{}",
        refused.text()
    );
    let metrics = gateway.metrics();
    for line in [
        r#"tidegate_contract_messages_total{api="shop",operation="getOrder",side="request",outcome="kept"} 1"#,
        r#"tidegate_contract_messages_total{api="shop",operation="POST /orders",side="request",outcome="broken"} 1"#,
        r#"route="shop.post_orders""#,
        r#"route="shop.getOrder""#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn policies_of_an_api_count_for_all_of_it() {
    let settings = "    base: /\n    policies: [{ limit: { by: address, rates: [2/h] } }, { cors: { origins: ['https://app.example.com'] } }]";
    let (gateway, _folder) = start(DOCUMENT, &with(settings, "")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gateway.get("/orders/7").status, 200);
    assert_eq!(post(&gateway, "/orders", r#"{"sku":1}"#).status, 200);
    assert_eq!(gateway.get("/orders/7").status, 429, "two of any operation");
}

#[test]
fn preflights_are_answered() {
    let settings =
        "    policies: [{ cors: { origins: ['https://app.example.com'], methods: [GET] } }]";
    let (gateway, _folder) = start(DOCUMENT, &with(settings, "")).unwrap_or_else(|e| panic!("{e}"));
    let answer = gateway.send("OPTIONS /v1/orders/7 HTTP/1.1\r\nhost: test\r\norigin: https://app.example.com\r\naccess-control-request-method: GET\r\n\r\n");
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
}

#[test]
fn what_is_wrong_with_a_contract_is_told_once_and_where() {
    for (document, settings, routes, expected) in [
        (
            DOCUMENT.replace("maxLength: 3", "pattern: '^(?=a)'"),
            "",
            "",
            "the schema cannot be compiled",
        ),
        (
            DOCUMENT.replace("/orders/{order-id}", "orders"),
            "",
            "",
            "a path begins with `/`",
        ),
        (
            DOCUMENT.replace("openapi: 3.0.3", "swagger: '2.0'"),
            "",
            "",
            "Swagger 2.0",
        ),
        (DOCUMENT.to_owned(), "    base: v1", "", "`v1` is no path"),
        (
            DOCUMENT.to_owned(),
            "    policies: [{ nonsense: {} }]",
            "",
            "there is no policy `nonsense`",
        ),
        (
            DOCUMENT.to_owned(),
            "",
            "routes: { shop: { target: { fixed: { status: 200 } } } }",
            "both named `shop`",
        ),
        (
            DOCUMENT.to_owned(),
            "",
            "routes: { p: { match: { path: /p }, target: { portal: [shop] } } }",
            "ends in a parameter for any rest",
        ),
        (
            DOCUMENT.to_owned(),
            "",
            "routes: { p: { match: { path: '/p/{*rest}' }, target: { portal: [nobody] } } }",
            "there is no API `nobody`",
        ),
    ] {
        let error = start(&document, &with(settings, routes))
            .err()
            .expect(expected);
        assert_eq!(error.matches(expected).count(), 1, "{expected}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = Gateway::start_with_files(folder.path(), &with("", "")).err();
    assert!(error.is_some(), "the file is not there");
}

const KEYS: &str = "consumers: { ann: { team: shop, keys: [{ sha256: 849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4, id: laptop }] } }\n\
    routes:\n  developers:\n    match: { path: '/developers/{*rest}' }\n    policies: [{ auth_key: {} }]\n    target: { portal: [shop] }";

#[test]
fn the_portal_is_served_by_the_gateway_itself() {
    let routes = KEYS.replace("policies: [{ auth_key: {} }]\n    ", "");
    let (gateway, _folder) = start(DOCUMENT, &with("", &routes)).unwrap_or_else(|e| panic!("{e}"));
    let page = gateway.get("/developers/");
    assert_eq!(page.status, 200);
    assert!(
        !page.text().contains("http"),
        "it loads nothing from elsewhere"
    );
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    for (path, status) in [
        ("/developers/page.js", 200),
        ("/developers/page.css", 200),
        ("/developers/apis.json", 200),
        ("/developers/apis/shop/openapi.json", 200),
        ("/developers/apis/other/openapi.json", 404),
        ("/developers/me.json/x", 404),
    ] {
        assert_eq!(gateway.get(path).status, status, "{path}");
    }
    let apis = gateway.get("/developers/apis.json");
    assert!(apis.text().contains(r#""base":"/v1""#), "{}", apis.text());
    assert_eq!(
        gateway.get("/developers/me.json").text(),
        r#"{"consumer":null}"#
    );
    assert_eq!(post(&gateway, "/developers/", "{}").status, 405);
}

#[test]
fn callers_see_their_own_keys_and_usage_only() {
    let settings = "    policies: [{ auth_key: {} }]";
    let (gateway, _folder) =
        start(DOCUMENT, &with(settings, KEYS)).unwrap_or_else(|e| panic!("{e}"));
    let get = |path: &str| {
        gateway.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer tg_example\r\n\r\n"
        ))
    };
    assert_eq!(gateway.get("/developers/me.json").status, 401);
    assert_eq!(get("/v1/orders/7").status, 200);
    assert_eq!(get("/v1/orders/x").status, 400);
    let me = get("/developers/me.json");
    assert_eq!(me.header("cache-control"), Some("no-store"));
    let text = me.text();
    let start = r#"{"consumer":"ann","team":"shop","keys":[{"name":"laptop","sha256_prefix":"849bcdf2","expires":null}],"usage":[{"api":"shop","requests":2,"broken":1,"last_unix_s":"#;
    assert!(text.starts_with(start), "{text}");
}
