//! A row as spans and as a log record, in OpenTelemetry's words.
//!
//! One server span per exchange and one client span per try at an endpoint below it. Attributes:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/> and
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/>; what those do not name is `tidegate.*`.

use super::super::row::{Row, has_failed};
use super::super::{redact, trace};
use super::messages::{AnyValue, KeyValue, LogRecord, Span, Status};
use gate_flow::{AiFacts, Attempt, Bodies, CacheFacts, PromptFacts, RpcFacts};
use gate_kit::http::Method;
use gate_model::fault::FaultSource;
use std::time::Duration;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

/// Attributes being collected; empty texts are left out.
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &str, value: impl Into<AnyValue>) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(value.into()),
        });
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.add(key, value);
        }
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

/// The exchange's span, then one for each try.
pub(super) fn spans(row: &Row) -> impl Iterator<Item = Span> {
    let ai = row.record.ai.as_ref();
    let detours = ai.and_then(|ai| ai.detours.as_ref());
    // Those that went on with a broken stream came after the exchange's own.
    let later = detours.map_or(&[][..], |detours| &detours.later_attempts);
    let attempts = row.record.attempts.iter().chain(later).enumerate();
    let children = attempts.map(|(position, attempt)| attempt_span(row, position, attempt));
    std::iter::once(exchange_span(row)).chain(children)
}

fn exchange_span(row: &Row) -> Span {
    let record = &row.record;
    let start = record.started_unix;
    let caused_here = record
        .fault
        .is_some_and(|fault| fault.source() != FaultSource::Client);
    let failed = record.status >= 500 || caused_here;
    Span {
        trace_id: record.trace.trace_id.to_vec(),
        span_id: record.trace.span_id.to_vec(),
        parent_span_id: nonzero(&record.trace.parent_id),
        flags: u32::from(record.trace.sampled),
        name: span_name(row),
        kind: SERVER,
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(start + record.duration),
        attributes: exchange_attributes(row),
        status: failed.then(|| error_status(&record.fault_detail)),
    }
}

fn attempt_span(row: &Row, position: usize, attempt: &Attempt) -> Span {
    let record = &row.record;
    let start = record.started_unix + attempt.started;
    let mut attributes = Attributes(Vec::with_capacity(8));
    attributes.add("http.request.method", method(row));
    let (host, port) = split_port(&attempt.endpoint);
    attributes.text("server.address", host);
    attributes.number("server.port", port);
    if attempt.status > 0 {
        attributes.add("http.response.status_code", u64::from(attempt.status));
    }
    if position > 0 {
        attributes.add("http.request.resend_count", position as u64);
    }
    let failed = attempt.fault.is_some() || attempt.status >= 400;
    if failed {
        let error = attempt
            .fault
            .map_or_else(|| attempt.status.to_string(), |f| f.to_string());
        attributes.add("error.type", error);
    }
    attributes.text(
        "tidegate.target",
        record.target.as_deref().unwrap_or_default(),
    );
    attributes.add("tidegate.connection.reused", attempt.reused);
    Span {
        trace_id: record.trace.trace_id.to_vec(),
        span_id: trace::attempt_span(&record.trace, position).to_vec(),
        parent_span_id: record.trace.span_id.to_vec(),
        flags: u32::from(record.trace.sampled),
        name: method(row).to_owned(),
        kind: CLIENT,
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(start + attempt.duration),
        attributes: attributes.0,
        status: failed.then(|| error_status("")),
    }
}

/// The exchange as a log record, severe as its failure is.
pub(super) fn log(row: &Row, observed: Duration) -> LogRecord {
    let record = &row.record;
    let server_side = record
        .fault
        .is_some_and(|fault| fault.source() != FaultSource::Client);
    let (severity_number, severity_text) = match has_failed(record) {
        true if server_side || record.status >= 500 => (17, "ERROR"),
        true => (13, "WARN"),
        false => (9, "INFO"),
    };
    let path = row
        .target()
        .split_once('?')
        .map_or(row.target(), |(path, _)| path);
    let body = format!("{} {path} {}", row.method, record.status);
    let mut attributes = Attributes(exchange_attributes(row));
    if let Some(bodies) = &record.bodies {
        content(&mut attributes, bodies);
    }
    LogRecord {
        time_unix_nano: nanos(record.started_unix + record.duration),
        observed_time_unix_nano: nanos(observed),
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(body.into()),
        attributes: attributes.0,
        flags: u32::from(record.trace.sampled),
        trace_id: nonzero(&record.trace.trace_id),
        span_id: nonzero(&record.trace.span_id),
        event_name: "tidegate.exchange".to_owned(),
    }
}

