//! `generationConfig`: sampling, limits, the form of the answer, thinking.
//!
//! Reference: <https://ai.google.dev/api/generate-content#generationconfig>.

use super::schema::json_schema;
use crate::conversation::{Effort, Format, Reasoning, Request, Text};
use crate::json::object::{Object, Raw, boolean, number, text, texts};
use crate::json::write::Writer;
use crate::{DialectError, Losses};

/// Most tokens of thinking that every model with a budget takes:
/// <https://ai.google.dev/gemini-api/docs/thinking#set-budget>.
const BUDGET_MAX: u64 = 24_576;
/// Least tokens of thinking of a model that always thinks.
const BUDGET_MIN: u64 = 128;
/// Most alternatives per token.
const LOGPROBS_MAX: u64 = 20;

pub(super) fn read<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let config = Object::of(raw, "generationConfig")?.camel()?;
    let (mut wants_logprobs, mut alternatives) = (false, None);
    for (name, raw) in config.iter() {
        match name {
            "stopSequences" => request.stop = texts(raw, "stopSequences")?,
            "temperature" => request.temperature = Some(number(raw, "temperature")?),
            "topP" => request.top_p = Some(number(raw, "topP")?),
            "topK" => request.top_k = Some(number(raw, "topK")?),
            "candidateCount" => request.candidates = Some(count(raw, "candidateCount")?),
            "maxOutputTokens" => request.max_tokens = Some(count(raw, "maxOutputTokens")?),
            "seed" => request.seed = Some(raw.get().into()),
            "presencePenalty" => request.presence_penalty = Some(number(raw, "presencePenalty")?),
            "frequencyPenalty" => {
                request.frequency_penalty = Some(number(raw, "frequencyPenalty")?);
            }
            "responseLogprobs" => wants_logprobs = boolean(raw, "responseLogprobs")?,
            "logprobs" => alternatives = Some(count(raw, "logprobs")?),
            "responseMimeType" | "responseSchema" | "responseJsonSchema" => {}
            "thinkingConfig" => thinking(raw, request, losses)?,
            // Text is what there is elsewhere.
            "responseModalities" if is_text_only(raw) => {}
            _ => losses.add(format!("generationConfig.{name}")),
        }
    }
    if wants_logprobs {
        request.logprobs = Some(alternatives.unwrap_or(0));
    }
    request.format = format(&config, losses)?;
    Ok(())
}

/// A whole number, which may be spelt as a string or with a fraction of zero.
fn count(raw: Raw<'_>, field: &'static str) -> Result<u64, DialectError> {
    let wrong = || DialectError::wrong_type(field, "a non-negative integer");
    if raw.get().starts_with('"') {
        return text(raw, field)?.parse().map_err(|_| wrong());
    }
    let value = number(raw, field)?;
    if value.fract() != 0.0 || !(0.0..1e15).contains(&value) {
        return Err(wrong());
    }
    Ok(value as u64)
}

fn is_text_only(raw: Raw<'_>) -> bool {
    texts(raw, "responseModalities")
        .is_ok_and(|kinds| kinds.iter().all(|kind| kind.eq_ignore_ascii_case("TEXT")))
}

fn format<'a>(
    config: &Object<'a>,
    losses: &mut Losses,
) -> Result<Option<Format<'a>>, DialectError> {
    let schema: Option<Text<'a>> = match (
        config.get("responseJsonSchema"),
        config.get("responseSchema"),
    ) {
        (Some(raw), _) => Some(raw.get().into()),
        (None, Some(raw)) => Some(json_schema(raw, "responseSchema")?.into()),
        (None, None) => None,
    };
    let media = config.text("responseMimeType");
    Ok(match (media.as_deref(), schema) {
        (Some("application/json"), None) => Some(Format::JsonObject),
        (Some("application/json") | None, Some(schema)) => Some(Format::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: None,
        }),
        (Some("text/plain") | None, None) => None,
        _ => {
            losses.add("generationConfig.responseMimeType");
            None
        }
    })
}

fn thinking<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), DialectError> {
    let (mut level, mut budget, mut shown) = (None, None, false);
    for (name, raw) in Object::of(raw, "thinkingConfig")?.camel()?.iter() {
        match name {
            "includeThoughts" => shown = boolean(raw, "includeThoughts")?,
            "thinkingBudget" => budget = Some(number(raw, "thinkingBudget")?),
            "thinkingLevel" => {
                let name = text(raw, "thinkingLevel")?.to_ascii_lowercase();
                level = Effort::from_name(&name);
                if level.is_none() && name != "thinking_level_unspecified" {
                    losses.add("generationConfig.thinkingConfig.thinkingLevel");
                }
            }
            _ => losses.add(format!("generationConfig.thinkingConfig.{name}")),
        }
    }
    request.reasoning = match (level, budget) {
        (Some(level), _) => Some(Reasoning::Adaptive(Some(level))),
        (None, Some(0.0)) => Some(Reasoning::Off),
        // Minus one leaves it to the model.
        (None, Some(tokens)) if tokens < 0.0 => Some(Reasoning::Adaptive(None)),
        (None, Some(tokens)) => Some(Reasoning::Budget(tokens as u64)),
        (None, None) if shown => Some(Reasoning::Adaptive(None)),
        (None, None) => None,
    };
    Ok(())
}

