//! Opening the control plane's store, as often as it takes.

use crate::config::{self, Secrets};
use gate_model::document::Document;
use gate_model::resources::{Gateway, Resources, StoreEngine};
use gate_proxy::money;
use gate_store::StoreError;
use gate_store::control::ControlStore;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens a connection of its own to the control plane's store; blocks, with limits.
pub(crate) type OpenStore =
    Arc<dyn Fn() -> Result<Box<dyn ControlStore>, StoreError> + Send + Sync>;

/// How the store that `gateway.store` names is opened; `None` where there is none.
pub(crate) fn opener(gateway: &Gateway, folder: &Path) -> Option<OpenStore> {
    let settings = gateway.store.clone()?;
    let folder = folder.to_owned();
    Some(Arc::new(move || {
        money::store::open_control(&settings, &Secrets, &folder)
    }))
}

/// The settings of the process in its file.
///
/// # Errors
/// What is wrong with them, for people.
pub(super) fn gateway(file: &Document) -> Result<Gateway, String> {
    match Resources::read(file) {
        Ok(resources) => Ok(resources.gateway),
        Err(findings) => {
            let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
    }
}

/// Where the last good revision is kept: as configured, or beside the SQLite file.
pub(super) fn last_good(gateway: &Gateway, file: &Path) -> PathBuf {
    let folder = config::folder(file);
    match (
        &gateway.last_good,
        gateway.store.as_ref().map(|s| &s.engine),
    ) {
        (Some(path), _) => folder.join(path),
        (None, Some(StoreEngine::Sqlite { path })) => {
            folder.join(path).with_file_name("last-good.json")
        }
        // Such a file is refused before it comes here.
        (None, _) => folder.join("last-good.json"),
    }
}
