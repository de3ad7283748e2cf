//! Every file under examples/ is checked, started and called.
//!
//! Only addresses differ from the files: ports that the system chooses, and upstreams of the test.

mod contract;
mod identity;
mod tools;

use crate::support::{Answer, Gateway, Reply, Upstream, curl, eventually, tidegate};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder in the repository.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Files that a test below calls.
const CALLED: [&str; 24] = [
    "authorize.yaml",
    "budgets.yaml",
    "cache.yaml",
    "model-cache.yaml",
    "claude-and-gpt.yaml",
    "contract.yaml",
    "edge-policies.yaml",
    "grpc.yaml",
    "guard.yaml",
    "http-api.yaml",
    "identity.yaml",
    "models-fallback.yaml",
    "models-routing.yaml",
    "models.yaml",
    "observability.yaml",
    "plans.yaml",
    "prompts.yaml",
    "rollouts.yaml",
    "subscribers.yaml",
    "tcp-sni.yaml",
    "tls.yaml",
    "tools.yaml",
    "upstream-credentials.yaml",
    "versions.yaml",
];

pub(crate) const KEY: [&str; 2] = ["-H", "authorization: Bearer tg_example"];

/// An example with other addresses, beside whatever `prepare` puts into its folder.
pub(crate) struct Example {
    name: &'static str,
    text: String,
    folder: Arc<tempfile::TempDir>,
}

impl Example {
    pub(crate) fn new(name: &'static str) -> Self {
        assert!(CALLED.contains(&name));
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let mut example = Self {
            name,
            text,
            folder: Arc::new(tempfile::tempdir().unwrap()),
        };
        for own in ["8080", "8443", "9090"] {
            example.text = example
                .text
                .replace(&format!("\"127.0.0.1:{own}\""), "\"127.0.0.1:0\"");
        }
        example
    }

    /// Puts an address of the test in the place of the one in the file.
    #[track_caller]
    pub(crate) fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.text.contains(from), "{} has no {from}", self.name);
        self.text = self.text.replace(from, to);
        self
    }

    /// Checks and runs it.
    #[track_caller]
    pub(crate) fn run(self, secrets: &[(&str, &str)]) -> Gateway {
        let file = self.folder.path().join("gate.yaml");
        std::fs::write(&file, &self.text).unwrap();
        let checked = tidegate(&["check", &file.display().to_string()]);
        assert!(checked.status.success(), "{}: {checked:?}", self.name);
        Gateway::run_in(self.folder, &[], secrets)
    }
}

#[test]
fn every_example_is_called_by_a_test_and_says_what_it_is() {
    let files = std::fs::read_dir(folder()).unwrap().flatten();
    // Folders are tests of their own (`safe_change`).
    let files: Vec<PathBuf> = files
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    let names: BTreeSet<_> = files
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, CALLED.into_iter().collect());
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.starts_with("# "), "{} has no header", file.display());
        assert!(
            text.lines().count() <= 60,
            "{} is not short",
            file.display()
        );
    }
}

#[test]
fn http_api() {
    let named = |name: &'static str| Upstream::start(move |_| Reply::text(name));
    let (first, second, next) = (named("first"), named("second"), named("next"));
    let gateway = Example::new("http-api.yaml")
        .replace("127.0.0.1:9001", &first.address)
        .replace("127.0.0.1:9002", &second.address)
        .replace("127.0.0.1:9003", &next.address)
        .run(&[]);
    gateway.curl("/orders/1001", &[]).expect(401);
    let answer = gateway.curl("/orders/1001", &KEY).expect(200);
    assert!(answer.header("x-request-id").is_some() && answer.header("ratelimit").is_some());
    let both = || {
        let bodies: BTreeSet<_> = (0..20)
            .map(|_| gateway.curl("/orders/1", &KEY).body)
            .collect();
        bodies.len() == 2
    };
    eventually("both endpoints share the calls", both);
    let second = gateway.curl(
        "/orders/1",
        &[&KEY[..], &["-H", "x-api-version: 2"]].concat(),
    );
    assert_eq!(second.expect(200).body, "next");
    gateway
        .curl("/orders/1", &[&KEY[..], &["-X", "DELETE"]].concat())
        .expect(405);
    gateway.curl("/bills/1", &KEY).expect(404);
}

#[test]
fn rollouts() {
    let orders = Upstream::start(|_| Reply::text("orders"));
    let gateway = Example::new("rollouts.yaml")
        .replace("127.0.0.1:9001", &orders.address)
        .run(&[]);
    let answer = gateway.curl("/orders/1", &[]).expect(200);
    assert_eq!(answer.body, "orders");
}

