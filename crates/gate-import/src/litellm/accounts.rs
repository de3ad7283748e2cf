//! The accounts behind deployments: `litellm_params` as a provider and the name of its model.

use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// LiteLLM's names of vendors, ours, and the variable that LiteLLM reads without `api_key`.
const VENDORS: &[(&str, &str, &str)] = &[
    ("anthropic", "anthropic", "ANTHROPIC_API_KEY"),
    ("azure", "azure", "AZURE_API_KEY"),
    ("bedrock", "bedrock", ""),
    ("cloudflare", "cloudflare", "CLOUDFLARE_API_KEY"),
    ("cohere", "cohere", "COHERE_API_KEY"),
    ("cohere_chat", "cohere", "COHERE_API_KEY"),
    ("databricks", "databricks", "DATABRICKS_API_KEY"),
    ("deepseek", "deepseek", "DEEPSEEK_API_KEY"),
    ("fireworks_ai", "fireworks", "FIREWORKS_AI_API_KEY"),
    ("gemini", "gemini", "GEMINI_API_KEY"),
    ("groq", "groq", "GROQ_API_KEY"),
    ("hosted_vllm", "vllm", ""),
    ("huggingface", "huggingface", "HF_TOKEN"),
    ("mistral", "mistral", "MISTRAL_API_KEY"),
    ("nvidia_nim", "nvidia_nim", "NVIDIA_NIM_API_KEY"),
    ("ollama", "ollama", ""),
    ("ollama_chat", "ollama", ""),
    ("openai", "openai", "OPENAI_API_KEY"),
    ("openrouter", "openrouter", "OPENROUTER_API_KEY"),
    ("perplexity", "perplexity", "PERPLEXITYAI_API_KEY"),
    ("text-completion-openai", "openai", "OPENAI_API_KEY"),
    ("together_ai", "together", "TOGETHERAI_API_KEY"),
    ("vertex_ai", "vertex", ""),
    ("vertex_ai_beta", "vertex", ""),
    ("voyage", "voyage", "VOYAGE_API_KEY"),
    ("xai", "xai", "XAI_API_KEY"),
];
/// Fields of `litellm_params` that are read, here or beside.
const READ: [&str; 26] = [
    "model",
    "api_key",
    "api_base",
    "base_url",
    "api_version",
    "custom_llm_provider",
    "weight",
    "order",
    "timeout",
    "stream_timeout",
    "aws_region_name",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_bedrock_runtime_endpoint",
    "vertex_project",
    "vertex_location",
    "vertex_credentials",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "output_cost_per_reasoning_token",
    "extra_headers",
    "organization",
    "account_id",
];

/// The provider of a deployment, made if need be, and the vendor's name of the model.
pub(super) fn account(draft: &mut Draft, params: &Node) -> Option<(String, String)> {
    let full = text(params, "model")?;
    unread(draft, params);
    let base = text(params, "api_base").or_else(|| text(params, "base_url"));
    let asked = text(params, "custom_llm_provider");
    let (vendor, model) = match (asked, full.split_once('/')) {
        (Some(vendor), split) => {
            let model = split
                .filter(|(first, _)| **first == *vendor)
                .map_or(&*full, |(_, rest)| rest);
            (vendor, model.to_owned())
        }
        (None, Some((vendor, model))) if known(vendor).is_some() || base.is_none() => {
            (vendor.to_owned(), model.to_owned())
        }
        (None, _) => (guessed(&full).to_owned(), full.clone()),
    };
    let (kind, variable) = match (known(&vendor), &base) {
        (Some(known), _) => known,
        (None, Some(_)) => ("compatible", ""),
        (None, None) => {
            let why = format!(
                "there is no provider like `{vendor}`; with an address it is one of kind `compatible`"
            );
            draft.notes.add(
                params.line(),
                format!("model: {full}"),
                Outcome::Dropped,
                why,
            );
            return None;
        }
    };
    let mut settings = Map::new();
    let model = match kind {
        "bedrock" => bedrock(draft, params, &model, &mut settings),
        "vertex" => vertex(draft, params, model, &mut settings)?,
        "azure" => azure(draft, params, model, base.as_deref(), &mut settings)?,
        _ => {
            plain(kind, base.as_deref(), &mut settings);
            model
        }
    };
    if kind == "cloudflare"
        && let Some(account) = text(params, "account_id")
    {
        settings.insert("account".into(), json!(account));
    }
    if !["bedrock", "vertex"].contains(&kind) {
        let secret = secret(draft, params, "api_key", variable, kind);
        if let Some(secret) = secret {
            settings.insert("credentials".into(), json!([secret]));
        }
    }
    headers(params, &mut settings);
    let name = draft.share("providers", &vendor, json!({ kind: settings }));
    Some((name, model))
}

