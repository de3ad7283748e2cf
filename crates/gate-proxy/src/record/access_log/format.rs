//! How a row is written: as one JSON object, or in the combined format of nginx and Apache.
//!
//! Whatever a caller sent is escaped, so that no request can forge a line or move a terminal's
//! cursor, and redacted, so that no credential is written.

use super::super::{redact, row::Row, time, trace};
use gate_flow::{
    AiFacts, Attempt, Bodies, CacheFacts, Detours, GuardFacts, Record, RpcFacts, WafFacts,
};
use gate_model::resources::ServiceTier;
use gate_model::units::Money;
use std::io::Write;
use std::time::Duration;

/// Writes a row as one line of JSON.
pub(super) fn write_json(to: &mut Vec<u8>, row: &Row) {
    let record = &row.record;
    to.extend_from_slice(b"{\"time\":\"");
    time::write_rfc3339(to, record.started_unix);
    to.push(b'"');
    let (path, query) = row.target().split_once('?').unwrap_or((row.target(), ""));
    text(to, "client", &row.address.to_string());
    text(to, "method", row.method.as_str());
    text(to, "scheme", row.scheme.as_str());
    text(to, "host", row.authority());
    text(to, "path", path);
    optional(to, "query", &redact::query(query));
    text(to, "version", row.version.as_str());
    number(to, "status", record.status.into());
    text(to, "outcome", record.outcome.as_str());
    milliseconds(to, "duration_ms", record.duration);
    if let Some(first_byte) = record.first_byte {
        milliseconds(to, "first_byte_ms", first_byte);
    }
    number(to, "request_bytes", record.request_bytes);
    number(to, "response_bytes", record.response_bytes);
    for (name, value) in [
        ("listener", &record.listener),
        ("route", &record.route),
        ("consumer", &record.consumer),
        ("team", &record.team),
        ("key", &record.key),
        ("target", &record.target),
    ] {
        optional(to, name, value.as_deref().unwrap_or_default());
    }
    if let Some(fault) = record.fault {
        text(to, "fault", fault.as_str());
        text(to, "fault_source", fault.source().as_str());
        optional(to, "fault_detail", &record.fault_detail);
    }
    optional(to, "answered_by", record.answered_by.unwrap_or_default());
    attempts(to, &record.attempts);
    if let Some(ai) = &record.ai {
        model(to, ai);
    }
    of_policies(to, record);
    number(to, "revision", record.revision);
    if let Some(arm) = record.arm {
        text(to, "arm", arm.as_str());
    }
    if let Some(scope) = &record.experiments {
        let names: Vec<&str> = scope.names().map(|name| &**name).collect();
        optional(to, "experiments", &names.join(","));
    }
    if record.trace.trace_id != [0; 16] {
        hexadecimal(to, "trace_id", &record.trace.trace_id);
        hexadecimal(to, "span_id", &record.trace.span_id);
    }
    optional(to, "user_agent", row.user_agent());
    object(to, "headers", |to| {
        for (name, value) in row.headers() {
            text(to, &name.to_ascii_lowercase(), &redact::header(name, value));
        }
    });
    to.extend_from_slice(b"}\n");
}

/// What policies noted.
fn of_policies(to: &mut Vec<u8>, record: &Record) {
    if let Some(access) = &record.access {
        list(to, "access", &access.matches, |to, fit| {
            text(to, "rule", &fit.rule);
            text(to, "action", fit.action.as_str());
        });
    }
    if let Some(guard) = &record.guard {
        verdicts(to, guard);
    }
    if let Some(facts) = record.waf.as_deref().filter(|facts| !facts.counted_only) {
        waf(to, facts);
    }
    if let Some(rpc) = &record.rpc {
        call(to, rpc);
    }
    if let Some(facts) = &record.cache {
        cached(to, facts);
    }
    if let Some(prompt) = &record.prompt {
        object(to, "prompt", |to| {
            text(to, "name", &prompt.name);
            number(to, "version", prompt.version.into());
            optional(to, "label", prompt.label.as_deref().unwrap_or_default());
        });
    }
    super::apis::write(to, record);
    if let Some(kept) = &record.bodies {
        bodies(to, kept);
    }
}

