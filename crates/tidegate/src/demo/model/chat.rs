//! The stand-in's OpenAI side: Chat Completions and the list of models.

use super::{Asked, BUSY, MODELS, PAUSE, Said, characters, id, now};
use crate::demo::server::{Paced, json};
use gate_kit::http::{HeaderId, Method, RequestHead, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Answers a request.
pub(super) fn answer(credential: &str, head: &RequestHead, body: &[u8]) -> Response {
    let mut response = respond(credential, head, body).unwrap_or_else(|refusal| *refusal);
    let headers = &mut response.head.headers;
    headers.append(b"x-request-id", id("req_").as_bytes());
    headers.append(b"openai-version", b"2020-10-01");
    response
}

fn respond(credential: &str, head: &RequestHead, body: &[u8]) -> Result<Response, Box<Response>> {
    match head.headers.get_str(HeaderId::Authorization) {
        None => return Err(refuse(401, None, None, "You didn't provide an API key.")),
        Some(shown) if shown.strip_prefix("Bearer ") != Some(credential) => {
            let code = Some("invalid_api_key");
            return Err(refuse(401, None, code, "Incorrect API key provided."));
        }
        Some(_) => {}
    }
    match (&head.method, head.path()) {
        (Method::Post, "/v1/chat/completions") => complete(body),
        (Method::Get, "/v1/models") => {
            let entry = |name: &&str| {
                let created = 1_700_000_000;
                json!({ "id": name, "object": "model", "created": created, "owned_by": "sample" })
            };
            let models: Vec<_> = MODELS.iter().map(entry).collect();
            Ok(json(200, &json!({ "object": "list", "data": models })))
        }
        (method, path) => {
            let message = format!("Invalid URL ({} {path})", method.as_str());
            Err(refuse(404, None, None, &message))
        }
    }
}

fn complete(body: &[u8]) -> Result<Response, Box<Response>> {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        let message = "We could not parse the JSON body of your request.";
        return Err(refuse(400, None, None, message));
    };
    let asked =
        read(&request).map_err(|(param, message)| refuse(400, Some(param), None, message))?;
    let model = &*asked.model;
    if !MODELS.contains(&model) {
        let code = Some("model_not_found");
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        return Err(refuse(404, None, code, &message));
    }
    if model == BUSY {
        let code = Some("rate_limit_exceeded");
        let mut response = refuse(429, None, code, "Rate limit reached for sample-busy.");
        let headers = &mut response.head.headers;
        headers.append_known(HeaderId::RetryAfter, b"1");
        return Err(response);
    }
    let said = asked.say();
    let with_usage = request["stream_options"]["include_usage"] == true;
    Ok(match asked.stream {
        true => Paced::events(events(&asked, &said, with_usage), PAUSE),
        false => json(200, &whole(&asked, &said)),
    })
}

fn refuse(status: u16, param: Option<&str>, code: Option<&str>, message: &str) -> Box<Response> {
    let kind = match status {
        429 => "requests",
        _ => "invalid_request_error",
    };
    let error = json!({ "message": message, "type": kind, "param": param, "code": code });
    Box::new(json(status, &json!({ "error": error })))
}

/// What is asked for, or the parameter at fault and why.
fn read(request: &Value) -> Result<Asked, (&'static str, &'static str)> {
    let model = request["model"].as_str();
    let model = model.ok_or(("model", "you must provide a model parameter"))?;
    let messages = request["messages"].as_array();
    let messages = messages.ok_or(("messages", "Missing required parameter: 'messages'."))?;
    let last = messages.last();
    let last = last.ok_or(("messages", "Invalid 'messages': empty array."))?;
    let parts = messages
        .iter()
        .filter_map(|message| message["content"].as_array());
    let images = parts
        .flatten()
        .filter(|part| part["type"] == "image_url")
        .count();
    let limits = ["max_completion_tokens", "max_tokens"];
    let tokens_max = limits.iter().find_map(|name| request[*name].as_u64());
    Ok(Asked {
        model: model.to_owned(),
        last: text(&last["content"]),
        is_tool_result: last["role"] == "tool",
        images,
        characters: characters(&request["messages"]) + characters(&request["tools"]),
        tool: tool(request),
        tokens_max: tokens_max.map(|most| most as usize),
        stream: request["stream"] == true,
    })
}

/// A content's text, whether it is one or a list of parts with texts.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn tool(request: &Value) -> Option<(String, Value)> {
    if request["tool_choice"] == "none" {
        return None;
    }
    let wanted = request["tool_choice"]["function"]["name"].as_str();
    let functions = request["tools"].as_array()?.iter();
    let mut functions = functions.map(|tool| &tool["function"]);
    let function = functions.find(|function| wanted.is_none_or(|name| function["name"] == name))?;
    let name = function["name"].as_str()?.to_owned();
    Some((name, function["parameters"].clone()))
}

fn usage(asked: &Asked, said: &Said) -> Value {
    let (prompt, completion) = (asked.input_tokens(), said.tokens());
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn finish(said: &Said) -> &'static str {
    match said {
        Said::Text(_, true) => "length",
        Said::Text(_, false) => "stop",
        Said::Call(..) => "tool_calls",
    }
}

fn whole(asked: &Asked, said: &Said) -> Value {
    let mut message = json!({
        "role": "assistant", "content": null, "refusal": null, "annotations": [],
    });
    match said {
        Said::Text(words, _) => message["content"] = words.concat().into(),
        Said::Call(name, arguments) => {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            message["tool_calls"] =
                json!([{ "id": id("call_"), "type": "function", "function": function }]);
        }
    }
    let choice = json!({
        "index": 0, "message": message, "logprobs": null, "finish_reason": finish(said),
    });
    json!({
        "id": id("chatcmpl-"), "object": "chat.completion", "created": now(),
        "model": asked.model, "choices": [choice], "usage": usage(asked, said),
        "service_tier": "default", "system_fingerprint": "fp_sample",
    })
}

fn events(asked: &Asked, said: &Said, with_usage: bool) -> VecDeque<String> {
    let (id_, created) = (id("chatcmpl-"), now());
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id_, "object": "chat.completion.chunk", "created": created,
            "model": asked.model, "service_tier": "default", "system_fingerprint": "fp_sample",
            "choices": choices,
        });
        if with_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Option<&str>| {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        chunk(json!([choice]), Value::Null)
    };
    let mut events: VecDeque<_> = match said {
        Said::Text(words, _) => {
            let opening = json!({ "role": "assistant", "content": "", "refusal": null });
            let words = words.iter().map(|word| json!({ "content": word }));
            let deltas = std::iter::once(opening).chain(words);
            deltas.map(|each| delta(each, None)).collect()
        }
        Said::Call(name, arguments) => {
            let function = json!({ "name": name, "arguments": "" });
            let call =
                json!({ "index": 0, "id": id("call_"), "type": "function", "function": function });
            let opening = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
            let pieces = pieces(&arguments.to_string()).into_iter().map(|piece| {
                json!({ "tool_calls": [{ "index": 0, "function": { "arguments": piece } }] })
            });
            let deltas = std::iter::once(opening).chain(pieces);
            deltas.map(|each| delta(each, None)).collect()
        }
    };
    events.push_back(delta(json!({}), Some(finish(said))));
    if with_usage {
        events.push_back(chunk(json!([]), usage(asked, said)));
    }
    events.push_back("data: [DONE]\n\n".to_owned());
    events
}

/// Pieces of up to 12 characters, as arguments arrive.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = characters.chunks(12);
    pieces.map(|piece| piece.iter().collect()).collect()
}
