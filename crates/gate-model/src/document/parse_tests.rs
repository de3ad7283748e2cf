//! Documents in, findings or canonical JSON out; then properties over arbitrary input.

use proptest::prelude::*;

use super::*;
use crate::document::{Key, NodeKind, canonical_json};

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown = match parse(text, "g.yaml") {
        Ok(node) => canonical_json(&node),
        Err(findings) => findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    assert_eq!(shown, expected, "for:\n{text}");
}

#[test]
fn syntax_errors_are_located() {
    check(
        "a:\n\tb: 1\n",
        "g.yaml:2:2: error[syntax]: tabs disallowed within this context (block indentation)\n  at a\n  help: indent with spaces; YAML allows no tabs there",
    );
    check(
        "a: b: c\n",
        "g.yaml:1:5: error[syntax]: mapping values are not allowed in this context\n  help: check the indentation, and put text that holds `: ` in quotes",
    );
    check(
        "a: [1, 2\n",
        "g.yaml:2:1: error[syntax]: while parsing a flow sequence, expected ',' or ']'\n  at a[2]\n  help: check for a missing comma or closing bracket above",
    );
    check(
        "a: \"x\n",
        "g.yaml:1:4: error[syntax]: while scanning a quoted scalar, found unexpected end of stream\n  at a\n  help: close the quotes",
    );
    check(
        "a: *nowhere\n",
        "g.yaml:1:4: error[syntax]: while parsing node, found unknown anchor\n  at a\n  help: text that starts with `*` needs quotes; without, it is an alias of an anchor `&`",
    );
    check(
        "a: 1\n b: 2\n",
        "g.yaml:2:3: error[syntax]: mapping values are not allowed in this context\n  help: check the indentation, and put text that holds `: ` in quotes",
    );
    check(
        "{a: \"\\ud83d\\ude00\"}",
        "g.yaml:1:5: error[syntax]: while parsing a quoted scalar, found invalid Unicode character escape code\n  help: write the character itself, or one escape such as `\\U0001F600`",
    );
    check(
        "a: \"C:\\dir\"",
        "g.yaml:1:4: error[syntax]: while parsing a quoted scalar, found unknown escape character\n  at a\n  help: in double quotes a backslash starts an escape; single quotes take it as it is",
    );
    check(
        "a: @x",
        "g.yaml:1:4: error[syntax]: unexpected character: `@'\n  at a\n  help: text that starts with this character needs quotes",
    );
}

#[test]
fn keys_are_unique_text() {
    check(
        "routes:\n  a: 1\n  b: 2\n  a: 3\n  b: 4\n",
        "g.yaml:4:3: error[duplicate_key]: the key `a` stands twice in one mapping; first at 2:3\n  at routes.a\n  help: remove or rename one of the two\ng.yaml:5:3: error[duplicate_key]: the key `b` stands twice in one mapping; first at 3:3\n  at routes.b\n  help: remove or rename one of the two",
    );
    check(
        "a: [{ true: 1 }]",
        "g.yaml:1:7: error[key_not_text]: found a boolean as a key\n  at a[0]\n  expected a key that is text\n  help: put it in quotes: \"true\"",
    );
    check(
        "1.5: x",
        "g.yaml:1:1: error[key_not_text]: found a fractional number as a key\n  expected a key that is text\n  help: put it in quotes: \"1.5\"",
    );
    check(
        ": x",
        "g.yaml:1:1: error[key_not_text]: found null as a key\n  expected a key that is text\n  help: write the key before the `:`",
    );
    check(
        "{[a]: x}",
        "g.yaml:1:2: error[key_not_text]: found a list or mapping as a key\n  expected a key written as text\n  help: text that starts with `{` or `[` needs quotes",
    );
    check(
        "a: &x b\n*x : 1",
        "g.yaml:2:1: error[key_not_text]: found an alias as a key\n  expected a key written as text",
    );
    check(
        &format!("{}: 1", "k".repeat(257)),
        "g.yaml:1:1: error[key_too_long]: the key has 257 bytes\n  expected a key of at most 256 bytes",
    );
    check(
        "8080: a\n0x10: b\n'true': c",
        r#"{"0x10":"b","8080":"a","true":"c"}"#,
    );
    check("\"8080\": a\n8080: b", "g.yaml:2:1: error[duplicate_key]: the key `8080` stands twice in one mapping; first at 1:1\n  at \"8080\"\n  help: remove or rename one of the two".replace("\"8080\"", "8080").as_str());
}

