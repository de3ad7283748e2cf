//! A LiteLLM proxy's `config.yaml`: models, the accounts behind them, routing, keys, budgets.
//!
//! Each account (vendor, address, key) becomes one provider; deployments of one `model_name` become
//! the targets of one model. Keys that stand in the file do not go into the document: it refers to
//! an environment variable, and a note says which value belongs there.

mod accounts;
mod router;

use crate::ImportError;
use crate::draft::{Draft, NOT_A_KEY, is_key};
use crate::note::Outcome;
use crate::read::{self, Said, items, sha256, text};
use gate_kit::order::Order;
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// Reads a file into a draft.
///
/// # Errors
/// Where it is no configuration of a LiteLLM proxy.
pub(crate) fn import(bytes: &[u8]) -> Result<Draft, ImportError> {
    let root = read::yaml(bytes)?;
    if root.get("model_list").is_none() {
        let message = "`model_list` is missing: this is no configuration of a LiteLLM proxy";
        return Err(ImportError::new(1, message));
    }
    let mut draft = Draft::default();
    unread(&mut draft, &root);
    let mut models = Models::default();
    for entry in items(&root, "model_list") {
        models.deployment(&mut draft, entry);
    }
    router::apply(&mut draft, &root, &mut models);
    let names: Vec<String> = models.by_name.keys().cloned().collect();
    for (name, model) in models.by_name {
        // Names are what callers say: they stay as they are.
        draft.kind("models").insert(name, model);
    }
    let policies = keys(&mut draft, &root);
    draft.add("listeners", "ai", json!({ "address": "0.0.0.0:4000" }));
    let why = "the listener is LiteLLM's own, 0.0.0.0:4000; its port is an argument of its command";
    draft.notes.add(0, "listeners.ai", Outcome::Todo, why);
    match names.is_empty() {
        true => Err(ImportError::new(
            1,
            "no model of `model_list` can be called",
        )),
        false => {
            let route = json!({ "match": { "path": "/{*rest}" }, "policies": policies, "target": { "models": names } });
            draft.add("routes", "ai", route);
            Ok(draft)
        }
    }
}

/// The models so far, by the names that callers say.
#[derive(Default)]
pub(super) struct Models {
    pub(super) by_name: Map<String, Value>,
}

impl Models {
    fn deployment(&mut self, draft: &mut Draft, entry: &Node) {
        let params = entry.get("litellm_params").unwrap_or(entry);
        let Some(name) = text(entry, "model_name") else {
            return draft.notes.add(
                entry.line(),
                "model_list",
                Outcome::Dropped,
                "it has no `model_name`",
            );
        };
        if name.contains('*') {
            let why = "models are named one by one";
            return draft.notes.add(
                entry.line(),
                format!("model_name: {name}"),
                Outcome::Dropped,
                why,
            );
        }
        if !is_key(&name) {
            let what = format!("model_name: {}", name.escape_default());
            return draft
                .notes
                .add(entry.line(), what, Outcome::Dropped, NOT_A_KEY);
        }
        let Some((provider, model)) = accounts::account(draft, params) else {
            return;
        };
        let mut target = json!({ "provider": provider, "model": model });
        if let Some(weight) = params.get("weight").and_then(Said::count) {
            target["weight"] = json!(weight.min(1_000_000));
        }
        let info = entry.get("model_info");
        let number = |key: &str| info.and_then(|info| info.get(key)?.count());
        if let Some(tokens) = number("max_input_tokens") {
            let output = number("max_output_tokens")
                .or_else(|| number("max_tokens"))
                .unwrap_or(0);
            target["context"] = json!(tokens.saturating_add(output));
        }
        price(draft, params, info, &provider, &model);
        let order = params.get("order").and_then(Said::count);
        let known = self
            .by_name
            .entry(name)
            .or_insert_with(|| json!({ "targets": [] }));
        if order.is_some() {
            known["strategy"] = json!({ "priority": {} });
            target["order"] = json!(order);
        }
        timeouts(params, known);
        if let Some(targets) = known["targets"].as_array_mut() {
            targets.push(target);
            targets.order_by_key(|target| target["order"].as_u64().unwrap_or(0));
        }
    }
}