/// Writes a row in the combined format, followed by the extra headers' values in quotes.
pub(super) fn write_text(to: &mut Vec<u8>, row: &Row) {
    let record = &row.record;
    let _ = write!(to, "{} - ", row.address);
    plain(to, record.consumer.as_deref().unwrap_or("-"));
    to.extend_from_slice(b" [");
    time::write_combined(to, record.started_unix);
    to.extend_from_slice(b"] \"");
    plain(to, row.method.as_str());
    to.push(b' ');
    plain(to, &redact::target(row.target()));
    let version = match row.version.as_str() {
        "2" => "2.0",
        "3" => "3.0",
        version => version,
    };
    let _ = write!(
        to,
        " HTTP/{version}\" {} {} \"",
        record.status, record.response_bytes
    );
    plain(to, or_dash(&redact::target(row.referer())));
    to.extend_from_slice(b"\" \"");
    plain(to, or_dash(row.user_agent()));
    to.push(b'"');
    for (name, value) in row.headers() {
        to.extend_from_slice(b" \"");
        plain(to, &redact::header(name, value));
        to.push(b'"');
    }
    to.push(b'\n');
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// nginx's escaping: quotes, backslashes and everything outside printable ASCII become `\xHH`.
fn plain(to: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' | ..0x20 | 0x7f.. => {
                let _ = write!(to, "\\x{byte:02X}");
            }
            _ => to.push(byte),
        }
    }
}

fn attempts(to: &mut Vec<u8>, attempts: &[Attempt]) {
    if attempts.is_empty() {
        return;
    }
    key(to, "attempts");
    to.push(b'[');
    for (position, attempt) in attempts.iter().enumerate() {
        to.extend_from_slice(if position == 0 { b"{" } else { b",{" });
        text(to, "endpoint", &attempt.endpoint);
        number(to, "status", attempt.status.into());
        optional(
            to,
            "fault",
            attempt.fault.map_or("", |fault| fault.as_str()),
        );
        milliseconds(to, "started_ms", attempt.started);
        milliseconds(to, "duration_ms", attempt.duration);
        let _ = write!(to, ",\"reused\":{}}}", attempt.reused);
    }
    to.push(b']');
}

fn model(to: &mut Vec<u8>, ai: &AiFacts) {
    object(to, "ai", |to| {
        text(to, "operation", ai.operation);
        text(to, "model", &ai.model);
        optional(to, "provider", ai.provider.as_deref().unwrap_or_default());
        optional(to, "provider_kind", ai.provider_kind);
        optional(
            to,
            "provider_model",
            ai.provider_model.as_deref().unwrap_or_default(),
        );
        optional(
            to,
            "response_model",
            ai.response_model.as_deref().unwrap_or_default(),
        );
        let _ = write!(
            to,
            ",\"stream\":{},\"translated\":{}",
            ai.stream, ai.translated
        );
        for (name, tokens) in [
            ("input_tokens", ai.input_tokens),
            ("output_tokens", ai.output_tokens),
            ("cached_tokens", ai.cached_tokens),
            ("cache_written_tokens", ai.cache_written_tokens),
            ("reasoning_tokens", ai.reasoning_tokens),
        ] {
            if let Some(tokens) = tokens {
                number(to, name, tokens);
            }
        }
        if ai.service_tier != ServiceTier::Standard {
            let _ = write!(to, ",\"service_tier\":\"{}\"", ai.service_tier.as_str());
        }
        if ai.estimated {
            to.extend_from_slice(b",\"estimated\":true");
        }
        optional_money(to, "cost_usd", ai.cost);
        if let Some(first_token) = ai.first_token {
            milliseconds(to, "first_token_ms", first_token);
        }
        if !ai.losses.is_empty() {
            texts(to, "losses", ai.losses.iter().map(|loss| &**loss));
        }
        if let Some(taken) = &ai.detours {
            detours(to, taken);
        }
    });
}

