//! What this process does about trouble for a while: endpoints held out, providers passed over,
//! exchanges shed, other limits of requests in flight.
//!
//! Actions change no configuration. What they need lies in the state that outlives revisions, each with
//! the moment of its end, which workers hold against their own clock: an action ends also when nobody
//! can be reached that could end it. Whoever keeps actions hands over all that are in force, again and
//! again ([`Process::act`]), so that what a reload has made anew is met as well. Going back and freezing
//! are the store's business, not a worker's. `check.rs` checks runbooks against the configuration.

mod check;
mod shed;

pub(crate) use check::check;

use crate::process::Process;
use crate::upstream::Upstream;
use gate_flow::{Exchange, Fault};
use gate_kit::clock::Moment;
use gate_model::resources::GatewayAction;
use shed::Sheds;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An action in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Its id.
    pub id: String,
    /// What it does.
    pub what: GatewayAction,
    /// When it ends, as UNIX time.
    pub until: Duration,
}

/// The actions of a process.
#[derive(Default)]
pub struct Actions {
    sheds: Sheds,
    /// What was handed over last.
    known: Mutex<Vec<InForce>>,
}

impl Actions {
    /// Why an exchange is refused, where it is.
    #[inline]
    pub(crate) fn refuses(&self, exchange: &Exchange) -> Option<Fault> {
        match self.sheds.is_any() {
            true => self.sheds.refuses(exchange),
            false => None,
        }
    }
}

/// What actions come to for the state that they are kept in.
#[derive(Default)]
struct Sum<'a> {
    held: BTreeMap<(&'a str, &'a str), Moment>,
    passed: BTreeMap<&'a str, Moment>,
    capped: BTreeMap<&'a str, (u32, Moment)>,
    sheds: Vec<Arc<shed::Shed>>,
}

impl Process {
    /// Puts these actions in force and ends all others. Says by id what is wrong with those that
    /// cannot be. Not for a worker.
    pub fn act(&self, all: &[InForce]) -> BTreeMap<String, String> {
        let actions = &self.shared().actions;
        let mut known = actions.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Without any, now and before, there is nothing to be met anew.
        if all.is_empty() && known.is_empty() {
            return BTreeMap::new();
        }
        let clock = &self.shared().clock;
        let (now, unix) = (clock.now(), clock.unix());
        let mut problems = BTreeMap::new();
        let mut sum = Sum::default();
        for one in all.iter().filter(|one| one.until > unix) {
            let until = now.plus(one.until.saturating_sub(unix));
            if let Err(problem) = self.add(&mut sum, one, until) {
                problems.insert(one.id.clone(), problem);
            }
        }
        for upstream in self.shared().upstreams.load().values() {
            hold_out(upstream, &sum.held, now);
            let cap = sum.capped.get(&*upstream.name).copied();
            upstream.state.cap(cap);
        }
        self.shared().models.load().pass_over(&sum.passed);
        actions.sheds.set(sum.sheds);
        *known = all.to_vec();
        problems
    }

    /// Adds an action; what is wrong with it now may be right after the next reload.
    fn add<'a>(&self, sum: &mut Sum<'a>, one: &'a InForce, until: Moment) -> Result<(), String> {
        match &one.what {
            GatewayAction::Eject {
                upstream,
                endpoint: Some(endpoint),
            } => {
                later(&mut sum.held, (upstream, endpoint), until);
                self.may_hold_out(upstream, endpoint)
            }
            GatewayAction::Eject { endpoint: None, .. } => Err("no endpoint is named".to_owned()),
            GatewayAction::FailOver { provider } => {
                later(&mut sum.passed, provider, until);
                match self.shared().models.load().has_provider(provider) {
                    true => Ok(()),
                    false => Err(format!("there is no provider `{provider}` with a target")),
                }
            }
            GatewayAction::Concurrency { upstream, most } => {
                // The one that was begun last counts.
                sum.capped.insert(upstream, (*most, until));
                match self
                    .shared()
                    .upstreams
                    .load()
                    .contains_key(upstream.as_str())
                {
                    true => Ok(()),
                    false => Err(format!("there is no upstream `{upstream}`")),
                }
            }
            GatewayAction::Shed {
                route,
                low,
                levels,
                share,
            } => {
                let condition = self.setup().registry.condition;
                let low = &low[..levels.unwrap_or(low.len()).min(low.len())];
                let route = route.as_deref();
                let shed = shed::Shed::new(&one.id, route, low, *share, until, condition)?;
                sum.sheds.push(Arc::new(shed));
                Ok(())
            }
            GatewayAction::RollBack {} | GatewayAction::Freeze { .. } => Ok(()),
        }
    }

    /// Whether an endpoint can be held out: another must be left that can be called.
    fn may_hold_out(&self, upstream: &str, endpoint: &str) -> Result<(), String> {
        let upstreams = self.shared().upstreams.load();
        let found = upstreams.get(upstream);
        let found = found.ok_or_else(|| format!("there is no upstream `{upstream}`"))?;
        let now = self.shared().clock.now();
        let mut endpoints = found.picker.endpoints();
        if !endpoints.any(|one| &*one.address == endpoint) {
            return Err(format!("`{upstream}` has no endpoint `{endpoint}`"));
        }
        let mut others = found.picker.endpoints();
        let is_left = others.any(|one| &*one.address != endpoint && one.is_usable(now));
        match is_left {
            true => Ok(()),
            false => Err(format!("no other endpoint of `{upstream}` can be called")),
        }
    }
}

/// The later of two ends counts.
fn later<K: Ord>(ends: &mut BTreeMap<K, Moment>, key: K, until: Moment) {
    let end = ends.entry(key).or_insert(until);
    *end = (*end).max(until);
}

fn hold_out(upstream: &Upstream, held: &BTreeMap<(&str, &str), Moment>, now: Moment) {
    for endpoint in upstream.picker.endpoints() {
        let until = held.get(&(&*upstream.name, &*endpoint.address));
        endpoint.hold_out(until.copied(), now);
    }
}
