//! What is wrong is said at its place, before anything is applied and in the words of `check`.

use crate::calls::{Caller, config, kind, plain, value};
use gate_terraform::plugin::messages::{Diagnostic, Selector};
use gate_terraform::schema::{Catalogue, Shape};
use gate_terraform::value::Value;
use serde_json::{Value as Json, json};

/// A diagnostic as `path: summary detail`.
fn shown(diagnostic: &Diagnostic) -> String {
    let steps = diagnostic.attribute.iter().flat_map(|path| &path.steps);
    let steps = steps.map(|step| match step.selector.as_ref().unwrap() {
        Selector::Attribute(name) => format!(".{name}"),
        Selector::Key(key) => format!("[{key:?}]"),
        Selector::Index(index) => format!("[{index}]"),
    });
    let path: String = steps.collect();
    format!("{path}: {} {}", diagnostic.summary, diagnostic.detail)
}

/// A kind, what is wrong in one of it, and how that is told.
fn mistakes() -> Vec<(&'static str, Json, &'static str)> {
    let fixed = json!({ "fixed": { "status": 200 } });
    vec![
        (
            "tidegate_route",
            json!({ "target": {} }),
            ".target: Nothing is chosen",
        ),
        (
            "tidegate_route",
            json!({ "target": { "upstream": "a", "agent": "b" } }),
            ".target: More than one is chosen `upstream` and `agent`",
        ),
        (
            "tidegate_route",
            json!({ "target": fixed, "policies": [{ "auth_key": {} }, { "when": "true" }] }),
            ".policies[1]: Nothing is chosen",
        ),
        (
            "tidegate_route",
            json!({ "target": fixed, "policies": [{ "limit": { "rate": "5/x" } }] }),
            ".policies[0].limit.rate: Not a value",
        ),
        (
            "tidegate_route",
            json!({ "target": { "fixed": { "status": 99999 } } }),
            ".target.fixed.status: Out of bounds",
        ),
        (
            "tidegate_upstream",
            json!({ "endpoints": ["a:1"], "protocol": "htp2" }),
            ".protocol: Not a value of this attribute Expected one of `http1`, `http2`. Did you mean `http2`?",
        ),
        (
            "tidegate_upstream",
            json!({ "endpoints": ["a:1"], "timeouts": { "connect": "soon" } }),
            ".timeouts.connect: Not a value of this attribute Found `soon`",
        ),
        (
            "tidegate_upstream",
            json!({ "endpoints": ["a:1"], "weights": { "a:1": 1.5 } }),
            ".weights[\"a:1\"]: Not a whole number",
        ),
        (
            "tidegate_consumer",
            json!({ "keys": [{ "id": "x" }] }),
            ".keys[0].sha256: One of two attributes",
        ),
        (
            "tidegate_route",
            json!({ "target": fixed, "policies": [{ "auth_jwt": { "keys": { "inline": "{" } } }] }),
            ".policies[0].auth_jwt.keys.inline: Not JSON",
        ),
    ]
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let caller = Caller::new(&["staging"]);
    for (type_name, json, wanted) in mistakes() {
        let found = caller.validate(type_name, &config(type_name, "x", json));
        let found: Vec<_> = found.iter().map(shown).collect();
        assert!(
            found.iter().any(|f| f.starts_with(wanted)),
            "{wanted}\n{found:?}"
        );
    }
}

#[test]
fn what_is_not_known_yet_is_not_wrong() {
    let caller = Caller::new(&["staging"]);
    for (type_name, json) in [
        (
            "tidegate_route",
            json!({ "target": { "upstream": "${unknown}" } }),
        ),
        ("tidegate_route", json!({ "target": "${unknown}" })),
        (
            "tidegate_upstream",
            json!({ "endpoints": "${unknown}", "slow_start": "${unknown}" }),
        ),
        (
            "tidegate_consumer",
            json!({ "keys": [{ "key": "${unknown}" }] }),
        ),
        // A variable of the environment, too.
        (
            "tidegate_upstream",
            json!({ "endpoints": ["${vars.HOST}:80"], "slow_start": "${vars.S}" }),
        ),
    ] {
        let config = config(type_name, "x", json);
        assert_eq!(caller.validate(type_name, &config), [], "{config:?}");
        let planned = caller.plan(type_name, &Value::Null, &config);
        assert_eq!(planned.diagnostics, [], "{config:?}");
    }
}

#[test]
fn the_server_is_asked_about_what_only_it_knows() {
    let caller = Caller::new(&["staging"]);
    let route = config(
        "tidegate_route",
        "r",
        json!({ "target": { "upstream": "orders" } }),
    );
    let planned = caller.plan("tidegate_route", &Value::Null, &route);
    let found: Vec<_> = planned.diagnostics.iter().map(shown).collect();
    assert_eq!(
        planned.diagnostics[0].severity, 2,
        "it may still be planned: {found:?}"
    );
    assert!(
        found[0].starts_with(".target.upstream: there is no upstream `orders`"),
        "{found:?}"
    );
    let upstream = config(
        "tidegate_upstream",
        "orders",
        json!({ "endpoints": ["a:1"] }),
    );
    assert_eq!(
        caller
            .plan("tidegate_upstream", &Value::Null, &upstream)
            .diagnostics,
        []
    );
    // What is wrong elsewhere would stop applying, and is told with its place.
    let lost = json!({ "target": { "upstream": "lost" } });
    caller
        .server
        .meddle("staging", "routes", "theirs", Some(lost));
    let team = config("tidegate_team", "t", json!({}));
    let found = caller
        .plan("tidegate_team", &Value::Null, &team)
        .diagnostics;
    let found: Vec<_> = found.iter().map(shown).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("routes.theirs.target.upstream"),
        "{found:?}"
    );
    caller.server.meddle("staging", "routes", "theirs", None);
    // Planned beside it, the upstream is there.
    let again = config(
        "tidegate_route",
        "s",
        json!({ "target": { "upstream": "orders" } }),
    );
    assert_eq!(
        caller
            .plan("tidegate_route", &Value::Null, &again)
            .diagnostics,
        []
    );
}

