//! Terraform with the provider as people install it: a link to the binary in a folder of providers.

#[allow(dead_code, reason = "other tests take more of its steps")]
#[path = "../../../gate-terraform/tests/it/program.rs"]
mod program;

use crate::support::{Gateway, curl, eventually};
use program::Program;
use serde_json::{Value, json};
use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::time::Instant;

/// Terraform that finds the provider in a mirror, which is a link to this binary.
fn mirrored(test: &str) -> Option<Program> {
    let program = Program::find(test)?;
    let version = env!("CARGO_PKG_VERSION");
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let source = "registry.terraform.io/tidegate/tidegate";
    let mirror = program.path().join("mirror");
    let folder = mirror.join(format!("{source}/{version}/{system}_{machine}"));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join(format!("terraform-provider-tidegate_v{version}"));
    symlink(env!("CARGO_BIN_EXE_tidegate"), link).unwrap();
    let path = mirror.display();
    let settings = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"
    );
    program.write("cli.tfrc", &settings);
    Some(program)
}

#[test]
fn a_link_to_the_binary_is_a_provider() {
    let Some(terraform) = mirrored("a_link_to_the_binary") else {
        return;
    };
    // Nobody listens there: planning what is new needs no server, and says that none was asked.
    terraform.write(
        "main.tf",
        r#"
provider "tidegate" {
  server      = "http://127.0.0.1:1"
  environment = "staging"
}
resource "tidegate_route" "r" {
  name   = "r"
  match  = { path = "/r" }
  target = { fixed = { status = 204 } }
}
"#,
    );
    terraform.must(&["init"]);
    terraform.must(&["validate"]);
    let told = terraform.exits(&["plan", "-detailed-exitcode"], 2);
    assert!(told.contains("tidegate_route.r will be created"), "{told}");
    assert!(told.contains("could not check this plan"), "{told}");
    let told = terraform.exits(&["apply", "-auto-approve"], 1);
    assert!(told.contains("routes/r was not changed"), "{told}");
    let wrong = "resource \"tidegate_team\" \"t\" {\n  nam = \"t\"\n}\n";
    terraform.write("wrong.tf", wrong);
    let told = terraform.exits(&["validate"], 1);
    assert!(told.contains("\"nam\""), "{told}");
}

/// A gateway that follows `staging`, on SQLite.
fn gateway() -> Gateway {
    let text = "gateway: { environment: staging, workers: 1, last_good: last-good.json, \
                admin: { address: \"127.0.0.1:0\" }, \
                store: { engine: { sqlite: { path: store.db } } } }\n";
    Gateway::run(text, &[], &[])
}

/// Terraform whose provider writes to a gateway.
fn for_gateway(test: &str, gateway: &Gateway) -> Option<Program> {
    let mut terraform = mirrored(test)?;
    let server = format!("http://{}", gateway.address("admin"));
    terraform.set("TIDEGATE_SERVER", &server);
    Some(terraform)
}

const PROVIDER: &str = "provider \"tidegate\" {\n  environment = \"staging\"\n}\n";

/// A listener and a route that answers with a text.
fn answering(body: &str) -> String {
    format!(
        r#"
resource "tidegate_listener" "public" {{
  name    = "public"
  address = "127.0.0.1:0"
}}
resource "tidegate_upstream" "orders" {{
  name      = "orders"
  endpoints = ["127.0.0.1:1"]
  timeouts  = {{ connect = "60s" }}
}}
resource "tidegate_route" "orders" {{
  name     = "orders"
  match    = {{ path = "/orders/{{*rest}}" }}
  policies = [{{ limit = {{ rate = "100/s", by = "address" }} }}]
  target   = {{ upstream = tidegate_upstream.orders.name }}
}}
resource "tidegate_route" "all" {{
  name   = "all"
  match  = {{ path = "/{{*rest}}", listeners = [tidegate_listener.public.name] }}
  target = {{ fixed = {{ status = 200, body = "{body}" }} }}
}}
"#
    )
}

#[track_caller]
fn eventually_serves(gateway: &Gateway, body: &str) {
    let url = format!("http://{}/", gateway.late_address("public"));
    eventually("what was applied is served", || curl(&[&url]).body == body);
}

