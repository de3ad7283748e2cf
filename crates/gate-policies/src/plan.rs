//! Holds callers to their usage plan: rates, and quotas per day, week and month.
//!
//! A consumer names its plan (`consumers.NAME.plan`), a plan in `plans` has limits by route and
//! method. A request counts in every limit that it falls under and passes only where all of them
//! have room; a refused one counts nowhere. Rates (GCRA, as in `limit`) hold on each gateway. Quotas
//! hold on all gateways of one store together, exactly: each gateway leases a part and never lets in
//! more than it holds. Their days begin at midnight in the plan's `time_zone`.
//!
//! Refusals are `rate_limited` or `quota_exceeded`, both 429, with a `Retry-After` after which the
//! caller is let in. Answers say what is left in `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10), as limit and period (`all/day`). While the store
//! cannot be reached and what was leased is used up, requests are refused with
//! `budget_unavailable`, unless `gateway.store.fail` says otherwise. The policy belongs behind
//! whoever authenticates: callers without a consumer are refused with `credential_missing`, consumers
//! without a plan with `forbidden`, unless there is a `default`.
//!
//! ```yaml
//! - plan: { default: free }
//! ```

#[path = "plan/rules.rs"]
mod rules;
#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;

use crate::rates::{self, RateLimitFields, Table};
use gate_flow::{
    CompileContext, Exchange, Fault, Policy, PolicyKind, QuotaCounter, QuotaPlace, QuotaRefusal,
    Quotas, Replay, Verdict,
};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use rules::{Mask, Rules};
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Tells the rates of plans from other entries of the table.
const DOMAIN: u8 = b'p';

/// How callers are held to their plans.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanConfig {
    /// The plan of consumers that name none; they are refused when left out.
    pub default: Option<String>,
    /// Which header fields tell callers what is left. `Retry-After` is always sent.
    pub fields: RateLimitFields,
}

/// The policy.
pub struct Plan {
    members: HashMap<Arc<str>, Member>,
    fields: RateLimitFields,
    table: Arc<Table>,
    quotas: Option<Arc<dyn Quotas>>,
}

/// A consumer with a plan.
struct Member {
    rules: Arc<Rules>,
    /// The quotas of the limits that a request falls under, made when one first does.
    counters: Mutex<FxHashMap<Mask, Arc<dyn QuotaCounter>>>,
}

impl PolicyKind for Plan {
    const NAME: &'static str = "plan";
    type Config = PlanConfig;

    fn compile(
        config: PlanConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let plans = &context.resources.plans;
        if plans.is_empty() {
            return Err((None, "there are no `plans` to hold callers to".into()));
        }
        if let Some(name) = config
            .default
            .as_ref()
            .filter(|name| !plans.contains_key(*name))
        {
            return Err((Some("default"), format!("there is no plan `{name}`")));
        }
        let mut compiled = HashMap::new();
        for (name, plan) in plans {
            let rules = Rules::compile(name, plan, context.route).map_err(|error| (None, error))?;
            compiled.insert(name.as_str(), Arc::new(rules));
        }
        let member = |(name, consumer): (&String, &gate_model::resources::Consumer)| {
            let plan = consumer.plan.as_ref().or(config.default.as_ref())?;
            let member = Member {
                rules: compiled.get(plan.as_str())?.clone(),
                counters: Mutex::default(),
            };
            Some((Arc::from(name.as_str()), member))
        };
        let secret = rates::secret().map_err(|message| (None, message))?;
        Ok(Arc::new(Self {
            members: context
                .resources
                .consumers
                .iter()
                .filter_map(member)
                .collect(),
            fields: config.fields,
            // One for all routes, because a limit counts on several.
            table: context.state.get_or_insert("plan", || Table::new(secret)),
            quotas: context.quotas.clone(),
        }))
    }
}

impl Policy for Plan {
    // Hot path: a map, a lock for each limit with a rate, and one for each quota.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // A copy is none of the caller's requests.
        if exchange.trial.is_copied() {
            return Verdict::Next;
        }
        let member = match self.member(exchange) {
            Ok(member) => member,
            Err(fault) => return Verdict::refuse(fault),
        };
        let mask = member.rules.mask(exchange.request.head.method.as_str());
        let now = exchange.moment;
        let counter = match self.counter(member, exchange, mask) {
            Ok(Some(counter)) => counter,
            Ok(None) => return self.decide(exchange, mask, None, now),
            Err(fault) => return Verdict::refuse(fault),
        };
        match counter.try_take() {
            Some(taken) => self.decide(exchange, mask, Some((&*counter, taken)), now),
            None => Verdict::Wait(Box::pin(async move {
                let taken = counter.take().await;
                let now = exchange.services.clock().now();
                self.decide(exchange, mask, Some((&*counter, taken)), now)
            })),
        }
    }

    fn replay(&self) -> Replay {
        Replay::Unknown("what is left of the caller's plan")
    }
}

