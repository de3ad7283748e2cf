//! After a call: what it consumed is read from its record, priced, and written into the ledger.
//!
//! Counts are the provider's own where it gave them for the whole answer. An answer that broke off,
//! or a provider that does not count, is estimated and marked: input from the request's bytes,
//! output from the bytes that came, and of a call that was given up before its first token from the
//! time it ran, because the provider may have written all that time.

use super::Treasury;
use super::extension::Extending;
use super::facts::{View, shared};
use super::limits::Meters;
use super::reserve::{Asked, Owners};
use super::tariff::usage_of;
use bytes::Bytes;
use gate_ai::Dialect;
use gate_ai::tokens::estimate_input;
use gate_flow::{AiFacts, Extension, LegEnd, Outcome, Record, Reservation, Tariff};
use gate_kit::clock::Clock;
use gate_model::resources::ServiceTier;
use gate_model::units::Money;
use gate_store::Hold;
use gate_store::books::{Leg, Settlement, Share};
use gate_store::ledger::{Facts, Tokens};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a stream for one token: an event with its frame holds one or two.
const STREAM_BYTES: u64 = 100;
/// Bytes of a whole answer for one token.
const ANSWER_BYTES: u64 = 4;
/// Tokens that a fast provider writes in a second.
const TOKENS_PER_SECOND: u64 = 200;

/// What a call has set aside.
pub(super) struct Reserved {
    pub(super) treasury: Arc<Treasury>,
    pub(super) clock: Clock,
    pub(super) hold: Option<Hold>,
    pub(super) owners: Owners,
    pub(super) facts: Arc<Facts>,
    pub(super) limits: Option<Arc<Meters>>,
    /// Input tokens, estimated; taken from the caller's limits.
    pub(super) input: Input,
    /// For how many calls was reserved at once.
    pub(super) copies: i64,
    /// Most tokens of an answer, when the caller bounds them, and how many answers it asks for.
    pub(super) max_tokens: Option<u64>,
    pub(super) answers: u64,
    /// What adds to it, once somebody has asked.
    pub(super) extending: Option<Rc<Extending>>,
}

/// Longest request that is kept so that its tokens are estimated only when somebody asks.
const KEPT_BYTES: usize = 16 * 1024;

/// Input tokens of a request: few calls need an estimate, which reads every byte.
pub(super) enum Input {
    Estimated(u64),
    Kept {
        dialect: Dialect,
        body: Bytes,
        has_tools: bool,
    },
}

impl Input {
    pub(super) fn of(asked: &Asked<'_>) -> Self {
        let (dialect, has_tools) = (asked.dialect, asked.has_tools);
        match asked.body {
            Some(body) if body.len() <= KEPT_BYTES => Self::Kept {
                dialect,
                body: body.clone(),
                has_tools,
            },
            body => {
                let body = body.map_or(&[][..], |body| body);
                Self::Estimated(estimate_input(dialect, body, has_tools))
            }
        }
    }

    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Estimated(tokens) => *tokens,
            Self::Kept {
                dialect,
                body,
                has_tools,
            } => estimate_input(*dialect, body, *has_tools),
        }
    }
}

impl Reservation for Reserved {
    fn settle(self: Box<Self>, record: &mut Record) {
        let mut this = self;
        let Some(mut ai) = record.ai.take() else {
            // Refused before a model was known.
            this.end_limits(0);
            if let Some(hold) = this.hold.take() {
                hold.cancel();
            }
            return;
        };
        let consumed = this.complete(&mut ai, record);
        ai.cost = ai.price();
        let legs = this.legs(&mut ai, record);
        let own = tokens_of(&ai);
        let more: i64 = legs.iter().map(|(_, leg)| leg.tokens.total()).sum();
        this.end_limits(u64::try_from(own.total().saturating_add(more)).unwrap_or(0));
        this.end_providers(&ai, &legs);
        if let Some(hold) = this.hold.take() {
            match consumed || !legs.is_empty() {
                true => {
                    if !consumed {
                        // Whatever it comes to is that of the legs.
                        ai.cost = Some(Money::ZERO);
                    }
                    this.write(hold, &mut ai, record, &legs);
                }
                false => hold.cancel(),
            }
        }
        record.ai = Some(ai);
    }

    fn extension(&mut self) -> Option<Rc<dyn Extension>> {
        if self.extending.is_none() {
            let more = self.hold.as_ref()?.more(self.copies)?;
            let owners = self.owners.clone();
            self.extending = Some(Rc::new(Extending { more, owners }));
        }
        let extending = self.extending.clone()?;
        Some(extending)
    }
}

