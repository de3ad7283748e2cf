//! How much, how long, to whom else, and when: `limit`, `timeout`, `mirror`, `when`.

use super::{behind, echoing};
use crate::support::{Gateway, Reply, Upstream, eventually};
use std::time::{Duration, Instant};

#[test]
fn limit_counts_callers_apart_and_says_when_to_come_back() {
    let gateway = echoing("[{ auth_key: {} }, { limit: { by: consumer, rate: 3/m } }]");
    let call = |key: &str| gateway.curl("/", &["-H", &format!("x-api-key: {key}")]);
    for left in ["2", "1", "0"] {
        let answer = call("open-sesame").expect(200);
        let policy = answer.header("ratelimit-policy").unwrap();
        assert!(
            policy.contains("q=3") && policy.contains("w=60"),
            "{policy}"
        );
        let standing = answer.header("ratelimit").unwrap();
        assert!(standing.contains(&format!("r={left}")), "{standing}");
    }
    let refused = call("open-sesame").expect(429);
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "one every 20 seconds: {wait}");
    call("other-key").expect(200);
}

#[test]
fn limit_lets_callers_in_again_and_survives_a_reload() {
    let gateway = echoing("[{ limit: { by: header, header: x-tenant, rate: 1/s } }]");
    let call = |tenant: &str| {
        gateway
            .curl("/", &["-H", &format!("x-tenant: {tenant}")])
            .status
    };
    assert_eq!(call("a"), 200);
    assert_eq!(call("a"), 429);
    assert_eq!(call("b"), 200);
    eventually("a second later there is room", || call("a") == 200);

    let gateway = echoing("[{ limit: { by: address, rate: 1/h } }]");
    gateway.curl("/", &[]).expect(200);
    gateway.process.signal(rustix::process::Signal::HUP);
    gateway.process.line_with("\"revision\":2");
    let refused = gateway.curl("/", &[]);
    assert_eq!(refused.status, 429, "a reload forgives nothing");
}

#[test]
fn timeout_ends_what_takes_too_long() {
    let upstream = Upstream::start(|seen| {
        let pause = if seen.target == "/slow" { 10 } else { 0 };
        Reply::text("done").after(Duration::from_secs(pause))
    });
    let gateway = behind(
        &upstream,
        "[{ timeout: { total: 500ms, header: x-request-timeout } }]",
    );
    gateway.curl("/", &[]).expect(200);
    let start = Instant::now();
    let late = gateway.curl("/slow", &[]).expect(504);
    assert_eq!(late.json()["code"], "upstream_timeout");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(450) && took < Duration::from_secs(8),
        "{took:?}"
    );
    let impatient = gateway
        .curl("/slow", &["-H", "x-request-timeout: 100ms"])
        .expect(504);
    assert_eq!(impatient.json()["code"], "upstream_timeout");
    gateway
        .curl("/", &["-H", "x-request-timeout: soon"])
        .expect(400);
}

#[test]
fn mirror_copies_and_never_delays() {
    // Twenty seconds are longer than anything here waits for.
    let shadow = Upstream::start(|_| Reply::text("late").after(Duration::from_secs(20)));
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }}, shadow: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, policies: [{{ mirror: {{ upstream: shadow }} }}], target: {{ upstream: up }} }} }}\n",
        upstream.address, shadow.address
    ));
    let start = Instant::now();
    let body = ["-d", "the body", "-H", "authorization: Bearer stays-here"];
    for _ in 0..5 {
        let echo = gateway.curl("/orders?a=1", &body).expect(200);
        assert!(echo.body.ends_with("the body"));
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    eventually("every copy arrives", || shadow.seen().len() == 5);
    let copy = shadow.seen().pop().unwrap();
    assert_eq!(
        (&*copy.method, &*copy.target, &*copy.body),
        ("POST", "/orders?a=1", &b"the body"[..])
    );
    assert_eq!(copy.header("x-tidegate-mirror"), Some("1"));
    assert_eq!(copy.header("authorization"), None);
    assert_eq!(upstream.seen().len(), 5);
}

#[test]
fn mirror_to_nobody_harms_nobody() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ up: {{ endpoints: [\"{}\"] }}, shadow: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, policies: [{{ mirror: {{ upstream: shadow }} }}], target: {{ upstream: up }} }} }}\n",
        upstream.address
    ));
    for _ in 0..10 {
        gateway.curl("/", &[]).expect(200);
    }
}

#[test]
fn when_decides_whether_a_policy_acts() {
    let acts = |when: &str, path: &str, arguments: &[&str]| {
        let quoted = when.replace('\'', "''");
        let gateway = echoing(&format!(
            "[{{ auth_key: {{ optional: true }} }}, {{ headers: {{ response: {{ set: {{ x-acted: \"yes\" }} }} }}, when: '{quoted}' }}]"
        ));
        let answer = gateway.curl(path, arguments).expect(200);
        answer.header("x-acted").is_some()
    };
    let method = "request.method == \"POST\"";
    assert!(acts(method, "/", &["-d", "x"]));
    assert!(!acts(method, "/", &[]));
    let header = "\"x-debug\" in request.headers && request.headers[\"x-debug\"] == \"1\"";
    assert!(acts(header, "/", &["-H", "X-Debug: 1"]));
    assert!(!acts(header, "/", &["-H", "X-Debug: 2"]));
    let query = "request.query.page.matches(\"^[0-9]+$\") && request.path.startsWith(\"/list\")";
    assert!(acts(query, "/list/a?page=12", &[]));
    assert!(!acts(query, "/list/a?page=x", &[]));
    let consumer = "consumer.team == \"sales\" || client.address == \"192.0.2.1\"";
    assert!(acts(consumer, "/", &["-H", "x-api-key: open-sesame"]));
    assert!(!acts(consumer, "/", &[]));
}

#[test]
fn a_condition_can_guard_a_refusal() {
    let gateway = echoing(
        "[{ access: { deny: [127.0.0.0/8] }, when: 'request.path.startsWith(\"/admin\")' }]",
    );
    gateway.curl("/open", &[]).expect(200);
    gateway.curl("/admin/users", &[]).expect(403);
    gateway
        .curl("/x/../admin/users", &["--path-as-is"])
        .expect(403);
    gateway.curl("/%61dmin/users", &[]).expect(403);
}
