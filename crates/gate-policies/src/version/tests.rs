//! What callers of each version get.

use super::*;
use crate::testing::{Harness, VerdictExt, response};
use gate_kit::http::{Body, Chunk, HeaderId};
use gate_model::document::{Document, canonical_json};

/// 2026-11-22T12:00:00Z.
const NOW_S: u64 = 1_795_348_800;

const VERSIONS: &str = "
    by: [{ header: Api-Version }, { query: v }, { path: { segment: 1, strip: true } },
         { media_type: { vendor: vnd.acme.orders.v } }]
    unnamed: { range: ^2 }
    pinned: { legacy: ^1 }
    answer: Api-Version
    list:
      0.9.0: { stage: retired, links: { successor: /docs/2 } }
      1.0.0:
        deprecated_at: 2026-06-01
        sunset_at: 2027-01-31
        brownouts: [{ from: 2026-11-25, until: 2026-12-10, every: 1d, lasts: 1h }]
        links: { deprecation: 'https://example.com/moving' }
        shape:
          onto: 2.0.0
          operations:
            - path: /purchases/{id}
              to_path: /orders/{id}
              both: [{ move: { from: /name, to: /customer/name } }]
      2.0.0: {}
";

fn harness() -> Harness {
    let versions = Document::parse(VERSIONS.as_bytes(), "v.yaml").expect("valid YAML");
    let versions = canonical_json(&versions.root);
    Harness::new().resources(&format!(
        "apis: {{ orders: {{ openapi: {{ inline: {{}} }}, target: {{ api: orders }}, \
         versions: {versions} }} }}"
    ))
}

fn exchange(harness: &Harness, head: &str, body: &str) -> Exchange {
    let mut exchange = harness.exchange(head);
    exchange.record.started_unix = Duration::from_secs(NOW_S);
    if !body.is_empty() {
        exchange.request.body = Body::from(Chunk::Shared(body.as_bytes().to_vec().into()));
    }
    exchange
}

fn body(harness: &Harness, body: &mut Body) -> Vec<u8> {
    let whole = harness.block_on(body.collect(1 << 20)).expect("a body");
    whole.into_bytes().to_vec()
}

fn version(exchange: &Exchange) -> String {
    let facts = exchange.record.api.as_deref().expect("facts");
    facts.version.as_deref().unwrap_or("none").to_owned()
}

fn fields(exchange: &Exchange, name: &str) -> Vec<String> {
    let values = exchange.response_headers.all_named(name);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn the_version_is_found_wherever_it_may_be_named() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    for (head, expected, target) in [
        ("GET /a", "2.0.0", "/a"),
        ("GET /a\nApi-Version: 1", "1.0.0", "/a"),
        ("GET /a\nApi-Version: >=1 <3", "2.0.0", "/a"),
        (
            "GET /a?x=1&v=%3E%3D1+%3C2",
            "1.0.0",
            "/a?x=1&v=%3E%3D1+%3C2",
        ),
        ("GET /v1/a?x", "1.0.0", "/a?x"),
        ("GET /1.0.0", "1.0.0", "/"),
        ("GET /victory", "2.0.0", "/victory"),
        (
            "GET /a\nAccept: text/html, application/vnd.acme.orders.v1+json",
            "1.0.0",
            "/a",
        ),
        (
            "POST /a\nContent-Type: application/vnd.acme.orders.v1+json",
            "1.0.0",
            "/a",
        ),
        // The first place that names one counts.
        ("GET /v1/a\nApi-Version: 2", "2.0.0", "/a"),
    ] {
        let mut exchange = exchange(&harness, head, "");
        assert!(harness.request(&policy, &mut exchange).is_next(), "{head}");
        assert_eq!(version(&exchange), expected, "{head}");
        assert_eq!(exchange.request.head.target, target, "{head}");
        assert_eq!(fields(&exchange, "Api-Version"), [expected]);
        assert_eq!(
            fields(&exchange, "Vary"),
            ["Api-Version, Accept, Content-Type"]
        );
    }
}

#[test]
fn who_is_pinned_stays_where_they_are() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    let mut pinned = exchange(&harness, "GET /a", "");
    let caller = gate_flow::Caller {
        name: "legacy".into(),
        ..gate_flow::Caller::default()
    };
    pinned.caller = Some(Arc::new(caller));
    assert!(harness.request(&policy, &mut pinned).is_next());
    assert_eq!(version(&pinned), "1.0.0");
}

