//! What the gateway's own vocabulary decides, what is wrong or never applies, and why.

use gate_authz::{Asked, Clause, Consumer, Facts, Guard, Problem, Rules, Vocabulary, Who, explain};
use gate_model::resources::CedarType;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

struct Plain;

impl Facts for Plain {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "api.example.com"
    }
    fn path(&self) -> &str {
        "/orders/7"
    }
    fn listener(&self) -> &str {
        "public"
    }
    fn address(&self) -> IpAddr {
        [10, 1, 2, 3].into()
    }
    fn unix_s(&self) -> i64 {
        1_800_000_000
    }
    fn header(&self, name: &str) -> Option<&str> {
        (name == "x-tenant").then_some("blue")
    }
    fn param(&self, name: &str) -> Option<&str> {
        (name == "id").then_some("7")
    }
}

fn vocabulary() -> Vocabulary {
    let consumer = |team: &str, roles: &[&str]| Consumer {
        team: Some(team.to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    Vocabulary {
        consumers: BTreeMap::from([
            ("shop".into(), consumer("sales", &["admin"])),
            ("till".into(), consumer("sales", &[])),
        ]),
        routes: ["orders", "reports"].map(str::to_owned).into(),
        groups_claim: Some("/realm/groups".into()),
        claims: BTreeMap::from([
            ("level".into(), CedarType::Long),
            ("scope".into(), CedarType::Strings),
        ]),
        attributes: BTreeMap::from([("tier".into(), CedarType::String)]),
        headers: vec!["x-tenant".into()],
        params: vec!["id".into()],
        ..Vocabulary::default()
    }
}

fn rules(text: &str) -> (Rules, Vec<Problem>) {
    Rules::compile(text, vocabulary()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn guard(text: &str, route: &str) -> Guard {
    let attributes = json!({ "tier": "gold" }).as_object().cloned();
    Guard::new(
        Arc::new(rules(text).0),
        route,
        &attributes.unwrap_or_default(),
    )
    .unwrap()
}

fn claims(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

const POLICIES: &str = r#"
@id("sales") permit(principal in Team::"sales", action in Action::"read", resource == Route::"orders");
@id("group") permit(principal in Group::"auditors", action, resource)
  when { context.address.isInRange(ip("10.0.0.0/8")) && context.headers has "x-tenant"
    && context.headers["x-tenant"] == "blue" };
@id("level") permit(principal, action == Action::"POST", resource)
  when { principal has level && principal.level > 3 && resource has tier && resource.tier == "gold" }
  unless { principal has scope && principal.scope.contains("trial") };
@id("admins") forbid(principal in Role::"admin", action == Action::"DELETE", resource);
@id("tools") permit(principal, action == Action::"call", resource in Route::"orders")
  when { resource.name like "files__*" };
"#;

#[test]
fn decisions_are_what_the_policies_say() {
    let guard = guard(POLICIES, "orders");
    let shop = Who {
        consumer: Some("shop"),
        ..Who::default()
    };
    let auditor = claims(json!({ "realm": { "groups": ["auditors"] } }));
    let high = claims(json!({ "level": 7, "scope": "orders:read" }));
    let trial = claims(json!({ "level": 7, "scope": "trial orders:read" }));
    let text = claims(json!({ "level": "7" }));
    let subject = |claims| Who {
        subject: Some("s"),
        claims: Some(claims),
        ..Who::default()
    };
    for (who, action, tool, allowed, policies) in [
        (shop, "GET", None, true, &["sales"][..]),
        (shop, "POST", None, false, &[]),
        (shop, "DELETE", None, false, &["admins"]),
        (subject(&auditor), "DELETE", None, true, &["group"]),
        (subject(&high), "POST", None, true, &["level"]),
        (subject(&trial), "POST", None, false, &[]),
        (subject(&text), "POST", None, false, &[]),
        (Who::default(), "GET", None, false, &[]),
        (shop, "call", Some("files__read"), true, &["tools"]),
        (shop, "call", Some("mail__send"), false, &[]),
        (subject(&auditor), "PURGE", None, true, &["group"]),
    ] {
        // Twice: the second time from what is remembered.
        for _ in 0..2 {
            let outcome = guard.decide(&who, &Asked { action, tool }, &Plain);
            assert_eq!(outcome.allowed, allowed, "{who:?} {action} {tool:?}");
            assert_eq!(outcome.policies, policies, "{who:?} {action} {tool:?}");
            assert_eq!(outcome.failed, None);
        }
    }
    let asked = Asked {
        action: "GET",
        tool: None,
    };
    let elsewhere = self::guard(POLICIES, "reports");
    assert!(!elsewhere.decide(&shop, &asked, &Plain).allowed);
}

#[test]
fn more_claims_than_are_looked_at_refuse() {
    let guard = guard(POLICIES, "orders");
    let groups: Vec<String> = (0..600).map(|number| format!("g{number}")).collect();
    let many = claims(json!({ "realm": { "groups": groups } }));
    let who = Who {
        subject: Some("s"),
        claims: Some(&many),
        ..Who::default()
    };
    let asked = Asked {
        action: "GET",
        tool: None,
    };
    let outcome = guard.decide(&who, &asked, &Plain);
    assert!(!outcome.allowed && outcome.failed.is_some());
}

#[test]
fn a_forbid_that_cannot_be_evaluated_is_told() {
    let text = "permit(principal, action, resource);\n\
                forbid(principal, action, resource) when { context.unix_s * 9223372036854775807 > 1 };";
    let guard = guard(text, "orders");
    let asked = Asked {
        action: "GET",
        tool: None,
    };
    let outcome = guard.decide(&Who::default(), &asked, &Plain);
    assert!(!outcome.allowed, "{outcome:?}");
    assert!(
        outcome
            .failed
            .as_ref()
            .is_some_and(|why| why.contains("overflow")),
        "{outcome:?}"
    );
}

#[test]
fn what_never_applies_is_found() {
    for (text, line, message) in [
        (
            "\npermit(principal == Consumer::\"shopp\", action, resource);",
            2,
            "nothing is ever Consumer",
        ),
        (
            "permit(principal, action, resource == Route::\"order\");",
            1,
            "nothing is ever Route",
        ),
        (
            "permit(principal in Role::\"admins\", action, resource);",
            1,
            "nothing is ever Role",
        ),
        (
            "permit(principal, action == Action::\"FETCH\", resource);",
            1,
            "never applies",
        ),
        (
            "permit(principal, action, resource) when { principal has level && principal.level > 3 \
             && !(principal has level) };",
            1,
            "never applies: no request",
        ),
        (
            "permit(principal, action == Action::\"call\", resource is Route);",
            1,
            "never applies",
        ),
        (
            "permit(principal is Visitor, action, resource) when { resource is Team };",
            1,
            "never applies",
        ),
    ] {
        let (_, problems) = rules(text);
        let found = problems.iter().any(|problem| {
            problem.line == line && problem.message.contains(message) && !problem.is_error
        });
        assert!(found, "{text}: {problems:?}");
    }
    assert_eq!(rules(POLICIES).1, [], "nothing to warn of");
}

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    for (text, line, message) in [
        ("", 0, "no policy"),
        (
            "permit(principal, action, resource);\npermit(principal action);",
            2,
            "",
        ),
        (
            "permit(principal, action, resource) when { principal.age > 3 };",
            1,
            "age",
        ),
        (
            "permit(principal, action, resource) when { principal.level > 3 };",
            1,
            "level",
        ),
        (
            "permit(principal, action, resource) when { context.hour == 3 };",
            1,
            "hour",
        ),
        (
            "permit(principal == ?principal, action, resource);",
            1,
            "template",
        ),
        (
            "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") permit(principal, action, resource);",
            2,
            "called `a`",
        ),
        ("permit(principal is User, action, resource);", 1, "User"),
    ] {
        let problems = Rules::compile(text, vocabulary()).err().unwrap_or_default();
        let found = problems.iter().any(|problem| {
            problem.line == line && problem.message.contains(message) && problem.is_error
        });
        assert!(found, "{text}: {problems:?}");
    }
}

#[test]
fn an_explanation_says_what_does_not_hold() {
    let guard = guard(POLICIES, "orders");
    let low = claims(json!({ "level": 2 }));
    let who = Who {
        subject: Some("s"),
        claims: Some(&low),
        ..Who::default()
    };
    let asked = Asked {
        action: "POST",
        tool: None,
    };
    let explained = explain(&guard, &who, &asked, &Plain);
    assert!(!explained.outcome.allowed);
    let of = |name: &str| {
        let found = explained
            .policies
            .iter()
            .find(|reason| reason.policy == name);
        found.unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(of("sales").unmet, [Clause::Principal, Clause::Action]);
    assert_eq!((of("sales").line, of("level").line), (2, 6));
    assert_eq!(of("admins").unmet, [Clause::Principal, Clause::Action]);
    let [Clause::Condition(1, text)] = &of("level").unmet[..] else {
        panic!("{:?}", of("level"));
    };
    assert!(
        text.starts_with("when") && text.contains("principal.level"),
        "{text}"
    );
}

/// Prints what decisions cost: `cargo test -p gate-authz --release -- --ignored --nocapture costs`.
#[test]
#[ignore = "prints figures; it checks nothing that could fail"]
fn what_decisions_cost() {
    let more: String = (0..100)
        .map(|number| format!("permit(principal == Consumer::\"till\", action == Action::\"PUT\", resource) when {{ resource has tier && resource.tier == \"{number}\" }};\n"))
        .collect();
    let text = format!("{POLICIES}{more}");
    let guard = guard(&text, "orders");
    let auditor = claims(json!({ "realm": { "groups": ["auditors", "b", "c"] } }));
    let who = Who {
        subject: Some("s"),
        claims: Some(&auditor),
        ..Who::default()
    };
    let shop = Who {
        consumer: Some("shop"),
        ..Who::default()
    };
    for (label, who, action) in [
        ("of what reads the request", who, "DELETE"),
        (
            "over 100 conditions on the route",
            Who {
                consumer: Some("till"),
                ..Who::default()
            },
            "PUT",
        ),
        ("remembered or not read", shop, "call"),
    ] {
        let asked = Asked { action, tool: None };
        let start = Instant::now();
        for _ in 0..100_000 {
            std::hint::black_box(guard.decide(&who, &asked, &Plain));
        }
        println!("a decision {label}: {:?}", start.elapsed() / 100_000);
    }
}
