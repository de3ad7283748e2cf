//! No-Vary-Search: one answer for queries that make no difference, while the answer says so.

use super::{Bench, HOUR, field};
use gate_flow::PurgeWhat;

const RULE: (&str, &str) = ("no-vary-search", "key-order, params=(\"utm\")");

#[test]
fn queries_that_make_no_difference_get_the_same() {
    let bench = Bench::new("{}");
    bench.answered("GET /a?x=1&y=2&utm=9", 200, &[HOUR, RULE], "one");
    assert_eq!(bench.given("GET /a?utm=7&y=2&x=1"), "one");
    assert!(bench.ask("GET /a?x=2").is_err() && bench.ask("GET /b?x=1&y=2").is_err());
    bench.answered("GET /a?x=2", 200, &[HOUR, RULE], "two");
    assert_eq!(bench.given("GET /a?x=2&utm"), "two");
    assert_eq!(bench.given("GET /a?y=2&x=1"), "one");
    // Who may have changed something is believed to have changed all of them.
    bench.answered("POST /a?utm=1&x=2", 200, &[], "");
    assert!(bench.ask("GET /a?x=2").is_err());
    assert_eq!(bench.given("GET /a?y=2&x=1"), "one");
    let elsewhere = [("location", "/a?x=1&utm=3&y=2")];
    bench.answered("POST /c", 201, &elsewhere, "");
    assert!(bench.ask("GET /a?y=2&x=1").is_err());
}

#[test]
fn nobody_gets_what_was_not_meant_for_them() {
    let bench = Bench::new("{}");
    bench.answered("GET /a?utm=1", 200, &[HOUR, RULE], "ruled");
    // The newest answer of the path says nothing: each query is its own from then on.
    bench.answered("GET /a?utm=1&z=1", 200, &[HOUR], "plain");
    assert_eq!(bench.given("GET /a?utm=1&z=1"), "plain");
    assert!(bench.ask("GET /a?utm=2&z=1").is_err());
    assert!(bench.ask("GET /a?utm=1").is_err());
    // Another rule does not find what the first one kept.
    bench.answered("GET /a?utm=1", 200, &[HOUR, RULE], "ruled");
    let other = ("no-vary-search", "params, except=(\"id\")");
    bench.answered("GET /a?id=1&q", 200, &[HOUR, other], "of id 1");
    assert_eq!(bench.given("GET /a?p&id=1"), "of id 1");
    assert!(bench.ask("GET /a?utm=1").is_err());
    let all = PurgeWhat::Prefix("example.com/a".into());
    assert_eq!(bench.purge(all, false), 3);
    assert!(bench.ask("GET /a?p&id=1").is_err());
}

#[test]
fn whoever_waits_for_another_query_gets_it_only_under_the_same_rule() {
    let bench = Bench::new("collapse: 1s");
    bench.answered("GET /a?x=1", 200, &[HOUR, RULE], "one");
    for (said, is_shared) in [(&[HOUR, RULE][..], true), (&[HOUR][..], false)] {
        bench.purge(PurgeWhat::All, false);
        let mut first = bench.ask("GET /a?x=1&utm=1").expect_err("it was purged");
        let body = super::Script::of(&["a", "", "b"]);
        let answer = super::response(
            200,
            said,
            super::Script {
                remaining: Some(2),
                ..body
            }
            .body(),
        );
        let answer = bench.end(&mut first, answer);
        let second = bench.ask("GET /a?x=1&utm=2");
        assert_eq!(second.is_ok(), is_shared);
        if let Ok(second) = second {
            assert!(field(&second, "cache-status").ends_with("detail=collapsed"));
            assert_eq!(bench.text(second), "ab");
        }
        assert_eq!(bench.text(answer), "ab");
    }
}