#[test]
fn a_deprecated_version_says_when_it_ends() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    let mut exchange = exchange(&harness, "GET /a\nApi-Version: 1", "");
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(fields(&exchange, "Deprecation"), ["@1780272000"]);
    assert_eq!(
        fields(&exchange, "Sunset"),
        ["Sun, 31 Jan 2027 00:00:00 GMT"]
    );
    assert_eq!(
        fields(&exchange, "Link"),
        ["<https://example.com/moving>; rel=\"deprecation\"; type=\"text/html\""]
    );
    // What the service says of it does not count, its links do.
    let own = [
        ("Sunset", "Mon, 01 Jan 2035 00:00:00 GMT"),
        ("Link", "</next>; rel=next"),
    ];
    let answer = harness.respond(&policy, &mut exchange, response(200, &own, Body::Empty));
    assert_eq!(answer.head.headers.all_named("Sunset").count(), 1);
    assert_eq!(answer.head.headers.all_named("Link").count(), 2);
}

#[test]
fn windows_and_retirement_refuse() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    // 2026-11-26T00:20:00Z lies in a window that ends at one.
    let mut paused = exchange(&harness, "GET /a\nApi-Version: 1", "");
    paused.record.started_unix = Duration::from_secs(1_795_651_200 + 1_200);
    let fault = harness
        .request(&policy, &mut paused)
        .refused()
        .expect("a fault");
    assert_eq!(fault.code, FaultCode::ApiVersionPaused);
    assert_eq!(fault.retry_after, Some(Duration::from_secs(2_400)));
    assert!(
        paused
            .record
            .api
            .as_ref()
            .is_some_and(|facts| facts.refused)
    );
    assert_eq!(fields(&paused, "Sunset").len(), 1);
    let mut after = exchange(&harness, "GET /a\nApi-Version: 1", "");
    after.record.started_unix = Duration::from_secs(1_795_651_200 + 3_600);
    assert!(harness.request(&policy, &mut after).is_next());
    for (head, at, code, words) in [
        (
            "GET /a\nApi-Version: 0.9",
            NOW_S,
            FaultCode::ApiVersionRetired,
            "It offers 2.0.0, 1.0.0.",
        ),
        (
            "GET /a\nApi-Version: 1",
            1_801_353_600,
            FaultCode::ApiVersionRetired,
            "It offers 2.0.0.",
        ),
        (
            "GET /a\nApi-Version: 3",
            NOW_S,
            FaultCode::ApiVersionUnknown,
            "It offers 2.0.0, 1.0.0.",
        ),
        (
            "GET /a\nApi-Version: new",
            NOW_S,
            FaultCode::ApiVersionUnknown,
            "cannot be read",
        ),
    ] {
        let mut exchange = exchange(&harness, head, "");
        exchange.record.started_unix = Duration::from_secs(at);
        let fault = harness
            .request(&policy, &mut exchange)
            .refused()
            .expect("a fault");
        assert_eq!(fault.code, code, "{head}");
        assert!(fault.message.contains(words), "{}", fault.message);
        let links = usize::from(head.ends_with("0.9") || at != NOW_S);
        assert_eq!(fields(&exchange, "Link").len(), links, "{head}");
    }
}

#[test]
fn an_old_version_lives_on_a_newer_service() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    let head = "POST /v1/purchases/7\nContent-Type: application/json\nAccept-Encoding: gzip\n\
                Range: bytes=0-1\nContent-Digest: x";
    let mut exchange = exchange(&harness, head, r#"{"name":"Ada","total":1.10}"#);
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(exchange.request.head.target, "/orders/7");
    let headers = &exchange.request.head.headers;
    for gone in ["Accept-Encoding", "Range", "Content-Digest"] {
        assert!(headers.get_named(gone).is_none(), "{gone}");
    }
    let sent = body(&harness, &mut exchange.request.body);
    assert_eq!(sent, br#"{"total":1.10,"customer":{"name":"Ada"}}"#);
    let json = [
        ("Content-Type", "application/problem+json"),
        ("Digest", "x"),
    ];
    let text = r#"{"id":7,"customer":{"name":"Ada"}}"#;
    let answer = response(
        200,
        &json,
        Body::from(Chunk::Shared(text.as_bytes().to_vec().into())),
    );
    let mut answer = harness.respond(&policy, &mut exchange, answer);
    assert_eq!(
        body(&harness, &mut answer.body),
        br#"{"id":7,"name":"Ada"}"#
    );
    assert!(answer.head.headers.get_named("Digest").is_none());
    assert_eq!(answer.head.headers.get(HeaderId::ContentLength), None);
}

#[test]
fn bodies_that_cannot_be_turned_are_refused() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    for (more, body) in [
        ("", "{\"a\":1,\"a\":2}"),
        ("", "{"),
        ("\nContent-Encoding: gzip", "x"),
        ("\nContent-Encoding: gzip, br", "{}"),
    ] {
        let head = format!("POST /v1/purchases/7\nContent-Type: application/json{more}");
        let mut exchange = exchange(&harness, &head, body);
        let fault = harness
            .request(&policy, &mut exchange)
            .refused()
            .expect("a fault");
        assert_eq!(fault.code, FaultCode::InvalidBody, "{body}");
    }
    // What is no JSON passes.
    let head = "POST /v1/purchases/7\nContent-Type: text/plain";
    let mut plain = exchange(&harness, head, "{");
    assert!(harness.request(&policy, &mut plain).is_next());
    assert_eq!(body(&harness, &mut plain.request.body), b"{");
}

