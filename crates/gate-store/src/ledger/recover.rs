//! After a crash: what dead processes left open is charged, and their leases are taken back.
//!
//! A reservation that was written down is charged at its amount, as an entry of kind `unsettled`.
//! What a lease held beyond that may have been spent by calls of the last milliseconds, whose
//! reservations were not written yet: it is charged as well, as an entry of its own whose call is
//! `lease/...`. A process that is idle holds no lease, so that a crash then charges nothing.

use super::commit::{Ledger, Sums, add};
use super::{
    BalanceRow, Batch, CallerRow, Charge, Entry, ExchangeId, Facts, Granted, SpendRow, SqlStore,
    Store, Tokens, UnsettledRow, UsageQuery, UsageRow, UsedApi, read_charges,
};
use crate::database::{Database, Value, transaction};
use crate::{Instance, StoreError};
use gate_kit::clock::Clock;
use gate_model::units::Money;
use std::sync::Arc;

/// What recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Processes that had died.
    pub instances: u64,
    /// Reservations that were charged.
    pub unsettled: u64,
    /// Leases whose remainder was charged.
    pub leases: u64,
}

impl<D: Database> Store for SqlStore<D> {
    fn commit(&mut self, batch: &Batch) -> Result<Vec<Granted>, StoreError> {
        self.write(batch)
    }

    fn recover(&mut self, now_ms: i64) -> Result<Recovered, StoreError> {
        self.change(now_ms, |ledger| {
            let mut recovered = Recovered::default();
            for dead in ledger.dead()? {
                recovered.instances += 1;
                ledger.bury(&dead, &mut recovered)?;
            }
            Ok(recovered)
        })
    }

    fn leave(&mut self) -> Result<(), StoreError> {
        let id: Value = self.instance.id.as_str().into();
        self.registered = false;
        let instance = self.instance.clone();
        let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        self.change(now_ms, |ledger| {
            // What is still reserved is charged now rather than when it expires.
            ledger.charge_holds(&instance, &mut Recovered::default(), &mut Sums::new())?;
            ledger.give_back(&instance)?;
            ledger
                .database
                .execute("DELETE FROM instance WHERE id = $1", &[id])?;
            Ok(())
        })
    }

    fn usage(&mut self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        super::usage::usage(&mut self.database, query)
    }

    fn spend_hours(&mut self, since: i64) -> Result<Vec<SpendRow>, StoreError> {
        super::spend::since(&mut self.database, since)
    }

    fn keep_spend(&mut self, hour: i64, rows: &[SpendRow]) -> Result<(), StoreError> {
        super::spend::keep(&mut self.database, hour, rows)
    }

    fn first_entry(&mut self) -> Result<Option<i64>, StoreError> {
        super::spend::first(&mut self.database)
    }

    fn balances(&mut self) -> Result<Vec<BalanceRow>, StoreError> {
        super::usage::balances(&mut self.database)
    }

    fn unsettled(&mut self) -> Result<Vec<UnsettledRow>, StoreError> {
        super::usage::unsettled(&mut self.database)
    }

    fn release(&mut self, exchange: &str, now_ms: i64) -> Result<bool, StoreError> {
        self.change(now_ms, |ledger| {
            ledger.take_back(&exchange.into(), "release")
        })
    }

    fn note_callers(&mut self, process: &str, rows: &[CallerRow]) -> Result<(), StoreError> {
        super::callers::write(&mut self.database, process, rows)
    }

    fn used_apis(&mut self, since_day: i64) -> Result<Vec<UsedApi>, StoreError> {
        super::callers::used(&mut self.database, since_day)
    }

    fn callers(&mut self, api: &str, since_day: i64) -> Result<Vec<CallerRow>, StoreError> {
        super::callers::read(&mut self.database, api, since_day)
    }

    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError> {
        self.database.execute(
            "DELETE FROM api_caller WHERE day < $1",
            &[(before_ms / 86_400_000).into()],
        )?;
        self.database.execute(
            "DELETE FROM entry WHERE kind = 'settle' AND at_ms < $1",
            &[before_ms.into()],
        )
    }

    fn forget_quotas(&mut self, before_s: i64) -> Result<u64, StoreError> {
        let those = "budget LIKE 'quota:%' AND period < $1 AND period <> 0";
        transaction(&mut self.database, |database| {
            let sql = format!("DELETE FROM lease WHERE {those} AND amount = 0");
            database.execute(&sql, &[before_s.into()])?;
            let sql = format!("DELETE FROM balance WHERE {those} AND leased = 0");
            database.execute(&sql, &[before_s.into()])
        })
    }
}

