//! The stand-in's Anthropic side: Messages.

use super::chat::{pieces, text};
use super::{Asked, BUSY, MODELS, PAUSE, Said, characters, id};
use crate::demo::server::{Paced, json};
use gate_kit::http::{HeaderId, Method, RequestHead, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Status, kind of error, message.
type Refusal = (u16, &'static str, String);

/// Answers a request.
pub(super) fn answer(credential: &str, head: &RequestHead, body: &[u8]) -> Response {
    let request_id = id("req_");
    let refuse = |(status, kind, message): Refusal| {
        let error = json!({ "type": kind, "message": message });
        let body = json!({ "type": "error", "error": error, "request_id": request_id });
        let mut response = json(status, &body);
        if status == 429 {
            let headers = &mut response.head.headers;
            headers.append_known(HeaderId::RetryAfter, b"1");
        }
        response
    };
    let mut response = respond(credential, head, body).unwrap_or_else(refuse);
    let headers = &mut response.head.headers;
    headers.append(b"request-id", request_id.as_bytes());
    response
}

fn respond(credential: &str, head: &RequestHead, body: &[u8]) -> Result<Response, Refusal> {
    let unauthorised = |message: &str| (401, "authentication_error", message.to_owned());
    let invalid = |message: String| (400, "invalid_request_error", message);
    if head.method != Method::Post {
        let message = "Method Not Allowed".to_owned();
        return Err((405, "invalid_request_error", message));
    }
    match head.headers.get_str(HeaderId::XApiKey) {
        None => return Err(unauthorised("x-api-key header is required")),
        Some(shown) if shown != credential => return Err(unauthorised("invalid x-api-key")),
        Some(_) => {}
    }
    if !head.headers.contains(HeaderId::AnthropicVersion) {
        return Err(invalid("anthropic-version: header is required".to_owned()));
    }
    let request: Value = serde_json::from_slice(body)
        .map_err(|_| invalid("The request body is not valid JSON".to_owned()))?;
    let asked = read(&request).map_err(invalid)?;
    let model = &*asked.model;
    if !MODELS.contains(&model) {
        return Err((404, "not_found_error", format!("model: {model}")));
    }
    if model == BUSY {
        let message = format!("{model} is always busy");
        return Err((429, "rate_limit_error", message));
    }
    let said = asked.say();
    Ok(match asked.stream {
        true => Paced::events(events(&asked, &said), PAUSE),
        false => json(200, &whole(&asked, &said)),
    })
}

fn read(request: &Value) -> Result<Asked, String> {
    let required = |name: &str| format!("{name}: Field required");
    let model = request["model"].as_str();
    let model = model.ok_or_else(|| required("model"))?;
    let tokens_max = request["max_tokens"].as_u64();
    let tokens_max = tokens_max.ok_or_else(|| required("max_tokens"))?;
    let messages = request["messages"].as_array();
    let messages = messages.ok_or_else(|| required("messages"))?;
    let last = messages.last();
    let last = last.ok_or("messages: at least one message is required")?;
    let blocks = messages
        .iter()
        .filter_map(|message| message["content"].as_array());
    let images = blocks.flatten().filter(|block| block["type"] == "image");
    let mut results = last["content"].as_array().into_iter().flatten();
    let result = results.find(|block| block["type"] == "tool_result");
    let everything = ["system", "messages", "tools"].map(|name| characters(&request[name]));
    Ok(Asked {
        model: model.to_owned(),
        last: text(result.map_or(&last["content"], |result| &result["content"])),
        is_tool_result: result.is_some(),
        images: images.count(),
        characters: everything.iter().sum(),
        tool: tool(request),
        tokens_max: Some(tokens_max as usize),
        stream: request["stream"] == true,
    })
}

fn tool(request: &Value) -> Option<(String, Value)> {
    if request["tool_choice"]["type"] == "none" {
        return None;
    }
    let wanted = request["tool_choice"]["name"].as_str();
    let mut tools = request["tools"].as_array()?.iter();
    let tool = tools.find(|tool| wanted.is_none_or(|name| tool["name"] == name))?;
    let name = tool["name"].as_str()?.to_owned();
    Some((name, tool["input_schema"].clone()))
}

fn stop_reason(said: &Said) -> &'static str {
    match said {
        Said::Text(_, true) => "max_tokens",
        Said::Text(_, false) => "end_turn",
        Said::Call(..) => "tool_use",
    }
}

fn usage(asked: &Asked, output: usize) -> Value {
    json!({
        "input_tokens": asked.input_tokens(), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0, "output_tokens": output, "service_tier": "standard",
    })
}

fn whole(asked: &Asked, said: &Said) -> Value {
    let block = match said {
        Said::Text(words, _) => json!({ "type": "text", "text": words.concat() }),
        Said::Call(name, input) => {
            json!({ "type": "tool_use", "id": id("toolu_"), "name": name, "input": input })
        }
    };
    json!({
        "id": id("msg_"), "type": "message", "role": "assistant", "model": asked.model,
        "content": [block], "stop_reason": stop_reason(said), "stop_sequence": null,
        "usage": usage(asked, said.tokens()),
    })
}

fn events(asked: &Asked, said: &Said) -> VecDeque<String> {
    let event = |data: Value| {
        let name = data["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {data}\n\n")
    };
    let message = json!({
        "id": id("msg_"), "type": "message", "role": "assistant", "model": asked.model,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(asked, 1),
    });
    let (block, deltas): (Value, Vec<Value>) = match said {
        Said::Text(words, _) => {
            let delta = |word| json!({ "type": "text_delta", "text": word });
            let block = json!({ "type": "text", "text": "" });
            (block, words.iter().map(delta).collect())
        }
        Said::Call(name, input) => {
            let delta = |piece| json!({ "type": "input_json_delta", "partial_json": piece });
            let block =
                json!({ "type": "tool_use", "id": id("toolu_"), "name": name, "input": {} });
            let pieces = pieces(&input.to_string()).into_iter();
            (block, pieces.map(delta).collect())
        }
    };
    let mut events = vec![
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "ping" }),
    ];
    let delta = |delta: Value| json!({ "type": "content_block_delta", "index": 0, "delta": delta });
    events.extend(deltas.into_iter().map(delta));
    let end = json!({ "stop_reason": stop_reason(said), "stop_sequence": null });
    let usage = json!({ "output_tokens": said.tokens() });
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": end, "usage": usage }),
        json!({ "type": "message_stop" }),
    ]);
    events.into_iter().map(event).collect()
}
