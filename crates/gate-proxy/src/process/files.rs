//! The files of APIs' documents that are in force, which may not break callers in place.

use super::{Process, StartError};
use crate::versions::{self, Files, KeptFiles};
use gate_model::document::Document;
use gate_model::resources::Resources;
use std::sync::{Arc, PoisonError};

impl Process {
    /// The files of APIs' documents that are in force, by their names in the configuration; empty
    /// where they are too large to be remembered.
    #[must_use]
    pub fn files(&self) -> Arc<Files> {
        let files = self.files.lock();
        files.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn remember_files(&self, held: &Files) {
        let resources = self.shared.snapshot.load().resources.clone();
        let folder = &self.setup.folder;
        let source = KeptFiles::new(held, folder, &*self.setup.secrets);
        let files = versions::files(&source, folder, &resources).unwrap_or_default();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// The files that stay as they are, because they were overwritten with what breaks callers.
    pub(super) fn held(&self, document: &Document) -> Result<Files, StartError> {
        let known = self.files();
        if known.is_empty() {
            return Ok(Files::new());
        }
        let resources = Resources::read(document).map_err(StartError::Findings)?;
        let running = self.shared.snapshot.load().resources.clone();
        let (held, findings) = versions::held(
            &*self.setup.secrets,
            &self.setup.folder,
            (&running, &known),
            (&document.file, &resources),
            self.shared.clock.unix().as_secs(),
        );
        for finding in findings {
            tracing::error!(%finding, "the document of an API stays as it was");
        }
        Ok(held)
    }
}
