//! Rerank between Cohere's interface, which most vendors speak, and Voyage's.

use super::counts::Counts;
use super::{Answer, Translated, lost};
use crate::DialectError;
use crate::endpoint::RerankDialect;
use crate::json::object::{Object, list, text};
use crate::json::write::Writer;

/// What the number of results is called.
const fn limit(dialect: RerankDialect) -> &'static str {
    match dialect {
        RerankDialect::Cohere => "top_n",
        RerankDialect::Voyage => "top_k",
    }
}

/// Translates a request for a provider of the other format.
///
/// # Errors
/// [`DialectError`] when the body does not follow the caller's format.
pub fn request(
    from: RerankDialect,
    to: RerankDialect,
    body: &[u8],
    model: &str,
) -> Result<Translated, DialectError> {
    let object = Object::parse(body)?;
    let required = |field| object.get(field).ok_or(DialectError::Missing { field });
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut w = Writer::new(&mut out);
    w.open().member("model", model);
    w.key("query").raw(required("query")?.get());
    w.key("documents").open_list();
    for document in list(required("documents")?, "documents")? {
        if document.get().starts_with('{') {
            let document = Object::of(document, "documents")?;
            let field = "text";
            let words = document.get(field).ok_or(DialectError::Missing { field })?;
            w.text(&text(words, field)?);
        } else {
            w.text(&text(document, "documents")?);
        }
    }
    w.close_list();
    if let Some(most) = object.get(limit(from)) {
        w.key(limit(to)).raw(most.get());
    }
    if let Some(wish) = object.get("return_documents") {
        w.key("return_documents").raw(wish.get());
    }
    w.close();
    let known = [
        "model",
        "query",
        "documents",
        limit(from),
        "return_documents",
    ];
    let losses = lost(object.iter(), &known);
    Ok(Translated { body: out, losses })
}

/// Translates an answer for a caller of the other format.
///
/// # Errors
/// [`DialectError`] when the body is no answer in the provider's format.
pub fn answer(
    from: RerankDialect,
    to: RerankDialect,
    body: &[u8],
    model: &str,
) -> Result<Answer, DialectError> {
    let object = Object::parse(body)?;
    let field = match from {
        RerankDialect::Cohere => "results",
        RerankDialect::Voyage => "data",
    };
    let results = object.get(field).ok_or(DialectError::Missing { field })?;
    let counted = object.get("usage").or_else(|| object.get("meta"));
    let usage = counted.and_then(|raw| Counts::read(raw.get().as_bytes()));
    let mut out = Vec::with_capacity(body.len() + 128);
    let mut w = Writer::new(&mut out);
    w.open();
    match to {
        RerankDialect::Cohere => w.key("results").open_list(),
        RerankDialect::Voyage => w.member("object", "list").key("data").open_list(),
    };
    for result in list(results, field)? {
        let result = Object::of(result, field)?;
        w.open();
        for field in ["index", "relevance_score"] {
            let value = result.get(field).ok_or(DialectError::Missing { field })?;
            w.key(field).raw(value.get());
        }
        if let Some(document) = result.get("document") {
            let words = match document.get().starts_with('{') {
                true => Object::of(document, "document")?.text("text"),
                false => text(document, "document").ok(),
            };
            match (words, to) {
                (Some(words), RerankDialect::Voyage) => {
                    w.member("document", &words);
                }
                (Some(words), RerankDialect::Cohere) => {
                    w.key("document").open().member("text", &words).close();
                }
                (None, _) => {}
            }
        }
        w.close();
    }
    w.close_list().member("model", model);
    if let Some(usage) = usage {
        w.key("usage").open();
        w.key("total_tokens").unsigned(usage.total_tokens()).close();
    }
    w.close();
    Ok(Answer { body: out, usage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use RerankDialect::{Cohere, Voyage};
    use serde_json::{Value, json};

    #[test]
    fn requests_become_the_others() {
        let body = br#"{"model":"a","query":"q","documents":["x",{"text":"y"}],"top_n":1,"max_tokens_per_doc":9}"#;
        let made = request(Cohere, Voyage, body, "b").unwrap();
        let json: Value = serde_json::from_slice(&made.body).unwrap();
        let expected = json!({"model":"b","query":"q","documents":["x","y"],"top_k":1});
        assert_eq!(json, expected);
        assert_eq!(made.losses[0].field, "max_tokens_per_doc");
        let back = request(Voyage, Cohere, &made.body, "c").unwrap();
        let json: Value = serde_json::from_slice(&back.body).unwrap();
        assert_eq!((&json["top_n"], &json["model"]), (&json!(1), &json!("c")));
        assert!(request(Cohere, Voyage, br#"{"documents":["x"]}"#, "b").is_err());
        assert!(request(Cohere, Voyage, br#"{"query":"q","documents":[1]}"#, "b").is_err());
    }

    #[test]
    fn answers_become_the_others() {
        let voyage = br#"{"object":"list","data":[{"relevance_score":0.57,"index":1,"document":"d"}],"model":"r","usage":{"total_tokens":12}}"#;
        let made = answer(Voyage, Cohere, voyage, "m").unwrap();
        assert_eq!(made.usage.unwrap().input_tokens, 12);
        let json: Value = serde_json::from_slice(&made.body).unwrap();
        let expected = json!({"results":[{"index":1,"relevance_score":0.57,"document":{"text":"d"}}],
            "model":"m","usage":{"total_tokens":12}});
        assert_eq!(json, expected);
        let back = answer(Cohere, Voyage, &made.body, "r").unwrap();
        let json: Value = serde_json::from_slice(&back.body).unwrap();
        assert_eq!(json["data"][0]["document"], "d");
        assert!(answer(Cohere, Voyage, br#"{"results":[{"index":0}]}"#, "r").is_err());
    }
}
