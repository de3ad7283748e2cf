//! What stands at the edge: `access` with countries and rates by label, allow-lists of headers, `cookies`,
//! `graphql`.

use super::{behind, echoing};
use crate::support::{Gateway, Reply, Upstream, eventually};

#[allow(dead_code, reason = "shared with the policy's own tests")]
#[path = "../../../../gate-policies/src/access/mmdb_tests.rs"]
mod mmdb;

#[test]
fn only_what_is_listed_passes_both_ways() {
    let upstream = Upstream::start(|seen| {
        let reply = Reply::text(format!("{:?}", seen.headers));
        reply
            .header("server", "secret/1.0")
            .header("x-debug", "1")
            .header("etag", "\"a\"")
    });
    let gateway = behind(
        &upstream,
        "[{ headers: { request: { only: [Accept, Content-*, X-Known], set: { x-gate: \"1\" } }, \
         response: { only: [Content-*, ETag], set: { x-new: \"1\" } } } }]",
    );
    let fields = [
        "-H",
        "x-known: 1",
        "-H",
        "x-other: 1",
        "-H",
        "content-type: text/plain",
    ];
    let answer = gateway
        .curl("/", &[&fields[..], &["-d", "body"]].concat())
        .expect(200);
    let seen = upstream.seen().pop().unwrap();
    for (name, value) in [
        ("x-known", Some("1")),
        ("content-type", Some("text/plain")),
        ("x-gate", Some("1")),
        ("x-other", None),
        ("user-agent", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.body, b"body", "what frames the message is no choice");
    for (name, value) in [
        ("content-type", Some("text/plain")),
        ("etag", Some("\"a\"")),
        ("x-new", Some("1")),
        ("server", None),
        ("x-debug", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[test]
fn a_country_and_a_network_are_told_from_a_file_that_may_change() {
    let place = |country: &str, network: u32| {
        mmdb::database(&[mmdb::Row::new("192.0.2.0/24", country, "EU", network)])
    };
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let file = folder.path().join("places.mmdb");
    let write = |bytes: &[u8]| {
        let aside = folder.path().join("places.new");
        std::fs::write(&aside, bytes).unwrap();
        std::fs::rename(aside, &file).unwrap();
    };
    write(&place("FR", 64496));
    let upstream = Upstream::echo();
    let text = format!(
        "gateway: {{ trusted_proxies: [127.0.0.0/8], admin: {{ address: \"127.0.0.1:0\" }} }}\nlisteners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n\
         upstreams: {{ up: {{ endpoints: [\"{}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ upstream: up }}, policies: [{{ access: {{ \
         databases: [places.mmdb], rules: [{{ name: abroad, countries: [US], then: block }}, \
         {{ name: hosts, networks: [AS64499], then: block }}], hints: {{ country: x-country, network: x-network }} }} }}] }} }}\n",
        upstream.address
    );
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let gateway = Gateway::run_in(folder.clone(), &[], &[]);
    let ask = || {
        let fields = ["-H", "x-forwarded-for: 192.0.2.7", "-H", "x-country: XX"];
        gateway.curl("/", &fields)
    };
    let told = ask().expect(200);
    assert!(told.body.contains("x-country: FR"), "{}", told.body);
    assert!(!told.body.contains("x-country: XX"), "{}", told.body);
    assert!(told.body.contains("x-network: AS64496"), "{}", told.body);
    write(&place("US", 64496));
    eventually("the other country is refused", || ask().status == 403);
    write(&place("FR", 64499));
    eventually("the network is looked at", || {
        ask().status == 403 && {
            let problem = ask().json();
            problem["code"] == "access_blocked"
        }
    });
    write(&place("FR", 64498));
    eventually("neither is refused", || ask().status == 200);
}

#[test]
fn rules_allow_block_and_count_by_address_path_field_and_size() {
    let gateway = echoing(
        "[{ access: { rules: [\
         { name: known, addresses: [127.0.0.7], then: allow }, \
         { name: private, paths: [\"/private/*\"], then: block }, \
         { name: scanner, headers: { user-agent: \"*sqlmap*\" }, then: block }, \
         { name: large, larger_than: 1KiB, then: block }, \
         { name: seen, paths: [\"/seen/*\"], then: count }] } }]",
    );
    gateway.curl("/private/a", &[]).expect(403);
    let known = ["--interface", "127.0.0.7"];
    gateway.curl("/private/a", &known).expect(200);
    gateway.curl("/", &["-A", "sqlmap/1.8"]).expect(403);
    gateway.curl("/", &["-A", "curl"]).expect(200);
    let (small, large) = ("x".repeat(1_000), "x".repeat(2_000));
    gateway.curl("/", &["-d", &small]).expect(200);
    let refused = gateway.curl("/", &["-d", &large]).expect(403);
    assert_eq!(refused.json()["code"], "access_blocked");
    gateway.curl("/seen/a", &[]).expect(200);
    eventually("what only counts is counted", || {
        let page = gateway.metrics();
        let mut lines = page.lines();
        lines.any(|line| {
            line.starts_with("tidegate_access_matches_total{")
                && line.contains("\"seen\"")
                && line.ends_with(" 1")
        })
    });
}

#[test]
fn a_rate_by_label_counts_those_who_wear_it() {
    let gateway = echoing(
        "[{ access: { rules: [{ name: tools, agents: [tool], label: automated, then: count }, \
         { name: slowly, labelled: [automated], rate: 2/h, then: block }] } }]",
    );
    let tool = || gateway.curl("/", &["-A", "curl/8.5.0"]).status;
    let person = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let browser = [
        "-A",
        person,
        "-H",
        "accept: text/html",
        "-H",
        "accept-language: en",
        "-H",
        "accept-encoding: gzip",
    ];
    assert_eq!([tool(), tool()], [200, 200]);
    let refused = gateway.curl("/", &["-A", "curl/8.5.0"]);
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    for _ in 0..4 {
        gateway.curl("/", &browser).expect(200);
    }
}

#[test]
fn cookies_are_hardened_on_their_way_to_the_browser() {
    let upstream = Upstream::start(|_| {
        let mut reply = Reply::text("x");
        for cookie in ["id=1; Path=/", "csrf=2", "__Host-a=3; Domain=example.com"] {
            reply.headers.push(("set-cookie".into(), cookie.into()));
        }
        reply
    });
    let policy = "[{ cookies: { same_site: strict, except: [csrf], refuse_duplicates: true } }]";
    let gateway = behind(&upstream, policy);
    let answer = gateway.curl("/", &[]).expect(200);
    let set: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(set, ["id=1; Path=/; HttpOnly; SameSite=Strict", "csrf=2"]);
    gateway.curl("/", &["-H", "cookie: a=1; a=2"]).expect(400);
}

#[test]
fn a_query_that_asks_for_too_much_never_reaches_the_service() {
    let upstream = Upstream::start(|_| Reply::text("{}"));
    let gateway = behind(
        &upstream,
        "[{ graphql: { depth: 2, cost: 20, aliases: 1 } }]",
    );
    let ask = |query: &str| {
        let body = serde_json::json!({ "query": query }).to_string();
        gateway.curl(
            "/graphql",
            &["-H", "content-type: application/json", "-d", &body],
        )
    };
    ask("{ shop { name } }").expect(200);
    for query in [
        "{ shop { owner { name } } }",
        "{ items(first: 100) { name } }",
        "{ a: name b: name }",
        "{ __schema { types { name } } }",
        "{ shop {",
    ] {
        let problem = ask(query).expect(400).json();
        assert_eq!(problem["code"], "contract_violated", "{query}");
    }
    assert_eq!(upstream.seen().len(), 1);
}
