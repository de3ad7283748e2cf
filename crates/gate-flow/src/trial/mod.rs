//! A candidate beside the snapshot in force: which exchanges it serves, and what both come to.
//!
//! The proxy opens every exchange on the snapshot in force. Where a trial runs,
//! [`TrialPlace::assign`] gives the exchange to an arm once its route is known, and
//! [`TrialPlace::observe`] counts it when its record closes. What the counts mean is decided elsewhere (`gate-ops`), from the sums of all
//! instances.

mod copies;
mod evidence;
mod histogram;
mod reading;

pub use copies::{Copies, CopyPlace};
pub use evidence::{Arm, Evidence, Observed, Reading, SLICES_MAX, Sample, Tally};
pub use histogram::{Histogram, bucket, lower_edge};
pub(crate) use reading::is_error;
pub use reading::{SignalPlan, Source};

use crate::{Exchange, Found, Parameters, Record, Snapshot};
use gate_kit::http::HeaderId;
use gate_kit::random;
use gate_model::resources::{Shadow, Sticky};
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

/// The slice of routes that have no place of their own.
pub const OTHER_SLICE: &str = "_other";

/// A candidate that serves a share of the exchanges. Another share is another object over the same
/// [`Evidence`].
pub struct Trial {
    /// Id of the rollout.
    pub rollout: Arc<str>,
    /// Its step, in which the share stays the same.
    pub step: u32,
    /// Share of the exchanges that the candidate serves, from 0 to 1.
    pub share: f64,
    /// The candidate.
    pub snapshot: Arc<Snapshot>,
    /// How callers are told apart; exchanges are given out at random without it.
    pub sticky: Option<Sticky>,
    /// Tells this rollout's choice of callers from that of others.
    pub salt: u64,
    /// Routes that it is about, with the index of their slice; all routes when `None`.
    pub routes: Option<HashMap<Arc<str>, usize>>,
    /// What is read of a record, in the order of the evidence's signals.
    pub signals: Arc<[SignalPlan]>,
    /// How much larger sizes of the candidate may be before they count as worse, as a share.
    pub tolerance: f64,
    /// How answers are compared while the candidate serves nobody; the last signals of the evidence
    /// are about that then.
    pub shadow: Option<Shadow>,
    /// What the copies for that come to.
    pub copies: Arc<Copies>,
    /// The counts.
    pub evidence: Arc<Evidence>,
}

/// What an exchange has to do with a trial.
#[derive(Default)]
pub enum TrialPlace {
    /// Nothing: none runs, or it is about other routes.
    #[default]
    Absent,
    /// One runs; whether it is about this exchange shows once its route is known.
    Offered(Arc<Trial>),
    /// The exchange is a part of one.
    Taken(Box<Assigned>),
    /// The exchange is a copy, whose answer is compared and served to nobody.
    Copied,
}

impl TrialPlace {
    /// Gives an exchange that a trial was offered to an arm, if the trial is about it.
    pub fn assign(exchange: &mut Exchange) {
        match std::mem::take(&mut exchange.trial) {
            TrialPlace::Offered(trial) => {
                if let Some(assigned) = trial.assign(exchange) {
                    exchange.trial = TrialPlace::Taken(Box::new(assigned));
                }
            }
            other => exchange.trial = other,
        }
    }

    /// Counts an exchange whose record is complete.
    pub fn observe(exchange: &mut Exchange) {
        if let TrialPlace::Taken(assigned) = std::mem::take(&mut exchange.trial) {
            assigned.observe(exchange);
        }
    }

    /// Whether the exchange is a copy, whose answer nobody gets: it takes nothing from its caller's
    /// budgets and limits, and leaves nothing for others.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        matches!(self, TrialPlace::Copied)
    }

    /// Whether there is nothing to do for an exchange: the usual case.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, TrialPlace::Absent)
    }
}

/// An exchange's place in a trial.
pub struct Assigned {
    trial: Arc<Trial>,
    arm: Arm,
    slice: usize,
    caller: Option<u64>,
    when_closed: Option<Box<dyn FnOnce(&Record)>>,
}

