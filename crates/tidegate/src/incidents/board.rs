//! The public status page: made here, handed to the workers that serve it. What they have stays when
//! the store, or this thread, does not answer any more.

use super::{Shelf, answer};
use gate_api::types::StatusPreview;
use gate_ops::incident::{Incident, status, status_page};
use gate_proxy::process::Process;
use gate_proxy::target::status_page::StatusBoard;
use gate_store::control::{ControlError, IncidentQuery};

/// How often it is made anew where nothing changed: it says as of when it is.
const AGAIN_MS: u64 = 30_000;
/// Incidents that are looked at.
const INCIDENTS_MAX: usize = 200;
/// The heading where no route says one.
const USUAL: &str = "Status";

/// What was last made.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// The desk's version and the headings that it was made of.
    made: Option<(u64, Vec<String>)>,
    again_ms: u64,
}

impl Board {
    /// Makes the pages anew where that is due.
    ///
    /// # Errors
    /// Where the store failed; the pages stay as they were then.
    pub(super) fn show(
        &mut self,
        process: &Process,
        shelf: &Shelf,
        version: u64,
        now_ms: u64,
    ) -> Result<(), ControlError> {
        let boards = process.shared().state.all::<StatusBoard>();
        let titles: Vec<String> = boards.iter().map(|(title, _)| title.clone()).collect();
        let wanted = Some((version, titles));
        if boards.is_empty() || (self.made == wanted && now_ms < self.again_ms) {
            return Ok(());
        }
        let incidents = published(shelf)?;
        let incidents: Vec<&Incident> = incidents.iter().collect();
        for (title, board) in boards {
            let page = status_page(&title, &incidents, now_ms);
            let json = serde_json::json!(page).to_string();
            board.set(status(&page), json);
        }
        self.made = wanted;
        self.again_ms = now_ms + AGAIN_MS;
        Ok(())
    }
}

/// Incidents that something was published about.
fn published(shelf: &Shelf) -> Result<Vec<Incident>, ControlError> {
    if shelf.is_untouched() {
        return Ok(Vec::new());
    }
    let query = IncidentQuery {
        environment: &shelf.environment,
        limit: INCIDENTS_MAX,
        ..IncidentQuery::default()
    };
    let rows = shelf.ask(|store| store.incidents(&query))?;
    let all = rows.iter().filter_map(answer::read);
    Ok(all.filter(|one| !one.updates.is_empty()).collect())
}

/// The pages that routes serve, or what one would say.
///
/// # Errors
/// Where the store failed.
pub(super) fn preview(
    process: &Process,
    shelf: &Shelf,
    now_ms: u64,
) -> Result<Vec<StatusPreview>, ControlError> {
    let boards = process.shared().state.all::<StatusBoard>();
    let incidents = published(shelf)?;
    let incidents: Vec<&Incident> = incidents.iter().collect();
    let page = |title: &str, is_served: bool| StatusPreview {
        title: title.to_owned(),
        html: status(&status_page(title, &incidents, now_ms)),
        is_served,
    };
    let served = boards.iter().map(|(title, _)| page(title, true));
    let served: Vec<StatusPreview> = served.collect();
    Ok(match served.is_empty() {
        true => vec![page(USUAL, false)],
        false => served,
    })
}
