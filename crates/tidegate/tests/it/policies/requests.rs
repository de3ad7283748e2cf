//! What changes or answers requests: `headers`, `rewrite`, `redirect`, `request_id`, `cors`.

use super::{behind, echoing};
use crate::support::{Reply, Upstream};

#[test]
fn headers_change_both_sides() {
    let upstream = Upstream::start(|seen| {
        let reply = Reply::text(format!("{:?}", seen.headers));
        reply
            .header("server", "secret/1.0")
            .header("cache-control", "max-age=5")
    });
    let gateway = behind(
        &upstream,
        "[{ headers: { request: { remove: [x-debug, x-internal-*], set: { x-gate: \"${route.name} ${client.address}\" }, add: { x-more: b } }, \
         response: { remove: [server], set: { x-frame-options: DENY }, default: { cache-control: no-store, x-new: \"1\" } } } }]",
    );
    let fields = [
        "-H",
        "x-debug: 1",
        "-H",
        "x-internal-a: 1",
        "-H",
        "x-more: a",
        "-H",
        "x-gate: forged",
    ];
    let answer = gateway.curl("/", &fields).expect(200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.header("x-gate"), Some("all 127.0.0.1"));
    assert!(seen.header("x-debug").is_none() && seen.header("x-internal-a").is_none());
    let more: Vec<_> = seen
        .headers
        .iter()
        .filter(|(name, _)| name == "x-more")
        .collect();
    assert_eq!(more.len(), 2);
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(
        answer.header("cache-control"),
        Some("max-age=5"),
        "a default yields"
    );
    assert_eq!(answer.header("x-new"), Some("1"));
}

#[test]
fn rewrite_changes_path_query_and_host() {
    let first_line = |policies: &str, path: &str| {
        let echo = echoing(policies).curl(path, &[]).expect(200);
        echo.body.lines().next().unwrap().to_owned()
    };
    let prefix = "[{ rewrite: { prefix: { from: /api, to: / } } }]";
    assert_eq!(first_line(prefix, "/api/orders/7?a=1"), "GET /orders/7?a=1");
    assert_eq!(first_line(prefix, "/apis/orders"), "GET /apis/orders");
    let query = "[{ rewrite: { query: { set: { tenant: \"${route.name}\" }, remove: [debug] } } }]";
    assert_eq!(first_line(query, "/x?debug=1&b=2"), "GET /x?b=2&tenant=all");
    let whole = "[{ rewrite: { path: \"/v2/${params.rest}\" } }]";
    assert_eq!(first_line(whole, "/a/b"), "GET /v2/a/b");
    let regex =
        "[{ rewrite: { regex: { pattern: \"^/item/([0-9]+)$\", replacement: \"/items/$1\" } } }]";
    assert_eq!(first_line(regex, "/item/42"), "GET /items/42");
    let host = echoing("[{ rewrite: { host: inside.test } }]")
        .curl("/", &[])
        .expect(200);
    assert!(host.body.contains("host: inside.test\n"), "{}", host.body);
}

#[test]
fn redirect_sends_callers_elsewhere() {
    let upstream = Upstream::echo();
    let gateway = behind(&upstream, "[{ redirect: { https: true, host: www.test } }]");
    let answer = gateway.curl("/a?b=1", &[]);
    assert!(matches!(answer.status, 301 | 302 | 307 | 308), "{answer:?}");
    assert_eq!(answer.header("location"), Some("https://www.test/a?b=1"));
    assert!(upstream.seen().is_empty(), "the upstream is not called");

    let gateway = behind(
        &upstream,
        "[{ redirect: { path: /new, status: 303, keep_query: false } }]",
    );
    let answer = gateway.curl("/old?b=1", &["-d", "x"]).expect(303);
    assert!(
        answer
            .header("location")
            .is_some_and(|to| to.ends_with("/new")),
        "{answer:?}"
    );
    gateway.curl("/new", &[]).expect(200);
}

#[test]
fn request_id_is_shared_by_caller_and_upstream() {
    let upstream = Upstream::start(|_| Reply::text("").header("x-request-id", "upstreams-own"));
    let gateway = behind(&upstream, "[{ request_id: {} }]");
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let answer = gateway
                .curl("/", &["-H", "x-request-id: callers"])
                .expect(200);
            let id = answer.header("x-request-id").unwrap().to_owned();
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(seen.header("x-request-id"), Some(&*id));
            assert_eq!(
                (id.len(), id.as_bytes()[14]),
                (36, b'7'),
                "a UUID of version 7: {id}"
            );
            id
        })
        .collect();
    assert!(ids[0] < ids[1], "they sort by time");

    let gateway = behind(
        &upstream,
        "[{ request_id: { trust: true } }, { access: { deny: [127.0.0.1] } }]",
    );
    let refused = gateway
        .curl("/", &["-H", "x-request-id: mine-42"])
        .expect(403);
    assert_eq!(
        refused.header("x-request-id"),
        Some("mine-42"),
        "faults carry it too"
    );
}

const CORS: &str = "[{ cors: { origins: [\"https://app.test\", \"https://*.preview.test\"], \
    methods: [GET, PUT], headers: [Authorization], credentials: true, max_age: 10m } }]";

#[test]
fn cors_answers_preflights() {
    let upstream = Upstream::echo();
    let gateway = behind(&upstream, CORS);
    let preflight = |origin: &str| {
        let origin = format!("origin: {origin}");
        let method = "access-control-request-method: PUT";
        let header = "access-control-request-headers: authorization";
        let fields = ["-X", "OPTIONS", "-H", &origin, "-H", method, "-H", header];
        gateway.curl("/", &fields)
    };
    let allowed = preflight("https://app.test").expect(204);
    let says = |name: &str| allowed.header(&format!("access-control-{name}"));
    assert_eq!(says("allow-origin"), Some("https://app.test"));
    assert!(says("allow-methods").is_some_and(|all| all.contains("PUT")));
    assert_eq!(says("allow-credentials"), Some("true"));
    assert_eq!(says("max-age"), Some("600"));
    let preview = preflight("https://a.preview.test");
    let origin = preview.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://a.preview.test"));
    let refused = preflight("https://evil.test");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert!(upstream.seen().is_empty(), "none reaches the upstream");
}

#[test]
fn cors_marks_answers_and_replaces_the_upstreams_own() {
    let upstream =
        Upstream::start(|_| Reply::text("data").header("access-control-allow-origin", "*"));
    let gateway = behind(&upstream, CORS);
    let from = |origin: &str| {
        let origin = format!("origin: {origin}");
        gateway.curl("/", &["-H", &origin]).expect(200)
    };
    let answer = from("https://app.test");
    let origin = answer.header("access-control-allow-origin");
    assert_eq!(origin, Some("https://app.test"));
    let vary = answer.header("vary").unwrap_or_default();
    assert!(vary.to_ascii_lowercase().contains("origin"), "{vary}");
    let stranger = from("https://evil.test");
    assert_eq!(stranger.header("access-control-allow-origin"), None);
}
