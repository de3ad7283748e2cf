//! Files and batches of callers, from the settings of the process to what runs them.

use crate::config::Secrets;
use gate_proxy::batches::{self, Running};
use gate_proxy::money::store::open_files;
use gate_proxy::process::Process;
use std::path::Path;
use std::sync::Arc;

/// Opens the folder of callers' files, where there is one, and runs the batches in it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn start(process: &Arc<Process>, folder: &Path) -> Result<Option<Running>, String> {
    let gateway = process.shared().snapshot.load().resources.gateway.clone();
    let Some(settings) = gateway.store else {
        return Ok(None);
    };
    let base = folder.to_owned();
    let open = move || open_files(&settings, &Secrets, &base);
    batches::start(process, folder, Box::new(open))
}
