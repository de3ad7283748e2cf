//! Every face yields the same canonical document: generated ones go through a file in YAML and in
//! JSON, the command line, the API, Terraform's import and apply, and the console's forms, and are
//! the same digest everywhere.

use super::commands::Desk;
use crate::console;
use crate::terraform::mirrored;
use gate_api::types::Document;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Documents that are generated.
const DOCUMENTS: u64 = 6;
/// Of these, so many also go through Terraform, which takes some seconds for each.
const APPLIED: u64 = 2;

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's constants; the upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick(&mut self, from: &[Value]) -> Value {
        from[self.roll(from.len() as u64) as usize].clone()
    }

    /// Adds each of these fields, or leaves it out.
    fn adorn(&mut self, value: &mut Value, fields: &[(&str, &[Value])]) {
        for (name, choices) in fields {
            if self.roll(2) == 0 {
                value[*name] = self.pick(choices);
            }
        }
    }
}

/// Text that each notation has to write with care.
const HARD: &str = "a: b # c\n\"quoted\" 'so' \\ ü %{x} - yes";

/// The same for a field's value, which is visible ASCII.
const PLAIN: &str = "a: b # c \"quoted\" 'so' \\\\ %{x} - yes";

fn upstream(dice: &mut Dice, number: u64) -> Value {
    let endpoints = [
        format!("127.0.0.1:{}", 7000 + number),
        "orders.internal:80".into(),
    ];
    let mut upstream = json!({ "endpoints": endpoints[..1 + dice.roll(2) as usize] });
    let by = json!({ "ring_hash": { "by": { "header": "x-user" } } });
    dice.adorn(
        &mut upstream,
        &[
            ("balance", &[json!({ "round_robin": {} }), by]),
            (
                "timeouts",
                &[
                    json!({ "connect": "2s" }),
                    json!({ "first_byte": "1m", "idle": "90s" }),
                ],
            ),
            (
                "retry",
                &[json!({ "attempts": 2, "on": ["connect"], "budget": "10%" })],
            ),
            (
                "health",
                &[
                    json!({ "http": { "path": "/healthz", "interval": "2s" } }),
                    json!({ "tcp": {} }),
                ],
            ),
            ("outlier", &[json!({ "failures": 3, "share": "25%" })]),
            ("pool", &[json!({ "connections": 10 })]),
            ("host_header", &[json!("endpoint")]),
            ("concurrency", &[json!(50)]),
            ("slow_start", &[json!("10s")]),
        ],
    );
    upstream
}

fn policies(dice: &mut Dice) -> Vec<Value> {
    let all = [
        json!({ "auth_key": { "query": "token" } }),
        json!({ "limit": { "rate": "100/s" }, "when": "request.method == 'GET'" }),
        json!({ "headers": { "request": { "set": { "x-a": PLAIN }, "remove": ["x-b"] } } }),
        json!({ "access": { "allow": ["10.0.0.0/8", "2001:db8::/32"] } }),
        json!({ "cors": { "origins": ["https://app.example.com"], "credentials": true } }),
        json!({ "rewrite": { "prefix": { "from": "/v1", "to": "/" } } }),
        json!({ "compress": { "encodings": ["gzip"], "min_size": "2KiB" } }),
        json!({ "timeout": { "total": "5s" } }),
    ];
    let kept = all.into_iter().filter(|_| dice.roll(3) == 0);
    kept.collect()
}

fn route(dice: &mut Dice, number: u64, target: Value) -> Value {
    let mut matches = json!({ "path": format!("/r{number}/{{*rest}}") });
    dice.adorn(
        &mut matches,
        &[
            ("host", &[json!("api.example.com"), json!("*.example.com")]),
            ("methods", &[json!(["GET", "POST"])]),
            (
                "headers",
                &[json!({ "x-version": { "equals": "2" }, "x-beta": { "present": true } })],
            ),
            ("query", &[json!({ "page": { "regex": "[0-9]+" } })]),
        ],
    );
    let mut route = json!({ "match": matches, "target": target });
    let policies = policies(dice);
    if !policies.is_empty() {
        route["policies"] = policies.into();
    }
    route
}

