//! What providers still take, as their answers say, and when that runs out: looked at once a minute and
//! remembered for six hours, by provider, model and credential.
//!
//! It is remembered in memory: a provider fills its limits up within minutes or a day, and what is
//! foreseen is the next hour. `gate_ops::forecast::left` foresees.

use super::used::why;
use crate::usage::day;
use gate_api::types::{Forecast, ForecastDay, ProviderHealth};
use gate_ops::forecast::Step;
use gate_ops::forecast::left::{VALUES_MAX, left, runs_out};
use gate_proxy::process::Process;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Most that is remembered at once: what comes later is not foreseen, and says so.
const SERIES_MAX: usize = 200;
/// Minutes in which nothing is said on which what was remembered is forgotten.
const SILENT_MAX: usize = 60;
/// Minutes ahead that are shown.
const SHOWN: [usize; 4] = [1, 15, 30, 60];

/// What is left of one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Left {
    unit: &'static str,
    now: f64,
}

/// What was left, minute by minute.
#[derive(Debug, Default)]
struct Series {
    left: VecDeque<f64>,
    silent: usize,
}

/// What was left of everything, by name.
#[derive(Debug, Default)]
pub(super) struct Minutes(Mutex<BTreeMap<String, Series>>);

impl Minutes {
    /// Takes in what is left in this minute; to be called once a minute.
    fn take(&self, providers: &[ProviderHealth]) {
        let said = said(providers);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, left) in &said {
            if all.len() >= SERIES_MAX && !all.contains_key(name) {
                continue;
            }
            let one = all.entry(name.clone()).or_default();
            one.silent = 0;
            one.push(left.now);
        }
        all.retain(|name, one| {
            if !said.contains_key(name) {
                // Limits whose time is over are full again.
                let full = one.left.iter().copied().fold(0.0, f64::max);
                one.push(full);
                one.silent += 1;
            }
            one.silent < SILENT_MAX
        });
    }

    /// What is left now, and when it runs out.
    fn foresee(&self, providers: &[ProviderHealth], now_s: u64) -> Vec<Forecast> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut one = |(name, left): (String, Left)| {
            let values = all.get_mut(&name);
            let values = values.map_or(&[][..], |one| one.left.make_contiguous());
            of(name, left, values, now_s)
        };
        said(providers).into_iter().map(&mut one).collect()
    }
}

impl Series {
    fn push(&mut self, left: f64) {
        if self.left.len() >= VALUES_MAX {
            self.left.pop_front();
        }
        self.left.push_back(left);
    }
}

/// Remembers this minute; to be called once a minute.
pub(super) fn sample(process: &Process) {
    let minutes = process.shared().state.get_or_insert("", Minutes::default);
    minutes.take(&process.providers());
}

/// What providers still take, and when that runs out.
pub(super) fn all(process: &Process, now_s: u64) -> Vec<Forecast> {
    let minutes = process.shared().state.get_or_insert("", Minutes::default);
    minutes.foresee(&process.providers(), now_s)
}

/// What providers say that they still take, by name.
fn said(providers: &[ProviderHealth]) -> BTreeMap<String, Left> {
    let mut found = BTreeMap::new();
    for provider in providers {
        for target in &provider.targets {
            for room in &target.headroom {
                // That no request was left is said until the next answer: it holds while it rests.
                let is_over = |left: &u64| *left == 0 && room.resting_until.is_none();
                let left = [
                    ("requests", room.requests_left.filter(|left| !is_over(left))),
                    ("tokens", room.tokens_left),
                ];
                for (unit, left) in left {
                    let Some(left) = left else { continue };
                    let (provider, model) = (&provider.name, &target.model);
                    let name = format!("{unit} of {provider}/{model}/{}", room.credential);
                    let now = left as f64;
                    found.insert(name, Left { unit, now });
                }
            }
        }
    }
    found
}

/// A minute in UTC; its order with days is that of their texts.
fn minute(at_s: u64) -> String {
    let (hour, minute) = (at_s / 3_600 % 24, at_s / 60 % 60);
    format!("{}T{hour:02}:{minute:02}:00Z", day(at_s))
}

