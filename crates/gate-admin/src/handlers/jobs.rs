//! Jobs.
//!
//! A job may be made for any consumer, so that who may see some teams only sees none.

use super::{bounded, clean};
use crate::api::Inner;
use crate::call::Call;
use crate::jobs::JobBook;
use crate::reply::{Answer, Reply};
use crate::runbooks::Asker;
use gate_api::problem::{Code, Problem};
use gate_api::types::{JobInput, Page};

/// Most bytes of a name or a key.
const NAME_MAX: usize = 256;

fn book<'a>(inner: &'a Inner, call: &Call) -> Result<&'a dyn JobBook, Problem> {
    let book = inner.host.jobs();
    let book = book.ok_or_else(|| {
        Problem::new(
            Code::NotSupported,
            "jobs are kept in a store, which this gateway has not",
        )
    })?;
    call.who.must_see(book.environment())?;
    match call.who.teams {
        None => Ok(book),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "jobs are about all teams, and this caller may see some only",
        )),
    }
}

fn asker<'a>(call: &'a Call) -> Asker<'a> {
    Asker {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
    }
}

fn line(name: &str, text: &str) -> Result<String, Problem> {
    bounded(name, text, NAME_MAX)?;
    match text.contains(char::is_control) {
        true => Err(Problem::new(Code::Invalid, format!("`{name}` is one line"))),
        false => Ok(clean(text)),
    }
}

pub(super) fn submit(inner: &Inner, call: &Call) -> Answer {
    let mut input: JobInput = call.json()?;
    input.name = line("name", &input.name)?;
    input.key = line("key", &input.key)?;
    input.queue = line("queue", &input.queue)?;
    Reply::json(&book(inner, call)?.submit(&input, asker(call))?)
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(999);
    let queue = call.owned("queue").unwrap_or_default();
    let open = call.owned("open").is_some_and(|open| open == "true");
    let mut rows = book(inner, call)?.jobs(&queue, open, call.cursor_number()?, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(number, _)| crate::call::cursor(&number.to_string()));
    let items: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    Reply::json(&Page { items, next })
}

pub(super) fn batches(inner: &Inner, call: &Call) -> Answer {
    let open = call.owned("open").is_some_and(|open| open == "true");
    let items = book(inner, call)?.batches(open, call.limit().min(1_000))?;
    Reply::json(&Page { items, next: None })
}

pub(super) fn job(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.job(call.value(0))?)
}

pub(super) fn wish(inner: &Inner, call: &Call) -> Answer {
    let wish = match call.operation.id {
        "pauseJob" => "pause",
        "resumeJob" => "resume",
        _ => "cancel",
    };
    Reply::json(&book(inner, call)?.wish(call.value(0), wish, asker(call))?)
}

pub(super) fn results(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().clamp(1, 1_000);
    let from = call.cursor_number()?.unwrap_or(0);
    let from = u32::try_from(from).unwrap_or(u32::MAX);
    let items = book(inner, call)?.results(call.value(0), from, limit)?;
    // Fewer may come where they are long, so that only nothing is the end.
    let next = items
        .last()
        .map(|last| crate::call::cursor(&(last.item + 1).to_string()));
    Reply::json(&Page { items, next })
}
