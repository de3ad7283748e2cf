//! Naive readers of answers, made after what each vendor's own clients do.
//!
//! They share nothing with the crate's readers but the counting of usage, so that a mistake there
//! does not excuse itself.

use gate_ai::{Dialect, Usage};
use gate_model::units::Pieces;
use serde_json::{Map, Value, json};

/// What every dialect can say of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) thinking: String,
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) stop: String,
    pub(crate) usage: Option<Usage>,
}

pub(crate) fn usage_of(dialect: Dialect, usage: &Value) -> Option<Usage> {
    let body = json!({ "usage": usage }).to_string();
    gate_ai::usage_of(dialect, body.as_bytes())
}

fn text_of(content: &Value, thinking: &mut String) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut text = String::new();
            for part in parts {
                text.push_str(part["text"].as_str().unwrap_or_default());
                for piece in part["thinking"].as_array().into_iter().flatten() {
                    thinking.push_str(piece["text"].as_str().unwrap_or_default());
                }
            }
            text
        }
        _ => String::new(),
    }
}

/// Reads a Chat Completions answer the way a client does.
fn said_by_chat(answer: &Value) -> Said {
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    let mut said = Said::default();
    let plain = ["reasoning_content", "reasoning"];
    for field in plain {
        if said.thinking.is_empty() {
            said.thinking
                .push_str(message[field].as_str().unwrap_or_default());
        }
    }
    said.text = text_of(&message["content"], &mut said.thinking);
    said.text
        .push_str(message["refusal"].as_str().unwrap_or_default());
    let mut calls: Vec<&Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let old = json!({ "id": "", "function": message["function_call"] });
    if message["function_call"].is_object() {
        calls.push(&old);
    }
    for call in calls {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        let arguments = function["arguments"]
            .as_str()
            .filter(|text| !text.is_empty());
        let arguments = serde_json::from_str(arguments.unwrap_or("{}")).unwrap_or_default();
        let id = call["id"].as_str().unwrap_or_default();
        said.calls.push((id.to_owned(), name.to_owned(), arguments));
    }
    said.stop = match choice["finish_reason"].as_str().unwrap_or("stop") {
        "length" => "length",
        "content_filter" => "refusal",
        "tool_calls" | "function_call" => "tool",
        _ if !said.calls.is_empty() => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::ChatCompletions, &answer["usage"]);
    said
}

/// Reads a Messages answer the way a client does.
fn said_by_messages(answer: &Value) -> Said {
    let mut said = Said::default();
    for block in answer["content"].as_array().into_iter().flatten() {
        match block["type"].as_str().unwrap() {
            "text" => said.text.push_str(block["text"].as_str().unwrap()),
            "thinking" => said.thinking.push_str(block["thinking"].as_str().unwrap()),
            "tool_use" => said.calls.push((
                block["id"].as_str().unwrap().to_owned(),
                block["name"].as_str().unwrap().to_owned(),
                block["input"].clone(),
            )),
            _ => {}
        }
    }
    said.stop = match answer["stop_reason"].as_str().unwrap_or("end_turn") {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "refusal",
        "tool_use" => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::Messages, &answer["usage"]);
    said
}

pub(crate) fn said(dialect: Dialect, answer: &Value) -> Said {
    match dialect {
        Dialect::ChatCompletions => said_by_chat(answer),
        Dialect::Messages => said_by_messages(answer),
        Dialect::Responses => said_by_responses(answer),
        Dialect::Converse => said_by_converse(answer),
        Dialect::GenerateContent => crate::generate_content::said(answer),
        Dialect::CohereChat => crate::cohere::said(answer),
    }
}

/// Puts a stream together the way a client does, into what the whole answer would be.
pub(crate) fn assembled(dialect: Dialect, events: &[Value]) -> Value {
    match dialect {
        Dialect::ChatCompletions => assembled_chat(events),
        Dialect::Messages => assembled_messages(events),
        Dialect::Responses => assembled_responses(events),
        Dialect::Converse => assembled_converse(events),
        Dialect::GenerateContent => crate::generate_content::assembled(events),
        Dialect::CohereChat => crate::cohere::assembled(events),
    }
}

pub(crate) fn push(target: &mut Value, text: &Value) {
    let Some(text) = text.as_str() else { return };
    let joined = target.as_str().unwrap_or_default().to_owned() + text;
    *target = joined.into();
}

