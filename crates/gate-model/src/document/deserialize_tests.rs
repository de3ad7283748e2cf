//! Documents in, findings out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::document::{Document, canonical_json};
use crate::units::{ByteSize, Percent, Period, Rate, Sha256Text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Config {
    #[serde(default)]
    routes: BTreeMap<String, Route>,
    #[serde(default)]
    ports: BTreeMap<u16, String>,
    #[serde(default)]
    by_mode: BTreeMap<Balance, u8>,
    #[serde(default)]
    pair: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Route {
    path: String,
    #[serde(default)]
    weight: u8,
    #[serde(default)]
    share: f64,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    balance: Option<Balance>,
    #[serde(default)]
    policies: Vec<Policy>,
    #[serde(default)]
    timeout: Option<Period>,
    #[serde(default)]
    body: Option<ByteSize>,
    #[serde(default)]
    good: Option<Percent>,
    #[serde(default)]
    key: Option<Sha256Text>,
    #[serde(default)]
    raw: Option<Node>,
    #[serde(default)]
    name: Option<Name>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Balance {
    RoundRobin,
    LeastRequest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(dead_code)]
enum Policy {
    AuthKey {},
    Limit { rate: Rate },
    Custom(Inner),
    Off,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Inner {
    size: u32,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(#[allow(dead_code)] String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Name, &'static str> {
        if text.contains(' ') {
            Err("a name has no blanks")
        } else {
            Ok(Name(text))
        }
    }
}

fn read(text: &str) -> Result<Config, Finding> {
    let document = Document::parse(text.as_bytes(), "g.yaml").expect("the text is valid YAML");
    document.read(&Path::root())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown = match read(text) {
        Ok(config) => format!("{config:?}"),
        Err(finding) => finding.to_string(),
    };
    assert_eq!(shown, expected, "for:\n{text}");
}

/// One route named `a` whose field is `line`.
#[track_caller]
fn check_field(line: &str, expected: &str) {
    let text = format!("routes:\n  a:\n    path: /\n    {line}\n");
    check(&text, expected);
}

#[test]
fn wrong_types_name_found_and_expected() {
    for (line, expected) in [
        (
            "weight: abc",
            "g.yaml:4:13: error[wrong_type]: found string \"abc\"\n  at routes.a.weight\n  expected a whole number from 0 to 255",
        ),
        (
            "weight: 300",
            "g.yaml:4:13: error[invalid_value]: found integer 300\n  at routes.a.weight\n  expected a whole number from 0 to 255",
        ),
        (
            "weight: -1",
            "g.yaml:4:13: error[invalid_value]: found integer -1\n  at routes.a.weight\n  expected a whole number from 0 to 255",
        ),
        (
            "weight: 1.5",
            "g.yaml:4:13: error[wrong_type]: found number 1.5\n  at routes.a.weight\n  expected a whole number from 0 to 255",
        ),
        (
            "share: '1'",
            "g.yaml:4:12: error[wrong_type]: found string \"1\"\n  at routes.a.share\n  expected a number\n  help: remove the quotes",
        ),
        (
            "enabled: yes",
            "g.yaml:4:14: error[wrong_type]: found string \"yes\"\n  at routes.a.enabled\n  expected true or false\n  help: did you mean `true`?",
        ),
        (
            "hosts: a.example",
            "g.yaml:4:12: error[wrong_type]: found string \"a.example\"\n  at routes.a.hosts\n  expected a list\n  help: a list with one item is written `[item]`",
        ),
        (
            "hosts: [a, 1]",
            "g.yaml:4:16: error[wrong_type]: found integer 1\n  at routes.a.hosts[1]\n  expected a string\n  help: put it in quotes",
        ),
    ] {
        check_field(line, expected);
    }
    check(
        "routes: [1]",
        "g.yaml:1:9: error[wrong_type]: found a list\n  at routes\n  expected a mapping",
    );
    check(
        "routes:\n  a:\n",
        "g.yaml:2:4: error[wrong_type]: found nothing (null)\n  at routes.a\n  expected a mapping\n  help: write a value behind the `:`, or remove the key",
    );
    check(
        "routes:\n  a: [/x, 1]\n",
        "g.yaml:2:6: error[wrong_type]: found a list\n  at routes.a\n  expected a mapping",
    );
    check(
        "pair: [1, 2, 3]",
        "g.yaml:1:7: error[invalid_length]: found 3 items\n  at pair\n  expected 2 items",
    );
    check(
        "pair: [1]",
        "g.yaml:1:7: error[invalid_length]: found 1 items\n  at pair\n  expected a tuple of size 2",
    );
    check(
        "ports: { x: a }",
        "g.yaml:1:10: error[wrong_type]: found string \"x\"\n  at ports.x\n  expected a whole number from 0 to 65535",
    );
}

#[test]
fn secrets_in_the_wrong_place_are_not_echoed() {
    let finding = read("routes: sk-live-abcdef").expect_err("no mapping");
    assert_eq!(
        finding.to_string(),
        "g.yaml:1:9: error[wrong_type]: found a string of 14 characters\n  at routes\n  expected a mapping"
    );
}

#[test]
fn unknown_names_suggest_the_nearest() {
    check_field(
        "wieght: 1",
        "g.yaml:4:5: error[unknown_field]: unknown field `wieght`\n  at routes.a.wieght\n  expected one of `path`, `weight`, `share`, `enabled`, `hosts`, `balance`, `policies`, `timeout`, `body`, `good`, `key`, `raw`, `name`\n  help: did you mean `weight`?",
    );
    check_field(
        "balance: roundrobin",
        "g.yaml:4:14: error[unknown_variant]: unknown choice `roundrobin`\n  at routes.a.balance\n  expected one of `round_robin`, `least_request`\n  help: did you mean `round_robin`?",
    );
    check_field(
        "policies: [{ limmit: { rate: 1/s } }]",
        "g.yaml:4:18: error[unknown_variant]: unknown choice `limmit`\n  at routes.a.policies[0].limmit\n  expected one of `auth_key`, `limit`, `custom`, `off`\n  help: did you mean `limit`?",
    );
    check_field(
        "policies: [{ limit: { rat: 1/s } }]",
        "g.yaml:4:27: error[unknown_field]: unknown field `rat`\n  at routes.a.policies[0].limit.rat\n  expected `rate`\n  help: did you mean `rate`?",
    );
    check_field(
        "policies: [{ auth_key: { rate: 1/s } }]",
        "g.yaml:4:30: error[unknown_field]: unknown field `rate`\n  at routes.a.policies[0].auth_key.rate\n  expected no name at all",
    );
    check(
        "by_mode: { worst: 1 }",
        "g.yaml:1:12: error[unknown_variant]: unknown choice `worst`\n  at by_mode.worst\n  expected one of `round_robin`, `least_request`",
    );
}

#[test]
fn choices_want_one_key_and_their_settings() {
    check_field(
        "policies: [auth_key]",
        "g.yaml:4:16: error[wrong_type]: found the bare name `auth_key`\n  at routes.a.policies[0]\n  expected `auth_key` with its settings\n  help: write `auth_key: { ... }`; `auth_key: {}` takes all defaults",
    );
    check_field(
        "policies: [{ off: 1 }]",
        "g.yaml:4:23: error[wrong_type]: found settings for `off`, which takes none\n  at routes.a.policies[0].off\n  expected the bare name `off`",
    );
    check_field(
        "policies: [{ auth_key: {}, limit: { rate: 1/s } }]",
        "g.yaml:4:32: error[wrong_type]: found a mapping with 2 keys\n  at routes.a.policies[0]\n  expected one of `auth_key`, `limit`, `custom`, `off` with its settings, or its bare name",
    );
    check_field(
        "policies: [{}]",
        "g.yaml:4:16: error[wrong_type]: found an empty mapping\n  at routes.a.policies[0]\n  expected one of `auth_key`, `limit`, `custom`, `off` with its settings, or its bare name",
    );
    check_field(
        "policies: [{ custom: { size: x } }]",
        "g.yaml:4:34: error[wrong_type]: found string \"x\"\n  at routes.a.policies[0].custom.size\n  expected a whole number from 0 to 4294967295",
    );
    check_field(
        "policies: [{ custom: {} }]",
        "g.yaml:4:26: error[missing_field]: the field `size` is missing\n  at routes.a.policies[0].custom",
    );
}

#[test]
fn missing_fields_and_own_errors_are_located() {
    check(
        "routes:\n  a:\n    weight: 1\n",
        "g.yaml:3:5: error[missing_field]: the field `path` is missing\n  at routes.a",
    );
    check_field(
        "name: a b",
        "g.yaml:4:11: error[invalid_value]: a name has no blanks\n  at routes.a.name",
    );
    check_field(
        "timeout: 5 parsecs",
        "g.yaml:4:14: error[invalid_value]: found `5 parsecs`, whose unit `parsecs` is unknown\n  at routes.a.timeout\n  expected a duration such as 250ms, 1.5s, 5m, 1h or 30d",
    );
    check_field(
        "timeout: 30",
        "g.yaml:4:14: error[invalid_value]: found the number 30, which has no unit\n  at routes.a.timeout\n  expected a duration such as 250ms, 1.5s, 5m, 1h or 30d",
    );
    check_field(
        "key: 5f2cabc",
        "g.yaml:4:10: error[invalid_value]: found a text of 7 characters\n  at routes.a.key\n  expected a SHA-256 digest of 64 hexadecimal digits",
    );
    check_field(
        "good: 99.9",
        "g.yaml:4:11: error[invalid_value]: found the number 99.9, which has no `%`\n  at routes.a.good\n  expected a percentage such as 99.9%",
    );
}

#[test]
fn paths_start_at_the_base() {
    let document = Document::parse(b"a: { size: x }", "g.yaml").expect("valid");
    let base = Path::root().key("a");
    let error = document.read::<Inner>(&base).expect_err("x is no number");
    assert_eq!(
        (error.path.to_string().as_str(), error.line, error.column),
        ("a.size", 1, 12)
    );
    let error = document
        .read::<Inner>(&Path::root().key("b"))
        .expect_err("not there");
    assert_eq!(
        error.to_string(),
        "g.yaml:1:1: error[missing_field]: nothing stands here\n  at b"
    );
}

#[test]
fn valid_documents_are_read_and_raw_parts_keep_their_places() {
    let text = "
routes:
  a:
    path: /
    weight: 255
    share: 1
    enabled: true
    hosts: [x]
    balance: least_request
    policies: [{ auth_key: {} }, { limit: { rate: 100/s } }, off, { off: }, { custom: { size: 1 } }]
    timeout: 1.5s
    body: 65536
    good: 99.9 %
    raw:
      z: [1, two]
      a: null
ports: { 8080: a }
by_mode: { round_robin: 1 }
pair: [1, 2]
";
    let config = read(text).expect("valid");
    let route = &config.routes["a"];
    assert_eq!(format!("{:?}", route.balance), "Some(LeastRequest)");
    assert_eq!(
        format!("{:?}", route.policies),
        "[AuthKey, Limit { rate: Rate { count: 100, per: Period(1s) } }, Off, Off, Custom(Inner { size: 1 })]"
    );
    assert_eq!(
        route.body.map(|size| size.to_string()).as_deref(),
        Some("64KiB")
    );
    let raw = route.raw.as_ref().expect("given");
    assert_eq!(canonical_json(raw), r#"{"a":null,"z":[1,"two"]}"#);
    let two = raw.at(&"z[1]".parse().expect("a path")).expect("there");
    assert_eq!((two.span.line, two.span.column), (15, 14));
    assert_eq!(config.ports.keys().collect::<Vec<_>>(), [&8080]);
}

#[test]
fn a_node_is_built_from_other_formats_without_places() {
    let node: Node =
        serde_json::from_str(r#"{"b":[1,-2,1.5,true,null],"a":{"x":"y"}}"#).expect("JSON");
    assert_eq!(
        canonical_json(&node),
        r#"{"a":{"x":"y"},"b":[1,-2,1.5,true,null]}"#
    );
    assert_eq!(node.span, crate::document::Span::default());
    let inside: BTreeMap<String, Node> =
        serde_json::from_str(r#"{"a":null,"b":"x"}"#).expect("JSON");
    assert_eq!(canonical_json(&inside["a"]), "null");
    let twice = serde_json::from_str::<Node>(r#"{"a":1,"a":2}"#).expect_err("duplicate");
    assert!(twice.to_string().contains("`a` stands twice"), "{twice}");
}