#[test]
fn values_that_no_type_could_hold_are_refused() {
    check(
        "a: 18446744073709551616\nb: .inf\nc: !secret x\nd: !!int x\n",
        "g.yaml:1:4: error[number_range]: the whole number is too large\n  at a\n  expected a whole number from -9223372036854775808 to 18446744073709551615\n  help: if it is meant as text, put it in quotes\n\
         g.yaml:2:4: error[number_range]: the number is not finite\n  at b\n  expected a finite number\n  help: if it is meant as text, put it in quotes\n\
         g.yaml:3:4: error[unknown_tag]: found the tag string \"!secret\"\n  at c\n  expected no tag, or one of !!str, !!int, !!float, !!bool, !!null, !!seq, !!map\n\
         g.yaml:4:4: error[tag_mismatch]: the text under the tag is not a whole number\n  at d",
    );
    check(
        "a: !set { x: 1 }",
        "g.yaml:1:4: error[unknown_tag]: found the tag string \"!set\"\n  at a\n  expected no tag, or one of !!str, !!int, !!float, !!bool, !!null, !!seq, !!map",
    );
}

#[test]
fn files_hold_one_document_of_text() {
    check(
        "a: 1\n---\nb: 2\n",
        "g.yaml:2:1: error[several_documents]: a second YAML document starts here\n  expected one document per file\n  help: split the file, or remove the line `---`",
    );
    check(
        "a: 1\nb: x\u{0}y\n",
        "g.yaml:2:5: error[control_character]: found the control character U+0000\n  help: inside double quotes, write it as an escape such as `\\x07`",
    );
    let findings = parse_bytes(b"a: \xc3\xa9\nb\xff: 1", "g.yaml").expect_err("not UTF-8");
    assert_eq!(
        findings[0].to_string(),
        "g.yaml:2:2: error[not_utf8]: found bytes that are not UTF-8\n  expected a text file encoded as UTF-8"
    );
    for empty in ["", "\n# only a comment\n", "---\n", "\u{feff}", "null"] {
        check(empty, "{}");
    }
    check("\u{feff}a: 1\n...\n", r#"{"a":1}"#);
}

#[test]
fn anchors_aliases_and_merge_keys_are_resolved() {
    check(
        "base: &base { a: 1, b: 2 }\nx: { <<: *base, b: 3 }\ny: *base\nz: { <<: [{ a: 9, c: 4 }, *base] }\n",
        r#"{"base":{"a":1,"b":2},"x":{"a":1,"b":3},"y":{"a":1,"b":2},"z":{"a":9,"b":2,"c":4}}"#,
    );
    check("'<<': 1", r#"{"<<":1}"#);
    check("&k key: *k", r#"{"key":"key"}"#);
    check(
        "a: &a [*a]",
        "g.yaml:1:8: error[alias_cycle]: the alias stands inside the value that it names\n  at a[0]",
    );
    check(
        "x: { <<: 5 }",
        "g.yaml:1:6: error[merge_key]: the merge key `<<` has a value that cannot be merged\n  at x.<<\n  expected an alias of a mapping, or a list of such aliases",
    );
    let node = parse("a: &x 5\nb: *x\n", "g.yaml").expect("valid");
    let copy = node.get("b").expect("there");
    assert_eq!(
        (copy.span.line, copy.span.column),
        (1, 4),
        "a copy has its anchor's place"
    );
}

#[test]
fn limits_end_the_parse() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    check(
        &laughs,
        "g.yaml:5:40: error[alias_expansion]: the anchors and aliases expand to too much\n  at a4[6]\n  expected at most 100000 values and 16777216 bytes copied",
    );
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a, ".repeat(20));
    let findings = parse(&long, "g.yaml").expect_err("20 MiB of copies");
    assert_eq!(findings[0].code, "alias_expansion");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(64), "g.yaml").is_ok());
    check(
        &nested(65),
        &format!(
            "g.yaml:1:65: error[document_too_deep]: the nesting is too deep\n  at {}\n  expected at most 64 levels",
            "[0]".repeat(64)
        ),
    );
    let through_alias = format!(
        "a: &a {}\nb: {}*a{}",
        nested(40),
        "[".repeat(24),
        "]".repeat(24)
    );
    let findings = parse(&through_alias, "g.yaml").expect_err("65 levels through the alias");
    assert_eq!(findings[0].code, "document_too_deep");
    let blocks: String = (0..70)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert_eq!(
        parse(&blocks, "g.yaml").expect_err("70 levels")[0].code,
        "document_too_deep"
    );
    let large = " ".repeat(DOCUMENT_BYTES_MAX + 1);
    check(
        &large,
        "g.yaml: error[document_too_large]: the document has 16777217 bytes\n  expected at most 16777216 bytes",
    );
    check(
        &format!("[{}", ",a".repeat(PUNCTUATION_MAX)),
        "g.yaml: error[document_too_large]: the document has 2000001 commas and opening brackets\n  expected at most 2000000 of them",
    );
    let many = format!("[{}]", "0,".repeat(NODES_MAX));
    assert_eq!(
        parse(&many, "g.yaml").expect_err("one too many")[0].code,
        "document_too_large"
    );
    let duplicates = "a: 1\n".repeat(FINDINGS_MAX + 50);
    assert_eq!(
        parse(&duplicates, "g.yaml").expect_err("duplicates").len(),
        FINDINGS_MAX
    );
}

