//! Calls to models: shares of providers, and what they cost.

use super::rows::{Rows, basis, compile};
use gate_api::types::{Effect, What};
use gate_proxy::record::recent::line::{AiLine, Line};
use gate_proxy::replay::Replay;

const DOCUMENT: &str = "
providers:
  one: { openai: { credentials: [{ env: A }] } }
  two: { openai: { credentials: [{ env: B }] } }
models:
  chat:
    targets:
      - { provider: one, model: gpt-4o-mini, weight: 9 }
      - { provider: two, model: gpt-4o, weight: 1 }
routes:
  ai: { match: { path: '/v1/{*rest}' }, target: { models: [chat] } }
";

fn effect(from: &str, to: &str) -> Effect {
    assert!(DOCUMENT.contains(from), "{from}");
    let rows = Rows::new();
    let current = compile(DOCUMENT);
    let candidate = compile(&DOCUMENT.replace(from, to));
    let basis = basis(&current, 1.0);
    let mut replay = Replay::new(current, candidate, &rows.means());
    for index in 0..10_u64 {
        let line = Line {
            started_us: 1_000_000 * index,
            method: "POST".into(),
            target: "/v1/chat/completions".into(),
            address: "192.0.2.1".into(),
            route: Some("ai".into()),
            status: 200,
            revision: 1,
            ai: Some(Box::new(AiLine {
                model: "chat".into(),
                provider: Some("one".into()),
                tokens: Some([1000, 100, 0, 0, 0, 0, 0, 0]),
                ..AiLine::default()
            })),
            ..Line::default()
        };
        replay.row(&basis, &index, &line);
    }
    replay.finish()
}

#[test]
fn weights_move_expected_shares_and_costs() {
    let effect = effect("weight: 9", "weight: 1");
    let of = |what| {
        effect
            .changed
            .iter()
            .find(|change| change.what == what)
            .expect("a change")
    };
    let provider = of(What::Provider);
    assert_eq!(
        (provider.count, (provider.share * 100.0).round()),
        (4, 40.0)
    );
    let example = &provider.examples[0];
    assert_eq!(example.before, "one/gpt-4o-mini 90 %, two/gpt-4o 10 %");
    assert_eq!(example.after, "one/gpt-4o-mini 50 %, two/gpt-4o 50 %");
    // 1,000 tokens in and 100 out come to 0.00021 and 0.0035 dollars.
    let cost = of(What::Cost);
    assert_eq!(cost.count, 10);
    assert_eq!(cost.before.as_deref(), Some("$0.00539"));
    assert_eq!(cost.after.as_deref(), Some("$0.01855"));
    assert_eq!((effect.unknown.count, effect.unchanged), (0, 0));
}

#[test]
fn another_model_of_the_same_provider_is_another_version() {
    let effect = effect("model: gpt-4o-mini", "model: gpt-4.1-mini");
    let of = |what| effect.changed.iter().find(|change| change.what == what);
    assert!(of(What::Provider).is_none());
    assert_eq!(of(What::Version).map(|change| change.count), Some(9));
}

#[test]
fn a_price_changes_the_cost_only() {
    let prices = "prices: { one/gpt-4o-mini: [{ per_million: { input: 1, output: 1 } }] }\nroutes:";
    let effect = effect("routes:", prices);
    assert_eq!(effect.changed.len(), 1);
    assert_eq!(
        (effect.changed[0].what, effect.changed[0].count),
        (What::Cost, 10)
    );
}

#[test]
fn choices_by_measurement_are_unknown() {
    let effect = effect(
        "    targets:",
        "    strategy: { lowest_latency: {} }\n    targets:",
    );
    assert_eq!((effect.unknown.count, effect.unchanged), (10, 0));
    assert_eq!(
        effect.unknown.reads,
        ["measured latencies, for the model `chat`"]
    );
}

#[test]
fn a_model_that_goes_is_another_verdict() {
    let effect = effect("models: [chat]", "models: []");
    assert_eq!(effect.changed[0].what, What::Verdict);
    assert_eq!(effect.changed[0].examples[0].after, "model_not_found");
}
