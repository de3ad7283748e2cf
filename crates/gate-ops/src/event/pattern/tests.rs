//! Of the set itself: what it holds, how it grows and shrinks. Verdicts are tested from outside, in
//! `tests/it/patterns`.

use super::{Full, Limits, Matched, Memory, Pattern, RuleSet};

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn found(rules: &RuleSet, event: &str) -> Vec<u64> {
    let mut matched = Matched::default();
    rules
        .find(event.as_bytes(), &mut Memory::default(), &mut matched)
        .unwrap();
    matched.rules.sort_unstable();
    matched.rules
}

#[test]
fn a_rule_that_is_removed_leaves_nothing() {
    let texts = [
        r#"{"a": ["x", 5, null, "10.0.0.1"], "b": [true]}"#,
        r#"{"a": [{"prefix": "x"}, {"suffix": {"equals-ignore-case": "Y"}}]}"#,
        r#"{"a": {"b": {"c": [{"wildcard": "*.jar"}]}}}"#,
        r#"{"n": [{"numeric": [">", 1]}], "m": [{"exists": false}]}"#,
        r#"{"n": [{"anything-but": [1, 2]}]}"#,
        r#"{"n": [{"exists": false}]}"#,
        r#"{"$or": [{"a": ["x"]}, {"b": ["y"]}, {"c": [{"cidr": "10.0.0.0/8"}]}]}"#,
    ];
    let mut rules = RuleSet::default();
    for round in 0..3 {
        for (id, text) in texts.iter().enumerate() {
            rules.add(id as u64, &pattern(text)).unwrap();
        }
        assert_eq!(rules.len(), texts.len());
        assert_eq!(
            found(&rules, r#"{"a": "x", "b": true}"#),
            [0, 1, 5, 6],
            "round {round}"
        );
        for id in 0..texts.len() as u64 {
            assert!(rules.remove(id));
            assert!(!rules.remove(id));
        }
        assert!(rules.is_empty() && rules.holds_nothing());
        assert_eq!(found(&rules, r#"{"a": "x"}"#), [0; 0]);
    }
}

#[test]
fn a_rule_takes_the_place_of_its_number() {
    let mut rules = RuleSet::default();
    rules.add(7, &pattern(r#"{"a": ["x"]}"#)).unwrap();
    rules.add(7, &pattern(r#"{"a": ["y"]}"#)).unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(found(&rules, r#"{"a": "x"}"#), [0; 0]);
    assert_eq!(found(&rules, r#"{"a": "y"}"#), [7]);
}

#[test]
fn a_full_set_refuses_and_keeps_what_it_has() {
    let mut rules = RuleSet::with_limits(Limits {
        rules_max: 2,
        bytes_max: 40,
    });
    let short = pattern(r#"{"a": ["x"]}"#);
    rules.add(1, &short).unwrap();
    let long = pattern(r#"{"a": ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]}"#);
    assert_eq!(rules.add(2, &long), Err(Full::Bytes(40)));
    assert_eq!(rules.add(1, &long), Err(Full::Bytes(40)));
    rules.add(2, &short).unwrap();
    assert_eq!(rules.add(3, &short), Err(Full::Rules(2)));
    rules.add(2, &short).unwrap();
    assert_eq!(found(&rules, r#"{"a": "x"}"#), [1, 2]);
}

#[test]
fn an_event_in_parts_is_the_event_in_one() {
    let mut rules = RuleSet::default();
    rules
        .add(
            1,
            &pattern(r#"{"type": ["t"], "data": {"list": {"n": [5]}}}"#),
        )
        .unwrap();
    rules.add(2, &pattern(r#"{"data": ["plain"]}"#)).unwrap();
    let mut matched = Matched::default();
    let mut memory = Memory::default();
    let texts = [("type", "t"), ("source", "s")];
    let data: &[u8] = br#"{"list": [{"n": 4}, {"n": 5.0}]}"#;
    rules
        .find_parts(texts, Some(("data", data)), &mut memory, &mut matched)
        .unwrap();
    assert_eq!(matched.rules, [1]);
    rules
        .find_parts(
            texts,
            Some(("data", b"\"plain\"")),
            &mut memory,
            &mut matched,
        )
        .unwrap();
    assert_eq!(matched.rules, [2]);
    rules
        .find_parts([("data", "plain")], None, &mut memory, &mut matched)
        .unwrap();
    assert_eq!(matched.rules, [2]);
}

#[test]
fn what_is_no_event_is_refused_where_it_breaks() {
    let mut rules = RuleSet::default();
    rules.add(1, &pattern(r#"{"a": {"b": [1]}}"#)).unwrap();
    let (mut memory, mut matched) = (Memory::default(), Matched::default());
    for (event, at) in [
        ("", 0),
        ("[1]", 0),
        ("{", 1),
        (r#"{"a""#, 4),
        (r#"{"a": }"#, 6),
        (r#"{"a": {"b": 1}"#, 14),
        (r#"{"a": {"b": x}}"#, 13),
        (r#"{"a": 1} 2"#, 9),
        (r#"{"c": {"d": [1}}"#, 15),
        (r#"{"c": "\"#, 8),
        (r#"{"a": {"b": "\q"}}"#, 16),
    ] {
        let error = rules
            .find(event.as_bytes(), &mut memory, &mut matched)
            .unwrap_err();
        assert_eq!(error.at, at, "{event}: {error}");
    }
    let deep = format!("{}1{}", "{\"c\":[".repeat(100), "]}".repeat(100));
    assert!(
        rules
            .find(deep.as_bytes(), &mut memory, &mut matched)
            .is_err()
    );
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let deep = format!("{{\"a\": {deep}}}");
    assert!(
        rules
            .find(deep.as_bytes(), &mut memory, &mut matched)
            .is_err()
    );
}

#[test]
fn a_refusal_names_its_place() {
    for (text, place, problem) in [
        ("[]", "", "is no object"),
        ("{}", "", "is an empty object"),
        (r#"{"a": {}}"#, "a", "is an empty object"),
        (r#"{"a": []}"#, "a", "is an empty list"),
        (r#"{"a": 1}"#, "a", "is neither an object"),
        (r#"{"a": [1], "a": [2]}"#, "", "twice"),
        (r#"{"a": {"b": [1]}, "a.b": [2]}"#, "a.b", "twice"),
        (r#"{"a": [[1]]}"#, "a[0]", "within a list"),
        (r#"{"a": [1, {"like": "x"}]}"#, "a[1].like", "is no test"),
        (r#"{"a": [{"prefix": 1}]}"#, "a[0].prefix", "is no string"),
        (
            r#"{"a": [{"prefix": {"suffix": "x"}}]}"#,
            "a[0].prefix",
            "neither a string",
        ),
        (
            r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#,
            "a[0]",
            "not one test",
        ),
        (r#"{"a": [{"exists": 1}]}"#, "a[0].exists", "neither"),
        (
            r#"{"a": [{"wildcard": "x**y"}]}"#,
            "a[0].wildcard",
            "two stars",
        ),
        (
            r#"{"a": [{"wildcard": "x\\y"}]}"#,
            "a[0].wildcard",
            "backslash",
        ),
        (
            r#"{"a": [{"cidr": "10.0.0.0"}]}"#,
            "a[0].cidr",
            "ADDRESS/BITS",
        ),
        (
            r#"{"a": [{"cidr": "10.0.0.0/32"}]}"#,
            "a[0].cidr",
            "as many bits",
        ),
        (
            r#"{"a": [{"numeric": [">", 5, "<", 5]}]}"#,
            "a[0].numeric",
            "bottom",
        ),
        (
            r#"{"a": [{"numeric": ["<", 5, ">", 1]}]}"#,
            "a[0].numeric",
            "cannot stand",
        ),
        (
            r#"{"a": [{"numeric": ["=", "5"]}]}"#,
            "a[0].numeric",
            "by turns",
        ),
        (
            r#"{"a": [{"anything-but": [1, "x"]}]}"#,
            "a[0].anything-but",
            "neither all",
        ),
        (
            r#"{"a": [{"anything-but": [null]}]}"#,
            "a[0].anything-but",
            "neither all",
        ),
        (
            r#"{"a": [{"anything-but": {"prefix": ""}}]}"#,
            "a[0].anything-but[0]",
            "is empty",
        ),
        (
            r#"{"a": [{"anything-but": {"cidr": "x"}}]}"#,
            "a[0].anything-but[0]",
            "cannot except",
        ),
        (r#"{"$or": {"a": [1]}}"#, "$or", "no list"),
        (r#"{"$or": [{"a": [1]}]}"#, "$or", "fewer than two"),
        (
            r#"{"$or": [{"numeric": [1]}, {"a": [1]}]}"#,
            "$or[0].numeric",
            "test's name",
        ),
        (
            r#"{"a": [1], "$or": [{"b": [1]}, {"a": [2]}]}"#,
            "$or[1].a",
            "twice",
        ),
        (r#"{"a": [01]}"#, "", "no JSON"),
        (r#"{"a": [1]} x"#, "", "behind it"),
    ] {
        let error = Pattern::parse(text).unwrap_err();
        assert_eq!(error.place, place, "{text}: {error}");
        assert!(error.problem.contains(problem), "{text}: {error}");
    }
    let or = r#""$or": [{"a": [1]}, {"b": [1]}]"#;
    let nested = (0..9).fold(String::new(), |inner, level| match level {
        0 => format!("{{{or}}}"),
        _ => format!("{{{or}, \"x{level}\": {inner}}}"),
    });
    let error = Pattern::parse(&nested).unwrap_err();
    assert!(error.problem.contains("more than 256 branches"), "{error}");
    let deep = format!("{}[1]{}", "{\"a\":".repeat(40), "}".repeat(40));
    assert!(
        Pattern::parse(&deep)
            .unwrap_err()
            .problem
            .contains("too deep")
    );
}

#[test]
fn a_schema_says_which_fields_there_are() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "source": {"type": "string"},
            "detail": {"$ref": "#/$defs/detail"},
            "a.b": {"properties": {"c": {"type": "integer"}}},
            "any": {},
            "loose": {"type": "object"},
        },
        "$defs": {"detail": {
            "type": "object",
            "properties": {
                "state": {"enum": ["on", "off"]},
                "items": {"type": "array", "items": {"properties": {"name": {"type": "string"}}}},
                "tags": {"type": "array", "items": {"type": "string"}},
                "either": {"oneOf": [
                    {"properties": {"left": {"type": "string"}}},
                    {"properties": {"right": {"type": "string"}}},
                ]},
            },
        }},
    });
    let known = r#"{
        "source": ["s"],
        "detail": {
            "state": ["on"], "tags": ["x"],
            "items": {"name": ["n"]}, "either": {"left": ["l"], "right": ["r"]}
        },
        "a": {"b": {"c": [1]}},
        "any": {"thing": ["x"]}, "loose": {"thing": ["x"]}
    }"#;
    assert_eq!(pattern(known).unknown_fields(&schema), []);
    let unknown = |text: &str| {
        let found = pattern(text).unknown_fields(&schema);
        let one = |one: super::UnknownField| (one.field, one.instead.join(" "), one.is_object);
        found.into_iter().map(one).collect::<Vec<_>>()
    };
    let no = |field: &str, instead: &str| (field.to_owned(), instead.to_owned(), false);
    assert_eq!(
        unknown(r#"{"sorce": ["s"]}"#),
        [no("sorce", "a.b any detail loose source")]
    );
    assert_eq!(
        unknown(r#"{"detail": {"stat": ["on"]}}"#),
        [no("detail.stat", "either items state tags")]
    );
    assert_eq!(
        unknown(r#"{"detail": {"items": {"nam": ["n"]}}}"#),
        [no("detail.items.nam", "name")]
    );
    assert_eq!(unknown(r#"{"detail": {"either": {"up": ["n"]}}}"#).len(), 1);
    assert_eq!(unknown(r#"{"source": {"deep": ["n"]}}"#).len(), 1);
    assert_eq!(unknown(r#"{"detail": {"items": ["n"]}}"#).len(), 1);
    let circle = serde_json::json!({"$ref": "#"});
    assert_eq!(pattern(r#"{"a": [1]}"#).unknown_fields(&circle), []);
}
