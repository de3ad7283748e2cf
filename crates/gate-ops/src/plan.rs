//! What a person should know about a change before it is applied: protections that go, limits that
//! loosen, routes that nothing reaches, keys that end.
//!
//! Looks at two documents as trees (resources by kind and name). What is wrong in itself is found
//! by compiling the candidate; everything here is a warning.

use crate::lint::{self, Complaint, Level, Subject};
use gate_api::types::{Finding, Severity};
use gate_kit::order::Gather;
use gate_model::document::{Node, NodeKind};
use gate_model::resources::AUTHENTICATING;
use gate_model::units::Rate;
use serde_json::Value;
use std::collections::BTreeSet;

/// Kinds of policies whose loss opens something, besides those that authenticate.
const PROTECTS: [&str; 8] = [
    "access",
    "authorize",
    "contract",
    "graphql",
    "guard",
    "limit",
    "plan",
    "waf",
];

/// What a person should know about going from one document to another. `now` is UNIX time in
/// seconds.
#[must_use]
pub fn findings(before: &Value, after: &Value, now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    routes(before, after, &mut findings);
    budgets(before, after, &mut findings);
    consumers(before, after, &mut findings);
    unreachable(after, &mut findings);
    doubts(before, after, now, &mut findings);
    findings.extend(crate::event::plan::findings(before, after));
    findings
}

fn warning(code: &str, path: String, message: String, help: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        help: Some(help.to_owned()),
        ..Finding::error(code, path, message)
    }
}

/// Resources of a kind.
fn each<'a>(document: &'a Value, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    document
        .get(kind)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// A route's policies: kind and settings.
fn policies(route: &Value) -> Vec<(&str, &Value)> {
    let list = route.get("policies").and_then(Value::as_array);
    let steps = list.into_iter().flatten().filter_map(Value::as_object);
    steps
        .filter_map(|step| {
            let mut kinds = step.iter().filter(|(key, _)| *key != "when");
            kinds
                .next()
                .map(|(kind, settings)| (kind.as_str(), settings))
        })
        .collect()
}

fn routes(before: &Value, after: &Value, findings: &mut Vec<Finding>) {
    for (name, route) in each(after, "routes") {
        let Some(was) = before.get("routes").and_then(|routes| routes.get(name)) else {
            continue;
        };
        let (old, new) = (policies(was), policies(route));
        let kinds = |steps: &[(&str, &Value)]| -> BTreeSet<String> {
            steps.iter().map(|(kind, _)| (*kind).to_owned()).into_set()
        };
        let path = format!("routes.{name}.policies");
        for kind in kinds(&old).difference(&kinds(&new)) {
            if PROTECTS.contains(&kind.as_str()) || AUTHENTICATING.contains(&kind.as_str()) {
                let still = new.iter().any(|(kind, _)| lint_auth(kind));
                let public = lint_auth(kind) && !still;
                let message = match public {
                    true => format!("route `{name}` loses `{kind}` and lets anybody in"),
                    false => format!("route `{name}` loses `{kind}`"),
                };
                let help = "make sure that something in front of the gateway does it instead";
                findings.push(warning("protection_removed", path.clone(), message, help));
            }
        }
        let rate = |steps: &[(&str, &Value)]| -> Option<f64> {
            let limit = steps.iter().find(|(kind, _)| *kind == "limit")?.1;
            per_second(limit.get("rate")?.as_str()?)
        };
        if let (Some(old), Some(new)) = (rate(&old), rate(&new))
            && new > old
        {
            let message = format!("route `{name}` lets {:.1} times as much through", new / old);
            let help = "make sure that what is behind it can take that";
            findings.push(warning("limit_loosened", path, message, help));
        }
    }
}

fn lint_auth(kind: &str) -> bool {
    kind.starts_with("auth_")
}

fn per_second(rate: &str) -> Option<f64> {
    let rate: Rate = rate.parse().ok()?;
    let seconds = rate.per().duration().as_secs_f64();
    (seconds > 0.0).then(|| f64::from(rate.count()) / seconds)
}