/// What was said, where a resource says that it is kept: on log records only.
fn content(attributes: &mut Attributes, bodies: &Bodies) {
    let kept = [
        (
            &bodies.request,
            "tidegate.request.body",
            "gen_ai.input.messages",
        ),
        (
            &bodies.response,
            "tidegate.response.body",
            "gen_ai.output.messages",
        ),
    ];
    for (body, as_text, as_messages) in kept {
        let Some(body) = body else { continue };
        attributes.text(as_text, body.text());
        if body.is_truncated() {
            attributes.add(&format!("{as_text}.truncated"), true);
        }
        attributes.text(as_messages, &body.messages().unwrap_or_default());
    }
}

fn exchange_attributes(row: &Row) -> Vec<KeyValue> {
    let record = &row.record;
    let mut attributes = Attributes(Vec::with_capacity(32));
    let (path, query) = row.target().split_once('?').unwrap_or((row.target(), ""));
    attributes.add("http.request.method", method(row));
    if let Method::Other(name) = &row.method {
        attributes.text("http.request.method_original", name);
    }
    attributes.add("url.scheme", row.scheme.as_str());
    attributes.add("url.path", path);
    attributes.text("url.query", &redact::query(query));
    let (host, port) = split_port(row.authority());
    attributes.text("server.address", host);
    attributes.number("server.port", port);
    attributes.add("client.address", row.address.to_string());
    attributes.add("network.peer.address", row.peer.ip().to_string());
    attributes.add("network.peer.port", u64::from(row.peer.port()));
    attributes.add("network.protocol.name", "http");
    attributes.add("network.protocol.version", row.version.as_str());
    attributes.text("user_agent.original", row.user_agent());
    attributes.text("http.route", row.route_path.as_deref().unwrap_or_default());
    attributes.text(
        "tidegate.route",
        record.route.as_deref().unwrap_or_default(),
    );
    if record.status > 0 {
        attributes.add("http.response.status_code", u64::from(record.status));
    }
    attributes.add("http.request.body.size", record.request_bytes);
    attributes.add("http.response.body.size", record.response_bytes);
    match record.fault {
        Some(fault) => {
            attributes.add("error.type", fault.as_str());
            attributes.add("tidegate.fault.source", fault.source().as_str());
            attributes.text("tidegate.fault.detail", &record.fault_detail);
        }
        None if record.status >= 500 => attributes.add("error.type", record.status.to_string()),
        None => {}
    }
    attributes.add("tidegate.revision", record.revision);
    attributes.add("tidegate.outcome", record.outcome.as_str());
    for (key, value) in [
        ("tidegate.listener", record.listener.as_deref()),
        ("tidegate.consumer", record.consumer.as_deref()),
        ("tidegate.team", record.team.as_deref()),
        ("tidegate.target", record.target.as_deref()),
        ("tidegate.answered_by", record.answered_by),
    ] {
        attributes.text(key, value.unwrap_or_default());
    }
    if let Some(ai) = &record.ai {
        model_attributes(&mut attributes, ai);
    }
    if let Some(rpc) = &record.rpc {
        call_attributes(&mut attributes, rpc);
    }
    if let Some(prompt) = &record.prompt {
        prompt_attributes(&mut attributes, prompt);
    }
    if let Some(cache) = &record.cache {
        cache_attributes(&mut attributes, cache);
    }
    attributes.0
}

fn prompt_attributes(attributes: &mut Attributes, prompt: &PromptFacts) {
    attributes.text("gen_ai.prompt.name", &prompt.name);
    attributes.add("tidegate.prompt.version", u64::from(prompt.version));
    let label = prompt.label.as_deref().unwrap_or_default();
    attributes.text("tidegate.prompt.label", label);
}

