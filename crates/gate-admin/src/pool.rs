//! The API's own threads: handlers block on stores and compile revisions here, never on a worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Threads. One may replay records for seconds while the others answer.
const THREADS: usize = 3;
/// Most jobs that wait; the admin address has fewer connections than that.
const WAITING_MAX: usize = 128;

type Job = Box<dyn FnOnce() + Send>;

/// A few threads behind a bounded queue. They end when it is dropped.
pub(crate) struct Pool {
    jobs: SyncSender<Job>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..THREADS {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("admin-{number}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Runs a job; `None` when too many wait, or when it broke.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever asked may have gone; the job was done all the same.
            let _ = done.send(job());
        });
        self.jobs.try_send(job).ok()?;
        result.await.ok()
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A broken handler ends its request, not the thread; its caller is told by the dropped
        // channel.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a request to the admin API broke an invariant");
        }
    }
}
