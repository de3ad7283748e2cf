//! What models cost and how much they take: the product's catalogue, and prices of one's own.
//!
//! The catalogue (`data/prices.tsv`, written by `cargo xtask prices`) lies in the binary as sorted
//! text. It is searched by halves and only the lines found are read, when configuration is
//! compiled, so that it costs no memory that is not looked at and nothing per request. All prices
//! are whole picodollars; no amount passes through floating point. How usage becomes money is in
//! [`rates`]; under which names a provider's models are listed, in `names.rs`.

mod names;
pub mod rates;

pub use gate_model::resources::ServiceTier;
pub use rates::{Highest, PriceUnit, Prices, Rates};

use memchr::{memchr, memrchr};
use names::candidates;

static CATALOGUE: &str = include_str!("../../data/prices.tsv");

/// What is known about a provider's model. Whatever is absent is unknown, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// What it is for: `chat`, `embedding`, `rerank`, `audio_transcription`, ...
    pub mode: &'static str,
    /// Most tokens of input.
    pub input_tokens_max: Option<u64>,
    /// Most tokens of output.
    pub output_tokens_max: Option<u64>,
    /// What it can do.
    pub features: Features,
    /// Its prices, where the catalogue has any.
    pub prices: Option<Prices>,
}

/// What a model can do: `Some(false)` where the source says no, `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Calls tools.
    pub tools: Option<bool>,
    /// Reads images.
    pub images: Option<bool>,
    /// Thinks before it answers.
    pub reasoning: Option<bool>,
    /// Keeps prompts in a cache.
    pub prompt_cache: Option<bool>,
    /// Answers by a JSON schema.
    pub json_schema: Option<bool>,
    /// Reads documents (PDF).
    pub documents: Option<bool>,
    /// Hears audio.
    pub audio_input: Option<bool>,
}

/// What the catalogue knows about a model of a kind of provider (`openai`, `bedrock`, ...), by the
/// provider's own name for it. Dated names fall back to the name without the date.
#[must_use]
pub fn model_facts(kind: &str, model: &str) -> Option<ModelFacts> {
    candidates(kind, model).iter().find_map(|key| find(key))
}

/// The entry of exactly this key, `provider/model` as the catalogue spells it.
#[must_use]
pub fn find(key: &str) -> Option<ModelFacts> {
    let mut facts: Option<ModelFacts> = None;
    for line in lines_of(key) {
        let mut columns = line.split('\t').skip(1);
        let mut column = || columns.next().unwrap_or_default();
        let facts = facts.get_or_insert_default();
        facts.mode = column();
        facts.input_tokens_max = column().parse().ok();
        facts.output_tokens_max = column().parse().ok();
        facts.features = features(column());
        let from_unix_s = names::unix_of_date(column()).unwrap_or(0);
        if let Some(rates) = Rates::parse(column()) {
            facts
                .prices
                .get_or_insert_default()
                .insert(from_unix_s, rates);
        }
    }
    facts
}

/// The lines of a key: one, or one for each date that its prices changed on.
fn lines_of(key: &str) -> impl Iterator<Item = &'static str> {
    let bytes = CATALOGUE.as_bytes();
    // What lies before `low` sorts before `key`, what lies behind `high` does not; both are starts
    // of lines.
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = memrchr(b'\n', &bytes[..middle]).map_or(0, |at| at + 1);
        let end = memchr(b'\n', &bytes[middle..]).map_or(bytes.len(), |at| middle + at + 1);
        let line = &CATALOGUE[start..end];
        if line.starts_with('#') || key_of(line) < key {
            low = end;
        } else {
            high = start;
        }
    }
    let key = key.to_owned();
    CATALOGUE[low..]
        .lines()
        .take_while(move |line| key_of(line) == key)
}

fn key_of(line: &str) -> &str {
    line.split('\t').next().unwrap_or_default()
}

fn features(letters: &str) -> Features {
    let stated = |letter: char| {
        letters.contains(letter).then_some(true).or_else(|| {
            letters
                .contains(letter.to_ascii_uppercase())
                .then_some(false)
        })
    };
    Features {
        tools: stated('t'),
        images: stated('v'),
        reasoning: stated('r'),
        prompt_cache: stated('c'),
        json_schema: stated('s'),
        documents: stated('d'),
        audio_input: stated('a'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_by_its_key() {
        let lines: Vec<&str> = CATALOGUE.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(lines.len() > 4000 && lines.is_sorted_by_key(|line| key_of(line)));
        for line in lines {
            let found: Vec<&str> = lines_of(key_of(line)).collect();
            assert!(found.contains(&line), "{line}");
            assert_eq!(line.split('\t').count(), 7, "{line}");
        }
        for absent in ["", "#", "a", "openai/gpt-4o ", "zzz/zzz", "openai/"] {
            assert_eq!(find(absent), None, "{absent}");
        }
    }

    #[test]
    fn models_are_found_under_a_providers_names() {
        let found =
            |kind, model| model_facts(kind, model).and_then(|facts| facts.output_tokens_max);
        assert_eq!(found("openai", "gpt-4o"), Some(16384));
        assert_eq!(
            found("anthropic", "claude-sonnet-4-5-20250929"),
            Some(64000)
        );
        assert_eq!(
            found("anthropic", "claude-sonnet-4-5-20991231"),
            Some(64000)
        );
        assert_eq!(
            found("openrouter", "anthropic/claude-sonnet-4.5"),
            Some(64000)
        );
        assert_eq!(found("vertex", "gemini-2.5-pro"), Some(65535));
        assert_eq!(found("openai", "no-such-model"), None);
        let facts = model_facts("openai", "gpt-5").unwrap();
        assert_eq!((facts.mode, facts.features.tools), ("chat", Some(true)));
    }
}