fn assembled_chat(events: &[Value]) -> Value {
    let mut message = json!({ "content": "", "tool_calls": [] });
    let mut calls: Vec<(u64, Value)> = Vec::new();
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for event in events {
        if event["usage"].is_object() {
            usage = event["usage"].clone();
        }
        if event["x_groq"]["usage"].is_object() && usage.is_null() {
            usage = event["x_groq"]["usage"].clone();
        }
        let choice = &event["choices"][0];
        // Of several answers the first is kept.
        if choice["index"].as_u64().unwrap_or(0) != 0 {
            continue;
        }
        let delta = &choice["delta"];
        for field in ["content", "refusal", "reasoning_content", "reasoning"] {
            push(&mut message[field], &delta[field]);
        }
        let mut thinking = String::new();
        if delta["content"].is_array() {
            let text = text_of(&delta["content"], &mut thinking);
            push(&mut message["content"], &text.into());
            push(&mut message["reasoning"], &thinking.into());
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap_or(0);
            let known = calls
                .iter()
                .position(|(i, _)| *i == index)
                .unwrap_or_else(|| {
                    calls.push((index, json!({ "id": "", "function": { "arguments": "" } })));
                    calls.len() - 1
                });
            let target = &mut calls[known].1;
            if call["id"].as_str().is_some_and(|id| !id.is_empty()) {
                target["id"] = call["id"].clone();
            }
            if call["function"]["name"].is_string() {
                target["function"]["name"] = call["function"]["name"].clone();
            }
            push(
                &mut target["function"]["arguments"],
                &call["function"]["arguments"],
            );
        }
        if choice["finish_reason"].is_string() {
            stop = choice["finish_reason"].clone();
        }
    }
    message["tool_calls"] = calls.into_iter().map(|(_, call)| call).collect();
    json!({ "choices": [{ "message": message, "finish_reason": stop }], "usage": usage })
}

