//! A batch of OpenAI's API at a provider that has Anthropic's, and the other way round: requests and
//! answers are translated, as those of single calls are.
//!
//! What would lose something on the way is not handed over but run here, where the model says what
//! becomes of losses.

use super::super::Batch;
use super::super::theirs::Head;
use gate_ai::batch::result::{Ended, consumed, write};
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, MESSAGES, anthropic_line, openai_line};
use gate_ai::{Dialect, TranslateOptions, error_body, translate_request, translate_response};
use gate_kit::clock::Clock;
use gate_proxy::batches::batch_provider;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Where requests go at a provider that has OpenAI's API.
const CHAT: &str = "/v1/chat/completions";

/// How a request ended there.
#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Failure<'a>>,
}

/// What stands around an error of Anthropic's.
#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: Reason<'a>,
}

#[derive(Deserialize)]
struct Reason<'a> {
    r#type: &'a str,
    message: String,
}

/// The status that an error of this kind has (<https://docs.claude.com/en/api/errors>).
fn status_of(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        _ => 500,
    }
}

/// A line of OpenAI's results.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    status_code: u16,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// An answer in another dialect, for an owner who knows the model as `model`; none where it cannot be
/// read.
fn told(from: Dialect, to: Dialect, answer: &RawValue, model: &str) -> Option<Vec<u8>> {
    let with = TranslateOptions {
        now_unix_s: Clock::System.unix().as_secs(),
        ..TranslateOptions::default()
    };
    let made = translate_response(from, to, answer.get().as_bytes(), model, &with);
    made.ok().map(|made| made.body)
}

impl Batch<'_> {
    /// The dialect that its requests are in, where they can be translated.
    pub(super) fn told_in(&self) -> Option<Dialect> {
        match (self.api, &*self.data.endpoint) {
            (Api::OpenAi, "/v1/chat/completions") => Some(Dialect::ChatCompletions),
            (Api::OpenAi, "/v1/responses") => Some(Dialect::Responses),
            (Api::Anthropic, _) => Some(Dialect::Messages),
            _ => None,
        }
    }

    /// Where its requests go at the provider.
    pub(super) fn their_endpoint(&self) -> &str {
        match self.relayed().translated {
            true => CHAT,
            false => &self.data.endpoint,
        }
    }

    /// How its provider is translated for; none where another one is behind the model by now.
    pub(super) fn options(&self) -> Option<TranslateOptions> {
        let model = self.data.model.as_deref()?;
        let found = batch_provider(&self.runner.process, self.their_api(), model)?;
        (found.provider == self.relayed().provider).then_some(found.options)
    }

    /// What a line asks of the provider's model; none where it would lose something.
    pub(super) fn params(
        &self,
        line: &[u8],
        model: &str,
        with: &TranslateOptions,
    ) -> Option<String> {
        let (body, to) = match self.api {
            Api::OpenAi => (
                openai_line(line, &self.data.endpoint).ok()?.body,
                Dialect::Messages,
            ),
            Api::Anthropic => (anthropic_line(line).ok()?.params, Dialect::ChatCompletions),
        };
        let made = translate_request(self.told_in()?, to, body.as_bytes(), model, with).ok()?;
        match made.stream || !made.losses.is_empty() {
            true => None,
            false => String::from_utf8(made.body).ok(),
        }
    }

    /// What the provider answered, as its owner's API has it: the status, a blank and the body.
    pub(super) fn retold(&self, (head, result): (Head, Vec<u8>)) -> Option<(Head, Vec<u8>)> {
        let read: Outcome<'_> = serde_json::from_slice(&result).ok()?;
        let (dialect, model) = (self.told_in()?, self.data.model.as_deref()?);
        let message = read.message.filter(|_| head.well);
        let message = message.and_then(|message| told(Dialect::Messages, dialect, message, model));
        let (status, used, body) = match (message, read.error) {
            (Some(made), _) => (200, consumed(&self.data.endpoint, &made), made),
            (None, Some(Failure { error })) => {
                let status = status_of(error.r#type);
                let body = error_body(dialect, status, error.r#type, &error.message);
                (status, Consumed::default(), body)
            }
            (None, None) => {
                let message = "The provider's answer cannot be read.";
                let body = error_body(dialect, 502, "api_error", message);
                (502, Consumed::default(), body)
            }
        };
        let head = Head {
            well: status == 200,
            consumed: used,
            ..head
        };
        Some((head, [format!("{status} ").as_bytes(), &body].concat()))
    }

    /// A line of OpenAI's, as the result that the owner of a message batch has.
    pub(super) fn retold_message(&self, (head, line): (Head, Vec<u8>)) -> Option<(Head, Vec<u8>)> {
        let read: Line<'_> = serde_json::from_slice(&line).ok()?;
        let (body, status) = (read.response.body, read.response.status_code);
        let model = self.data.model.as_deref()?;
        let message = match head.well {
            true => told(Dialect::ChatCompletions, Dialect::Messages, body, model),
            false => None,
        };
        if let Some(message) = message {
            let head = Head {
                consumed: consumed(MESSAGES, &message),
                ..head
            };
            let parts: [&[u8]; 3] = [b"{\"type\":\"succeeded\",\"message\":", &message, b"}"];
            return Some((head, parts.concat()));
        }
        let (status, text) = match head.well {
            true => (502, "The provider's answer cannot be read.".to_owned()),
            false => {
                let error: Value = serde_json::from_str(body.get()).unwrap_or_default();
                let text = error["error"]["message"].as_str();
                (
                    status,
                    text.unwrap_or("The provider refused it.").to_owned(),
                )
            }
        };
        let error = error_body(Dialect::Messages, status, "invalid_request_error", &text);
        let head = Head {
            well: false,
            consumed: Consumed::default(),
            ..head
        };
        let parts: [&[u8]; 3] = [b"{\"type\":\"errored\",\"error\":", &error, b"}"];
        Some((head, parts.concat()))
    }

    /// The line that its owner reads, of such an answer and the request that it is of.
    pub(in super::super) fn line_of(&self, index: u32, request: &[u8], answer: &[u8]) -> Vec<u8> {
        let mut parts = answer.splitn(2, |byte| *byte == b' ');
        let mut next = || parts.next().unwrap_or_default();
        let (status, body) = (String::from_utf8_lossy(next()).into_owned(), next());
        let custom_id = openai_line(request, &self.data.endpoint);
        // The request was checked before.
        let custom_id = custom_id
            .map(|one| one.custom_id.into_owned())
            .unwrap_or_default();
        let id = self.request_id(index);
        let ended = Ended::Answered {
            status: status.parse().unwrap_or(502),
            body,
            request: &id,
        };
        let mut line = Vec::new();
        write(Api::OpenAi, &id, &custom_id, &ended, &mut line);
        line.pop();
        line
    }
}
