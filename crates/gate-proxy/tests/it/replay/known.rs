//! What is replayed of calls and callers: conditions of models, prompts, limits and expiry of keys.

use super::rows::{Rows, basis, compile, hash};
use gate_api::types::{Effect, What};
use gate_proxy::record::recent::line::{AiLine, Line, Text};
use gate_proxy::replay::Replay;

const DOCUMENT: &str = "
consumers:
  shop: { keys: [{ id: web, sha256: 'SHA' }] }
providers:
  one: { openai: { credentials: [{ env: A }] } }
  two: { openai: { credentials: [{ env: B }] } }
models:
  chat:
    targets:
      - { provider: one, model: gpt-4o-mini, when: \"request.headers['x-tier'] == 'gold' || ai.tokens > 500\" }
      - { provider: two, model: gpt-4o-mini, when: \"request.headers['x-tier'] != 'gold'\" }
    fallback: [{ provider: two, model: gpt-4o }]
prompts:
  support:
    versions:
      '1': { messages: [{ role: system, content: 'Be kind.' }] }
      '2': { messages: [{ role: system, content: 'Be brief.' }] }
    labels: { production: 1 }
routes:
  ai:
    match: { path: '/v1/{*rest}' }
    policies: [{ auth_key: {} }, { prompt: { name: support, label: production } }]
    target: { models: [chat] }
";

fn document() -> String {
    let sha: String = hash("web-key")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    DOCUMENT.replace("SHA", &sha)
}

/// Ten calls, a second apart, of which the even ones are of the tier `gold` and `needs` tokens.
fn effect(from: &str, to: &str, tokens: u64) -> Effect {
    let text = document();
    assert!(text.contains(from), "{from}");
    let rows = Rows::new();
    let current = compile(&text);
    let candidate = compile(&text.replacen(from, to, 1));
    let basis = basis(&current, 1.0);
    assert!(basis.reads.headers.contains("x-tier"), "{basis:?}");
    let mut replay = Replay::new(current, candidate, &rows.means());
    let key = format!("Bearer {}", rows.secret.of_sha256(&hash("web-key")));
    for index in 0..10_u64 {
        let mut headers: Vec<(Text<'_>, Text<'_>)> = vec![("authorization".into(), (&*key).into())];
        if index % 2 == 0 {
            headers.push(("x-tier".into(), "gold".into()));
        }
        let line = Line {
            started_us: 1_700_000_000_000_000 + 1_000_000 * index,
            listener: "main".into(),
            method: "POST".into(),
            authority: "api.example.com".into(),
            target: "/v1/chat/completions".into(),
            address: "192.0.2.1".into(),
            headers,
            route: Some("ai".into()),
            status: 200,
            revision: 1,
            consumer: Some("shop".into()),
            key: Some("web".into()),
            prompt: Some(("support".into(), 1)),
            ai: Some(Box::new(AiLine {
                model: "chat".into(),
                provider: Some("one".into()),
                needs: Some([tokens, 0, 0, 0]),
                tokens: Some([1000, 100, 0, 0, 0, 0, 0, 0]),
                ..AiLine::default()
            })),
            ..Line::default()
        };
        replay.row(&basis, &index, &line);
    }
    replay.finish()
}

fn count(effect: &Effect, what: What) -> u64 {
    let change = effect.changed.iter().find(|change| change.what == what);
    change.map_or(0, |change| change.count)
}

fn example(effect: &Effect) -> (&str, &str) {
    let example = &effect.changed[0].examples[0];
    (&example.before, &example.after)
}

#[test]
fn conditions_of_targets_are_evaluated_again() {
    // Of the other half, those with many tokens may go to either.
    let none = effect("ai.tokens > 500", "ai.tokens > 400", 100);
    assert_eq!((none.unchanged, none.unknown.count), (10, 0), "{none:?}");
    let moved = effect("== 'gold' || ai.tokens > 500", "== 'silver'", 100);
    assert_eq!(count(&moved, What::Provider), 5, "{moved:?}");
    assert_eq!(
        example(&moved),
        ("one/gpt-4o-mini", "two/gpt-4o"),
        "the fallback, where no target takes the call"
    );
    let either = effect("ai.tokens > 500", "ai.tokens > 700", 600);
    assert_eq!(count(&either, What::Provider), 3, "{either:?}");
    assert_eq!(
        example(&either),
        (
            "one/gpt-4o-mini 50 %, two/gpt-4o-mini 50 %",
            "two/gpt-4o-mini"
        )
    );
    let unknown = effect("ai.tokens > 500", "request.headers['x-new'] != ''", 100);
    assert_eq!(unknown.unknown.count, 10);
    assert_eq!(
        unknown.unknown.reads,
        ["header x-new, for the model `chat`"]
    );
}

#[test]
fn another_version_of_a_prompt_is_another_version() {
    let labelled = effect("production: 1", "production: 2", 1);
    assert_eq!(count(&labelled, What::Version), 10, "{labelled:?}");
    let versions = ("prompt support version 1", "prompt support version 2");
    assert_eq!(example(&labelled), versions);
    let worded = effect("Be kind.", "Be polite.", 1);
    assert_eq!(example(&worded).1, "prompt support version 1, another text");
    let other = effect("Be brief.", "Be long.", 1);
    assert_eq!((other.unchanged, other.unknown.count), (10, 0), "{other:?}");
}

#[test]
fn a_keys_limit_of_calls_is_counted_again() {
    let limited = effect("id: web,", "id: web, limits: { requests: 2/h },", 1);
    assert_eq!(count(&limited, What::Verdict), 8, "{limited:?}");
    assert_eq!(example(&limited), ("passes", "rate_limited"));
    assert_eq!((limited.unchanged, limited.unknown.count), (2, 0));
    let tokens = effect("id: web,", "id: web, limits: { tokens: 2/h },", 1);
    assert_eq!((tokens.unknown.count, tokens.unchanged), (10, 0));
    assert_eq!(
        tokens.unknown.reads,
        ["what is left of the tokens of the key `web`"]
    );
}

#[test]
fn a_key_that_has_expired_or_is_not_for_a_route_is_refused() {
    let expired = effect("id: web,", "id: web, expires: 2023-01-01T00:00:00Z,", 1);
    assert_eq!(count(&expired, What::Verdict), 10, "{expired:?}");
    assert_eq!(
        example(&expired),
        ("passes", "auth_key: credential_invalid")
    );
    let later = effect("id: web,", "id: web, expires: 2099-01-01T00:00:00Z,", 1);
    assert_eq!((later.unknown.count, later.unchanged), (10, 0));
    assert_eq!(
        later.unknown.reads,
        ["requests after the key `web` expires"]
    );
    let elsewhere = effect("id: web,", "id: web, routes: [],", 1);
    assert_eq!(example(&elsewhere), ("passes", "auth_key: forbidden"));
    let without = effect("id: web,", "id: web, models: [],", 1);
    assert_eq!(example(&without), ("passes", "model_not_found"));
}
