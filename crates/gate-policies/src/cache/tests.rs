//! The policy on exchanges without sockets: what is given, asked about, kept and forgotten.

use super::*;
use crate::testing::{Harness, Script, VerdictExt, response};
use gate_flow::{CacheStatus, Exchange, Purge, PurgeWhat, Purges, Services};
use gate_kit::http::{Body, Response};
use gate_model::fault::FaultCode;
use std::time::Duration;

#[path = "disk_tests.rs"]
mod disk;
#[path = "parts_tests.rs"]
mod parts;
#[path = "search_tests.rs"]
mod search;

/// A cache and what it runs in.
struct Bench {
    harness: Harness,
    policy: Arc<dyn Policy>,
}

impl Bench {
    fn new(yaml: &str) -> Self {
        let harness = Harness::new();
        let policy = harness.policy::<Cache>(yaml);
        Self { harness, policy }
    }

    /// What the cache says to a request: an answer, or nothing when it goes on.
    fn ask(&self, head: &str) -> Result<Response, Box<Exchange>> {
        let mut exchange = self.harness.exchange(head);
        let verdict = self.harness.request(&self.policy, &mut exchange);
        match verdict.is_next() {
            true => Err(Box::new(exchange)),
            false => Ok(verdict.reply()),
        }
    }

    /// A request that goes on, and what the target answers; what the caller gets of it.
    fn answered(
        &self,
        head: &str,
        status: u16,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Response {
        let mut exchange = self
            .ask(head)
            .err()
            .unwrap_or_else(|| panic!("{head} goes on"));
        self.end(
            &mut exchange,
            response(
                status,
                fields,
                Body::from(gate_kit::http::Chunk::from(body)),
            ),
        )
    }

    fn end(&self, exchange: &mut Exchange, answer: Response) -> Response {
        self.harness.respond(&self.policy, exchange, answer)
    }

    /// The text of an answer from the cache.
    fn given(&self, head: &str) -> String {
        let answer = self
            .ask(head)
            .unwrap_or_else(|_| panic!("{head} is answered here"));
        self.text(answer)
    }

    fn text(&self, mut answer: Response) -> String {
        let body = self
            .harness
            .block_on(async { answer.body.collect(1 << 20).await });
        String::from_utf8(body.expect("whole").to_vec()).expect("text")
    }

    fn wait(&self, seconds: u64) {
        self.harness.hands.advance(Duration::from_secs(seconds));
    }

    fn purge(&self, what: PurgeWhat, soft: bool) -> u64 {
        let purges = self.harness.state.get_or_insert("", Purges::default);
        let at_ms = look::millis(self.harness.services.clock().unix());
        purges.purge(Purge {
            what,
            route: None,
            soft,
            at_ms,
        })
    }
}

const HOUR: (&str, &str) = ("cache-control", "max-age=3600");
const TAG: (&str, &str) = ("etag", "\"a\"");

fn field<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.head.headers.get_named(name).unwrap_or_default();
    std::str::from_utf8(value).expect("text")
}

#[test]
fn what_is_fresh_is_given_whole_in_parts_and_as_not_modified() {
    let bench = Bench::new("{}");
    let first = bench.answered("GET /a", 200, &[HOUR, TAG], "hello world");
    assert_eq!(
        field(&first, "cache-status"),
        "tidegate; fwd=uri-miss; stored"
    );
    bench.wait(5);
    let hit = bench.ask("GET /a").ok().expect("kept");
    assert_eq!(
        (field(&hit, "age"), field(&hit, "cache-status")),
        ("5", "tidegate; hit; ttl=3595")
    );
    assert_eq!(bench.text(hit), "hello world");
    let part = bench.ask("GET /a\nrange: bytes=0-4").ok().expect("kept");
    assert_eq!(
        (part.head.status, field(&part, "content-range")),
        (206, "bytes 0-4/11")
    );
    assert_eq!(bench.text(part), "hello");
    let none = bench.ask("GET /a\nrange: bytes=99-").ok().expect("kept");
    assert_eq!(
        (none.head.status, field(&none, "content-range")),
        (416, "bytes */11")
    );
    let known = bench
        .ask("GET /a\nif-none-match: \"a\"")
        .ok()
        .expect("kept");
    assert_eq!((known.head.status, field(&known, "etag")), (304, "\"a\""));
    let head = bench.ask("HEAD /a").ok().expect("kept");
    assert_eq!(
        (field(&head, "content-length"), head.body.is_empty()),
        ("11", true)
    );
    assert!(bench.ask("GET /a?b").is_err() && bench.ask("GET /a\nhost: b.example").is_err());
    assert!(bench.ask("GET /a\nif-match: \"a\"").is_err());
    let mut with_body = bench.harness.exchange("GET /a");
    with_body.request.body = Body::Full("x".into());
    assert!(
        bench
            .harness
            .request(&bench.policy, &mut with_body)
            .is_next()
    );
    assert!(bench.ask("GET /a\ncache-control: no-cache").is_err());
}