impl<D: Database> Ledger<'_, D> {
    /// Processes that have expired, or are gone from this system.
    fn dead(&mut self) -> Result<Vec<Instance>, StoreError> {
        let rows = self.database.query(
            "SELECT id, host, pid, born, expires_ms FROM instance ORDER BY id",
            &[],
        )?;
        let mut dead = Vec::new();
        for row in rows {
            let other = Instance {
                id: row[0].text().to_owned(),
                host: row[1].text().to_owned(),
                pid: row[2].int(),
                born: row[3].int(),
            };
            let is_other = other.id != self.instance.id;
            if is_other && (row[4].int() < self.now_ms || other.is_gone()) {
                dead.push(other);
            }
        }
        Ok(dead)
    }

    fn bury(&mut self, dead: &Instance, recovered: &mut Recovered) -> Result<(), StoreError> {
        let id: Value = dead.id.as_str().into();
        // Of two who bury the same one, the second waits here and then finds nothing.
        let deleted = self
            .database
            .execute("DELETE FROM instance WHERE id = $1", &[id])?;
        if deleted == 0 {
            return Ok(());
        }
        let mut held = Sums::new();
        self.charge_holds(dead, recovered, &mut held)?;
        let leases = self.leases(dead)?;
        for (budget, period, amount) in &leases {
            let key = (budget.clone(), *period);
            let rest = amount - held.get(&key).copied().unwrap_or(0);
            if rest > 0 {
                recovered.leases += 1;
                let charge = Charge {
                    budget: budget.clone(),
                    period: *period,
                    amount: rest,
                };
                let entry = Entry {
                    exchange: ExchangeId::Named(
                        format!("lease/{}/{budget}@{period}", dead.id).into(),
                    ),
                    at_ms: self.now_ms,
                    facts: Arc::default(),
                    outcome: "crashed",
                    tokens: Tokens::default(),
                    estimated: 1,
                    cost: None,
                    charges: std::iter::once(charge).collect(),
                    calls: 1,
                    held: Vec::new(),
                };
                if self.entry(&entry, "unsettled")? {
                    self.balance(&key, 0, rest)?;
                }
            }
        }
        self.give_back(dead)
    }

    /// Charges the reservations of a process at their amounts.
    fn charge_holds(
        &mut self,
        of: &Instance,
        recovered: &mut Recovered,
        held: &mut Sums,
    ) -> Result<(), StoreError> {
        let id: Value = of.id.as_str().into();
        let rows = self.database.query(
            "SELECT exchange, at_ms, consumer, key_id, team, route, model, provider,
                    provider_model, tag, revision, cost, charges
             FROM hold WHERE instance = $1 ORDER BY exchange",
            std::slice::from_ref(&id),
        )?;
        let mut sums = Sums::new();
        for row in rows {
            let text = |index: usize| -> Arc<str> { row[index].text().into() };
            let facts = Facts {
                consumer: text(2),
                key: text(3),
                team: text(4),
                route: text(5),
                model: text(6),
                provider: text(7),
                provider_model: text(8),
                tag: text(9),
                revision: u64::try_from(row[10].int()).unwrap_or(0),
            };
            let entry = Entry {
                exchange: ExchangeId::Named(text(0)),
                at_ms: row[1].int(),
                facts: Arc::new(facts),
                outcome: "crashed",
                tokens: Tokens::default(),
                estimated: 1,
                cost: row[11].optional_int().map(Money::from_picodollars),
                charges: read_charges(row[12].text())?,
                calls: 1,
                held: Vec::new(),
            };
            add(held, &entry.charges);
            if entry.exchange.is_item() && self.is_settled(&entry.exchange)? {
                continue;
            }
            if self.entry(&entry, "unsettled")? {
                recovered.unsettled += 1;
                add(&mut sums, &entry.charges);
            }
        }
        for (key, amount) in sums {
            self.balance(&key, 0, amount)?;
        }
        self.database
            .execute("DELETE FROM hold WHERE instance = $1", &[id])?;
        Ok(())
    }

    /// Whether another process has called the same item since, and paid for it.
    fn is_settled(&mut self, exchange: &ExchangeId) -> Result<bool, StoreError> {
        let sql = "SELECT exchange FROM entry WHERE exchange = $1 AND kind = 'settle'";
        Ok(!self.database.query(sql, &[exchange.into()])?.is_empty())
    }

    fn leases(&mut self, of: &Instance) -> Result<Vec<(Arc<str>, i64, i64)>, StoreError> {
        let rows = self.database.query(
            "SELECT budget, period, amount FROM lease WHERE instance = $1 ORDER BY budget, period",
            &[of.id.as_str().into()],
        )?;
        let lease = |row: &Vec<Value>| (row[0].text().into(), row[1].int(), row[2].int());
        Ok(rows.iter().map(lease).collect())
    }

    /// Ends the leases of a process.
    fn give_back(&mut self, of: &Instance) -> Result<(), StoreError> {
        for (budget, period, amount) in self.leases(of)? {
            self.database.execute(
                "UPDATE balance SET leased = leased - $1 WHERE budget = $2 AND period = $3",
                &[amount.into(), (&*budget).into(), period.into()],
            )?;
        }
        self.database.execute(
            "DELETE FROM lease WHERE instance = $1",
            &[of.id.as_str().into()],
        )?;
        Ok(())
    }
}
