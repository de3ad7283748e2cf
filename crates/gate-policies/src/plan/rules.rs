//! A plan as one route sees it: which limits a method falls under, and what they hold.

use super::DOMAIN;
use crate::rates::{Row, Table, Window, compile_window, window_s};
use gate_flow::{QuotaSpec, QuotaStanding};
use gate_kit::clock::Moment;
use gate_kit::order::Order;
use gate_model::resources;
use gate_model::units::{Rate, TimeZone};
use std::sync::Arc;
use std::time::Duration;

/// Limits of a plan by their position, a bit for each.
pub(super) type Mask = u8;

/// A plan, compiled for a route.
pub(super) struct Rules {
    pub(super) plan: Arc<str>,
    zone: TimeZone,
    limits: Vec<Limit>,
}

struct Limit {
    /// `LIMIT/rate`, as callers are told.
    rate_name: String,
    methods: Vec<String>,
    rate: Option<(Rate, u32, Window)>,
    /// Longest period first, so that the refusal that lasts longest is found first.
    quotas: Vec<Quota>,
}

struct Quota {
    /// `LIMIT/day`.
    name: String,
    period: resources::QuotaPeriod,
    limit: u64,
}

/// What callers are told of one limit.
pub(super) struct Told<'a> {
    name: &'a str,
    quota: u64,
    window_s: Option<u64>,
    remaining: u64,
    reset: Duration,
}

impl Told<'_> {
    pub(super) fn row(&self) -> Row<'_> {
        Row {
            name: self.name,
            quota: self.quota,
            window_s: self.window_s,
            remaining: self.remaining,
            reset: self.reset,
        }
    }
}

impl Rules {
    /// The limits of a plan that count on a route. What is wrong with plans is reported where they
    /// stand; here it only must not do harm.
    pub(super) fn compile(name: &str, plan: &resources::Plan, route: &str) -> Result<Self, String> {
        let counts = |limit: &resources::PlanLimit| {
            limit.routes.is_empty() || limit.routes.iter().any(|name| name == route)
        };
        let those = plan.limits.iter().filter(|(_, limit)| counts(limit));
        let limits: Result<Vec<Limit>, String> = those
            .take(Mask::BITS as usize)
            .map(|(name, limit)| Limit::compile(name, limit))
            .collect();
        Ok(Self {
            plan: name.into(),
            zone: plan.time_zone.clone(),
            limits: limits?,
        })
    }

    /// The limits that a request with this method falls under.
    pub(super) fn mask(&self, method: &str) -> Mask {
        let limits = self.limits.iter().enumerate();
        let counts = |limit: &Limit| {
            limit.methods.is_empty() || limit.methods.iter().any(|known| known == method)
        };
        limits.fold(0, |mask, (index, limit)| {
            mask | (Mask::from(counts(limit)) << index)
        })
    }

    fn of(&self, mask: Mask) -> impl Iterator<Item = &Limit> {
        let limits = self.limits.iter().enumerate();
        limits.filter_map(move |(index, limit)| (mask >> index & 1 == 1).then_some(limit))
    }

    fn quotas_of(&self, mask: Mask) -> impl Iterator<Item = &Quota> {
        self.of(mask).flat_map(|limit| &limit.quotas)
    }

    pub(super) fn has_quotas(&self, mask: Mask) -> bool {
        self.quotas_of(mask).next().is_some()
    }

    /// The quotas of these limits for a consumer, as the store knows them.
    pub(super) fn quotas(&self, mask: Mask, consumer: &str) -> Vec<QuotaSpec> {
        let mut quotas: Vec<&Quota> = self.quotas_of(mask).collect();
        quotas.order_by_key(|quota| std::cmp::Reverse(quota.period));
        let spec = |quota: &Quota| QuotaSpec {
            name: format!("{}/{}/{consumer}", self.plan, quota.name).into(),
            limit: quota.limit,
            period: quota.period.into(),
            zone: self.zone.clone(),
        };
        quotas.into_iter().map(spec).collect()
    }

