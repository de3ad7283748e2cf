//! Every format into every other, and what is refused.

use super::*;
use EmbeddingDialect::{Cohere, GeminiBatch, GeminiOne, OpenAi};
use serde_json::{Value, json};

const REQUESTS: [(EmbeddingDialect, &str); 3] = [
    (
        OpenAi,
        r#"{"model":"a","input":["x","y"],"dimensions":8,"encoding_format":"float"}"#,
    ),
    (
        Cohere,
        r#"{"model":"a","input_type":"search_query","embedding_types":["float"],"texts":["x","y"],"output_dimension":8}"#,
    ),
    (
        GeminiBatch,
        r#"{"requests":[{"model":"models/a","content":{"parts":[{"text":"x"}]},"outputDimensionality":8,"taskType":"RETRIEVAL_QUERY"},{"model":"models/a","content":{"parts":[{"text":"y"}]},"outputDimensionality":8,"taskType":"RETRIEVAL_QUERY"}]}"#,
    ),
];

#[test]
fn every_request_becomes_every_other() {
    for (from, body) in REQUESTS {
        for (to, expected) in REQUESTS {
            let made = request(from, to, body.as_bytes(), "a").unwrap();
            let mut made_json: Value = serde_json::from_slice(&made.body).unwrap();
            let mut expected: Value = serde_json::from_str(expected).unwrap();
            let says_purpose = from != OpenAi;
            if !says_purpose && to == Cohere {
                expected["input_type"] = "search_document".into();
            }
            if !says_purpose && to == GeminiBatch {
                for request in expected["requests"].as_array_mut().unwrap() {
                    request.as_object_mut().unwrap().remove("taskType");
                }
            }
            assert_eq!(made_json.take(), expected, "{from:?} to {to:?}");
            assert_eq!(made.losses.len(), usize::from(says_purpose && to == OpenAi));
        }
    }
}

#[test]
fn every_answer_becomes_every_other() {
    let answers = [
        (
            OpenAi,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.25e-2]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
        ),
        (
            Cohere,
            r#"{"id":"1","embeddings":{"float":[[0.5,-1.25e-2]]},"meta":{"billed_units":{"input_tokens":3}}}"#,
        ),
        (
            GeminiBatch,
            r#"{"embeddings":[{"values":[0.5,-1.25e-2]}],"usageMetadata":{"promptTokenCount":3}}"#,
        ),
        (
            GeminiOne,
            r#"{"embedding":{"values":[0.5,-1.25e-2]},"usageMetadata":{"promptTokenCount":3}}"#,
        ),
    ];
    for (from, body) in answers {
        for (to, _) in answers {
            let made = answer(from, to, body.as_bytes(), "m", false).unwrap();
            assert_eq!(made.usage.unwrap().input_tokens, 3, "{from:?} to {to:?}");
            let again = answer(to, OpenAi, &made.body, "m", false).unwrap();
            let again: Value = serde_json::from_slice(&again.body).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(answers[0].1).unwrap());
        }
        let made = answer(from, OpenAi, body.as_bytes(), "m", true).unwrap();
        let made: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(made["data"][0]["embedding"], json!("AAAAP83MTLw="));
    }
}

#[test]
fn what_only_one_vendor_has_is_refused() {
    for (from, body) in [
        (OpenAi, r#"{"model":"a","input":[1,2]}"#),
        (OpenAi, r#"{"model":"a"}"#),
        (
            Cohere,
            r#"{"model":"a","texts":["x"],"embedding_types":["int8"]}"#,
        ),
        (Cohere, r#"{"model":"a","images":["data:"]}"#),
        (GeminiBatch, r#"{"requests":[]}"#),
        (GeminiOne, r#"{"content":{"parts":[{"inlineData":{}}]}}"#),
    ] {
        assert!(
            request(from, Cohere, body.as_bytes(), "a").is_err(),
            "{body}"
        );
    }
    let two = request(
        OpenAi,
        GeminiOne,
        br#"{"model":"a","input":["x","y"]}"#,
        "a",
    );
    assert!(two.is_err());
}

#[test]
fn a_batch_names_the_providers_model() {
    let body = br#"{"requests":[{"model":"models/a","content":{"parts":[{"text":"model"}]}}]}"#;
    let made = String::from_utf8(rename(body, "b\"").unwrap()).unwrap();
    let expected =
        r#"{"requests":[{"model":"models/b\"","content":{"parts":[{"text":"model"}]}}]}"#;
    assert_eq!(made, expected);
}
