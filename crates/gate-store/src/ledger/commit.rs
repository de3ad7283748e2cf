//! Writing a batch: reservations, entries, leases, in one transaction.
//!
//! Rows go in by [`ROWS`], so that a busy gateway needs few round trips. Balances are
//! taken in the order of their names, so that two gateways never wait for each other in a circle.

use super::carry::Carried;
use super::group::{Group, groups};
use super::rows::{ENTRY, ENTRY_COLUMNS, HOLD, HOLD_COLUMNS, entry_values, hold_values, insert};
use super::{
    Batch, Charge, Crossed, CrossedEvent, Entry, ExchangeId, Granted, HoldRow, LeaseRequest,
    SqlStore, read_charges,
};
use crate::database::{Database, Value};
use crate::instance::EXPIRY_MS;
use crate::{Instance, StoreError};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Rows of one statement.
const ROWS: usize = 32;
/// How long it is remembered that somebody went short of a budget, in milliseconds.
const WANTED_MS: i64 = 1_000;

/// Amounts by budget and period.
pub(super) type Sums = BTreeMap<(Arc<str>, i64), i64>;

pub(super) fn add(sums: &mut Sums, charges: &[Charge]) {
    for charge in charges {
        let sum = sums
            .entry((charge.budget.clone(), charge.period))
            .or_default();
        *sum = sum.saturating_add(charge.amount);
    }
}

/// What a transaction needs to know.
pub(super) struct Ledger<'a, D> {
    pub(super) database: &'a mut D,
    pub(super) instance: &'a Instance,
    pub(super) now_ms: i64,
    pub(super) carried: Carried,
    pub(super) crossed: Option<CrossedEvent>,
}

impl<D: Database> SqlStore<D> {
    pub(super) fn write(&mut self, batch: &Batch) -> Result<Vec<Granted>, StoreError> {
        let (was_lost, registered) = (self.was_lost, self.registered);
        let (granted, lost) = self.change(batch.now_ms, |ledger| {
            let lost = was_lost | (!ledger.lives()? && registered);
            let granted = ledger.commit(batch, lost)?;
            Ok((granted, lost))
        })?;
        (self.was_lost, self.registered) = (lost, true);
        Ok(granted)
    }

    /// Changes the ledger in one transaction, in which the journal is told the new entries
    /// and the thresholds that they cross.
    pub(super) fn change<T>(
        &mut self,
        now_ms: i64,
        work: impl FnOnce(&mut Ledger<'_, D>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (instance, number) = (&self.instance, &mut self.carried);
        let crossed = self.crossed;
        crate::database::transaction(&mut self.database, |database| {
            let mut ledger = Ledger {
                database,
                instance,
                now_ms,
                carried: Carried::default(),
                crossed,
            };
            let done = work(&mut ledger)?;
            // Last, because whoever appends waits for all others who do.
            let carried = std::mem::take(&mut ledger.carried);
            carried.append(database, now_ms, &instance.id, number)?;
            Ok(done)
        })
    }
}

impl<D: Database> Ledger<'_, D> {
    /// Says that this process lives; false when it was not known.
    fn lives(&mut self) -> Result<bool, StoreError> {
        let Instance {
            id,
            host,
            pid,
            born,
        } = self.instance;
        let expires = self.now_ms.saturating_add(EXPIRY_MS);
        let moved = self.database.execute(
            "UPDATE instance SET expires_ms = $1 WHERE id = $2",
            &[expires.into(), id.as_str().into()],
        )?;
        if moved == 0 {
            self.database.execute(
                "INSERT INTO instance (id, host, pid, born, expires_ms) VALUES ($1, $2, $3, $4, $5)",
                &[
                    id.as_str().into(),
                    host.as_str().into(),
                    (*pid).into(),
                    (*born).into(),
                    expires.into(),
                ],
            )?;
        }
        Ok(moved > 0)
    }

    fn commit(&mut self, batch: &Batch, was_lost: bool) -> Result<Vec<Granted>, StoreError> {
        let mut used = self.entries(batch, was_lost)?;
        self.counts(batch, &mut used)?;
        // Their ids are random numbers of ours, which nobody can make collide.
        let ended: FxHashSet<&ExchangeId> = batch.ended().collect();
        // What has begun and ended since the last commit was never written.
        let tried = batch.tried.last().map_or(0, |reach| reach.holds);
        let fresh = batch.holds.iter().skip(tried);
        let fresh: FxHashSet<&ExchangeId> = fresh.map(|hold| &hold.exchange).collect();
        let written: Vec<&ExchangeId> = ended.difference(&fresh).copied().collect();
        for group in written.chunks(ROWS) {
            self.forget_holds(group)?;
        }
        let open = |hold: &&HoldRow| !ended.contains(&hold.exchange);
        let holds: Vec<&HoldRow> = batch.holds.iter().filter(open).collect();
        self.holds(&holds)?;
        let mut requests: BTreeMap<(Arc<str>, i64), Option<&LeaseRequest>> = BTreeMap::new();
        requests.extend(used.keys().map(|key| (key.clone(), None)));
        let key = |lease: &LeaseRequest| (lease.budget.clone(), lease.period);
        requests.extend(batch.leases.iter().map(|lease| (key(lease), Some(lease))));
        let mut granted = Vec::with_capacity(batch.leases.len());
        for (key, request) in requests {
            let amount = used.get(&key).copied().unwrap_or(0);
            let settled = self.balance(&key, amount, 0)?;
            if let Some(request) = request {
                granted.push(self.lease(request, amount, settled)?);
            }
        }
        Ok(granted)
    }

