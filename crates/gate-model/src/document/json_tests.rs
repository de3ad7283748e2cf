//! JSON by its own reader: the same data at the same places as by the YAML parser, and whatever is
//! not JSON left to that.

use super::super::build::Builder;
use super::*;
use crate::document::{Document, canonical_json, parse};
use proptest::prelude::*;

fn by_yaml(text: &str) -> Option<Node> {
    let mut findings = Vec::new();
    let node = Builder::new(&mut findings).read(text).ok()?;
    findings.is_empty().then_some(node)
}

/// Where everything in a tree begins, in order; the scanner's ends are behind blanks.
fn places(node: &Node, found: &mut Vec<(String, u32, u32)>) {
    found.push((canonical_json(node), node.span.line, node.span.column));
    match &node.kind {
        NodeKind::Sequence(items) => items.iter().for_each(|item| places(item, found)),
        NodeKind::Mapping(entries) => {
            for (key, value) in entries {
                found.push((key.text.clone(), key.span.line, key.span.column));
                places(value, found);
            }
        }
        _ => {}
    }
}

#[track_caller]
fn same(text: &str) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    places(&read(text).expect("JSON"), &mut ours);
    places(&by_yaml(text).expect("YAML"), &mut theirs);
    assert_eq!(ours, theirs, "{text}");
}

#[test]
fn data_and_places_are_those_of_the_yaml_parser() {
    for text in [
        "{}",
        " {\n\t\"a\" : [ ] }\r\n",
        r#"{"a":{"b":[1,-2.5,1e3,true,false,null,"x"]},"c":""}"#,
        "{\r\n  \"\u{e9}\u{1F600}\": \"\u{1F600}\", \"b\": 1,\n\n\"c\": [\n1\n,\n2 ]\n}",
        r#"{"a":"\" \\ \/ \b\f\n\r\t \u00e9","18446744073709551615":18446744073709551615}"#,
        r#"{"a":"true","b":"1","c":"~","<<":{"d":1},"null":0}"#,
    ] {
        same(text);
    }
}

#[test]
fn what_is_not_json_is_left_to_the_yaml_parser() {
    for text in [
        "",
        "[]",
        "a: 1",
        "{a: 1}",
        "{\"a\": x}",
        "{\"a\": 01}",
        "{\"a\": 1.}",
        "{\"a\": +1}",
        "{\"a\": .5}",
        "{\"a\": 1,}",
        "{\"a\": 1 \"b\": 2}",
        "{\"a\": 1} # more",
        "{\"a\": 1, \"a\": 2}",
        "{\"a\": 'x'}",
        "{\"a\": \"\n\"}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": \"\\x41\"}",
        "{\"a\": 18446744073709551616}",
        "{\"a\": 1e999}",
        "{\"a\": \"x",
        "{\"a\"",
    ] {
        assert!(read(text).is_none(), "{text}");
    }
    let deep = format!(
        "{}1{}",
        "{\"a\":".repeat(DEPTH_MAX + 1),
        "}".repeat(DEPTH_MAX + 1)
    );
    assert!(read(&deep).is_none());
    assert_eq!(
        parse(&deep, "g.json").unwrap_err()[0].code,
        "document_too_deep"
    );
    let long = format!("{{\"{}\": 1}}", "k".repeat(KEY_BYTES_MAX + 1));
    assert!(read(&long).is_none());
}

#[test]
fn pairs_of_escapes_are_one_character() {
    let document = Document::parse(br#"{"a":"\ud83d\ude00"}"#, "g.json").expect("JSON");
    assert_eq!(canonical_json(&document.root), "{\"a\":\"\u{1F600}\"}");
}

#[test]
fn many_keys_are_compared_as_well_as_few() {
    for count in [2, 8, 9, 500] {
        let keys = (0..count).map(|n| format!("\"k{n}\":{n}"));
        let text = keys.collect::<Vec<_>>().join(",");
        assert!(read(&format!("{{{text}}}")).is_some());
        assert!(read(&format!("{{{text},\"k0\":1}}")).is_none(), "{count}");
    }
}

proptest! {
    #[test]
    fn arbitrary_json_is_read_as_the_yaml_parser_reads_it(
        value in proptest::collection::btree_map("\\PC{0,12}", leaves(), 0..6),
        pretty: bool,
    ) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value),
            false => serde_json::to_string(&value),
        };
        let text = text.expect("it is data");
        prop_assume!(by_yaml(&text).is_some());
        same(&text);
    }

    #[test]
    fn arbitrary_text_is_never_read_as_something_else(text in "[{}\\[\\]\",:a0 .\\\\nul]{0,40}") {
        if let Some(node) = read(&text) {
            let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
            let node: serde_json::Value = serde_json::from_str(&canonical_json(&node)).expect("JSON");
            prop_assert_eq!(node, value);
        }
    }
}

fn leaves() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|float: f64| float.into()),
        "\\PC{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z]{1,8}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