pub(crate) fn ask(gateway: &Gateway, path: &str, model: &str) -> Answer {
    let body = format!(
        r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}"#
    );
    let more = ["-H", "content-type: application/json", "-d", &body];
    gateway.curl(path, &[&KEY[..], &more].concat())
}

/// An answer as OpenAI gives it, to callers with this credential.
pub(crate) fn openai(credential: &'static str) -> Upstream {
    Upstream::start(move |seen| {
        assert_eq!(seen.target, "/v1/chat/completions");
        let bearer = format!("Bearer {credential}");
        if !credential.is_empty() && seen.header("authorization") != Some(&bearer) {
            return Reply::text(r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#).status(401);
        }
        let body = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"from openai"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
        Reply::text(body).header("content-type", "application/json")
    })
}

#[test]
fn models() {
    let provider = openai("sk-of-the-provider");
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("models.yaml")
        .replace("openai: {", &here)
        .run(&[("OPENAI_API_KEY", "sk-of-the-provider")]);
    let chat = ask(&gateway, "/v1/chat/completions", "assistant")
        .expect(200)
        .json();
    assert_eq!(chat["choices"][0]["message"]["content"], "from openai");
    let message = ask(&gateway, "/v1/messages", "assistant")
        .expect(200)
        .json();
    assert_eq!(message["content"][0]["text"], "from openai");
    ask(&gateway, "/v1/chat/completions", "gpt-4o-mini").expect(404);
    assert!(String::from_utf8_lossy(&provider.seen()[0].body).contains("\"gpt-4o-mini\""));
}

#[test]
fn claude_and_gpt() {
    let gpt = openai("sk-of-openai");
    let claude = anthropic("sk-of-anthropic");
    let openai = format!(
        "openai: {{ base_url: \"http://{}/v1\", credentials",
        gpt.address
    );
    let anthropic = format!(
        "anthropic: {{ base_url: \"http://{}/v1\", credentials",
        claude.address
    );
    let gateway = Example::new("claude-and-gpt.yaml")
        .replace("openai: { credentials", &openai)
        .replace("anthropic: { credentials", &anthropic)
        .run(&[
            ("OPENAI_API_KEY", "sk-of-openai"),
            ("ANTHROPIC_API_KEY", "sk-of-anthropic"),
        ]);
    for (model, said) in [("gpt", "from openai"), ("claude", "from anthropic")] {
        let chat = ask(&gateway, "/v1/chat/completions", model)
            .expect(200)
            .json();
        assert_eq!(chat["choices"][0]["message"]["content"], said);
        let message = ask(&gateway, "/v1/messages", model).expect(200).json();
        assert_eq!(message["content"][0]["text"], said);
    }
}

/// An answer as Anthropic gives it, to callers with this credential.
pub(crate) fn anthropic(credential: &'static str) -> Upstream {
    Upstream::start(move |seen| {
        assert_eq!(seen.target, "/v1/messages");
        if seen.header("x-api-key") != Some(credential) {
            return Reply::text(r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#).status(401);
        }
        let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"from anthropic"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#;
        Reply::text(body).header("content-type", "application/json")
    })
}

#[test]
fn models_fallback() {
    let failing = Upstream::start(|_| Reply::text("{}").status(503));
    let own = openai("");
    let broken = format!(
        "openai: {{ base_url: \"http://{}/v1\", credentials",
        failing.address
    );
    let also_broken = format!("anthropic: {{ base_url: \"http://{}/v1\",", failing.address);
    let gateway = Example::new("models-fallback.yaml")
        .replace("openai: { credentials", &broken)
        .replace("anthropic: {", &also_broken)
        .replace("127.0.0.1:8000", &own.address)
        .run(&[("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b")]);
    let chat = ask(&gateway, "/v1/chat/completions", "assistant")
        .expect(200)
        .json();
    assert_eq!(chat["choices"][0]["message"]["content"], "from openai");
    assert!(
        failing
            .seen()
            .iter()
            .any(|seen| seen.target == "/v1/messages"),
        "both were tried before"
    );
    assert!(String::from_utf8_lossy(&own.seen()[0].body).contains("llama-3.3-70b"));
    let status = ask(&gateway, "/v1/chat/completions", "expert").status;
    assert!(
        matches!(status, 403 | 404),
        "this consumer may not use it: {status}"
    );
}

#[test]
fn models_routing() {
    let provider = openai("sk-second");
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let nobody = "anthropic: { base_url: \"http://127.0.0.1:9/v1\",";
    let gateway = Example::new("models-routing.yaml")
        .replace("openai: { credentials", &format!("{here} credentials"))
        .replace("anthropic: { credentials", &format!("{nobody} credentials"))
        .run(&[
            ("OPENAI_API_KEY", "sk-revoked"),
            ("OPENAI_API_KEY_2", "sk-second"),
            ("ANTHROPIC_API_KEY", "b"),
        ]);
    for model in ["assistant", "quick", "cached", "assistant"] {
        let chat = ask(&gateway, "/v1/chat/completions", model)
            .expect(200)
            .json();
        assert_eq!(chat["choices"][0]["message"]["content"], "from openai");
    }
    let refused = provider.seen();
    let refused = refused
        .iter()
        .filter(|seen| seen.header("authorization") == Some("Bearer sk-revoked"));
    assert!(
        refused.count() <= 3,
        "a key is passed over once it is refused"
    );
}

fn certificate(folder: &Path, name: &str, host: &str) {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    std::fs::create_dir_all(folder.join("tls")).unwrap();
    std::fs::write(folder.join(format!("tls/{name}.pem")), made.cert.pem()).unwrap();
    std::fs::write(
        folder.join(format!("tls/{name}.key")),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
}

/// Calls a name on a port of this machine, trusting one certificate only.
fn https(port: &str, host: &str, authority: &Path) -> Answer {
    let resolve = format!("{host}:{port}:127.0.0.1");
    let authority = authority.display().to_string();
    curl(&[
        "--resolve",
        &resolve,
        "--cacert",
        &authority,
        &format!("https://{host}:{port}/"),
    ])
}

fn port(gateway: &Gateway, listener: &str) -> String {
    gateway
        .address(listener)
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn tls() {
    let (www, api) = (
        Upstream::start(|_| Reply::text("www")),
        Upstream::start(|_| Reply::text("api")),
    );
    let example = Example::new("tls.yaml");
    let folder = example.folder.clone();
    certificate(folder.path(), "www", "www.example.com");
    certificate(folder.path(), "api", "api.example.com");
    let example = example.replace("127.0.0.1:9001", &www.address);
    let gateway = example.replace("127.0.0.1:9002", &api.address).run(&[]);
    let secure = port(&gateway, "secure");
    let site = https(
        &secure,
        "www.example.com",
        &folder.path().join("tls/www.pem"),
    )
    .expect(200);
    assert_eq!(site.body, "www");
    assert_eq!(
        site.header("strict-transport-security"),
        Some("max-age=31536000")
    );
    let api = https(
        &secure,
        "api.example.com",
        &folder.path().join("tls/api.pem"),
    )
    .expect(200);
    assert_eq!(api.body, "api");
    let plain = gateway.address("plain");
    let moved = curl(&[
        "-H",
        "host: www.example.com",
        &format!("http://{plain}/a?b=1"),
    ]);
    assert_eq!(
        moved.header("location"),
        Some("https://www.example.com/a?b=1"),
        "{moved:?}"
    );
}

#[test]
fn grpc() {
    // Another gateway stands in for the service: it speaks HTTP/2 and answers with trailers only.
    let service = Gateway::start(
        "routes: { all: { match: { path: \"/{*rest}\" }, target: { fixed: { status: 200, headers: { content-type: application/grpc, grpc-status: \"0\" } } } } }\n",
    );
    let gateway = Example::new("grpc.yaml")
        .replace("127.0.0.1:9001", service.address("public"))
        .run(&[]);
    let call = |path: &str| {
        let fields = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
        let empty = ["--data-binary", "@-", "--http2-prior-knowledge"];
        gateway.curl(path, &[&fields[..], &empty].concat())
    };
    let answer = call("/shop.Orders/Get").expect(200);
    assert_eq!(answer.header("grpc-status"), Some("0"), "{answer:?}");
    assert!(
        service.metrics().contains("version=\"2\""),
        "the upstream is asked in HTTP/2"
    );
    let unknown = call("/shop.Bills/Get").expect(200);
    assert_eq!(unknown.header("grpc-status"), Some("12"), "{unknown:?}");
}

#[test]
fn tcp_sni() {
    let service = |host: &str| {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        certificate(folder.path(), "own", host);
        let text = format!(
            "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             listeners: {{ public: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{ chain: tls/own.pem, key: tls/own.key }}] }} }} }}\n\
             routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ fixed: {{ status: 200, body: {host} }} }} }} }}\n"
        );
        std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
        Gateway::run_in(folder, &[], &[])
    };
    let (mail, other) = (service("mail.example.com"), service("other.example.com"));
    let gateway = Example::new("tcp-sni.yaml")
        .replace("127.0.0.1:9001", mail.address("public"))
        .replace("127.0.0.1:9002", other.address("public"))
        .run(&[]);
    let port = port(&gateway, "tls");
    for (host, service) in [("mail.example.com", &mail), ("other.example.com", &other)] {
        let answer = https(&port, host, &service.path().join("tls/own.pem"));
        assert_eq!(answer.expect(200).body, host);
    }
}

#[test]
fn edge_policies() {
    let site = Upstream::start(|seen| {
        let body = format!("{} {:?}\n", seen.target, seen.header("x-client-address")).repeat(200);
        Reply::text(body).header("server", "secret/1.0")
    });
    let next = Upstream::echo();
    let example = Example::new("edge-policies.yaml").replace("127.0.0.1:9001", &site.address);
    let gateway = example.replace("127.0.0.1:9002", &next.address).run(&[]);
    let origin = ["-H", "origin: https://app.example.com", "--compressed"];
    let answer = gateway.curl("/page", &origin).expect(200);
    assert!(
        answer.body.starts_with("/page Some(\"127.0.0.1\")"),
        "{}",
        answer.body
    );
    assert!(answer.header("content-encoding").is_some() && answer.header("server").is_none());
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    gateway.curl("/admin", &[]).expect(200);
    gateway.curl("/page", &["-A", "sqlmap/1.8"]).expect(403);
    assert!(gateway.metrics().contains(
        "tidegate_access_matches_total{route=\"site\",rule=\"scanners\",action=\"block\"} 1"
    ));
    eventually("copies arrive", || next.seen().len() >= 2);
    let moved = gateway.curl("/blog/a/b", &[]).expect(301);
    let location = moved.header("location").unwrap();
    assert!(location.ends_with("/articles/a/b"), "{location}");
    assert!(
        gateway
            .curl("/articles/a/b", &[])
            .expect(200)
            .body
            .starts_with("/a/b ")
    );
}

#[test]
fn observability() {
    let (api, collector) = (Upstream::echo(), Upstream::start(|_| Reply::text("")));
    let example = Example::new("observability.yaml").replace("127.0.0.1:9001", &api.address);
    let gateway = example
        .replace("127.0.0.1:4318", &collector.address)
        .run(&[]);
    let answer = gateway.curl(
        "/x",
        &["-A", "tester/1", "-H", "authorization: Bearer hidden"],
    );
    assert!(answer.expect(200).body.contains("traceparent: "));
    assert!(
        gateway
            .metrics()
            .contains("tidegate_requests_total{route=\"api\"")
    );
    for path in ["/v1/traces", "/v1/logs"] {
        eventually(path, || {
            collector.seen().iter().any(|seen| seen.target == path)
        });
    }
    let log = gateway.path().join("access.log");
    let row = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the row is written", || row().contains("tester/1"));
    assert!(!row().contains("hidden"));
}

#[test]
fn guard() {
    let provider = Upstream::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body);
        let chunk = |text: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
            )
        };
        let text = match body.contains("for a key") {
            true => ["it is ", "AKIAIO", "SFODNN7EXAMPLE", " ok"],
            false => ["I wrote to [EMA", "IL_1] about Pro", "ject Tern", "."],
        };
        let stream: String = text.iter().map(|text| chunk(text)).collect();
        let reply = Reply::text(stream + "data: [DONE]\n\n").split(7);
        reply.header("content-type", "text/event-stream")
    });
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("guard.yaml")
        .replace("openai: {", &here)
        .run(&[("OPENAI_API_KEY", "a")]);
    let ask = |text: &str| {
        let body = serde_json::json!({ "model": "assistant", "stream": true,
            "messages": [{ "role": "user", "content": text }] });
        let (json, body) = ("content-type: application/json", body.to_string());
        gateway.curl("/v1/chat/completions", &["-H", json, "-d", &body])
    };
    let answer = ask("Write to jane@example.com.").expect(200).body;
    let seen = String::from_utf8(provider.seen()[0].body.clone()).unwrap();
    assert!(
        seen.contains("Write to [EMAIL_1].") && !seen.contains("jane"),
        "{seen}"
    );
    let text: String = answer
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok()
        })
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "I wrote to jane@example.com about ******* ****.");
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");

    let cut = ask("I ask for a key.").expect(200).body;
    assert!(
        cut.contains("it is") && cut.contains("guard_blocked"),
        "{cut}"
    );
    assert!(!cut.contains("AKIA") && !cut.contains("ok\""), "{cut}");

    let refused = ask("password = \"Xk29fLq81z\"").expect(400).json();
    assert_eq!(refused["error"]["code"], "guard_blocked");
    assert!(!refused.to_string().contains("Xk29"), "{refused}");
    assert_eq!(provider.seen().len(), 2, "the refused request went nowhere");
    eventually("findings are counted", || {
        let metrics = gateway.metrics();
        [
            "personal\",point=\"request\",action=\"redact",
            "keys\",point=\"response\",action=\"block",
        ]
        .iter()
        .all(|labels| metrics.contains(labels))
    });
}
