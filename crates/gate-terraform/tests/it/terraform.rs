//! What people do with Terraform, done with the real program. Each test is skipped, and says so,
//! where there is none.

use crate::real::Workbench;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::time::{Duration, Instant};

const PROVIDER: &str = "provider \"tidegate\" { environment = \"staging\" }\n";

const WHOLE: &str = include_str!("whole.tf");

#[test]
fn a_whole_life_of_a_configuration() {
    let Some(bench) = Workbench::new("a_whole_life", &["staging"]) else {
        return;
    };
    bench.write("main.tf", &format!("{PROVIDER}{WHOLE}"));
    bench.must(&["init"]);
    bench.must(&["validate"]);
    bench.exits(&["plan", "-detailed-exitcode"], 2);
    assert_eq!(bench.server.count("staging"), 0, "a plan changes nothing");
    let text = bench.apply();
    assert!(text.contains("8 added, 0 changed, 0 destroyed"), "{text}");
    let route = bench.server.get("staging", "routes", "orders").unwrap();
    assert_eq!(route["policies"][0], json!({ "auth_key": {} }));
    assert_eq!(
        route["match"]["headers"],
        json!({ "x-version": { "equals": "2" } })
    );
    let state = std::fs::read_to_string(bench.path().join("terraform.tfstate")).unwrap();
    assert!(!state.contains("not a real key"), "the key is in the state");
    // Another spelling is no change; another value is one.
    let text = WHOLE.replace("connect = \"60s\"", "connect = \"1m\"");
    bench.write("main.tf", &format!("{PROVIDER}{text}"));
    bench.plans_nothing();
    let text = text.replace("rate = \"100/s\"", "rate = \"200/s\"");
    bench.write("main.tf", &format!("{PROVIDER}{text}"));
    let told = bench.apply();
    assert!(told.contains("0 added, 1 changed, 0 destroyed"), "{told}");
    // Drift: a changed and a removed resource.
    let mut route = bench.server.get("staging", "routes", "orders").unwrap();
    route["match"]["path"] = "/elsewhere".into();
    bench
        .server
        .meddle("staging", "routes", "orders", Some(route));
    bench.server.meddle("staging", "budgets", "shop", None);
    let told = bench.exits(&["plan", "-refresh-only", "-detailed-exitcode"], 2);
    assert!(
        told.contains("/elsewhere") && told.contains("has been deleted"),
        "{told}"
    );
    let told = bench.apply();
    assert!(told.contains("1 added, 1 changed"), "{told}");
    // Another name is another resource.
    let text = text.replace("name = \"orders\"\n  match", "name = \"renamed\"\n  match");
    bench.write("main.tf", &format!("{PROVIDER}{text}"));
    let told = bench.apply();
    assert!(told.contains("1 added, 0 changed, 1 destroyed"), "{told}");
    assert!(bench.server.get("staging", "routes", "renamed").is_some());
    bench.must(&["destroy", "-auto-approve"]);
    assert_eq!(bench.server.count("staging"), 0);
}

#[test]
fn what_exists_is_imported_with_its_configuration() {
    let Some(bench) = Workbench::new("import", &["staging", "production"]) else {
        return;
    };
    let upstream = json!({ "endpoints": ["a:1"], "timeouts": { "connect": "7s" } });
    bench
        .server
        .meddle("staging", "upstreams", "orders", Some(upstream));
    let route = json!({
        "match": { "path": "/x" }, "target": { "upstream": "orders" },
        "policies": [{ "limit": { "rate": "5/s" }, "when": "true" }, { "auth_key": {} }],
    });
    bench.server.meddle(
        "production",
        "upstreams",
        "orders",
        Some(json!({ "endpoints": ["a:1"] })),
    );
    bench
        .server
        .meddle("production", "routes", "r", Some(route));
    let provider = "provider \"tidegate\" {\n  environment = \"staging\"\n  take_over = true\n}\n";
    let blocks = "import {\n  to = tidegate_upstream.orders\n  id = \"orders\"\n}\n\
                  import {\n  to = tidegate_route.r\n  id = \"@production/r\"\n}\n";
    bench.write("main.tf", &format!("{provider}{blocks}"));
    bench.must(&["init"]);
    bench.must(&["plan", "-generate-config-out=generated.tf"]);
    let generated = std::fs::read_to_string(bench.path().join("generated.tf")).unwrap();
    assert!(
        generated.contains("rate    = \"5/s\"") || generated.contains("\"5/s\""),
        "{generated}"
    );
    let told = bench.apply();
    assert!(
        told.contains("2 imported, 0 added, 0 changed, 0 destroyed"),
        "{told}"
    );
    // The command, for one that is written already.
    bench
        .server
        .meddle("staging", "teams", "t", Some(json!({ "description": "d" })));
    bench.write(
        "team.tf",
        "resource \"tidegate_team\" \"t\" {\n  name = \"t\"\n  description = \"d\"\n}\n",
    );
    bench.must(&["import", "tidegate_team.t", "t"]);
    bench.plans_nothing();
    let told = bench.exits(&["import", "tidegate_team.none", "none"], 1);
    assert!(told.contains("tidegate_team.none"), "{told}");
}

