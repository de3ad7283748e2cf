//! The policy on exchanges without sockets: modes, exclusions, bodies and answers.

use super::*;
use crate::testing::{Harness, VerdictExt, response};
use gate_flow::WafAction;

const RULES: &str = r#"
directives: |
  SecResponseBodyMimeType text/html
  SecRule ARGS "@rx (?i)union\s+select" "id:1,phase:2,deny,log,msg:'SQL %{MATCHED_VAR}',severity:CRITICAL,tag:'attack-sqli'"
  SecRule REQUEST_HEADERS:X-Go "@streq away" "id:2,phase:1,redirect:'https://example.net/',nolog"
  SecRule RESPONSE_BODY "@contains secret" "id:3,phase:4,deny,log,msg:'leak'"
  SecRule RESPONSE_STATUS "@eq 599" "id:4,phase:3,deny,log,msg:'status'"
  SecRule REQUEST_URI_RAW "@contains /../" "id:5,phase:1,pass,log,msg:'raw'"
"#;

fn settings(more: &str) -> String {
    format!("{RULES}{more}\n")
}

fn ids(exchange: &Exchange) -> Vec<u32> {
    let facts = exchange.record.waf.as_ref();
    facts.map_or(Vec::new(), |facts| {
        facts.matches.iter().map(|one| one.rule).collect()
    })
}

const ATTACK: &str = "GET /?q=1%20UNION%20SELECT%20x";

#[test]
fn settings_that_cannot_act_are_refused() {
    let harness = Harness::new();
    for (more, told) in [
        ("mode: sample", "needs a `share`"),
        ("share: 10%", "`mode: sample` only"),
        ("body: 0", "can be looked at"),
        ("exclude: [{}]", "names a `rule` or a `tag`"),
        (
            "exclude: [{ rule: 99 }]",
            "number 1 cannot act: no rule has this id",
        ),
        (
            "exclude: [{ rule: 1, target: 'FILES' }]",
            "does not look at `FILES`",
        ),
        ("rules: [absent.conf]", "cannot be read"),
    ] {
        let finding = harness.compile::<Waf>(&settings(more)).err().expect(more);
        assert!(finding.to_string().contains(told), "{more}: {finding}");
    }
    let broken = harness
        .compile::<Waf>("directives: 'SecRule ARGS \"@rx (\" \"id:1\"'")
        .err();
    assert!(
        broken
            .expect("refused")
            .to_string()
            .contains("directives:1: the pattern")
    );
    assert!(
        harness
            .compile::<Waf>("{}")
            .err()
            .expect("refused")
            .to_string()
            .contains("neither `rules`")
    );
}

#[test]
fn block_refuses_and_detect_notes() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(RULES);
    let mut exchange = harness.exchange(ATTACK);
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("refused");
    assert_eq!(fault.code, FaultCode::WafBlocked);
    let facts = exchange.record.waf.as_ref().expect("noted");
    assert_eq!(facts.action, WafAction::Blocked);
    let one = &facts.matches[0];
    assert_eq!(
        (one.rule, &*one.variable, one.severity),
        (1, "ARGS:q", "CRITICAL")
    );
    assert_eq!(
        (&*one.shape, &*one.message),
        ("9 aaaaa aaaaaa a", "SQL %{MATCHED_VAR}")
    );

    let policy = harness.policy::<Waf>(&settings("mode: detect"));
    let mut exchange = harness.exchange(ATTACK);
    assert!(harness.request(&policy, &mut exchange).is_next());
    harness.respond(
        &policy,
        &mut exchange,
        response(200, &[], "ok".as_bytes().to_vec().into_body()),
    );
    assert_eq!(
        exchange.record.waf.as_ref().expect("noted").action,
        WafAction::Detected
    );

    let policy = harness.policy::<Waf>(&settings("mode: count"));
    let mut exchange = harness.exchange(ATTACK);
    assert!(harness.request(&policy, &mut exchange).is_next());
    harness.respond(&policy, &mut exchange, response(200, &[], Body::Empty));
    assert!(exchange.record.waf.as_ref().expect("counted").counted_only);
}

#[test]
fn callers_who_leave_early_are_noted() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(&settings("mode: detect"));
    let mut exchange = harness.exchange(ATTACK);
    assert!(harness.request(&policy, &mut exchange).is_next());
    assert_eq!(ids(&exchange), [1]);
}

#[test]
fn ordinary_requests_leave_no_trace() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(RULES);
    let mut exchange = harness.exchange("GET /?q=hello");
    assert!(harness.request(&policy, &mut exchange).is_next());
    harness.respond(&policy, &mut exchange, response(200, &[], Body::Empty));
    assert!(exchange.record.waf.is_none());
}

#[test]
fn sampling_looks_at_a_share() {
    let harness = Harness::new();
    random::seed(7);
    let policy = harness.policy::<Waf>(&settings("mode: sample\nshare: 50%"));
    let looked = (0..200).filter(|_| {
        let mut exchange = harness.exchange(ATTACK);
        assert!(harness.request(&policy, &mut exchange).is_next());
        harness.respond(&policy, &mut exchange, response(200, &[], Body::Empty));
        exchange.record.waf.is_some()
    });
    let looked = looked.count();
    assert!((50..150).contains(&looked), "{looked}");
}

