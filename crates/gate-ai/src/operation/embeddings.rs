//! Embeddings between OpenAI's, Cohere's and Gemini's interfaces.
//!
//! All three turn texts into vectors; only names differ, and OpenAI's may send vectors as base64.
//! What a text is for (`input_type`, `taskType`) has no place in OpenAI's requests; Cohere requires
//! it and gets `search_document` then.

use super::counts::Counts;
use super::{Answer, Translated, lost};
use crate::endpoint::EmbeddingDialect;
use crate::json::object::{Object, Raw, list, text, texts, unsigned};
use crate::json::write::Writer;
use crate::{DialectError, Loss, Usage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::borrow::Cow;

/// What the texts are for, under Cohere's and Gemini's names.
const PURPOSES: &[(&str, &str)] = &[
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

/// A request, whoever's.
struct Request<'a> {
    texts: Vec<Cow<'a, str>>,
    dimensions: Option<u64>,
    /// One of [`PURPOSES`], by its place.
    purpose: Option<usize>,
    losses: Vec<Loss>,
}

/// Whether the caller wants vectors as base64 of little-endian 32-bit floats.
#[must_use]
pub fn wants_base64(from: EmbeddingDialect, body: &[u8]) -> bool {
    let format = || {
        Object::parse(body)
            .ok()?
            .text("encoding_format")
            .map(|f| f == "base64")
    };
    from == EmbeddingDialect::OpenAi && format().unwrap_or(false)
}

/// Translates a request for a provider of another format.
///
/// # Errors
/// [`DialectError`] when the body does not follow the caller's format, or asks for what only its own
/// vendor has (tokens instead of texts, other encodings, pictures).
pub fn request(
    from: EmbeddingDialect,
    to: EmbeddingDialect,
    body: &[u8],
    model: &str,
) -> Result<Translated, DialectError> {
    let object = Object::parse(body)?;
    let read = match from {
        EmbeddingDialect::OpenAi => from_openai(&object)?,
        EmbeddingDialect::Cohere => from_cohere(&object)?,
        EmbeddingDialect::GeminiBatch => from_gemini(&object)?,
        EmbeddingDialect::GeminiOne => one_from_gemini(&object)?,
    };
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut w = Writer::new(&mut out);
    w.open();
    write_request(&mut w, to, &read, model)?;
    w.close();
    let mut losses = read.losses;
    if to == EmbeddingDialect::OpenAi && read.purpose.is_some() {
        losses.push(Loss {
            field: "input_type".into(),
            reason: "OpenAI's interface has no place for what the texts are for",
            listed: true,
        });
    }
    Ok(Translated { body: out, losses })
}

fn write_request(
    w: &mut Writer<'_>,
    to: EmbeddingDialect,
    read: &Request<'_>,
    model: &str,
) -> Result<(), DialectError> {
    match to {
        EmbeddingDialect::OpenAi => {
            w.member("model", model).key("input").open_list();
            for text in &read.texts {
                w.text(text);
            }
            w.close_list();
            if let Some(dimensions) = read.dimensions {
                w.key("dimensions").unsigned(dimensions);
            }
            w.member("encoding_format", "float");
        }
        EmbeddingDialect::Cohere => {
            let (purpose, _) = PURPOSES[read.purpose.unwrap_or(0)];
            w.member("model", model).member("input_type", purpose);
            w.key("embedding_types")
                .open_list()
                .text("float")
                .close_list();
            w.key("texts").open_list();
            for text in &read.texts {
                w.text(text);
            }
            w.close_list();
            if let Some(dimensions) = read.dimensions {
                w.key("output_dimension").unsigned(dimensions);
            }
        }
        EmbeddingDialect::GeminiBatch => {
            w.key("requests").open_list();
            for text in &read.texts {
                w.open();
                gemini_request(w, model, text, &read.dimensions, read.purpose);
                w.close();
            }
            w.close_list();
        }
        EmbeddingDialect::GeminiOne => match &read.texts[..] {
            [text] => gemini_request(w, model, text, &read.dimensions, read.purpose),
            _ => return Err(DialectError::wrong_type("input", "one text")),
        },
    }
    Ok(())
}

fn gemini_request(
    w: &mut Writer<'_>,
    model: &str,
    text: &str,
    dimensions: &Option<u64>,
    purpose: Option<usize>,
) {
    w.member("model", &format!("models/{model}"));
    w.key("content").open().key("parts").open_list();
    w.open().member("text", text).close();
    w.close_list().close();
    if let Some(dimensions) = dimensions {
        w.key("outputDimensionality").unsigned(*dimensions);
    }
    if let Some(purpose) = purpose {
        w.member("taskType", PURPOSES[purpose].1);
    }
}

fn required<'a>(object: &Object<'a>, field: &'static str) -> Result<Raw<'a>, DialectError> {
    object.get(field).ok_or(DialectError::Missing { field })
}

fn from_openai<'a>(object: &Object<'a>) -> Result<Request<'a>, DialectError> {
    let input = required(object, "input")?;
    let dimensions = object.get("dimensions");
    Ok(Request {
        texts: texts(input, "input")
            .map_err(|_| DialectError::wrong_type("input", "a text or a list of texts here"))?,
        dimensions: dimensions
            .map(|raw| unsigned(raw, "dimensions"))
            .transpose()?,
        purpose: None,
        losses: lost(
            object.iter(),
            &["model", "input", "dimensions", "encoding_format"],
        ),
    })
}

