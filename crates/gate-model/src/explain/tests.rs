//! A schema from real types and paths in, reference text or the refusal out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use schemars::JsonSchema;

use super::*;
use crate::document::Node;
use crate::units::{ByteSize, Period, Rate};

/// The whole configuration.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Config {
    /// Where requests go. Matched by host and path.
    #[schemars(default)]
    routes: BTreeMap<String, Route>,
}

/// A route.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Route {
    /// What a request must look like.
    r#match: Match,
    /// Steps in order.
    #[schemars(default)]
    policies: Vec<Policy>,
    /// The longest a request may take.
    timeout: Option<Period>,
    /// How endpoints are chosen.
    balance: Balance,
    body: ByteSize,
    raw: Node,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Match {
    /// The host name.
    #[schemars(default = "any_host")]
    host: String,
    /// How much it counts.
    #[schemars(range(min = 1, max = 100))]
    weight: u8,
}

fn any_host() -> String {
    "*".to_owned()
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Balance {
    /// One after the other. Without weights.
    RoundRobin,
    LeastRequest,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Policy {
    /// Refuses too many requests. With 429.
    Limit {
        /// How many per period.
        rate: Rate,
    },
    /// Wants a key.
    AuthKey(Match),
    Off,
}

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Config)).expect("a schema is plain data")
}

#[track_caller]
fn check(path: &str, expected: &str) {
    let shown = explain(&schema(), path).unwrap_or_else(|error| format!("{error}\n"));
    assert_eq!(shown, expected, "for {path}");
}

#[test]
fn unknown_paths_name_the_nearest() {
    for (path, expected) in [
        (
            "route",
            "unknown field `route`; expected one of routes; did you mean `routes`?\n",
        ),
        (
            "routes.match.hots",
            "unknown field `hots` below `routes.match`; expected one of host, weight; did you mean `host`?\n",
        ),
        (
            "routes.orders.match.zzzzz",
            "unknown field `zzzzz` below `routes.orders.match`; expected one of host, weight\n",
        ),
        (
            "routes.macth.host",
            "unknown field `macth` below `routes`; expected one of balance, body, match, policies, raw, timeout; did you mean `match`?\n",
        ),
        (
            "routes.match.host.x",
            "unknown field `x` below `routes.match.host`; there are no fields there\n",
        ),
        (
            "routes.policies.limit.rat",
            "unknown field `rat` below `routes.policies.limit`; expected one of rate; did you mean `rate`?\n",
        ),
        ("a..b", "unknown field `a..b`; there are no fields there\n"),
    ] {
        check(path, expected);
    }
}

#[test]
fn levels_of_names_and_lists_may_be_left_out() {
    let schema = schema();
    let body = |path: &str| {
        let text = explain(&schema, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        text.split_once(": ").expect("a title").1.to_owned()
    };
    for same in [
        "routes.*.policies[0].limit.rate",
        "routes.orders.policies[].limit.rate",
        "routes.policies.*.limit.rate",
    ] {
        assert_eq!(body(same), body("routes.policies.limit.rate"), "{same}");
    }
    assert_eq!(body("routes.*"), body("routes.orders"));
}

#[test]
fn fields_are_explained() {
    check(
        "",
        "the document: mapping\n\nThe whole configuration.\n\nFields:\n  routes  Where requests go. (mapping of names to Route)\n",
    );
    check(
        "routes",
        "\
routes: mapping of names to Route

Where requests go. Matched by host and path.

Fields of each element:
  match     What a request must look like. (mapping, required)
  policies  Steps in order. (list of Policy)
  timeout   The longest a request may take. (text)
  balance   How endpoints are chosen. (one of the values, required)
  body      Written as a size such as 64KiB, 10MiB or 1MB, or a whole number of bytes. (text or whole number, required)
  raw       (any value, required)
",
    );
    check(
        "routes.match.host",
        "routes.match.host: text\n\nThe host name.\n\nDefault: *\n",
    );
    check(
        "routes.match.weight",
        "routes.match.weight: whole number\n\nHow much it counts.\n\nAt least: 1\nAt most: 100\n",
    );
    check(
        "routes.timeout",
        "\
routes.timeout: text

The longest a request may take.

Written as a duration such as 250ms, 1.5s, 5m, 1h or 30d.

Pattern: ^\\s*(0|[0-9]+(\\.[0-9]+)?\\s*(us|ms|s|m|h|d))\\s*$
Examples: 250ms, 1.5s, 5m, 1h, 30d
",
    );
    check(
        "routes.balance",
        "\
routes.balance: one of the values

How endpoints are chosen.

Values:
  least_request
  round_robin    One after the other.
",
    );
    check(
        "routes.policies",
        "\
routes.policies: list of Policy

Steps in order.

Choices:
  limit     Refuses too many requests. (mapping)
  auth_key  Wants a key. (mapping)

Values of each element:
  off
",
    );
    check(
        "routes.policies.limit",
        "\
routes.policies.limit: mapping

Refuses too many requests. With 429.

Fields:
  rate  How many per period. (text, required)
",
    );
    check("routes.raw", "routes.raw: any value\n");
}

#[test]
fn a_schema_that_contains_itself_ends_the_search() {
    let schema = |start: &str| {
        serde_json::json!({
            "$ref": format!("#/$defs/{start}"),
            "$defs": {
                "Tree": { "additionalProperties": { "$ref": "#/$defs/Tree" } },
                "Ping": { "additionalProperties": { "$ref": "#/$defs/Pong" } },
                "Pong": { "additionalProperties": { "$ref": "#/$defs/Ping" } },
                "Loop": { "$ref": "#/$defs/Loop" },
            },
        })
    };
    let path = vec!["a"; 60].join(".");
    assert!(explain(&schema("Tree"), &path).is_ok_and(|text| text.contains("names to Tree")));
    assert!(explain(&schema("Ping"), &path).is_err_and(|error| error.valid.is_empty()));
    assert!(explain(&schema("Loop"), &path).is_err_and(|error| error.valid.is_empty()));
}

proptest! {
    #[test]
    fn no_path_panics(path in "[a-z.*\\[\\]0-9\"]{0,40}") {
        let _ = explain(&schema(), &path);
    }
}