    /// Adds the counts that are new to what the batch charges. The process's row remembers the
    /// number of the last, so that a batch may be repeated.
    fn counts(&mut self, batch: &Batch, used: &mut Sums) -> Result<(), StoreError> {
        for (number, sums) in &batch.counts {
            let new = self.database.execute(
                "UPDATE instance SET counted = $1 WHERE id = $2 AND counted < $1",
                &[(*number).into(), self.instance.id.as_str().into()],
            )?;
            if new == 0 {
                continue;
            }
            for (key, amount) in sums {
                let sum = used.entry(key.clone()).or_default();
                *sum = sum.saturating_add(*amount);
            }
        }
        Ok(())
    }

    /// Adds entries; returns what those that are new charge.
    fn entries(&mut self, batch: &Batch, was_lost: bool) -> Result<Sums, StoreError> {
        let mut used = Sums::new();
        let ends = batch.tried.iter().map(|reach| reach.entries);
        let mut begin = 0;
        for end in ends.chain([batch.entries.len()]) {
            // Grouped as it was when it was handed over before.
            let groups = groups(&batch.entries[begin..end]);
            begin = end;
            for groups in groups.chunks(ROWS) {
                self.groups(groups, was_lost, &mut used)?;
            }
        }
        Ok(used)
    }

