//! `cargo xtask prices`: the product's price catalogue from a list of model prices.
//!
//! The list is JSON with one entry per `provider/model` and prices in dollars per unit, as
//! litellm's `model_prices_and_context_window` has them. The catalogue
//! (`crates/gate-ai/data/prices.tsv`) has one sorted line per model, so that it is searched without
//! being parsed, and whole picodollars, read from the list's own digits. What a line means is
//! written at the top of the catalogue and read by `gate-ai/src/prices`.

use crate::repository;
use gate_model::units::Money;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write;

const SOURCE: &str = "../shared/prices/model-prices.json";
const CATALOGUE: &str = "crates/gate-ai/data/prices.tsv";

const HEADER: &str = "\
# Prices and limits of models. Written by `cargo xtask prices`; do not edit: configuration overrides it.
# Columns: provider/model, mode, most input tokens, most output tokens, features, valid from, prices.
# Features: t tools, v images, r reasoning, c prompt cache, s JSON schema, d documents, a audio in;
# a capital letter where the source says no. Prices are picodollars (1e-12 US dollars) per token:
# i input, o output, c cached, w written (5 min), h written (1 h), r reasoning, ai ao ac audio in,
# out, cached, ii io image in, out; per unit: img image, sec second, chr character, qry query,
# req request, s0 s1 s2 web search of small, medium, large context. `:b` batch, `:f` flex,
# `:p` priority. `>N` for the whole request once its input passes N tokens.
";

/// Our code of a field that is a price.
const PRICES: &[(&str, &str)] = &[
    ("input_cost_per_token", "i"),
    ("output_cost_per_token", "o"),
    ("cache_read_input_token_cost", "c"),
    ("cache_creation_input_token_cost", "w"),
    ("cache_creation_input_token_cost_above_1hr", "h"),
    ("output_cost_per_reasoning_token", "r"),
    ("input_cost_per_audio_token", "ai"),
    ("output_cost_per_audio_token", "ao"),
    ("cache_read_input_audio_token_cost", "ac"),
    ("input_cost_per_image_token", "ii"),
    ("output_cost_per_image_token", "io"),
    ("output_cost_per_image", "img"),
    ("input_cost_per_second", "sec"),
    ("input_cost_per_character", "chr"),
    ("input_cost_per_query", "qry"),
    ("input_cost_per_request", "req"),
];

const FEATURES: &[(&str, char)] = &[
    ("function_calling", 't'),
    ("vision", 'v'),
    ("reasoning", 'r'),
    ("prompt_caching", 'c'),
    ("response_schema", 's'),
    ("pdf_input", 'd'),
    ("audio_input", 'a'),
];

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = repository::root();
    let source = match arguments {
        [] => root.join(SOURCE),
        [path] => path.into(),
        _ => return Err("usage: cargo xtask prices [LIST.json]".into()),
    };
    let list = std::fs::read_to_string(&source)
        .map_err(|error| format!("{}: {error}", source.display()))?;
    let (catalogue, count) = catalogue(&list)?;
    let to = root.join(CATALOGUE);
    std::fs::create_dir_all(to.parent().expect("the catalogue has a folder"))
        .and_then(|()| std::fs::write(&to, &catalogue))
        .map_err(|error| format!("{CATALOGUE}: {error}"))?;
    println!("prices: wrote {count} models, {} bytes", catalogue.len());
    Ok(())
}

/// The catalogue of a list, and how many models it has.
fn catalogue(list: &str) -> Result<(String, usize), String> {
    let wrong = |error: serde_json::Error| format!("the list cannot be read: {error}");
    let parts: Fields<'_> = serde_json::from_str(list).map_err(wrong)?;
    let part = |name: &str| parts.get(name).ok_or(format!("the list has no `{name}`"));
    let models: BTreeMap<String, &RawValue> =
        serde_json::from_str(part("models")?.get()).map_err(wrong)?;
    let mut out = String::from(HEADER);
    let _ = writeln!(out, "# Source: {}", part("source")?.get());
    for (key, fields) in &models {
        let fields: Fields<'_> = serde_json::from_str(fields.get()).map_err(wrong)?;
        if key.contains(['\t', '\n']) {
            return Err(format!("{key:?} is no name"));
        }
        line(&mut out, key, &fields);
    }
    Ok((out, models.len()))
}

fn line(out: &mut String, key: &str, fields: &Fields<'_>) {
    let text = |name: &str| {
        fields
            .get(name)
            .map_or("", |raw| raw.get().trim_matches('"'))
    };
    let number = |name: &str| Some(text(name)).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let mut prices: BTreeMap<String, i64> = BTreeMap::new();
    for (name, raw) in fields {
        let price = code(name).zip(Money::from_decimal(raw.get()));
        prices.extend(price.map(|(code, money)| (code, money.picodollars())));
    }
    tiers(fields, &mut prices);
    searches(fields, &mut prices);
    let prices: Vec<String> = prices
        .iter()
        .map(|(code, n)| format!("{code}={n}"))
        .collect();
    let _ = writeln!(
        out,
        "{key}\t{}\t{}\t{}\t{}\t\t{}",
        text("mode"),
        number("max_input_tokens").unwrap_or_default(),
        number("max_output_tokens").unwrap_or_default(),
        features(fields),
        prices.join(" ")
    );
}

