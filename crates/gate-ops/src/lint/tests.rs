//! Every rule finds what it is about, and stays silent about the good.

use super::*;
use gate_model::document::Document;

/// 2026-11-22.
const NOW: u64 = 1_795_305_600;

fn yaml(text: &str) -> Subject {
    let document = Document::parse(text.as_bytes(), "gate.yaml");
    Subject::of_document(document.unwrap_or_else(|findings| panic!("{findings:?}")))
}

fn codes(subject: Subject) -> Vec<&'static str> {
    let found = lint(&[subject], NOW);
    found.iter().map(|complaint| complaint.code).collect()
}

/// A configuration that no rule complains about.
const GOOD: &str = "
gateway:
  admin: { address: '127.0.0.1:9000' }
  access_log: {}
  trusted_proxies: [10.0.0.0/8]
listeners:
  public: { address: '0.0.0.0:8443', tls: { minimum: '1.3', certificates: [] } }
  local: { address: '[::1]:8080' }
consumers:
  shop: { keys: [{ sha256: aa, expires: '2027-06-01' }] }
upstreams:
  orders: { endpoints: ['10.0.0.1:80', '10.0.0.2:80'], health: { tcp: {} }, timeouts: { total: 0s, idle: 5s } }
providers:
  a: { compatible: { base_url: 'http://127.0.0.1:8000/v1', credentials: [{ env: KEY }] } }
  b: { openai: { credentials: [{ env: KEY }] } }
models:
  chat: { targets: [{ provider: a, model: x }], fallback: [{ provider: b, model: y }] }
routes:
  orders:
    policies:
      - auth_jwt: { issuer: i, audiences: [a] }
      - cors: { origins: ['https://example.com'], credentials: true }
      - limit: { rate: 1/s }
    target: { upstream: orders }
  ai:
    policies: [{ auth_key: {} }, { limit: { rate: 1/s } }, { model_cache: {} }, { guard: { mode: act, rules: [] } }]
    target: { models: [chat] }
  office:
    policies: [{ access: { allow: [10.0.0.0/8] } }]
    target: { upstream: orders }
  page: { target: { fixed: { status: 200 } } }
";

#[test]
fn a_good_configuration_is_left_alone() {
    assert_eq!(lint(&[yaml(GOOD)], NOW), []);
}

/// What each rule finds: its code, and a change of the good configuration.
const CASES: &[(&str, &str, &str)] = &[
    ("admin_exposed", "127.0.0.1:9000", "0.0.0.0:9000"),
    ("ai_route_without_auth", "{ auth_key: {} }, ", ""),
    (
        "ai_route_without_limit",
        "{ auth_key: {} }, { limit: { rate: 1/s } }, ",
        "{ auth_key: {} }, ",
    ),
    (
        "auth_optional",
        "{ auth_key: {} }",
        "{ auth_key: { optional: true } }",
    ),
    (
        "cache_before_auth",
        "{ auth_key: {} }, { limit",
        "{ model_cache: {} }, { auth_key: {} }, { limit",
    ),
    (
        "cors_any_origin",
        "{ origins: ['https://example.com'], credentials: true }",
        "{ origins: ['*'] }",
    ),
    ("cors_wildcard_credentials", "'https://example.com'", "'*'"),
    ("guard_observes_only", "mode: act", "mode: observe"),
    (
        "inert_condition",
        "{ auth_key: {} }",
        "{ auth_key: {}, when: 'false' }",
    ),
    (
        "ip_allows_everyone",
        "allow: [10.0.0.0/8]",
        "allow: ['::/0']",
    ),
    (
        "jwt_unbound",
        "{ issuer: i, audiences: [a] }",
        "{ issuer: i, audiences: [] }",
    ),
    (
        "jwt_without_expiry",
        "audiences: [a] }",
        "audiences: [a], require_expiry: false }",
    ),
    ("key_expired", "2027-06-01", "2026-11-21"),
    ("key_expires_soon", "2027-06-01", "2026-11-30"),
    (
        "key_forwarded",
        "{ auth_key: {} }",
        "{ auth_key: { forward: true } }",
    ),
    (
        "key_in_query",
        "{ auth_key: {} }",
        "{ auth_key: { query: key } }",
    ),
    ("key_without_expiry", ", expires: '2027-06-01'", ""),
    (
        "large_bodies",
        "address: '[::1]:8080'",
        "address: '[::1]:8080', limits: { body: 2GiB }",
    ),
    (
        "limit_before_auth",
        "{ auth_key: {} }, { limit: { rate: 1/s } }",
        "{ limit: { rate: 1/s } }, { auth_key: {} }",
    ),
    (
        "mirror_credentials",
        "{ auth_key: {} }",
        "{ auth_key: {} }, { mirror: { credentials: true } }",
    ),
    (
        "model_without_fallback",
        ", fallback: [{ provider: b, model: y }]",
        "",
    ),
    ("no_access_log", "  access_log: {}\n", ""),
    ("no_health_check", "health: { tcp: {} }, ", ""),
    ("no_timeout", "idle: 5s", "idle: 0s"),
    (
        "plain_text_provider",
        "http://127.0.0.1:8000/v1",
        "http://models.example/v1",
    ),
    (
        "route_without_auth",
        "    policies: [{ access: { allow: [10.0.0.0/8] } }]\n",
        "",
    ),
    (
        "secret_in_clear",
        "{ openai: { credentials: [{ env: KEY }] } }",
        "{ openai: { api_key: abcdefgh } }",
    ),
    ("tls_off", ", tls: { minimum: '1.3', certificates: [] }", ""),
    ("tls_old", "minimum: '1.3', ", ""),
    (
        "trusted_proxies_everyone",
        "trusted_proxies: [10.0.0.0/8]",
        "trusted_proxies: [0.0.0.0/0]",
    ),
];