#[test]
fn scalars_and_json_are_read_as_yaml_1_2_says() {
    check(
        "a: yes\nb: 'true'\nc: true\nd: ~\ne: 1.50\nf: \"1\"\ng: |\n  x\n  y\nh: >-\n  x\n  y\ni: !!str 5\nj:\n",
        r#"{"a":"yes","b":"true","c":true,"d":null,"e":1.5,"f":"1","g":"x\ny\n","h":"x y","i":"5","j":null}"#,
    );
    check(
        "{\"a\":[1,-2,3e2,true,null,\"\\u00e9\\n\\/\"],\t\"b\":{},\r\n\t\"c\":[]}",
        r#"{"a":[1,-2,300.0,true,null,"é\n/"],"b":{},"c":[]}"#,
    );
}

#[test]
fn every_value_knows_its_place() {
    let text =
        "routes:\n  orders:\n    policies:\n      - limit: { rate: 100/s }\n      - é: [x,  y]\n";
    let node = parse(text, "g.yaml").expect("valid");
    for (path, place) in [
        ("", "1:1"),
        ("routes", "2:3"),
        ("routes.orders.policies", "4:7"),
        ("routes.orders.policies[0]", "4:9"),
        ("routes.orders.policies[0].limit", "4:16"),
        ("routes.orders.policies[0].limit.rate", "4:24"),
        ("routes.orders.policies[1].é[1]", "5:17"),
    ] {
        let path: Path = path.parse().expect("a path");
        let span = node
            .at(&path)
            .unwrap_or_else(|| panic!("{path} is missing"))
            .span;
        assert_eq!(format!("{}:{}", span.line, span.column), place, "{path}");
    }
    assert!(
        node.at(&"routes.orders[0]".parse().expect("a path"))
            .is_none()
    );
}

/// Trees as a document could hold them.
fn tree() -> impl Strategy<Value = Node> {
    let text = prop_oneof![
        "[ -~]{0,20}",
        "\\PC{0,20}",
        any::<String>(),
        Just("true".to_owned()),
        Just("- x: #".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(NodeKind::Null),
        any::<bool>().prop_map(NodeKind::Bool),
        any::<i64>().prop_map(|number| NodeKind::Integer(number.into())),
        any::<u64>().prop_map(|number| NodeKind::Integer(number.into())),
        (proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL)
            .prop_map(NodeKind::Float),
        text.prop_map(NodeKind::String),
    ]
    .prop_map(Node::new);
    let key = prop_oneof!["[a-z]{1,8}", "\\PC{0,20}", "[ -~]{0,12}"]
        .prop_filter("control characters", |key| {
            !key.chars().any(char::is_control)
        });
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| Node::new(NodeKind::Sequence(items))),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|entries| {
                let entry = |(text, node)| {
                    (
                        Key {
                            text,
                            span: Span::default(),
                        },
                        node,
                    )
                };
                Node::new(NodeKind::Mapping(entries.into_iter().map(entry).collect()))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_json_reads_back(node in tree()) {
        let json = canonical_json(&node);
        let read = parse(&json, "g.yaml").map_err(|findings| {
            TestCaseError::fail(format!("{json}: {}", findings[0]))
        })?;
        // A document that is nothing reads as an empty mapping.
        let same = if json == "null" { "{}".to_owned() } else { json };
        prop_assert_eq!(canonical_json(&read), same);
    }

    #[test]
    fn what_parses_is_stable(text in "([a-c]|[0-9.+-]|[:,?&*!|>'\"{}\\[\\]#%@\\\\ \t\n-]|: |\n  ){0,60}") {
        if let Ok(node) = parse(&text, "g.yaml") {
            let json = canonical_json(&node);
            let again = parse(&json, "g.yaml").map_err(|findings| {
                TestCaseError::fail(format!("{json}: {}", findings[0]))
            })?;
            prop_assert_eq!(canonical_json(&again), json);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(findings) = parse_bytes(&bytes, "g.yaml") {
            prop_assert!(!findings.is_empty());
        }
    }

    #[test]
    fn findings_lie_inside_the_text(text in "([a-c]|[0-9]|[:,?&*!|>'\"{}\\[\\]#%@\\\\ \t\n-]|: |\n  ){0,60}") {
        if let Err(findings) = parse(&text, "g.yaml") {
            for finding in findings {
                let lines = u32::try_from(text.matches('\n').count()).expect("short") + 1;
                prop_assert!((1..=lines + 1).contains(&finding.line), "{} in {:?}", finding, text);
                prop_assert!(finding.column >= 1);
            }
        }
    }
}
