//! What only a built gateway knows: the schema of its configuration, how it writes faults, and its
//! metrics.
//!
//! Compiled into the example `facts`, which `gen` runs once the registries are written, and into
//! the tests of xtask, so that `xtask` itself never depends on a crate with generated files.

use gate_ai::losses::{Dialects, Entry, table};
use gate_ai::provider::{CredentialPlace, MaxTokens, PROVIDERS, ProviderKind, StreamUsage};
use gate_ai::{Dialect, error_body};
use gate_flow::{AiFacts, Attempt, Fault, Outcome, Record, RpcFacts};
use gate_kit::clock::Clock;
use gate_kit::http::{Body, Method, Version};
use gate_model::fault::FaultCode;
use gate_policies::{REFERENCES, when};
use gate_proxy::money;
use gate_proxy::record::metrics::{
    Format, Metrics, SinkCounts, cache, contract, jobs, journal, notices, products, subscribers,
};
use gate_proxy::{experiments, objectives, trials};
use serde_json::{Value, json};
use std::time::Duration;

/// Everything that the pages are written from.
pub(crate) fn facts() -> Value {
    let faults = FaultCode::ALL.iter().map(|&code| {
        let status = code.status();
        json!({
            "problem": body_of(code),
            "openai": said(Dialect::ChatCompletions, status, code),
            "anthropic": said(Dialect::Messages, status, code),
        })
    });
    json!({
        "schema": gate_proxy::schema::configuration(REFERENCES),
        "openapi": gate_api::openapi::openapi(),
        "faults": faults.collect::<Vec<_>>(),
        "metrics": metrics(),
        "losses": losses(),
        "lint": gate_ops::lint::reference(),
        "events": events(),
        "variables": when::VARIABLES,
        "model_variables": when::MODEL_VARIABLES,
        "providers": PROVIDERS.iter().map(|kind| (kind.name, provider(kind))).collect::<Value>(),
    })
}

/// The gateway's own events.
fn events() -> Vec<Value> {
    let own = gate_ops::event::own::TYPES.iter();
    own.map(|own| {
        json!({
            "kind": own.kind, "version": own.version, "summary": own.summary,
            "dataschema": own.dataschema(), "schema": (own.schema)(),
        })
    })
    .collect()
}

/// What a provider's table says.
fn provider(kind: &ProviderKind) -> Value {
    let rows = kind.serves.iter().map(|row| {
        json!({
            "operation": row.operation.as_str(),
            "format": row.operation.format(),
            "path": row.path,
            "stream_path": row.stream_path,
            "models": row.models,
            "needs": row.needs,
        })
    });
    let credential = match &kind.credential {
        CredentialPlace::Bearer => "`authorization: Bearer`".to_owned(),
        CredentialPlace::Header(name) => format!("the field `{name}`"),
        CredentialPlace::Query(name) => format!("the parameter `{name}` of the query"),
        CredentialPlace::Basic => "`authorization: Basic`".to_owned(),
        CredentialPlace::Nowhere => "not shown".to_owned(),
        CredentialPlace::SigV4(service) => format!("AWS Signature Version 4 for `{service}`"),
        CredentialPlace::ServiceAccount(_) => "a token of a Google service account".to_owned(),
    };
    let max_tokens = match kind.quirks.max_tokens {
        MaxTokens::Completion => "`max_completion_tokens`",
        MaxTokens::Legacy => "`max_tokens`",
        MaxTokens::CompletionAtVendor => {
            "`max_completion_tokens` at the vendor, `max_tokens` at another `base_url`"
        }
    };
    let stream_usage = match kind.quirks.stream_usage {
        StreamUsage::OnRequest => "asked for with `stream_options`",
        StreamUsage::Always => "never asked for: it comes by itself or not at all",
    };
    json!({
        "base_url": kind.base_url,
        "credential": credential,
        "required": kind.required_headers,
        "forwarded": kind.forwarded_headers,
        "max_tokens": max_tokens,
        "stream_usage": stream_usage,
        "reasoning": kind.quirks.reasoning,
        "telemetry": kind.telemetry_name,
        "serves": rows.collect::<Vec<_>>(),
        "batches": batches(kind),
    })
}