#[test]
fn every_rule_finds_what_it_is_about() {
    for (code, from, to) in CASES {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(codes(yaml(&GOOD.replacen(from, to, 1))), [*code], "{to}");
    }
    let mut tried: Vec<&str> = CASES.iter().map(|(code, ..)| *code).collect();
    tried.sort_unstable();
    let known: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(tried, known, "one case per rule, in the table's order");
}

const TERRAFORM: &str = r#"
variable "key" { type = string }

resource "tidegate_listener" "public" {
  name    = "public"
  address = "0.0.0.0:80"
}

resource "tidegate_route" "orders" {
  for_each = var.routes
  match    = { path = "/orders/{id}" }
  policies = [
    { auth_key = { optional = true } },
    { cors = { origins = ["*"], credentials = true } },
  ]
  target = { upstream = "orders" }
}

resource "tidegate_route" "hidden" {
  policies = var.policies
  target   = { models = [tidegate_model.chat.name] }
}

resource "tidegate_provider" "openai" {
  name   = "gpt"
  openai = { api_key = var.key, base_url = "https://${var.host}/v1" }
}

resource "tidegate_provider" "leaked" {
  openai = { api_key = "abc" }
}

resource "aws_instance" "other" { ami = "x" }
"#;

#[test]
fn terraform_files_are_read_with_places() {
    let subject = parse_terraform(TERRAFORM, "main.tf").unwrap();
    let found = lint(&[subject], NOW);
    let shown: Vec<String> = found
        .iter()
        .map(|complaint| {
            let Complaint {
                code,
                path,
                line,
                column,
                ..
            } = complaint;
            format!("{line}:{column} {code} {path}")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "4:1 tls_off listeners.public",
            "13:18 auth_optional routes.orders.policies[0].auth_key",
            "14:14 cors_wildcard_credentials routes.orders.policies[1].cors",
            "30:24 secret_in_clear providers.leaked.openai.api_key",
        ]
    );
    let error = parse_terraform("resource {", "broken.tf").unwrap_err();
    assert!(error.starts_with("broken.tf:1:"), "{error}");
}

#[test]
fn reports_are_sarif_and_never_hold_the_secret() {
    let subject = yaml("providers: { a: { openai: { api_key: sk-very-secret-1 } } }");
    let found = lint(&[subject], NOW);
    let report = sarif(&found, "0.1.0").to_string();
    assert!(!report.contains("very-secret") && !format!("{found:?}").contains("very-secret"));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let result = &report["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "secret_in_clear");
    let index = result["ruleIndex"].as_u64().unwrap() as usize;
    assert_eq!(
        report["runs"][0]["tool"]["driver"]["rules"][index]["id"],
        "secret_in_clear"
    );
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 1);
}

#[test]
fn the_reference_has_every_rule() {
    let page = reference();
    for rule in RULES {
        assert!(
            page.contains(&format!("\n## {}\n", rule.code)),
            "{}",
            rule.code
        );
        assert!(
            !rule.title.ends_with('.') && rule.doc.ends_with('.'),
            "{}",
            rule.code
        );
    }
    assert!(RULES.is_sorted_by_key(|rule| rule.code));
}
