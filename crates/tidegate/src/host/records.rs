//! Recent records, as the admin API shows them.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use gate_admin::RecordQuery;
use gate_api::problem::{Code, Problem};
use gate_api::types::{Page, RecordDetail, RecordSummary};
use gate_proxy::process::Process;
use gate_proxy::record::recent::search::{self, Query};
use std::io;
use std::path::PathBuf;

/// Some records, the newest first.
pub(super) fn list(process: &Process, query: &RecordQuery) -> Result<Page<RecordSummary>, Problem> {
    let status = query.status.as_deref().map(|text| {
        let message = format!("`{text}` is neither a status nor a class such as `5xx`");
        Query::statuses(text).ok_or_else(|| Problem::new(Code::Invalid, message))
    });
    let query = Query {
        route: query.route.clone(),
        status: status.transpose()?,
        consumer: query.consumer.clone(),
        teams: query.teams.clone(),
        revision: query.revision,
        trace: query.trace.clone(),
        model: query.model.clone(),
        from_ms: query.from_ms,
        until_ms: query.until_ms,
        cursor: query.cursor.clone(),
        limit: query.limit,
        ..Query::default()
    };
    search::search(&folder(process)?, &query).map_err(failed)
}

/// One record.
pub(super) fn get(process: &Process, id: &str) -> Result<Option<RecordDetail>, Problem> {
    search::get(&folder(process)?, id).map_err(failed)
}

fn folder(process: &Process) -> Result<PathBuf, Problem> {
    let folder = process.shared().readers.records_folder();
    folder.ok_or_else(|| {
        let message = "this gateway keeps no records: set `gateway.records`";
        Problem::new(Code::NotSupported, message)
    })
}

fn failed(error: io::Error) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::InvalidInput => Code::Invalid,
        _ => Code::Internal,
    };
    Problem::new(code, format!("records cannot be read: {error}"))
}