/// What its own batch API runs, with `files: { relay: true }`.
fn batches(kind: &ProviderKind) -> String {
    let Some(api) = kind.batches else {
        return "run by the gateway, request by request".to_owned();
    };
    let runs = api.runs.iter().map(|(runs, _)| match runs.format() {
        Some(format) => format!("{} (`{format}`)", runs.as_str()),
        None => runs.as_str().to_owned(),
    });
    // Operations with several paths are told once.
    let mut runs: Vec<String> = runs.collect();
    runs.dedup();
    let runs = runs.join(", ");
    format!("relayed to its batch API with `files: {{ relay: true }}`: {runs}")
}

/// The table of losses, in its order.
fn losses() -> Vec<Value> {
    let side = |side| match side {
        Dialects::Any => Value::Null,
        Dialects::One(one) => json!([one.as_str()]),
        Dialects::Some(some) => some.iter().map(|dialect| dialect.as_str()).collect(),
    };
    let entry = |entry: Entry| {
        json!({
            "from": side(entry.from), "to": side(entry.to), "field": entry.field,
            "reason": entry.reason, "source": entry.source,
        })
    };
    table().map(entry).collect()
}

fn said(dialect: Dialect, status: u16, code: FaultCode) -> String {
    text(&error_body(dialect, status, code.as_str(), code.title()))
}

fn body_of(code: FaultCode) -> String {
    match gate_proxy::respond::problem(&Fault::new(code)).body {
        Body::Full(chunk) => text(&chunk),
        _ => String::new(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A metrics page after one exchange with everything in it, so that every label shows.
fn metrics() -> String {
    let metrics = Metrics::new(Clock::System);
    let mut record = Record {
        route: Some("route".into()),
        consumer: Some("consumer".into()),
        team: Some("team".into()),
        key: Some("key".into()),
        target: Some("upstream".into()),
        status: 200,
        fault: Some(FaultCode::UpstreamReset),
        answered_by: Some("policy"),
        outcome: Outcome::Complete,
        ..Record::default()
    };
    record.attempts.push(Attempt {
        endpoint: "endpoint".into(),
        status: 200,
        fault: None,
        started: Duration::ZERO,
        duration: Duration::from_millis(1),
        reused: false,
    });
    metrics.contact().begins(Duration::from_secs(1));
    metrics.observe(&record, &Method::Get, Version::Http11);
    record.ai = Some(Box::new(AiFacts {
        operation: "chat",
        model: "model".into(),
        provider: Some("provider".into()),
        provider_kind: "openai",
        provider_model: Some("model".into()),
        response_model: Some("model".into()),
        stream: true,
        input_tokens: Some(1),
        output_tokens: Some(1),
        first_token: Some(Duration::from_millis(1)),
        tag: Some("tag".into()),
        ..AiFacts::default()
    }));
    metrics.observe(&record, &Method::Post, Version::Http11);
    record.ai = None;
    record.rpc = Some(Box::new(RpcFacts {
        protocol: "mcp",
        method: "tools/call",
        server: Some("server".into()),
        failed_servers: vec!["server".into()],
        ..RpcFacts::default()
    }));
    metrics.observe(&record, &Method::Post, Version::Http11);
    metrics.config_applied(1, "digest");
    let page = metrics.page(Format::OpenMetrics, &SinkCounts::default(), |page| {
        money::metrics::example(page);
        cache::example(page);
        contract::example(page);
        journal::example(page);
        jobs::example(page);
        notices::example(page);
        products::example(page);
        subscribers::example(page);
        trials::example(page);
        objectives::example(page);
        experiments::example(page);
    });
    String::from_utf8(page).expect("this format is text")
}
