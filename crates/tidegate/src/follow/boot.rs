//! What a process that follows an environment serves first.
//!
//! The store is asked for a short time. Where it cannot be asked, or what it says is refused, the
//! last good revision is served; where there is none either, the process runs without listeners and
//! is not ready, until the environment has a revision.

use super::content::compose;
use super::follower::fetch;
use super::{Content, Followed, OpenStore, last_good, opener, store};
use crate::{check, config};
use gate_model::document::Document;
use gate_model::finding::Finding;
use gate_net::handover::Inheritance;
use gate_proxy::process::{Process, Setup, StartError};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long the store may take to say what is to be served.
const PATIENCE: Duration = Duration::from_secs(3);

/// A process that has been started, with what it follows.
pub(crate) struct Booted {
    /// The process.
    pub process: Arc<Process>,
    /// The environment.
    pub followed: Arc<Followed>,
    /// How its store is opened.
    pub store: OpenStore,
}

/// Starts a process whose file names an environment. `setup` makes what a process is set up with.
///
/// # Errors
/// For people: the file's own settings are wrong, or nothing can be served as it stands.
pub(crate) fn boot(
    environment: &str,
    document: Document,
    file: &Path,
    inheritance: Option<Inheritance>,
    setup: impl Fn(Option<Inheritance>) -> Setup,
) -> Result<Booted, String> {
    let gateway = store::gateway(&document)?;
    let place = store::last_good(&gateway, file);
    let open = opener(&gateway, &config::folder(file))
        .ok_or("`gateway.environment` needs `gateway.store`")?;
    let mut inheritance = inheritance;
    let mut wrong = Vec::new();
    for content in candidates(&open, environment, &place) {
        let content = Arc::new(content);
        let number = content.revision.number;
        let started = compose(&document, &content, environment).and_then(|composed| {
            if inheritance.is_some() {
                // Sockets can be taken over once only: not for what is going to be refused.
                refuse(check::compile(&composed, file))?;
            }
            let setup = setup(inheritance.take());
            Process::start_revision(&composed, Some(&content.revision), setup)
        });
        match started {
            Ok(process) => {
                let followed = Followed::new(environment, document, place, Some(content.clone()));
                followed.keep(&content);
                tracing::info!(environment, revision = number, "serving");
                return Ok(booted(process, followed, open));
            }
            Err(error) => {
                tracing::error!(environment, revision = number, "not served\n{error}");
                wrong.push((number, error));
            }
        }
    }
    // What cannot be bound is another program's doing; a supervisor tries again then.
    if let Some((number, error)) = wrong
        .iter()
        .find(|(_, error)| matches!(error, StartError::Other(_)))
    {
        return Err(format!("revision {number} of {environment}: {error}"));
    }
    let process =
        Process::start(&document, setup(inheritance)).map_err(|error| error.to_string())?;
    process.set_ready(false);
    tracing::warn!(environment, "there is no revision to serve yet");
    let followed = Followed::new(environment, document, place, None);
    Ok(booted(process, followed, open))
}

fn refuse(findings: Vec<Finding>) -> Result<(), StartError> {
    match findings.iter().any(Finding::is_error) {
        true => Err(StartError::Findings(findings)),
        false => Ok(()),
    }
}

fn booted(process: Arc<Process>, followed: Followed, store: OpenStore) -> Booted {
    Booted {
        process,
        followed: Arc::new(followed),
        store,
    }
}

/// What may be served, the best first: the store's revision, then the last good one where it is
/// another.
fn candidates(open: &OpenStore, environment: &str, place: &Path) -> Vec<Content> {
    let current = ask(open, environment).unwrap_or_else(|error| {
        tracing::warn!(environment, %error, "the store does not say what to serve");
        None
    });
    let last = last_good::read(place, environment).unwrap_or_else(|error| {
        tracing::error!(%error, "the last good revision cannot be used");
        None
    });
    let last = last.filter(|last| Some(last) != current.as_ref());
    current.into_iter().chain(last).collect()
}

/// Asks the store on a thread of its own, because it may hang longer than a start should take.
fn ask(open: &OpenStore, environment: &str) -> Result<Option<Content>, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let (open, name) = (open.clone(), environment.to_owned());
    let asking = move || {
        let found = open().map_err(|error| error.to_string());
        let found = found.and_then(|mut store| {
            let row = store
                .environment(&name)
                .map_err(|error| error.to_string())?;
            match row {
                Some(row) => fetch(&mut *store, &row).map_err(|error| error.to_string()),
                None => Ok(None),
            }
        });
        // Nobody listens any more where it took too long.
        let _ = sender.send(found);
    };
    std::thread::Builder::new()
        .name("first-revision".into())
        .spawn(asking)
        .map_err(|error| error.to_string())?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => Err(format!("no answer within {PATIENCE:?}")),
        Err(RecvTimeoutError::Disconnected) => Err("asking it failed".into()),
    }
}
