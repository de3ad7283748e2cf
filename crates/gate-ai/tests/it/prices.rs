//! What recorded calls cost, against what providers said they cost.
//!
//! OpenRouter, Perplexity and xAI report a price for each call. The catalogue's prices are of
//! another date than some recordings, and some calls were billed for more than tokens; each such
//! case is named here.

use crate::cassettes::{Cassette, all};
use gate_ai::operation::{Frames, Watch};
use gate_ai::prices::{ServiceTier, model_facts};
use gate_ai::{Dialect, Usage, response_facts};
use gate_model::units::Money;

/// Perplexity rounds each part of its price to this: 0.00001 dollars.
const PERPLEXITY_STEP: i64 = 10_000_000;

/// Calls whose reported price has parts that are no tokens, or is of another date, with why.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "chat-citations-with-openrouter-perplexity-sonar-returns-8864538d",
        "Perplexity's fee for a search, which usage does not count",
    ),
    (
        "openrouter-file-annotation-2b5a4f2b",
        "OpenRouter's fee for reading a PDF",
    ),
    (
        "openrouter-responses-prompt-cache-e2e-b54575d6",
        "5 dollars per million tokens when it was recorded, 4 today",
    ),
    (
        "openrouter-web-search-annotations-stream-621b8e2f",
        "another DeepSeek endpoint with prices of its own",
    ),
    (
        "openrouter-web-search-tool-full-params-c656bff4",
        "twice today's price, or a fee for the search tool",
    ),
    (
        "openrouter-web-search-tool-usage-2c54ae33",
        "OpenRouter's fee of 0.01 dollars for a search",
    ),
    (
        "openrouter-web-search-tool-usage-stream-0c6441fe",
        "OpenRouter's fee of 0.01 dollars for a search",
    ),
];

enum Compared {
    Equal,
    Unknown,
    Different(Money, Money),
}

fn compare(cassette: &Cassette, usage: &Usage) -> Option<Compared> {
    let reported = cassette.reported_cost()?;
    let facts = model_facts(cassette.provider(), cassette.model()?);
    let Some(prices) = facts.and_then(|facts| facts.prices) else {
        return Some(Compared::Unknown);
    };
    let rates = prices.at(u64::MAX)?;
    let cost = rates.cost(usage, ServiceTier::Standard);
    let allowed = match cassette.provider() {
        "perplexity" => PERPLEXITY_STEP,
        _ => 0,
    };
    let apart = (cost - reported).picodollars().abs();
    Some(match apart <= allowed {
        true => Compared::Equal,
        false => Compared::Different(cost, reported),
    })
}

fn is_otherwise(cassette: &Cassette) -> bool {
    OTHERWISE.iter().any(|(name, _)| *name == cassette.name)
}

#[test]
fn costs_equal_what_providers_reported() {
    let (mut equal, mut unknown, mut wrong) = (0, 0, Vec::new());
    for cassette in all() {
        let Some(usage) = cassette.expected_usage() else {
            continue;
        };
        match compare(cassette, &usage) {
            None => {}
            Some(Compared::Equal) => equal += 1,
            Some(Compared::Unknown) => unknown += 1,
            Some(Compared::Different(..)) if is_otherwise(cassette) => {}
            Some(Compared::Different(cost, reported)) => wrong.push(format!(
                "{} {}: {cost}, not {reported}; {usage:?}",
                cassette.name,
                cassette.model().unwrap_or_default()
            )),
        }
    }
    if all().is_empty() {
        return;
    }
    eprintln!("{equal} calls cost what was reported, {unknown} have no known price");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal >= 50, "only {equal} were compared");
}

/// What an answer costs in picodollars, by its own counts.
fn cost_of(kind: &str, model: &str, dialect: Dialect, answer: &str) -> i64 {
    let usage = response_facts(dialect, answer.as_bytes(), model).usage;
    cost(kind, model, &usage.unwrap())
}

