//! What each operation does. One file per group; [`handle`] is the list.
//!
//! A handler runs on one of the API's own threads, with a caller whose role is enough for the
//! operation. Limits to environments, teams and states are the handlers' to keep.

pub(crate) mod caches;
mod changes;
mod delivery;
mod environments;
pub(crate) mod experiments;
mod firewall;
mod forget;
mod history;
mod incidents;
mod jobs;
mod lifecycle;
mod meaning;
mod notices;
mod objectives;
mod provenance;
mod queries;
mod resources;
mod rollouts;
mod runbooks;
mod session;
mod states;
mod subscribers;
mod terraform;
mod traffic;

use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::Page;
use serde::Serialize;

/// Handles a call.
pub(crate) fn handle(inner: &Inner, call: &Call) -> Answer {
    match call.operation.id {
        "me" => session::me(inner, call),
        "signInMeans" => session::means(inner, call),
        "beginSignIn" => session::begin(inner, call),
        "finishSignIn" => session::finish(inner, call),
        "signIn" => session::sign_in(inner, call),
        "signOut" => session::sign_out(inner, call),
        "listEnvironments" => environments::list(inner, call),
        "getEnvironment" => environments::get(inner, call),
        "putEnvironment" => environments::put(inner, call),
        "deleteEnvironment" => environments::delete(inner, call),
        "listResources" => resources::list(inner, call),
        "getResource" => resources::get(inner, call),
        "putResource" => resources::put(inner, call),
        "deleteResource" => resources::delete(inner, call),
        "plan" => changes::plan(inner, call),
        "apply" => changes::apply(inner, call),
        "rollback" => lifecycle::rollback(inner, call),
        "promote" => lifecycle::promote(inner, call),
        "confirm" => lifecycle::confirm(inner, call),
        "lock" => lifecycle::lock(inner, call),
        "unlock" => lifecycle::unlock(inner, call),
        "listRevisions" => history::revisions(inner, call),
        "getRevision" => history::revision(inner, call),
        "getDocument" => history::document(inner, call),
        "diff" => history::diff(inner, call),
        "listAudit" => history::audit(inner, call),
        "verifyAudit" => history::verify(inner, call),
        "listAcks" => rollouts::acks(inner, call),
        "listRollouts" => rollouts::list(inner, call),
        "getRollout" => rollouts::get(inner, call),
        "promoteRollout" | "rollBackRollout" => rollouts::end(inner, call),
        "holdRollout" | "resumeRollout" => rollouts::steer(inner, call),
        "live" => traffic::live(inner, call),
        "listRecords" => traffic::records(inner, call),
        "getRecord" => traffic::record(inner, call),
        "query" => queries::query(inner, call),
        "listQueries" => queries::list(inner, call),
        "runQuery" => queries::run(inner, call),
        "listDataProducts" => queries::products(inner, call),
        "listUsage" => traffic::usage(inner, call),
        "listSpendSuspicions" => traffic::suspicions(inner, call),
        "listVersions" => traffic::versions(inner, call),
        "listBudgets" => traffic::budgets(inner, call),
        "listObjectives" => objectives::list(inner, call),
        "getObjective" => objectives::get(inner, call),
        "getGate" => objectives::gate(inner, call),
        "freeze" => objectives::freeze(inner, call),
        "thaw" => objectives::thaw(inner, call),
        "override" => objectives::allow(inner, call),
        "listProviders" => traffic::providers(inner, call),
        "listCaches" => caches::list(inner, call),
        "purgeCaches" => caches::purge(inner, call),
        "listForgotten" => forget::list(inner, call),
        "forget" => forget::begin(inner, call),
        "listIncidents" => incidents::list(inner, call),
        "getIncident" => incidents::get(inner, call),
        "setIncidentLife" | "assignIncidentRole" | "updateIncident" | "noteIncidentAction"
        | "addHypothesis" | "weighHypothesis" | "planGameDay" => incidents::change(inner, call),
        "listGameDays" => incidents::game_days(inner, call),
        "getPostmortem" => incidents::postmortem(inner, call),
        "putPostmortem" | "publishPostmortem" => incidents::write_postmortem(inner, call),
        "listActionItems" => incidents::action_items(inner, call),
        "setActionItem" => incidents::set_action_item(inner, call),
        "diagnose" => incidents::diagnose(inner, call),
        "statusPages" => incidents::status_pages(inner, call),
        "listExperiments" => experiments::list(inner, call),
        "stopExperiment" => experiments::stop(inner, call),
        "listWafMatches" => firewall::matches(inner, call),
        "listWafSuggestions" => firewall::suggestions(inner, call),
        "playground" => traffic::playground(inner, call),
        "schema" => Ok(Reply::json_text(gate_api::schema())),
        "openapi" => Ok(Reply::json_text(gate_api::openapi::description())),
        "listStates" => states::list(inner, call),
        "listStateVersions" => states::versions(inner, call),
        "restoreState" => states::restore(inner, call),
        "unlockState" => states::unlock(inner, call),
        "getState" => terraform::get(inner, call),
        "putState" => terraform::put(inner, call),
        "deleteState" => terraform::delete(inner, call),
        "lockState" => terraform::lock(inner, call),
        "releaseState" => terraform::unlock(inner, call),
        _ => operate(inner, call),
    }
}

