//! One address of an upstream, and what is known of its health.
//!
//! The state is shared by all workers and by every revision that names the same endpoint of the
//! same upstream, so a reload forgets nothing. All of it is atomics: reading it on the hot path
//! takes no lock.

use super::trouble::Trouble;
use gate_kit::clock::Moment;
use gate_model::resources::Outlier;
use gate_net::connect::Endpoint as Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The longest ejection, as a multiple of the configured one.
const EJECTION_STEPS_MAX: u32 = 10;

/// One address of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// The text in the configuration.
    pub address: Arc<str>,
    /// The same, understood.
    pub target: Target,
    /// Unique in the process; names the connection pool of each worker.
    pub id: u64,
    /// Requests in flight.
    active: AtomicU32,
    /// Verdict of the active health check; true until one has failed.
    healthy: AtomicBool,
    /// Outlier ejection lasts until this moment (nanoseconds); 0 for none.
    ejected_until: AtomicU64,
    /// An action holds it out until this moment (nanoseconds); 0 for none.
    held_until: AtomicU64,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Since when it has been in use (nanoseconds), for slow start; 0 for "from the beginning".
    back_since: AtomicU64,
    /// When it worked and failed last, for people who look; not kept for those of providers.
    pub trouble: Trouble,
}

impl Endpoint {
    /// A new endpoint, taken for healthy until something says otherwise.
    #[must_use]
    pub fn new(address: &str, target: Target) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            address: address.into(),
            target,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            active: AtomicU32::new(0),
            healthy: AtomicBool::new(true),
            ejected_until: AtomicU64::new(0),
            held_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            back_since: AtomicU64::new(0),
            trouble: Trouble::default(),
        }
    }

    /// Requests in flight.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether the active health check lets it be used.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Whether it is left out for failing.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > now.0
    }

    /// Until when it is left out; in the past when it is not.
    #[must_use]
    pub fn ejected_until(&self) -> Moment {
        Moment(self.ejected_until.load(Ordering::Relaxed))
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether it may be chosen, and no action holds it out.
    #[must_use]
    pub fn is_usable(&self, now: Moment) -> bool {
        self.is_available(now) && !self.is_held(now)
    }

    /// Whether an action holds it out.
    #[must_use]
    pub fn is_held(&self, now: Moment) -> bool {
        self.held_until.load(Ordering::Relaxed) > now.0
    }

    /// Until when an action holds it out; in the past when none does.
    #[must_use]
    pub fn held_until(&self) -> Moment {
        Moment(self.held_until.load(Ordering::Relaxed))
    }

    /// Holds it out until then, or no longer.
    pub fn hold_out(&self, until: Option<Moment>, now: Moment) {
        let until = until.map_or(0, |until| until.0);
        let before = self.held_until.swap(until, Ordering::Relaxed);
        // What comes back warms up.
        if until > now.0 {
            self.back_since.store(until, Ordering::Relaxed);
        } else if before > now.0 {
            self.back_since.store(now.0.max(1), Ordering::Relaxed);
        }
    }

    /// Whether it may be chosen where nothing else can be.
    #[must_use]
    pub fn is_available(&self, now: Moment) -> bool {
        self.is_healthy() && !self.is_ejected(now)
    }

    /// Notes what an active health check decided; `true` when that changed anything.
    pub fn set_healthy(&self, healthy: bool, now: Moment) -> bool {
        let changed = self.healthy.swap(healthy, Ordering::Relaxed) != healthy;
        if changed && healthy {
            self.back_since.store(now.0.max(1), Ordering::Relaxed);
        }
        changed
    }

    /// Counts a request in; the guard counts it out.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.active.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Notes an answer that does not count against the endpoint.
    pub fn succeeded(&self) {
        // Reading first keeps the cache line shared in the ordinary case.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.ejections.load(Ordering::Relaxed) != 0 {
            self.ejections.store(0, Ordering::Relaxed);
        }
    }

    /// Notes a failure; ejects the endpoint when there have been enough in a row and
    /// `may_eject` (the share of ejected endpoints) allows it. Returns whether it was ejected.
    pub fn failed(&self, outlier: &Outlier, now: Moment, may_eject: impl FnOnce() -> bool) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if outlier.failures == 0
            || failures < outlier.failures
            || self.is_ejected(now)
            || !may_eject()
        {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        let step = self.ejections.fetch_add(1, Ordering::Relaxed).min(30);
        let factor = (1_u32 << step).min(EJECTION_STEPS_MAX);
        let until = now.plus(outlier.ejection.duration().saturating_mul(factor));
        self.ejected_until.store(until.0, Ordering::Relaxed);
        self.back_since.store(until.0, Ordering::Relaxed);
        true
    }

    /// Its share of requests while it warms up: from a tenth to one over `slow_start`.
    #[must_use]
    pub fn warmth(&self, slow_start: Duration, now: Moment) -> f64 {
        let since = self.back_since.load(Ordering::Relaxed);
        if since == 0 || slow_start.is_zero() {
            return 1.0;
        }
        let up = now.since(Moment(since)).as_secs_f64();
        (up / slow_start.as_secs_f64()).clamp(0.1, 1.0)
    }
}

/// A request in flight on an endpoint.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.0.active.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "every exit has its entry");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(
            "a:1",
            Target::Name {
                host: "a".to_owned(),
                port: 1,
            },
        )
    }

    fn seconds(n: u64) -> Moment {
        Moment(n * 1_000_000_000)
    }

    #[test]
    fn failures_in_a_row_eject_for_longer_each_time() {
        let endpoint = endpoint();
        let outlier = Outlier {
            failures: 2,
            ..Outlier::default()
        };
        assert!(!endpoint.failed(&outlier, seconds(0), || true));
        endpoint.succeeded();
        assert!(
            !endpoint.failed(&outlier, seconds(0), || true),
            "a success starts the count again"
        );
        assert!(endpoint.failed(&outlier, seconds(0), || true));
        assert!(endpoint.is_ejected(seconds(9)) && !endpoint.is_ejected(seconds(10)));
        endpoint.failed(&outlier, seconds(20), || true);
        assert!(endpoint.failed(&outlier, seconds(20), || true));
        assert!(endpoint.is_ejected(seconds(39)) && !endpoint.is_ejected(seconds(40)));
    }

    #[test]
    fn nothing_is_ejected_when_too_many_are_out() {
        let endpoint = endpoint();
        let outlier = Outlier {
            failures: 1,
            ..Outlier::default()
        };
        assert!(!endpoint.failed(&outlier, seconds(1), || false));
        assert!(endpoint.is_available(seconds(1)));
    }

    #[test]
    fn an_endpoint_that_comes_back_warms_up() {
        let endpoint = endpoint();
        let slow = Duration::from_secs(10);
        assert!(
            (endpoint.warmth(slow, seconds(5)) - 1.0).abs() < 1e-9,
            "new ones start warm"
        );
        endpoint.set_healthy(false, seconds(5));
        endpoint.set_healthy(true, seconds(10));
        assert!((endpoint.warmth(slow, seconds(10)) - 0.1).abs() < 1e-9);
        assert!((endpoint.warmth(slow, seconds(15)) - 0.5).abs() < 1e-9);
        assert!((endpoint.warmth(slow, seconds(30)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn requests_in_flight_are_counted_in_and_out() {
        let endpoint = Arc::new(endpoint());
        let guard = endpoint.enter();
        assert_eq!(endpoint.active(), 1);
        drop(guard);
        assert_eq!(endpoint.active(), 0);
    }
}