fn consumer(dice: &mut Dice, number: u64) -> Value {
    let mut key = json!({ "sha256": format!("{:064x}", number + 1) });
    dice.adorn(
        &mut key,
        &[
            ("id", &[json!("web")]),
            ("expires", &[json!("2099-01-01T00:00:00Z")]),
            ("routes", &[json!(["r0"])]),
            (
                "limits",
                &[json!({ "requests": "5/s" }), json!({ "tokens": "1000/m" })],
            ),
        ],
    );
    let mut consumer = json!({ "keys": [key] });
    dice.adorn(
        &mut consumer,
        &[
            ("team", &[json!("sales")]),
            ("tools", &[json!(["files__*"])]),
        ],
    );
    consumer
}

fn model(dice: &mut Dice) -> Value {
    let mut first = json!({ "provider": "one", "model": "gpt-4o-mini" });
    dice.adorn(
        &mut first,
        &[
            ("weight", &[json!(3)]),
            ("when", &[json!("ai.tokens < 1000")]),
        ],
    );
    let mut model = json!({ "targets": [first, { "provider": "one", "model": "gpt-4o" }] });
    dice.adorn(
        &mut model,
        &[
            (
                "strategy",
                &[
                    json!({ "priority": {} }),
                    json!({ "lowest_latency": { "explore": "10%" } }),
                ],
            ),
            ("first_byte", &[json!("30s")]),
            ("retry", &[json!({ "attempts": 2 })]),
            ("resume", &[json!(true)]),
        ],
    );
    model
}

fn document(seed: u64) -> Value {
    let dice = &mut Dice(seed);
    let mut document = json!({
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "teams": { "sales": { "description": HARD } },
        "providers": { "one": { "openai": { "credentials": [{ "env": "PATH" }] } } },
        "models": { "chat": model(dice) },
        "rollouts": { "careful": { "steps": ["10 %", "50 %"], "undecided": "roll_back" } },
        "prompts": { "support": {
            "versions": { "1": { "messages": [{ "role": "system", "content": HARD }] } },
            "labels": { "production": 1 },
        } },
    });
    let models = json!({ "models": ["chat"] });
    let fixed = json!({ "fixed": { "status": 200, "headers": { "x-a": "b" }, "body": HARD } });
    let mut targets = vec![models, fixed];
    for number in 0..1 + dice.roll(3) {
        document["upstreams"][format!("u{number}")] = upstream(dice, number);
        targets.push(json!({ "upstream": format!("u{number}") }));
    }
    for number in 0..1 + dice.roll(2) {
        document["consumers"][format!("c{number}")] = consumer(dice, number);
    }
    for number in 0..2 + dice.roll(4) {
        let target = dice.pick(&targets);
        document["routes"][format!("r{number}")] = route(dice, number, target);
    }
    document
}

/// A value in YAML's block notation.
fn yaml(value: &Value, depth: usize, to: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let _ = write!(to, "\n{indent}{}:", Value::from(name.as_str()));
                yaml(value, depth + 1, to);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(to, "\n{indent}-");
                yaml(item, depth + 1, to);
            }
        }
        other => {
            let _ = write!(to, " {other}");
        }
    }
}

fn digest_of(document: &Value) -> String {
    let document: Document = serde_json::from_value(document.clone()).unwrap();
    document.digest()
}

/// Applies a file to an environment of its own; the digest that it has then.
fn applied(desk: &Desk, environment: &str, file: &str, text: &str) -> String {
    desk.run(&["env", "set", environment], 0);
    let file = desk.write(file, text);
    let applied = desk.json(&["apply", &file, "--env", environment]);
    digest_in(desk, environment, applied["revision"]["number"].as_u64())
}

/// The digest of what an environment holds, as the API tells it and as its content gives it.
fn digest_in(desk: &Desk, environment: &str, expected: Option<u64>) -> String {
    let row = desk.api(&format!("/environments/{environment}"));
    let number = row["revision"].as_u64();
    assert!(
        number.is_some() && (expected.is_none() || expected == number),
        "{row}"
    );
    let read = desk.api(&format!("/revisions/{}/document", number.unwrap()));
    let told = desk.api(&format!("/revisions/{}", number.unwrap()))["digest"].clone();
    let digest = digest_of(&read["document"]);
    assert_eq!(told, digest.as_str());
    digest
}