/// What came of setting a request aside in its quotas.
type Taken<'a> = (
    &'a dyn QuotaCounter,
    Result<Box<dyn QuotaPlace>, QuotaRefusal>,
);

impl Plan {
    fn member(&self, exchange: &Exchange) -> Result<&Member, Fault> {
        let Some(caller) = &exchange.caller else {
            let detail = "a plan is a consumer's, and the caller is none";
            return Err(Fault::new(FaultCode::CredentialMissing).detail(detail));
        };
        self.members.get(&caller.name).ok_or_else(|| {
            let detail = format!("the consumer `{}` has no plan", caller.name);
            Fault::new(FaultCode::Forbidden).detail(detail)
        })
    }

    /// The quotas of the limits in `mask`; `None` when they have none.
    fn counter(
        &self,
        member: &Member,
        exchange: &Exchange,
        mask: Mask,
    ) -> Result<Option<Arc<dyn QuotaCounter>>, Fault> {
        if !member.rules.has_quotas(mask) {
            return Ok(None);
        }
        let Some(quotas) = &self.quotas else {
            let detail = "quotas are not kept here";
            return Err(Fault::new(FaultCode::PolicyFailed).detail(detail));
        };
        let consumer = exchange.caller.as_ref().map_or("", |caller| &caller.name);
        let mut counters = member
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let make = || quotas.counter(&member.rules.quotas(mask, consumer));
        Ok(Some(counters.entry(mask).or_insert_with(make).clone()))
    }

    fn decide(
        &self,
        exchange: &mut Exchange,
        mask: Mask,
        taken: Option<Taken<'_>>,
        now: Moment,
    ) -> Verdict<'static> {
        let Ok(Member { rules, .. }) = self.member(exchange) else {
            return Verdict::refuse(FaultCode::InternalError);
        };
        let consumer = exchange.caller.as_ref().map(|caller| caller.name.clone());
        let consumer = consumer.unwrap_or_default();
        let (counter, place) = match taken {
            Some((counter, Ok(place))) => (Some(counter), Ok(Some(place))),
            Some((counter, Err(refusal))) => (Some(counter), Err(refusal)),
            None => (None, Ok(None)),
        };
        let fault = match place {
            Err(refusal) => Some(self.no_quota(rules, mask, &consumer, counter, refusal, now)),
            Ok(place) => match rules.admit(&self.table, mask, &consumer, now) {
                Ok(()) => {
                    if let Some(place) = place {
                        place.confirm();
                    }
                    None
                }
                // The place goes back where it was taken.
                Err((name, wait)) => Some(
                    Fault::new(FaultCode::RateLimited)
                        .detail(format!("limit `{name}` of plan `{}`", rules.plan))
                        .retry_after(wait),
                ),
            },
        };
        if self.fields != RateLimitFields::None {
            let standings = counter.map(QuotaCounter::standings).unwrap_or_default();
            let told = rules.rows(&self.table, mask, &consumer, &standings, now);
            let rows: Vec<rates::Row<'_>> = told.iter().map(rules::Told::row).collect();
            rates::tell(self.fields, &rows, &mut exchange.response_headers);
        }
        match fault {
            Some(fault) => Verdict::refuse(fault),
            None => Verdict::Next,
        }
    }

    fn no_quota(
        &self,
        rules: &Rules,
        mask: Mask,
        consumer: &str,
        counter: Option<&dyn QuotaCounter>,
        refusal: QuotaRefusal,
        now: Moment,
    ) -> Fault {
        let QuotaRefusal::Exhausted { index, wait } = refusal else {
            return Fault::new(FaultCode::BudgetUnavailable)
                .detail("the store of quotas is down")
                .retry_after(Duration::from_secs(5));
        };
        // The longest of all that stand in the way, so that whoever waits is let in.
        let standings = counter.map(QuotaCounter::standings).unwrap_or_default();
        let empty = standings.iter().filter(|standing| standing.remaining == 0);
        let quotas = empty
            .map(|standing| standing.reset)
            .max()
            .unwrap_or_default();
        let rates = rules.wait(&self.table, mask, consumer, now);
        Fault::new(FaultCode::QuotaExceeded)
            .detail(format!(
                "quota `{}` of plan `{}`",
                rules.quota_name(mask, index),
                rules.plan
            ))
            .retry_after(wait.max(quotas).max(rates))
    }
}
