//! What a conversation asks of a model that not every model can do, read on demand.
//!
//! The request is read whole, into the neutral form, and only where a word in it says that there may
//! be something to find: most requests are searched once and read no further.

use crate::Dialect;
use crate::conversation::{Content, Format, Part, Reasoning, Request, Source};
use crate::losses::Losses;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// What a conversation asks for, as far as it can be read; nothing of one that cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// There is audio among the messages.
    pub audio: bool,
    /// There is a document (PDF) among them; plain text is none.
    pub documents: bool,
    /// The answer is to follow a JSON schema.
    pub json_schema: bool,
    /// The model is to think before it answers.
    pub reasoning: bool,
    /// The answer is to come with log probabilities.
    pub logprobs: bool,
}

/// Words without which none of it is asked for, in any dialect.
const WORDS: [&str; 7] = [
    "audio",
    "file",
    "document",
    "chema",
    "reasoning",
    "thinking",
    "ogprobs",
];
/// Others: Bedrock's and Gemini's types of media and levels of effort.
const MORE_WORDS: [&str; 3] = ["application/pdf", "effort", "output_format"];

impl Wants {
    /// Reads them from a request.
    #[must_use]
    pub fn of(dialect: Dialect, body: &[u8]) -> Self {
        static HINTS: LazyLock<Option<AhoCorasick>> =
            LazyLock::new(|| AhoCorasick::new(WORDS.iter().chain(&MORE_WORDS)).ok());
        let may_want = HINTS.as_ref().is_none_or(|hints| hints.is_match(body));
        if !may_want {
            return Self::default();
        }
        let mut losses = Losses::new(dialect, dialect);
        let request = dialect.codec().decode_request(body, &mut losses);
        request.map_or_else(|_| Self::default(), |request| Self::read(&request))
    }

    fn read(request: &Request<'_>) -> Self {
        let mut wants = Self {
            json_schema: matches!(request.format, Some(Format::JsonSchema { .. })),
            reasoning: request
                .reasoning
                .is_some_and(|how| !matches!(how, Reasoning::Off | Reasoning::Budget(0))),
            logprobs: request.logprobs.is_some(),
            ..Self::default()
        };
        for message in &request.messages {
            wants.read_parts(&message.parts);
        }
        wants
    }

    fn read_parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match &part.content {
                Content::Audio { .. } => self.audio = true,
                Content::Document { source, .. } => {
                    self.documents |= !matches!(source, Source::Text(_));
                }
                // Results hold no results, so that this ends one level deeper.
                Content::ToolResult { parts, .. } => self.read_parts(parts),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of what is asked for.
    fn wants(dialect: Dialect, body: &str) -> String {
        let wants = Wants::of(dialect, body.as_bytes());
        let names = [
            ("audio", wants.audio),
            ("documents", wants.documents),
            ("json_schema", wants.json_schema),
            ("reasoning", wants.reasoning),
            ("logprobs", wants.logprobs),
        ];
        let names = names.iter().filter(|(_, wanted)| *wanted);
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_dialect_says_what_it_wants() {
        let pdf = r#""data":"JVBERi0=""#;
        for (dialect, body, wanted) in [
            (Dialect::ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]}"#.to_owned(), "audio"),
            (Dialect::ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]}]}"#.into(), "documents"),
            (Dialect::ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"reasoning_effort":"low","logprobs":true}"#.into(), "json_schema reasoning logprobs"),
            (Dialect::ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":"a file with audio, a document, a schema and reasoning"}],"response_format":{"type":"json_object"},"reasoning_effort":"none","logprobs":false}"#.into(), ""),
            (Dialect::Responses, r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}],"reasoning":{"effort":"high"},"text":{"format":{"type":"json_schema","name":"n","schema":{}}}}"#.into(), "documents json_schema reasoning"),
            (Dialect::Messages, format!(r#"{{"model":"m","max_tokens":9,"thinking":{{"type":"enabled","budget_tokens":1024}},"messages":[{{"role":"user","content":[{{"type":"document","source":{{"type":"base64","media_type":"application/pdf",{pdf}}}}}]}}]}}"#), "documents reasoning"),
            (Dialect::Messages, r#"{"model":"m","max_tokens":9,"thinking":{"type":"disabled"},"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"type":"document"}}]}]}"#.into(), ""),
            (Dialect::Messages, format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":[{{"type":"document","source":{{"type":"base64","media_type":"application/pdf",{pdf}}}}}]}}]}}]}}"#), "documents"),
            (Dialect::GenerateContent, format!(r#"{{"contents":[{{"role":"user","parts":[{{"inlineData":{{"mimeType":"application/pdf",{pdf}}}}},{{"inlineData":{{"mimeType":"audio/wav","data":"AA=="}}}}]}}],"generationConfig":{{"responseMimeType":"application/json","responseSchema":{{"type":"OBJECT"}},"responseLogprobs":true,"thinkingConfig":{{"thinkingBudget":128}}}}}}"#), "audio documents json_schema reasoning logprobs"),
            (Dialect::GenerateContent, r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}"#.into(), ""),
            (Dialect::Converse, r#"{"messages":[{"role":"user","content":[{"document":{"format":"pdf","name":"a","source":{"bytes":"JVBERi0="}}}]}]}"#.into(), "documents"),
        ] {
            assert_eq!(wants(dialect, &body), wanted, "{dialect:?}: {body}");
        }
    }

    #[test]
    fn what_cannot_be_read_wants_nothing() {
        for body in ["", "audio", r#"{"file":"#, r#"{"messages":"reasoning"}"#] {
            assert_eq!(wants(Dialect::ChatCompletions, body), "");
        }
    }
}
