//! What the last minutes come to: in all by slices of seconds, and by name by minutes.
//!
//! The window is the minute that runs and the four before it. Its memory is bounded by names: at
//! most [`NAMES_MAX`] of a kind are counted apart, all others together, and a name that did nothing
//! in the window is forgotten. Pure: time comes with each call.

use super::spread::Spread;
use gate_api::types::{Live, LivePoint, Rates};
use gate_flow::Record;
use gate_kit::order::Gather;
use gate_model::fault::FaultSource;
use gate_model::units::{Money, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Minutes of the window, the one that runs included.
const MINUTES: u64 = 5;
/// A slice of the whole, in seconds.
const SLICE_S: u64 = 5;
/// Most names of one kind that are counted apart.
pub(super) const NAMES_MAX: usize = 500;
/// The name that holds what did not fit.
const OTHER: &str = "_other";

/// What exchanges come to together.
#[derive(Debug, Clone, Default)]
struct Group {
    requests: u64,
    errors: u64,
    latency: Spread,
    first_token: Spread,
    tokens_in: u64,
    tokens_out: u64,
    cost: Money,
}

impl Group {
    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.errors += u64::from(failed(record));
        self.latency.add(micros(record.duration));
        if let Some(ai) = &record.ai {
            if let Some(time) = ai.first_token {
                self.first_token.add(micros(time));
            }
            self.tokens_in += ai.input_tokens.unwrap_or(0);
            self.tokens_out += ai.output_tokens.unwrap_or(0);
            self.cost = self.cost + ai.cost.unwrap_or_default();
        }
    }

    fn absorb(&mut self, other: &Group) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.absorb(&other.latency);
        self.first_token.absorb(&other.first_token);
        self.tokens_in += other.tokens_in;
        self.tokens_out += other.tokens_out;
        self.cost = self.cost + other.cost;
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "rates are floats, and counts of minutes fit them"
    )]
    fn rates(&self, seconds: u64) -> Rates {
        Rates {
            requests: self.requests,
            per_second: self.requests as f64 / seconds.max(1) as f64,
            errors: self.errors,
            error_share: self.errors as f64 / self.requests.max(1) as f64,
            latency_ms: self.latency.milliseconds(),
            first_token_ms: self.first_token.milliseconds(),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            cost: self.cost.dollars(),
        }
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether an exchange failed: by its status, or by a fault that is not the caller's.
pub(super) fn failed(record: &Record) -> bool {
    let others = |code: gate_model::fault::FaultCode| code.source() != FaultSource::Client;
    record.status >= 500 || record.fault.is_some_and(others)
}

/// Groups by name, each by the minutes in which it had any.
#[derive(Debug, Default)]
struct Names(FxHashMap<Arc<str>, VecDeque<(u64, Group)>>);

impl Names {
    fn add(&mut self, name: Option<&Arc<str>>, minute: u64, record: &Record) {
        let Some(name) = name else { return };
        if let Some(minutes) = self.0.get_mut(name) {
            return group(minutes, minute).add(record);
        }
        let name = match self.0.len() < NAMES_MAX {
            true => name.clone(),
            false => OTHER.into(),
        };
        group(self.0.entry(name).or_default(), minute).add(record);
    }

    fn forget(&mut self, before: u64) {
        self.0.retain(|_, minutes| {
            while minutes.front().is_some_and(|(minute, _)| *minute < before) {
                minutes.pop_front();
            }
            !minutes.is_empty()
        });
    }

    fn rates(&self, seconds: u64) -> BTreeMap<String, Rates> {
        let sums = self.0.iter().map(|(name, minutes)| {
            let mut sum = Group::default();
            minutes.iter().for_each(|(_, group)| sum.absorb(group));
            (name.to_string(), sum.rates(seconds))
        });
        sums.into_map()
    }
}

/// The group that is filled now, behind all others.
fn group(groups: &mut VecDeque<(u64, Group)>, at: u64) -> &mut Group {
    if groups.back().is_none_or(|(last, _)| *last < at) {
        groups.push_back((at, Group::default()));
    }
    let last = groups.len() - 1;
    &mut groups[last].1
}

/// The last minutes.
#[derive(Debug)]
pub(super) struct Window {
    since_s: u64,
    /// By the second in which a slice began.
    slices: VecDeque<(u64, Group)>,
    /// Exchanges that could not be counted, by slice.
    missed: VecDeque<(u64, u64)>,
    /// Routes, models, providers, upstreams, consumers, revisions.
    names: [Names; 6],
    /// The minute before which names were forgotten.
    swept: u64,
    /// The name of the revision that was seen last.
    revision: (u64, Arc<str>),
}

impl Window {
    /// Nothing yet; counting begins now, in seconds of UNIX time.
    pub(super) fn new(now_s: u64) -> Self {
        Self {
            since_s: now_s,
            slices: VecDeque::new(),
            missed: VecDeque::new(),
            names: Default::default(),
            swept: 0,
            revision: (0, "0".into()),
        }
    }

    /// Counts an exchange that has just ended.
    pub(super) fn add(&mut self, record: &Record, now_s: u64) {
        let minute = now_s - now_s % 60;
        self.forget(now_s);
        group(&mut self.slices, now_s - now_s % SLICE_S).add(record);
        let ai = record.ai.as_deref();
        let provider = ai.and_then(|ai| ai.provider.as_ref());
        // Without a provider the name is only what a caller asked for.
        let model = ai.filter(|_| provider.is_some()).map(|ai| &ai.model);
        let called = ai.is_none() && record.rpc.is_none() && !record.attempts.is_empty();
        let upstream = record.target.as_ref().filter(|_| called);
        if self.revision.0 != record.revision {
            self.revision = (record.revision, record.revision.to_string().into());
        }
        let names = [
            record.route.as_ref(),
            model,
            provider,
            upstream,
            record.consumer.as_ref(),
            Some(&self.revision.1),
        ];
        for (groups, name) in self.names.iter_mut().zip(names) {
            groups.add(name, minute, record);
        }
    }

    /// Notes exchanges that were not counted.
    pub(super) fn missed(&mut self, count: u64, now_s: u64) {
        if count == 0 {
            return;
        }
        self.forget(now_s);
        // One row a second is enough, and bounds how many there are.
        match self.missed.back_mut().filter(|(at, _)| *at == now_s) {
            Some((_, known)) => *known += count,
            None => self.missed.push_back((now_s, count)),
        }
    }

    /// Where the window begins: with a whole minute, or where counting began.
    fn begin(&self, now_s: u64) -> u64 {
        let minute = now_s - now_s % 60;
        minute.saturating_sub((MINUTES - 1) * 60).max(self.since_s)
    }

    fn forget(&mut self, now_s: u64) {
        let begin = self.begin(now_s);
        // A slice and a minute belong to the window when any of their seconds do.
        let first = begin - begin % SLICE_S;
        let gone = |front: Option<&(u64, Group)>| front.is_some_and(|(at, _)| *at < first);
        while gone(self.slices.front()) {
            self.slices.pop_front();
        }
        while self.missed.front().is_some_and(|(at, _)| *at < begin) {
            self.missed.pop_front();
        }
        let minute = begin - begin % 60;
        if minute > self.swept {
            self.swept = minute;
            self.names.iter_mut().for_each(|names| names.forget(minute));
        }
    }

    /// What the window comes to.
    pub(super) fn figures(&mut self, now_s: u64) -> Live {
        let now_s = now_s.max(self.since_s);
        self.forget(now_s);
        let begin = self.begin(now_s);
        let window_s = (now_s - begin).max(1);
        let mut total = Group::default();
        let mut series = Vec::new();
        let mut slices = self.slices.iter().peekable();
        let first = begin - begin % SLICE_S;
        for at in (first..=now_s).step_by(SLICE_S as usize) {
            let found = slices.next_if(|(begun, _)| *begun == at);
            let seconds = SLICE_S.min((now_s - at).max(1));
            let rates = found.map_or_else(|| Group::default().rates(1), |(_, g)| g.rates(seconds));
            if let Some((_, group)) = found {
                total.absorb(group);
            }
            series.push(LivePoint {
                at: Timestamp::from_unix_s(at).to_string(),
                seconds,
                rates,
            });
        }
        let [routes, models, providers, upstreams, consumers, revisions] =
            [0, 1, 2, 3, 4, 5].map(|kind: usize| self.names[kind].rates(window_s));
        Live {
            at: Timestamp::from_unix_s(now_s).to_string(),
            window_s,
            since: Timestamp::from_unix_s(self.since_s).to_string(),
            missed: self.missed.iter().map(|(_, count)| count).sum(),
            series,
            total: total.rates(window_s),
            routes,
            models,
            providers,
            upstreams,
            consumers,
            revisions,
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
