//! What a batch consumed, as far as the vendor's API shows it.
//!
//! OpenAI's batch names its usage once it is over
//! (<https://platform.openai.com/docs/api-reference/batch/object>). Results of all vendors are lines of
//! answers, each with its own: they are read as they pass, a line at a time.

use crate::batch::vendor::vendor;
use crate::json::scan::Scanner;
use crate::provider::BatchFormat;
use crate::usage::value_of_member;
use crate::{Dialect, Usage, response_facts};
use gate_model::units::Money;

/// Longest line of results that is read, in bytes.
const LINE_MAX: usize = 8 * 1024 * 1024;
/// Most models of one batch that are told apart.
const MODELS_MAX: usize = 32;

/// What one model consumed in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchShare {
    /// The model, as the provider names it; empty where it does not.
    pub model: String,
    /// Tokens of all its answers.
    pub usage: Usage,
    /// What is known of the single answers.
    pub answers: BatchAnswers,
}

/// What is known of the answers that a sum is of: a long request may have other prices than a short
/// one, so that a sum is not priced as one request would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchAnswers {
    /// Each was read; what they cost together, where they have a price.
    Read(Option<Money>),
    /// Only the sum was read; how many there are, where the vendor says so.
    Summed(Option<u64>),
}

/// Prices the answers of a batch.
pub trait BatchTariff {
    /// What an answer with these counts costs; `None` without a price.
    fn cost(&mut self, model: &str, usage: &Usage) -> Option<Money>;
}

/// Id and usage of a batch that is over and was billed for something, from OpenAI's batch object.
#[must_use]
pub fn finished(body: &[u8]) -> Option<(String, BatchShare)> {
    let over = ["completed", "expired", "cancelled", "failed"];
    let status = text(body, b"status")?;
    if text(body, b"object")? != "batch" || !over.contains(&&*status) {
        return None;
    }
    let mut usage = Usage::default();
    let at = value_of_member(body, b"usage")?;
    Dialect::Responses
        .codec()
        .read_usage(body, at, &mut usage)?;
    let model = text(body, b"model").unwrap_or_default();
    let share = BatchShare {
        model,
        usage,
        answers: BatchAnswers::Summed(completed(body)),
    };
    (usage.total_tokens() > 0).then_some(())?;
    Some((text(body, b"id")?, share))
}

/// Answers of the batch that count.
fn completed(body: &[u8]) -> Option<u64> {
    let counts = value_of_member(body, b"request_counts")?;
    let at = counts + value_of_member(body.get(counts..)?, b"completed")?;
    Scanner::at(body, at).unsigned().ok()?
}

fn text(document: &[u8], name: &[u8]) -> Option<String> {
    let at = value_of_member(document, name)?;
    let value = Scanner::at(document, at).string().ok()?;
    Some(value.value(document).ok()?.into_owned())
}

/// Reads results as they pass.
pub struct BatchResults {
    format: BatchFormat,
    /// The model of all of them, where it is known; otherwise each answer names its own.
    model: Option<String>,
    tariff: Box<dyn BatchTariff>,
    line: Vec<u8>,
    /// The line being read is too long to keep.
    skips: bool,
    shares: Vec<BatchShare>,
    unread: u64,
}