fn assembled_messages(events: &[Value]) -> Value {
    let mut blocks: Vec<(u64, Value)> = Vec::new();
    let mut usage = Map::new();
    let mut stop = Value::Null;
    for event in events {
        let counts = [&event["usage"], &event["message"]["usage"]];
        for counts in counts.into_iter().filter_map(Value::as_object) {
            usage.extend(counts.clone());
        }
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push((index, event["content_block"].clone())),
            "content_block_delta" => {
                let block = blocks.iter_mut().rev().find(|(i, _)| *i == index).unwrap();
                push(&mut block.1["text"], &event["delta"]["text"]);
                push(&mut block.1["thinking"], &event["delta"]["thinking"]);
                push(&mut block.1["json"], &event["delta"]["partial_json"]);
            }
            "message_delta" => stop = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    for (_, block) in &mut blocks {
        if let Some(json) = block["json"].as_str() {
            block["input"] = serde_json::from_str(json).unwrap_or_default();
        }
    }
    let content: Vec<Value> = blocks.into_iter().map(|(_, block)| block).collect();
    json!({ "content": content, "stop_reason": stop, "usage": usage })
}

/// Reads a Responses answer the way a client does.
fn said_by_responses(answer: &Value) -> Said {
    let mut said = Said::default();
    for item in answer["output"].as_array().into_iter().flatten() {
        let texts = |list: &Value, out: &mut String, seam: &str| {
            for (i, part) in list.as_array().into_iter().flatten().enumerate() {
                out.push_str(if i > 0 { seam } else { "" });
                out.push_str(part["text"].as_str().unwrap_or_default());
                out.push_str(part["refusal"].as_str().unwrap_or_default());
            }
        };
        match item["type"].as_str().unwrap() {
            "message" => texts(&item["content"], &mut said.text, ""),
            "reasoning" => {
                let mut thought = String::new();
                texts(&item["summary"], &mut thought, "\n\n");
                if thought.is_empty() {
                    texts(&item["content"], &mut thought, "\n\n");
                }
                said.thinking.push_str(&thought);
            }
            "function_call" => {
                let text = |key: &str| item[key].as_str().unwrap().to_owned();
                let arguments = serde_json::from_str(&text("arguments")).unwrap_or_default();
                said.calls.push((text("call_id"), text("name"), arguments));
            }
            _ => {}
        }
    }
    let reason = answer["incomplete_details"]["reason"].as_str();
    said.stop = match (answer["status"].as_str(), reason) {
        (Some("incomplete"), Some("content_filter")) => "refusal",
        (Some("incomplete"), _) => "length",
        (Some("completed"), _) if !said.calls.is_empty() => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::Responses, &answer["usage"]);
    said
}

fn assembled_responses(events: &[Value]) -> Value {
    let mut items: Vec<(u64, Value)> = Vec::new();
    let mut end = Value::Null;
    for event in events {
        let place = event["output_index"].as_u64().unwrap_or(0);
        let piece = &event["delta"];
        let kind = event["type"].as_str().unwrap();
        if kind == "response.output_item.added" {
            let mut item = event["item"].clone();
            item["content"] = json!([{ "text": "" }]);
            item["summary"] = json!([{ "text": "" }]);
            items.push((place, item));
        }
        let item = items.iter_mut().find(|(at, _)| *at == place);
        match (kind, item) {
            ("response.output_text.delta" | "response.refusal.delta", Some((_, item)))
            | ("response.reasoning_text.delta", Some((_, item))) => {
                push(&mut item["content"][0]["text"], piece);
            }
            ("response.reasoning_summary_text.delta", Some((_, item))) => {
                push(&mut item["summary"][0]["text"], piece);
            }
            ("response.reasoning_summary_part.added", Some((_, item)))
                if event["summary_index"] != 0 =>
            {
                push(&mut item["summary"][0]["text"], &json!("\n\n"));
            }
            ("response.function_call_arguments.delta", Some((_, item))) => {
                push(&mut item["arguments"], piece);
            }
            // LM Studio sends no deltas of arguments.
            ("response.output_item.done", Some((_, item))) if item["type"] == "function_call" => {
                item["arguments"] = event["item"]["arguments"].clone();
            }
            ("response.completed" | "response.incomplete", _) => end = event["response"].clone(),
            _ => {}
        }
    }
    end["output"] = items.into_iter().map(|(_, item)| item).collect();
    end
}

/// Reads a Converse answer the way a client does.
fn said_by_converse(answer: &Value) -> Said {
    let mut said = Said::default();
    let content = &answer["output"]["message"]["content"];
    for block in content.as_array().into_iter().flatten() {
        if let Some(text) = block["text"].as_str() {
            said.text.push_str(text);
        }
        let cited = &block["citationsContent"]["content"];
        for piece in cited.as_array().into_iter().flatten() {
            said.text.push_str(piece["text"].as_str().unwrap());
        }
        let thought = &block["reasoningContent"]["reasoningText"]["text"];
        said.thinking.push_str(thought.as_str().unwrap_or_default());
        let call = &block["toolUse"];
        if call.is_object() && call["type"] != "server_tool_use" {
            said.calls.push((
                call["toolUseId"].as_str().unwrap().to_owned(),
                call["name"].as_str().unwrap().to_owned(),
                call["input"].clone(),
            ));
        }
    }
    said.stop = match answer["stopReason"].as_str().unwrap_or("end_turn") {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "refusal",
        "tool_use" => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::Converse, &answer["usage"]);
    said
}

fn assembled_converse(events: &[Value]) -> Value {
    let mut blocks: Vec<(u64, Value)> = Vec::new();
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for event in events {
        let (name, event) = event.as_object().unwrap().iter().next().unwrap();
        let index = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match name.as_str() {
            "contentBlockStart" => blocks.push((index, event["start"].clone())),
            "contentBlockDelta" => {
                if !blocks.iter().any(|(i, _)| *i == index) {
                    blocks.push((index, json!({})));
                }
                let block = &mut blocks
                    .iter_mut()
                    .rev()
                    .find(|(i, _)| *i == index)
                    .unwrap()
                    .1;
                let delta = &event["delta"];
                if delta["text"].is_string() {
                    push(&mut block["text"], &delta["text"]);
                }
                let thought = &delta["reasoningContent"]["text"];
                if thought.is_string() {
                    let text = &mut block["reasoningContent"]["reasoningText"]["text"];
                    push(text, thought);
                }
                if delta["toolUse"].is_object() {
                    push(&mut block["json"], &delta["toolUse"]["input"]);
                }
            }
            "messageStop" => stop = event["stopReason"].clone(),
            "metadata" => usage = event["usage"].clone(),
            _ => {}
        }
    }
    for (_, block) in &mut blocks {
        if block["toolUse"].is_object() {
            let input = block["json"].as_str().filter(|text| !text.is_empty());
            block["toolUse"]["input"] =
                serde_json::from_str(input.unwrap_or("{}")).unwrap_or_default();
        }
    }
    let content: Vec<Value> = blocks.into_iter().map(|(_, block)| block).collect();
    json!({ "output": { "message": { "content": content } }, "stopReason": stop, "usage": usage })
}

/// Both sides without what only one can say.
pub(crate) fn comparable(mut said: Said, from: Dialect, to: Dialect) -> Said {
    for (id, _, arguments) in &mut said.calls {
        // Ids of calls before tools are made up, and Anthropic's letters are fewer.
        id.retain(|c| c.is_ascii_alphanumeric());
        if arguments.is_null() {
            *arguments = json!({});
        }
    }
    if to == Dialect::CohereChat && said.stop == "refusal" {
        said.stop = "end".into();
    }
    if said.usage.is_none() {
        said.usage = Some(Usage::default());
    }
    if let Some(usage) = &mut said.usage {
        if to == Dialect::CohereChat {
            // Its template is cached too and not among what counts.
            usage.cached_tokens = usage.cached_tokens.min(usage.input_tokens);
        }
        // Some servers count cached tokens beside the others instead of among them.
        let cached = usage.cached_tokens + usage.cache_written_tokens;
        usage.input_tokens = usage.input_tokens.max(cached);
        let audio = [
            &mut usage.audio_input_tokens,
            &mut usage.audio_output_tokens,
        ];
        if from == Dialect::Converse || to == Dialect::Converse {
            usage.reasoning_tokens = 0;
        }
        if from != to {
            audio.into_iter().for_each(|count| *count = 0);
            usage.cache_written_1h_tokens = 0;
            usage.pieces = Pieces::default();
        }
        if to == Dialect::CohereChat {
            usage.cache_written_tokens = 0;
        }
    }
    said
}
