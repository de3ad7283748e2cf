//! What the gateway is doing and has done, as its process tells it.

use super::{not_found, page, page_of};
use crate::api::Inner;
use crate::call::{Call, fits};
use crate::host::{RecordQuery, UsageQuery};
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Page, PlaygroundInput};

pub(super) fn live(inner: &Inner, call: &Call) -> Answer {
    let mut live = inner.host.live();
    if live.at.is_empty() {
        live.at = crate::convert::time(inner.now_ms());
    }
    if live.since.is_empty() {
        // Nothing has been counted yet.
        live.since.clone_from(&live.at);
    }
    if call.who.teams.is_some() {
        // Which consumers are of which team is not known here; then none of them is shown.
        live.consumers.clear();
    }
    Reply::json(&live)
}

pub(super) fn records(inner: &Inner, call: &Call) -> Answer {
    let page = inner.host.records(&RecordQuery {
        route: call.owned("route"),
        status: call.owned("status"),
        consumer: call.owned("consumer"),
        revision: call.numeric("revision"),
        trace: call.owned("trace"),
        model: call.owned("model"),
        from_ms: call.numeric("from_ms"),
        until_ms: call.numeric("until_ms"),
        teams: call.who.teams.clone(),
        cursor: call.cursor()?,
        limit: call.limit(),
    })?;
    let next = page.next.as_deref().map(crate::call::cursor);
    Reply::json(&Page { next, ..page })
}

pub(super) fn record(inner: &Inner, call: &Call) -> Answer {
    let id = call.value(0);
    let missing = || {
        not_found(format_args!(
            "record `{id}`; records are kept for a while only"
        ))
    };
    let record = inner.host.record(id)?.ok_or_else(missing)?;
    if let Some(teams) = &call.who.teams {
        let team = record.record.team.as_ref();
        if !team.is_some_and(|team| teams.contains(team)) {
            return Err(missing());
        }
    }
    Reply::json(&record)
}

pub(super) fn usage(inner: &Inner, call: &Call) -> Answer {
    let passed = call.cursor_number()?.unwrap_or(0);
    let limit = call.limit().min(999);
    let offset = usize::try_from(passed).unwrap_or(usize::MAX);
    let rows = inner.host.usage(&UsageQuery {
        from: call.owned("from"),
        until: call.owned("until"),
        by: call.owned("by"),
        teams: call.who.teams.clone(),
        offset,
        limit: limit + 1,
    })?;
    let next = offset.saturating_add(limit).to_string();
    Reply::json(&page(rows, limit, |_| next.clone()))
}

pub(super) fn suspicions(inner: &Inner, call: &Call) -> Answer {
    let found = inner.host.spend_suspicions(call.who.teams.as_deref())?;
    Reply::json(&page_of(call, found)?)
}

pub(super) fn versions(inner: &Inner, call: &Call) -> Answer {
    let (api, from) = (call.owned("api"), call.owned("from"));
    let mut states = inner.host.versions(api.as_deref(), from.as_deref())?;
    if call.who.teams.is_some() {
        // Which consumers are of which team is not known here; then none of them is shown.
        states.iter_mut().for_each(|state| state.callers.clear());
    }
    Reply::json(&page_of(call, states)?)
}

pub(super) fn budgets(inner: &Inner, call: &Call) -> Answer {
    let mut budgets = inner.host.budgets()?;
    if let Some(teams) = &call.who.teams {
        budgets.retain(|budget| budget.of.as_ref().is_some_and(|of| teams.contains(of)));
    }
    Reply::json(&page_of(call, budgets)?)
}

pub(super) fn providers(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.providers())?)
}

pub(super) fn playground(inner: &Inner, call: &Call) -> Answer {
    let input: PlaygroundInput = call.json()?;
    let wrong = |text: &str| Err(Problem::new(Code::Invalid, text));
    let token = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.len() <= 128 && text.bytes().all(fits)
    };
    if !token(&input.method) {
        return wrong("`method` is no method");
    }
    if !input.path.starts_with('/') || !input.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("`path` must begin with a slash and hold printable ASCII only");
    }
    for (name, value) in &input.headers {
        if !token(name) || value.contains(|c: char| c.is_control() && c != '\t') {
            return wrong("a header field's name or value cannot be sent");
        }
    }
    if let Some(listener) = &input.listener
        && !fits("name", listener)
    {
        return wrong("`listener` is no name");
    }
    Reply::json(&inner.host.playground(&input)?)
}
