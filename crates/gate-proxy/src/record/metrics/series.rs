//! The counts of one worker: what a finished exchange adds to, and how two workers' counts merge.
//!
//! Tables are keyed by names from the configuration and capped; past the cap everything lands in
//! one row named `_other`, and how often that happened is counted. Nothing a caller controls is a
//! key. Finding a known row allocates nothing and hashes one short name.

use super::access::AccessSeries;
use super::cache::CacheSeries;
use super::detours;
use super::histogram::{DURATION, FIRST_TOKEN, Histogram, OPERATION, SIZE, TOKENS, Timed};
use super::rpc::ServerSeries;
use super::table::{Counts, KEYS_MAX, OTHER, Table};
use gate_flow::{AiFacts, Attempt, GuardVerdict, Outcome, Record, WafAction};
use gate_kit::http::{Method, Version};
use gate_model::fault::FaultCode;
use gate_model::units::Money;
use std::sync::Arc;
use std::time::Duration;

/// Most routes, upstreams or models of one worker's table.
pub(super) const NAMES_MAX: usize = 4096;
/// Tags have a part of that room: nobody configures them.
const TAGS_SHARE: usize = 4;
/// Most endpoints of one upstream.
pub(super) const ENDPOINTS_MAX: usize = 256;

/// Method, version and status of an answer, in one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) method: u8,
    pub(super) version: Version,
    pub(super) status: u16,
}

/// Names of the methods that are counted by name; the last stands for all others.
pub(super) const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "other",
];

const fn method_index(method: &Method) -> u8 {
    match method {
        Method::Get => 0,
        Method::Head => 1,
        Method::Post => 2,
        Method::Put => 3,
        Method::Delete => 4,
        Method::Patch => 5,
        Method::Options => 6,
        Method::Connect => 7,
        Method::Trace => 8,
        Method::Other(_) => 9,
    }
}

/// What a try or a call to a model ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) status: u16,
    pub(super) fault: Option<FaultCode>,
}

/// Counts of one route.
#[derive(Debug, Default)]
pub(super) struct RouteSeries {
    pub(super) requests: Counts<Answer>,
    pub(super) outcomes: Counts<Outcome>,
    pub(super) faults: Counts<FaultCode>,
    /// Answers by the policy that gave them.
    pub(super) answered: Counts<&'static str>,
    /// Bodies that were not kept because too many wait to be written.
    pub(super) bodies_dropped: u64,
    /// Findings of guards, at most [`KEYS_MAX`] combinations.
    pub(super) guards: Vec<(GuardVerdict, u64)>,
    /// Findings that did not fit.
    pub(super) guards_other: u64,
    /// Rules of access that fitted.
    pub(super) access: AccessSeries,
    /// Rules of the firewall that matched, by what became of the exchange; at most [`WAF_MAX`].
    pub(super) waf: Vec<((u32, WafAction), u64)>,
    /// Matches of rules that did not fit.
    pub(super) waf_other: u64,
    /// What a cache of answers had.
    pub(super) cache: CacheSeries,
    pub(super) duration: Timed,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
}

/// Counts of one upstream, or of a model as the thing that was called.
#[derive(Debug)]
pub(super) struct UpstreamSeries {
    pub(super) endpoints: Table<Counts<Ending>>,
    pub(super) duration: Histogram,
    pub(super) retries: u64,
    pub(super) reused: u64,
}

impl Default for UpstreamSeries {
    fn default() -> Self {
        Self {
            endpoints: Table::new(ENDPOINTS_MAX),
            duration: Histogram::default(),
            retries: 0,
            reused: 0,
        }
    }
}

/// Counts of one model at one provider.
#[derive(Debug, Default)]
pub(super) struct AiSeries {
    pub(super) operation: &'static str,
    pub(super) provider: Option<Arc<str>>,
    pub(super) provider_kind: &'static str,
    pub(super) provider_model: Option<Arc<str>>,
    pub(super) input: Histogram,
    pub(super) output: Histogram,
    pub(super) first_token: Timed,
    /// Durations by error; the first holds successes.
    pub(super) durations: Vec<(Option<Ending>, Histogram)>,
    pub(super) cached: u64,
    pub(super) cache_written: u64,
    pub(super) reasoning: u64,
    pub(super) streams: u64,
    pub(super) translated: u64,
    pub(super) losses: u64,
    pub(super) detours: detours::Sums,
    pub(super) estimated: u64,
    pub(super) cost: Money,
}