#[test]
fn what_selects_tells_answers_apart_and_writers_make_all_doubtful() {
    let bench = Bench::new("{}");
    let vary = ("vary", "Foo");
    bench.answered("GET /a\nfoo: 1", 200, &[HOUR, vary], "one");
    bench.answered("GET /a\nfoo: 2", 200, &[HOUR, vary], "two");
    assert_eq!(bench.given("GET /a\nfoo: 1"), "one");
    assert_eq!(bench.given("GET /a\nfoo: 2"), "two");
    assert!(bench.ask("GET /a").is_err());
    bench.answered("POST /a", 500, &[], "");
    assert_eq!(bench.given("GET /a\nfoo: 1"), "one");
    bench.answered(
        "M-SEARCH /b",
        200,
        &[("location", "https://example.com/a")],
        "",
    );
    assert!(bench.ask("GET /a\nfoo: 1").is_err() && bench.ask("GET /a\nfoo: 2").is_err());
    // What was kept before stays forgotten once there is something new.
    bench.answered("GET /a\nfoo: 1", 200, &[HOUR, vary], "new");
    assert!(bench.ask("GET /a\nfoo: 2").is_err());
}

#[test]
fn what_is_stale_is_asked_about_and_takes_newer_fields() {
    let bench = Bench::new("{}");
    let short = ("cache-control", "max-age=1");
    bench.answered("GET /a", 200, &[short, TAG, ("x", "1")], "body");
    bench.wait(2);
    let head = "GET /a\nif-none-match: \"caller's\"";
    let mut exchange = bench.ask(head).expect_err("stale");
    let asked = exchange.request.head.headers.get_named("if-none-match");
    assert_eq!(asked, Some(&b"\"a\""[..]));
    let answer = response(304, &[TAG, HOUR, ("x", "2")], Body::Empty);
    let given = bench.end(&mut exchange, answer);
    assert_eq!((given.head.status, field(&given, "x")), (200, "2"));
    assert_eq!(bench.text(given), "body");
    let facts = exchange.record.cache.as_ref().map(|facts| facts.status);
    assert_eq!(facts, Some(CacheStatus::Revalidated));
    bench.wait(60);
    assert_eq!(bench.given("GET /a"), "body");
}

#[test]
fn errors_are_replaced_where_that_is_allowed() {
    for (control, fault, expected) in [
        ("max-age=1, stale-if-error=60", None, 200),
        ("max-age=1, must-revalidate, stale-if-error=60", None, 503),
        ("max-age=1", None, 503),
        ("max-age=1", Some(FaultCode::UpstreamUnreachable), 200),
        (
            "max-age=1, proxy-revalidate",
            Some(FaultCode::UpstreamReset),
            503,
        ),
        ("s-maxage=1", Some(FaultCode::UpstreamTimeout), 503),
        ("max-age=1", Some(FaultCode::RateLimited), 503),
    ] {
        let bench = Bench::new("{}");
        bench.answered("GET /a", 200, &[("cache-control", control), TAG], "kept");
        bench.wait(5);
        let mut exchange = bench.ask("GET /a").expect_err("stale");
        exchange.record.fault = fault;
        let given = bench.end(&mut exchange, response(503, &[], Body::Empty));
        assert_eq!(given.head.status, expected, "{control} {fault:?}");
        assert_eq!(
            exchange.record.fault.is_some(),
            fault.is_some() && expected == 503
        );
    }
}

