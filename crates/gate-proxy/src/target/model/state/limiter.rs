//! How many calls a target takes at a time, and who waits for room.
//!
//! The limit moves by additive increase and multiplicative decrease (Chiu and Jain, 1989): one more
//! per round of calls that succeed while the limit is in use, a tenth fewer when the provider is
//! overloaded or its first tokens take twice as long as usual. Who waits is served by priority and
//! then by turn, as many at a time as the limit has room for: a limit that has grown is used by
//! those who wait. The queue and the wait are bounded. A lock is held for a few instructions and
//! never across an await.

use gate_kit::clock::Moment;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What the limit is multiplied with when there is too much load.
const DECREASE: f64 = 0.9;
/// The limit goes down at most once in this time, so that calls that fail together count once.
const DECREASE_PAUSE: Duration = Duration::from_millis(500);
/// How much slower than usual first tokens are when there is too much load.
const SLOW: f64 = 2.0;
/// What is usual falls by this share of the difference with every quicker sample.
const FALL: f64 = 0.05;
/// What is usual rises by at most this share per second, so that a long overload does not become
/// what is usual before the limit has come down.
const RISE: f64 = 0.002;

/// Who is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Priority {
    High,
    Normal,
    Low,
}

/// Bounds of a limit, from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Bounds {
    pub(in super::super) least: u32,
    pub(in super::super) most: u32,
    pub(in super::super) adaptive: bool,
    /// Calls that may wait.
    pub(in super::super) queue: usize,
}

/// A target's limit of concurrent calls.
#[derive(Debug, Default)]
pub(in super::super) struct Limiter(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Zero until the first call.
    limit: f64,
    /// Those of the last call that came: whoever waits is let in within them, too.
    bounds: Bounds,
    in_flight: u32,
    waiting: [VecDeque<oneshot::Sender<Permit>>; 3],
    /// Usual seconds to the first token; zero until measured.
    usual: f64,
    measured: Moment,
    decreased: Moment,
}

/// A call that counts against a limit until it is dropped.
#[derive(Debug)]
pub(in super::super) struct Permit {
    limiter: Arc<Limiter>,
    /// False once the place was taken back.
    counts: bool,
}

/// A place in the queue.
#[derive(Debug)]
pub(in super::super) enum Place {
    /// There is room.
    Now(Permit),
    /// There will be.
    Later(oneshot::Receiver<Permit>),
    /// The queue is full.
    Full,
}

impl Inner {
    /// Whether a call within these bounds has room.
    fn room(&mut self, bounds: &Bounds) -> bool {
        if self.limit == 0.0 {
            self.limit = f64::from(bounds.most);
        }
        self.bounds = *bounds;
        self.has_room()
    }

    /// Whether one more call may be in flight.
    fn has_room(&mut self) -> bool {
        let (least, most) = (
            f64::from(self.bounds.least.max(1)),
            f64::from(self.bounds.most.max(1)),
        );
        self.limit = match self.bounds.adaptive {
            true => self.limit.clamp(least.min(most), most),
            false => most,
        };
        f64::from(self.in_flight) < self.limit.floor()
    }

    /// Takes a place for whoever waits the longest with the highest priority, if there is room.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        if self.waiting() == 0 || !self.has_room() {
            return None;
        }
        let next = self.waiting.iter_mut().find_map(VecDeque::pop_front);
        self.in_flight += u32::from(next.is_some());
        next
    }

    fn waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}

impl Limiter {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place if there is one and nobody waits for it.
    pub(in super::super) fn take(self: &Arc<Self>, bounds: &Bounds) -> Option<Permit> {
        let mut inner = self.lock();
        if !inner.room(bounds) || inner.waiting() > 0 {
            return None;
        }
        inner.in_flight += 1;
        Some(self.permit())
    }

    /// Takes a place, or one in the queue.
    pub(in super::super) fn queue(self: &Arc<Self>, bounds: &Bounds, priority: Priority) -> Place {
        let mut inner = self.lock();
        // Whoever has given up waiting leaves its place behind.
        for queue in &mut inner.waiting {
            queue.retain(|waiter| !waiter.is_closed());
        }
        if inner.room(bounds) && inner.waiting() == 0 {
            inner.in_flight += 1;
            return Place::Now(self.permit());
        }
        if inner.waiting() >= bounds.queue {
            return Place::Full;
        }
        let (sender, receiver) = oneshot::channel();
        inner.waiting[priority as usize].push_back(sender);
        // There is room behind others who wait where the bounds were widened since the last call.
        let next = inner.next();
        drop(inner);
        self.hand_out(next);
        Place::Later(receiver)
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit {
            limiter: self.clone(),
            counts: true,
        }
    }