impl BatchResults {
    /// Results in this format, of this model where it is known, at these prices.
    #[must_use]
    pub const fn new(
        format: BatchFormat,
        model: Option<String>,
        tariff: Box<dyn BatchTariff>,
    ) -> Self {
        Self {
            format,
            model,
            tariff,
            line: Vec::new(),
            skips: false,
            shares: Vec::new(),
            unread: 0,
        }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.take(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.take(bytes);
    }

    /// What the models consumed, once there are no more bytes, and how many lines were too long to
    /// be read.
    #[must_use]
    pub fn finish(&mut self) -> (Vec<BatchShare>, u64) {
        self.end_line();
        (std::mem::take(&mut self.shares), self.unread)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.skips |= self.line.len() + bytes.len() > LINE_MAX;
        match self.skips {
            true => self.line = Vec::new(),
            false => self.line.extend_from_slice(bytes),
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.skips) {
            self.unread += 1;
        } else if let Some((named, usage)) = answer(self.format, &self.line) {
            let model = self.model.clone().unwrap_or(named);
            self.add(&model, &usage);
        }
        self.line.clear();
    }

    fn add(&mut self, model: &str, usage: &Usage) {
        let known = self.shares.iter().position(|share| share.model == model);
        let at = known.unwrap_or(self.shares.len()).min(MODELS_MAX);
        if at == self.shares.len() {
            let model = if at < MODELS_MAX { model } else { "" };
            self.shares.push(BatchShare {
                model: model.to_owned(),
                usage: Usage::default(),
                answers: BatchAnswers::Read(Some(Money::ZERO)),
            });
        }
        let share = &mut self.shares[at];
        share.usage.add(usage);
        if let BatchAnswers::Read(all) = &mut share.answers {
            let cost = self.tariff.cost(&share.model, usage);
            *all = all.zip(cost).map(|(sum, one)| sum + one);
        }
    }
}

/// Model and usage of the answer in a line of results, where it has one.
fn answer(format: BatchFormat, line: &[u8]) -> Option<(String, Usage)> {
    let answer = vendor(format).answer(line)?;
    let body = &*answer.body;
    let dialect = match format {
        BatchFormat::Anthropic => Dialect::Messages,
        BatchFormat::Gemini => Dialect::GenerateContent,
        _ if text(body, b"object").as_deref() == Some("response") => Dialect::Responses,
        _ => Dialect::ChatCompletions,
    };
    let facts = response_facts(dialect, body, "");
    let usage = facts.usage.or_else(|| embedded(body))?;
    let model = facts.model.map(std::borrow::Cow::into_owned);
    Some((model.unwrap_or_default(), usage))
}

/// What Gemini counts for an embedding in a batch, which is the text alone
/// (<https://ai.google.dev/api/batch-api>).
fn embedded(body: &[u8]) -> Option<Usage> {
    value_of_member(body, b"embedding")?;
    let at = value_of_member(body, b"tokenCount")?;
    let digits = body[at..].iter().skip_while(|byte| **byte == b'"');
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    let text: Vec<u8> = digits.copied().take(18).collect();
    let input_tokens = std::str::from_utf8(&text).ok()?.parse().ok()?;
    Some(Usage {
        input_tokens,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picodollar for a token of input, ten where there are more than five; `n` has no price.
    struct Prices;

    impl BatchTariff for Prices {
        fn cost(&mut self, model: &str, usage: &Usage) -> Option<Money> {
            let tokens = i64::try_from(usage.input_tokens).ok()?;
            let price = if tokens > 5 { 10 } else { 1 };
            (model != "n").then(|| Money::from_picodollars(tokens * price))
        }
    }

    fn line(model: &str, input: u64, output: u64) -> String {
        format!(
            r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{{"model":"{model}","content":[{{"type":"text","text":"\"usage\":{{}}"}}],"usage":{{"input_tokens":{input},"output_tokens":{output},"service_tier":"batch"}}}}}}}}"#
        )
    }

    #[test]
    fn results_are_summed_by_model_however_they_were_cut() {
        let error = r#"{"custom_id":"b","result":{"type":"errored","error":{"type":"error"}}}"#;
        let text = [
            line("m", 3, 2),
            error.into(),
            line("n", 1, 1),
            line("m", 10, 20),
        ]
        .join("\n");
        for piece in [1, 7, 64, text.len()] {
            let mut results = BatchResults::new(BatchFormat::Anthropic, None, Box::new(Prices));
            text.as_bytes()
                .chunks(piece)
                .for_each(|piece| results.push(piece));
            let (shares, unread) = results.finish();
            let seen: Vec<_> = shares
                .iter()
                .map(|share| {
                    let usage = &share.usage;
                    (&*share.model, usage.input_tokens, usage.output_tokens)
                })
                .collect();
            assert_eq!((seen, unread), (vec![("m", 13, 22), ("n", 1, 1)], 0));
            let cost = Some(Money::from_picodollars(3 + 100));
            assert_eq!(shares[0].answers, BatchAnswers::Read(cost));
            assert_eq!(shares[1].answers, BatchAnswers::Read(None));
        }
    }

    #[test]
    fn answers_of_every_format_are_counted() {
        let read = |format, model: Option<&str>, line: &str| {
            let mut results = BatchResults::new(format, model.map(str::to_owned), Box::new(Prices));
            results.push(line.as_bytes());
            let (shares, _) = results.finish();
            let one = |share: &BatchShare| {
                let usage = &share.usage;
                (share.model.clone(), usage.input_tokens, usage.output_tokens)
            };
            shares.iter().map(one).next()
        };
        let chat = r#"{"custom_id":"a","response":{"status_code":200,"body":{"model":"m","usage":{"prompt_tokens":4,"completion_tokens":2}}}}"#;
        let response = r#"{"custom_id":"a","response":{"status_code":200,"body":{"object":"response","model":"m","usage":{"input_tokens":4,"output_tokens":2}}}}"#;
        let found = Some(("m".to_owned(), 4, 2));
        for format in [
            BatchFormat::OpenAi,
            BatchFormat::Together,
            BatchFormat::Mistral,
        ] {
            assert_eq!(read(format, None, chat), found);
            assert_eq!(read(format, None, response), found);
        }
        let gemini = r#"{"key":"a","response":{"candidates":[],"modelVersion":"g","usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2}}}"#;
        assert_eq!(
            read(BatchFormat::Gemini, None, gemini),
            Some(("g".to_owned(), 4, 2))
        );
        let vector = r#"{"key":"a","response":{"embedding":{"values":[1]},"tokenCount":"7"}}"#;
        let found = Some(("known".to_owned(), 7, 0));
        assert_eq!(read(BatchFormat::Gemini, Some("known"), vector), found);
        let failed = r#"{"custom_id":"a","response":{"status_code":500,"body":{"usage":{"prompt_tokens":4}}}}"#;
        assert_eq!(read(BatchFormat::OpenAi, None, failed), None);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_models_are_bounded() {
        let mut results = BatchResults::new(BatchFormat::Anthropic, None, Box::new(Prices));
        results.push(&vec![b'x'; LINE_MAX + 1]);
        results.push(b"\nnonsense\n{}\n\n");
        for model in 0..100 {
            results.push(format!("{}\n", line(&model.to_string(), 1, 1)).as_bytes());
        }
        let (shares, unread) = results.finish();
        assert_eq!((shares.len(), unread), (MODELS_MAX + 1, 1));
        let all: u64 = shares.iter().map(|share| share.usage.input_tokens).sum();
        assert_eq!(all, 100);
        assert_eq!(shares[MODELS_MAX].model, "");
    }

    #[test]
    fn a_batch_has_usage_once_it_is_over() {
        let batch = |status: &str, tokens: u64| {
            format!(
                r#"{{"id":"batch_1","object":"batch","model":"gpt-5-nano-2025-08-07","status":"{status}","usage":{{"input_tokens":{tokens},"input_tokens_details":{{"cached_tokens":4}},"output_tokens":5,"output_tokens_details":{{"reasoning_tokens":3}},"total_tokens":14}},"request_counts":{{"total":4,"completed":3,"failed":1}}}}"#
            )
        };
        let (id, share) = finished(batch("completed", 9).as_bytes()).unwrap();
        assert_eq!((&*id, &*share.model), ("batch_1", "gpt-5-nano-2025-08-07"));
        assert_eq!(share.answers, BatchAnswers::Summed(Some(3)));
        let usage = share.usage;
        let counts = (usage.input_tokens, usage.cached_tokens, usage.output_tokens);
        assert_eq!(
            (counts, usage.reasoning_tokens),
            ((9, 4, 5), 3),
            "{usage:?}"
        );
        for running in ["validating", "in_progress", "cancelling"] {
            assert_eq!(finished(batch(running, 9).as_bytes()), None);
        }
        let list = format!(r#"{{"object":"list","data":[{}]}}"#, batch("completed", 9));
        assert_eq!(finished(list.as_bytes()), None);
        let silent = r#"{"id":"b","object":"batch","status":"completed"}"#;
        assert_eq!(finished(silent.as_bytes()), None);
    }
}