#[test]
fn settings_that_cannot_act_are_refused() {
    let harness = harness();
    let refusal = |harness: &Harness, settings: &str| {
        harness
            .compile::<ChooseVersion>(settings)
            .err()
            .expect(settings)
            .to_string()
    };
    assert!(refusal(&harness, "api: order").contains("did you mean `orders`"));
    let none =
        Harness::new().resources("apis: { a: { openapi: { inline: {} }, target: { api: a } } }");
    assert!(refusal(&none, "api: a").contains("lists no `versions`"));
    for (by, words) in [
        ("[{ header: 'a b' }]", "no header name"),
        ("[{ path: { segment: 0 } }]", "from 1 to 64"),
        ("[{ media_type: {} }]", "exactly one"),
        (
            "[{ media_type: { vendor: a, parameter: b } }]",
            "exactly one",
        ),
    ] {
        let resources = format!(
            "apis: {{ a: {{ openapi: {{ inline: {{}} }}, target: {{ api: a }}, \
             versions: {{ by: {by}, list: {{ 1.0.0: {{}} }} }} }} }}"
        );
        let text = refusal(&Harness::new().resources(&resources), "api: a");
        assert!(text.contains(words), "{by}: {text}");
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn bodies_that_are_coded_are_unpacked_within_the_limit() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    let head = "POST /v1/purchases/7\nContent-Type: application/json\nContent-Encoding: gzip\nContent-Digest: x";
    let with = |bytes: Vec<u8>| {
        let mut exchange = exchange(&harness, head, "");
        exchange.request.body = Body::from(Chunk::Shared(bytes.into()));
        exchange
    };
    let mut sent = with(gzip(br#"{"name":"Ada"}"#));
    assert!(harness.request(&policy, &mut sent).is_next());
    let headers = &sent.request.head.headers;
    assert!(headers.get(HeaderId::ContentEncoding).is_none());
    assert!(headers.get_named("Content-Digest").is_none());
    assert_eq!(
        body(&harness, &mut sent.request.body),
        br#"{"customer":{"name":"Ada"}}"#
    );
    let coded = [
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("ETag", "\"of-the-service\""),
        ("Accept-Ranges", "bytes"),
    ];
    let text = gzip(br#"{"customer":{"name":"Ada"}}"#);
    let answer = response(200, &coded, Body::from(Chunk::Shared(text.into())));
    let mut answer = harness.respond(&policy, &mut sent, answer);
    assert_eq!(body(&harness, &mut answer.body), br#"{"name":"Ada"}"#);
    let field = |name: &str| answer.head.headers.get_named(name).map(<[u8]>::to_vec);
    assert_eq!(field("Content-Encoding"), None);
    assert_eq!(field("Accept-Ranges"), None);
    assert_eq!(field("ETag"), Some(b"W/\"of-the-service\"".to_vec()));
    // A few bytes that become many.
    let mut bomb = with(gzip(&vec![b' '; 64 << 20]));
    let fault = harness.request(&policy, &mut bomb).refused();
    assert_eq!(fault.expect("a fault").code, FaultCode::BodyTooLarge);
}

#[test]
fn validators_are_weak_for_callers_and_the_services_own_for_the_service() {
    let harness = harness();
    let policy = harness.policy::<ChooseVersion>("api: orders");
    let head = "PUT /v1/purchases/7\nContent-Type: application/json\nIf-Match: W/\"a\", \"b\"";
    let mut exchange = exchange(&harness, head, r#"{"name":"Ada"}"#);
    assert!(harness.request(&policy, &mut exchange).is_next());
    let sent = exchange.request.head.headers.get_named("If-Match");
    assert_eq!(sent, Some(&b"\"a\", \"b\""[..]));
    let answer = response(304, &[("ETag", "\"a\"")], Body::Empty);
    let answer = harness.respond(&policy, &mut exchange, answer);
    let told = answer.head.headers.get_named("ETag");
    assert_eq!(told, Some(&b"W/\"a\""[..]));
}