fn from_cohere<'a>(object: &Object<'a>) -> Result<Request<'a>, DialectError> {
    if let Some(raw) = object.get("embedding_types") {
        let kinds = texts(raw, "embedding_types")?;
        if kinds.iter().any(|kind| kind != "float") {
            return Err(DialectError::wrong_type(
                "embedding_types",
                "`float` alone here",
            ));
        }
    }
    let dimensions = object.get("output_dimension");
    let purpose = object.text("input_type");
    let known = [
        "model",
        "texts",
        "output_dimension",
        "input_type",
        "embedding_types",
    ];
    Ok(Request {
        texts: texts(required(object, "texts")?, "texts")?,
        dimensions: dimensions
            .map(|raw| unsigned(raw, "output_dimension"))
            .transpose()?,
        purpose: purpose.and_then(|named| PURPOSES.iter().position(|(cohere, _)| *cohere == named)),
        losses: lost(object.iter(), &known),
    })
}

fn from_gemini<'a>(object: &Object<'a>) -> Result<Request<'a>, DialectError> {
    let mut joined: Option<Request<'a>> = None;
    for raw in list(required(object, "requests")?, "requests")? {
        let one = one_from_gemini(&Object::of(raw, "requests")?)?;
        match &mut joined {
            None => joined = Some(one),
            Some(all) => {
                if (all.dimensions, all.purpose) != (one.dimensions, one.purpose) {
                    let same = "the same choices in every request here";
                    return Err(DialectError::wrong_type("requests", same));
                }
                all.texts.extend(one.texts);
            }
        }
    }
    joined.ok_or(DialectError::Missing { field: "requests" })
}

fn one_from_gemini<'a>(object: &Object<'a>) -> Result<Request<'a>, DialectError> {
    let content = Object::of(required(object, "content")?, "content")?;
    let mut joined: Option<Cow<'a, str>> = None;
    for part in list(required(&content, "parts")?, "parts")? {
        let part = Object::of(part, "parts")?;
        let piece = text(required(&part, "text")?, "text")?;
        joined = Some(match joined {
            None => piece,
            Some(before) => Cow::Owned(before.into_owned() + &piece),
        });
    }
    let dimensions = object.get("outputDimensionality");
    let purpose = object.text("taskType");
    let known = ["model", "content", "outputDimensionality", "taskType"];
    Ok(Request {
        texts: vec![joined.unwrap_or_default()],
        dimensions: dimensions
            .map(|raw| unsigned(raw, "outputDimensionality"))
            .transpose()?,
        purpose: purpose.and_then(|named| PURPOSES.iter().position(|(_, gemini)| *gemini == named)),
        losses: lost(object.iter(), &known),
    })
}

/// Gives a request in Gemini's format the provider's model, wherever the body names one: it must be
/// the path's.
///
/// # Errors
/// [`DialectError`] when the body is no such request.
pub fn rename(body: &[u8], model: &str) -> Result<Vec<u8>, DialectError> {
    let object = Object::parse(body)?;
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut w = Writer::new(&mut out);
    let name = serde_json::Value::from(format!("models/{model}")).to_string();
    let members = |w: &mut Writer<'_>, object: &Object<'_>| {
        for (key, raw) in object.iter().filter(|(key, _)| *key != "requests") {
            let raw = if key == "model" { &name } else { raw.get() };
            w.named(key).raw(raw);
        }
    };
    w.open();
    members(&mut w, &object);
    if let Some(requests) = object.get("requests") {
        w.key("requests").open_list();
        for request in list(requests, "requests")? {
            w.open();
            members(&mut w, &Object::of(request, "requests")?);
            w.close();
        }
        w.close_list();
    }
    w.close();
    Ok(out)
}