fn cache_attributes(attributes: &mut Attributes, cache: &CacheFacts) {
    attributes.add("tidegate.cache.status", cache.status.as_str());
    if cache.status.is_hit() {
        attributes.add("tidegate.cache.age_seconds", cache.age.as_secs());
    }
}

/// The GenAI attributes stand on the exchange's span only, so that sums count tokens once.
fn model_attributes(attributes: &mut Attributes, ai: &AiFacts) {
    attributes.text("gen_ai.operation.name", ai.operation);
    attributes.text("gen_ai.provider.name", ai.provider_kind);
    let request_model = ai.provider_model.as_deref().unwrap_or(&ai.model);
    attributes.text("gen_ai.request.model", request_model);
    attributes.text(
        "gen_ai.response.model",
        ai.response_model.as_deref().unwrap_or_default(),
    );
    for (key, tokens) in [
        ("gen_ai.usage.input_tokens", ai.input_tokens),
        ("gen_ai.usage.output_tokens", ai.output_tokens),
        ("gen_ai.usage.cache_read.input_tokens", ai.cached_tokens),
        (
            "gen_ai.usage.cache_creation.input_tokens",
            ai.cache_written_tokens,
        ),
        ("gen_ai.usage.reasoning.output_tokens", ai.reasoning_tokens),
    ] {
        attributes.number(key, tokens);
    }
    if let Some(cost) = ai.cost {
        attributes.add("tidegate.ai.cost_usd", cost.approximate_dollars());
    }
    if let Some(time) = ai.first_token {
        attributes.add("tidegate.ai.first_token_seconds", time.as_secs_f64());
    }
    attributes.text("tidegate.ai.model", &ai.model);
    attributes.text(
        "tidegate.ai.provider",
        ai.provider.as_deref().unwrap_or_default(),
    );
    attributes.add("tidegate.ai.stream", ai.stream);
    attributes.add("tidegate.ai.translated", ai.translated);
}

/// The conventions for MCP
/// (<https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md>),
/// where there are some.
fn call_attributes(attributes: &mut Attributes, rpc: &RpcFacts) {
    let tool = rpc.tool.as_deref().unwrap_or_default();
    if rpc.protocol == "mcp" {
        attributes.text("mcp.method.name", rpc.method);
        attributes.text("mcp.protocol.version", rpc.version);
        match rpc.method {
            "tools/call" => {
                attributes.text("gen_ai.operation.name", "execute_tool");
                attributes.text("gen_ai.tool.name", tool);
            }
            "prompts/get" => attributes.text("gen_ai.prompt.name", tool),
            _ => {}
        }
    } else {
        attributes.text("gen_ai.operation.name", "invoke_agent");
        let agent = rpc.server.as_deref().unwrap_or_default();
        attributes.text("gen_ai.agent.name", agent);
        attributes.text("rpc.method", rpc.method);
    }
    attributes.add("jsonrpc.protocol.version", "2.0");
    attributes.text("jsonrpc.request.id", rpc.id.as_deref().unwrap_or_default());
    if let Some(error) = rpc.error {
        attributes.add("rpc.response.status_code", error.to_string());
    }
    let server = rpc.server.as_deref().unwrap_or_default();
    attributes.text("tidegate.rpc.server", server);
    attributes.add("tidegate.rpc.outcome", rpc.outcome());
}

/// `{method} {route}`, both of low cardinality.
fn span_name(row: &Row) -> String {
    let method = match &row.method {
        Method::Other(_) => "HTTP",
        known => known.as_str(),
    };
    match &row.record.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

fn method(row: &Row) -> &str {
    match &row.method {
        Method::Other(_) => "_OTHER",
        known => known.as_str(),
    }
}

fn error_status(message: &str) -> Status {
    Status {
        message: message.to_owned(),
        code: ERROR,
    }
}

/// `host:port` in parts; brackets of an IPv6 literal are dropped.
fn split_port(authority: &str) -> (&str, Option<u64>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    (bare.unwrap_or(host), port)
}

fn nonzero(id: &[u8]) -> Vec<u8> {
    if id.iter().all(|&byte| byte == 0) {
        Vec::new()
    } else {
        id.to_vec()
    }
}

pub(super) fn nanos(unix: Duration) -> u64 {
    u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX)
}