    /// Learns from a call that succeeded, with its time to the first token where that is known.
    pub(in super::super) fn succeeded(self: &Arc<Self>, seconds: Option<f64>, now: Moment) {
        let mut inner = self.lock();
        if seconds.is_some_and(|seconds| inner.is_slow(seconds, now)) {
            inner.decrease(now);
            return;
        }
        if f64::from(inner.in_flight) * 2.0 >= inner.limit && inner.limit > 0.0 {
            inner.limit += 1.0 / inner.limit;
        }
        let next = inner.next();
        drop(inner);
        self.hand_out(next);
    }

    /// Learns that the provider has too much to do.
    pub(in super::super) fn overloaded(&self, now: Moment) {
        self.lock().decrease(now);
    }

    /// Calls in flight, the limit (zero until the first call), and calls that wait.
    pub(in super::super) fn now(&self) -> (u32, f64, usize) {
        let inner = self.lock();
        (inner.in_flight, inner.limit, inner.waiting())
    }

    /// Gives a place back, and lets in whom there is room for.
    fn give_back(self: &Arc<Self>) {
        let next = {
            let mut inner = self.lock();
            inner.in_flight -= 1;
            inner.next()
        };
        self.hand_out(next);
    }

    /// Lets in one after the other while there is room, beginning with `next`, for whom a place was
    /// taken. Nobody is told under the lock.
    fn hand_out(self: &Arc<Self>, mut next: Option<oneshot::Sender<Permit>>) {
        while let Some(waiter) = next {
            let sent = waiter.send(self.permit());
            let mut inner = self.lock();
            if let Err(mut permit) = sent {
                // It has given up; the place is still ours to give.
                permit.counts = false;
                inner.in_flight -= 1;
            }
            next = inner.next();
        }
    }
}

impl Inner {
    /// Whether a first token took much longer than usual; and learns what is usual.
    fn is_slow(&mut self, seconds: f64, now: Moment) -> bool {
        let age = now.since(self.measured).as_secs_f64();
        self.measured = now;
        if self.usual == 0.0 {
            self.usual = seconds;
            return false;
        }
        let is_slow = seconds > self.usual * SLOW;
        self.usual = match seconds < self.usual {
            true => self.usual + (seconds - self.usual) * FALL,
            false => seconds.min(self.usual * (1.0 + RISE * age)),
        };
        is_slow
    }

