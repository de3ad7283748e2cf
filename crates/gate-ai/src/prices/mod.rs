//! What models cost and how much they take: the product's catalogue, and prices of one's own.
//!
//! The catalogue (`data/prices.tsv`, written by `cargo xtask prices`) lies in the binary as packed
//! blocks of sorted text. A search unpacks one block, when configuration is compiled, and keeps
//! nothing, so that the catalogue costs no memory and nothing per request. All prices
//! are whole picodollars; no amount passes through floating point. How usage becomes money is in
//! [`rates`]; under which names a provider's models are listed, in `names.rs`.

mod names;
pub mod rates;

pub use gate_model::resources::ServiceTier;
pub(crate) use names::unix_of_date;
pub use rates::{Highest, PriceUnit, Prices, Rates};

use flate2::read::GzDecoder;
use names::candidates;
use std::io::Read;

/// The first key of each block, and its packed text; in the order of keys.
static CATALOGUE: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/prices.rs"));

/// What is known about a provider's model. Whatever is absent is unknown, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
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
    let block = block_of(key);
    for line in block.lines().filter(|line| key_of(line) == key) {
        // Behind the key comes what the model is for.
        let mut columns = line.split('\t').skip(2);
        let mut column = || columns.next().unwrap_or_default();
        let facts = facts.get_or_insert_default();
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

/// The block that holds all lines of a key, if any block does.
fn block_of(key: &str) -> String {
    let behind = CATALOGUE.partition_point(|(first, _)| *first <= key);
    let mut text = String::new();
    if let Some((_, packed)) = behind.checked_sub(1).map(|index| CATALOGUE[index]) {
        let read = GzDecoder::new(packed).read_to_string(&mut text);
        read.expect("build.rs packed it");
    }
    text
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
        let text = include_str!("../../data/prices.tsv");
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(lines.len() > 4000 && lines.is_sorted_by_key(|line| key_of(line)));
        let mut block = (0, String::new());
        for line in lines {
            let number = CATALOGUE.partition_point(|(first, _)| *first <= key_of(line));
            if number != block.0 {
                block = (number, block_of(key_of(line)));
            }
            assert!(block.1.lines().any(|found| found == line), "{line}");
            assert_eq!(line.split('\t').count(), 7, "{line}");
        }
        assert!(block.0 > 20, "it is cut into blocks");
        for absent in [
            "",
            "#",
            "# Source:",
            "a",
            "openai/gpt-4o ",
            "zzz/zzz",
            "openai/",
        ] {
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
        assert_eq!(facts.features.tools, Some(true));
    }
}
