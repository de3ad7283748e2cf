//! Kong's `cors` as the policy of that name.

use crate::draft::Draft;
use crate::nginx::period;
use crate::note::Outcome;
use crate::read::Said;
use gate_model::document::Node;
use serde_json::{Value, json};

/// The policy.
pub(super) fn cors(draft: &mut Draft, config: &Node) -> Value {
    let list = |key: &str| config.get(key).map(Said::texts).unwrap_or_default();
    let origins = origins(draft, config);
    let credentials = config.get("credentials").is_some_and(Said::is_true);
    let everybody = origins.iter().any(|origin| origin == "*");
    if credentials && everybody {
        let why = "credentials cannot be allowed to every origin";
        draft
            .notes
            .add(config.line(), "cors.credentials", Outcome::Dropped, why);
    }
    let mut methods = list("methods");
    if methods.is_empty() {
        methods = [
            "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT",
        ]
        .map(str::to_owned)
        .to_vec();
    }
    let headers = match list("headers") {
        headers if headers.is_empty() => vec!["*".to_owned()],
        headers => headers,
    };
    let mut policy = json!({ "origins": origins, "methods": methods, "headers": headers });
    if !list("exposed_headers").is_empty() {
        policy["expose"] = json!(list("exposed_headers"));
    }
    if credentials && !everybody {
        policy["credentials"] = json!(true);
    }
    if let Some(seconds) = config.get("max_age").and_then(Said::count) {
        policy["max_age"] = json!(period(seconds.saturating_mul(1_000)));
    }
    if config.get("private_network").is_some_and(Said::is_true) {
        policy["private_network"] = json!(true);
    }
    json!({ "cors": policy })
}

/// Origins that can be written; one that nobody has where none can, because an empty list is none.
fn origins(draft: &mut Draft, config: &Node) -> Vec<String> {
    let mut origins = config.get("origins").map(Said::texts).unwrap_or_default();
    if origins.is_empty() {
        origins.push("*".to_owned());
    }
    let plain = |origin: &String| !origin.contains(['\\', '(', '^', '$', '[', '|']);
    let (plain, patterns): (Vec<_>, Vec<_>) = origins.into_iter().partition(plain);
    for pattern in patterns {
        let why = "an origin is written with `*`, not as an expression";
        draft.notes.add(
            config.line(),
            format!("cors.origins {pattern}"),
            Outcome::Dropped,
            why,
        );
    }
    let whole = |origin: &String| origin == "*" || origin.contains("://");
    let (origins, bare): (Vec<_>, Vec<_>) = plain.into_iter().partition(whole);
    for origin in bare {
        let why = "an origin has a scheme";
        draft.notes.add(
            config.line(),
            format!("cors.origins {origin}"),
            Outcome::Dropped,
            why,
        );
    }
    match origins.is_empty() {
        true => vec!["https://origin.invalid".to_owned()],
        false => origins,
    }
}
