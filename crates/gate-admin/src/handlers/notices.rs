//! Notifications: what there is, and orders to the gateway that tells people.
//!
//! An order is answered once it is stored; it takes effect within a second, on whichever gateway
//! leads.

use super::{bounded, clean, not_found, page_of, random_id};
use crate::api::Inner;
use crate::call::Call;
use crate::convert::time;
use crate::host::NoticeOrder;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{AcknowledgeInput, AlertInput, NoticeTest, Silence, SilenceInput};
use gate_store::control::NewAudit;

/// Most bytes of a label or its value.
const LABEL_MAX: usize = 1_024;
/// Most labels of an alert, and matchers of a silence.
const LABELS_MAX: usize = 64;
/// Most bytes of a text.
const TEXT_MAX: usize = 4_096;
/// Longest silence, in seconds.
const SILENCE_MAX_S: u64 = 90 * 86_400;

pub(super) fn get(inner: &Inner, _: &Call) -> Answer {
    Reply::json(&inner.host.notices()?)
}

pub(super) fn silences(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.notices()?.silences)?)
}

pub(super) fn raise(inner: &Inner, call: &Call) -> Answer {
    let input: AlertInput = call.json()?;
    if input.labels.is_empty() || input.labels.len() > LABELS_MAX {
        return Err(invalid("an alert has between 1 and 64 labels"));
    }
    for text in input.labels.iter().flat_map(|(name, value)| [name, value]) {
        label(text)?;
    }
    bounded("text", &input.text, TEXT_MAX)?;
    let order = NoticeOrder::Alert {
        labels: input.labels,
        text: clean(&input.text),
        since_ms: now_ms(inner),
        is_on: input.on,
    };
    // Alerts are too many for the audit log, and change nothing.
    inner.host.order_notice(&order)?;
    Ok(Reply::empty(202))
}

pub(super) fn acknowledge(inner: &Inner, call: &Call) -> Answer {
    let input: AcknowledgeInput = call.json()?;
    let notices = inner.host.notices()?;
    let is_there = |group: &gate_api::types::NoticeGroup| group.thread == input.thread;
    if !notices.groups.iter().any(is_there) {
        return Err(not_found("such group"));
    }
    audit(inner, call, &input.thread)?;
    let thread = input.thread;
    inner
        .host
        .order_notice(&NoticeOrder::Acknowledge { thread })?;
    Ok(Reply::empty(202))
}

pub(super) fn test(inner: &Inner, call: &Call) -> Answer {
    let input: NoticeTest = call.json()?;
    if !inner.host.notices()?.receivers.contains(&input.receiver) {
        return Err(not_found("such receiver"));
    }
    audit(inner, call, &input.receiver)?;
    let by = call.who.actor.clone();
    let receiver = input.receiver;
    inner
        .host
        .order_notice(&NoticeOrder::Test { receiver, by })?;
    Ok(Reply::empty(202))
}

pub(super) fn silence(inner: &Inner, call: &Call) -> Answer {
    let input: SilenceInput = call.json()?;
    if input.matchers.is_empty() || input.matchers.len() > LABELS_MAX {
        return Err(invalid("a silence has between 1 and 64 matchers"));
    }
    for one in &input.matchers {
        label(&one.label)?;
        label(&one.value)?;
    }
    if input.matchers.iter().all(|one| one.is_not) {
        return Err(invalid("a silence says at least once what a label is"));
    }
    bounded("reason", &input.reason, TEXT_MAX)?;
    if input.reason.trim().is_empty() {
        return Err(invalid("a silence needs a reason"));
    }
    let length_s = input.length.duration().as_secs();
    if length_s > SILENCE_MAX_S {
        return Err(invalid("a silence lasts for 90 days at most"));
    }
    if inner.host.notices()?.silences.len() >= SILENCES_MAX {
        return Err(invalid("there are too many silences: end some"));
    }
    let until_ms = now_ms(inner) + u64::try_from(input.length.duration().as_millis()).unwrap_or(0);
    let silence = Silence {
        id: random_id()?,
        matchers: input.matchers,
        until: time(i64::try_from(until_ms).unwrap_or(i64::MAX)),
        by: call.who.actor.clone(),
        reason: clean(&input.reason),
    };
    audit(inner, call, &format!("{}: {}", silence.id, silence.reason))?;
    inner.host.order_notice(&NoticeOrder::Silence {
        id: silence.id.clone(),
        matchers: silence.matchers.clone(),
        until_ms,
        by: silence.by.clone(),
        reason: silence.reason.clone(),
    })?;
    let mut reply = Reply::json(&silence)?;
    reply.status = 201;
    Ok(reply)
}

/// Most silences at once; the engine's own limit.
const SILENCES_MAX: usize = 1_000;

pub(super) fn end(inner: &Inner, call: &Call) -> Answer {
    let id = call.value(0).to_owned();
    let known = inner.host.notices()?.silences;
    if !known.iter().any(|silence| silence.id == id) {
        return Err(not_found(format_args!("silence `{id}`")));
    }
    audit(inner, call, &id)?;
    inner.host.order_notice(&NoticeOrder::EndSilence { id })?;
    Ok(Reply::empty(204))
}

fn label(text: &str) -> Result<(), Problem> {
    bounded("label", text, LABEL_MAX)?;
    match text.contains(char::is_control) {
        true => Err(invalid("labels are printable text")),
        false => Ok(()),
    }
}

fn invalid(text: &str) -> Problem {
    Problem::new(Code::Invalid, text)
}

fn now_ms(inner: &Inner) -> u64 {
    u64::try_from(inner.now_ms()).unwrap_or(0)
}

/// Writes a line where there is an audit log.
fn audit(inner: &Inner, call: &Call, detail: &str) -> Result<(), Problem> {
    let Some(environment) = inner.host.environment() else {
        return Ok(());
    };
    let line = NewAudit {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
        action: call.operation.id,
        subject: &format!("environments/{environment}"),
        outcome: "done",
        detail,
    };
    let told = inner.store()?.audit(&line, inner.now_ms());
    told.map(drop)
        .map_err(|error| Problem::new(Code::StoreUnavailable, error.to_string()))
}