fn cost(kind: &str, model: &str, usage: &Usage) -> i64 {
    let prices = model_facts(kind, model).unwrap().prices.unwrap();
    let rates = prices.at(u64::MAX).unwrap();
    rates.cost(usage, ServiceTier::Standard).picodollars()
}

#[test]
fn images_that_gemini_draws_cost_what_images_do() {
    let answer = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":1310,"totalTokenCount":1320,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":10}],
        "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":1290},{"modality":"TEXT","tokenCount":20}]}}"#;
    let model = "gemini-2.5-flash-image";
    let picodollars = cost_of("gemini", model, Dialect::GenerateContent, answer);
    assert_eq!(
        picodollars,
        10 * 300_000 + 1_290 * 30_000_000 + 20 * 2_500_000
    );
}

#[test]
fn audio_that_was_cached_costs_what_cached_audio_does() {
    // OpenAI's own example of `response.done`, with cached tokens of both kinds:
    // https://platform.openai.com/docs/api-reference/realtime-server-events/response/done
    let done = r#"{"type":"response.done","response":{"usage":{"total_tokens":290,"input_tokens":190,"output_tokens":100,
        "input_token_details":{"cached_tokens":128,"text_tokens":90,"audio_tokens":100,"cached_tokens_details":{"text_tokens":60,"audio_tokens":68}},
        "output_token_details":{"text_tokens":40,"audio_tokens":60}}}}"#;
    let mut frame = vec![0x81, 126];
    frame.extend(u16::try_from(done.len()).unwrap().to_be_bytes());
    frame.extend(done.as_bytes());
    let mut frames = Frames::default();
    frames.push(&frame);
    let (text, heard) = (30 * 4_000_000, 32 * 32_000_000);
    let cached = (60 + 68) * 400_000;
    let (written, spoken) = (40 * 16_000_000, 60 * 64_000_000);
    let all = cost("openai", "gpt-realtime", &frames.usage().unwrap());
    assert_eq!(all, text + heard + cached + written + spoken);
    let mut watch = Watch::of(b"application/json");
    let start = done.find("{\"usage").unwrap();
    watch.push(&done.as_bytes()[start..done.len() - 1]);
    assert_eq!(cost("openai", "gpt-realtime", &watch.usage().unwrap()), all);
}

#[test]
fn searches_of_perplexitys_cost_their_fee() {
    let cost = |model: &str, counts: &str| {
        let answer = format!(
            r#"{{"model":"m","usage":{{"prompt_tokens":1000,"completion_tokens":100{counts}}}}}"#
        );
        cost_of("perplexity", model, Dialect::ChatCompletions, &answer)
    };
    let billed = r#","cost":{"request_cost":0.005,"total_cost":0.01}"#;
    let tokens = 1_000 * 1_000_000 + 100 * 1_000_000;
    assert_eq!(cost("sonar", ""), tokens);
    for (size, fee) in [("low", 5), ("medium", 8), ("high", 12)] {
        let counts = format!(r#","search_context_size":"{size}"{billed}"#);
        assert_eq!(cost("sonar", &counts), tokens + fee * 1_000_000_000);
    }
    let counts = format!(r#","num_search_queries":18{billed}"#);
    let tokens = 1_000 * 2_000_000 + 100 * 8_000_000;
    assert_eq!(
        cost("sonar-deep-research", &counts),
        tokens + 18 * 5_000_000_000
    );
}

#[test]
fn searches_of_anthropics_cost_their_fee() {
    let answer = r#"{"model":"m","content":[],"usage":{"input_tokens":1000,"output_tokens":100,"server_tool_use":{"web_search_requests":3,"web_fetch_requests":2}}}"#;
    let model = "claude-sonnet-4-5";
    let picodollars = cost_of("anthropic", model, Dialect::Messages, answer);
    let tokens = 1_000 * 3_000_000 + 100 * 15_000_000;
    assert_eq!(picodollars, tokens + 3 * 10_000_000_000);
}