    /// The name of the quota at a position of [`Self::quotas`].
    pub(super) fn quota_name(&self, mask: Mask, index: usize) -> &str {
        let mut quotas: Vec<&Quota> = self.quotas_of(mask).collect();
        quotas.order_by_key(|quota| std::cmp::Reverse(quota.period));
        quotas.get(index).map_or("", |quota| &quota.name)
    }

    fn key(&self, limit: &Limit, consumer: &str) -> Vec<u8> {
        [&*self.plan, &*limit.rate_name, consumer]
            .join("\0")
            .into_bytes()
    }

    /// Takes one request from the rates of these limits, from all or from none.
    ///
    /// # Errors
    /// The name of a rate that has no room, and until when all of them have.
    pub(super) fn admit(
        &self,
        table: &Table,
        mask: Mask,
        consumer: &str,
        now: Moment,
    ) -> Result<(), (&str, Duration)> {
        let mut taken: Vec<(&Limit, Vec<u8>)> = Vec::new();
        for limit in self.of(mask) {
            let Some((.., window)) = &limit.rate else {
                continue;
            };
            let key = self.key(limit, consumer);
            if table.admit(DOMAIN, &key, &[*window], now).admitted {
                taken.push((limit, key));
                continue;
            }
            for (limit, key) in &taken {
                if let Some((.., window)) = &limit.rate {
                    table.give_back(DOMAIN, key, window);
                }
            }
            return Err((&limit.rate_name, self.wait(table, mask, consumer, now)));
        }
        Ok(())
    }

    /// Until all rates of these limits have room for one more request.
    pub(super) fn wait(&self, table: &Table, mask: Mask, consumer: &str, now: Moment) -> Duration {
        let waits = self.of(mask).filter_map(|limit| {
            let (.., window) = limit.rate.as_ref()?;
            let key = self.key(limit, consumer);
            Some(table.look(DOMAIN, &key, window, now).wait)
        });
        waits.max().unwrap_or_default()
    }

    /// What callers are told; `standings` are those of [`Self::quotas`].
    pub(super) fn rows(
        &self,
        table: &Table,
        mask: Mask,
        consumer: &str,
        standings: &[QuotaStanding],
        now: Moment,
    ) -> Vec<Told<'_>> {
        let rates = self.of(mask).filter_map(|limit| {
            let (rate, burst, window) = limit.rate.as_ref()?;
            let key = self.key(limit, consumer);
            let standing = table.look(DOMAIN, &key, window, now);
            let reset = match standing.wait.is_zero() {
                true => standing.whole_in,
                false => standing.wait,
            };
            Some(Told {
                name: &limit.rate_name,
                quota: (*burst).into(),
                window_s: window_s(*rate),
                remaining: standing.remaining,
                reset,
            })
        });
        let mut rows: Vec<Told<'_>> = rates.collect();
        let mut quotas: Vec<&Quota> = self.quotas_of(mask).collect();
        quotas.order_by_key(|quota| std::cmp::Reverse(quota.period));
        rows.extend(
            quotas
                .into_iter()
                .zip(standings)
                .map(|(quota, standing)| Told {
                    name: &quota.name,
                    quota: quota.limit,
                    window_s: Some(standing.window.as_secs()),
                    remaining: standing.remaining,
                    reset: standing.reset,
                }),
        );
        rows
    }
}

impl Limit {
    fn compile(name: &str, limit: &resources::PlanLimit) -> Result<Self, String> {
        let rate = limit.rate.map(|rate| {
            let burst = limit.burst.unwrap_or(rate.count()).max(1);
            compile_window(rate, burst).map(|window| (rate, burst, window))
        });
        let quota = |(period, limit): (&resources::QuotaPeriod, &u64)| Quota {
            name: format!("{name}/{}", period.as_str()),
            period: *period,
            limit: *limit,
        };
        Ok(Self {
            rate_name: format!("{name}/rate"),
            methods: limit.methods.clone(),
            rate: rate.transpose()?,
            quotas: limit.quota.iter().map(quota).collect(),
        })
    }
}