    fn groups(
        &mut self,
        groups: &[Group<'_>],
        was_lost: bool,
        used: &mut Sums,
    ) -> Result<(), StoreError> {
        let mut values = Vec::with_capacity(groups.len() * ENTRY_COLUMNS);
        for group in groups {
            entry_values(&mut values, group, "settle");
        }
        let sql = insert(ENTRY, ENTRY_COLUMNS, groups.len(), " RETURNING exchange");
        let rows = self.database.query(&sql, &values)?;
        let new: HashSet<&str> = rows
            .iter()
            .filter_map(|row| Some(row.first()?.text()))
            .collect();
        let is_new = |group: &&Group<'_>| new.contains(&*group.first().exchange.to_string());
        for group in groups.iter().filter(is_new) {
            add(used, &group.sum.charges);
            self.carried.add(group, "settle");
            let held = group.entries.iter().flat_map(|entry| &entry.held);
            // Whoever called an item before may have died with it open.
            for exchange in held.filter(|exchange| was_lost || exchange.is_item()) {
                // Readers leave out charges that a settlement of the same id follows; a call that
                // is not the first of its group has none.
                let kind = match *exchange == group.first().exchange {
                    true => "",
                    false => "release",
                };
                self.take_back(exchange, kind)?;
            }
        }
        Ok(())
    }

    fn forget_holds(&mut self, exchanges: &[&ExchangeId]) -> Result<(), StoreError> {
        let held: Vec<Value> = exchanges.iter().map(|&exchange| exchange.into()).collect();
        let places: Vec<String> = (1..=held.len()).map(|n| format!("${n}")).collect();
        let sql = format!("DELETE FROM hold WHERE exchange IN ({})", places.join(", "));
        self.database.execute(&sql, &held)?;
        Ok(())
    }

    fn holds(&mut self, holds: &[&HoldRow]) -> Result<(), StoreError> {
        for group in holds.chunks(ROWS) {
            let mut values = Vec::with_capacity(group.len() * HOLD_COLUMNS);
            for hold in group {
                hold_values(&mut values, hold, &self.instance.id);
            }
            let sql = insert(HOLD, HOLD_COLUMNS, group.len(), "");
            self.database.execute(&sql, &values)?;
        }
        Ok(())
    }

    /// Takes back what was charged when this call was thought lost; false when it was not.
    pub(super) fn take_back(
        &mut self,
        exchange: &ExchangeId,
        kind: &str,
    ) -> Result<bool, StoreError> {
        let found = self.database.query(
            "SELECT charges FROM entry WHERE exchange = $1 AND kind = 'unsettled'
             AND NOT EXISTS (SELECT 1 FROM entry AS other
                             WHERE other.exchange = entry.exchange AND other.kind = 'release')",
            &[exchange.into()],
        )?;
        let Some(row) = found.first() else {
            return Ok(false);
        };
        let charges = read_charges(row.first().map_or("", |value| value.text()))?;
        let mut sums = Sums::new();
        add(&mut sums, &charges);
        for (key, amount) in sums {
            self.balance(&key, 0, -amount)?;
        }
        if !kind.is_empty() {
            let entry = Entry {
                exchange: exchange.clone(),
                at_ms: self.now_ms,
                facts: Arc::default(),
                outcome: "",
                tokens: super::Tokens::default(),
                estimated: 0,
                cost: None,
                charges: charges.into_iter().map(negative).collect(),
                calls: 1,
                held: Vec::new(),
            };
            self.entry(&entry, kind)?;
        }
        Ok(true)
    }

    /// Adds to a balance, which stays locked until the end; returns what it is then.
    pub(super) fn balance(
        &mut self,
        (budget, period): &(Arc<str>, i64),
        settled: i64,
        unsettled: i64,
    ) -> Result<Balance, StoreError> {
        let key = [(&**budget).into(), (*period).into()];
        self.database.execute(
            "INSERT INTO balance (budget, period, settled, unsettled, leased, wanted_ms)
             VALUES ($1, $2, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
            &key,
        )?;
        let [budget, period] = key;
        let rows = self.database.query(
            "UPDATE balance SET settled = settled + $1, unsettled = unsettled + $2
             WHERE budget = $3 AND period = $4
             RETURNING settled, unsettled, leased, wanted_ms",
            &[settled.into(), unsettled.into(), budget, period],
        )?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::Broken("a balance that is not there".into()))?;
        Ok(Balance {
            settled: row[0].int(),
            unsettled: row[1].int(),
            leased: row[2].int(),
            wanted_ms: row[3].int(),
        })
    }

    /// Sets this process's lease as near to its target as the budget allows. `used` is what the
    /// batch's entries have taken out of it.
    fn lease(
        &mut self,
        request: &LeaseRequest,
        used: i64,
        balance: Balance,
    ) -> Result<Granted, StoreError> {
        let key: [Value; 2] = [(&*request.budget).into(), request.period.into()];
        let [budget, period] = key.clone();
        let id: Value = self.instance.id.as_str().into();
        let rows = self.database.query(
            "SELECT amount FROM lease WHERE instance = $1 AND budget = $2 AND period = $3",
            &[id.clone(), budget.clone(), period.clone()],
        )?;
        let before = rows.first().map_or(0, |row| row[0].int());
        let kept = (before - used).max(0);
        let others = balance.leased - before;
        let room = request.limit - balance.settled - balance.unsettled - others - kept;
        let amount = match request.target - kept {
            more @ 1.. => kept + room.clamp(0, more),
            _ => request.target.max(0),
        };
        if amount != before {
            self.database.execute(
                "INSERT INTO lease (instance, budget, period, amount) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (instance, budget, period) DO UPDATE SET amount = excluded.amount",
                &[id, budget, period, amount.into()],
            )?;
        }
        let short = amount < request.target && others > 0;
        let wanted_ms = if short {
            self.now_ms
        } else {
            balance.wanted_ms
        };
        if amount != before || short {
            let [budget, period] = key;
            self.database.execute(
                "UPDATE balance SET leased = leased + $1, wanted_ms = $2
                 WHERE budget = $3 AND period = $4",
                &[(amount - before).into(), wanted_ms.into(), budget, period],
            )?;
        }
        Ok(Granted {
            budget: request.budget.clone(),
            period: request.period,
            amount,
            settled: balance.settled,
            unsettled: balance.unsettled,
            leased: balance.leased + amount - before,
            wanted: !short && self.now_ms - balance.wanted_ms < WANTED_MS,
            crossed: self.crossed(request, balance)?,
        })
    }

    fn crossed(
        &mut self,
        request: &LeaseRequest,
        balance: Balance,
    ) -> Result<SmallVec<[i64; 2]>, StoreError> {
        let mut crossed = SmallVec::new();
        let spent = balance.settled.saturating_add(balance.unsettled);
        for &amount in request.thresholds.iter().filter(|amount| spent >= **amount) {
            let new = self.database.execute(
                "INSERT INTO threshold (budget, period, amount, at_ms) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
                &[
                    (&*request.budget).into(),
                    request.period.into(),
                    amount.into(),
                    self.now_ms.into(),
                ],
            )?;
            if new > 0 {
                crossed.push(amount);
                if let Some(event) = self.crossed {
                    self.carried.tell(event(&Crossed {
                        budget: request.budget.clone(),
                        period: request.period,
                        threshold: amount,
                        settled: balance.settled,
                        unsettled: balance.unsettled,
                        at_ms: self.now_ms,
                    }));
                }
            }
        }
        Ok(crossed)
    }

    /// Adds one entry of another kind than `settle`; false when it was there already.
    pub(super) fn entry(&mut self, entry: &Entry, kind: &str) -> Result<bool, StoreError> {
        let (mut values, group) = (Vec::new(), Group::of(entry));
        entry_values(&mut values, &group, kind);
        let sql = insert(ENTRY, ENTRY_COLUMNS, 1, "");
        let is_new = self.database.execute(&sql, &values)? > 0;
        if is_new {
            self.carried.add(&group, kind);
        }
        Ok(is_new)
    }
}

/// A row of balances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Balance {
    settled: i64,
    unsettled: i64,
    leased: i64,
    wanted_ms: i64,
}

fn negative(charge: Charge) -> Charge {
    Charge {
        amount: -charge.amount,
        ..charge
    }
}