/// Writes the whole of it when there is anything to say.
pub(super) fn write(w: &mut Writer<'_>, request: &Request<'_>, losses: &mut Losses) {
    let mut out = Vec::with_capacity(256);
    let mut inner = Writer::new(&mut out);
    inner.open();
    write_sampling(&mut inner, request);
    write_format(&mut inner, request.format.as_ref());
    write_thinking(&mut inner, &request.model, request.reasoning, losses);
    inner.close();
    if out.len() > 2 {
        // Written by ourselves, so that it is text.
        w.key("generationConfig")
            .raw(&String::from_utf8_lossy(&out));
    }
}

fn write_sampling(w: &mut Writer<'_>, request: &Request<'_>) {
    if !request.stop.is_empty() {
        w.key("stopSequences").open_list();
        for stop in &request.stop {
            w.text(stop);
        }
        w.close_list();
    }
    w.number_if("temperature", request.temperature);
    w.number_if("topP", request.top_p);
    w.number_if("topK", request.top_k);
    w.number_if("presencePenalty", request.presence_penalty);
    w.number_if("frequencyPenalty", request.frequency_penalty);
    if let Some(n) = request.candidates {
        w.key("candidateCount").unsigned(n);
    }
    if let Some(limit) = request.max_tokens {
        w.key("maxOutputTokens").unsigned(limit);
    }
    if let Some(seed) = &request.seed {
        w.key("seed").raw(seed);
    }
    if let Some(alternatives) = request.logprobs {
        w.key("responseLogprobs").boolean(true);
        if alternatives > 0 {
            w.key("logprobs").unsigned(alternatives.min(LOGPROBS_MAX));
        }
    }
}

fn write_format(w: &mut Writer<'_>, format: Option<&Format<'_>>) {
    let Some(format) = format else { return };
    w.member("responseMimeType", "application/json");
    if let Format::JsonSchema { schema, .. } = format {
        w.key("responseJsonSchema").raw(schema);
    }
}

/// What becomes of the wish to think, by the family of the model: those before Gemini 3 take a
/// budget of tokens, later ones a level (<https://ai.google.dev/gemini-api/docs/thinking>).
fn write_thinking(
    w: &mut Writer<'_>,
    model: &str,
    reasoning: Option<Reasoning>,
    losses: &mut Losses,
) {
    let Some(reasoning) = reasoning else { return };
    let budgets = takes_budgets(model);
    let is_flash = model.contains("flash");
    w.key("thinkingConfig").open();
    match reasoning {
        Reasoning::Off if budgets && is_flash => {
            w.key("thinkingBudget").unsigned(0);
        }
        // The others think at least a little.
        Reasoning::Off => {
            losses.add("reasoning.off");
            if budgets {
                w.key("thinkingBudget").unsigned(BUDGET_MIN);
            } else {
                w.member("thinkingLevel", level(Effort::Minimal, is_flash, losses));
            }
        }
        Reasoning::Budget(tokens) => {
            w.key("thinkingBudget").unsigned(tokens.min(BUDGET_MAX));
        }
        Reasoning::Adaptive(Some(effort)) if budgets => {
            w.key("thinkingBudget")
                .unsigned(effort.budget().min(BUDGET_MAX));
        }
        Reasoning::Adaptive(Some(effort)) => {
            w.member("thinkingLevel", level(effort, is_flash, losses));
        }
        Reasoning::Adaptive(None) => {}
    }
    // Other dialects have no choice of thinking unseen.
    if reasoning != Reasoning::Off {
        w.key("includeThoughts").boolean(true);
    }
    w.close();
}

/// Whether a model belongs to a family before Gemini 3.
pub(super) fn takes_budgets(model: &str) -> bool {
    model.contains("gemini-1") || model.contains("gemini-2")
}

/// The nearest level that the model has.
fn level(effort: Effort, is_flash: bool, losses: &mut Losses) -> &'static str {
    match effort {
        Effort::Minimal if is_flash => "minimal",
        Effort::Minimal => {
            losses.add("reasoning.effort");
            "low"
        }
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh | Effort::Max => {
            losses.add("reasoning.effort");
            "high"
        }
    }
}