#[test]
fn mistakes_are_told_with_their_line() {
    let Some(bench) = Workbench::new("mistakes", &["staging"]) else {
        return;
    };
    bench.write("main.tf", PROVIDER);
    bench.must(&["init"]);
    for (body, words) in [
        (
            "target = { upstream = \"a\", agent = \"b\" }",
            "More than one is chosen",
        ),
        ("target = { upstrem = \"a\" }", "upstrem"),
        ("policies = []", "is required"),
        ("target = { fixed = { status = \"many\" } }", "number"),
        (
            "target = { fixed = { status = 200 } }\n policies = [{ limit = { rate = \"5/x\" } }]",
            "5/x",
        ),
    ] {
        let text = format!("resource \"tidegate_route\" \"r\" {{\n name = \"r\"\n {body}\n}}\n");
        bench.write("route.tf", &text);
        let output = bench.run(&["validate", "-json"]);
        let told: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["valid"], false, "{body}");
        let text = told.to_string();
        assert!(text.contains(words), "{body}: {text}");
        assert!(
            told["diagnostics"][0]["range"]["start"]["line"].as_u64() > Some(0),
            "{text}"
        );
    }
    let text = "resource \"tidegate_route\" \"r\" {\n name = \"r\"\n target = { upstream = \"none\" }\n}\n";
    bench.write("route.tf", text);
    let told = bench.must(&["plan"]);
    assert!(told.contains("there is no upstream `none`"), "{told}");
    let told = bench.exits(&["apply", "-auto-approve"], 1);
    assert!(told.contains("routes/r was not changed"), "{told}");
}

#[test]
fn each_workspace_is_an_environment() {
    let Some(bench) = Workbench::new("workspaces", &["staging", "production"]) else {
        return;
    };
    bench.write(
        "main.tf",
        r#"
provider "tidegate" { environment = terraform.workspace }
resource "tidegate_team" "t" {
  name        = "t"
  description = "in ${terraform.workspace}"
}
data "tidegate_environment" "here" {}
output "generation" { value = data.tidegate_environment.here.generation }
"#,
    );
    bench.must(&["init"]);
    for name in ["staging", "production"] {
        bench.must(&["workspace", "new", name]);
        bench.must(&["apply", "-auto-approve"]);
        let team = bench.server.get(name, "teams", "t").unwrap();
        assert_eq!(team["description"], format!("in {name}"));
    }
    bench.must(&["workspace", "select", "staging"]);
    bench.must(&["destroy", "-auto-approve"]);
    assert!(bench.server.get("staging", "teams", "t").is_none());
    assert!(bench.server.get("production", "teams", "t").is_some());
}

#[test]
fn modules_environments_and_data_sources_work_together() {
    let Some(bench) = Workbench::new("modules", &["staging"]) else {
        return;
    };
    bench.write(
        "service/main.tf",
        r#"
terraform {
  required_providers { tidegate = { source = "tidegate/tidegate" } }
}
variable "name" { type = string }
variable "environment" { type = string }
resource "tidegate_upstream" "this" {
  name        = var.name
  environment = var.environment
  endpoints   = ["${var.name}:80"]
}
resource "tidegate_route" "this" {
  name        = var.name
  environment = var.environment
  match       = { path = "/${var.name}" }
  target      = { upstream = tidegate_upstream.this.name }
}
output "route" { value = tidegate_route.this.name }
"#,
    );
    bench.write(
        "main.tf",
        &format!(
            r#"{PROVIDER}
resource "tidegate_environment" "blue" {{
  name        = "blue"
  variables   = {{ HOST = "blue.example.com" }}
  promotes_to = "staging"
}}
module "service" {{
  source      = "./service"
  for_each    = toset(["a", "b", "c"])
  name        = each.key
  environment = tidegate_environment.blue.name
}}
data "tidegate_resource" "a" {{
  kind        = "routes"
  name        = module.service["a"].route
  environment = "blue"
  depends_on  = [module.service]
}}
data "tidegate_revision" "now" {{
  environment = tidegate_environment.blue.name
  depends_on  = [module.service]
}}
data "tidegate_resources" "all" {{
  kind        = "upstreams"
  environment = "blue"
  depends_on  = [module.service]
}}
output "path" {{ value = jsondecode(data.tidegate_resource.a.json).match.path }}
output "routes" {{ value = length(jsondecode(data.tidegate_revision.now.document).routes) }}
output "upstreams" {{ value = length(data.tidegate_resources.all.json) }}
"#
        ),
    );
    bench.must(&["init"]);
    bench.apply();
    let outputs: Json = serde_json::from_str(&bench.must(&["output", "-json"])).unwrap();
    assert_eq!(outputs["path"]["value"], "/a");
    assert_eq!(outputs["routes"]["value"], 3);
    assert_eq!(outputs["upstreams"]["value"], 3);
    assert_eq!(bench.server.count("blue"), 6);
    bench.must(&["destroy", "-auto-approve"]);
}

