//! The policy on exchanges; decisions themselves are tested with the engine.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::{Caller, Identity};
use serde_json::json;

const DOCUMENT: &str = r#"
policy_sets:
  shop:
    groups_claim: groups
    claims: { department: string }
    attributes: { tier: string }
    roles: { auditor: [watcher] }
    actions: { refund: [money] }
    policies:
      inline: |
        @id("readers") permit(principal, action in Action::"read", resource);
        @id("writers") permit(principal in Group::"writers", action in Action::"write", resource)
          when { resource has tier && resource.tier == "gold" };
        @id("auditors") forbid(principal in Role::"auditor", action in Action::"write", resource);
        @id("refunds") permit(principal == Consumer::"till", action == Action::"refund", resource);
        @id("search") permit(principal == Consumer::"till", action == Action::"call",
          resource == Tool::"files__read");
        @id("typed") forbid(principal == Consumer::"broken", action, resource)
          when { principal has department && principal.department == "x" };
consumers: { till: {}, watcher: {}, broken: {} }
"#;

fn decide(
    settings: &str,
    head: &str,
    consumer: &str,
    groups: &[&str],
    body: &str,
) -> Option<Fault> {
    let harness = Harness::new().resources(DOCUMENT);
    let policy = harness.policy::<Authorize>(settings);
    let mut exchange = harness.exchange(head);
    if !consumer.is_empty() {
        exchange.caller = Some(Arc::new(Caller {
            name: consumer.into(),
            ..Caller::default()
        }));
    }
    if !groups.is_empty() {
        let claims = json!({ "groups": groups, "department": 5 });
        exchange.identify(Identity {
            subject: Some("s".into()),
            claims: claims.as_object().cloned().unwrap_or_default(),
            ..Identity::default()
        });
    }
    if !body.is_empty() {
        exchange.request.body = Body::from(Chunk::from(body.as_bytes().to_vec()));
    }
    harness.request(&policy, &mut exchange).refused()
}

#[test]
fn what_no_policy_permits_is_refused() {
    const GOLD: &str = "{ policy_set: shop, attributes: { tier: gold } }";
    const PLAIN: &str = "{ policy_set: shop }";
    for (settings, head, consumer, groups, detail) in [
        (PLAIN, "GET /", "", &[][..], None),
        (PLAIN, "POST /", "", &[], Some("POST: no policy permits it")),
        (GOLD, "POST /", "", &["writers"], None),
        (
            GOLD,
            "POST /",
            "",
            &["readers"],
            Some("POST: no policy permits it"),
        ),
        (
            GOLD,
            "POST /",
            "watcher",
            &["writers"],
            Some("POST: forbidden by auditors"),
        ),
        (
            GOLD,
            "PURGE /",
            "till",
            &["writers"],
            Some("PURGE: no policy permits it"),
        ),
        (
            "{ policy_set: shop, action: { named: refund } }",
            "POST /",
            "till",
            &[],
            None,
        ),
        (
            "{ policy_set: shop, action: { named: refund } }",
            "GET /",
            "",
            &[],
            Some("refund: no policy permits it"),
        ),
    ] {
        let fault = decide(settings, head, consumer, groups, "");
        let detail = detail.map(|detail| format!("policy set `shop`, {detail}"));
        let found = fault.as_ref().map(|fault| fault.detail.to_string());
        assert_eq!(found, detail, "{settings} {head} {consumer} {groups:?}");
        let code = fault.map(|fault| fault.code);
        assert_eq!(code, detail.map(|_| FaultCode::Forbidden));
    }
}

#[test]
fn a_policy_over_an_absent_attribute_does_not_let_pass() {
    // `writers` reads an attribute that this route does not have.
    let fault = decide("{ policy_set: shop }", "POST /", "", &["writers"], "");
    assert_eq!(fault.map(|fault| fault.code), Some(FaultCode::Forbidden));
}

#[test]
fn tools_are_asked_for_one_by_one() {
    const SETTINGS: &str = "{ policy_set: shop, action: { tool: {} } }";
    let call = |name: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
    };
    let ask = |body: &str| {
        let fault = decide(SETTINGS, "POST /mcp", "till", &[], body);
        fault.map(|fault| (fault.code, fault.detail.to_string()))
    };
    assert_eq!(ask(&call("files__read")), None);
    let refused = ask(&call("files__delete")).map(|(_, detail)| detail);
    let expected = "policy set `shop`, call of files__delete: no policy permits it";
    assert_eq!(refused.as_deref(), Some(expected));
    assert_eq!(ask("{").map(|(code, _)| code), Some(FaultCode::InvalidBody));
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files__read","name":"files__delete"}}"#;
    assert!(ask(twice).is_some());
    let other = ask(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert_eq!(other.map(|(code, _)| code), Some(FaultCode::Forbidden));
}

#[test]
fn what_cannot_act_is_refused() {
    let harness = Harness::new().resources(DOCUMENT);
    for (settings, message) in [
        ("{ policy_set: shops }", "no policy set `shops`"),
        (
            "{ policy_set: shop, attributes: { teir: gold } }",
            "no attribute `teir`",
        ),
        (
            "{ policy_set: shop, attributes: { tier: 5 } }",
            "not of the type String",
        ),
        (
            "{ policy_set: shop, action: { named: repay } }",
            "no action `repay`",
        ),
    ] {
        let refusal = harness.compile::<Authorize>(settings).err();
        let refusal = refusal.expect(settings).to_string();
        assert!(refusal.contains(message), "{settings}: {refusal}");
    }
}
