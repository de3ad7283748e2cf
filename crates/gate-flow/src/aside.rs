//! Exchanges of the gateway's own, beside the one they help: a model that judges, for instance.
//!
//! No row is kept of them, but what they consume is accounted for like any other call's: it is
//! reserved before and settled after it, on the consumer that the helped exchange has or on another
//! one, and counted in metrics of models and payers.

use crate::{AiFacts, Caller, Client, Exchange, Memory, Outcome, Overrides, Parameters, Record};
use crate::{Services, Snapshot, TrialPlace};
use gate_kit::http::{Headers, Request};
use gate_model::units::Money;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What an exchange of the gateway's own needs of the one it helps.
#[derive(Clone)]
pub struct Beside {
    snapshot: Arc<Snapshot>,
    client: Rc<Client>,
    address: IpAddr,
    services: Rc<dyn Services>,
    route: Option<Arc<str>>,
    caller: Option<Arc<Caller>>,
}

impl Exchange {
    /// What exchanges beside this one need.
    #[must_use]
    pub fn beside(&self) -> Beside {
        Beside {
            snapshot: self.snapshot.clone(),
            client: self.client.clone(),
            address: self.address,
            services: self.services.clone(),
            route: self.record.route.clone(),
            caller: self.caller.clone(),
        }
    }

    /// Completes the record's part about models and guards, and settles what was reserved. Called
    /// once, when the exchange has ended and its record says how.
    pub fn settle(&mut self) {
        let record = &mut self.record;
        if let Some(ai) = self.ai.take() {
            // Usually nobody else looks at it any more.
            let ai = match Rc::try_unwrap(ai) {
                Ok(ai) => ai.into_inner(),
                Err(ai) => ai.take(),
            };
            // A stream that ended in order with an error in it is no success.
            if let Some(detours) = &ai.detours {
                record.fault = record.fault.or(detours.fault);
            }
            record.ai = Some(ai);
        }
        if let Some(guard) = self.guard.take() {
            let guard = guard.take();
            if guard.cut {
                record
                    .fault
                    .get_or_insert(gate_model::fault::FaultCode::GuardBlocked);
            }
            record.guard = Some(Box::new(guard));
        }
        if let Some(rpc) = self.rpc.take() {
            let rpc = rpc.take();
            record.fault = record.fault.or(rpc.fault);
            record.rpc = Some(Box::new(rpc));
        }
        if let Some(contract) = self.contract.take() {
            record.contract = contract.take().map(Box::new);
        }
        if let Some(bodies) = self.bodies.take() {
            record.bodies = Some(Arc::new(bodies.take()));
        }
        match self.reservation.take() {
            Some(reservation) => reservation.settle(record),
            None => price(record),
        }
    }
}

/// Says what a call cost that had nothing reserved.
fn price(record: &mut Record) {
    if let Some(ai) = &mut record.ai {
        ai.cost = ai.price();
        ai.tariff = None;
    }
}

impl Beside {
    /// What the worker offers.
    #[must_use]
    pub fn services(&self) -> &Rc<dyn Services> {
        &self.services
    }

    /// The configuration.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// An exchange with this request, on no route's way. The consumer `payer` pays for it; without
    /// one, whoever calls. Which models a caller may use does not count: the operator chose this
    /// one.
    #[must_use]
    pub fn aside(&self, request: Request, payer: Option<&str>) -> Aside {
        let started = self.services.clock().now();
        let caller = match payer {
            Some(name) => self.snapshot.callers.by_name(name),
            None => self.caller.as_ref(),
        };
        let caller = caller.map(|caller| Caller {
            name: caller.name.clone(),
            team: caller.team.clone(),
            models: None,
            tools: caller.tools.clone(),
            key: caller.key.clone().filter(|_| payer.is_none()),
            expires_unix_s: None,
            routes: None,
        });
        let record = Record {
            started,
            started_unix: self.services.clock().unix(),
            route: self.route.clone(),
            consumer: caller.as_ref().map(|caller| caller.name.clone()),
            team: caller.as_ref().and_then(|caller| caller.team.clone()),
            key: caller.as_ref().and_then(|caller| caller.key.clone()),
            ..Record::default()
        };
        Aside {
            settled: false,
            exchange: Exchange {
                snapshot: self.snapshot.clone(),
                request,
                client: self.client.clone(),
                address: self.address,
                route: None,
                parameters: Parameters::default(),
                caller: caller.map(Arc::new),
                response_headers: Headers::new(),
                overrides: Overrides::default(),
                record,
                moment: started,
                ai: None,
                guard: None,
                rpc: None,
                bodies: None,
                contract: None,
                kept: None,
                memory: Memory::default(),
                reservation: None,
                trial: TrialPlace::Absent,
                interim: None,
                services: self.services.clone(),
            },
        }
    }
}

/// An exchange of the gateway's own. What it consumed is settled when it is dropped at the latest,
/// so that a call that is given up midway is paid for as well.
pub struct Aside {
    exchange: Exchange,
    settled: bool,
}

/// What an exchange of the gateway's own consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Tokens read and written.
    pub tokens: u64,
    /// What they cost; none where no price is known.
    pub cost: Option<Money>,
}

impl Aside {
    /// The exchange.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// Ends it, and says what it consumed. Only the first call counts.
    pub fn settle(&mut self, outcome: Outcome, response_bytes: u64) -> Consumed {
        if !std::mem::replace(&mut self.settled, true) {
            let now = self.exchange.services.clock().now();
            let record = &mut self.exchange.record;
            record.outcome = outcome;
            record.response_bytes = response_bytes;
            record.duration = now.since(record.started);
            self.exchange.settle();
            self.exchange.services.count_beside(&self.exchange.record);
        }
        let count = |ai: &AiFacts| ai.input_tokens.unwrap_or(0) + ai.output_tokens.unwrap_or(0);
        let ai = self.exchange.record.ai.as_deref();
        Consumed {
            tokens: ai.map_or(0, count),
            cost: ai.and_then(|ai| ai.cost),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.settle(Outcome::ClientClosed, 0);
    }
}