fn known(vendor: &str) -> Option<(&'static str, &'static str)> {
    let found = VENDORS.iter().find(|(theirs, ..)| *theirs == vendor)?;
    Some((found.1, found.2))
}

/// The vendor of a model without one, as LiteLLM knows it by its name.
fn guessed(model: &str) -> &'static str {
    let starts = |names: &[&str]| names.iter().any(|name| model.starts_with(name));
    match () {
        () if starts(&["claude"]) => "anthropic",
        () if starts(&["gemini"]) => "vertex_ai",
        () if starts(&["command", "embed-", "rerank-"]) => "cohere_chat",
        () if starts(&[
            "anthropic.",
            "amazon.",
            "meta.",
            "cohere.",
            "mistral.",
            "us.",
            "eu.",
        ]) =>
        {
            "bedrock"
        }
        () => "openai",
    }
}

fn headers(params: &Node, settings: &mut Map<String, Value>) {
    let mut headers = Map::new();
    for (name, value) in params
        .get("extra_headers")
        .map(Node::entries)
        .unwrap_or_default()
    {
        if let Some(value) = value
            .text()
            .filter(|value| !value.starts_with("os.environ/"))
        {
            headers.insert(name.text.clone(), json!(value));
        }
    }
    if let Some(organization) = text(params, "organization") {
        headers.insert("openai-organization".into(), json!(organization));
    }
    if !headers.is_empty() {
        settings.insert("headers".into(), Value::Object(headers));
    }
}

fn plain(kind: &str, base: Option<&str>, settings: &mut Map<String, Value>) {
    let base = base.map(str::to_owned).or_else(|| match kind {
        "vllm" => Some("http://127.0.0.1:8000/v1".to_owned()),
        _ => None,
    });
    if let Some(base) = base {
        let base = base.trim_end_matches('/');
        let base = match kind {
            "ollama" | "anthropic" if !base.ends_with("/v1") => format!("{base}/v1"),
            _ => base.to_owned(),
        };
        settings.insert("base_url".into(), json!(base));
    }
}

fn bedrock(
    draft: &mut Draft,
    params: &Node,
    model: &str,
    settings: &mut Map<String, Value>,
) -> String {
    let region =
        text(params, "aws_region_name").filter(|region| !region.starts_with("os.environ/"));
    let region = region.unwrap_or_else(|| {
        let why =
            "the region is written down, not read from the environment; us-east-1 stands there";
        draft
            .notes
            .add(params.line(), "aws_region_name", Outcome::Todo, why);
        "us-east-1".to_owned()
    });
    settings.insert("region".into(), json!(region));
    if let Some(base) = text(params, "aws_bedrock_runtime_endpoint") {
        settings.insert("base_url".into(), json!(base.trim_end_matches('/')));
    }
    let mut key = Map::new();
    let parts = [
        ("aws_access_key_id", "access_key_id", "AWS_ACCESS_KEY_ID"),
        (
            "aws_secret_access_key",
            "secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
        ),
    ];
    for (theirs, ours, variable) in parts {
        if let Some(secret) = secret(draft, params, theirs, variable, "bedrock") {
            key.insert(ours.into(), secret);
        }
    }
    if params.get("aws_session_token").is_some()
        && let Some(secret) = secret(
            draft,
            params,
            "aws_session_token",
            "AWS_SESSION_TOKEN",
            "bedrock",
        )
    {
        key.insert("session_token".into(), secret);
    }
    settings.insert("credentials".into(), json!([key]));
    let model = ["converse/", "invoke/", "converse_like/"]
        .iter()
        .find_map(|way| model.strip_prefix(way))
        .unwrap_or(model);
    model.to_owned()
}