/// Bodies that are kept, redacted.
fn bodies(to: &mut Vec<u8>, bodies: &Bodies) {
    object(to, "bodies", |to| {
        for (name, body) in [("request", &bodies.request), ("response", &bodies.response)] {
            let Some(body) = body else { continue };
            object(to, name, |to| {
                text(to, "text", body.text());
                number(to, "bytes", body.total);
                if body.is_truncated() {
                    to.extend_from_slice(b",\"truncated\":true");
                }
            });
        }
        if bodies.dropped > 0 {
            number(to, "dropped", bodies.dropped.into());
        }
    });
}

/// What a cache of answers did.
fn cached(to: &mut Vec<u8>, facts: &CacheFacts) {
    object(to, "cache", |to| {
        text(to, "status", facts.status.as_str());
        optional(to, "reason", facts.reason);
        optional(to, "model", facts.model.as_deref().unwrap_or_default());
        if facts.status.is_hit() {
            number(to, "age_s", facts.age.as_secs());
            number(to, "saved_input_tokens", facts.saved_input_tokens);
            number(to, "saved_output_tokens", facts.saved_output_tokens);
        }
        if let Some(similarity) = facts.similarity {
            let _ = write!(to, ",\"similarity\":{similarity:.4}");
        }
        if facts.embedding_tokens > 0 {
            number(to, "embedding_tokens", facts.embedding_tokens);
        }
    });
}

fn verdicts(to: &mut Vec<u8>, guard: &GuardFacts) {
    key(to, "guard");
    to.push(b'[');
    for (position, verdict) in guard.verdicts.iter().enumerate() {
        if position > 0 {
            to.push(b',');
        }
        to.push(b'{');
        text(to, "rule", &verdict.rule);
        text(to, "point", verdict.point);
        text(to, "action", verdict.action);
        number(to, "count", verdict.count.into());
        to.push(b'}');
    }
    to.push(b']');
    if guard.judge_tokens > 0 {
        number(to, "judge_tokens", guard.judge_tokens);
        optional_money(to, "judge_cost_usd", guard.judge_cost);
    }
}

/// What the web application firewall found: its audit record.
fn waf(to: &mut Vec<u8>, facts: &WafFacts) {
    object(to, "waf", |to| {
        text(to, "action", facts.action.as_str());
        number(to, "inbound_score", facts.inbound_score.unsigned_abs());
        number(to, "outbound_score", facts.outbound_score.unsigned_abs());
        key(to, "matches");
        to.push(b'[');
        for (position, one) in facts.matches.iter().enumerate() {
            if position > 0 {
                to.push(b',');
            }
            to.push(b'{');
            text(to, "rule", &one.rule.to_string());
            number(to, "phase", one.phase.into());
            text(to, "message", &one.message);
            text(to, "variable", &one.variable);
            text(to, "shape", &one.shape);
            optional(to, "severity", one.severity);
            to.push(b'}');
        }
        to.push(b']');
        if facts.more > 0 {
            number(to, "more", facts.more.into());
        }
    });
}

/// A call of a tool or an agent.
fn call(to: &mut Vec<u8>, rpc: &RpcFacts) {
    object(to, "rpc", |to| {
        text(to, "protocol", rpc.protocol);
        optional(to, "version", rpc.version);
        text(to, "method", rpc.method);
        optional(to, "server", rpc.server.as_deref().unwrap_or_default());
        optional(to, "tool", rpc.tool.as_deref().unwrap_or_default());
        text(to, "outcome", rpc.outcome());
        if let Some(error) = rpc.error {
            key(to, "error");
            let _ = write!(to, "{error}");
        }
        let _ = write!(to, ",\"stream\":{}", rpc.stream);
        if !rpc.failed_servers.is_empty() {
            texts(
                to,
                "failed_servers",
                rpc.failed_servers.iter().map(|name| &**name),
            );
        }
    });
}

