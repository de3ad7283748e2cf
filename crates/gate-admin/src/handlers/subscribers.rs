//! Subscribers and the events that they are told of.
//!
//! Events may be about anybody, so that who may see some teams only sees none.

use super::{bounded, clean};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use crate::{Asker, SubscriberBook};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Page, ReasonInput, RedriveInput, Redriven, ReplayInput};

/// Most bytes of a reason.
const REASON_MAX: usize = 1_024;

fn book<'a>(inner: &'a Inner, call: &Call) -> Result<&'a dyn SubscriberBook, Problem> {
    let book = inner.host.subscribers();
    let book = book.ok_or_else(|| {
        let text = "this gateway has no `gateway.store`, and so no journal of events";
        Problem::new(Code::NotSupported, text)
    })?;
    call.who.must_see(book.environment())?;
    match call.who.teams {
        None => Ok(book),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "events are about all teams, and this caller may see some only",
        )),
    }
}

fn asker<'a>(call: &'a Call) -> Asker<'a> {
    Asker {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
    }
}

fn reason(text: &str) -> Result<String, Problem> {
    bounded("reason", text, REASON_MAX)?;
    match text.contains(char::is_control) {
        true => Err(Problem::new(Code::Invalid, "`reason` is one line")),
        false => Ok(clean(text)),
    }
}

fn number(call: &Call, name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = call.owned(name) else {
        return Ok(None);
    };
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| Problem::new(Code::Invalid, format!("`{name}` is a number")))
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&super::page_of(call, book(inner, call)?.subscribers()?)?)
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.subscriber(call.value(0))?)
}

pub(super) fn hold(inner: &Inner, call: &Call) -> Answer {
    let input: ReasonInput = call.json()?;
    let is_paused = call.operation.id == "pauseSubscriber";
    let reason = reason(&input.reason)?;
    Reply::json(&book(inner, call)?.hold(call.value(0), is_paused, &reason, asker(call))?)
}

pub(super) fn dead_letters(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(999);
    let before = call.cursor_number()?;
    let mut rows = book(inner, call)?.dead_letters(call.value(0), before, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|row| crate::call::cursor(&row.place.to_string()));
    Reply::json(&Page { items: rows, next })
}

pub(super) fn redrive(inner: &Inner, call: &Call) -> Answer {
    let input: RedriveInput = call.json()?;
    let chosen = [input.place.is_some(), input.since.is_some(), input.all];
    if chosen.iter().filter(|one| **one).count() != 1 {
        let text = "one of `place`, `since` and `all` says which dead letters";
        return Err(Problem::new(Code::Invalid, text));
    }
    let count = book(inner, call)?.redrive(call.value(0), &input, asker(call))?;
    Reply::json(&Redriven { count })
}

pub(super) fn replay(inner: &Inner, call: &Call) -> Answer {
    let mut input: ReplayInput = call.json()?;
    input.reason = reason(&input.reason)?;
    if input.from.is_some() == input.since.is_some() {
        let text = "one of `from` and `since` says where it begins";
        return Err(Problem::new(Code::Invalid, text));
    }
    Reply::json(&book(inner, call)?.replay(call.value(0), &input, asker(call))?)
}

pub(super) fn cancel_replay(inner: &Inner, call: &Call) -> Answer {
    let number = call.value(1).parse();
    let number = number.map_err(|_| Problem::new(Code::NotFound, "there is no such replay"))?;
    Reply::json(&book(inner, call)?.cancel_replay(call.value(0), number, asker(call))?)
}

pub(super) fn events(inner: &Inner, call: &Call) -> Answer {
    let kind = call.owned("type").unwrap_or_default();
    let is_newest = call.owned("newest").is_some_and(|flag| flag == "true");
    let after = match is_newest {
        true => None,
        false => Some(number(call, "after")?.unwrap_or(0)),
    };
    let (items, place) = book(inner, call)?.events(after, &kind, call.limit().min(1_000))?;
    let next = Some(place.to_string());
    Reply::json(&Page { items, next })
}