impl Reserved {
    /// Fills in counts that the provider did not give. Whether anything was consumed.
    fn complete(&self, ai: &mut AiFacts, record: &Record) -> bool {
        // Whatever else comes back (vectors, images, audio) is not counted by its bytes.
        let written = match (ai.operation, ai.stream) {
            ("chat" | "text_completion", true) => record.response_bytes / STREAM_BYTES,
            ("chat" | "text_completion", false) => record.response_bytes / ANSWER_BYTES,
            _ => 0,
        };
        // What came before a seam is that of whoever wrote it.
        let written = written.saturating_sub(before_seam(ai));
        let whole = record.outcome == Outcome::Complete;
        let by_time = |time| by_time(time).min(self.most_output(&ai.provider, &ai.provider_model));
        let silent = || by_time(silence(ai, record));
        if usage_of(ai).is_some() {
            if !whole {
                // Some dialects count as they go: what was counted last is the least there was, and
                // what is counted before the first token is no count.
                let counted = ai.output_tokens.unwrap_or(0).max(written);
                let output = match ai.first_token {
                    None => counted.max(silent()),
                    Some(_) => counted,
                };
                ai.estimated = true;
                ai.output_tokens = Some(output);
            }
            return true;
        }
        let answered = record
            .attempts
            .last()
            .is_some_and(|last| (200..400).contains(&last.status) && last.fault.is_none());
        let output = match (answered, record.outcome) {
            // Not all that came of it was passed on, so that its bytes are the least there was.
            (true, _) if record.fault.is_some() => written.max(by_time(record.duration)),
            // The caller left, maybe while the provider thought unseen.
            (true, Outcome::ClientClosed | Outcome::Cut) => written.max(silent()),
            (true, _) => written,
            // Nobody waited for the answer; the provider may have gone on, if it had been asked.
            (false, Outcome::ClientClosed | Outcome::Cut)
                if ai.provider.is_some() && !is_between_tries(ai) =>
            {
                let ended = record
                    .attempts
                    .last()
                    .map(|last| last.started + last.duration);
                by_time(record.duration.saturating_sub(ended.unwrap_or_default()))
            }
            _ => return false,
        };
        ai.estimated = true;
        ai.input_tokens = Some(self.counted(ai).unwrap_or_else(|| self.input.tokens()));
        ai.output_tokens = Some(output);
        true
    }

    /// The exact input, by the vocabulary of the model that was asked.
    fn counted(&self, ai: &AiFacts) -> Option<u64> {
        let Input::Kept { dialect, body, .. } = &self.input else {
            return None;
        };
        self.treasury.input_of(*dialect, body, ai)
    }

    /// The most that a provider's model writes for the call, so that an estimate stays below what was
    /// reserved.
    fn most_output(&self, provider: &Option<Arc<str>>, model: &Option<Arc<str>>) -> u64 {
        let (Some(provider), Some(model)) = (provider, model) else {
            return u64::MAX;
        };
        let tariff = self.treasury.tariff(provider, model);
        let most = tariff.map(|tariff| tariff.tokens(None, self.max_tokens).1);
        most.or(self.max_tokens)
            .map_or(u64::MAX, |most| most.saturating_mul(self.answers))
    }

    /// Calls beside the one that answered, which their providers may bill. How much they read is
    /// estimated here, where it is known best.
    fn legs(&self, ai: &mut AiFacts, record: &Record) -> Vec<Leg> {
        let tier = ai.service_tier;
        let Some(detours) = &mut ai.detours else {
            return Vec::new();
        };
        let complete = |leg: &mut gate_flow::Leg| {
            if let Some(since) = leg.running_since.take() {
                leg.output_tokens = by_time(record.duration.saturating_sub(since));
            }
            if leg.end != LegEnd::Broken {
                leg.input_tokens = self.input.tokens();
                let (provider, model) =
                    (Some(leg.provider.clone()), Some(leg.provider_model.clone()));
                leg.output_tokens = leg.output_tokens.min(self.most_output(&provider, &model));
            }
        };
        detours.legs.iter_mut().for_each(complete);
        detours
            .legs
            .iter()
            .map(|leg| self.noted(leg, tier))
            .collect()
    }

    /// A call beside the one that answered: the loser of a race, a stream that was continued.
    fn noted(&self, leg: &gate_flow::Leg, service_tier: ServiceTier) -> Leg {
        let counts = AiFacts {
            service_tier: leg.parts.service_tier.unwrap_or(service_tier),
            input_tokens: Some(leg.input_tokens),
            output_tokens: Some(leg.output_tokens),
            cached_tokens: Some(leg.parts.cached_tokens),
            cache_written_tokens: Some(leg.parts.cache_written_tokens),
            cache_written_hour_tokens: leg.parts.cache_written_hour_tokens,
            reasoning_tokens: Some(leg.parts.reasoning_tokens),
            audio_input_tokens: leg.parts.audio_input_tokens,
            audio_output_tokens: leg.parts.audio_output_tokens,
            ..AiFacts::default()
        };
        let tariff = self.treasury.tariff(&leg.provider, &leg.provider_model);
        let facts = Facts {
            provider: leg.provider.clone(),
            provider_model: leg.provider_model.clone(),
            ..(*self.facts).clone()
        };
        let settlement = Settlement {
            outcome: leg.end.as_str(),
            tokens: tokens_of(&counts),
            estimated: leg.estimated,
            cost: tariff.and_then(|tariff| tariff.cost(&counts)),
        };
        (Arc::new(facts), settlement)
    }