#[test]
fn exclusions_are_for_members() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(&settings("exclude: [{ rule: 1, target: 'ARGS:q' }]"));
    assert!(
        harness
            .request(&policy, &mut harness.exchange(ATTACK))
            .is_next()
    );
    let other = ATTACK.replace("q=", "r=");
    assert!(
        harness
            .request(&policy, &mut harness.exchange(&other))
            .refused()
            .is_some()
    );
}

#[test]
fn what_arrived_is_looked_at_and_rules_may_send_elsewhere() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(RULES);
    let mut exchange = harness.exchange("GET /b");
    exchange.record.original_target = Some("/a/../b".into());
    assert!(harness.request(&policy, &mut exchange).is_next());
    harness.respond(&policy, &mut exchange, response(200, &[], Body::Empty));
    assert_eq!(ids(&exchange), [5]);
    let mut exchange = harness.exchange("GET /\nx-go: away");
    let reply = harness.request(&policy, &mut exchange).reply();
    assert_eq!(reply.head.status, 302);
    assert_eq!(
        reply.head.headers.get_named("location"),
        Some(&b"https://example.net/"[..])
    );
}

#[test]
fn bodies_are_looked_at_and_sent_on() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(&settings("body: 64"));
    let send = |body: &str| {
        let mut exchange = harness.exchange("POST /\ncontent-type: application/json");
        exchange.request.body = body.as_bytes().to_vec().into_body();
        let refused = harness
            .request(&policy, &mut exchange)
            .refused()
            .map(|fault| fault.code);
        let body = harness
            .block_on(exchange.request.body.collect(10_000))
            .expect("a body");
        (refused, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(
        send(r#"{"a": "hello"}"#),
        (None, r#"{"a": "hello"}"#.to_owned())
    );
    assert_eq!(
        send(r#"{"a": "union select"}"#).0,
        Some(FaultCode::WafBlocked)
    );
    assert_eq!(send("{").0, Some(FaultCode::WafBlocked));
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(100));
    assert_eq!(send(&long).0, Some(FaultCode::BodyTooLarge));
    let policy = harness.policy::<Waf>(&settings("body: 64\nmode: detect"));
    let mut exchange = harness.exchange("POST /\ncontent-type: application/json");
    exchange.request.body = long.clone().into_bytes().into_body();
    assert!(harness.request(&policy, &mut exchange).is_next());
    let body = harness
        .block_on(exchange.request.body.collect(10_000))
        .expect("a body");
    assert_eq!(&*body, long.as_bytes());
}

#[test]
fn answers_are_looked_at() {
    let harness = Harness::new();
    let policy = harness.policy::<Waf>(RULES);
    let answer = |status, kind: &str, body: &str| {
        let mut exchange = harness.exchange("GET /");
        assert!(harness.request(&policy, &mut exchange).is_next());
        let body = body.as_bytes().to_vec().into_body();
        let mut response = response(status, &[("content-type", kind)], body);
        let refused = match policy.answer(&mut exchange, &mut response) {
            Some(later) => harness.block_on(later).err().map(|fault| fault.code),
            None => None,
        };
        (refused, ids(&exchange))
    };
    assert_eq!(
        answer(200, "text/html; charset=utf-8", "the secret"),
        (Some(FaultCode::WafBlocked), vec![3])
    );
    assert_eq!(answer(200, "text/html", "the page"), (None, Vec::new()));
    assert_eq!(answer(200, "image/png", "the secret"), (None, Vec::new()));
    assert_eq!(
        answer(599, "image/png", ""),
        (Some(FaultCode::WafBlocked), vec![4])
    );
}

#[test]
fn services_are_asked_for_answers_that_can_be_read() {
    let harness = Harness::new();
    let asked = |settings: &str| {
        let policy = harness.policy::<Waf>(settings);
        let mut exchange = harness.exchange("GET /\naccept-encoding: gzip\naccept-encoding: br");
        assert!(harness.request(&policy, &mut exchange).is_next());
        let of = |exchange: &Exchange| {
            let value = exchange
                .request
                .head
                .headers
                .get_str(HeaderId::AcceptEncoding);
            value.map(str::to_owned)
        };
        let forwarded = of(&exchange);
        harness.respond(&policy, &mut exchange, response(200, &[], Body::Empty));
        (forwarded, of(&exchange))
    };
    // `compress` stands in front and reads what the caller accepts.
    assert_eq!(asked(RULES), (None, Some("gzip, br".into())));
    let kept = (Some("gzip".to_owned()), Some("gzip".to_owned()));
    assert_eq!(asked(&settings("responses: false")), kept);
    let requests_only = "directives: 'SecRule ARGS \"@rx a\" \"id:1,phase:2,deny\"'";
    assert_eq!(asked(requests_only), kept);
}

#[test]
fn the_same_rules_are_shared() {
    let harness = Harness::new();
    let rules = |more: &str| {
        let document =
            gate_model::document::Document::parse(settings(more).as_bytes(), "t").expect("YAML");
        let config: WafConfig = document
            .read(&gate_model::document::Path::root())
            .expect("settings");
        harness
            .context(|context| load::rules(&config, context))
            .expect("rules")
    };
    let first = rules("");
    assert!(Arc::ptr_eq(&first, &rules("mode: detect")));
    drop(first);
    assert_eq!(Arc::strong_count(&rules("")), 1);
}

/// A body at hand.
trait IntoBody {
    fn into_body(self) -> Body;
}

impl IntoBody for Vec<u8> {
    fn into_body(self) -> Body {
        Body::from(Chunk::from(self))
    }
}
