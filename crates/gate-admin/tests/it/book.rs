//! Incidents of a process that has had one: what the operations about them are tried on.

use gate_admin::{IncidentBook, IncidentChange};
use gate_api::problem::{Code, Problem};
use gate_api::types::{
    ActionItem, ActionItemState, Diagnosis, IncidentDetail, IncidentSummary, Postmortem,
    PostmortemInput, StatusPreview,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The id of the one incident.
pub(crate) const INCIDENT: &str = "inc-1";

pub(crate) struct Book;

fn made<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what travels is what the API describes")
}

fn one<T>(id: &str, of: impl FnOnce() -> T) -> Result<T, Problem> {
    match id {
        INCIDENT => Ok(of()),
        _ => Err(Problem::new(Code::NotFound, "there is no such incident")),
    }
}

fn summary() -> IncidentSummary {
    made(json!({
        "id": INCIDENT, "life": "detected", "headline": "revision 2 was taken back",
        "opening": "rollback", "began": "2026-11-22T00:00:00Z", "opened": "2026-11-22T00:00:02Z",
        "objectives": [], "routes": ["orders"], "revisions": ["2"], "signals": 1, "total": 100,
        "bad": 3, "consumers": 1, "budget_spent": 0.1, "cost": "0",
    }))
}

fn detail() -> IncidentDetail {
    made(json!({ "incident": summary(), "is_durable": true }))
}

fn written(input: &PostmortemInput) -> Postmortem {
    made(json!({
        "incident": INCIDENT, "state": "draft", "narrative": input,
        "markdown": "# revision 2 was taken back\n", "html": "<!doctype html>", "objections": [],
    }))
}

impl IncidentBook for Book {
    fn game_days(&self) -> Result<Vec<gate_api::types::GameDay>, Problem> {
        Ok(Vec::new())
    }

    fn environment(&self) -> &str {
        "staging"
    }

    fn list(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, IncidentSummary)>, Problem> {
        let rows = [(1, summary())].into_iter();
        let rows = rows.filter(|(number, _)| before.is_none_or(|before| *number < before));
        Ok(rows.take(limit).collect())
    }

    fn get(&self, id: &str) -> Result<IncidentDetail, Problem> {
        one(id, detail)
    }

    fn change(&self, id: &str, change: &IncidentChange) -> Result<IncidentDetail, Problem> {
        match change {
            IncidentChange::Standing(number, _) if *number != 1 => {
                Err(Problem::new(Code::NotFound, "there is no such hypothesis"))
            }
            _ => one(id, detail),
        }
    }

    fn postmortem(&self, id: &str) -> Result<Postmortem, Problem> {
        one(id, || written(&PostmortemInput::default()))
    }

    fn write_postmortem(&self, id: &str, input: &PostmortemInput) -> Result<Postmortem, Problem> {
        one(id, || written(input))
    }

    fn publish_postmortem(&self, id: &str) -> Result<Postmortem, Problem> {
        self.postmortem(id)
    }

    fn action_items(&self, _: Option<&str>) -> Result<Vec<ActionItem>, Problem> {
        Ok(Vec::new())
    }

    fn set_action_item(
        &self,
        id: &str,
        _: u64,
        _: ActionItemState,
    ) -> Result<Vec<ActionItem>, Problem> {
        one(id, Vec::new)
    }

    fn diagnose(&self) -> Diagnosis {
        made(json!({
            "at": "2026-11-22T00:00:10Z", "from": "2026-11-22T00:00:00Z",
            "until": "2026-11-22T00:00:10Z", "answer": "Nothing fails.",
        }))
    }

    fn status_pages(&self) -> Result<Vec<StatusPreview>, Problem> {
        Ok(vec![made(json!({
            "title": "Status", "html": "<!doctype html>", "is_served": true,
        }))])
    }
}
