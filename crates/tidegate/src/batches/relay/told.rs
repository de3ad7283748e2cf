//! What a provider answered to a request, as the batch's owner reads it: translated, where the provider
//! was asked in other words, as answers to single calls are.

use super::super::Batch;
use super::super::theirs::{Came, Head};
use super::Their;
use gate_ai::batch::result::{Ended, consumed, write};
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, anthropic_line, openai_line};
use gate_ai::operation::embeddings;
use gate_ai::{Operation, TranslateOptions, error_body, provider_error, translate_response};
use gate_kit::clock::Clock;

impl Batch<'_> {
    /// The line that its owner reads, of an answer and the request that it is of.
    pub(in super::super) fn told(
        &self,
        request: &[u8],
        came: &Came,
        call: &str,
        body: Vec<u8>,
        their: Option<&Their>,
    ) -> (Head, Vec<u8>) {
        let (custom_id, asked) = match self.api {
            Api::OpenAi => {
                let line = openai_line(request, &self.data.endpoint);
                line.map(|line| (line.custom_id, line.body))
            }
            Api::Anthropic => anthropic_line(request).map(|line| (line.custom_id, line.params)),
        }
        // The request was checked before.
        .unwrap_or_default();
        let (status, body) = self.retold(asked, came.status, body, their);
        let id = self.request_id(came.index);
        let ended = Ended::Answered {
            status,
            body: &body,
            request: if call.is_empty() { &id } else { call },
        };
        let well = ended.is_success();
        let consumed = match well {
            true => consumed(&self.data.endpoint, &body),
            false => Consumed::default(),
        };
        let mut line = Vec::new();
        write(self.api, &id, &custom_id, &ended, &mut line);
        line.pop();
        let head = Head {
            index: came.index,
            well,
            consumed,
        };
        (head, line)
    }

    /// An answer in the owner's words.
    fn retold(
        &self,
        asked: &str,
        status: u16,
        body: Vec<u8>,
        their: Option<&Their>,
    ) -> (u16, Vec<u8>) {
        let operation = self.operation();
        let (Some(from), Some(to)) = (their.map(|their| their.sent), operation) else {
            return (status, body);
        };
        if from == to {
            return (status, body);
        }
        let dialect = to.error_dialect();
        if !(200..300).contains(&status) {
            let error = provider_error(from.error_dialect(), &body);
            let code = error.code.or(error.kind);
            let code = code.as_deref().unwrap_or("invalid_request_error");
            let message = error.message;
            let message = message.as_deref().unwrap_or("The provider refused it.");
            return (status, error_body(dialect, status, code, message));
        }
        let model = self.model_in(asked);
        let made = match (from, to) {
            (Operation::Conversation(from), Operation::Conversation(to)) => {
                let with = TranslateOptions {
                    now_unix_s: Clock::System.unix().as_secs(),
                    ..TranslateOptions::default()
                };
                let made = translate_response(from, to, &body, &model, &with);
                made.ok().map(|made| made.body)
            }
            (Operation::Embeddings(from), Operation::Embeddings(to)) => {
                let base64 = embeddings::wants_base64(to, asked.as_bytes());
                let made = embeddings::answer(from, to, &body, &model, base64);
                made.ok().map(|made| made.body)
            }
            _ => None,
        };
        let unread = || {
            let message = "The provider's answer cannot be read.";
            (502, error_body(dialect, 502, "api_error", message))
        };
        made.map_or_else(unread, |made| (200, made))
    }

    /// The model as a request names it.
    fn model_in(&self, asked: &str) -> String {
        let read: Option<serde_json::Value> = serde_json::from_str(asked).ok();
        let model = read.as_ref().and_then(|read| read["model"].as_str());
        model
            .or(self.data.model.as_deref())
            .unwrap_or_default()
            .to_owned()
    }
}