fn budgets(before: &Value, after: &Value, findings: &mut Vec<Finding>) {
    for (name, was) in each(before, "budgets") {
        let path = format!("budgets.{name}");
        let help = "callers may spend more than before";
        let Some(is) = after.get("budgets").and_then(|budgets| budgets.get(name)) else {
            let message = format!("budget `{name}` goes");
            findings.push(warning("budget_loosened", path, message, help));
            continue;
        };
        let a_day = |budget: &Value, unit: &str| -> Option<f64> {
            let limit = budget.get("limit")?.get(unit)?;
            let limit = limit
                .as_f64()
                .or_else(|| limit.as_str().and_then(|text| text.parse().ok()))?;
            let days = match budget.get("per")?.as_str()? {
                "day" => 1.0,
                "week" => 7.0,
                "month" => 30.0,
                // For ever: less than any other for the same amount.
                _ => 36_500.0,
            };
            Some(limit / days)
        };
        for unit in ["usd", "tokens"] {
            if let (Some(old), Some(new)) = (a_day(was, unit), a_day(is, unit))
                && new > old * 1.000_001
            {
                let message = format!("budget `{name}` allows {:.1} times as much", new / old);
                findings.push(warning("budget_loosened", path.clone(), message, help));
            }
        }
        if was.get("of") != is.get("of") {
            let message = format!("budget `{name}` counts the calls of somebody else");
            findings.push(warning("budget_loosened", path, message, help));
        }
    }
}

fn consumers(before: &Value, after: &Value, findings: &mut Vec<Finding>) {
    let keys = |consumer: &Value| -> BTreeSet<String> {
        let list = consumer.get("keys").and_then(Value::as_array);
        let keys = list.into_iter().flatten();
        keys.filter_map(|key| Some(key.get("sha256")?.as_str()?.to_owned()))
            .into_set()
    };
    let all: BTreeSet<String> = each(after, "consumers")
        .flat_map(|(_, is)| keys(is))
        .into_set();
    for (name, was) in each(before, "consumers") {
        let gone = keys(was).difference(&all).count();
        if gone > 0 {
            let message = match gone {
                1 => format!("a key of consumer `{name}` is no longer accepted"),
                gone => format!("{gone} keys of consumer `{name}` are no longer accepted"),
            };
            let path = format!("consumers.{name}.keys");
            let help = "its callers are refused from the next request on";
            findings.push(warning("key_removed", path, message, help));
        }
    }
}

/// Routes that another one takes everything from. The most specific path wins, and a path of any kind
/// comes before `path_regex` and before none: one for `/{*rest}` without conditions leaves nothing.
fn unreachable(after: &Value, findings: &mut Vec<Finding>) {
    let field = |route: &Value, name: &str| -> Option<String> {
        let value = route.get("match")?.get(name)?;
        Some(value.as_str()?.to_owned())
    };
    let is_empty = |route: &Value, name: &str| {
        let value = route.get("match").and_then(|matches| matches.get(name));
        match value {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        }
    };
    let takes_all = |route: &Value| {
        let rest = field(route, "path").is_some_and(|path| {
            path.starts_with("/{*") && path.ends_with('}') && path.matches('/').count() == 1
        });
        rest && ["listeners", "methods", "headers", "query", "server_name"]
            .iter()
            .all(|name| is_empty(route, name))
    };
    let host = |route: &Value| field(route, "host").map(|host| host.to_ascii_lowercase());
    for (name, route) in each(after, "routes") {
        if field(route, "path").is_some() || field(route, "server_name").is_some() {
            continue;
        }
        let taker = each(after, "routes").find(|(other, taker)| {
            *other != name && host(taker) == host(route) && takes_all(taker)
        });
        if let Some((taker, _)) = taker {
            let message = format!("no request reaches route `{name}`: `{taker}` takes them all");
            let help = "give it a path, or give the other one a condition";
            findings.push(warning(
                "unreachable_route",
                format!("routes.{name}.match"),
                message,
                help,
            ));
        }
    }
}

