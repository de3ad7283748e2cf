//! What holds for any bytes: readers agree with serde_json and nothing panics.

use gate_ai::{
    Dialect, StreamTap, StreamTranslator, TranslateOptions, inspect, prepare_native,
    response_facts, translate_request, translate_response,
};
use proptest::prelude::*;
use serde_json::Value;

/// JSON-like text: valid documents with members that matter, then damaged in places.
fn documents() -> impl Strategy<Value = Vec<u8>> {
    let atom = prop::sample::select(vec![
        "\"model\"",
        "\"stream\"",
        "\"messages\"",
        "\"usage\"",
        "\"stream_options\"",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "true",
        "false",
        "null",
        "1",
        "-0.5e3",
        "\"a\"",
        "\"\\u006dodel\"",
        "\"\\\"\"",
        " ",
        "\n",
        "\"prompt_tokens\"",
        "\"include_usage\"",
        "\"choices\"",
        "\\",
        "\"",
        "\u{e4}",
        "/",
        "'",
        "\"role\"",
        "\"user\"",
        "\"content\"",
        "\"type\"",
    ]);
    prop::collection::vec(atom, 0..40).prop_map(|atoms| atoms.concat().into_bytes())
}

/// Valid objects with the members that decide things in any order.
fn objects() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "true",
        "false",
        "null",
        "\"m\"",
        "\"\\u00e4\\\"\"",
        "7",
        "[]",
        "[{\"type\":\"image\"}]",
        "{}",
        "{\"include_usage\":false}",
        "{\"include_usage\":true,\"x\":[1]}",
        "\"usage\"",
        "{\"usage\":{\"prompt_tokens\":3}}",
        "{\"prompt_tokens\":5}",
        "[{\"a\":\"}]\\\\\"}]",
    ]);
    let key = prop::sample::select(vec![
        "model",
        "mod\\u0065l",
        "stream",
        "stream_options",
        "messages",
        "tools",
        "max_tokens",
        "usage",
        "x",
        "us\\u0061ge",
    ]);
    let gap = prop::sample::select(vec!["", " ", "\n\t"]);
    prop::collection::vec((key, value, gap), 0..7).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value, gap)| format!("{gap}\"{key}\"{gap}:{gap}{value}{gap}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

/// The members of an object in order, duplicates included, as serde_json reads them.
fn members(text: &str) -> Vec<(String, Value)> {
    struct Members(Vec<(String, Value)>);
    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            struct V;
            impl<'de> serde::de::Visitor<'de> for V {
                type Value = Members;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Members, A::Error> {
                    let mut list = Vec::new();
                    while let Some(entry) = map.next_entry()? {
                        list.push(entry);
                    }
                    Ok(Members(list))
                }
            }
            d.deserialize_map(V)
        }
    }
    serde_json::from_str::<Members>(text).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn facts_of_valid_objects_agree_with_serde_json(text in objects()) {
        let members = members(&text);
        let of = |name: &str| members.iter().filter(|(key, _)| key == name).collect::<Vec<_>>();
        let acted = ["model", "stream", "stream_options", "messages", "tools", "max_tokens"];
        let repeated = acted.iter().any(|name| of(name).len() > 1);
        let model = of("model").first().and_then(|(_, value)| value.as_str());
        let stream = of("stream").first().map(|(_, value)| value.clone()).unwrap_or_default();
        let good = !repeated && model.is_some() && (stream.is_boolean() || stream.is_null());
        let facts = inspect(Dialect::ChatCompletions, text.as_bytes());
        prop_assert_eq!(facts.is_ok(), good, "{:?}", facts);
        let Ok(facts) = facts else { return Ok(()) };
        prop_assert_eq!(Some(facts.model.as_str()), model);
        prop_assert_eq!(facts.stream, stream == true);
        let made = prepare_native(Dialect::ChatCompletions, text.as_bytes(), &facts, "o\"", true);
        let made = made.to_vec(text.as_bytes());
        let made: Value = serde_json::from_slice(&made).unwrap();
        prop_assert_eq!(&made["model"], "o\"");
    }

    #[test]
    fn usage_of_valid_objects_agrees_with_serde_json(text in objects()) {
        let members = members(&text);
        let counted: Vec<_> = members.iter().filter(|(key, _)| key == "usage").collect();
        prop_assume!(counted.len() < 2 && !text.contains("\\u0061"));
        let expected = counted.first().map(|(_, value)| value).filter(|value| value.is_object());
        let usage = response_facts(Dialect::ChatCompletions, text.as_bytes(), "").usage;
        prop_assert_eq!(usage.is_some(), expected.is_some());
        let expected = expected.and_then(|usage| usage["prompt_tokens"].as_u64()).unwrap_or(0);
        prop_assert_eq!(usage.unwrap_or_default().input_tokens, expected);
    }

    #[test]
    fn what_both_accept_they_read_alike(body in documents()) {
        let parsed = serde_json::from_slice::<Value>(&body).ok();
        let Ok(facts) = inspect(Dialect::ChatCompletions, &body) else { return Ok(()) };
        let made = prepare_native(Dialect::ChatCompletions, &body, &facts, "m", true).to_vec(&body);
        if let Some(parsed) = parsed {
            prop_assert_eq!(Some(facts.model.as_str()), parsed["model"].as_str());
            let made: Value = serde_json::from_slice(&made).unwrap();
            prop_assert_eq!(&made["model"], "m");
        }
    }

    #[test]
    fn no_bytes_make_anything_panic(body in documents(), cut in any::<prop::sample::Index>()) {
        let options = TranslateOptions::default();
        let stream = [b"data: ", body.as_slice(), b"\n\n"].concat();
        let (a, b) = stream.split_at(cut.index(stream.len()));
        for from in Dialect::ALL {
            let _ = response_facts(from, &body, "gpt");
            let _ = gate_ai::provider_error(from, &body);
            for to in Dialect::ALL {
                let _ = translate_request(from, to, &body, "m", &options);
                let _ = translate_response(from, to, &body, "m", &options);
                let mut translator = StreamTranslator::new(from, to, "m", &options);
                let mut out = Vec::new();
                let _ = translator.push(a, &mut out);
                let _ = translator.push(b, &mut out);
                let _ = translator.finish(&mut out);
                prop_assert!(translator.ended() || translator.failed());
            }
            let mut tap = StreamTap::new(from, true);
            let mut forwarded = Vec::new();
            tap.push(a).write_into(a, &mut forwarded);
            tap.push(b).write_into(b, &mut forwarded);
            forwarded.extend(tap.finish());
            prop_assert!(stream.len() >= forwarded.len());
        }
    }
}