    fn write(&self, hold: Hold, ai: &mut AiFacts, record: &Record, legs: &[Leg]) {
        let tokens = tokens_of(ai);
        let facts = shared(&View {
            provider: ai.provider.as_ref(),
            provider_model: ai.provider_model.as_ref(),
            ..View::of(&self.facts)
        });
        let settlement = Settlement {
            outcome: record
                .fault
                .map_or(record.outcome.as_str(), |code| code.as_str()),
            tokens,
            estimated: ai.estimated,
            cost: ai.cost,
        };
        let leg_cost: Money = legs.iter().filter_map(|(_, leg)| leg.cost).sum();
        let leg_tokens: i64 = legs.iter().map(|(_, leg)| leg.tokens.total()).sum();
        let all = Share {
            cost: ai.cost.map(|cost| cost + leg_cost),
            tokens: tokens.total().saturating_add(leg_tokens),
        };
        // A provider's budget bears what that provider did.
        let of = |provider: &Arc<str>| {
            let mut share = Share {
                cost: Some(Money::ZERO),
                tokens: 0,
            };
            let last = (&facts.provider, ai.cost, tokens.total());
            let legs = legs
                .iter()
                .map(|(of, leg)| (&of.provider, leg.cost, leg.tokens.total()));
            for (_, cost, tokens) in legs.chain([last]).filter(|(of, ..)| *of == provider) {
                share.cost = share.cost.zip(cost).map(|(sum, cost)| sum + cost);
                share.tokens = share.tokens.saturating_add(tokens);
            }
            share
        };
        let share = |part: usize| match self.owners.get(part) {
            Some(Some(provider)) => of(provider),
            _ => all,
        };
        hold.settle_shares(facts.clone(), &settlement, legs, share);
        ai.cost = all.cost;
    }

    /// Corrects what tries took from the limits of their providers.
    fn end_providers(&self, ai: &AiFacts, legs: &[Leg]) {
        let now = self.clock.now();
        for (at, (provider, _)) in ai.taken.iter().enumerate() {
            if ai.taken[..at].iter().any(|(known, _)| known == provider) {
                continue;
            }
            let Some(meter) = self.treasury.meter(provider) else {
                continue;
            };
            let tries = ai.taken.iter().filter(|(of, _)| of == provider);
            let taken = tries.map(|(_, tokens)| tokens).sum();
            let own = (ai.provider.as_ref() == Some(provider)).then(|| tokens_of(ai).total());
            let beside = legs.iter().filter(|(of, _)| of.provider == *provider);
            let beside: i64 = beside.map(|(_, leg)| leg.tokens.total()).sum();
            let used = own.unwrap_or(0).saturating_add(beside);
            meter.settle(taken, u64::try_from(used).unwrap_or(0), now);
        }
    }

    fn end_limits(&self, used: u64) {
        if let Some(limits) = &self.limits {
            limits.settle(self.input.tokens(), used, self.clock.now());
        }
    }
}

/// Whether a call ended while it waited for its next try.
fn is_between_tries(ai: &AiFacts) -> bool {
    let detours = ai.detours.as_ref();
    detours.is_some_and(|detours| detours.between_tries)
}

/// Tokens of the text that others had written when the one that answers went on, by its bytes.
fn before_seam(ai: &AiFacts) -> u64 {
    let seam = ai.detours.as_ref().and_then(|detours| detours.seams.last());
    seam.map_or(0, |seam| seam.text_bytes.div_ceil(ANSWER_BYTES))
}

/// How long a conversation's stream said nothing before its first token, if one came: the provider may
/// have been thinking all the time. What it wrote after that is told by its bytes.
fn silence(ai: &AiFacts, record: &Record) -> Duration {
    if !ai.stream || !matches!(ai.operation, "chat" | "text_completion") {
        return Duration::ZERO;
    }
    let asked = record.attempts.last().map(|last| last.started);
    let until = ai.first_token.unwrap_or(record.duration);
    until.saturating_sub(asked.unwrap_or_default())
}

/// Output tokens that a provider may have written in this time.
pub(crate) fn by_time(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_mul(TOKENS_PER_SECOND)
        / 1000
}

pub(super) fn tokens_of(ai: &AiFacts) -> Tokens {
    let count = |tokens: Option<u64>| signed(tokens.unwrap_or(0));
    Tokens {
        input: count(ai.input_tokens),
        output: count(ai.output_tokens),
        cached: count(ai.cached_tokens),
        written: count(ai.cache_written_tokens),
        reasoning: count(ai.reasoning_tokens),
    }
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
