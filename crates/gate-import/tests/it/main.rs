//! Whole files of each kind: the document is one that Tidegate reads, and what it does not say in
//! the same way is listed with its line.

use gate_import::{Format, Imported, NOTES_MAX, Outcome, import, import_with};
use gate_model::document::Document;
use gate_model::resources::Resources;
use serde_json::Value;

const NGINX: &str = include_str!("files/nginx.conf");
const KONG: &str = include_str!("files/kong.yml");
const LITELLM: &str = include_str!("files/litellm.yaml");

fn imported(format: Format, text: &str) -> Imported {
    import(format, text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The document as JSON, after Tidegate has read all of it.
#[track_caller]
fn document(imported: &Imported) -> Value {
    let document = Document::parse(imported.document.as_bytes(), "imported.yaml");
    let document = document.unwrap_or_else(|f| panic!("{f:?}\n{}", imported.document));
    let read = Resources::read(&document);
    read.unwrap_or_else(|findings| panic!("{findings:?}\n{}", imported.document));
    serde_json::from_str(&gate_model::document::canonical_json(&document.root)).unwrap()
}

/// Notes as `line outcome what`, without those that need nothing.
fn notes(imported: &Imported) -> Vec<String> {
    let notes = imported.notes.iter();
    let notes = notes.filter(|note| note.outcome != Outcome::Needless);
    notes
        .map(|n| format!("{} {} {}", n.line, n.outcome.word(), n.what))
        .collect()
}

#[test]
fn nginx_becomes_listeners_routes_and_upstreams() {
    let imported = imported(Format::Nginx, NGINX);
    let document = document(&imported);
    assert_eq!(document["gateway"]["workers"], 2);
    assert_eq!(document["listeners"]["http-80"]["address"], "0.0.0.0:80");
    let https = &document["listeners"]["https-443"];
    assert_eq!(https["tls"]["certificates"][0]["chain"], "/etc/tls/api.pem");
    assert_eq!(https["limits"]["body"], "8MiB");
    let orders = &document["upstreams"]["orders"];
    assert_eq!(
        orders["endpoints"],
        serde_json::json!(["127.0.0.1:9001", "127.0.0.1:9002"])
    );
    assert_eq!(orders["weights"]["127.0.0.1:9001"], 3);
    assert_eq!(orders["outlier"]["failures"], 2);
    let routes = document["routes"].as_object().unwrap();
    let with = |path: &str| {
        let found = routes
            .values()
            .find(|r| r["match"]["path"] == path && r["match"]["host"] == "api.example.com");
        found.unwrap_or_else(|| panic!("no {path} in {}", imported.document))
    };
    let v1 = with("/v1/{*rest}").to_string();
    assert!(
        v1.contains(r#""prefix":{"from":"/v1","to":"/api"}"#),
        "{v1}"
    );
    assert!(v1.contains(r#""host":"10.0.0.5:8443""#), "{v1}");
    assert_eq!(with("/healthz")["target"]["fixed"]["body"], "ok");
    assert_eq!(with("/private/{*rest}")["target"]["fixed"]["status"], 501);
    assert_eq!(with("/assets/{*rest}")["target"]["fixed"]["status"], 501);
    assert!(
        with("/internal/{*rest}")
            .to_string()
            .contains(r#""access":{"allow":["10.0.0.0/8"]"#)
    );
    let redirect = routes
        .values()
        .find(|r| r["match"].get("host").is_none())
        .unwrap();
    assert_eq!(redirect["policies"][0]["redirect"]["scheme"], "https");
    let notes = notes(&imported);
    for expected in [
        "5 dropped include mime.types",
        "10 dropped server 127.0.0.1:9003 backup",
        "23 dropped ~^old\\d+",
        "33 dropped proxy_set_header X-Trace $upstream_trace",
        "35 changed limit_req zone=each burst=20 nodelay",
        "42 closed auth_basic staff",
        "43 closed location",
    ] {
        assert!(
            notes.iter().any(|note| note == expected),
            "{expected} in {notes:#?}"
        );
    }
    assert!(!imported.is_whole());
}

#[test]
fn expressions_of_nginx_come_before_its_prefixes() {
    let text = "server { listen 8080; location / { proxy_pass http://a; } \
                location ~ \\.php$ { proxy_pass http://b; } location = /x.php { return 204; } \
                location /docs { proxy_pass http://c; } }";
    let imported = imported(Format::Nginx, text);
    let document = document(&imported);
    let routes: Vec<(&String, &Value)> = document["routes"].as_object().unwrap().iter().collect();
    let matches: Vec<String> = routes.iter().map(|(_, r)| r["match"].to_string()).collect();
    assert_eq!(
        matches,
        [
            r#"{"path":"/x.php"}"#,
            r#"{"path_regex":"(?s).*\\.php"}"#,
            r#"{"path_regex":"(?s)/docs.*"}"#,
            "{}",
        ]
    );
    let names: Vec<_> = routes.iter().map(|(name, _)| (*name).clone()).collect();
    assert!(
        names.is_sorted(),
        "expressions are tried by name: {names:?}"
    );
    assert!(notes(&imported).is_empty(), "{:?}", notes(&imported));
}

#[test]
fn kong_becomes_routes_policies_and_consumers() {
    let imported = imported(Format::Kong, KONG);
    let document = document(&imported);
    let orders = &document["routes"]["orders"];
    assert_eq!(orders["match"]["path"], "/orders/{*rest}");
    let policies = orders["policies"].to_string();
    for part in [
        r#"{"auth_key":{"headers":["apikey"],"query":"apikey"}}"#,
        r#""rates":["60/m","1000/h"]"#,
        r#""default":{"x-source":"kong"}"#,
        r#""prefix":{"from":"/orders","to":"/v2"}"#,
        r#""origins":["https://app.example.com"]"#,
    ] {
        assert!(policies.contains(part), "{part} in {policies}");
    }
    assert_eq!(
        document["upstreams"]["orders"]["endpoints"][0],
        "orders.internal:8080"
    );
    assert_eq!(document["upstreams"]["orders"]["retry"]["attempts"], 2);
    assert_eq!(
        document["upstreams"]["search"]["weights"]["10.0.0.2:9200"],
        50
    );
    assert_eq!(
        document["upstreams"]["search"]["health"]["http"]["path"],
        "/ok"
    );
    assert_eq!(
        document["routes"]["guarded"]["target"]["fixed"]["status"],
        501
    );
    assert_eq!(
        document["consumers"]["shop"]["keys"][0]["sha256"]
            .as_str()
            .map(str::len),
        Some(64)
    );
    assert!(!imported.document.contains("shop-secret-key"));
    let notes = notes(&imported);
    for expected in [
        "closed basic-auth",
        "dropped consumers.acls",
        "dropped proxy-cache",
        "changed rate-limiting.policy",
        "dropped rename.headers",
    ] {
        assert!(
            notes.iter().any(|note| note.ends_with(expected)),
            "{expected} in {notes:#?}"
        );
    }
}

#[test]
fn litellm_becomes_models_and_providers() {
    let imported = imported(Format::LiteLlm, LITELLM);
    let document = document(&imported);
    let assistant = &document["models"]["assistant"];
    assert_eq!(assistant["targets"][0]["model"], "gpt-5");
    assert_eq!(assistant["targets"][0]["weight"], 9);
    assert_eq!(assistant["fallback"][0]["model"], "llama-3.3-70b");
    assert_eq!(assistant["retry"]["attempts"], 2);
    assert_eq!(assistant["total"], "60s");
    assert!(assistant["strategy"]["lowest_latency"].is_object());
    assert_eq!(document["models"]["gpt-4"], *assistant);
    assert_eq!(
        document["providers"]["openai"]["openai"]["credentials"][0]["env"],
        "OPENAI_API_KEY"
    );
    let anthropic = &document["providers"]["anthropic"]["anthropic"];
    assert_eq!(
        anthropic["credentials"][0]["env"],
        "ANTHROPIC_API_KEY_LINE_5"
    );
    assert_eq!(
        document["models"]["bedrock"]["targets"][0]["model"],
        "anthropic.claude-sonnet-4-5-v1:0"
    );
    assert_eq!(
        document["providers"]["azure"]["azure"]["base_url"],
        "https://my.openai.azure.com"
    );
    assert_eq!(
        document["prices"]["hosted_vllm/llama-3.3-70b"][0]["per_million"]["input"],
        "0.2"
    );
    assert_eq!(document["budgets"]["openai"]["per"], "day");
    let hash = document["consumers"]["master"]["keys"][0]["sha256"].as_str();
    assert_eq!(
        hash,
        Some("88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b")
    );
    for secret in ["sk-ant-literal-secret", "sk-1234"] {
        let said = format!("{} {:?}", imported.document, imported.notes);
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let notes = notes(&imported);
    for expected in [
        "5 todo api_key",
        "5 dropped litellm_params.rpm",
        "12 dropped model_name: openai/*",
        "14 dropped litellm_settings.callbacks",
    ] {
        assert!(
            notes.iter().any(|note| note == expected),
            "{expected} in {notes:#?}"
        );
    }
}

#[test]
fn what_is_no_such_file_is_refused_with_its_line() {
    for (format, text, expected) in [
        (
            Format::Nginx,
            "http {\n server {\n",
            "line 3: a block is not closed",
        ),
        (Format::Nginx, "events { }", "line 1: it has no `server`"),
        (
            Format::Kong,
            "services: []",
            "line 1: `_format_version` is missing: this is no declarative file of Kong",
        ),
        (
            Format::LiteLlm,
            "a: b",
            "line 1: `model_list` is missing: this is no configuration of a LiteLLM proxy",
        ),
        (Format::LiteLlm, "model_list: [", ""),
    ] {
        let error = import(format, text.as_bytes()).unwrap_err().to_string();
        assert!(expected.is_empty() || error == expected, "{text}: {error}");
    }
    let large = vec![b' '; gate_import::FILE_BYTES_MAX + 1];
    assert!(import(Format::Nginx, &large).is_err());
    let many: String = (0..400)
        .map(|n| format!("server_name h{n}.example; "))
        .collect();
    let locations: String = (0..400)
        .map(|n| format!("location /l{n}/ {{ return 200; }} "))
        .collect();
    let error = import(
        Format::Nginx,
        format!("server {{ {many} {locations} }}").as_bytes(),
    )
    .unwrap_err();
    assert!(error.message.contains("too many routes"), "{error}");
    let noisy: String = (0..NOTES_MAX + 10)
        .map(|n| format!("unknown{n} on;\n"))
        .collect();
    let imported = imported(
        Format::Nginx,
        &format!("server {{ location / {{ return 204; }} {noisy} }}"),
    );
    assert_eq!(imported.notes.len(), NOTES_MAX + 1);
}

#[test]
fn nothing_that_protects_is_left_open() {
    for closing in [
        "auth_request /check;",
        "satisfy any;",
        "ssl_verify_client on;",
        "internal;",
        "if ($mine) { return 403; }",
        "deny 10.0.0.0/8; allow 10.0.0.1; allow all;",
    ] {
        let text =
            format!("server {{ listen 8080; location / {{ {closing} proxy_pass http://a; }} }}");
        let imported = imported(Format::Nginx, &text);
        let document = document(&imported);
        let status = document["routes"]["any-001"]["target"]["fixed"]["status"].as_u64();
        assert_eq!(status, Some(501), "{closing}\n{}", imported.document);
        assert!(
            imported
                .notes
                .iter()
                .any(|note| note.outcome == Outcome::Closed),
            "{closing}"
        );
    }
}

const STREAM: &str = "
stream {
    upstream db { server 10.0.0.1:5432 weight=2; server 10.0.0.2:5432; }
    upstream mail { server 10.0.0.3:993; }
    map $ssl_preread_server_name $by_name {
        hostnames;
        mail.example.com mail;
        *.apps.example.com 10.0.0.4:443;
        ~^x 10.0.0.5:443;
        default 10.0.0.6:443;
    }
    server { listen 443; ssl_preread on; proxy_pass $by_name; }
    server { listen 127.0.0.1:5432; proxy_pass db; proxy_timeout 1h; proxy_connect_timeout 2s; }
    server { listen 6000 ssl; ssl_certificate /c.pem; ssl_certificate_key /k.pem; proxy_pass 10.0.0.7:6001; }
    server { listen 53 udp; proxy_pass 10.0.0.8:53; }
    server { listen 22; deny 192.0.2.0/24; allow all; proxy_pass 10.0.0.9:22; }
    server { listen 7000; proxy_pass $ssl_preread_server_name:443; }
}
";

#[test]
fn a_stream_becomes_tcp_listeners_with_routes_by_server_name() {
    let imported = imported(Format::Nginx, STREAM);
    let document = document(&imported);
    let tls = &document["listeners"]["tcp-443"];
    assert_eq!(
        (&tls["address"], &tls["protocol"]),
        (&"0.0.0.0:443".into(), &"tcp".into())
    );
    let upstream_of = |name: Option<&str>| {
        let routes = document["routes"].as_object().unwrap().values();
        let of = |route: &&Value| {
            route["match"]["listeners"][0] == "tcp-443"
                && route["match"].get("server_name").and_then(Value::as_str) == name
        };
        let route = routes
            .into_iter()
            .find(of)
            .unwrap_or_else(|| panic!("{name:?}"));
        let upstream = route["target"]["upstream"].as_str().unwrap();
        document["upstreams"][upstream]["endpoints"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(upstream_of(Some("mail.example.com")), "10.0.0.3:993");
    assert_eq!(upstream_of(Some("*.apps.example.com")), "10.0.0.4:443");
    assert_eq!(upstream_of(None), "10.0.0.6:443");
    let db = &document["upstreams"]["db"];
    assert_eq!(db["timeouts"], serde_json::json!({ "connect": "2s" }));
    assert_eq!(db["weights"]["10.0.0.1:5432"], 2);
    let ended = &document["listeners"]["tcp-6000"]["tls"]["certificates"][0];
    assert_eq!(ended["chain"], "/c.pem");
    let listeners = document["listeners"].as_object().unwrap();
    assert_eq!(listeners.len(), 3, "{}", imported.document);
    let notes = notes(&imported);
    for expected in [
        "8 changed *.apps.example.com 10.0.0.4:443",
        "9 dropped ~^x 10.0.0.5:443",
        "13 dropped proxy_timeout 1h",
        "15 dropped listen 53 udp",
        "16 closed deny 192.0.2.0/24",
        "17 dropped proxy_pass $ssl_preread_server_name:443",
    ] {
        assert!(
            notes.contains(&expected.to_owned()),
            "{expected}\n{notes:#?}"
        );
    }
    assert_eq!(notes.len(), 6, "{notes:#?}");
}

#[test]
fn included_files_stand_where_they_are_included() {
    let main = "http {\n  include conf.d/*.conf;\n  include mime.types;\n}\n";
    let mut asked = Vec::new();
    let mut include = |pattern: &str| {
        asked.push(pattern.to_owned());
        match pattern {
            "conf.d/*.conf" => Ok(vec![
                (
                    "conf.d/a.conf".to_owned(),
                    b"upstream a { server 10.0.0.1:80; }\n".to_vec(),
                ),
                (
                    "conf.d/b.conf".to_owned(),
                    b"server {\n  listen 80;\n  include common;\n  frobnicate;\n}\n".to_vec(),
                ),
            ]),
            "common" => Ok(vec![(
                "common".to_owned(),
                b"\nlocation / { proxy_pass http://a; x_unknown; }\n".to_vec(),
            )]),
            _ => Err("there is no such file".to_owned()),
        }
    };
    let imported = import_with(Format::Nginx, main.as_bytes(), &mut include).unwrap();
    assert_eq!(asked, ["conf.d/*.conf", "common", "mime.types"]);
    let document = document(&imported);
    assert_eq!(document["upstreams"]["a"]["endpoints"][0], "10.0.0.1:80");
    let placed = imported.notes.iter();
    let placed: Vec<_> = placed
        .filter(|note| note.outcome != Outcome::Needless)
        .map(|note| (note.file.as_deref(), note.line, &*note.what))
        .collect();
    assert_eq!(
        placed,
        [
            (None, 3, "include mime.types"),
            (Some("conf.d/b.conf"), 4, "frobnicate"),
            (Some("common"), 2, "x_unknown"),
        ]
    );
    let broken = |text: &'static [u8]| {
        let mut include = |_: &str| Ok(vec![("piece".to_owned(), text.to_vec())]);
        let main = b"http {\n include a;\n server { listen 80; }\n}";
        import_with(Format::Nginx, main, &mut include).expect_err("it is broken")
    };
    let error = broken(b"a;\nb {");
    assert_eq!((error.file.as_deref(), error.line), (Some("piece"), 2));
    // A file cannot end a block that another one began.
    assert_eq!(broken(b"}").message, "`}` closes nothing");
    assert_eq!(broken(b"\xff").message, "`piece` is not UTF-8");
    // One that includes itself comes to an end.
    let error = broken(b"include again;");
    assert_eq!(error.message, "blocks are nested too deeply");
}