/// Handles a call about how the gateway is operated.
fn operate(inner: &Inner, call: &Call) -> Answer {
    match call.operation.id {
        "notices" => notices::get(inner, call),
        "raiseAlert" => notices::raise(inner, call),
        "acknowledgeNotice" => notices::acknowledge(inner, call),
        "testReceiver" => notices::test(inner, call),
        "listSilences" => notices::silences(inner, call),
        "addSilence" => notices::silence(inner, call),
        "endSilence" => notices::end(inner, call),
        "dora" => delivery::dora(inner, call),
        "reportDeployment" | "reportDeploymentFrom" => delivery::report(inner, call),
        "listForecasts" => delivery::forecasts(inner, call),
        "submitJob" => jobs::submit(inner, call),
        "listJobs" => jobs::list(inner, call),
        "getJob" => jobs::job(inner, call),
        "pauseJob" | "resumeJob" | "cancelJob" => jobs::wish(inner, call),
        "listBatches" => jobs::batches(inner, call),
        "listJobResults" => jobs::results(inner, call),
        "listRunbooks" => runbooks::list(inner, call),
        "startRun" => runbooks::start(inner, call),
        "listRuns" => runbooks::runs(inner, call),
        "getRun" => runbooks::run(inner, call),
        "approveRun" | "answerRun" | "cancelRun" => runbooks::change(inner, call),
        "listActions" => runbooks::actions(inner, call),
        "act" => runbooks::act(inner, call),
        "undoAction" => runbooks::undo(inner, call),
        "listSubscribers" => subscribers::list(inner, call),
        "getSubscriber" => subscribers::get(inner, call),
        "pauseSubscriber" | "resumeSubscriber" => subscribers::hold(inner, call),
        "listDeadLetters" => subscribers::dead_letters(inner, call),
        "redriveDeadLetters" => subscribers::redrive(inner, call),
        "replaySubscriber" => subscribers::replay(inner, call),
        "cancelReplay" => subscribers::cancel_replay(inner, call),
        "listEvents" => subscribers::events(inner, call),
        // The watch is answered before it comes here.
        other => Err(Problem::new(
            Code::Internal,
            format!("operation `{other}` has no handler"),
        )),
    }
}

/// A page out of one row more than was asked for; `after` says what a row's cursor is.
fn page<T: Serialize>(mut rows: Vec<T>, limit: usize, after: impl Fn(&T) -> String) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more);
    let next = next.map(|row| crate::call::cursor(&after(row)));
    Page { items: rows, next }
}

/// A page of a list that is at hand as a whole; the cursor is how many rows were passed.
fn page_of<T: Serialize>(call: &Call, rows: Vec<T>) -> Result<Page<T>, Problem> {
    let passed = call.cursor_number()?.unwrap_or(0);
    let passed = usize::try_from(passed).unwrap_or(usize::MAX);
    let limit = call.limit();
    let more = rows.len() > passed.saturating_add(limit);
    let items = rows.into_iter().skip(passed).take(limit).collect();
    let next = more.then(|| crate::call::cursor(&(passed + limit).to_string()));
    Ok(Page { items, next })
}

/// A random identity for a change or a rollout.
fn random_id() -> Result<String, Problem> {
    let bytes = gate_kit::random::secret::<16>()
        .map_err(|_| Problem::new(Code::Internal, "the system gives no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Text that both databases keep: PostgreSQL has no NUL in its texts.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn not_found(what: impl std::fmt::Display) -> Problem {
    Problem::new(Code::NotFound, format!("there is no {what}"))
}

/// Refuses longer texts than are kept.
fn bounded(name: &str, text: &str, bytes_max: usize) -> Result<(), Problem> {
    match text.len() <= bytes_max {
        true => Ok(()),
        false => Err(Problem::new(
            Code::Invalid,
            format!(
                "`{name}` has {} bytes; at most {bytes_max} are kept",
                text.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use gate_api::openapi::OPERATIONS;

    #[test]
    fn every_operation_has_a_handler() {
        let source = include_str!("mod.rs");
        for operation in OPERATIONS.iter().filter(|one| one.id != "watch") {
            let named = format!("\"{}\"", operation.id);
            assert!(source.contains(&named), "{}", operation.id);
        }
    }
}
