//! A bounded queue that drops and counts instead of waiting.
//!
//! Logs and traces go through it: a slow sink costs its own rows, never a request. Producers never
//! block beyond a short lock; one consumer drains in batches, on a thread of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bounded multi-producer queue. See the module for what it is for.
pub struct BoundedQueue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    capacity: usize,
    dropped: AtomicU64,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    /// How many items the consumer sleeps for; none where it is awake and is not told.
    sleeps_for: Option<usize>,
}

impl<T> BoundedQueue<T> {
    /// A queue for at most `capacity` items.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            closed: false,
            sleeps_for: None,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            capacity,
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds an item, or drops it and counts the drop when the queue is full or closed.
    pub fn push(&self, item: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.items.len() >= self.capacity {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.items.push_back(item);
        let enough = state.sleeps_for == Some(state.items.len());
        drop(state);
        if enough {
            self.arrived.notify_one();
        }
    }

    /// Waits up to `patience` for items and moves at most `most` of them into `batch`.
    ///
    /// Returns `false` once the queue is closed and empty. Blocks: never call it on a worker.
    pub fn drain(&self, batch: &mut Vec<T>, most: usize, patience: Duration) -> bool {
        let mut state = self.sleep(1, patience);
        let count = state.items.len().min(most);
        batch.extend(state.items.drain(..count));
        !(state.closed && state.items.is_empty() && count == 0)
    }

    /// Lets items gather for so long, or until half of the room is taken or the queue is closed.
    ///
    /// Blocks: never call it on a worker.
    pub fn gather(&self, linger: Duration) {
        drop(self.sleep(self.capacity.div_ceil(2), linger));
    }

    /// Sleeps up to `patience` for so many items.
    fn sleep(&self, items: usize, patience: Duration) -> MutexGuard<'_, State<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sleeps_for = Some(items);
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, patience, |state| {
                state.items.len() < items && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.sleeps_for = None;
        state
    }

    /// Refuses further items; those already queued can still be drained.
    pub fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.arrived.notify_all();
    }

    /// How many items were dropped since the queue was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .items
            .len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let queue = BoundedQueue::new(2);
        (0..5).for_each(|n| queue.push(n));
        assert_eq!((queue.len(), queue.dropped()), (2, 3));
        let mut batch = Vec::new();
        assert!(queue.drain(&mut batch, 10, Duration::ZERO));
        assert_eq!(batch, [0, 1]);
    }

    #[test]
    fn a_sleeping_consumer_is_woken_by_what_it_waits_for() {
        let queue = BoundedQueue::new(8);
        let forever = Duration::from_secs(600);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let mut batch = Vec::new();
                assert!(queue.drain(&mut batch, 1, forever), "the first item");
                queue.gather(forever);
                assert!(queue.len() >= 4, "half of the room");
                while queue.drain(&mut batch, 8, forever) {}
                batch
            });
            (0..5).for_each(|n| queue.push(n));
            while !queue.is_empty() {
                std::thread::yield_now();
            }
            queue.push(5);
            queue.close();
            let batch = consumer.join().expect("it is woken each time");
            assert_eq!(batch, [0, 1, 2, 3, 4, 5]);
        });
        queue.gather(forever);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_ends() {
        let queue = BoundedQueue::new(4);
        queue.push('a');
        queue.close();
        queue.push('b');
        let mut batch = Vec::new();
        assert!(queue.drain(&mut batch, 10, Duration::ZERO));
        assert!(!queue.drain(&mut batch, 10, Duration::ZERO));
        assert_eq!((batch, queue.dropped()), (vec!['a'], 1));
    }
}