#[test]
fn a_secret_is_not_kept_by_a_terraform_that_would_write_it_down() {
    use gate_terraform::plugin::messages as wire;
    let caller = Caller::new(&["staging"]);
    let config = config(
        "tidegate_consumer",
        "c",
        json!({ "keys": [{ "key": "open sesame" }] }),
    );
    let request = wire::Validate {
        type_name: "tidegate_consumer".into(),
        config: crate::calls::dynamic(&config),
        client_capabilities: None,
    };
    let found: wire::Diagnosed = caller.call("ValidateResourceConfig", &request);
    assert!(shown(&found.diagnostics[0]).starts_with(".keys[0].key: Terraform would keep"));
    assert_eq!(caller.validate("tidegate_consumer", &config), []);
    let state = caller.create("tidegate_consumer", &config).unwrap();
    let text = format!(
        "{state:?}{:?}",
        caller.server.get("staging", "consumers", "c")
    );
    assert!(!text.contains("sesame"), "{text}");
    let hash = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    assert!(text.contains(hash), "{text}");
    let planned = caller.plan("tidegate_consumer", &state, &config);
    assert_eq!(value(planned.planned_state.as_ref()), state);
}

#[test]
fn no_attribute_has_a_name_that_terraform_keeps_for_itself() {
    const RESERVED: [&str; 9] = [
        "connection",
        "count",
        "depends_on",
        "for_each",
        "lifecycle",
        "provider",
        "provisioner",
        "environment",
        "name",
    ];
    fn walk(shape: &Shape, type_name: &str, depth: usize) {
        match shape {
            Shape::Object(object) => {
                for attribute in &object.attributes {
                    let name = &attribute.name;
                    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                    assert!(name.chars().all(valid), "{type_name}: {name}");
                    assert!(
                        depth > 0 || !RESERVED.contains(&&**name),
                        "{type_name}: {name}"
                    );
                    assert!(
                        !attribute.about.is_empty() || depth > 0,
                        "{type_name}: {name}"
                    );
                    walk(&attribute.shape, type_name, depth + 1);
                }
            }
            Shape::List(inner) | Shape::Map(inner) => walk(inner, type_name, depth + 1),
            _ => {}
        }
    }
    let mut count = 0;
    for (type_name, kind) in Catalogue::get().iter() {
        walk(&Shape::Object(kind.object.clone()), type_name, 0);
        count += 1;
    }
    assert!(count >= 12, "{count} kinds");
    assert_eq!(kind("tidegate_mcp_server").name, "mcp_servers");
    assert_eq!(kind("tidegate_price").wrapped, Some("entries"));
}

#[test]
fn state_of_another_version_is_read_by_name() {
    use gate_terraform::plugin::messages as wire;
    let caller = Caller::new(&["staging"]);
    let stored = json!({
        "name": "orders", "environment": "staging", "gone": { "a": 1 },
        "endpoints": ["a:1"], "concurrency": "not a number any more",
        "health": { "http": { "path": "/z", "gone": true } },
    });
    let request = wire::Upgrade {
        type_name: "tidegate_upstream".into(),
        version: 0,
        raw_state: Some(wire::RawState {
            json: stored.to_string().into_bytes(),
        }),
    };
    let upgraded: wire::Upgraded = caller.call("UpgradeResourceState", &request);
    assert_eq!(upgraded.diagnostics, []);
    let state = value(upgraded.upgraded_state.as_ref());
    assert_eq!(*state.get("endpoints"), plain(&json!(["a:1"])));
    assert_eq!(*state.get("concurrency"), Value::Null);
    assert_eq!(
        *state.get("health").get("http").get("path"),
        Value::text("/z")
    );
    let Value::Map(entries) = &state else {
        panic!()
    };
    assert!(entries.contains_key("retry") && !entries.contains_key("gone"));
    let broken = wire::Upgrade {
        raw_state: Some(wire::RawState {
            json: b"{".to_vec(),
        }),
        ..request
    };
    let told: wire::Upgraded = caller.call("UpgradeResourceState", &broken);
    assert_eq!(told.diagnostics.len(), 1);
}

#[test]
fn without_an_environment_nothing_is_planned() {
    let caller = Caller::configured(&["staging"], json!({}));
    let route = config("tidegate_team", "t", json!({}));
    let planned = caller.plan("tidegate_team", &Value::Null, &route);
    assert!(shown(&planned.diagnostics[0]).starts_with(".environment: No environment"));
}

#[test]
fn a_field_that_terraform_keeps_for_itself_has_another_name_there() {
    let kind = kind("tidegate_objective");
    let document = json!({ "provider": "claude", "target": "99.9%", "window": "30d" });
    let read = Value::Map(gate_terraform::convert::from_document(kind, &document));
    assert_eq!(read.get("provider_name"), &Value::Text("claude".into()));
    assert_eq!(read.get("provider"), &Value::Null);
    let written = gate_terraform::convert::to_document(kind, &read);
    assert_eq!(written["provider"], "claude");
    assert_eq!(written.get("provider_name"), None);
}