fn admin(
    gateway: &Gateway,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> crate::support::Answer {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut arguments = vec!["-X", method, &url, "-H", "content-type: application/json"];
    if !body.is_empty() {
        arguments.extend(["--data", &body]);
    }
    curl(&arguments)
}

#[test]
fn a_gateway_serves_what_terraform_applies() {
    let gateway = gateway();
    let Some(terraform) = for_gateway("a_gateway_serves", &gateway) else {
        return;
    };
    terraform.write("main.tf", &format!("{PROVIDER}{}", answering("one")));
    terraform.must(&["init"]);
    let told = terraform.apply();
    assert!(told.contains("4 added"), "{told}");
    eventually_serves(&gateway, "one");
    terraform.write("main.tf", &format!("{PROVIDER}{}", answering("two")));
    let told = terraform.apply();
    assert!(told.contains("0 added, 1 changed, 0 destroyed"), "{told}");
    eventually_serves(&gateway, "two");
    // Other faces see it as Terraform's.
    let resource = "/environments/staging/resources/routes/all";
    let theirs =
        json!({ "match": { "path": "/{*rest}" }, "target": { "fixed": { "status": 404 } } });
    let refused = admin(&gateway, "PUT", resource, Some(&theirs))
        .expect(409)
        .json();
    assert_eq!(refused["code"], "owned_elsewhere");
    assert_eq!(
        admin(&gateway, "GET", resource, None).json()["manager"],
        "terraform:staging"
    );
    // Going back by hand is drift, which the next plan shows and takes back.
    let back = admin(
        &gateway,
        "POST",
        "/environments/staging/rollback",
        Some(&json!({})),
    );
    back.expect(200);
    eventually_serves(&gateway, "one");
    let told = terraform.exits(&["plan", "-detailed-exitcode"], 2);
    assert!(told.contains("\"one\" -> \"two\""), "{told}");
    terraform.apply();
    eventually_serves(&gateway, "two");
    // What does not compile is told while planning, at its place.
    let bad = "resource \"tidegate_route\" \"bad\" {\n  name = \"bad\"\n  \
               match = { path_regex = \"(\" }\n  target = { fixed = { status = 200 } }\n}\n";
    terraform.write("bad.tf", bad);
    let told = terraform.exits(&["plan"], 1);
    assert!(
        told.contains("path_regex") && told.contains("bad.tf line 3"),
        "{told}"
    );
    terraform.write("bad.tf", "");
    terraform.must(&["destroy", "-auto-approve"]);
    let left = admin(&gateway, "GET", "/environments/staging/resources", None).json();
    assert_eq!(left["items"], json!([]));
}

#[test]
fn what_exists_on_a_gateway_is_imported() {
    let gateway = gateway();
    let Some(terraform) = for_gateway("imported", &gateway) else {
        return;
    };
    let document = json!({
        "upstreams": { "orders": { "endpoints": ["127.0.0.1:1"], "slow_start": "5s" } },
        "routes": { "orders": { "match": { "path": "/o" }, "target": { "upstream": "orders" },
            "policies": [{ "headers": { "request": { "set": { "x-a": "b" } } } }] } },
    });
    let input = json!({ "document": document, "manager": "terraform:staging" });
    admin(
        &gateway,
        "POST",
        "/environments/staging/revisions",
        Some(&input),
    )
    .expect(200);
    let blocks = "import {\n  to = tidegate_upstream.orders\n  id = \"orders\"\n}\n\
                  import {\n  to = tidegate_route.orders\n  id = \"@staging/orders\"\n}\n";
    terraform.write("main.tf", &format!("{PROVIDER}{blocks}"));
    terraform.must(&["init"]);
    terraform.must(&["plan", "-generate-config-out=generated.tf"]);
    let told = terraform.apply();
    assert!(
        told.contains("2 imported, 0 added, 0 changed, 0 destroyed"),
        "{told}"
    );
}

#[test]
fn two_hundred_resources_of_a_gateway_are_planned_quickly() {
    let gateway = gateway();
    let Some(terraform) = for_gateway("two hundred", &gateway) else {
        return;
    };
    let mut text = PROVIDER.to_owned();
    for n in 0..100 {
        let _ = write!(
            text,
            "resource \"tidegate_upstream\" \"u{n}\" {{\n  name = \"u{n}\"\n  \
             endpoints = [\"127.0.0.1:1\"]\n}}\n\
             resource \"tidegate_route\" \"r{n}\" {{\n  name = \"r{n}\"\n  \
             match = {{ path = \"/r{n}\" }}\n  policies = [{{ limit = {{ rate = \"{}/s\" }} }}]\n  \
             target = {{ upstream = tidegate_upstream.u{n}.name }}\n}}\n",
            n + 1
        );
    }
    terraform.write("main.tf", &text);
    terraform.must(&["init"]);
    let timed = |arguments: &[&str], code| {
        let started = Instant::now();
        terraform.exits(arguments, code);
        started.elapsed()
    };
    let new = timed(&["plan", "-detailed-exitcode"], 2);
    let applied = timed(&["apply", "-auto-approve"], 0);
    let again = timed(&["plan", "-detailed-exitcode"], 0);
    let revisions = admin(&gateway, "GET", "/revisions?limit=1000", None).json();
    let revisions = revisions["items"].as_array().map_or(0, Vec::len);
    assert!((1..100).contains(&revisions), "{revisions} revisions");
    eprintln!(
        "200 resources: planned new in {new:?}, applied in {applied:?} as {revisions} revisions, \
         planned again in {again:?}"
    );
}