impl Trial {
    /// Gives an exchange to an arm; `None` when the trial is not about its route. An exchange of
    /// the candidate goes on with the candidate's snapshot.
    fn assign(self: Arc<Self>, exchange: &mut Exchange) -> Option<Assigned> {
        let slice = self.slice(exchange)?;
        let caller = self.sticky.as_ref().map(|by| self.caller(by, exchange));
        let drawn = match caller {
            // The upper 53 bits, as a fraction.
            Some(hash) => (hash >> 11) as f64 / (1_u64 << 53) as f64,
            None => random::fraction(),
        };
        let arm = match drawn < self.share {
            true => Arm::Candidate,
            false => Arm::Control,
        };
        if arm == Arm::Candidate {
            exchange.snapshot = self.snapshot.clone();
            exchange.record.revision = self.snapshot.revision;
        }
        exchange.record.arm = Some(arm);
        Some(Assigned {
            trial: self,
            arm,
            slice,
            caller,
            when_closed: None,
        })
    }

    /// The slice of an exchange: its route's, by the revision in force and else by the candidate.
    fn slice(&self, exchange: &Exchange) -> Option<usize> {
        let now = route_of(&exchange.snapshot, exchange);
        let then = route_of(&self.snapshot, exchange);
        let Some(routes) = &self.routes else {
            return (now.is_some() || then.is_some()).then_some(0);
        };
        let known = |name: Option<&Arc<str>>| name.and_then(|name| routes.get(name)).copied();
        match (known(now), known(then)) {
            (Some(slice), _) | (None, Some(slice)) => Some(slice),
            (None, None) => None,
        }
    }

    fn caller(&self, by: &Sticky, exchange: &Exchange) -> u64 {
        let headers = &exchange.request.head.headers;
        let named = match by {
            Sticky::Credential {} => headers
                .get(HeaderId::Authorization)
                .or_else(|| headers.get(HeaderId::XApiKey))
                .or_else(|| headers.get_named("api-key"))
                .or_else(|| headers.get_named("x-goog-api-key")),
            Sticky::Header { name } => headers.get_named(name),
            Sticky::Address {} => None,
        };
        let mut hasher = SipHasher24::new_with_keys(self.salt, 0x7469_6465_6761_7465);
        match named {
            Some(value) => hasher.write(value),
            None => match exchange.address {
                std::net::IpAddr::V4(address) => hasher.write(&address.octets()),
                std::net::IpAddr::V6(address) => hasher.write(&address.octets()),
            },
        }
        hasher.finish()
    }
}

/// The name of the route that an exchange would have on a snapshot.
fn route_of<'s>(snapshot: &'s Snapshot, exchange: &Exchange) -> Option<&'s Arc<str>> {
    let mut parameters = Parameters::default();
    let listener = &exchange.client.listener;
    let head = &exchange.request.head;
    match snapshot.router.find(listener, head, &mut parameters) {
        Found::Route(index) => snapshot.routes.get(index).map(|route| &route.name),
        Found::OtherMethod | Found::Nothing => None,
    }
}

impl Assigned {
    fn observe(self, exchange: &Exchange) {
        let trial = &self.trial;
        if let Some(when_closed) = self.when_closed {
            when_closed(&exchange.record);
        }
        if trial.share <= 0.0 {
            // Nothing was given out at random, so that there is nothing to compare.
            trial.copies.add_caller(&exchange.record);
            return;
        }
        let readings = reading::read(&trial.signals, exchange, self.arm, trial.tolerance);
        trial.evidence.add(&Sample {
            step: trial.step,
            slice: self.slice,
            arm: self.arm,
            caller: self.caller,
            readings: &readings,
        });
    }

    /// The trial.
    #[must_use]
    pub fn trial(&self) -> &Arc<Trial> {
        &self.trial
    }

    /// Calls this with the exchange's record once that is complete, instead of what was to be
    /// called before. It is dropped uncalled where the exchange has no record.
    pub fn when_closed(&mut self, then: Box<dyn FnOnce(&Record)>) {
        self.when_closed = Some(then);
    }

    /// The slice that the exchange counts in.
    #[must_use]
    pub fn slice(&self) -> usize {
        self.slice
    }
}
