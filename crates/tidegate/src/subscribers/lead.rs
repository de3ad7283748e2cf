//! Who leads: the lease, and how long attempts may go on under it.

use super::stored::{now_ms, read_desk, signed};
use super::work::{Led, Pending, REDRIVE_MS, Work};
use gate_api::Term;
use gate_model::resources::Resources;
use gate_store::control::{ControlError, Lease};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a lease lasts without being renewed, and how often it is, in milliseconds; as for rollouts.
const LEASE_MS: i64 = 3_000;
const RENEW_MS: u64 = 1_000;
/// How long attempts at events in an order go on without the lease being renewed: they have ended by the
/// time at which another may hold it, with something to spare for clocks.
const TERM: Duration = Duration::from_millis(2_500);

impl Work {
    /// Whether this gateway leads; renews its lease.
    pub(super) fn leads(&mut self, resources: &Arc<Resources>) -> Result<bool, ControlError> {
        let now = now_ms();
        if self.led.as_ref().is_some_and(|led| led.renew_ms > now) {
            return Ok(true);
        }
        let (lease, until) = self.take_lease(now)?;
        if !lease.is_held_by(&self.holder, signed(now)) {
            self.led = None;
            return Ok(false);
        }
        match &mut self.led {
            // Nobody led meanwhile: the token is the same.
            Some(led) if led.lease.token == lease.token => led.renewed(lease, until, now),
            _ => self.led = Some(self.take_over(lease, until, resources)?),
        }
        Ok(true)
    }

    /// Renews the lease meanwhile, where reading what is needed to lead takes longer than it lasts: gateways
    /// would take it from each other for ever, and nobody would be told anything.
    ///
    /// # Errors
    /// When another gateway leads by now, or the store failed.
    pub(super) fn keep_lease(&self, led: &mut Led) -> Result<(), ControlError> {
        let now = now_ms();
        if led.renew_ms > now {
            return Ok(());
        }
        let (lease, until) = self.take_lease(now)?;
        if !lease.is_held_by(&self.holder, signed(now)) || lease.token != led.lease.token {
            return Err(ControlError::NotLeader(self.lease_name()));
        }
        led.renewed(lease, until, now);
        Ok(())
    }

    fn lease_name(&self) -> String {
        format!("subscribers/{}", self.shelf.environment)
    }

    /// The lease as it is once this gateway asked for it, and until when attempts may go on if it is its own.
    fn take_lease(&self, now: u64) -> Result<(Lease, Instant), ControlError> {
        let until = Instant::now() + TERM;
        let (name, holder) = (self.lease_name(), self.holder.clone());
        let lease = self
            .shelf
            .ask(|store| store.take_lease(&name, &holder, signed(now), LEASE_MS))?;
        Ok((lease, until))
    }

    /// Begins to lead where whoever led before had kept it.
    fn take_over(
        &mut self,
        lease: Lease,
        until: Instant,
        resources: &Arc<Resources>,
    ) -> Result<Led, ControlError> {
        let now = now_ms();
        self.epoch += 1;
        let term = Term::until(until);
        let former = self.term.replace(term.clone());
        let environment = self.environment();
        let desk = read_desk(self.shelf.ask(|store| store.delivery_desk(&environment))?)?;
        let (ready, wants) = self.ready(resources);
        self.reader.forget();
        let mut led = Led {
            lease,
            epoch: self.epoch,
            term,
            former,
            renew_ms: now + RENEW_MS,
            resources: resources.clone(),
            ready,
            wants,
            time: self.time,
            desk,
            rolls: BTreeMap::new(),
            pending: Pending::default(),
            kept_ms: now,
            passed_ms: now,
            redrive_ms: 0,
            prune_ms: now + REDRIVE_MS,
            first_dead: None,
            turn: 0,
            end: self.reader.ask(|source| source.end())?,
        };
        self.enroll(&mut led)?;
        tracing::info!(
            subscribers = led.ready.len(),
            "this gateway tells subscribers"
        );
        Ok(led)
    }
}

impl Led {
    /// Its lease lasts on.
    fn renewed(&mut self, lease: Lease, until: Instant, now: u64) {
        self.lease = lease;
        self.term.extend(until);
        self.renew_ms = now + RENEW_MS;
    }
}
