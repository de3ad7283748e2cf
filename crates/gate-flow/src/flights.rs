//! Requests whose answers are under way, so that the same one asked meanwhile can wait for it.
//!
//! Whoever comes first begins a [`Flown`]; the others wait until it is over or until it publishes
//! something that they can use already, such as the head of an answer whose body still comes. It
//! is over when it is dropped, whatever became of it, and then everybody looks again.

use crate::Services;
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What is under way, by key. Bounded by the exchanges that are open.
#[derive(Debug)]
pub struct Flights<K, V> {
    flying: Mutex<HashMap<K, Flying<V>>>,
}

#[derive(Debug)]
struct Flying<V> {
    published: Option<V>,
    waiting: Vec<Waker>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            flying: Mutex::default(),
        }
    }
}

/// One request whose answer is under way; over when this is dropped.
#[derive(Debug)]
pub struct Flown<K: Copy + Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

/// What waiting came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Landed<V> {
    /// It is over, or there is none.
    Over,
    /// It goes on, and this can be used.
    Published(V),
    /// It goes on, and patience is at its end.
    Late,
}

impl<K: Copy + Eq + Hash, V: Clone> Flights<K, V> {
    /// Begins one, unless the same is under way.
    #[must_use]
    pub fn begin(self: &Arc<Self>, key: K) -> Option<Flown<K, V>> {
        let mut flying = self.lock();
        if flying.contains_key(&key) {
            return None;
        }
        let waiting = Vec::new();
        flying.insert(
            key,
            Flying {
                published: None,
                waiting,
            },
        );
        drop(flying);
        let flights = self.clone();
        Some(Flown { flights, key })
    }

    /// Waits for the one of this key, at most so long. May be dropped.
    pub async fn wait(
        &self,
        services: &Rc<dyn Services>,
        key: &K,
        patience: Duration,
    ) -> Landed<V> {
        let mut deadline = services.sleep(patience);
        poll_fn(|cx| match self.poll(key, cx) {
            Poll::Ready(landed) => Poll::Ready(landed),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| Landed::Late),
        })
        .await
    }

    fn poll(&self, key: &K, cx: &Context<'_>) -> Poll<Landed<V>> {
        let mut flying = self.lock();
        let Some(one) = flying.get_mut(key) else {
            return Poll::Ready(Landed::Over);
        };
        if let Some(published) = &one.published {
            return Poll::Ready(Landed::Published(published.clone()));
        }
        if !one.waiting.iter().any(|known| known.will_wake(cx.waker())) {
            one.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flying<V>>> {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, V> Flown<K, V> {
    /// Gives those who wait, and those who come, something to use before it is over.
    pub fn publish(&self, value: V) {
        let mut flying = self
            .flights
            .flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(one) = flying.get_mut(&self.key) else {
            return;
        };
        one.published = Some(value);
        let waiting = std::mem::take(&mut one.waiting);
        drop(flying);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Flown<K, V> {
    fn drop(&mut self) {
        let mut flying = self
            .flights
            .flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let over = flying.remove(&self.key);
        drop(flying);
        let waiting = over.into_iter().flat_map(|one| one.waiting);
        waiting.for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn one_flies_and_the_others_hear_of_it() {
        let flights: Arc<Flights<u8, &str>> = Arc::default();
        let flight = flights.begin(1).expect("the first");
        assert!(flights.begin(1).is_none() && flights.begin(2).is_some());
        let woken = Arc::new(Counting::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        assert!(flights.poll(&1, &cx).is_pending() && flights.poll(&1, &cx).is_pending());
        flight.publish("head");
        assert_eq!(
            flights.poll(&1, &cx),
            Poll::Ready(Landed::Published("head"))
        );
        assert_eq!(
            woken.0.load(Ordering::SeqCst),
            1,
            "whoever asks twice is woken once"
        );
        drop(flight);
        assert_eq!(flights.poll(&1, &cx), Poll::Ready(Landed::Over));
        let again = flights.begin(1).expect("it is over");
        assert!(flights.poll(&1, &cx).is_pending());
        drop(again);
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    }
}