/// What somebody's calls to models came to.
#[derive(Debug, Default)]
pub(super) struct PayerSeries {
    pub(super) calls: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cost: Money,
}

/// All counts of one worker.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) routes: Table<RouteSeries>,
    pub(super) upstreams: Table<UpstreamSeries>,
    /// By the name that callers ask for.
    pub(super) models: Table<Vec<AiSeries>>,
    /// By consumer.
    pub(super) consumers: Table<PayerSeries>,
    /// By team.
    pub(super) teams: Table<PayerSeries>,
    /// By key, under its consumer.
    pub(super) keys: Table<Vec<(Arc<str>, PayerSeries)>>,
    /// By tag, which callers choose.
    pub(super) tags: Table<PayerSeries>,
    /// By server of tools, or agent.
    pub(super) servers: Table<ServerSeries>,
}

impl Default for Shard {
    fn default() -> Self {
        Self::with_room(NAMES_MAX)
    }
}

impl Shard {
    /// Tables for so many names each; merging several workers needs more room than one.
    pub(super) fn with_room(most: usize) -> Self {
        Self {
            routes: Table::new(most),
            upstreams: Table::new(most),
            models: Table::new(most),
            consumers: Table::new(most),
            teams: Table::new(most),
            keys: Table::new(most),
            tags: Table::new(most / TAGS_SHARE),
            servers: Table::new(most),
        }
    }

    /// Adds one finished exchange.
    pub(super) fn observe(&mut self, record: &Record, method: &Method, version: Version) {
        let route = self.routes.row_or_none(record.route.as_ref());
        let status = record.status.min(999);
        route.requests.add(
            Answer {
                method: method_index(method),
                version,
                status,
            },
            1,
        );
        route.outcomes.add(record.outcome, 1);
        if let Some(code) = record.fault {
            route.faults.add(code, 1);
        }
        if let Some(policy) = record.answered_by {
            route.answered.add(policy, 1);
        }
        if let Some(bodies) = &record.bodies {
            route.bodies_dropped += u64::from(bodies.dropped);
        }
        if let Some(guard) = &record.guard {
            guard
                .verdicts
                .iter()
                .for_each(|verdict| route.guarded(verdict, verdict.count.into()));
        }
        if let Some(access) = &record.access {
            route.access.observe(access);
        }
        if let Some(waf) = &record.waf {
            let rules = waf.matches.iter();
            rules.for_each(|one| route.matched((one.rule, waf.action), 1));
        }
        if let Some(cache) = &record.cache {
            route.cache.observe(cache);
        }
        route.duration.observe(&DURATION, nanos(record.duration));
        route.request_bytes.observe(&SIZE, record.request_bytes);
        route.response_bytes.observe(&SIZE, record.response_bytes);
        if !record.attempts.is_empty() {
            let upstream = self.upstreams.row_or_none(record.target.as_ref());
            upstream.retries += record.attempts.len() as u64 - 1;
            record
                .attempts
                .iter()
                .for_each(|attempt| upstream.observe(attempt));
        }
        if let Some(ai) = &record.ai {
            self.observe_ai(record, ai);
        }
        if let Some(rpc) = &record.rpc {
            let server = self.servers.row_or_none(rpc.server.as_ref());
            server.observe(rpc, record.duration);
            for failed in &rpc.failed_servers {
                self.servers.row(failed).failed += 1;
            }
        }
    }

    /// Adds what one exchange consumed of models.
    pub(super) fn observe_ai(&mut self, record: &Record, ai: &AiFacts) {
        // Without a provider the name is only what a caller asked for, and never a label.
        let model = ai.provider.is_some().then_some(&ai.model);
        let targets = self.models.row_or_none(model);
        let found = targets.iter().position(|series| series.is_of(ai));
        let position = found.unwrap_or_else(|| {
            match targets.len() + 1 {
                ..KEYS_MAX => targets.push(AiSeries::of(ai)),
                KEYS_MAX => targets.push(AiSeries {
                    operation: OTHER,
                    ..AiSeries::default()
                }),
                _ => {}
            }
            targets.len() - 1
        });
        targets[position].observe(record, ai);
        if let Some(consumer) = &record.consumer {
            self.consumers.row(consumer).observe(ai);
        }
        if let Some(team) = &record.team {
            self.teams.row(team).observe(ai);
        }
        if let (Some(consumer), Some(key)) = (&record.consumer, &record.key)
            && let Some(series) = of_key(self.keys.row(consumer), key)
        {
            series.observe(ai);
        }
        if let Some(tag) = &ai.tag {
            self.tags.row(tag).observe(ai);
        }
    }

