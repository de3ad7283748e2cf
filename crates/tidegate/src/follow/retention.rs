//! Taking away what of the past is kept no longer: one gateway of all does it, a little at a time.
//!
//! The one is whoever gets a lease in the store, which is not the lease of any environment: what goes
//! is everybody's. Which of the gateways it is does not matter, so the settings are those of its own
//! file (`gateway.store.history`).

use super::Followed;
use gate_model::resources::{History, Kept};
use gate_model::units::Period;
use gate_store::control::{
    ControlError, ControlStore, Cursor, Keep, Lease, Pruned, Retention, Slice,
};

/// Between two looks at everything, in milliseconds.
const EVERY_MS: u64 = 600_000;
/// From the start of a process to its first look, in milliseconds.
const FIRST_MS: u64 = 30_000;
/// Between two slices of a look, in milliseconds: writers have their turn.
const PAUSE_MS: u64 = 500;
/// How long the lease lasts without being renewed, in milliseconds.
const LEASE_MS: i64 = 60_000;
/// Most things of a kind that go at once: some milliseconds of work.
const MOST: usize = 50;
/// What the lease is called.
const LEASE: &str = "retention";

/// A gateway's part in it.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    /// When something is due, in UNIX milliseconds; 0 before it was first asked.
    due_ms: u64,
    /// Where a look goes on that has begun.
    at: Option<Cursor>,
    /// What has gone in it so far.
    gone: u64,
}

impl Sweeper {
    /// Takes a slice away where one is due and this gateway is the one that does it.
    ///
    /// # Errors
    /// Only where the store failed.
    pub(super) fn tick(
        &mut self,
        store: &mut dyn ControlStore,
        followed: &Followed,
        now: u64,
    ) -> Result<(), ControlError> {
        if self.due_ms == 0 {
            self.due_ms = now + FIRST_MS;
        }
        if now < self.due_ms {
            return Ok(());
        }
        let Some(history) = followed.history() else {
            self.due_ms = now + EVERY_MS;
            return Ok(());
        };
        let now_ms = i64::try_from(now).unwrap_or(i64::MAX);
        let lease = store.take_lease(LEASE, &followed.instance, now_ms, LEASE_MS)?;
        if !lease.is_held_by(&followed.instance, now_ms) {
            self.end(now);
            return Ok(());
        }
        let at = self.at.take().unwrap_or_default();
        let pruned = store.prune(&Slice {
            retention: &retention(&history),
            at: &at,
            most: MOST,
            actor: &format!("instance/{}", followed.instance),
            now_ms,
        })?;
        self.told(&pruned);
        match pruned.next {
            Some(next) => {
                self.at = Some(next);
                self.due_ms = now + PAUSE_MS;
            }
            None => self.ended(store, &lease, now)?,
        }
        Ok(())
    }

    fn told(&mut self, pruned: &Pruned) {
        self.gone += pruned.total();
        if let Some(broken) = &pruned.audit_broken {
            tracing::error!(
                line = broken.sequence,
                problem = broken.problem,
                "the audit log is broken; nothing of it is taken away"
            );
        }
    }

    fn ended(
        &mut self,
        store: &mut dyn ControlStore,
        lease: &Lease,
        now: u64,
    ) -> Result<(), ControlError> {
        if self.gone > 0 {
            let gone = self.gone;
            tracing::info!(gone, "what is kept no longer was taken away from the store");
        }
        self.end(now);
        store.give_lease(lease)
    }

    fn end(&mut self, now: u64) {
        *self = Self {
            due_ms: now + EVERY_MS,
            ..Self::default()
        };
    }
}

fn retention(history: &History) -> Retention {
    let ms = |period: Period| i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX);
    let keep = |kept: &Kept| Keep {
        newest: kept.newest.into(),
        age_ms: ms(kept.age),
    };
    Retention {
        revisions: keep(&history.revisions),
        audit: keep(&history.audit),
        states: keep(&history.states),
        rollouts: keep(&history.rollouts),
        instances_ms: ms(history.instances),
    }
}