#[test]
fn generated_documents_are_the_same_through_every_face() {
    let desk = Desk::start();
    let documents: Vec<Value> = (0..DOCUMENTS).map(document).collect();
    let digests: Vec<String> = documents.iter().map(digest_of).collect();
    for (number, (document, digest)) in documents.iter().zip(&digests).enumerate() {
        let mut text = String::new();
        yaml(document, 0, &mut text);
        let from_yaml = applied(&desk, &format!("y{number}"), "d.yaml", &text);
        assert_eq!(&from_yaml, digest, "{text}");
        let text = serde_json::to_string_pretty(document).unwrap();
        let from_json = applied(&desk, &format!("j{number}"), "d.json", &text);
        assert_eq!(&from_json, digest, "{text}");
    }
    through_the_console(&desk, &documents, &digests);
    for number in 0..APPLIED {
        through_terraform(&desk, &documents[number as usize], number, &digests);
    }
}

/// What the console's forms send, and the YAML that it shows of it.
fn through_the_console(desk: &Desk, documents: &[Value], digests: &[String]) {
    let Some(folder) = console::console() else {
        return;
    };
    let documents_file = desk.write("documents.json", &json!(documents).to_string());
    let out = desk.write("forms.json", "");
    let schema = console::repository().join("docs/reference/schema.json");
    let arguments = [
        Path::new("tests/faces.mjs"),
        &schema,
        Path::new(&documents_file),
        Path::new(&out),
    ];
    assert_eq!(console::run(folder, "node", &arguments).len(), 1);
    let made: Vec<Value> = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(made.len(), documents.len());
    for (number, (made, digest)) in made.iter().zip(digests).enumerate() {
        let sent = applied(
            desk,
            &format!("c{number}"),
            "c.json",
            &made["sent"].to_string(),
        );
        let shown = made["shown"].as_str().unwrap();
        let shown = applied(desk, &format!("s{number}"), "s.yaml", shown);
        assert_eq!((&sent, &shown), (digest, digest), "{made}");
    }
}

/// Terraform imports all of a document, writes its configuration, and makes another environment of
/// that configuration, after which it plans nothing.
fn through_terraform(desk: &Desk, document: &Value, number: u64, digests: &[String]) {
    let Some(terraform) = mirrored("generated_documents") else {
        return;
    };
    let digest = &digests[number as usize];
    let provider = format!(
        "variable \"environment\" {{}}\nprovider \"tidegate\" {{\n  server = \"{}\"\n  \
         environment = var.environment\n  take_over = true\n  effect = false\n}}\n",
        desk.url()
    );
    terraform.write("main.tf", &provider);
    let mut imports = String::new();
    for (kind, resources) in document.as_object().unwrap_or(&Map::new()) {
        let kind = kind.strip_suffix('s').unwrap_or(kind);
        for (count, name) in resources.as_object().unwrap().keys().enumerate() {
            let _ = write!(
                imports,
                "import {{\n  to = tidegate_{kind}.n{count}\n  id = \"{name}\"\n}}\n"
            );
        }
    }
    terraform.write("imports.tf", &imports);
    let from = ["-var".to_owned(), format!("environment=j{number}")];
    let from = [from[0].as_str(), from[1].as_str()];
    terraform.must(&["init"]);
    terraform.must(&[&["plan", "-generate-config-out=generated.tf"], &from[..]].concat());
    let told = terraform.must(&[&["apply", "-auto-approve"], &from[..]].concat());
    assert!(told.contains("0 added, 0 changed, 0 destroyed"), "{told}");
    assert_eq!(&digest_in(desk, &format!("j{number}"), None), digest);
    // The same configuration, for an environment that has nothing yet.
    let file = terraform.path().join("generated.tf");
    let generated = std::fs::read_to_string(&file).unwrap();
    let own = |line: &&str| !line.trim_start().starts_with("environment ");
    let generated: Vec<&str> = generated.lines().filter(own).collect();
    terraform.write("generated.tf", &generated.join("\n"));
    terraform.write("imports.tf", "");
    std::fs::remove_file(terraform.path().join("terraform.tfstate")).unwrap();
    desk.run(&["env", "set", &format!("t{number}")], 0);
    let to = format!("environment=t{number}");
    let to = ["-var", &to];
    terraform.must(&[&["apply", "-auto-approve"], &to[..]].concat());
    terraform.exits(&[&["plan", "-detailed-exitcode"], &to[..]].concat(), 0);
    assert_eq!(&digest_in(desk, &format!("t{number}"), None), digest);
}