    /// Adds another worker's counts.
    pub(super) fn absorb(&mut self, other: &Shard) {
        self.routes
            .absorb(&other.routes, |mine, theirs| mine.absorb(theirs));
        self.upstreams
            .absorb(&other.upstreams, |mine, theirs| mine.absorb(theirs));
        self.consumers.absorb(&other.consumers, PayerSeries::absorb);
        self.teams.absorb(&other.teams, PayerSeries::absorb);
        self.keys.absorb(&other.keys, |mine, theirs| {
            for (key, series) in theirs {
                if let Some(mine) = of_key(mine, key) {
                    mine.absorb(series);
                }
            }
        });
        self.tags.absorb(&other.tags, PayerSeries::absorb);
        self.servers.absorb(&other.servers, ServerSeries::absorb);
        self.models.absorb(&other.models, |mine, theirs| {
            for series in theirs {
                match mine.iter_mut().find(|known| known.is_same(series)) {
                    Some(known) => known.absorb(series),
                    None => {
                        let mut copy = series.empty_copy();
                        copy.absorb(series);
                        mine.push(copy);
                    }
                }
            }
        });
    }
}

/// The series of a key among those of its consumer; `None` where there are too many.
fn of_key<'k>(
    keys: &'k mut Vec<(Arc<str>, PayerSeries)>,
    key: &Arc<str>,
) -> Option<&'k mut PayerSeries> {
    let found = keys.iter().position(|(known, _)| known == key);
    let at = match found {
        Some(at) => at,
        None if keys.len() < KEYS_MAX => {
            keys.push((key.clone(), PayerSeries::default()));
            keys.len() - 1
        }
        None => return None,
    };
    Some(&mut keys[at].1)
}

/// Most combinations of rule and action that a route counts by themselves.
const WAF_MAX: usize = 1500;

impl RouteSeries {
    fn matched(&mut self, key: (u32, WafAction), count: u64) {
        let length = self.waf.len();
        match self.waf.iter_mut().find(|known| known.0 == key) {
            Some((_, sum)) => *sum += count,
            None if length < WAF_MAX => self.waf.push((key, count)),
            None => self.waf_other += count,
        }
    }

    fn guarded(&mut self, verdict: &GuardVerdict, count: u64) {
        let is_same = |known: &&mut (GuardVerdict, u64)| {
            (&known.0.rule, known.0.point, known.0.action)
                == (&verdict.rule, verdict.point, verdict.action)
        };
        let length = self.guards.len();
        match self.guards.iter_mut().find(is_same) {
            Some((_, sum)) => *sum += count,
            None if length < KEYS_MAX => self.guards.push((verdict.clone(), count)),
            None => self.guards_other += count,
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.bodies_dropped += other.bodies_dropped;
        for (verdict, count) in &other.guards {
            self.guarded(verdict, *count);
        }
        self.guards_other += other.guards_other;
        self.access.absorb(&other.access);
        for (key, count) in &other.waf {
            self.matched(*key, *count);
        }
        self.waf_other += other.waf_other;
        self.cache.absorb(&other.cache);
        self.requests.absorb(&other.requests);
        self.outcomes.absorb(&other.outcomes);
        self.faults.absorb(&other.faults);
        self.answered.absorb(&other.answered);
        self.duration.absorb(&other.duration);
        self.request_bytes.absorb(&other.request_bytes);
        self.response_bytes.absorb(&other.response_bytes);
    }
}

impl UpstreamSeries {
    fn observe(&mut self, attempt: &Attempt) {
        let ending = Ending {
            status: attempt.status.min(999),
            fault: attempt.fault,
        };
        self.endpoints.row(&attempt.endpoint).add(ending, 1);
        self.duration.observe(&DURATION, nanos(attempt.duration));
        self.reused += u64::from(attempt.reused);
    }

