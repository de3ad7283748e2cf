//! Runbooks of a process with one run and one action: what the operations about them are tried on.

use gate_admin::{Asker, RunChange, RunbookBook};
use gate_api::problem::{Code, Problem};
use gate_api::types::{ActInput, ActState, RunDetail, RunInput, RunSummary, RunbookState};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const RUNBOOK: &str = "eject";
const RUN: &str = "run-1";
const ACTION: &str = "act-1";

pub(crate) struct Runbooks;

fn made<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what travels is what the API describes")
}

fn known(id: &str, known: &str) -> Result<(), Problem> {
    match id == known {
        true => Ok(()),
        false => Err(Problem::new(Code::NotFound, format!("there is no `{id}`"))),
    }
}

fn summary() -> RunSummary {
    made(json!({
        "id": RUN, "runbook": RUNBOOK, "state": "done", "is_over": true, "cause": "by ann",
        "dry_run": false, "began": "2026-11-22T00:00:00Z", "ended": "2026-11-22T00:00:05Z",
    }))
}

fn detail() -> RunDetail {
    made(json!({
        "run": summary(), "key": "k", "steps": ["take-out"], "done": 1,
        "lines": [{ "at": "2026-11-22T00:00:00Z", "of": "start", "text": "started by ann" }],
    }))
}

fn action() -> ActState {
    made(json!({
        "id": ACTION, "action": { "freeze": {} }, "text": "freeze changes of everything",
        "since": "2026-11-22T00:00:00Z", "until": "2026-11-22T01:00:00Z", "by": "ann",
        "reason": "a test", "run": null,
    }))
}

impl RunbookBook for Runbooks {
    fn environment(&self) -> &str {
        "staging"
    }

    fn runbooks(&self) -> Result<Vec<RunbookState>, Problem> {
        let one = json!({ "name": RUNBOOK, "about": "takes it out", "last": summary() });
        Ok(vec![made(one)])
    }

    fn runs(
        &self,
        runbook: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, RunSummary)>, Problem> {
        let rows = [(1, summary())].into_iter();
        let rows = rows.filter(|(number, _)| before.is_none_or(|before| *number < before));
        let rows = rows.filter(|_| runbook.is_empty() || runbook == RUNBOOK);
        Ok(rows.take(limit).collect())
    }

    fn run(&self, id: &str) -> Result<RunDetail, Problem> {
        known(id, RUN).map(|()| detail())
    }

    fn start(&self, name: &str, _: &RunInput, _: Asker<'_>) -> Result<RunDetail, Problem> {
        known(name, RUNBOOK).map(|()| detail())
    }

    fn change(&self, id: &str, _: &RunChange, _: Asker<'_>) -> Result<RunDetail, Problem> {
        known(id, RUN).map(|()| detail())
    }

    fn actions(&self) -> Result<Vec<ActState>, Problem> {
        Ok(vec![action()])
    }

    fn act(&self, input: &ActInput, by: Asker<'_>) -> Result<ActState, Problem> {
        Ok(ActState {
            action: input.action.clone(),
            text: input.action.in_words(),
            by: by.actor.to_owned(),
            reason: input.reason.clone(),
            ..action()
        })
    }

    fn undo(&self, id: &str, _: &str, _: Asker<'_>) -> Result<Vec<ActState>, Problem> {
        known(id, ACTION).map(|()| Vec::new())
    }
}
