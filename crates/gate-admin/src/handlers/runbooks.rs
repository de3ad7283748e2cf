//! Runbooks, their runs, and actions in force.
//!
//! They are about everything that a gateway serves, so that who may see some teams only sees none.

use super::{bounded, clean};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use crate::runbooks::{Asker, RunChange, RunbookBook};
use gate_api::problem::{Code, Problem};
use gate_api::types::{ActInput, AnswerInput, Page, ReasonInput, RunInput};

/// Most bytes of a reason, and of a key or an answer.
const REASON_MAX: usize = 1_024;
const NAME_MAX: usize = 256;

fn book<'a>(inner: &'a Inner, call: &Call) -> Result<&'a dyn RunbookBook, Problem> {
    let book = inner.host.runbooks();
    let book =
        book.ok_or_else(|| Problem::new(Code::NotSupported, "this gateway runs no runbooks"))?;
    call.who.must_see(book.environment())?;
    match call.who.teams {
        None => Ok(book),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "runbooks are about all teams, and this caller may see some only",
        )),
    }
}

fn asker<'a>(call: &'a Call) -> Asker<'a> {
    Asker {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
    }
}

fn line(name: &str, text: &str, most: usize) -> Result<String, Problem> {
    bounded(name, text, most)?;
    match text.contains(char::is_control) {
        true => Err(Problem::new(Code::Invalid, format!("`{name}` is one line"))),
        false => Ok(clean(text)),
    }
}

fn reason(call: &Call) -> Result<String, Problem> {
    let input: ReasonInput = call.json()?;
    line("reason", &input.reason, REASON_MAX)
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&super::page_of(call, book(inner, call)?.runbooks()?)?)
}

pub(super) fn start(inner: &Inner, call: &Call) -> Answer {
    let mut input: RunInput = call.json()?;
    input.reason = line("reason", &input.reason, REASON_MAX)?;
    if let Some(key) = &input.key {
        input.key = Some(line("key", key, NAME_MAX)?);
    }
    Reply::json(&book(inner, call)?.start(call.value(0), &input, asker(call))?)
}

pub(super) fn runs(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(999);
    let runbook = call.owned("runbook").unwrap_or_default();
    let mut rows = book(inner, call)?.runs(&runbook, call.cursor_number()?, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(number, _)| crate::call::cursor(&number.to_string()));
    let items: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    Reply::json(&Page { items, next })
}

pub(super) fn run(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.run(call.value(0))?)
}

pub(super) fn change(inner: &Inner, call: &Call) -> Answer {
    let change = match call.operation.id {
        "approveRun" => RunChange::Approve(reason(call)?),
        "cancelRun" => RunChange::Cancel(reason(call)?),
        _ => {
            let input: AnswerInput = call.json()?;
            RunChange::Answer(line("answer", &input.answer, NAME_MAX)?)
        }
    };
    Reply::json(&book(inner, call)?.change(call.value(0), &change, asker(call))?)
}

pub(super) fn actions(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&super::page_of(call, book(inner, call)?.actions()?)?)
}

pub(super) fn act(inner: &Inner, call: &Call) -> Answer {
    let mut input: ActInput = call.json()?;
    input.reason = line("reason", &input.reason, REASON_MAX)?;
    if input.reason.trim().is_empty() {
        return Err(Problem::new(Code::Invalid, "`reason` says why"));
    }
    Reply::json(&book(inner, call)?.act(&input, asker(call))?)
}

pub(super) fn undo(inner: &Inner, call: &Call) -> Answer {
    let reason = reason(call)?;
    let left = book(inner, call)?.undo(call.value(0), &reason, asker(call))?;
    Reply::json(&Page::whole(left))
}
