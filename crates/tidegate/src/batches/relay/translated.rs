//! A batch of OpenAI's API at a provider that has Anthropic's: requests and answers are translated, as
//! those of single calls are.
//!
//! What would lose something on the way is not handed over but run here, where the model says what
//! becomes of losses.

use super::super::Batch;
use super::super::theirs::Head;
use gate_ai::batch::result::{Ended, consumed, write};
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, openai_line};
use gate_ai::{Dialect, TranslateOptions, error_body, translate_request, translate_response};
use gate_kit::clock::Clock;
use gate_proxy::batches::batch_provider;
use serde::Deserialize;
use serde_json::value::RawValue;

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

impl Batch<'_> {
    /// The dialect that its requests are in, where they can be translated.
    pub(super) fn told_in(&self) -> Option<Dialect> {
        match (self.api, &*self.data.endpoint) {
            (Api::OpenAi, "/v1/chat/completions") => Some(Dialect::ChatCompletions),
            (Api::OpenAi, "/v1/responses") => Some(Dialect::Responses),
            _ => None,
        }
    }

    /// How its provider is translated for; none where another one is behind the model by now.
    pub(super) fn options(&self) -> Option<TranslateOptions> {
        let model = self.data.model.as_deref()?;
        let found = batch_provider(&self.runner.process, Api::Anthropic, model)?;
        (found.provider == self.relayed().provider).then_some(found.options)
    }

    /// What a line asks of the provider's model; none where it would lose something.
    pub(super) fn params(
        &self,
        line: &[u8],
        model: &str,
        with: &TranslateOptions,
    ) -> Option<String> {
        let one = openai_line(line, &self.data.endpoint).ok()?;
        let body = one.body.as_bytes();
        let made = translate_request(self.told_in()?, Dialect::Messages, body, model, with).ok()?;
        match made.stream || !made.losses.is_empty() {
            true => None,
            false => String::from_utf8(made.body).ok(),
        }
    }

    /// What the provider answered, as its owner's API has it: the status, a blank and the body.
    pub(super) fn retold(&self, (head, result): (Head, Vec<u8>)) -> Option<(Head, Vec<u8>)> {
        let read: Outcome<'_> = serde_json::from_slice(&result).ok()?;
        let (dialect, model) = (self.told_in()?, self.data.model.as_deref()?);
        let message = read.message.filter(|_| head.well).and_then(|message| {
            let with = TranslateOptions {
                now_unix_s: Clock::System.unix().as_secs(),
                ..TranslateOptions::default()
            };
            let message = message.get().as_bytes();
            translate_response(Dialect::Messages, dialect, message, model, &with).ok()
        });
        let (status, used, body) = match (message, read.error) {
            (Some(made), _) => (200, consumed(&self.data.endpoint, &made.body), made.body),
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
