//! What is usual on each route: its exchanges in the last whole hour beside what the same hours and
//! weekdays had before.
//!
//! Once a minute each gateway adds what it counted to the environment's hour in the store, which keeps 32
//! days; without a store, they are kept in memory. A store that does not answer is told later. What was
//! counted in the minute in which a process ends is lost, which changes no baseline.

use super::usual::last;
use crate::follow;
use gate_api::types::Forecast;
use gate_kit::order::Gather;
use gate_ops::slo::Count;
use gate_proxy::process::Process;
use gate_store::control::{ControlError, ControlStore, TRAFFIC_HOURS_KEPT, TrafficHour};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const HOUR_S: u64 = 3_600;
/// Routes that are looked at, the first by name: each costs about a tenth of a millisecond.
const ROUTES_MAX: usize = 500;
/// Hours that wait for a store that does not answer; the oldest are forgotten.
const WAITING_MAX: usize = 48;
/// From the end of an hour until every gateway has told of it.
const TOLD_S: u64 = 150;
/// How often an hour is written anew when others wrote it meanwhile, before the next minute.
const TRIES: usize = 5;

/// Exchanges of an hour, by route.
type Hour = BTreeMap<String, u64>;

/// An hour as the store keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    routes: Hour,
    /// Bytes that are used of the store's disk, where it is on one.
    disk: Option<f64>,
}

/// This process's side of the counts.
#[derive(Debug, Default)]
struct Routes(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    environment: String,
    /// What the counters said last.
    before: Hour,
    /// By hours since 1970: what is to be told, or without a store, what there was.
    hours: BTreeMap<u64, Hour>,
    /// How full the disk was when it was looked at last, in bytes.
    disk: Option<f64>,
    /// What was found of an hour.
    found: Option<(u64, Vec<Forecast>)>,
}

impl Counted {
    /// Takes in what the counters say.
    fn take(&mut self, exchanges: Vec<(String, u64)>, now_s: u64) {
        let hour = self.hours.entry(now_s / HOUR_S).or_default();
        for (route, count) in exchanges {
            let before = self.before.insert(route.clone(), count).unwrap_or(0);
            // Also where nothing came: an hour without exchanges was counted.
            *hour.entry(route).or_default() += count.saturating_sub(before);
        }
    }

    /// Tells the store of every hour that waits.
    fn tell(&mut self, store: &mut dyn ControlStore) -> Result<(), ControlError> {
        while let Some((hour, counts)) = self.hours.first_key_value() {
            if !add(store, &self.environment, (*hour, counts), self.disk)? {
                return Ok(());
            }
            self.hours.pop_first();
        }
        Ok(())
    }

    fn keep(&mut self, most: usize) {
        while self.hours.len() > most {
            self.hours.pop_first();
        }
    }
}

