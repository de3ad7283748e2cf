//! Incidents and postmortems: what people see of them, say and do about them.
//!
//! They are about everything that a gateway serves, so that who may see some teams only sees none.

use super::{bounded, clean, page_of};
use crate::api::Inner;
use crate::call::Call;
use crate::host::{IncidentBook, IncidentChange};
use crate::reply::{Answer, Reply, refused};
use gate_api::problem::{Code, Problem};
use gate_api::types::{
    ActionItemInput, GameDayInput, HypothesisInput, IncidentRoleInput, IncidentTextInput, Page,
    PostmortemInput, StandingInput,
};
use gate_store::control::NewAudit;
use serde::Serialize;

/// Most bytes of a text, of a name, and of all that people add to a postmortem.
const TEXT_MAX: usize = 8 << 10;
const NAME_MAX: usize = 256;
const POSTMORTEM_MAX: usize = 1 << 20;

/// The incidents that this caller may see.
fn book<'a>(inner: &'a Inner, call: &Call) -> Result<&'a dyn IncidentBook, Problem> {
    let book = inner.host.incidents();
    let book =
        book.ok_or_else(|| Problem::new(Code::NotSupported, "this gateway writes no incidents"))?;
    call.who.must_see(book.environment())?;
    match call.who.teams {
        None => Ok(book),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "incidents are about all teams, and this caller may see some only",
        )),
    }
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let limit = call.limit().min(999);
    let mut rows = book(inner, call)?.list(call.cursor_number()?, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(number, _)| crate::call::cursor(&number.to_string()));
    let items: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    Reply::json(&Page { items, next })
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.get(call.value(0))?)
}

pub(super) fn change(inner: &Inner, call: &Call) -> Answer {
    let book = book(inner, call)?;
    let change = wanted(call)?;
    let changed = book.change(call.value(0), &change)?;
    audit(inner, call, &call.body)?;
    Reply::json(&changed)
}

/// What a call wants to change.
fn wanted(call: &Call) -> Result<IncidentChange, Problem> {
    let text = |call: &Call| -> Result<IncidentTextInput, Problem> {
        let mut input: IncidentTextInput = call.json()?;
        input.text = said("text", &input.text, TEXT_MAX)?;
        Ok(input)
    };
    Ok(match call.operation.id {
        "setIncidentLife" => IncidentChange::Life(call.json()?),
        "assignIncidentRole" => {
            let mut input: IncidentRoleInput = call.json()?;
            input.who = said("who", &input.who, NAME_MAX)?;
            IncidentChange::Role(input)
        }
        "updateIncident" => IncidentChange::Update(text(call)?),
        "noteIncidentAction" => IncidentChange::Action(text(call)?),
        "addHypothesis" => {
            let mut input: HypothesisInput = call.json()?;
            input.text = said("text", &input.text, TEXT_MAX)?;
            IncidentChange::Hypothesis(input)
        }
        "planGameDay" => {
            let mut input: GameDayInput = call.json()?;
            input.plan = said("plan", &input.plan, NAME_MAX)?;
            bounded("objective", &input.objective, NAME_MAX)?;
            bounded("names", &input.names.concat(), TEXT_MAX)?;
            IncidentChange::Plan(input)
        }
        _ => {
            let input: StandingInput = call.json()?;
            IncidentChange::Standing(call.number(1)?, input)
        }
    })
}

/// A text that says something and is not too long.
fn said(name: &str, text: &str, bytes_max: usize) -> Result<String, Problem> {
    bounded(name, text, bytes_max)?;
    match text.trim() {
        "" => Err(Problem::new(
            Code::Invalid,
            format!("`{name}` says nothing"),
        )),
        text => Ok(clean(text)),
    }
}

pub(super) fn postmortem(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.postmortem(call.value(0))?)
}

pub(super) fn write_postmortem(inner: &Inner, call: &Call) -> Answer {
    let (book, id) = (book(inner, call)?, call.value(0));
    let written = match call.operation.id {
        "putPostmortem" => {
            let input: PostmortemInput = call.json()?;
            let text = serde_json::to_string(&input).unwrap_or_default();
            bounded("postmortem", &text, POSTMORTEM_MAX)?;
            for action in &input.actions {
                said("text", &action.text, TEXT_MAX / 2)?;
                said("team", &action.team, NAME_MAX)?;
            }
            book.write_postmortem(id, &input)?
        }
        _ => book.publish_postmortem(id)?,
    };
    audit(inner, call, b"")?;
    Reply::json(&written)
}

pub(super) fn action_items(inner: &Inner, call: &Call) -> Answer {
    let mut items = book(inner, call)?.action_items(call.parameter("state"))?;
    if let Some(team) = call.parameter("team") {
        items.retain(|item| item.team == team);
    }
    Reply::json(&page_of(call, items)?)
}

pub(super) fn set_action_item(inner: &Inner, call: &Call) -> Answer {
    let input: ActionItemInput = call.json()?;
    let book = book(inner, call)?;
    let items = book.set_action_item(call.value(0), call.number(1)?, input.state)?;
    audit(inner, call, &call.body)?;
    whole(items)
}

pub(super) fn game_days(inner: &Inner, call: &Call) -> Answer {
    let days = book(inner, call)?.game_days()?;
    Reply::json(&page_of(call, days)?)
}

pub(super) fn diagnose(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&book(inner, call)?.diagnose())
}

pub(super) fn status_pages(inner: &Inner, call: &Call) -> Answer {
    let pages = book(inner, call)?.status_pages()?;
    Reply::json(&page_of(call, pages)?)
}

fn whole<T: Serialize>(items: Vec<T>) -> Answer {
    Reply::json(&Page::whole(items))
}

/// Writes a change down, where there is a log to write to.
fn audit(inner: &Inner, call: &Call, detail: &[u8]) -> Result<(), Problem> {
    if !inner.has_environments() {
        return Ok(());
    }
    let line = NewAudit {
        actor: &call.who.actor,
        role: call.who.role.as_str(),
        action: call.operation.id,
        subject: &call.subject(),
        outcome: "done",
        detail: &String::from_utf8_lossy(detail),
    };
    let told = inner.store()?.audit(&line, inner.now_ms());
    told.map(|_| ()).map_err(refused)
}
