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
fn every_kind_is_complete_and_converses() {
    for kind in registry::PROVIDERS {
        let name = kind.name;
        assert!(kind.documentation.starts_with("https://"), "{name}");
        assert!(
            !kind.telemetry_name.is_empty() && !kind.base_url.ends_with('/'),
            "{name}"
        );
        let operation = Operation::Conversation(kind.dialect);
        assert!(
            kind.serves.iter().any(|row| row.operation == operation),
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
        for dialect in Dialect::ALL {
            let given = ProviderConfig::default();
            let spoken = kind
                .conversation(dialect, "m", &given)
                .map(|(_, spoken)| spoken);
            let native = kind.serves(Operation::Conversation(dialect), "m", &given);
            assert_eq!(native.is_some(), spoken == Some(dialect), "{name}");
        }
    }
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
        let (row, _) = kind.conversation(Dialect::Messages, "m", config).unwrap();
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
        let (row, spoken) = kind.conversation(dialect, model, config).unwrap();
        (kind.url(config, row, model, true), spoken)
    };
    let plain = config([("region", Some("eu".to_owned())), ("version", None)]);
    let claude = url(Dialect::Messages, "claude-x", &plain);
    let expected = "https://eu.h/c/claude-x:streamRaw?alt=sse";
    assert_eq!(claude, (Ok(expected.to_owned()), Dialect::Messages));
    let other = url(Dialect::Messages, "a/b", &plain);
    assert_eq!(
        other,
        (Ok("https://eu.h/chat".to_owned()), Dialect::ChatCompletions)
    );
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
