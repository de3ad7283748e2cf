//! One suite over every kind of provider.

use super::*;
use gate_kit::http::Headers;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads settings from JSON.
struct Json(Value);

impl ReadConfig for Json {
    type Error = serde_json::Error;

    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error> {
        serde_json::from_value(self.0)
    }
}

fn config(kind: &ProviderKind, json: Value) -> Result<ProviderConfig, serde_json::Error> {
    registry::read(kind, Json(json))
}

#[test]
fn unknown_fields_and_bare_secrets_are_refused() {
    for kind in registry::PROVIDERS {
        for wrong in [
            serde_json::json!({ "credential_list": [] }),
            serde_json::json!({ "credentials": ["secret"] }),
            serde_json::json!({ "settings": {} }),
        ] {
            assert!(config(kind, wrong).is_err(), "{}", kind.name);
        }
    }
}

#[test]
fn the_callers_credentials_never_reach_the_provider() {
    for kind in registry::PROVIDERS {
        let mut headers = Headers::new();
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "X-Api-Key",
            "api-key",
            "X-Goog-Api-Key",
            "X-Amz-Security-Token",
            "Cookie",
        ] {
            headers.append(name.as_bytes(), b"callers");
        }
        kind.authorize(&mut headers, Some("ours")).unwrap();
        let values: Vec<_> = headers.iter().map(|(_, _, value)| value.to_vec()).collect();
        assert!(!values.contains(&b"callers".to_vec()), "{}", kind.name);
        let shown = values.iter().any(|value| value.ends_with(b"ours"));
        let elsewhere = matches!(kind.credential, CredentialPlace::SigV4(_));
        assert_ne!(shown, elsewhere, "{}", kind.name);
        let broken = kind.authorize(&mut headers, Some("a\r\nb"));
        assert!(
            elsewhere || broken == Err(UnusableCredential),
            "{}",
            kind.name
        );
    }
}

#[test]
fn a_batch_api_is_where_callers_find_it_and_runs_what_the_kind_serves() {
    let files = registry::PROVIDERS
        .iter()
        .filter_map(|kind| Some((kind, kind.batches?)));
    for (kind, api) in files {
        let name = kind.name;
        for row in kind.serves {
            match row.operation {
                Operation::Batches(_) => assert_eq!(row.path, api.batches, "{name}"),
                Operation::Files if !api.files.is_empty() => {
                    assert_eq!(row.path, api.files, "{name}");
                }
                _ => {}
            }
        }
        assert!(
            api.running(Operation::Conversation(kind.dialect)).is_some(),
            "{name}"
        );
        for (runs, _) in api.runs {
            let served = kind.serves.iter().any(|row| row.operation == *runs);
            assert!(served, "{name}: {runs:?}");
        }
        assert!(api.bytes_max > 0 && api.requests_max > 0, "{name}");
    }
}

#[test]
fn the_path_of_a_service_is_what_stands_behind_its_host() {
    let of = |name: &str, json: Value| {
        let kind = registry::find(name).unwrap();
        kind.base_path(&config(kind, json).unwrap()).unwrap()
    };
    let empty = || serde_json::json!({});
    assert_eq!(of("gemini", empty()), "/v1beta");
    assert_eq!(of("azure", serde_json::json!({ "resource": "r" })), "");
    let own = serde_json::json!({ "base_url": "http://127.0.0.1:1/a/v1/" });
    assert_eq!(of("mistral", own), "/a/v1");
}

#[test]
fn every_kind_is_complete_and_its_example_makes_every_address() {
    for kind in registry::PROVIDERS {
        let name = kind.name;
        assert!(kind.documentation.starts_with("https://"), "{name}");
        assert!(
            !kind.telemetry_name.is_empty() && !kind.base_url.ends_with('/'),
            "{name}"
        );
        for row in kind.serves {
            assert!(row.path.starts_with('/'), "{name}: {}", row.path);
            assert!(
                row.model_in_body || row.path.contains("{model}"),
                "{name}: {}",
                row.path
            );
        }
        assert!(!kind.serves.is_empty(), "{name}");
        let given = account(kind);
        for asked in Operation::all() {
            let row = kind.serving(asked, "m", &given);
            let native = kind.serves(asked, "m", &given);
            assert_eq!(
                native.is_some(),
                row.is_some_and(|row| row.operation == asked)
            );
            if let Some(row) = row {
                let url = kind.url(&given, row, "m/1", true).unwrap();
                assert!(
                    url.starts_with("http") && !url.contains('{'),
                    "{name}: {url}"
                );
            }
        }
    }
}