    fn absorb(&mut self, other: &Self) {
        self.endpoints.absorb(&other.endpoints, Counts::absorb);
        self.duration.absorb(&other.duration);
        self.retries += other.retries;
        self.reused += other.reused;
    }
}

impl PayerSeries {
    fn observe(&mut self, ai: &AiFacts) {
        self.calls += 1;
        self.input += ai.input_tokens.unwrap_or(0);
        self.output += ai.output_tokens.unwrap_or(0);
        self.cost = self.cost + ai.cost.unwrap_or_default();
    }

    fn absorb(&mut self, other: &Self) {
        self.calls += other.calls;
        self.input += other.input;
        self.output += other.output;
        self.cost = self.cost + other.cost;
    }
}

impl AiSeries {
    fn of(ai: &AiFacts) -> Self {
        Self {
            operation: ai.operation,
            provider: ai.provider.clone(),
            provider_kind: ai.provider_kind,
            provider_model: ai.provider_model.clone(),
            ..Self::default()
        }
    }

    fn is_of(&self, ai: &AiFacts) -> bool {
        self.operation == ai.operation
            && self.provider == ai.provider
            && self.provider_kind == ai.provider_kind
            && self.provider_model == ai.provider_model
    }

    fn is_same(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.provider == other.provider
            && self.provider_kind == other.provider_kind
            && self.provider_model == other.provider_model
    }

    fn empty_copy(&self) -> Self {
        Self {
            operation: self.operation,
            provider: self.provider.clone(),
            provider_kind: self.provider_kind,
            provider_model: self.provider_model.clone(),
            ..Self::default()
        }
    }

    fn observe(&mut self, record: &Record, ai: &AiFacts) {
        if let Some(tokens) = ai.input_tokens {
            self.input.observe(&TOKENS, tokens);
        }
        if let Some(tokens) = ai.output_tokens {
            self.output.observe(&TOKENS, tokens);
        }
        if let Some(time) = ai.first_token {
            self.first_token.observe(&FIRST_TOKEN, nanos(time));
        }
        let failed = record.fault.is_some() || record.status >= 400;
        let ending = Ending {
            status: record.status.min(999),
            fault: record.fault,
        };
        self.duration(failed.then_some(ending))
            .observe(&OPERATION, nanos(record.duration));
        self.cached += ai.cached_tokens.unwrap_or(0);
        self.cache_written += ai.cache_written_tokens.unwrap_or(0);
        self.reasoning += ai.reasoning_tokens.unwrap_or(0);
        self.streams += u64::from(ai.stream);
        self.translated += u64::from(ai.translated);
        self.losses += ai.losses.len() as u64;
        self.estimated += u64::from(ai.estimated);
        self.cost = self.cost + ai.cost.unwrap_or_default();
        if let Some(taken) = &ai.detours {
            detours::observe(&mut self.detours, taken);
        }
    }

    /// The durations of calls that ended so; what does not fit counts as status 0.
    fn duration(&mut self, ending: Option<Ending>) -> &mut Histogram {
        let found = self
            .durations
            .iter()
            .position(|(known, _)| *known == ending);
        let position = found.unwrap_or_else(|| {
            match self.durations.len() + 1 {
                ..KEYS_MAX => self.durations.push((ending, Histogram::default())),
                KEYS_MAX => {
                    let other = Ending {
                        status: 0,
                        fault: None,
                    };
                    self.durations.push((Some(other), Histogram::default()));
                }
                _ => {}
            }
            self.durations.len() - 1
        });
        &mut self.durations[position].1
    }

    fn absorb(&mut self, other: &Self) {
        self.input.absorb(&other.input);
        self.output.absorb(&other.output);
        self.first_token.absorb(&other.first_token);
        for (ending, histogram) in &other.durations {
            self.duration(*ending).absorb(histogram);
        }
        self.cached += other.cached;
        self.cache_written += other.cache_written;
        self.reasoning += other.reasoning;
        self.streams += other.streams;
        self.translated += other.translated;
        self.losses += other.losses;
        self.estimated += other.estimated;
        self.cost = self.cost + other.cost;
        detours::absorb(&mut self.detours, &other.detours);
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    // Duration's parts are at hand; `as_nanos` would go through 128 bits.
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos().into())
}
