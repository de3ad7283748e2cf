//! Batches of several models, and models of several targets.

use super::*;
use crate::sdk::batches::answer;
use std::sync::atomic::AtomicBool;

/// A gateway over both stand-ins and a provider that has no batch API.
fn over(models: &str) -> (Gateway, Upstream, Upstream, Upstream) {
    let (gemini, _) = stand_in::<Gemini>();
    let (mistral, _) = stand_in::<Mistral>();
    let plain = Upstream::start(|seen| answer(seen, &AtomicBool::new(false)));
    let text = configuration("127.0.0.1:1");
    let (before, _) = text.split_once("providers:\n").unwrap();
    let (_, after) = text.split_once("routes:\n").unwrap();
    let text = format!(
        "{before}providers:\n  gemini: {{ gemini: {{ base_url: \"http://{}/v1beta\" }} }}\n  \
         mistral: {{ mistral: {{ base_url: \"http://{}/v1\" }} }}\n  \
         plain: {{ xai: {{ base_url: \"http://{}/v1\" }} }}\nmodels:\n{models}routes:\n{}",
        gemini.address,
        mistral.address,
        plain.address,
        after.replace("[fast, slow]", "[fast, slow, local]"),
    );
    let gateway = Gateway::with(&text, &kept(), &[]);
    (gateway, gemini, mistral, plain)
}

const EACH: &str = "  fast: { targets: [{ provider: gemini, model: gemini-2.5-flash }] }\n  \
                    slow: { targets: [{ provider: mistral, model: mistral-small-latest }] }\n  \
                    local: { targets: [{ provider: plain, model: grok-1 }] }\n";

/// Requests to different models go to each model's provider, all at once, and what has none is run here:
/// results stand in the order of requests.
#[test]
fn a_batch_of_several_models_is_split() {
    let (gateway, gemini, mistral, plain) = over(EACH);
    let none = json!({});
    let requests = [
        chat("a", "fast", "Hi", &none),
        chat("b", "slow", "Hi", &none),
        chat("c", "local", "Hi", &none),
        chat("d", "fast", "please refuse", &none),
        chat("e", "slow", "too late", &none),
    ];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    let done = ended(&gateway, &id, "completed");
    let counts = json!({"total": 5, "completed": 4, "failed": 1});
    assert_eq!(done["request_counts"], counts, "{done}");
    let good = texts(&gateway, &done["output_file_id"]);
    let wanted = [
        ("a", "Theirs."),
        ("b", "Theirs."),
        ("c", "You said Hi."),
        ("e", "Ours."),
    ];
    assert_eq!(good, pairs(&wanted));
    assert_eq!(asked(&gemini, "POST", ":batchGenerateContent"), 1);
    assert_eq!(asked(&mistral, "POST", "/batch/jobs"), 1);
    assert_eq!(asked(&plain, "POST", "/v1/chat/completions"), 1);
    assert_eq!(asked(&plain, "POST", "/v1/batches"), 0);
    // A million tokens at half of 0.30 USD, and one at 0.15.
    eventually("both are charged", || {
        crate::sdk::relayed::cost(&gateway).contains("0.3000")
    });
}

/// Of several targets, the first with a batch API runs a batch, in the order of the model's strategy.
#[test]
fn the_first_target_with_a_batch_api_runs_a_batch() {
    let models = "  fast:\n    strategy: { priority: {} }\n    targets: [{ provider: plain, model: grok-1 }, \
                  { provider: mistral, model: mistral-small-latest }, { provider: gemini, model: gemini-2.5-flash }]\n  \
                  slow: { targets: [{ provider: plain, model: grok-1 }], fallback: [{ provider: gemini, model: gemini-2.5-flash }] }\n  \
                  local: { targets: [{ provider: gemini, model: gemini-2.5-flash, when: 'ai.tokens < 100000' }] }\n";
    let (gateway, gemini, mistral, plain) = over(models);
    let none = json!({});
    let requests = [chat("a", "fast", "Hi", &none)];
    let id = hand_in(&gateway, "/v1/chat/completions", &requests);
    let done = ended(&gateway, &id, "completed");
    let good = texts(&gateway, &done["output_file_id"]);
    assert_eq!(good, pairs(&[("a", "Theirs.")]));
    assert_eq!(asked(&mistral, "POST", "/batch/jobs"), 1);
    // Neither a fallback nor a target with a condition takes a whole batch.
    for (model, said) in [("slow", "You said Hi."), ("local", "Ours.")] {
        let id = hand_in(
            &gateway,
            "/v1/chat/completions",
            &[chat("a", model, "Hi", &none)],
        );
        let done = ended(&gateway, &id, "completed");
        let good = texts(&gateway, &done["output_file_id"]);
        assert_eq!(good, pairs(&[("a", said)]), "{model}");
    }
    assert_eq!(asked(&gemini, "POST", ":batchGenerateContent"), 0);
    assert_eq!(asked(&plain, "POST", "/v1/chat/completions"), 1);
}
