//! What an environment says is to be served, and putting it into force.
//!
//! The process's own file and the environment's revision change at different times; whichever
//! changes, both are put together and applied as one document. The lock is held over an apply, on
//! threads that may block only.

use super::last_good;
use gate_model::document::{Document, Node, Path};
use gate_model::environment;
use gate_model::finding::Finding;
use gate_model::resources::{Gateway, History};
use gate_proxy::process::{Process, RevisionName, StartError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A revision as an environment holds it. The text is kept, not the tree, because it is needed
/// again only when the file or a secret changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its number and digest.
    pub revision: RevisionName,
    /// What `${vars.NAME}` stands for in the environment.
    pub variables: BTreeMap<String, String>,
    /// The resources as canonical JSON.
    pub document: String,
}

impl Content {
    /// The resources with variables in place, ready to be put beside a `gateway`.
    ///
    /// # Errors
    /// What is wrong with it as a source; its policies and references are not looked at.
    pub(crate) fn resolve(&self, environment: &str) -> Result<Document, Vec<Finding>> {
        let number = self.revision.number;
        let origin = format!("revision {number} of {environment}");
        resolve(&self.document, &self.variables, &origin)
    }
}

/// Canonical JSON with variables in place.
///
/// # Errors
/// What is wrong with it as a source.
pub(crate) fn resolve(
    json: &str,
    variables: &BTreeMap<String, String>,
    origin: &str,
) -> Result<Document, Vec<Finding>> {
    let resources: Node = serde_json::from_str(json).map_err(|error| {
        let path = Path::root();
        let message = format!("the document cannot be read: {error}");
        vec![Finding::error("invalid_document", path, message).in_file(&origin.into())]
    })?;
    environment::resolve(resources, variables, origin)
}

/// An environment that this process follows.
pub(crate) struct Followed {
    /// Its name.
    pub environment: String,
    /// What this process is called in acknowledgements.
    pub instance: String,
    last_good: PathBuf,
    state: Mutex<State>,
    /// Whether a secret has changed since the last revision that says so.
    rotated: AtomicBool,
}

struct State {
    /// The process's own file.
    file: Document,
    /// What is in force; `None` before the first revision.
    content: Option<Arc<Content>>,
}

impl Followed {
    /// The environment of a file whose process runs on `content`.
    pub(crate) fn new(
        environment: &str,
        file: Document,
        last_good: PathBuf,
        content: Option<Arc<Content>>,
    ) -> Self {
        Self {
            environment: environment.to_owned(),
            instance: super::instance(),
            last_good,
            state: Mutex::new(State { file, content }),
            rotated: AtomicBool::new(false),
        }
    }

    /// Notes that a secret has changed, for whoever leads.
    pub(crate) fn rotated(&self) {
        self.rotated.store(true, Ordering::Release);
    }

    /// Whether a secret has changed; told once.
    pub(super) fn take_rotated(&self) -> bool {
        self.rotated.swap(false, Ordering::AcqRel)
    }

    /// What of the past the process's own file says is kept; nothing where it names no store.
    pub(super) fn history(&self) -> Option<History> {
        let path = Path::root().key("gateway");
        let gateway: Option<Gateway> = self.lock().file.read(&path).ok();
        gateway?.store.map(|store| store.history)
    }

    /// What is in force.
    pub(crate) fn content(&self) -> Option<Arc<Content>> {
        self.lock().content.clone()
    }

    /// Puts a revision into force and keeps it as the last good one. Blocks.
    ///
    /// # Errors
    /// Why not; what was in force stays.
    pub(crate) fn apply(&self, process: &Process, content: Content) -> Result<(), StartError> {
        let content = Arc::new(content);
        let mut state = self.lock();
        let composed = compose(&state.file, &content, &self.environment)?;
        process.reload_revision(&composed, Some(&content.revision))?;
        process.set_ready(true);
        state.content = Some(content.clone());
        drop(state);
        self.keep(&content);
        Ok(())
    }

    /// What this process would run on, were this revision in force.
    ///
    /// # Errors
    /// What is wrong with the revision as a source.
    pub(crate) fn compose(&self, content: &Content) -> Result<Document, StartError> {
        compose(&self.lock().file, content, &self.environment)
    }

    /// Puts a new state of the process's own file into force. Blocks.
    ///
    /// # Errors
    /// Why not; what was in force stays.
    pub(crate) fn apply_file(&self, process: &Process, file: Document) -> Result<u64, StartError> {
        let mut state = self.lock();
        let revision = match &state.content {
            None => process.reload(&file)?,
            Some(content) => {
                let composed = compose(&file, content, &self.environment)?;
                process.reload_revision(&composed, Some(&content.revision))?
            }
        };
        state.file = file;
        Ok(revision)
    }

    /// Keeps a revision as the last good one. Serving goes on without it, so that a full disk is
    /// told and no more.
    pub(crate) fn keep(&self, content: &Content) {
        if let Err(error) = last_good::write(&self.last_good, &self.environment, content) {
            let file = self.last_good.display();
            tracing::error!(%file, %error, "the last good revision is not kept");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process runs on: its file and a revision.
pub(super) fn compose(
    file: &Document,
    content: &Content,
    environment: &str,
) -> Result<Document, StartError> {
    let resources = content.resolve(environment);
    let resources = resources.map_err(StartError::Findings)?;
    Ok(environment::compose(file, resources))
}
