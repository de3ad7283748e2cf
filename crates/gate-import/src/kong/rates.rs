//! Kong's `rate-limiting` as the policy `limit`.

use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// The policy; nothing where no window has a count.
pub(super) fn rate_limiting(draft: &mut Draft, config: &Node) -> Option<Value> {
    let rates = windows(draft, config);
    if rates.is_empty() {
        return None;
    }
    let mut policy = Map::new();
    let by = match text(config, "limit_by").as_deref() {
        Some("ip") => "address",
        Some("service" | "path") => {
            let why = "requests are counted together by route";
            draft.notes.add(
                config.line(),
                "rate-limiting.limit_by",
                Outcome::Changed,
                why,
            );
            "route"
        }
        Some("header") => {
            policy.insert(
                "header".into(),
                json!(text(config, "header_name").unwrap_or_default()),
            );
            "header"
        }
        _ => "consumer",
    };
    policy.insert("by".into(), json!(by));
    policy.insert("rates".into(), json!(rates));
    if config.get("hide_client_headers").is_some_and(Said::is_true) {
        policy.insert("headers".into(), json!(false));
    }
    if matches!(text(config, "policy").as_deref(), Some("redis" | "cluster")) {
        let why = "every gateway counts by itself";
        draft
            .notes
            .add(config.line(), "rate-limiting.policy", Outcome::Changed, why);
    }
    if config
        .get("error_code")
        .and_then(Said::count)
        .is_some_and(|code| code != 429)
    {
        let why = "what is refused is answered with 429";
        draft.notes.add(
            config.line(),
            "rate-limiting.error_code",
            Outcome::Changed,
            why,
        );
    }
    Some(json!({ "limit": policy }))
}

/// The windows that have a count, as rates.
fn windows(draft: &mut Draft, config: &Node) -> Vec<String> {
    let mut rates = Vec::new();
    let windows = [
        ("second", "1s"),
        ("minute", "1m"),
        ("hour", "1h"),
        ("day", "1d"),
        ("month", "30d"),
        ("year", "365d"),
    ];
    for (window, period) in windows {
        match config.get(window).and_then(Said::count) {
            Some(count) if count > 0 && rates.len() < 4 => {
                let unit = period.strip_prefix('1').unwrap_or(period);
                rates.push(format!("{count}/{unit}"));
            }
            Some(count) if count > 0 => {
                let why = "a limit has at most four rates";
                draft.notes.add(
                    config.line(),
                    format!("rate-limiting.{window}"),
                    Outcome::Dropped,
                    why,
                );
            }
            _ => {}
        }
    }
    rates
}