    fn decrease(&mut self, now: Moment) {
        if self.decreased.0 > 0 && now.since(self.decreased) < DECREASE_PAUSE {
            return;
        }
        self.decreased = Moment(now.0.max(1));
        // From what is in use: a limit far above the load would take long to come down to it.
        let used = f64::from(self.in_flight.max(1)) + 1.0;
        self.limit = self.limit.min(used.max(1.0)).max(1.0) * DECREASE;
        self.limit = self.limit.max(1.0);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.counts {
            self.limiter.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    fn bounds(least: u32, most: u32, queue: usize) -> Bounds {
        Bounds {
            least,
            most,
            adaptive: true,
            queue,
        }
    }

    fn at(milliseconds: u64) -> Moment {
        Moment(1 + milliseconds * 1_000_000)
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(1, 3, 0);
        let permits: Vec<_> = (0..5).map_while(|_| limiter.take(&bounds)).collect();
        assert_eq!((permits.len(), limiter.now().0), (3, 3));
        assert!(matches!(
            limiter.queue(&bounds, Priority::High),
            Place::Full
        ));
        drop(permits);
        assert_eq!(limiter.now().0, 0);
    }

    #[test]
    fn who_waits_is_served_by_priority_and_by_turn() {
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(1, 1, 4);
        let first = limiter.take(&bounds).unwrap();
        let wait = |priority| match limiter.queue(&bounds, priority) {
            Place::Later(receiver) => receiver,
            other => panic!("{other:?}"),
        };
        let mut low = wait(Priority::Low);
        let gone = wait(Priority::High);
        let mut normal = wait(Priority::Normal);
        let mut high = wait(Priority::High);
        assert!(matches!(
            limiter.queue(&bounds, Priority::High),
            Place::Full
        ));
        drop(gone);
        drop(first);
        let permit = high.try_recv().unwrap();
        assert!(normal.try_recv().is_err() && low.try_recv().is_err());
        assert!(
            limiter.take(&bounds).is_none(),
            "nobody overtakes who waits"
        );
        drop(permit);
        let permit = normal.try_recv().unwrap();
        drop(permit);
        drop(low.try_recv().unwrap());
        assert_eq!((limiter.now().0, limiter.now().2), (0, 0));
    }

    #[test]
    fn a_place_given_to_somebody_who_left_is_not_lost() {
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(1, 1, 4);
        let first = limiter.take(&bounds).unwrap();
        let Place::Later(receiver) = limiter.queue(&bounds, Priority::Normal) else {
            panic!("it is full");
        };
        drop(first);
        drop(receiver);
        assert_eq!(limiter.now().0, 0);
        assert!(limiter.take(&bounds).is_some());
    }

    #[test]
    fn who_waits_uses_a_limit_that_has_grown_again() {
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(1, 20, 200);
        let mut running: VecDeque<_> = (0..20).map_while(|_| limiter.take(&bounds)).collect();
        let mut waiting = VecDeque::new();
        let step = |running: &mut VecDeque<Permit>, waiting: &mut VecDeque<_>| {
            while waiting.len() < 100 {
                match limiter.queue(&bounds, Priority::Normal) {
                    Place::Later(receiver) => waiting.push_back(receiver),
                    other => panic!("{other:?}"),
                }
            }
            drop(running.pop_front());
            waiting.retain_mut(|receiver: &mut oneshot::Receiver<Permit>| {
                running.extend(receiver.try_recv().ok());
                receiver.is_empty() && !receiver.is_terminated()
            });
            let (in_flight, limit, _) = limiter.now();
            assert_eq!(in_flight as usize, running.len());
            assert!(limit <= 21.0 && in_flight <= 20, "{in_flight} of {limit}");
        };
        for pause in 0..40 {
            limiter.overloaded(at(500 * pause));
            step(&mut running, &mut waiting);
        }
        assert!(running.len() <= 2, "{} after an overload", running.len());
        for _ in 0..400 {
            limiter.succeeded(None, at(20_000));
            step(&mut running, &mut waiting);
        }
        assert_eq!(running.len(), 20, "the provider has recovered");
        // Whoever came first is not to wait for somebody to leave, where there is more room now.
        let wider = Bounds {
            most: 40,
            adaptive: false,
            ..bounds
        };
        let Place::Later(last) = limiter.queue(&wider, Priority::Low) else {
            panic!("it is full or overtakes");
        };
        let let_in = waiting.iter_mut().filter_map(|one| one.try_recv().ok());
        assert_eq!(let_in.collect::<Vec<_>>().len(), 20);
        drop((running, waiting, last));
        assert_eq!(limiter.now().0, 0);
    }

    #[test]
    fn overload_brings_the_limit_down_once_per_pause_and_success_brings_it_back() {
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(2, 100, 0);
        let permits: Vec<_> = (0..50).map_while(|_| limiter.take(&bounds)).collect();
        (0..50).for_each(|_| limiter.overloaded(at(0)));
        let limit = limiter.now().1;
        assert!((45.0..47.0).contains(&limit), "{limit}");
        limiter.overloaded(at(500));
        assert!(limiter.now().1 < limit);
        let low = limiter.now().1;
        (0..100).for_each(|_| limiter.succeeded(None, at(600)));
        assert!(limiter.now().1 > low + 1.0);
        drop(permits);
    }

    /// A provider that takes 20 calls at its usual speed and slows down beyond.
    #[test]
    fn the_limit_finds_what_a_provider_can_take() {
        random::seed(3);
        let limiter = Arc::new(Limiter::default());
        let bounds = bounds(1, 1_000, 0);
        let mut running: Vec<(u64, f64, Permit)> = Vec::new();
        let mut highest = 0;
        for millisecond in 0..120_000_u64 {
            let mut index = 0;
            while index < running.len() {
                if running[index].0 <= millisecond {
                    let (_, seconds, permit) = running.swap_remove(index);
                    limiter.succeeded(Some(seconds), at(millisecond));
                    drop(permit);
                } else {
                    index += 1;
                }
            }
            // Two thirds of a call per millisecond want in: far more than it can take.
            if random::fraction() < 0.66
                && let Some(permit) = limiter.take(&bounds)
            {
                let load = (running.len() + 1) as f64 / 20.0;
                let seconds = 0.2 * load.max(1.0).powi(2) * (0.9 + 0.2 * random::fraction());
                running.push((millisecond + (seconds * 1e3) as u64, seconds, permit));
            }
            if millisecond > 60_000 {
                highest = highest.max(running.len());
            }
        }
        assert!((15..=60).contains(&highest), "{highest}");
    }
}