/// Translates an answer for a caller of another format, under the model's name that it knows.
///
/// # Errors
/// [`DialectError`] when the body is no answer in the provider's format.
pub fn answer(
    from: EmbeddingDialect,
    to: EmbeddingDialect,
    body: &[u8],
    model: &str,
    base64: bool,
) -> Result<Answer, DialectError> {
    let object = Object::parse(body)?;
    let (vectors, usage) = vectors(from, &object)?;
    let usage = usage.and_then(|raw| Counts::read(raw.get().as_bytes()));
    let mut body = Vec::with_capacity(body.len() + 256);
    let mut w = Writer::new(&mut body);
    w.open();
    match to {
        EmbeddingDialect::OpenAi => openai_answer(&mut w, &vectors, usage, model, base64)?,
        EmbeddingDialect::Cohere => {
            w.key("embeddings").open().key("float").open_list();
            for vector in &vectors {
                w.raw(vector.get());
            }
            w.close_list().close();
            w.key("meta")
                .open()
                .key("api_version")
                .open()
                .member("version", "2")
                .close();
            w.key("billed_units").open();
            w.key("input_tokens")
                .unsigned(usage.unwrap_or_default().input_tokens);
            w.close().close();
            w.member("response_type", "embeddings_by_type");
        }
        EmbeddingDialect::GeminiBatch => {
            w.key("embeddings").open_list();
            for vector in &vectors {
                w.open().key("values").raw(vector.get()).close();
            }
            w.close_list();
            gemini_usage(&mut w, usage);
        }
        EmbeddingDialect::GeminiOne => {
            let vector = vectors
                .first()
                .ok_or(DialectError::Missing { field: "embedding" })?;
            w.key("embedding")
                .open()
                .key("values")
                .raw(vector.get())
                .close();
            gemini_usage(&mut w, usage);
        }
    }
    w.close();
    Ok(Answer { body, usage })
}

fn gemini_usage(w: &mut Writer<'_>, usage: Option<Usage>) {
    if let Some(usage) = usage {
        w.key("usageMetadata").open();
        w.key("promptTokenCount")
            .unsigned(usage.input_tokens)
            .close();
    }
}

/// The vectors of an answer as raw lists of numbers, and its usage.
fn vectors<'a>(
    from: EmbeddingDialect,
    object: &Object<'a>,
) -> Result<(Vec<Raw<'a>>, Option<Raw<'a>>), DialectError> {
    let member = |raw, outer, field| required(&Object::of(raw, outer)?, field);
    Ok(match from {
        EmbeddingDialect::OpenAi => {
            let data = list(required(object, "data")?, "data")?;
            let each = data.into_iter().map(|raw| member(raw, "data", "embedding"));
            (each.collect::<Result<_, _>>()?, object.get("usage"))
        }
        EmbeddingDialect::Cohere => {
            let floats = member(required(object, "embeddings")?, "embeddings", "float")?;
            (list(floats, "embeddings")?, object.get("meta"))
        }
        EmbeddingDialect::GeminiBatch => {
            let data = list(required(object, "embeddings")?, "embeddings")?;
            let each = data
                .into_iter()
                .map(|raw| member(raw, "embeddings", "values"));
            (each.collect::<Result<_, _>>()?, object.get("usageMetadata"))
        }
        EmbeddingDialect::GeminiOne => {
            let values = member(required(object, "embedding")?, "embedding", "values")?;
            (vec![values], object.get("usageMetadata"))
        }
    })
}

fn openai_answer(
    w: &mut Writer<'_>,
    vectors: &[Raw<'_>],
    usage: Option<Usage>,
    model: &str,
    base64: bool,
) -> Result<(), DialectError> {
    w.member("object", "list").key("data").open_list();
    for (index, vector) in vectors.iter().enumerate() {
        w.open().member("object", "embedding");
        w.key("index").unsigned(index as u64);
        if base64 {
            let floats: Vec<f32> = serde_json::from_str(vector.get())
                .map_err(|_| DialectError::wrong_type("embedding", "a list of numbers"))?;
            let bytes: Vec<u8> = floats
                .iter()
                .flat_map(|float| float.to_le_bytes())
                .collect();
            w.member("embedding", &BASE64.encode(bytes));
        } else {
            w.key("embedding").raw(vector.get());
        }
        w.close();
    }
    w.close_list().member("model", model);
    let tokens = usage.unwrap_or_default().input_tokens;
    w.key("usage").open();
    w.key("prompt_tokens").unsigned(tokens);
    w.key("total_tokens").unsigned(tokens).close();
    Ok(())
}

#[cfg(test)]
mod tests;