/// Adds to an hour of the store. Whether it was: not where others always came first.
fn add(
    store: &mut dyn ControlStore,
    environment: &str,
    (hour, counts): (u64, &Hour),
    disk: Option<f64>,
) -> Result<bool, ControlError> {
    for _ in 0..TRIES {
        let known = store.traffic_hour(environment, hour)?;
        let mut sum = known
            .as_ref()
            .map_or_else(Kept::default, |one| read(&one.data));
        // How full it was first in this hour.
        sum.disk = sum.disk.or(disk);
        for (route, count) in counts {
            if sum.routes.len() < ROUTES_MAX || sum.routes.contains_key(route) {
                let own = sum.routes.entry(route.clone()).or_default();
                *own = own.saturating_add(*count);
            }
        }
        let saved = store.save_traffic_hour(&TrafficHour {
            environment: environment.to_owned(),
            hour,
            version: known.map_or(0, |one| one.version),
            data: serde_json::to_string(&sum).unwrap_or_default(),
        })?;
        if saved {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What cannot be read was written by a newer gateway, and begins anew.
fn read(data: &str) -> Kept {
    serde_json::from_str(data).unwrap_or_default()
}

fn of(process: &Process) -> Arc<Routes> {
    process.shared().state.get_or_insert("", Routes::default)
}

fn locked(routes: &Routes) -> MutexGuard<'_, Counted> {
    routes.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says which environment is counted for; empty where a file rules.
pub(super) fn begin(process: &Process, environment: &str) {
    environment.clone_into(&mut locked(&of(process)).environment);
}

fn open(process: &Process, folder: &Path) -> Option<Result<Box<dyn ControlStore>, ControlError>> {
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let open = follow::opener(gateway, folder)?;
    Some(open().map_err(ControlError::from))
}

/// Says how full the store's disk is, in bytes, to be kept with the hours.
pub(super) fn measured(process: &Process, used: f64) {
    locked(&of(process)).disk = Some(used);
}

/// How full the store's disk was by the hour, the oldest first, up to this hour; an hour in which nobody
/// looked was as the one before.
pub(super) fn disk(process: &Process, folder: &Path, now_s: u64) -> Vec<f64> {
    let hour = now_s / HOUR_S;
    let since = hour.saturating_sub(TRAFFIC_HOURS_KEPT);
    let environment = locked(&of(process)).environment.clone();
    let hours = match open(process, folder) {
        None => return Vec::new(),
        Some(store) => store.and_then(|mut store| store.traffic_hours(&environment, since)),
    };
    let hours = hours.unwrap_or_default();
    let known = hours
        .iter()
        .filter_map(|one| Some((one.hour, read(&one.data).disk?)));
    filled(&known.into_map(), hour)
}

/// Values of every hour before this one, from the first that is known.
fn filled(known: &BTreeMap<u64, f64>, hour: u64) -> Vec<f64> {
    let Some((first, value)) = known.first_key_value() else {
        return Vec::new();
    };
    let mut value = *value;
    let mut of_hour = |hour| {
        value = known.get(&hour).copied().unwrap_or(value);
        value
    };
    (*first..hour).map(&mut of_hour).collect()
}

/// Counts this minute and tells the store; to be called once a minute.
pub(super) fn count(process: &Process, folder: &Path, now_s: u64) {
    let routes = of(process);
    let mut counted = locked(&routes);
    counted.take(process.exchanges(ROUTES_MAX), now_s);
    let Some(store) = open(process, folder) else {
        counted.keep(usize::try_from(TRAFFIC_HOURS_KEPT).unwrap_or(usize::MAX));
        return;
    };
    counted.keep(WAITING_MAX);
    if let Err(error) = store.and_then(|mut store| counted.tell(&mut *store)) {
        tracing::debug!(%error, "exchanges by the hour wait for the store");
    }
}

/// The last whole hour of every route that the configuration has; looked at anew every hour.
pub(super) fn all(process: &Process, folder: &Path, now_s: u64) -> Vec<Forecast> {
    let ended = now_s.saturating_sub(TOLD_S) / HOUR_S;
    let routes = of(process);
    let mut counted = locked(&routes);
    if let Some((hour, found)) = &counted.found
        && *hour == ended
    {
        return found.clone();
    }
    let hours = match open(process, folder) {
        None => counted.hours.clone(),
        Some(store) => {
            let since = ended.saturating_sub(TRAFFIC_HOURS_KEPT);
            let hours =
                store.and_then(|mut store| store.traffic_hours(&counted.environment, since));
            match hours {
                Ok(hours) => hours
                    .iter()
                    .map(|one| (one.hour, read(&one.data).routes))
                    .into_map(),
                Err(error) => {
                    tracing::debug!(%error, "what is usual on routes is not known");
                    return Vec::new();
                }
            }
        }
    };
    let resources = process.shared().snapshot.load().resources.clone();
    let known: BTreeSet<&str> = resources.routes.keys().map(String::as_str).into_set();
    let found = usual(&hours, ended, &known);
    counted.found = Some((ended, found.clone()));
    found
}

/// What there was in the hour before `ended`, by route, beside what was usual. An hour that nobody
/// counted is none; one that was counted had what it had, also nothing.
fn usual(hours: &BTreeMap<u64, Hour>, ended: u64, known: &BTreeSet<&str>) -> Vec<Forecast> {
    let last_is_known = ended
        .checked_sub(1)
        .is_some_and(|hour| hours.contains_key(&hour));
    if !last_is_known {
        return Vec::new();
    }
    let of_route = |route: &&str| {
        let mut counts: Vec<(u64, Count)> = Vec::new();
        for (hour, routes) in hours.range(..ended) {
            let count = routes.get(*route);
            // A route is as old as its first exchange.
            if count.is_some() || !counts.is_empty() {
                let count = Count::new(count.copied().unwrap_or(0), 0);
                counts.push((hour * HOUR_S, count));
            }
        }
        last(format!("route {route}"), &counts)
    };
    known.iter().take(ROUTES_MAX).filter_map(of_route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 2026-11-02 00:00 UTC.
    const START: u64 = 1_793_577_600 / HOUR_S;

    #[test]
    fn counters_become_hours() {
        let mut counted = Counted::default();
        let said = |count| vec![("a".to_owned(), count)];
        counted.take(said(5), START * HOUR_S + 10);
        counted.take(said(12), START * HOUR_S + 70);
        counted.take(said(13), (START + 1) * HOUR_S);
        counted.take(said(13), (START + 2) * HOUR_S);
        let of = |hour: u64| counted.hours[&(START + hour)]["a"];
        assert_eq!([of(0), of(1), of(2)], [12, 1, 0]);
        counted.keep(2);
        assert_eq!(counted.hours.first_key_value().unwrap().0, &(START + 1));
    }

    #[test]
    fn hours_in_which_nobody_looked_at_the_disk_are_as_those_before() {
        let known = BTreeMap::from([(3, 1.0), (4, 2.0), (7, 5.0), (8, 6.0)]);
        assert_eq!(filled(&known, 8), [1.0, 2.0, 2.0, 2.0, 5.0]);
        assert_eq!(filled(&BTreeMap::new(), 8), [] as [f64; 0]);
        assert_eq!(filled(&known, 3), [] as [f64; 0]);
    }

    #[test]
    fn a_route_is_compared_with_its_weekday_and_hours_that_nobody_counted_are_left_out() {
        let mut hours = BTreeMap::new();
        // Three weeks and half a Monday, without one night; a weekend has a third.
        for hour in 0..21 * 24 + 12 {
            let orders = if hour / 24 % 7 >= 5 { 300 } else { 900 };
            if !(200..212).contains(&hour) {
                let counts = [("orders", orders), ("gone", 5)];
                let own = |(name, count): (&str, u64)| (name.to_owned(), count);
                hours.insert(START + hour, counts.map(own).into_iter().collect::<Hour>());
            }
        }
        let ended = START + 21 * 24 + 12;
        let known = BTreeSet::from(["new", "orders"]);
        let found = usual(&hours, ended, &known);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].name.as_str(), found[0].now),
            ("route orders", 900.0)
        );
        assert_eq!(found[0].silent, None);
        hours.insert(ended - 1, Hour::new());
        let none = usual(&hours, ended, &known);
        let said = none[0].silent.as_deref().unwrap();
        assert!(
            none[0].now == 0.0 && said.starts_with("unusual: "),
            "{said}"
        );
        assert_eq!(usual(&hours, ended + 1, &known), [], "not counted yet");
    }
}
