//! Action items between the store, postmortems and the admin API.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use super::answer::time;
use gate_api::problem::{Code, Problem};
use gate_api::types as api;
use gate_model::units::Timestamp;
use gate_ops::incident::{Action, ActionState};
use gate_store::control::ActionRow;

pub(super) fn day(ms: u64) -> String {
    time(ms).chars().take(10).collect()
}

fn action_state(state: &str) -> api::ActionItemState {
    match state {
        "done" => api::ActionItemState::Done,
        "dropped" => api::ActionItemState::Dropped,
        _ => api::ActionItemState::Open,
    }
}

pub(super) fn action_of(row: &ActionRow) -> Action {
    Action {
        text: row.action.clone(),
        team: row.team.clone(),
        state: match action_state(&row.state) {
            api::ActionItemState::Open => ActionState::Open,
            api::ActionItemState::Done => ActionState::Done,
            api::ActionItemState::Dropped => ActionState::Dropped,
        },
        due_ms: row.due_ms.and_then(|due| u64::try_from(due).ok()),
    }
}

pub(super) fn action_item(row: &ActionRow) -> api::ActionItem {
    api::ActionItem {
        incident: row.incident.clone(),
        number: row.number,
        text: row.action.clone(),
        team: row.team.clone(),
        state: action_state(&row.state),
        due: row.due_ms.and_then(|due| u64::try_from(due).ok()).map(day),
    }
}

pub(super) fn action_row(input: &api::ActionInput) -> Result<ActionRow, Problem> {
    let due_ms = match &input.due {
        None => None,
        Some(day) => {
            let wrong = || {
                let text = format!("`{day}` is no day such as 2026-12-01");
                Problem::new(Code::Invalid, text)
            };
            let due: Timestamp = day.parse().map_err(|_| wrong())?;
            Some(i64::try_from(due.unix_s()).unwrap_or(i64::MAX / 1000) * 1000)
        }
    };
    Ok(ActionRow {
        action: input.text.clone(),
        team: input.team.clone(),
        state: input.state.as_str().to_owned(),
        due_ms,
        ..ActionRow::default()
    })
}