fn vertex(
    draft: &mut Draft,
    params: &Node,
    model: String,
    settings: &mut Map<String, Value>,
) -> Option<String> {
    let written = |key: &str| text(params, key).filter(|text| !text.starts_with("os.environ/"));
    let Some(project) = written("vertex_project") else {
        let why = "the project is written down, not read from the environment";
        draft
            .notes
            .add(params.line(), "vertex_project", Outcome::Dropped, why);
        return None;
    };
    settings.insert("project".into(), json!(project));
    if let Some(location) = written("vertex_location") {
        settings.insert("location".into(), json!(location));
    }
    let credentials = match text(params, "vertex_credentials") {
        Some(text) if text.starts_with("os.environ/") => {
            json!({ "env": text.trim_start_matches("os.environ/") })
        }
        Some(path) if !path.contains('{') => json!({ "file": path }),
        _ => {
            let why = "give the service account's key as a file, named by GOOGLE_APPLICATION_CREDENTIALS_JSON's contents";
            draft
                .notes
                .add(params.line(), "vertex_credentials", Outcome::Todo, why);
            json!({ "env": "GOOGLE_APPLICATION_CREDENTIALS_JSON" })
        }
    };
    settings.insert("credentials".into(), json!([credentials]));
    Some(model)
}

fn azure(
    draft: &mut Draft,
    params: &Node,
    model: String,
    base: Option<&str>,
    settings: &mut Map<String, Value>,
) -> Option<String> {
    let Some(base) = base.filter(|base| !base.starts_with("os.environ/")) else {
        let why = "the address of the resource (`api_base`) is written down, not read from the environment";
        draft
            .notes
            .add(params.line(), "api_base", Outcome::Dropped, why);
        return None;
    };
    let base = base.trim_end_matches('/');
    let base = base.split_once("/openai").map_or(base, |(base, _)| base);
    settings.insert("base_url".into(), json!(base));
    if let Some(version) = text(params, "api_version").filter(|v| !v.starts_with("os.environ/")) {
        settings.insert("api_version".into(), json!(version));
    }
    Some(model)
}

/// Where a secret is kept: the variable that LiteLLM reads, or one for what stands in the file.
fn secret(
    draft: &mut Draft,
    params: &Node,
    key: &str,
    variable: &str,
    kind: &str,
) -> Option<Value> {
    let node = params.get(key).filter(|node| !node.is_nothing());
    let Some(node) = node else {
        return (!variable.is_empty()).then(|| json!({ "env": variable }));
    };
    let text = node.text().unwrap_or_default();
    if let Some(name) = text.strip_prefix("os.environ/") {
        return Some(json!({ "env": name }));
    }
    let known = match variable {
        "" => format!("{}_API_KEY", kind.to_ascii_uppercase()),
        name => name.to_owned(),
    };
    let name = format!("{known}_LINE_{}", node.line());
    let why = format!("set {name} to what stands here; secrets do not go into a document");
    draft.notes.add(node.line(), key, Outcome::Todo, why);
    Some(json!({ "env": name }))
}

/// Fields of a deployment that are not read.
fn unread(draft: &mut Draft, params: &Node) {
    for (key, node) in params.entries() {
        let (outcome, why) = match &*key.text {
            _ if node.is_nothing() => continue,
            name if READ.contains(&name) => continue,
            "model_name" | "litellm_params" | "model_info" => continue,
            "rpm" | "tpm" => (
                Outcome::Dropped,
                "write `concurrency` of the model; a provider's own 429 passes to the next target",
            ),
            "max_parallel_requests" => (Outcome::Dropped, "write `concurrency.most` of the model"),
            "max_retries" | "num_retries" => (
                Outcome::Dropped,
                "`retry` belongs to the model; set in `router_settings` it is read",
            ),
            "max_budget" | "budget_duration" => (
                Outcome::Dropped,
                "budgets belong to keys, consumers, teams and providers",
            ),
            "temperature" | "max_tokens" | "top_p" | "seed" | "stop" => (
                Outcome::Dropped,
                "parameters of requests are set by a prompt (`prompts`)",
            ),
            "tags" => (Outcome::Dropped, "write the target's `when`"),
            "use_in_pass_through"
            | "merge_reasoning_content_in_choices"
            | "drop_params"
            | "additional_drop_params" => (
                Outcome::Needless,
                "what cannot be expressed is reported, and nothing is dropped in silence",
            ),
            _ => (Outcome::Dropped, "this import does not know it"),
        };
        draft.notes.add(
            key.span.line,
            format!("litellm_params.{}", key.text),
            outcome,
            why,
        );
    }
}