fn of(name: String, left_now: Left, values: &[f64], now_s: u64) -> Forecast {
    let steps = left(values);
    let at = |ahead: usize| minute(now_s + (ahead as u64 + 1) * 60);
    let (expected, may) = steps.as_deref().map(runs_out).unwrap_or_default();
    let shown = |minutes: usize| -> Option<ForecastDay> {
        let step: &Step = steps.as_ref().ok()?.get(minutes - 1)?;
        Some(ForecastDay {
            day: at(minutes - 1),
            expected: step.expected,
            low: step.low,
            high: step.high,
        })
    };
    Forecast {
        what: "headroom".to_owned(),
        name,
        unit: format!("{} left", left_now.unit),
        now: left_now.now,
        limit: Some(0.0),
        passes: expected.map(at),
        may_pass: may.map(at),
        days: SHOWN.into_iter().filter_map(shown).collect(),
        silent: steps.as_ref().err().map(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forecasts::warnings;
    use super::*;
    use gate_api::types::{Headroom, TargetHealth};

    const NOW_S: u64 = 1_795_305_600 + 3_600;

    fn provider(requests: Option<u64>, tokens: Option<u64>) -> Vec<ProviderHealth> {
        let room = Headroom {
            credential: "main".to_owned(),
            requests_left: requests,
            tokens_left: tokens,
            ..Headroom::default()
        };
        let target = TargetHealth {
            model: "gpt".to_owned(),
            headroom: vec![room],
            ..TargetHealth::default()
        };
        vec![ProviderHealth {
            name: "one".to_owned(),
            targets: vec![target],
            ..ProviderHealth::default()
        }]
    }

    #[test]
    fn what_runs_out_within_the_hour_is_warned_of_until_it_is_filled_up() {
        let minutes = Minutes::default();
        let mut warned = BTreeMap::new();
        // A hundred requests a minute; tokens stay as they are.
        let mut first = None;
        for past in 0..150_u64 {
            let (now_s, now) = (
                NOW_S + past * 60,
                provider(Some(20_000 - past * 100), Some(900)),
            );
            minutes.take(&now);
            let found = minutes.foresee(&now, now_s);
            let on = warnings(&found, &mut warned, now_s);
            if past < 74 {
                assert!(found[0].silent.is_some() && on.is_empty(), "{found:?}");
            }
            if let (None, [one]) = (first, &on[..]) {
                first = Some(past);
                assert!(one.is_on, "{one:?}");
                assert_eq!(one.labels["name"], "requests of one/gpt/main");
                // 20,000 last 200 minutes from one o'clock.
                let said =
                    "no requests of one/gpt/main are expected to be left at 2026-11-22T04:20";
                assert!(one.text.starts_with(said), "{}", one.text);
            }
        }
        assert_eq!(first, Some(140), "an hour ahead");
        let now = provider(Some(20_000), Some(900));
        let now_s = NOW_S + 150 * 60;
        minutes.take(&now);
        let over = warnings(&minutes.foresee(&now, now_s), &mut warned, now_s);
        assert!(over.len() == 1 && !over[0].is_on, "{over:?}");
        let tokens = &minutes.foresee(&now, now_s)[1];
        assert_eq!(
            (tokens.now, &tokens.passes, &tokens.may_pass),
            (900.0, &None, &None)
        );
        let ahead: Vec<&str> = tokens.days.iter().map(|day| &day.day[11..16]).collect();
        assert_eq!(ahead, ["03:31", "03:45", "04:00", "04:30"]);
    }

    #[test]
    fn limits_whose_time_is_over_are_full_and_forgotten_in_the_end() {
        let minutes = Minutes::default();
        for past in 0..120 {
            // Every fourth answer's window is over when it is looked at.
            let tokens = (past % 4 != 0).then_some(300);
            minutes.take(&provider(None, tokens));
        }
        let now = provider(None, Some(300));
        let found = minutes.foresee(&now, NOW_S);
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].passes, found[0].now), (&None, 300.0));
        // No request was left in a window that is over: that says nothing of now.
        assert!(said(&provider(Some(0), None)).is_empty());
        for _ in 0..SILENT_MAX {
            minutes.take(&[]);
        }
        assert!(minutes.0.lock().unwrap().is_empty());
        let young = minutes.foresee(&now, NOW_S);
        assert!(young[0].silent.is_some() && young[0].days.is_empty());
    }
}
