//! Shows exchanges to the engine, and writes down what it found.

use gate_flow::{Exchange, WafAction, WafFacts, WafMatch, shape_of};
use gate_kit::http::{Body, Response, Version};
use gate_kit::random;
use gate_waf::{Decision, Match, Request, Transaction};

/// Most matches that a record holds.
const MATCHES_MAX: usize = 64;
/// Longest name of a variable.
const VARIABLE_MAX: usize = 100;

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
        Version::Http2 => b"HTTP/2.0",
        Version::Http3 => b"HTTP/3.0",
    }
}

/// Shows a request's head: as it arrived, with the fields that the codec has taken out of it.
pub(super) fn head(transaction: &mut Transaction, exchange: &Exchange) -> Decision {
    let head = &exchange.request.head;
    let target = exchange
        .record
        .original_target
        .as_deref()
        .unwrap_or(&head.target);
    let local = exchange.client.local;
    let made;
    let id = match &exchange.record.request_id {
        Some(id) => id.as_bytes(),
        None => {
            made = format!("{:016x}", random::bits());
            made.as_bytes()
        }
    };
    let request = Request {
        client: (exchange.address, exchange.client.peer.port()),
        server: (local.ip(), local.port()),
        method: head.method.as_str().as_bytes(),
        uri: target.as_bytes(),
        protocol: protocol(head.version),
        id,
    };
    let mut length = itoa::Buffer::new();
    let framing: Option<(&[u8], &[u8])> =
        match (&exchange.request.body, exchange.request.body.length()) {
            (Body::Empty, _) if head.method.is_idempotent() => None,
            (_, Some(bytes)) => Some((b"Content-Length", length.format(bytes).as_bytes())),
            (_, None) if head.version >= Version::Http2 => None,
            (_, None) => Some((b"Transfer-Encoding", b"chunked")),
        };
    let host = (!head.authority.is_empty()).then_some((&b"Host"[..], head.authority.as_bytes()));
    let fields = head.headers.iter().chain(head.headers.of_connection());
    let fields = fields.map(|(_, name, value)| (name, value));
    transaction.request_headers(&request, host.into_iter().chain(fields).chain(framing))
}

/// Shows an answer's head.
pub(super) fn answer_head(
    transaction: &mut Transaction,
    exchange: &Exchange,
    response: &Response,
) -> Decision {
    let fields = response
        .head
        .headers
        .iter()
        .map(|(_, name, value)| (name, value));
    let protocol = protocol(exchange.request.head.version);
    transaction.response_headers(response.head.status, protocol, fields)
}

/// What was found; nothing where no rule matched.
pub(super) fn facts(transaction: &Transaction, counted_only: bool) -> Option<WafFacts> {
    let reports = |one: &&Match| !one.tags.iter().any(|tag| matches!(&**tag, "reporting"));
    let found: Vec<&Match> = transaction.matches().iter().filter(reports).collect();
    if found.is_empty() {
        return None;
    }
    let more = found.len().saturating_sub(MATCHES_MAX) + transaction.matches_left_out();
    let action = match (transaction.decision(), transaction.would_be()) {
        (Decision::Pass, None) => WafAction::Passed,
        (Decision::Pass, Some(_)) => WafAction::Detected,
        _ => WafAction::Blocked,
    };
    let score = |name| transaction.number(name).unwrap_or(0);
    // What decides stands at the end, and is kept in any case.
    let kept = found.len().min(MATCHES_MAX);
    let last = found[found.len() - 1];
    let kept = found.iter().take(kept - 1).copied().chain([last]);
    Some(WafFacts {
        action,
        inbound_score: score("blocking_inbound_anomaly_score"),
        outbound_score: score("blocking_outbound_anomaly_score"),
        matches: kept.map(written).collect(),
        more: more as u32,
        counted_only,
    })
}

fn written(one: &Match) -> WafMatch {
    let (collection, key) = one.variable.split_once(':').unwrap_or((&one.variable, ""));
    let key: String = key
        .chars()
        .filter(|letter| !letter.is_control())
        .take(VARIABLE_MAX)
        .collect();
    let variable = match key.is_empty() {
        true => collection.to_owned(),
        false => format!("{collection}:{key}"),
    };
    WafMatch {
        rule: one.id,
        phase: one.phase,
        message: one.title.clone(),
        variable: variable.into(),
        shape: shape_of(&one.value),
        severity: one.severity.map_or("", |severity| severity.name()),
    }
}