/// Our code of a field with its suffixes; none for what we do not account.
fn code(name: &str) -> Option<String> {
    let (mut name, mut tier, mut above) = (name, "", String::new());
    for (suffix, code) in [("_batches", ":b"), ("_flex", ":f"), ("_priority", ":p")] {
        if let Some(rest) = name.strip_suffix(suffix) {
            (name, tier) = (rest, code);
        }
    }
    if let Some(rest) = name.strip_suffix("k_tokens") {
        let (rest, kilotokens) = rest.rsplit_once("_above_")?;
        above = format!(">{}", kilotokens.parse::<u64>().ok()? * 1000);
        name = rest;
    }
    let (_, code) = PRICES.iter().find(|(known, _)| *known == name)?;
    Some(format!("{code}{tier}{above}"))
}

/// Prices by ranges of input tokens.
fn tiers(fields: &Fields<'_>, prices: &mut BTreeMap<String, i64>) {
    let Some(raw) = fields.get("tiered_pricing") else {
        return;
    };
    let tiers: Vec<Fields<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    for tier in tiers {
        let range = tier.get("range").map_or("", |raw| raw.get());
        let from = range.trim_matches(['[', ' ']).split([',', '.', 'e']).next();
        let Some(from) = from.and_then(|from| from.trim().parse::<u64>().ok()) else {
            continue;
        };
        for (name, raw) in &tier {
            let above = if from == 0 {
                String::new()
            } else {
                format!(">{from}")
            };
            if let Some((code, money)) = code(name).zip(Money::from_decimal(raw.get())) {
                prices.insert(format!("{code}{above}"), money.picodollars());
            }
        }
    }
}

fn searches(fields: &Fields<'_>, prices: &mut BTreeMap<String, i64>) {
    let Some(raw) = fields.get("search_context_cost_per_query") else {
        return;
    };
    let sizes: Fields<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    for (size, code) in [("low", "s0"), ("medium", "s1"), ("high", "s2")] {
        let price = sizes.get(&format!("search_context_size_{size}"));
        if let Some(money) = price.and_then(|raw| Money::from_decimal(raw.get())) {
            prices.insert(code.to_owned(), money.picodollars());
        }
    }
}

fn features(fields: &Fields<'_>) -> String {
    let list = |name: &str| -> Vec<String> {
        let raw = fields
            .get(name)
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        raw.unwrap_or_default()
    };
    let (yes, no) = (list("supports"), list("supports_not"));
    let letter = |(name, letter): &(&str, char)| match (
        yes.iter().any(|stated| stated == name),
        no.iter().any(|stated| stated == name),
    ) {
        (true, _) => Some(*letter),
        (_, true) => Some(letter.to_ascii_uppercase()),
        _ => None,
    };
    FEATURES.iter().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_sorted_lines_of_exact_prices() {
        let list = r#"{"source":{"package":"x"},"models":{
            "b/m":{"mode":"chat","max_input_tokens":9,"max_output_tokens":3,"supports":["vision"],
              "supports_not":["reasoning"],"input_cost_per_token":2.5e-06,
              "input_cost_per_token_above_200k_tokens_batches":1e-12,
              "search_context_cost_per_query":{"search_context_size_low":0.005}},
            "a/m":{"tiered_pricing":[{"range":[0,32000.0],"input_cost_per_token":5e-8},
              {"range":[32000.0,1e6],"input_cost_per_token":1e-7}],"unknown_cost":3}}}"#;
        let (text, count) = catalogue(list).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(count, 2);
        assert_eq!(
            lines,
            [
                "a/m\t\t\t\t\t\ti=50000 i>32000=100000",
                "b/m\tchat\t9\t3\tvR\t\ti=2500000 i:b>200000=1 s0=5000000000"
            ]
        );
        assert!(catalogue("{}").is_err());
    }

    #[test]
    fn the_catalogue_is_that_of_the_list() {
        let source = repository::root().join(SOURCE);
        let Ok(list) = std::fs::read_to_string(&source) else {
            eprintln!("skipped: no list of prices in ../shared/prices");
            return;
        };
        let committed = std::fs::read_to_string(repository::root().join(CATALOGUE)).unwrap();
        let (made, _) = catalogue(&list).unwrap();
        assert!(
            made == committed,
            "run `cargo xtask prices` and commit {CATALOGUE}"
        );
    }
}
