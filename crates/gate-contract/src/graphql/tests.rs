//! Documents and what they measure.

use super::*;
use serde_json::json;

fn measured(text: &str) -> Result<Measure, String> {
    let costs = Costs {
        fields: [("search".to_owned(), 10)].into(),
        lists: vec!["first".to_owned(), "last".to_owned()],
    };
    measure(&parse(text)?, Some(&json!({"n": 7, "f": 2.9})), &costs)
}

#[test]
fn depth_cost_and_aliases_are_counted() {
    for (text, depth, cost, aliases) in [
        ("{ a }", 1, 1, 0),
        ("query Q { a { b { c } } d }", 3, 4, 0),
        ("{ x: a y: a { z: b } }", 2, 3, 3),
        (
            "{ users(first: 5) { name posts(last: 3) { id } } }",
            3,
            1 + 5 * (1 + 1 + 3),
            0,
        ),
        ("{ search { a } }", 2, 11, 0),
        (
            "query ($n: Int, $m: Int = 4) { a(first: $n) { b(last: $m) { c } } }",
            3,
            1 + 7 * (1 + 4),
            0,
        ),
        ("query { a(first: $f) { b } }", 2, 3, 0),
        ("query { a(first: -3) { b } }", 2, 2, 0),
        ("{ ...F ...F } fragment F on T { x: a { b } }", 2, 4, 2),
        ("{ ... on T @include(if: true) { a } ... { b } }", 1, 2, 0),
        ("query A { a } query B { a { b } }", 2, 2, 0),
        (
            "{ a(o: {first: 9, l: [1, \"}\", \"\"\"x\\\"\"\" } \"\"\"]}) { b } } # }",
            2,
            2,
            0,
        ),
        (
            "{ a(first: 99999999999999999999) { b(first: 9223372036854775807) { c } } }",
            3,
            u64::MAX,
            0,
        ),
    ] {
        let found = measured(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (found.depth, found.cost, found.aliases),
            (depth, cost, aliases),
            "{text}"
        );
    }
    assert!(measured("{ __schema { types { name } } }").is_ok_and(|one| one.introspects));
    assert!(
        measured("{ ...F } fragment F on Q { __type(name: \"T\") { name } }")
            .is_ok_and(|one| one.introspects)
    );
    assert!(measured("{ __typename }").is_ok_and(|one| !one.introspects));
    assert!(measured("subscription { a }").is_ok_and(|one| one.subscribes));
    assert_eq!(
        measured("{ a @skip(if: true) @x }").map(|one| one.directives),
        Ok(2)
    );
}

#[test]
fn fragments_that_double_take_linear_time() {
    let mut text = "{ ...F0 }".to_owned();
    for number in 0..80 {
        let next = number + 1;
        text.push_str(&format!(
            " fragment F{number} on T {{ ...F{next} ...F{next} }}"
        ));
    }
    text.push_str(" fragment F80 on T { a: b }");
    let found = measured(&text).expect("a sound document");
    assert_eq!(
        (found.cost, found.aliases),
        (u64::MAX, u64::MAX),
        "2^80 fields"
    );
}

#[test]
fn what_is_no_document_is_refused() {
    let deep = "{ a ".repeat(200) + &"}".repeat(200);
    let list = format!("{{ a(x: {}) }}", "[".repeat(500));
    let chain: String = (0..200)
        .map(|n| format!("fragment F{n} on T {{ ...F{} }} ", n + 1))
        .collect();
    let chain = chain + "{ ...F0 }";
    let long = "{ a } ".repeat(TOKENS_MAX);
    for text in [
        "",
        "{",
        "{}",
        "{ a",
        "a",
        "{ a: }",
        "{ a(b) }",
        "{ a(b: ) }",
        "query ($a) { a }",
        "{ \"a\" }",
        "{ a } fragment F on T { a } fragment F on T { a }",
        "{ ...F }",
        "{ ...F } fragment F on T { ...F }",
        "{ a(x: \"open) }",
        "{ a(x: \"\"\"open) }",
        "{ a(x: 1.2.3) }",
        "{ a ? }",
        "type T { a: Int }",
        &deep,
        &list,
        &chain,
        &long,
    ] {
        assert!(measured(text).is_err(), "{:.40}", text);
    }
}

#[test]
fn no_cut_or_changed_byte_makes_it_fail_hard() {
    let text = "query ($n: [Int!]! = 3) @d(a: \"\\u0041\") { x: a(first: $n, s: \"\"\"b\"\"\") { ...F ... on T { c } } } fragment F on T { d }";
    for at in 0..text.len() {
        let _ = measured(&text[..at]);
        for byte in [b'"', b'{', b'\\', b'(', b'.', b'$'] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = measured(std::str::from_utf8(&bytes).expect("ASCII"));
        }
    }
}
