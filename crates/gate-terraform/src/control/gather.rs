//! Gathers what several threads want at about the same time, and does it at once.
//!
//! Whoever comes first waits a moment for the others, then does the work for all of them. There is
//! no thread of its own, so nothing has to be stopped.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it is looked for newcomers.
const STEP: Duration = Duration::from_millis(4);
/// The longest wait for them.
const STEPS_MAX: u32 = 15;
/// How long a thread sleeps between looks at its own outcome; it is woken earlier as a rule.
const NAP: Duration = Duration::from_millis(200);

/// Gathers things of one sort.
pub(super) struct Gather<T, O> {
    state: Mutex<State<T, O>>,
    changed: Condvar,
}

struct State<T, O> {
    next: u64,
    waiting: Vec<(u64, T)>,
    done: HashMap<u64, O>,
    /// Whether a thread is at work.
    busy: bool,
}

impl<T, O> Default for Gather<T, O> {
    fn default() -> Self {
        let state = State {
            next: 0,
            waiting: Vec::new(),
            done: HashMap::new(),
            busy: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<T, O> Gather<T, O> {
    fn lock(&self) -> MutexGuard<'_, State<T, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `one` to what is done next, and answers with its outcome. `work` gets all that has
    /// gathered and answers as many outcomes, in the same order; `failed` stands in for one that is
    /// missing.
    pub(super) fn submit(
        &self,
        one: T,
        work: impl Fn(Vec<T>) -> Vec<O>,
        failed: impl Fn() -> O,
    ) -> O {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.waiting.push((id, one));
        loop {
            if let Some(outcome) = state.done.remove(&id) {
                return outcome;
            }
            if state.busy || state.waiting.is_empty() {
                let nap = self.changed.wait_timeout(state, NAP);
                state = nap.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.busy = true;
            drop(state);
            let _busy = Busy(self);
            self.settle();
            let (ids, batch): (Vec<u64>, Vec<T>) = self.lock().waiting.drain(..).unzip();
            let mut outcomes = work(batch).into_iter();
            let done = ids
                .into_iter()
                .map(|id| (id, outcomes.next().unwrap_or_else(&failed)));
            let done: Vec<_> = done.collect();
            self.lock().done.extend(done);
            drop(_busy);
            state = self.lock();
        }
    }

    /// Waits until nobody new comes.
    fn settle(&self) {
        let mut seen = 0;
        for _ in 0..STEPS_MAX {
            let now = self.lock().waiting.len();
            if now == seen {
                return;
            }
            seen = now;
            std::thread::sleep(STEP);
        }
    }
}

/// Lets the next one work, also when this one panicked.
struct Busy<'a, T, O>(&'a Gather<T, O>);

impl<T, O> Drop for Busy<'_, T, O> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_comes_together_is_done_together_and_everybody_gets_his_own() {
        let gather = Gather::<usize, usize>::default();
        let rounds = AtomicUsize::new(0);
        let work = |batch: Vec<usize>| {
            rounds.fetch_add(1, Ordering::SeqCst);
            batch.into_iter().map(|n| n * 2).collect()
        };
        std::thread::scope(|scope| {
            for n in 0..40 {
                let (gather, work) = (&gather, &work);
                scope.spawn(move || assert_eq!(gather.submit(n, work, || usize::MAX), n * 2));
            }
        });
        let rounds = rounds.load(Ordering::SeqCst);
        assert!(rounds < 40, "{rounds} rounds for 40 things");
        assert!(gather.lock().done.is_empty());
        assert_eq!(gather.submit(1, |_| Vec::new(), || 7), 7);
    }
}
