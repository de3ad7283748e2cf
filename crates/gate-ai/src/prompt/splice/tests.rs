//! What a request looks like with a prompt in it, by dialect.

use super::*;
use crate::conversation::{Content, Role};
use serde_json::{Value, json};

fn what() -> PutIn<'static> {
    PutIn {
        messages: vec![
            (PromptRole::System, "Be \"kind\".".into()),
            (PromptRole::User, "Hi".into()),
            (PromptRole::Assistant, "Hello".into()),
        ],
        model: Some("other"),
        parameters: PromptParameters {
            temperature: Some(0.5),
            top_p: None,
            max_tokens: Some(7),
        },
    }
}

/// The neutral form's roles and texts, temperature and limit.
fn read(dialect: Dialect, body: &[u8]) -> (Vec<(Role, String)>, Option<f64>, Option<u64>) {
    let request = crate::read_request(dialect, body).unwrap();
    let text = |part: &crate::conversation::Part<'_>| match &part.content {
        Content::Text { text, .. } => text.to_string(),
        _ => String::new(),
    };
    let messages = request.messages.iter();
    let messages = messages.flat_map(|m| m.parts.iter().map(|part| (m.role, text(part))));
    (messages.collect(), request.temperature, request.max_tokens)
}

#[test]
fn messages_stand_in_front_in_every_dialect() {
    for (dialect, body) in [
        (
            Dialect::ChatCompletions,
            r#"{"model":"m","messages":[{"role":"system","content":"own"},{"role":"user","content":"q"}]}"#,
        ),
        (
            Dialect::Messages,
            r#"{"model":"m","system":"own","messages":[{"role":"user","content":"q"}]}"#,
        ),
        (
            Dialect::Messages,
            r#"{"model":"m","system":[{"type":"text","text":"own"}],"messages":[{"role":"user","content":"q"}]}"#,
        ),
        (
            Dialect::Responses,
            r#"{"model":"m","input":[{"role":"system","content":"own"},{"role":"user","content":"q"}]}"#,
        ),
        (
            Dialect::GenerateContent,
            r#"{"systemInstruction":{"parts":[{"text":"own"}]},"contents":[{"parts":[{"text":"q"}]}]}"#,
        ),
        (
            Dialect::GenerateContent,
            r#"{"system_instruction":{"parts":{"text":"own"}},"contents":{"parts":[{"text":"q"}]},"generation_config":{"topK":3}}"#,
        ),
        (
            Dialect::Converse,
            r#"{"system":[{"text":"own"}],"messages":[{"role":"user","content":[{"text":"q"}]}]}"#,
        ),
    ] {
        let made = put_in(dialect, body.as_bytes(), &what()).unwrap();
        let shown = String::from_utf8_lossy(&made).into_owned();
        let (said, temperature, most) = read(dialect, &made);
        assert_eq!((temperature, most), (Some(0.5), Some(7)), "{shown}");
        let of = |wanted: Role| {
            let of = said.iter().filter(|(role, _)| *role == wanted);
            of.map(|(_, text)| text.as_str())
                .collect::<Vec<_>>()
                .join("|")
        };
        let system = of(Role::System).replace("\n\n", "|");
        assert_eq!(system, "Be \"kind\".|own", "{shown}");
        assert_eq!(
            (of(Role::User), of(Role::Assistant)),
            ("Hi|q".into(), "Hello".into()),
            "{shown}"
        );
        let value: Value = serde_json::from_slice(&made).unwrap();
        let model = if dialect.in_path() {
            Value::Null
        } else {
            json!("other")
        };
        assert_eq!(value["model"], model);
    }
}

#[test]
fn what_the_caller_says_counts_and_keeps_its_bytes() {
    let body = r#"{"model":"m", "max_tokens": 1e1,"messages":[ {"role":"user","content":"\u0041"} ],"temperature":1.50,"prompt":{"id":"x"},"odd":[1,  2],"n":null}"#;
    let one = PutIn {
        model: None,
        ..what()
    };
    let made = put_in(Dialect::Messages, body.as_bytes(), &one).unwrap();
    let made = String::from_utf8(made).unwrap();
    for kept in [
        r#""max_tokens":1e1"#,
        r#" {"role":"user","content":"\u0041"} ]"#,
        "1.50",
        "[1,  2]",
        "\"model\":\"m\"",
        "\"n\":null",
    ] {
        assert!(made.contains(kept), "{kept} in {made}");
    }
    assert!(!made.contains("prompt") && !made.contains(":7"), "{made}");
    let text = put_in(Dialect::Responses, br#"{"model":"m","input":"q\n"}"#, &one).unwrap();
    let value: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        value["input"][3],
        json!({ "role": "user", "content": "q\n" })
    );
    for (dialect, body) in [
        (Dialect::ChatCompletions, "[]"),
        (Dialect::ChatCompletions, r#"{"messages":{}}"#),
        (Dialect::Messages, r#"{"system":1,"messages":[]}"#),
        (Dialect::GenerateContent, r#"{"contents":"x"}"#),
    ] {
        assert!(put_in(dialect, body.as_bytes(), &what()).is_err(), "{body}");
    }
}

#[test]
fn a_request_says_which_prompt_it_wants() {
    let body = r#"{"prompt":{"id":"p","version":"2","variables":{"a":"x","b":1.50,"c":true,"d":{"type":"input_text","text":"y"}}}}"#;
    let found = asked(body.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (found.id.as_deref(), found.version.as_deref()),
        (Some("p"), Some("2"))
    );
    let values: Vec<String> = found
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(values, ["a=x", "b=1.50", "c=true", "d=y"]);
    for body in [r#"{"prompt":"a text"}"#, r#"{"prompt":null}"#, "{}"] {
        assert_eq!(asked(body.as_bytes()), Ok(None), "{body}");
    }
    for body in [
        "[]",
        r#"{"prompt":{"other":1}}"#,
        r#"{"prompt":{"id":[]}}"#,
        r#"{"prompt":{"variables":{"a":{"type":"input_image"}}}}"#,
        r#"{"prompt":{"variables":{"a":1,"a":2}}}"#,
    ] {
        assert!(asked(body.as_bytes()).is_err(), "{body}");
    }
}