/// The account of the kind's example.
fn account(kind: &ProviderKind) -> ProviderConfig {
    let example: Value = flow(kind.example);
    let settings = example[kind.name].clone();
    assert!(settings.is_object(), "{}: {}", kind.name, kind.example);
    config(kind, settings).unwrap_or_else(|error| panic!("{}: {error}", kind.name))
}

/// The little of YAML's flow style that examples use: unquoted keys and plain scalars.
fn flow(text: &str) -> Value {
    let (mut json, mut plain, mut quoted) = (String::new(), String::new(), false);
    let flush = |plain: &mut String, json: &mut String| {
        let word = std::mem::take(plain);
        match word.trim() {
            "" => {}
            word @ ("true" | "false") => json.push_str(word),
            word => json.push_str(&format!("{word:?}")),
        }
    };
    for (at, c) in text.char_indices() {
        let splits = c == ':' && text[at + 1..].starts_with(' ');
        match c {
            '"' => {
                quoted = !quoted;
                json.push(c);
            }
            _ if quoted => json.push(c),
            '{' | '}' | '[' | ']' | ',' => {
                flush(&mut plain, &mut json);
                json.push(c);
            }
            ':' if splits => {
                flush(&mut plain, &mut json);
                json.push(c);
            }
            _ => plain.push(c),
        }
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{text} => {json}: {error}"))
}

#[test]
fn addresses_come_from_the_table_or_the_configuration() {
    let read = config(
        &openai::KIND,
        serde_json::json!({ "base_url": "http://h/v1/", "credentials": [{ "env": "K" }, { "file": "/k" }] }),
    );
    let read = read.unwrap();
    assert_eq!(read.credentials[0], SecretRef::Env("K".into()));
    let kind = &openai::KIND;
    let url = |config: &ProviderConfig| {
        let asked = Operation::Conversation(Dialect::Messages);
        let row = kind.serving(asked, "m", config).unwrap();
        kind.url(config, row, "m", true).unwrap()
    };
    assert_eq!(url(&read), "http://h/v1/chat/completions");
    assert!(!kind.is_own_service(&read));
    let own = ProviderConfig::default();
    assert_eq!(url(&own), "https://api.openai.com/v1/chat/completions");
    assert!(kind.is_own_service(&own));
}

#[test]
fn rows_apply_by_model_and_setting() {
    const MESSAGES: Operation = Operation::Conversation(Dialect::Messages);
    const CHAT: Operation = Operation::Conversation(Dialect::ChatCompletions);
    const ROWS: &[Served] = &[
        Served::at(MESSAGES, "/c/{model}:raw")
            .streamed_at("/c/{model}:streamRaw?alt=sse")
            .model_in_path()
            .only(&["claude-"]),
        Served::at(CHAT, "/old/{model}/chat?v={version}").when_set("version"),
        Served::at(CHAT, "/chat"),
    ];
    let kind = ProviderKind {
        base_url: "https://{region}.h",
        serves: ROWS,
        ..openai::KIND
    };
    let config = |values| ProviderConfig {
        settings: Settings::of(values),
        ..ProviderConfig::default()
    };
    let url = |dialect, model: &str, config: &ProviderConfig| {
        let asked = Operation::Conversation(dialect);
        let row = kind.serving(asked, model, config).unwrap();
        (kind.url(config, row, model, true), row.operation)
    };
    let plain = config([("region", Some("eu".to_owned())), ("version", None)]);
    let claude = url(Dialect::Messages, "claude-x", &plain);
    let expected = "https://eu.h/c/claude-x:streamRaw?alt=sse";
    assert_eq!(claude, (Ok(expected.to_owned()), MESSAGES));
    let other = url(Dialect::Messages, "a/b", &plain);
    assert_eq!(other, (Ok("https://eu.h/chat".to_owned()), CHAT));
    let old = config([
        ("region", Some("eu".to_owned())),
        ("version", Some("1".to_owned())),
    ]);
    let (old, _) = url(Dialect::ChatCompletions, "a/b", &old);
    assert_eq!(old.as_deref(), Ok("https://eu.h/old/a%2Fb/chat?v=1"));
    let bare = ProviderConfig::default();
    let name = "region".to_owned();
    assert_eq!(kind.base(&bare), Err(MissingSetting { name }));
}
