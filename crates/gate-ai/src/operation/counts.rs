//! Token counts under the names that vendors have for them in operations other than conversations.

use crate::Usage;
use crate::usage::{read_counts, value_of_member};
use gate_model::units::Pieces;

/// Counts as they were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    usage: Usage,
    /// What is counted besides.
    pieces: Pieces,
    total: u64,
    any: bool,
}

impl Counts {
    /// Reads the object that `document` begins with: `usage`, Cohere's `meta` or Gemini's
    /// `usageMetadata`.
    pub(super) fn read(document: &[u8]) -> Option<Usage> {
        let mut counts = Self::default();
        read_counts(document, 0, Some, |outer, name, value| {
            counts.count(outer, name, value);
        })?;
        counts.read_cached(document);
        counts.finish()
    }

    /// What such an object counts besides tokens.
    pub(super) fn pieces(document: &[u8]) -> Pieces {
        let mut counts = Self::default();
        let count = |outer: &[u8], name: &[u8], value: u64| counts.count(outer, name, value);
        let _ = read_counts(document, 0, Some, count);
        counts.read_cached(document);
        counts.pieces
    }

    /// What Realtime says of the kinds of cached tokens, which stands a level deeper
    /// (<https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>).
    fn read_cached(&mut self, document: &[u8]) {
        let (usage, pieces) = (&self.usage, &mut self.pieces);
        let mixed = usage.audio_input_tokens > 0 || pieces.image_input_tokens > 0;
        if usage.cached_tokens == 0 || !mixed {
            return;
        }
        let inside = |name: &[u8]| value_of_member(document, name);
        let details = inside(b"input_token_details").or_else(|| inside(b"input_tokens_details"));
        let details = details
            .and_then(|at| document.get(at..))
            .unwrap_or_default();
        let Some(at) = value_of_member(details, b"cached_tokens_details") else {
            return;
        };
        read_counts(
            details,
            at,
            |_| None::<()>,
            |(), name, count| match name {
                b"audio_tokens" => pieces.audio_cached_tokens = count,
                b"image_tokens" => {
                    pieces.image_input_tokens = pieces.image_input_tokens.saturating_sub(count);
                }
                _ => {}
            },
        );
    }

    fn count(&mut self, outer: &[u8], name: &[u8], value: u64) {
        let (usage, pieces) = (&mut self.usage, &mut self.pieces);
        match (outer, name) {
            (b"", b"seconds") => pieces.audio_ms = value.saturating_mul(1_000),
            (b"billed_units", b"search_units") => pieces.queries = value,
            (b"input_tokens_details" | b"input_token_details", b"image_tokens") => {
                pieces.image_input_tokens = value;
            }
            (b"output_tokens_details", b"image_tokens") => pieces.image_output_tokens = value,
            _ => {}
        }
        let place = match (outer, name) {
            (b"", b"prompt_tokens" | b"input_tokens" | b"promptTokenCount")
            | (b"billed_units", b"input_tokens") => &mut usage.input_tokens,
            (b"", b"completion_tokens" | b"output_tokens")
            | (b"billed_units", b"output_tokens") => &mut usage.output_tokens,
            (b"", b"total_tokens" | b"totalTokenCount") => &mut self.total,
            (b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details", name) => {
                match name {
                    b"cached_tokens" => &mut usage.cached_tokens,
                    b"audio_tokens" => &mut usage.audio_input_tokens,
                    _ => return,
                }
            }
            (
                b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details",
                name,
            ) => match name {
                b"reasoning_tokens" => &mut usage.reasoning_tokens,
                b"audio_tokens" => &mut usage.audio_output_tokens,
                _ => return,
            },
            _ => return,
        };
        *place = value;
        self.any = true;
    }

    /// What the total has beyond input and output is input: some vendors give a total alone, some
    /// leave audio out of the input.
    fn finish(mut self) -> Option<Usage> {
        let rest = self.total.saturating_sub(self.usage.output_tokens);
        self.usage.input_tokens = self.usage.input_tokens.max(rest);
        self.usage.pieces = self.pieces;
        self.any.then_some(self.usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_names_are_known() {
        for (text, input, output) in [
            (r#"{"prompt_tokens":7,"total_tokens":7}"#, 7, 0),
            (r#"{"total_tokens":12}"#, 12, 0),
            (
                r#"{"type":"tokens","input_tokens":37,"output_tokens":12,"total_tokens":49}"#,
                37,
                12,
            ),
            (
                r#"{"prompt_tokens":5,"completion_tokens":11,"total_tokens":391}"#,
                380,
                11,
            ),
            (
                r#"{"api_version":{"version":"2"},"billed_units":{"input_tokens":3}}"#,
                3,
                0,
            ),
            (
                r#"{"promptTokenCount":9,"promptTokenDetails":[{"tokenCount":9}]}"#,
                9,
                0,
            ),
        ] {
            let usage = Counts::read(text.as_bytes()).unwrap();
            assert_eq!(
                (usage.input_tokens, usage.output_tokens),
                (input, output),
                "{text}"
            );
        }
        let rerank = br#"{"billed_units":{"search_units":1}}"#;
        assert_eq!(Counts::read(rerank), None);
        assert_eq!(Counts::pieces(rerank).queries, 1);
        let heard = br#"{"type":"duration","seconds":9}"#;
        assert_eq!(Counts::read(heard), None);
        assert_eq!(Counts::pieces(heard).audio_ms, 9_000);
        let drawn = br#"{"input_tokens":5,"output_tokens":7,"input_tokens_details":{"image_tokens":4,"text_tokens":1},"output_tokens_details":{"image_tokens":7}}"#;
        let pieces = Counts::pieces(drawn);
        assert_eq!(
            (pieces.image_input_tokens, pieces.image_output_tokens),
            (4, 7)
        );
        let details =
            br#"{"input_token_details":{"audio_tokens":2,"cached_tokens":1},"input_tokens":4}"#;
        let usage = Counts::read(details).unwrap();
        assert_eq!((usage.audio_input_tokens, usage.cached_tokens), (2, 1));
        let cached = br#"{"input_tokens":90,"input_token_details":{"cached_tokens":60,"audio_tokens":30,"image_tokens":20,"cached_tokens_details":{"audio_tokens":25,"image_tokens":15,"text_tokens":20}}}"#;
        let pieces = Counts::read(cached).unwrap().pieces;
        assert_eq!(
            (pieces.audio_cached_tokens, pieces.image_input_tokens),
            (25, 5)
        );
    }
}