/// What happened besides one plain try; what did not happen is left out.
fn detours(to: &mut Vec<u8>, taken: &Detours) {
    object(to, "detours", |to| {
        for (name, count) in [
            ("retries", taken.retries),
            ("passed_over", taken.passed_over),
            ("benched", taken.benched),
            ("hedges", taken.hedges),
        ] {
            if count > 0 {
                number(to, name, count.into());
            }
        }
        for (name, flag) in [
            ("hedge_won", taken.hedge_won),
            ("shed", taken.shed),
            ("stalled", taken.stalled),
        ] {
            if flag {
                key(to, name);
                to.extend_from_slice(b"true");
            }
        }
        optional(to, "stream_error", taken.stream_error.unwrap_or_default());
        if let Some(queued) = taken.queued {
            milliseconds(to, "queued_ms", queued);
        }
        list(to, "legs", &taken.legs, |to, leg| {
            text(to, "provider", &leg.provider);
            text(to, "provider_model", &leg.provider_model);
            text(to, "end", leg.end.as_str());
            number(to, "input_tokens", leg.input_tokens);
            number(to, "output_tokens", leg.output_tokens);
            let _ = write!(to, ",\"estimated\":{}", leg.estimated);
        });
        list(to, "seams", &taken.seams, |to, seam| {
            milliseconds(to, "at_ms", seam.at);
            text(to, "provider", &seam.provider);
            text(to, "provider_model", &seam.provider_model);
            number(to, "text_bytes", seam.text_bytes);
        });
        attempts(to, &taken.later_attempts);
    });
}

/// A list of texts.
fn texts<'a>(to: &mut Vec<u8>, name: &str, texts: impl Iterator<Item = &'a str>) {
    key(to, name);
    to.push(b'[');
    for (position, text) in texts.enumerate() {
        if position > 0 {
            to.push(b',');
        }
        quoted(to, text);
    }
    to.push(b']');
}

/// A list of objects; left out when it is empty.
pub(super) fn list<T>(to: &mut Vec<u8>, name: &str, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if items.is_empty() {
        return;
    }
    key(to, name);
    to.push(b'[');
    for (position, item) in items.iter().enumerate() {
        to.extend_from_slice(if position == 0 { b"{" } else { b",{" });
        write(to, item);
        to.push(b'}');
    }
    to.push(b']');
}

/// A nested object; left out when `fields` writes nothing.
pub(super) fn object(to: &mut Vec<u8>, name: &str, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    key(to, name);
    to.push(b'{');
    let empty = to.len();
    fields(to);
    if to.len() == empty {
        to.truncate(start);
    } else {
        to.push(b'}');
    }
}

/// A name, after a comma where the object has fields already.
fn key(to: &mut Vec<u8>, name: &str) {
    if to.last() != Some(&b'{') {
        to.push(b',');
    }
    quoted(to, name);
    to.push(b':');
}

pub(super) fn text(to: &mut Vec<u8>, name: &str, value: &str) {
    key(to, name);
    quoted(to, value);
}

pub(super) fn optional(to: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        text(to, name, value);
    }
}

fn optional_money(to: &mut Vec<u8>, name: &str, value: Option<Money>) {
    if let Some(value) = value {
        key(to, name);
        let _ = write!(to, "{value}");
    }
}

pub(super) fn number(to: &mut Vec<u8>, name: &str, value: u64) {
    key(to, name);
    to.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three digits after the point.
fn milliseconds(to: &mut Vec<u8>, name: &str, value: Duration) {
    key(to, name);
    let micros = value.as_micros();
    let _ = write!(to, "{}.{:03}", micros / 1000, micros % 1000);
}

fn hexadecimal(to: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    key(to, name);
    to.push(b'"');
    let start = to.len();
    to.resize(start + 2 * bytes.len(), 0);
    trace::write_hex(&mut to[start..], bytes);
    to.push(b'"');
}

/// A JSON string (RFC 8259 section 7). Beyond what JSON asks for, DEL and the C1 controls are
/// escaped, because terminals obey them.
fn quoted(to: &mut Vec<u8>, value: &str) {
    to.push(b'"');
    let mut plain = 0;
    for (position, character) in value.char_indices() {
        if !matches!(character, '"' | '\\' | '\0'..='\x1f' | '\x7f'..='\u{9f}') {
            continue;
        }
        to.extend_from_slice(&value.as_bytes()[plain..position]);
        plain = position + character.len_utf8();
        match character {
            '"' => to.extend_from_slice(b"\\\""),
            '\\' => to.extend_from_slice(b"\\\\"),
            control => {
                let _ = write!(to, "\\u{:04x}", u32::from(control));
            }
        }
    }
    to.extend_from_slice(&value.as_bytes()[plain..]);
    to.push(b'"');
}