#[test]
fn terraforms_own_tests_run_with_and_without_a_server() {
    let Some(bench) = Workbench::new("terraform test", &["staging"]) else {
        return;
    };
    bench.write(
        "main.tf",
        r#"
variable "rate" { default = "10/s" }
resource "tidegate_route" "r" {
  name     = "r"
  match    = { path = "/r" }
  policies = [{ limit = { rate = var.rate } }]
  target   = { fixed = { status = 204 } }
}
output "rate" { value = tidegate_route.r.policies[0].limit.rate }
"#,
    );
    bench.write(
        "tests/mocked.tftest.hcl",
        r#"
mock_provider "tidegate" {}
run "applies" {
  assert {
    condition     = tidegate_route.r.target.fixed.status == 204
    error_message = "wrong status"
  }
}
run "another_rate" {
  variables { rate = "20/s" }
  assert {
    condition     = output.rate == "20/s"
    error_message = "wrong rate"
  }
}
"#,
    );
    bench.write(
        "tests/real.tftest.hcl",
        r#"
provider "tidegate" { environment = "staging" }
run "plans" {
  command = plan
  assert {
    condition     = tidegate_route.r.environment == "staging"
    error_message = "wrong environment"
  }
}
run "applies" {}
"#,
    );
    bench.must(&["init"]);
    let told = bench.must(&["test"]);
    assert!(told.contains("4 passed, 0 failed"), "{told}");
    assert_eq!(bench.server.count("staging"), 0, "a test cleans up");
}

#[test]
fn two_hundred_resources_are_planned_in_three_seconds() {
    let Some(bench) = Workbench::new("two hundred", &["staging"]) else {
        return;
    };
    let mut text = PROVIDER.to_owned();
    for n in 0..100 {
        let _ = writeln!(
            text,
            "resource \"tidegate_upstream\" \"u{n}\" {{\n name = \"u{n}\"\n endpoints = [\"h{n}:80\"]\n}}\n\
             resource \"tidegate_route\" \"r{n}\" {{\n name = \"r{n}\"\n match = {{ path = \"/r{n}\" }}\n \
             policies = [{{ auth_key = {{}} }}, {{ limit = {{ rate = \"{}/s\" }} }}]\n \
             target = {{ upstream = tidegate_upstream.u{n}.name }}\n}}",
            n + 1
        );
    }
    bench.write("main.tf", &text);
    bench.must(&["init"]);
    let timed = |arguments: &[&str], code| {
        let started = Instant::now();
        bench.exits(arguments, code);
        started.elapsed()
    };
    let new = timed(&["plan", "-detailed-exitcode"], 2);
    bench.must(&["apply", "-auto-approve"]);
    assert_eq!(bench.server.count("staging"), 200);
    let again = timed(&["plan", "-detailed-exitcode"], 0);
    eprintln!("200 resources: planned new in {new:?}, planned again in {again:?}");
    // The bar is 3 s on a quiet machine; a busy one with a debug build gets more.
    let most = Duration::from_secs(3) * if cfg!(debug_assertions) { 5 } else { 1 };
    assert!(new.max(again) < most, "{new:?} {again:?}");
}

#[test]
fn the_guides_configuration_does_what_the_guide_says() {
    let Some(bench) = Workbench::new("guide", &["staging"]) else {
        return;
    };
    let guide = include_str!("../../../../docs/guides/terraform-from-zero.md");
    let blocks = guide.split("```hcl\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let text: Vec<_> = blocks.collect();
    assert_eq!(
        text.len(),
        3,
        "the guide has a configuration, a key and an import"
    );
    bench.write("versions.tf", "");
    bench.write("main.tf", &text[..2].concat());
    bench.must(&["init"]);
    bench.must(&["workspace", "new", "staging"]);
    bench.must(&["apply", "-auto-approve", "-var", "storefront_key=secret"]);
    let consumer = bench
        .server
        .get("staging", "consumers", "storefront")
        .unwrap();
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert_eq!(consumer["keys"][0]["sha256"], hash);
    // The import, for somebody who has lost the state.
    bench.must(&["state", "rm", "tidegate_route.orders"]);
    bench.write("import.tf", text[2]);
    let told = bench.must(&["apply", "-auto-approve", "-var", "storefront_key=secret"]);
    assert!(
        told.contains("1 imported, 0 added, 0 changed, 0 destroyed"),
        "{told}"
    );
}