/// `timeout` and `stream_timeout` of a deployment, in seconds.
fn timeouts(params: &Node, model: &mut Value) {
    let ms = |key: &str| params.get(key).and_then(seconds_ms);
    if let Some(ms) = ms("timeout") {
        model["total"] = json!(crate::nginx::period(ms));
    }
    if let Some(ms) = ms("stream_timeout") {
        model["first_token"] = json!(crate::nginx::period(ms));
    }
}

/// Seconds with a fraction, in milliseconds.
pub(super) fn seconds_ms(node: &Node) -> Option<u64> {
    let text = node.text()?;
    let seconds: f64 = text.parse().ok()?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, as the guard says"
    )]
    (0.001..1e9)
        .contains(&seconds)
        .then_some((seconds * 1_000.0) as u64)
}

/// Prices of a deployment, per token there and per million here.
fn price(draft: &mut Draft, params: &Node, info: Option<&Node>, provider: &str, model: &str) {
    let cost = |key: &str| {
        let node = params
            .get(key)
            .or_else(|| info.and_then(|info| info.get(key)))?;
        let dollars: f64 = node.text()?.parse().ok()?;
        let million = dollars * 1e6;
        (0.0..1e6).contains(&million).then(|| {
            let text = format!("{million:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
    };
    let mut prices = Map::new();
    let kinds = [
        ("input_cost_per_token", "input"),
        ("output_cost_per_token", "output"),
        ("cache_read_input_token_cost", "cached"),
        ("cache_creation_input_token_cost", "cache_write"),
        ("output_cost_per_reasoning_token", "reasoning"),
    ];
    for (theirs, ours) in kinds {
        if let Some(cost) = cost(theirs) {
            prices.insert(ours.to_owned(), json!(cost));
        }
    }
    if prices.is_empty() {
        return;
    }
    let price = json!([{ "per_million": prices }]);
    draft
        .kind("prices")
        .insert(format!("{provider}/{model}"), price);
}

/// The policies that let callers in.
fn keys(draft: &mut Draft, root: &Node) -> Vec<Value> {
    let general = root.get("general_settings");
    let key = general.and_then(|general| general.get("master_key"));
    let Some(key) = key.filter(|key| !key.is_nothing()) else {
        let why = "there is no `master_key`, so that anybody may call; put `auth_key` in front";
        draft
            .notes
            .add(0, "general_settings.master_key", Outcome::Todo, why);
        return Vec::new();
    };
    let secret = key.text().unwrap_or_default();
    let what = "general_settings.master_key";
    match secret.strip_prefix("os.environ/") {
        Some(name) => {
            let why = format!(
                "write the SHA-256 of ${name} under `consumers.master.keys` (`printf %s \"${name}\" | sha256sum`)"
            );
            draft.notes.add(key.line(), what, Outcome::Todo, why);
            draft.add("consumers", "master", json!({}));
        }
        None => {
            draft.add(
                "consumers",
                "master",
                json!({ "keys": [{ "sha256": sha256(&secret) }] }),
            );
        }
    }
    let why = "keys made at run time (`/key/generate`) are in LiteLLM's database: make one for each caller with `tidegate keys new`";
    draft
        .notes
        .add(key.line(), "virtual keys", Outcome::Todo, why);
    vec![json!({ "auth_key": {} })]
}

/// Parts of the file that are not read, or only in part.
fn unread(draft: &mut Draft, root: &Node) {
    for (key, node) in root.entries() {
        let (outcome, why) = match &*key.text {
            _ if node.is_nothing() => continue,
            "model_list" | "router_settings" | "litellm_settings" | "general_settings" => continue,
            "environment_variables" => (
                Outcome::Todo,
                "set them where the gateway runs; they do not go into a document",
            ),
            "include" => (Outcome::Dropped, "other files are not read"),
            "mcp_servers" => (Outcome::Dropped, "write them under `mcp_servers`"),
            "guardrails" => (Outcome::Dropped, "write them as the policy `guard`"),
            "prompts" => (Outcome::Dropped, "write them under `prompts`"),
            "credential_list" => (Outcome::Dropped, "credentials belong to providers"),
            _ => (Outcome::Dropped, "this import does not know it"),
        };
        draft
            .notes
            .add(key.span.line, key.text.clone(), outcome, why);
    }
}
