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
        self.submit(job, true).await
    }

    /// Runs a job that changes nothing, unless whoever asked has gone by the time that it would begin:
    /// a page that is asked for again and again must not fill the queue with answers for nobody.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.submit(job, false).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        is_change: bool,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            if is_change || !done.is_closed() {
                // Whoever asked may go meanwhile; a change is made all the same.
                let _ = done.send(job());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    #[tokio::test]
    #[expect(
        clippy::await_holding_lock,
        reason = "only threads of the pool wait for it, which is what the test is about"
    )]
    async fn what_nobody_waits_for_any_more_is_not_answered() {
        let pool = Arc::new(Pool::start().unwrap());
        let (hold, begun) = (Arc::new(Mutex::new(())), channel());
        let held = hold.lock().unwrap();
        let busy: Vec<_> = (0..THREADS)
            .map(|_| {
                let (pool, hold, begun) = (pool.clone(), hold.clone(), begun.0.clone());
                tokio::spawn(async move {
                    let work = move || {
                        begun.send(()).unwrap();
                        drop(hold.lock().unwrap());
                    };
                    pool.run(work).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..THREADS {
            begun.1.recv().unwrap();
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let count = |by: usize| {
            let ran = ran.clone();
            move || ran.fetch_add(by, Ordering::Relaxed)
        };
        for _ in 0..50 {
            let mut asked = Box::pin(pool.ask(count(1)));
            assert!(at_once(&mut asked).await.is_none());
        }
        // Changes are made all the same.
        let mut change = Box::pin(pool.run(count(100)));
        assert!(at_once(&mut change).await.is_none());
        drop(change);
        drop(held);
        for one in busy {
            one.await.unwrap().unwrap();
        }
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while ran.load(Ordering::Relaxed) < 100 && std::time::Instant::now() < end {
            pool.ask(|| ()).await.unwrap();
        }
        assert_eq!(pool.ask(count(1_000)).await, Some(100));
    }

    /// What a future comes to at once.
    async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
