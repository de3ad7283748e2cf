//! What Bedrock itself counts of a call by InvokeModel, whatever the model's vendor says in the body:
//! header fields of a whole answer, and a member of a stream's last event
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/inference-invoke.html>).

use crate::Usage;
use crate::json::scan::Scanner;
use crate::usage::value_of_member;

/// The member of a stream's last event.
const METRICS: &[u8] = b"amazon-bedrock-invocationMetrics";

/// Usage by the header fields of a whole answer; `field` finds one.
#[must_use]
pub fn usage_of_fields<'f>(field: impl Fn(&str) -> Option<&'f [u8]>) -> Option<Usage> {
    let count = |name: &str| {
        let value = field(&format!("x-amzn-bedrock-{name}-token-count"))?;
        std::str::from_utf8(value).ok()?.trim().parse::<u64>().ok()
    };
    let (input, output) = (count("input"), count("output"));
    input.or(output)?;
    let cached = count("cache-read-input").unwrap_or(0);
    let written = count("cache-write-input").unwrap_or(0);
    Some(usage([
        input.unwrap_or(0),
        output.unwrap_or(0),
        cached,
        written,
    ]))
}

/// Usage by the last event of a stream; `None` of any other event.
pub(crate) fn usage_of_event(data: &[u8]) -> Option<Usage> {
    let metrics = data.get(value_of_member(data, METRICS)?..)?;
    let count = |name: &[u8]| {
        let at = value_of_member(metrics, name)?;
        Scanner::at(metrics, at).unsigned().ok()?
    };
    let names: [&[u8]; 4] = [
        b"inputTokenCount",
        b"outputTokenCount",
        b"cacheReadInputTokenCount",
        b"cacheWriteInputTokenCount",
    ];
    Some(usage(names.map(|name| count(name).unwrap_or(0))))
}

/// Bedrock leaves what concerns the cache out of the input.
fn usage([input, output, cached, written]: [u64; 4]) -> Usage {
    Usage {
        input_tokens: input.saturating_add(cached).saturating_add(written),
        output_tokens: output,
        cached_tokens: cached,
        cache_written_tokens: written,
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_part_of_the_input() {
        let fields = [
            ("x-amzn-bedrock-input-token-count", "4"),
            ("x-amzn-bedrock-output-token-count", "50"),
            ("x-amzn-bedrock-cache-write-input-token-count", "18131"),
        ];
        let find = |name: &str| {
            let found = fields.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let usage = usage_of_fields(find).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (18_135, 50));
        assert_eq!(usage.cache_written_tokens, 18_131);
        assert_eq!(usage_of_fields(|_| None), None);
        let last = br#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":2,"cacheReadInputTokenCount":5}}"#;
        let usage = usage_of_event(last).unwrap();
        let counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens);
        assert_eq!(counts, (8, 2, 5));
        assert_eq!(usage_of_event(br#"{"inputTokenCount":3}"#), None);
    }
}
