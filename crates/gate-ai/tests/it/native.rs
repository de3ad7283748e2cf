//! The native way: facts, byte-exactness, usage of whole answers.

use crate::cassettes::{self, Cassette};
use gate_ai::{Dialect, inspect, prepare_native, response_facts};
use serde_json::Value;

/// Recordings whose body names the model; the others have files of their own.
fn in_body() -> impl Iterator<Item = &'static Cassette> {
    let all = cassettes::all().iter();
    all.filter(|cassette| !cassette.dialect.in_path())
}

#[test]
fn facts_agree_with_a_full_parse() {
    let mut compared = 0;
    for cassette in in_body() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let name = &cassette.name;
        let parsed: Value = serde_json::from_slice(body).unwrap();
        let facts = inspect(cassette.dialect, body).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            Some(facts.model.as_str()),
            parsed["model"].as_str(),
            "{name}"
        );
        assert_eq!(facts.stream, parsed["stream"] == true, "{name}");
        let span = &body[facts.model_span.clone()];
        assert_eq!(
            serde_json::from_slice::<Value>(span).unwrap(),
            parsed["model"],
            "{name}"
        );
        let tools = parsed["tools"]
            .as_array()
            .is_some_and(|tools| !tools.is_empty());
        assert_eq!(facts.has_tools, tools, "{name}");
        let limits = match cassette.dialect {
            Dialect::Responses => [&parsed["max_output_tokens"], &Value::Null],
            _ => [&parsed["max_tokens"], &parsed["max_completion_tokens"]],
        };
        let limit = limits.iter().filter_map(|limit| limit.as_u64()).min();
        assert_eq!(facts.max_tokens, limit, "{name}");
        let image = match cassette.dialect {
            Dialect::ChatCompletions | Dialect::CohereChat => "image_url",
            Dialect::Responses => "input_image",
            _ => "image",
        };
        let said = match cassette.dialect {
            Dialect::Responses => &parsed["input"],
            _ => &parsed["messages"],
        };
        let images = has_type(said, image);
        assert_eq!(facts.has_images(cassette.dialect, body), images, "{name}");
        compared += 1;
    }
    assert!(compared > 700 || cassettes::all().is_empty());
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_type(item, wanted)),
        Value::Object(members) => {
            members.get("type").is_some_and(|kind| kind == wanted)
                || members.values().any(|member| has_type(member, wanted))
        }
        _ => false,
    }
}

#[test]
fn only_the_model_changes_byte_for_byte() {
    for cassette in in_body() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let facts = inspect(cassette.dialect, body).unwrap();
        let model = "a-model \"of ours\"";
        let made = prepare_native(cassette.dialect, body, &facts, model, false);
        let made = made.to_vec(body);
        let span = facts.model_span.clone();
        assert_eq!(made[..span.start], body[..span.start], "{}", cassette.name);
        let tail = &body[span.end..];
        assert!(made.ends_with(tail), "{}", cassette.name);
        let replaced = &made[span.start..made.len() - tail.len()];
        assert_eq!(serde_json::from_slice::<String>(replaced).unwrap(), model);
        let same = prepare_native(cassette.dialect, body, &facts, &facts.model, false);
        assert_eq!(&same.to_vec(body), body, "{}", cassette.name);
    }
}

#[test]
fn asking_for_usage_changes_nothing_else() {
    let mut asked = 0;
    for cassette in in_body() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let facts = inspect(cassette.dialect, body).unwrap();
        let made = prepare_native(cassette.dialect, body, &facts, &facts.model, true);
        let mut expected: Value = serde_json::from_slice(body).unwrap();
        if made.strip_usage_chunk {
            asked += 1;
            expected["stream_options"]["include_usage"] = true.into();
        }
        let made: Value = serde_json::from_slice(&made.to_vec(body)).unwrap();
        assert_eq!(made, expected, "{}", cassette.name);
        let wanted = cassette.dialect == Dialect::ChatCompletions && facts.stream;
        let comes = made["stream_options"]["include_usage"] == true;
        assert_eq!(comes, wanted, "{}", cassette.name);
    }
    assert!(asked > 30 || cassettes::all().is_empty());
}

#[test]
fn usage_and_model_of_whole_answers_are_found() {
    let mut counted = 0;
    for cassette in cassettes::all()
        .iter()
        .filter(|cassette| !cassette.is_stream)
    {
        let facts = response_facts(cassette.dialect, &cassette.response, "");
        assert_eq!(facts.usage, cassette.expected_usage(), "{}", cassette.name);
        let parsed: Value = serde_json::from_slice(&cassette.response).unwrap();
        assert_eq!(
            facts.model.as_deref(),
            parsed["model"].as_str(),
            "{}",
            cassette.name
        );
        let name = parsed["model"].as_str().unwrap_or("no name");
        let asked = response_facts(cassette.dialect, &cassette.response, name);
        assert_eq!(asked, facts, "{}", cassette.name);
        counted += usize::from(facts.usage.is_some());
    }
    assert!(counted > 500 || cassettes::all().is_empty());
}

#[test]
fn recorded_errors_have_a_class() {
    for cassette in cassettes::all()
        .iter()
        .filter(|cassette| cassette.status >= 400)
    {
        let text = String::from_utf8_lossy(&cassette.response);
        let error = gate_ai::provider_error(cassette.dialect, &cassette.response);
        let class = gate_ai::failure::classify(cassette.status as u16, &error);
        assert!(error.message.is_some(), "{}", cassette.name);
        let expected = match cassette.status {
            401 => &["bad_credential"][..],
            403 if cassette.dialect == Dialect::Converse => &["bad_credential"],
            404 => &["not_found"],
            429 => &["rate_limited"],
            // xAI and OpenAI say these under 400, too.
            _ if text.contains("API key") => &["bad_credential"],
            _ if text.contains("model_not_found") => &["not_found"],
            _ if text.contains("current quota") => &["quota_exhausted"],
            _ => &["bad_request", "context_length"],
        };
        assert!(
            expected.contains(&class.as_str()),
            "{}: {class:?}",
            cassette.name
        );
        let long = [
            "too long",
            "context length",
            "context window",
            "exceeds maximum length",
            "too many tokens",
        ];
        let is_long = long.iter().any(|words| text.contains(words));
        assert_eq!(
            class.as_str() == "context_length",
            is_long,
            "{}: {text}",
            cassette.name
        );
    }
}
