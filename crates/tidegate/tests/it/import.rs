//! `tidegate import`: the documents serve what the other gateways' files said, nginx's beside the
//! real one.

use crate::support::gateway::{Gateway, Running, command};
use crate::support::{Answer, Reply, Upstream, curl, eventually};
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// Imports a file: exit code, document and notes.
fn import(from: &str, text: &str) -> (i32, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs");
    std::fs::write(&file, text).unwrap();
    let mut command = command(&["import", from, "--json"]);
    let output = command.arg(&file).output().unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(printed["findings"], Value::Array(Vec::new()), "{printed:#}");
    let document = printed["document"].as_str().unwrap().to_owned();
    (
        output.status.code().unwrap(),
        document,
        printed["notes"].clone(),
    )
}

/// Runs an imported document; `address` is what its listener has and becomes a port of the system's.
fn run(document: &str, address: &str, secrets: &[(&str, &str)]) -> Gateway {
    assert!(document.contains(address), "{document}");
    let document = document.replace(address, "127.0.0.1:0");
    let admin = "gateway: { admin: { address: \"127.0.0.1:0\" } }\n";
    Gateway::run(&format!("{admin}{document}"), &[], secrets)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The real nginx on a file, when there is one on this machine.
fn nginx(folder: &Path, text: &str, port: u16) -> Option<Running> {
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let found = Command::new("nginx").arg("-v").output().is_ok();
    if !found {
        return None;
    }
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let running = Running::start(command.args(["-g", "daemon off; master_process off;"]));
    eventually("nginx listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Some(running)
}

/// What counts of an answer: status, where it sends callers, fields that were added, and what the
/// upstream saw.
fn essence(answer: &Answer) -> Vec<String> {
    let mut seen = vec![answer.status.to_string()];
    for name in ["location", "x-frame-options", "x-served"] {
        let value = answer.header(name).unwrap_or("-");
        // An address of the server that was asked, which nginx writes with its own port.
        let own = value
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let path = own.filter(|(authority, _)| authority.starts_with("a.example"));
        let value = path.map_or_else(|| value.to_owned(), |(_, path)| format!("/{path}"));
        seen.push(format!("{name}: {value}"));
    }
    let kept = |line: &&str| {
        let names = ["host:", "x-real-ip:", "x-kept:", "x-dropped:"];
        line.contains(" /") || names.iter().any(|name| line.starts_with(name)) || *line == "ok"
    };
    let lines = answer.body.lines().filter(kept);
    let mut lines: Vec<_> = lines
        .filter(|line| !line.starts_with('<'))
        .map(str::to_owned)
        .collect();
    lines.sort();
    seen.extend(lines);
    seen
}

/// Two sites and a default one, with most of what locations do.
fn sites(one: &Upstream, other: &Upstream, port: u16) -> String {
    format!(
        "pid nginx.pid; error_log stderr; events {{ }}\n\
         http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; \
         fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
         upstream one {{ server {}; }} upstream other {{ server {}; }}\n\
         server {{ listen 127.0.0.1:{port} default_server; server_name _; return 404; }}\n\
         server {{ listen 127.0.0.1:{port}; server_name a.example; add_header X-Frame-Options DENY always;\n\
           location / {{ proxy_pass http://one; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Dropped \"\"; }}\n\
           location /strip/ {{ proxy_pass http://other/; }}\n\
           location /deep/ {{ proxy_pass http://other/base/; proxy_set_header Host other.example; }}\n\
           location = /exact {{ return 200 ok; }}\n\
           location /moved {{ return 301 https://new.example$request_uri; }}\n\
           location /closed/ {{ deny all; proxy_pass http://one; }}\n\
           location ^~ /assets/ {{ proxy_pass http://other; }}\n\
           location ~ \\.(png|css)$ {{ add_header X-Served regex always; proxy_pass http://other; }}\n\
           location /rewritten/ {{ rewrite ^/rewritten/(.*)$ /now/$1 break; proxy_pass http://one; }}\n\
           rewrite ^/old/(.*)$ /new/$1 permanent;\n\
         }}\n\
         server {{ listen 127.0.0.1:{port}; server_name .b.example; location /only/ {{ proxy_pass http://one; }} }} }}\n",
        one.address, other.address
    )
}

#[test]
fn nginx_and_what_is_imported_from_it_answer_alike() {
    let (one, other) = (Upstream::echo(), Upstream::echo());
    let port = free_port();
    let text = sites(&one, &other, port);
    let folder = tempfile::tempdir().unwrap();
    let (code, document, notes) = import("nginx", &text);
    assert_eq!(code, 0, "{notes:#}");
    let gateway = run(&document, &format!("127.0.0.1:{port}"), &[]);
    let ours = gateway.address(&format!("http-{port}")).to_owned();
    let Some(_nginx) = nginx(folder.path(), &text, port) else {
        eprintln!("skipped: nginx is not installed, its answers are not compared");
        return;
    };
    for (host, path) in [
        ("a.example", "/"),
        ("a.example", "/plain?q=1"),
        ("a.example", "/strip/x/y?q=1"),
        ("a.example", "/strip"),
        ("a.example", "/deep/x"),
        ("a.example", "/exact"),
        ("a.example", "/moved/here?q=1"),
        ("a.example", "/closed/x"),
        ("a.example", "/assets/logo.png"),
        ("a.example", "/images/logo.png"),
        ("a.example", "/strip/style.css"),
        ("a.example", "/rewritten/x?q=1"),
        ("a.example", "/old/x?q=1"),
        ("b.example", "/only/x"),
        ("www.b.example", "/only/x"),
        ("b.example", "/elsewhere"),
        ("unknown.example", "/"),
        ("127.0.0.1", "/only/x"),
    ] {
        let ask = |address: &str| {
            let host = format!("host: {host}");
            curl(&[
                &format!("http://{address}{path}"),
                "-H",
                &host,
                "-H",
                "x-kept: 1",
                "-H",
                "x-dropped: 1",
            ])
        };
        let (theirs, mine) = (ask(&format!("127.0.0.1:{port}")), ask(&ours));
        assert_eq!(
            essence(&mine),
            essence(&theirs),
            "{host}{path}\n{document}\n{mine:#?}\n{theirs:#?}"
        );
    }
}

#[test]
fn limits_of_nginx_hold() {
    let upstream = Upstream::echo();
    let text = format!(
        "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m; limit_req_status 429;\n\
         server {{ listen 127.0.0.1:8080; location / {{ limit_req zone=z burst=2 nodelay; proxy_pass http://{}; }} }}",
        upstream.address
    );
    let (code, document, notes) = import("nginx", &text);
    assert_eq!(code, 0, "{notes:#}");
    let gateway = run(&document, "127.0.0.1:8080", &[]);
    let url = format!("http://{}/", gateway.address("http-8080"));
    let statuses: Vec<u16> = (0..5).map(|_| curl(&[&url]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[test]
fn kongs_routes_keys_and_limits_hold() {
    let upstream = Upstream::echo();
    let text = format!(
        "_format_version: \"3.0\"\n\
         services:\n- name: orders\n  url: http://{}/v2\n  routes:\n  - {{ name: orders, paths: [/orders/], methods: [GET] }}\n  - {{ name: kept, paths: [/kept/], strip_path: false }}\n  - {{ name: staff, paths: [/staff/], plugins: [{{ name: basic-auth }}] }}\n  - {{ name: gone, paths: [/gone/], plugins: [{{ name: request-termination, config: {{ status_code: 410, message: moved }} }}] }}\n\
         plugins:\n- {{ name: key-auth, config: {{ hide_credentials: true }} }}\n- {{ name: rate-limiting, config: {{ minute: 3 }} }}\n\
         consumers:\n- {{ username: shop, keyauth_credentials: [{{ key: the-shops-key }}] }}\n",
        upstream.address
    );
    let (code, document, _) = import("kong", &text);
    assert_eq!(code, 3, "the basic-auth of one route is told");
    assert!(!document.contains("the-shops-key"));
    let gateway = run(&document, "0.0.0.0:8000", &[]);
    let ask = |path: &str, key: &str| {
        let url = format!("http://{}{path}", gateway.address("proxy"));
        curl(&[&url, "-H", &format!("apikey: {key}")])
    };
    ask("/orders/7", "wrong").expect(401);
    let found = ask("/orders/7?q=1", "the-shops-key").expect(200);
    assert!(found.body.starts_with("GET /v2/7?q=1\n"), "{}", found.body);
    assert!(
        found.body.contains(&format!("host: {}", upstream.address)),
        "{}",
        found.body
    );
    assert!(!found.body.contains("the-shops-key"), "{}", found.body);
    let kept = ask("/kept/7", "the-shops-key").expect(200);
    assert!(kept.body.starts_with("GET /v2/kept/7\n"), "{}", kept.body);
    ask("/staff/1", "the-shops-key").expect(501);
    let gone = ask("/gone/1", "the-shops-key").expect(410);
    assert_eq!(gone.json()["message"], "moved");
    ask("/orders/1", "the-shops-key").expect(200);
    ask("/orders/1", "the-shops-key").expect(200);
    ask("/orders/1", "the-shops-key").expect(429);
}

#[test]
fn litellms_models_fall_back_as_they_did() {
    let broken = Upstream::start(|_| Reply::text("{}").status(500));
    let good = Upstream::start(|_| {
        let answer = r#"{"id":"1","object":"chat.completion","created":1,"model":"llama","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
        Reply::text(answer).header("content-type", "application/json")
    });
    let text = format!(
        "model_list:\n\
         - {{ model_name: assistant, litellm_params: {{ model: openai/gpt-x, api_base: \"http://{}/v1\", api_key: sk-literal }} }}\n\
         - {{ model_name: local, litellm_params: {{ model: hosted_vllm/llama, api_base: \"http://{}/v1\" }} }}\n\
         router_settings: {{ num_retries: 0, fallbacks: [{{ assistant: [local] }}], model_group_alias: {{ gpt-4: assistant }} }}\n\
         general_settings: {{ master_key: sk-1234 }}\n",
        broken.address, good.address
    );
    let (code, document, notes) = import("litellm", &text);
    assert_eq!(code, 3, "secrets have to be given");
    assert!(
        notes.to_string().contains("OPENAI_API_KEY_LINE_2"),
        "{notes:#}"
    );
    let gateway = run(
        &document,
        "0.0.0.0:4000",
        &[("OPENAI_API_KEY_LINE_2", "sk-literal")],
    );
    let ask = |key: &str| {
        let url = format!("http://{}/v1/chat/completions", gateway.address("ai"));
        let body = r#"{"model":"gpt-4","messages":[{"role":"user","content":"hi"}]}"#;
        let key = format!("authorization: Bearer {key}");
        curl(&[
            &url,
            "-H",
            &key,
            "-H",
            "content-type: application/json",
            "-d",
            body,
        ])
    };
    ask("sk-wrong").expect(401);
    let answer = ask("sk-1234").expect(200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hello");
    assert_eq!(
        broken.seen()[0].header("authorization"),
        Some("Bearer sk-literal")
    );
    let sent: Value = serde_json::from_slice(&good.seen()[0].body).unwrap();
    assert_eq!(sent["model"], "llama");
}

#[test]
fn a_file_is_written_once_and_errors_have_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("n.conf"), text).unwrap();
    let run = || {
        let mut command = command(&["import", "nginx", "n.conf", "--out", "gate.yaml"]);
        let output = command.current_dir(folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), told)
    };
    write("server {\n listen 8080;\n location / { return 204 }");
    assert_eq!(
        run(),
        (1, "n.conf:3: `;` is missing before `}`\n".to_owned())
    );
    write("server { listen 8080; mystery on; location / { return 204; } }");
    let (code, told) = run();
    assert_eq!(code, 3, "{told}");
    assert!(
        told.starts_with("n.conf:1: dropped: mystery on: this import does not know it\n"),
        "{told}"
    );
    let written = std::fs::read_to_string(folder.path().join("gate.yaml")).unwrap();
    assert!(written.contains("status: 204"), "{written}");
    let (code, told) = run();
    assert_eq!(code, 1);
    assert!(told.contains("cannot write gate.yaml"), "{told}");
}
