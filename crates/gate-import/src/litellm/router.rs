//! `router_settings`, `litellm_settings` and `general_settings`: strategies, retries, fallbacks,
//! aliases and budgets of providers.

use super::{Models, seconds_ms};
use crate::draft::Draft;
use crate::nginx::period;
use crate::note::Outcome;
use crate::read::Said;
use gate_model::document::Node;
use serde_json::{Value, json};

/// Most targets of a model, so that fallbacks of fallbacks stay small.
const TARGETS_MAX: usize = 64;

/// Applies the settings to every model.
pub(super) fn apply(draft: &mut Draft, root: &Node, models: &mut Models) {
    let sections = ["router_settings", "litellm_settings", "general_settings"];
    for section in sections {
        for (key, node) in root.get(section).map(Node::entries).unwrap_or_default() {
            if node.is_nothing() {
                continue;
            }
            let what = format!("{section}.{}", key.text);
            if let Some((outcome, why)) = setting(draft, models, &key.text, node) {
                draft.notes.add(key.span.line, what, outcome, why);
            }
        }
    }
    for model in models.by_name.values_mut() {
        for target in model["targets"].as_array_mut().into_iter().flatten() {
            target.as_object_mut().map(|target| target.remove("order"));
        }
    }
}

type Told = Option<(Outcome, &'static str)>;

fn setting(draft: &mut Draft, models: &mut Models, key: &str, node: &Node) -> Told {
    match key {
        "routing_strategy" => return strategy(models, &node.text().unwrap_or_default()),
        "num_retries" => each(
            models,
            "retry",
            &json!({ "attempts": node.count().unwrap_or(0).min(10) }),
        ),
        "timeout" | "request_timeout" => {
            let ms = seconds_ms(node)?;
            each_missing(models, "total", &json!(period(ms)));
        }
        "stream_timeout" => {
            let ms = seconds_ms(node)?;
            each_missing(models, "first_token", &json!(period(ms)));
        }
        "fallbacks" | "context_window_fallbacks" => fallbacks(draft, models, node, key),
        "content_policy_fallbacks" => {
            fallbacks(draft, models, node, key);
            for entry in node.list() {
                for (name, _) in entry.entries() {
                    if let Some(model) = models.by_name.get_mut(&name.text) {
                        model["content_filter"] = json!("fall_back");
                    }
                }
            }
        }
        "default_fallbacks" => {
            let names: Vec<String> = models.by_name.keys().cloned().collect();
            for name in names {
                add_fallbacks(draft, models, &name, &node.texts(), node.line());
            }
        }
        "model_group_alias" => aliases(draft, models, node),
        "provider_budget_config" => budgets(draft, node),
        "master_key" => {}
        "max_budget" | "budget_duration" => {
            return Some((
                Outcome::Dropped,
                "a budget is that of a key, a consumer, a team or a provider (`budgets`)",
            ));
        }
        _ => return unread(key),
    }
    None
}

fn strategy(models: &mut Models, name: &str) -> Told {
    let strategy = match name {
        "simple-shuffle" => return None,
        "least-busy" => json!({ "least_busy": {} }),
        "latency-based-routing" => json!({ "lowest_latency": {} }),
        "cost-based-routing" => json!({ "lowest_cost": {} }),
        "usage-based-routing" | "usage-based-routing-v2" => {
            each_missing(models, "strategy", &json!({ "least_busy": {} }));
            return Some((
                Outcome::Changed,
                "the one with the fewest calls in flight is taken",
            ));
        }
        _ => return Some((Outcome::Dropped, "there is no strategy like it")),
    };
    each_missing(models, "strategy", &strategy);
    None
}

fn each(models: &mut Models, key: &str, value: &Value) {
    for model in models.by_name.values_mut() {
        model[key] = value.clone();
    }
}

fn each_missing(models: &mut Models, key: &str, value: &Value) {
    for model in models.by_name.values_mut() {
        if model.get(key).is_none() {
            model[key] = value.clone();
        }
    }
}

/// `[{ assistant: [local] }]`, where `*` stands for every model.
fn fallbacks(draft: &mut Draft, models: &mut Models, node: &Node, what: &str) {
    for entry in node.list() {
        for (name, to) in entry.entries() {
            let groups = to.texts();
            let names: Vec<String> = match &*name.text {
                "*" => models.by_name.keys().cloned().collect(),
                name => vec![name.to_owned()],
            };
            for name in names {
                if models.by_name.contains_key(&name) {
                    add_fallbacks(draft, models, &name, &groups, to.line());
                } else {
                    let why = format!("there is no model `{name}`");
                    draft.notes.add(entry.line(), what, Outcome::Dropped, why);
                }
            }
        }
    }
}

fn add_fallbacks(draft: &mut Draft, models: &mut Models, name: &str, groups: &[String], line: u32) {
    for group in groups.iter().filter(|group| *group != name) {
        let Some(targets) = models
            .by_name
            .get(group)
            .map(|model| model["targets"].clone())
        else {
            let why = format!("there is no model `{group}`");
            draft
                .notes
                .add(line, format!("fallbacks of {name}"), Outcome::Dropped, why);
            continue;
        };
        let Some(model) = models.by_name.get_mut(name) else {
            return;
        };
        if model.get("fallback").is_none() {
            model["fallback"] = json!([]);
        }
        let Some(list) = model["fallback"].as_array_mut() else {
            return;
        };
        for target in targets.as_array().into_iter().flatten() {
            let mut target = target.clone();
            target.as_object_mut().map(|target| target.remove("order"));
            if !list.contains(&target) && list.len() < TARGETS_MAX {
                list.push(target);
            }
        }
    }
}

fn aliases(draft: &mut Draft, models: &mut Models, node: &Node) {
    for (alias, of) in node.entries() {
        let name = of
            .text()
            .or_else(|| crate::read::text(of, "model"))
            .unwrap_or_default();
        match models.by_name.get(&name).cloned() {
            Some(model) => drop(models.by_name.insert(alias.text.clone(), model)),
            None => {
                let why = format!("there is no model `{name}`");
                draft.notes.add(
                    alias.span.line,
                    format!("model_group_alias.{}", alias.text),
                    Outcome::Dropped,
                    why,
                );
            }
        }
    }
}

/// Budgets of vendors; every account of the vendor gets its own.
fn budgets(draft: &mut Draft, node: &Node) {
    for (vendor, config) in node.entries() {
        let limit = config
            .get("budget_limit")
            .or_else(|| config.get("max_budget"));
        let limit = limit.and_then(Said::text);
        let period = config
            .get("time_period")
            .or_else(|| config.get("budget_duration"))
            .and_then(Said::text);
        let per = match period.as_deref() {
            Some("1d" | "24h" | "86400s") => "day",
            Some("7d" | "1w") => "week",
            Some("30d" | "31d" | "1mo") => "month",
            _ => "total",
        };
        let names: Vec<String> = draft.kind("providers").keys().cloned().collect();
        let theirs = names.into_iter().filter(|name| {
            name.strip_prefix(&*vendor.text)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        let (Some(limit), theirs) = (limit, theirs.collect::<Vec<_>>()) else {
            continue;
        };
        let why = match (theirs.len(), per) {
            (0, _) => Some("no model uses this vendor"),
            (1, "day") => None,
            (1, _) => {
                Some("budgets go by days, weeks from Monday and months from the first, in UTC")
            }
            _ => Some(
                "each account of the vendor has a budget of its own, and each may spend all of it",
            ),
        };
        if let Some(why) = why {
            draft.notes.add(
                vendor.span.line,
                format!("provider_budget_config.{}", vendor.text),
                Outcome::Changed,
                why,
            );
        }
        for name in theirs {
            let budget =
                json!({ "of": { "provider": name }, "limit": { "usd": limit }, "per": per });
            draft.add("budgets", &name, budget);
            let store = json!({ "engine": { "sqlite": { "path": "tidegate.db" } } });
            draft.kind("gateway").insert("store".into(), store);
        }
    }
}

/// Settings that are not read, with the reason where there is one.
fn unread(key: &str) -> Told {
    Some(match key {
        "drop_params"
        | "modify_params"
        | "set_verbose"
        | "json_logs"
        | "debug"
        | "disable_end_user_cost_tracking" => (
            Outcome::Needless,
            "nothing is dropped in silence, and the log is structured",
        ),
        "allowed_fails"
        | "cooldown_time"
        | "retry_after"
        | "enable_pre_call_checks"
        | "retry_policy"
        | "allowed_fails_policy"
        | "disable_cooldowns" => (
            Outcome::Needless,
            "failing credentials and endpoints rest by themselves, and Retry-After is obeyed",
        ),
        "database_url"
        | "store_model_in_db"
        | "database_connection_pool_limit"
        | "proxy_batch_write_at"
        | "disable_spend_logs" => (Outcome::Needless, "the ledger is `gateway.store`"),
        "redis_host" | "redis_port" | "redis_password" | "redis_url" => (
            Outcome::Dropped,
            "gateways share budgets by `gateway.store`, answers by `cache.redis`",
        ),
        "cache" | "cache_params" => (Outcome::Dropped, "write it as the policy `model_cache`"),
        "callbacks"
        | "success_callback"
        | "failure_callback"
        | "service_callbacks"
        | "audit_log_callbacks" => (
            Outcome::Dropped,
            "records go to the access log, metrics and OpenTelemetry (`gateway`)",
        ),
        "alerting" | "alerting_threshold" | "alert_types" => {
            (Outcome::Dropped, "alerts are made from metrics")
        }
        "max_parallel_requests" | "global_max_parallel_requests" => {
            (Outcome::Dropped, "write `concurrency` of the models")
        }
        "pass_through_endpoints" => (Outcome::Dropped, "write a route with an upstream"),
        "default_internal_user_params"
        | "default_team_settings"
        | "upperbound_key_generate_params"
        | "default_key_generate_params" => (
            Outcome::Dropped,
            "limits and budgets are written for each consumer, key and team",
        ),
        "turn_off_message_logging" | "redact_user_api_key_info" => (
            Outcome::Needless,
            "no message is recorded unless `record_bodies` says so",
        ),
        "custom_auth" | "enable_jwt_auth" | "litellm_jwtauth" | "enable_oauth2_auth" => (
            Outcome::Dropped,
            "write `auth_jwt` on the route; until then only keys are let in",
        ),
        _ => (Outcome::Dropped, "this import does not know it"),
    })
}