#[test]
fn stale_answers_are_asked_for_again_beside() {
    let bench = Bench::new("{}");
    let control = ("cache-control", "max-age=1, stale-while-revalidate=60");
    bench.answered("GET /a", 200, &[control, TAG], "old");
    bench.wait(5);
    assert_eq!(bench.given("GET /a"), "old");
    assert_eq!(bench.harness.services.tasks(), 1);
    // Meanwhile nobody else asks.
    assert_eq!(bench.given("GET /a"), "old");
    assert_eq!(bench.harness.services.tasks(), 1);
    // The target has 204 without a lifetime: what was kept is no more.
    bench.harness.settle();
    assert!(bench.ask("GET /a").is_err());
}

#[test]
fn somebodys_answers_stay_theirs() {
    let bench = Bench::new("{}");
    bench.answered("GET /a\nauthorization: x", 200, &[HOUR], "mine");
    assert!(bench.ask("GET /a\nauthorization: x").is_err());
    let public = ("cache-control", "public, max-age=60");
    bench.answered("GET /b\nauthorization: x", 200, &[public], "ours");
    assert_eq!(bench.given("GET /b"), "ours");
    let own = Bench::new("by_consumer: true");
    own.answered("GET /a\nauthorization: x", 200, &[HOUR], "mine");
    assert_eq!(own.given("GET /a\nauthorization: x"), "mine");
}

#[test]
fn the_same_request_gets_the_bytes_as_they_come() {
    let bench = Bench::new("{}");
    let mut first = bench.ask("GET /a").expect_err("nothing is kept");
    let mut body = Script::of(&["ab", "", "cd"]);
    body.remaining = Some(4);
    let answer = bench.end(&mut first, response(200, &[HOUR], body.body()));
    let second = bench.ask("GET /a").ok().expect("it is on its way");
    assert!(field(&second, "cache-status").ends_with("detail=collapsed"));
    assert_eq!(bench.text(second), "abcd");
    // The first caller leaves, and the answer is kept all the same.
    drop(answer);
    bench.harness.settle();
    assert_eq!(bench.given("GET /a"), "abcd");
}

#[test]
fn who_waits_for_nothing_asks_alone() {
    let bench = Bench::new("collapse: 1s");
    let mut first = bench.ask("GET /a").expect_err("nothing is kept");
    assert!(bench.ask("GET /a").is_err(), "patience ends");
    bench.end(
        &mut first,
        response(200, &[("cache-control", "no-store")], Body::Empty),
    );
    let before = bench.harness.services.clock().now();
    let both = (bench.ask("GET /a"), bench.ask("GET /a"));
    assert!(both.0.is_err() && both.1.is_err());
    assert_eq!(
        bench.harness.services.clock().now(),
        before,
        "nobody waits for what is not kept"
    );
}

#[test]
fn purges_are_in_force_at_once() {
    let bench = Bench::new("stale_while_revalidate: 1m");
    let tagged = ("surrogate-key", "x y");
    for path in ["/a", "/b/1", "/b/2"] {
        bench.answered(&format!("GET {path}"), 200, &[HOUR, tagged], "kept");
    }
    assert_eq!(
        bench.purge(PurgeWhat::Prefix("example.com/b/".into()), false),
        2
    );
    assert!(bench.ask("GET /b/1").is_err() && bench.ask("GET /a").is_ok());
    assert_eq!(bench.purge(PurgeWhat::Tag("y".into()), true), 1);
    let soft = bench
        .ask("GET /a")
        .ok()
        .expect("stale, and asked for again");
    assert_eq!(
        field(&soft, "cache-status"),
        "tidegate; hit; ttl=-1; detail=stale"
    );
    // What was asked for before a purge is not kept behind it.
    let bench = Bench::new("{}");
    let mut early = bench.ask("GET /c").expect_err("nothing is kept");
    bench.purge(PurgeWhat::Key("example.com/c".into()), false);
    bench.end(&mut early, response(200, &[HOUR], Body::Full("old".into())));
    assert!(bench.ask("GET /c").is_err());
}

#[test]
fn settings_that_cannot_act_are_refused() {
    for (yaml, expected) in [
        ("{ memory: 1MiB, entry: 1MiB }", "1/16 of `memory`"),
        ("lifetimes: { '6xx': 1s }", "neither a status nor a class"),
        ("by_headers: ['a b']", "cannot be the name"),
        ("disk: { folder: /dev/null/x }", "/dev/null/x"),
        ("unknown: 1", "unknown"),
    ] {
        let error = Harness::new().compile::<Cache>(yaml).err();
        let error = error
            .unwrap_or_else(|| panic!("accepted {yaml}"))
            .to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}
