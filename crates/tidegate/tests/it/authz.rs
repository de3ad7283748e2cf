//! Authorisation through the program: the example, its explanation, and what check warns of.

use crate::examples::{Example, KEY};
use crate::support::{Gateway, Upstream, tidegate};

#[test]
fn authorize() {
    let orders = Upstream::echo();
    let gateway = Example::new("authorize.yaml")
        .replace("127.0.0.1:9001", &orders.address)
        .run(&[]);
    let with = |method: &'static str| [&KEY[..], &["-X", method]].concat();
    gateway.curl("/orders/1", &[]).expect(401);
    gateway.curl("/orders/1", &KEY).expect(200);
    gateway.curl("/orders/1", &with("POST")).expect(200);
    let refused = gateway.curl("/orders/1", &with("DELETE")).expect(403);
    assert_eq!(refused.json()["code"], "forbidden");
    gateway.curl("/payouts/1", &KEY).expect(403);
    gateway.curl("/payouts/1", &with("POST")).expect(403);

    let file = gateway.file().display().to_string();
    let ask = |arguments: &[&str]| {
        let output = tidegate(&[&["authz", "explain", &file], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = ask(&[
        "--route",
        "orders",
        "--consumer",
        "storefront",
        "--method",
        "POST",
    ]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("permitted by policy set `shop`: by clerks-order\n"),
        "{text}"
    );
    assert!(
        text.contains("permit `shop-reads` (line 2): another action\n"),
        "{text}"
    );
    let (code, text) = ask(&["--route", "payouts", "--consumer", "storefront"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("refused by policy set `shop`: no policy permits it"),
        "{text}"
    );
    assert!(text.contains("condition 1 does not hold: when"), "{text}");
    let far = [
        "--route",
        "orders",
        "--consumer",
        "storefront",
        "--method",
        "POST",
    ];
    let (code, text) = ask(&[&far[..], &["--address", "192.0.2.1", "--json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(told[0]["decided_by"], serde_json::json!(["inside-only"]));
    let group = r#"{"sub":"ann","groups":["auditors"]}"#;
    let (code, text) = ask(&["--route", "payouts", "--claims", group]);
    assert_eq!(
        (code, text.contains("by auditors")),
        (Some(0), true),
        "{text}"
    );
    let (code, _) = ask(&["--route", "nowhere"]);
    assert_eq!(code, Some(1));
}

#[test]
fn check_warns_of_rules_that_never_apply_and_refuses_wrong_ones() {
    let check = |policies: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gate.yaml");
        let text = "listeners: { public: { address: '127.0.0.1:0' } }\n\
             consumers: { shop: {} }\n\
             policy_sets: { s: { policies: { file: rules.cedar } } }\n\
             routes: { r: { policies: [{ authorize: { policy_set: s } }], \
             target: { fixed: { status: 200, body: ok } } } }\n";
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.path().join("rules.cedar"), policies).unwrap();
        let output = tidegate(&["check", &file.display().to_string()]);
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    let (code, told) = check(
        "permit(principal, action, resource);\n\n@id(\"old\")\n\
                              permit(principal == Consumer::\"shopp\", action, resource);\n",
    );
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("warning[inert_policies]"), "{told}");
    assert!(
        told.contains("rules.cedar: line 3 of the policies, `old`: nothing is ever"),
        "{told}"
    );
    let (code, told) = check("permit(principal, action, resource) when { principal.age > 3 };");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("error[invalid_policies]") && told.contains("age"),
        "{told}"
    );
    let (code, told) = check("permit(principal, action, resource");
    assert_eq!(
        (code, told.contains("line 1 of the policies")),
        (Some(1), true),
        "{told}"
    );
}

#[test]
fn a_set_that_changes_counts_at_once() {
    let configuration = "policy_sets: { s: { policies: { inline: 'permit(principal, action in \
                         Action::\"read\", resource);' } } }\n\
                         routes: { r: { policies: [{ authorize: { policy_set: s } }], \
                         target: { fixed: { status: 200, body: ok } } } }";
    let gateway = Gateway::start(configuration);
    gateway.curl("/", &[]).expect(200);
    gateway.curl("/", &["-X", "POST"]).expect(403);
    gateway.rewrite(|text| text.replace("\"read\"", "\"write\""));
    crate::support::eventually("the new set counts", || {
        gateway.curl("/", &["-X", "POST"]).status == 200
    });
    gateway.curl("/", &[]).expect(403);
}