/// What `tidegate lint` finds in the candidate and did not find before.
fn doubts(before: &Value, after: &Value, now: u64, findings: &mut Vec<Finding>) {
    let complaints = |document: &Value| -> Vec<Complaint> {
        let root: Node = serde_json::from_value(document.clone())
            .unwrap_or_else(|_| Node::new(NodeKind::Mapping(Vec::new())));
        lint::lint(&[Subject::of_node("".into(), root)], now)
    };
    let known: BTreeSet<(&str, String)> = complaints(before)
        .into_iter()
        .map(|complaint| (complaint.code, complaint.path.to_string()))
        .into_set();
    for complaint in complaints(after) {
        let is_new = !known.contains(&(complaint.code, complaint.path.to_string()));
        // Keys end whether anything changes or not.
        let ends = matches!(complaint.code, "key_expired" | "key_expires_soon");
        if complaint.level > Level::Note && (is_new || ends) {
            let rule = lint::RULES.iter().find(|rule| rule.code == complaint.code);
            let help = rule.map_or("", |rule| rule.doc);
            findings.push(warning(
                complaint.code,
                complaint.path.to_string(),
                complaint.message,
                help,
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn before() -> Value {
        json!({
            "consumers": { "shop": { "keys": [{ "sha256": "aa", "expires": "2027-06-01" }, { "sha256": "bb", "expires": "2027-06-01" }] } },
            "budgets": { "all": { "of": { "team": "a" }, "limit": { "usd": "100" }, "per": "month" } },
            "routes": {
                "orders": {
                    "match": { "path": "/orders" },
                    "policies": [{ "auth_key": {} }, { "limit": { "rate": "10/s" } }],
                    "target": { "upstream": "orders" },
                },
            },
        })
    }

    /// Codes and paths of what a change of the document brings up.
    fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut after = before();
        change(&mut after);
        findings(&before(), &after, 1_795_305_600)
            .into_iter()
            .map(|finding| {
                assert_eq!(finding.severity, Severity::Warning);
                format!("{} {}", finding.code, finding.path)
            })
            .collect()
    }

    #[test]
    fn nothing_is_said_about_no_change() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn protections_that_go_and_limits_that_loosen_are_told() {
        let route = |document: &mut Value, policies: Value| {
            document["routes"]["orders"]["policies"] = policies;
        };
        assert_eq!(
            found(|after| route(after, json!([{ "limit": { "rate": "10/s" } }]))),
            [
                "protection_removed routes.orders.policies",
                "route_without_auth routes.orders"
            ]
        );
        assert_eq!(
            found(|after| route(
                after,
                json!([{ "auth_key": {} }, { "limit": { "rate": "900/m" } }])
            )),
            ["limit_loosened routes.orders.policies"]
        );
        assert_eq!(
            found(|after| after["budgets"]["all"]["limit"] = json!({ "usd": 101 })),
            ["budget_loosened budgets.all"]
        );
        assert_eq!(
            found(|after| after["budgets"]["all"]["per"] = json!("day")),
            ["budget_loosened budgets.all"]
        );
        assert_eq!(
            found(|after| after["budgets"] = json!({})),
            ["budget_loosened budgets.all"]
        );
        assert_eq!(
            found(|after| {
                drop(
                    after["consumers"]["shop"]["keys"]
                        .as_array_mut()
                        .unwrap()
                        .pop(),
                );
            }),
            ["key_removed consumers.shop.keys"]
        );
    }

    #[test]
    fn routes_that_nothing_reaches_and_keys_that_end_are_told() {
        let all =
            json!({ "match": { "path": "/{*rest}" }, "target": { "fixed": { "status": 404 } } });
        let regex =
            json!({ "match": { "path_regex": "/a.*" }, "target": { "fixed": { "status": 200 } } });
        let both = |document: &mut Value, all: Value| {
            document["routes"]["all"] = all;
            document["routes"]["regex"] = regex.clone();
        };
        assert_eq!(
            found(|after| both(after, all.clone())),
            ["unreachable_route routes.regex.match"]
        );
        let mut some = all.clone();
        some["match"]["methods"] = json!(["GET"]);
        assert_eq!(found(|after| both(after, some)), Vec::<String>::new());
        let mut other = all;
        other["match"]["host"] = json!("a.example");
        assert_eq!(found(|after| both(after, other)), Vec::<String>::new());
        let ends = json!("2026-11-30");
        assert_eq!(
            found(|after| after["consumers"]["shop"]["keys"][0]["expires"] = ends),
            ["key_expires_soon consumers.shop.keys[0].expires"]
        );
    }
}
