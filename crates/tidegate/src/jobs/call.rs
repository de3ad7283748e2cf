//! One try of an item: an exchange of the gateway's own, and what its answer means.

use super::room::Held;
use crate::later;
use gate_flow::{Inside, InsideFault, Kept};
use gate_kit::clock::Clock;
use gate_ops::job::order::{ANSWER_MAX, Asked, Order};
use gate_ops::job::{Awaits, Outcome, Start};
use gate_proxy::inside::{InsideAnswer, InsideError, InsideRequest};
use gate_proxy::process::Process;
use gate_store::jobs::ItemResult;
use gate_store::ledger::ExchangeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an item waits that there was no room for, in milliseconds.
const ROOM_MS: u64 = 250;
/// The same of one that was told to come later, without a time.
const LATER_MS: u64 = 2_000;
/// Longest wait that is believed, in milliseconds.
const LATER_MAX_MS: u64 = 10 * 60_000;
/// How long the end of an exchange's record is waited for, behind its answer.
const CLOSED: Duration = Duration::from_secs(60);
/// Failures of the gateway's own that may pass.
const PASSING: [u16; 8] = [408, 425, 500, 502, 503, 504, 520, 529];

/// How a try ended.
pub(super) struct Ended {
    pub(super) job: String,
    pub(super) index: u32,
    /// How long the call took until its answer, in milliseconds.
    pub(super) took_ms: u64,
    pub(super) outcome: Outcome,
    pub(super) result: ItemResult,
    /// The bytes of its request and its answer, until the answer is taken to be written down.
    pub(super) held: Held,
}

impl Ended {
    /// An item that there was nothing to ask for.
    pub(super) fn unasked(start: Start, reason: &str, held: Held) -> Self {
        let reason = format!("input: {reason}");
        Self {
            took_ms: 0,
            outcome: failed(&reason, false),
            result: ItemResult {
                index: start.index,
                reason,
                ..ItemResult::default()
            },
            index: start.index,
            job: start.job,
            held,
        }
    }
}

/// Calls an item. The exchange's record is closed when this returns, and what it cost is on its way to
/// the ledger.
pub(super) async fn call(
    process: Arc<Process>,
    order: Arc<Order>,
    (index, attempt): (u32, u32),
    asked: Asked,
    mut held: Held,
) -> Ended {
    let (kept, closed) = oneshot::channel::<()>();
    let id = &order.spec.id;
    let charged_as = ExchangeId::item(id, index, attempt);
    let request = request(&order, asked, &charged_as, Kept::new(kept));
    let fault = request.inside.fault.clone();
    let request_id = charged_as.to_string();
    let limit = match order.call.answer_bytes {
        0 => ANSWER_MAX,
        bytes => bytes,
    };
    let asking = async {
        let mut answer = process.ask(request)?.await?;
        let body = answer.collect(limit).await;
        Ok::<_, InsideError>((answer, body))
    };
    let patience = Duration::from_millis(order.spec.timeout_ms);
    let began = Clock::System.now();
    let answered = tokio::time::timeout(patience, asking).await;
    let took = Clock::System.now().since(began);
    let mut result = ItemResult {
        index,
        request: request_id,
        ..ItemResult::default()
    };
    let outcome = match answered {
        Err(_) => failed("timeout", true),
        Ok(Err(InsideError::Busy)) => Outcome::Refused {
            wait_ms: ROOM_MS,
            awaits: None,
        },
        Ok(Err(InsideError::Gone)) => failed("lost", true),
        Ok(Err(error)) => failed(&error.to_string(), false),
        // It would be as long again.
        Ok(Ok((_given_up, Err(InsideError::Cut(why))))) if why.starts_with("over ") => {
            failed(&format!("answer_too_long: {why}"), false)
        }
        Ok(Ok((answer, Err(InsideError::Cut(why))))) => {
            result.status = answer.status;
            failed(&format!("cut: {why}"), true)
        }
        Ok(Ok((_given_up, Err(_)))) => failed("lost", true),
        Ok(Ok((answer, Ok(body)))) => {
            result.status = answer.status;
            held.grow(body.len());
            result.body = body;
            outcome_of(&answer, fault.get())
        }
    };
    // Whoever holds the other end drops it with the exchange, which the answer must not hold up.
    if tokio::time::timeout(CLOSED, closed).await.is_err() {
        tracing::warn!(job = id, index, "the exchange of an item does not end");
    }
    result.well = outcome == Outcome::Succeeded;
    if let Outcome::Failed { reason, .. } = &outcome {
        result.reason.clone_from(reason);
    }
    Ended {
        job: id.clone(),
        index,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome,
        result,
        held,
    }
}

fn failed(reason: &str, may_pass: bool) -> Outcome {
    Outcome::Failed {
        reason: reason.to_owned(),
        may_pass,
        wait_ms: None,
    }
}

/// What an answer that came whole means.
fn outcome_of(answer: &InsideAnswer, fault: Option<&InsideFault>) -> Outcome {
    let now = Clock::System.unix();
    let wait = answer.header("retry-after").and_then(|value| {
        let seconds = later::seconds(value, now.as_secs())?;
        Some(seconds.saturating_mul(1_000))
    });
    let believed = wait.map(|wait| wait.min(LATER_MAX_MS));
    match answer.status {
        // Who is sent elsewhere has got nothing: nobody follows here.
        200..300 => Outcome::Succeeded,
        // Told to come later: nothing was done, and no try is used up.
        429 => Outcome::Refused {
            wait_ms: believed.unwrap_or(LATER_MS).max(ROOM_MS),
            awaits: Some(Awaits {
                reason: match fault {
                    Some(fault) if fault.detail.is_empty() => fault.code.as_str().to_owned(),
                    Some(fault) => format!("{}: {}", fault.code, fault.detail),
                    None => "status_429: its target says to come later".to_owned(),
                },
                until_ms: wait.map(|wait| now.as_secs().saturating_mul(1_000).saturating_add(wait)),
            }),
        },
        status => Outcome::Failed {
            reason: format!("status_{status}"),
            may_pass: PASSING.contains(&status),
            wait_ms: believed,
        },
    }
}

fn request(order: &Order, asked: Asked, charged_as: &Arc<str>, kept: Kept) -> InsideRequest {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    let is_named = asked
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if !is_named && !asked.body.is_empty() {
        let kind: &[u8] = match asked.is_text {
            true => b"text/plain; charset=utf-8",
            false => b"application/json",
        };
        headers.push(("content-type".to_owned(), kind.to_vec()));
    }
    headers.extend(
        asked
            .headers
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes())),
    );
    let method = match asked.method.as_str() {
        "" => "POST".to_owned(),
        method => method.to_ascii_uppercase(),
    };
    InsideRequest {
        listener: order.call.listener.clone(),
        method,
        // Services refuse a request without a host, and no host of anybody's may stand there.
        authority: match order.call.authority.as_str() {
            "" => "tidegate.invalid".to_owned(),
            host => host.to_owned(),
        },
        target: asked.path,
        headers,
        body: asked.body.into(),
        file: None,
        inside: Inside {
            consumer: order.call.consumer.as_deref().map(Into::into),
            key: order.call.key.as_deref().map(Into::into),
            background: true,
            charged_as: Some(charged_as.clone()),
            at_provider: None,
            kept,
            fault: Arc::default(),
        },
        request_id: Some(charged_as.to_string()),
    }
}
