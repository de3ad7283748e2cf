//! Jobs, run: the loop around [`gate_ops::job`], over what is kept of them in the store.
//!
//! One gateway leads the jobs of an environment, under a lease of its own: it takes up what was
//! submitted, says which items start, has each called as an exchange of this gateway's
//! ([`call`]), and writes in groups what became of them ([`work`]). [`inputs`] is what items ask,
//! [`lane`] what they compete for, [`room`] how many bytes of them are under way, [`seen`] what is
//! seen of interactive traffic beside them, [`answer`] and [`batched`] what the admin API asks.

mod answer;
mod batched;
mod call;
mod inputs;
mod lane;
mod room;
mod seen;
mod shelf;
mod told;
mod work;

pub(crate) use answer::Book;
pub(crate) use lane::{MODELS_MAX, lane, lane_of};
pub(crate) use shelf::{OpenJobs, Refused, Shelf, now_ms, progress, state};

use crate::config::Secrets;
use crate::follow::{self, Followed};
use gate_kit::random;
use gate_proxy::batches::Desk;
use gate_proxy::money::store::open_jobs;
use gate_proxy::process::Process;
use gate_proxy::record::metrics::JobCounts;
use gate_store::control::ControlError;
use shelf::Folder;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The environment of a gateway that follows none.
const NO_ENVIRONMENT: &str = "file";
/// How long the end of the process waits for what is under way to be stored.
const PATIENCE: Duration = Duration::from_secs(8);

/// The loop; it ends when this is dropped.
pub(crate) struct Jobs {
    /// Where jobs are kept; none without a store.
    pub shelf: Option<Arc<Shelf>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A store that hangs must not keep the process alive; the thread ends with it.
        let until = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// Starts the loop, where there is a store. `desk` is that of the batches that this gateway has.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    folder: &Path,
    desk: Option<&Desk>,
) -> Result<Jobs, String> {
    let ends = Arc::new(AtomicBool::new(false));
    let settings = process
        .shared()
        .snapshot
        .load()
        .resources
        .gateway
        .store
        .clone();
    let Some(settings) = settings else {
        return Ok(Jobs {
            shelf: None,
            ends,
            thread: None,
        });
    };
    let folder = folder.to_owned();
    let open: OpenJobs =
        Arc::new(move || open_jobs(&settings, &Secrets, &folder).map_err(ControlError::from));
    let environment = followed.map_or(NO_ENVIRONMENT, |followed| &followed.environment);
    let batches = desk.map(|desk| Folder {
        id: desk.folder_id().to_owned(),
        path: desk.folder().to_owned(),
    });
    let shelf = Arc::new(Shelf::new(environment, open, batches));
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    // Each life is another holder: what one that was killed had under way is taken up anew.
    let life = format!("{instance}-{:08x}", random::bits() >> 32);
    let counts = process.shared().state.get_or_insert("", JobCounts::default);
    let work = work::Work::new(process, &shelf, life, counts);
    let until = ends.clone();
    let thread = std::thread::Builder::new().name("jobs".into());
    let thread = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => work.run(&until, &runtime),
            Err(error) => tracing::error!(%error, "jobs are not run"),
        }
    });
    let thread = thread.map_err(|error| format!("cannot run jobs: {error}"))?;
    Ok(Jobs {
        shelf: Some(shelf),
        ends,
        thread: Some(thread),
    })
}
