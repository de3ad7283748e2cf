//! What of kept files and batches can be known not to work.

use super::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;

/// Checks `gateway.files` against the rest of the document.
pub(super) fn check(work: &mut Work<'_>) {
    let resources = work.resources;
    let gateway = &resources.gateway;
    let Some(files) = &gateway.files else { return };
    let path = Path::root().key("gateway").key("files");
    // A process that follows an environment has its store in its own file, which is merged in here.
    if gateway.store.is_none() {
        let message = "files and batches need `gateway.store`, where what is known of them is kept";
        let finding = Finding::error("store_missing", path.clone(), message);
        let help = "add `gateway: { store: { engine: { sqlite: { path: ledger.db } } } }`";
        work.report(finding.help(help));
    }
    if files.queue != "default" && !resources.queues.contains_key(&files.queue) {
        let message = format!("there is no queue `{}`", files.queue);
        work.report(Finding::error("missing_queue", path.key("queue"), message));
    }
    if files.keep.is_zero() {
        let message = "files that are kept for no time could not be used";
        work.report(Finding::error("invalid_range", path.key("keep"), message));
    }
}
