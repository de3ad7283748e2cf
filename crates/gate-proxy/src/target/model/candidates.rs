//! Which targets may take a call, in which order, and with which credential.
//!
//! A target is no candidate when its condition does not hold or it lacks what the call needs. One
//! that rests (benched, out of headroom), seems too short or probably lacks it is passed over while
//! another can take the call, and is the last resort when none can: being passed over is never a
//! reason to refuse. Only limits that are set on providers are: a call whose targets have all reached
//! theirs is.

use super::call::{Call, detour, is_barred};
use super::strategy::{self, Candidate};
use super::{Model, ProviderTarget};
use crate::money::limits::provider_over_limit;
use crate::upstream::pick::hash_of;
use gate_ai::{Wants, prompt_prefix};
use gate_flow::{Exchange, Fault, Needs};
use gate_kit::clock::Moment;
use gate_model::fault::FaultCode;
use gate_model::resources::{Capability, Strategy};
use smallvec::SmallVec;
use std::time::Duration;

/// The targets of a call, in the order to try.
pub(super) type Candidates<'m> = SmallVec<[&'m ProviderTarget; 4]>;

/// The targets to try in this round.
pub(super) fn candidates<'m>(
    exchange: &Exchange,
    call: &Call<'m>,
) -> Result<Candidates<'m>, Fault> {
    let model: &'m Model = call.model;
    if model.only_one {
        return Ok(model.targets.iter().collect());
    }
    let now = exchange.services.clock().now();
    let needs = needs(exchange, call);
    let mut awake: SmallVec<[usize; 8]> = SmallVec::new();
    let mut last_resort: Option<(Moment, usize)> = None;
    let (mut lacking, mut unserved) = (None, 0);
    // Of the providers whose limit is reached, the one that has room first.
    let mut limited: Option<(Duration, &ProviderTarget)> = None;
    for (index, target) in model.targets.iter().enumerate() {
        // A weight of zero takes a target out, so that traffic can be drained from it.
        if index < model.shared && target.weight == 0 {
            continue;
        }
        if is_barred(exchange, target) {
            continue;
        }
        if target.road(call.operation).is_none() {
            unserved += 1;
            continue;
        }
        if let Some(when) = &target.when
            && !when.holds(exchange).map_err(failed)?
        {
            continue;
        }
        if let Some(capability) = lacking_of(&target.facts.lacks, &needs) {
            lacking = Some(capability);
            continue;
        }
        let wait = wait_of(target, needs.tokens, now);
        if !wait.is_zero() {
            if limited.is_none_or(|(shortest, _)| wait < shortest) {
                limited = Some((wait, target));
            }
            continue;
        }
        let total = needs.tokens.saturating_add(needs.max_tokens.unwrap_or(0));
        // Many texts in one request need not fit into the context together.
        let is_too_short = call.other.is_none() && target.facts.is_too_short_for(total);
        let is_doubtful = is_too_short || lacking_of(&target.facts.doubts, &needs).is_some();
        let free = match is_doubtful {
            true => Moment(u64::MAX),
            false => free_from(target, needs.tokens),
        };
        if free <= now {
            awake.push(index);
        } else if last_resort.is_none_or(|(soonest, _)| free < soonest) {
            last_resort = Some((free, index));
        }
    }
    let passed_over = model.targets.len() - awake.len();
    if passed_over > 0 {
        let passed_over = u32::try_from(passed_over).unwrap_or(u32::MAX);
        detour(exchange, |detours| detours.passed_over += passed_over);
    }
    if awake.is_empty() {
        if let (None, Some((wait, target))) = (last_resort, limited) {
            return Err(provider_over_limit(&target.provider.name, wait));
        }
        return match (last_resort, lacking) {
            (Some((_, index)), _) => Ok(SmallVec::from_elem(&model.targets[index], 1)),
            (None, Some(capability)) => Err(cannot(model, capability)),
            (None, None) if unserved > 0 => Err(super::fetch::unserved(model)),
            (None, None) => {
                let detail = format!("no target of `{}` is for this call", model.name);
                Err(Fault::new(FaultCode::NoEndpoint).detail(detail))
            }
        };
    }
    Ok(in_order(call, &needs, &awake))
}

/// Puts those that share the calls in the strategy's order, the fallbacks behind them in theirs.
fn in_order<'m>(call: &Call<'m>, needs: &Needs, awake: &[usize]) -> Candidates<'m> {
    let model: &'m Model = call.model;
    let shared = awake.iter().filter(|index| **index < model.shared);
    let mut known: SmallVec<[Candidate; 8]> = shared
        .map(|&index| known(&model.targets[index], index, call, needs))
        .collect();
    let prefix = match model.strategy {
        Strategy::PromptPrefix { messages } => prefix_hash(call, messages as usize),
        _ => 0,
    };
    let strategy = match (&model.strategy, call.other) {
        // Only conversations have a beginning in common.
        (Strategy::PromptPrefix { .. }, Some(_)) => &Strategy::Weighted {},
        (strategy, _) => strategy,
    };
    let order = strategy::order(strategy, &mut known, prefix);
    let fallbacks = awake.iter().filter(|index| **index >= model.shared);
    order
        .iter()
        .chain(fallbacks)
        .map(|&index| &model.targets[index])
        .collect()
}

fn known(target: &ProviderTarget, index: usize, call: &Call<'_>, needs: &Needs) -> Candidate {
    Candidate {
        index,
        weight: target.weight,
        identity: target.identity,
        latency: target.state.latency(call.facts.stream).mean(),
        cost: target.facts.cost(needs.tokens, needs.max_tokens),
        busy: target.state.in_flight(),
    }
}

fn prefix_hash(call: &Call<'_>, messages: usize) -> u64 {
    let spans = prompt_prefix(&call.body, &call.facts, messages);
    spans
        .into_iter()
        .fold(0, |hash, span| hash_of(&(hash, &call.body[span])))
}

/// What the call needs, and shown to conditions.
fn needs(exchange: &Exchange, call: &Call<'_>) -> Needs {
    let known = exchange.ai.as_ref().and_then(|ai| ai.borrow().needs);
    if let Some(known) = known {
        return known;
    }
    let looks = |target: &ProviderTarget| target.when.is_some() || target.facts.minds_images();
    let minds = |target: &ProviderTarget| target.facts.minds_wants();
    let wants = match call.other.is_none() && call.model.targets.iter().any(minds) {
        true => Wants::of(call.dialect, &call.body),
        false => Wants::default(),
    };
    let needs = Needs {
        tokens: call.tokens(),
        max_tokens: call.facts.max_tokens,
        tools: call.facts.has_tools,
        // A search through the whole request, for models that ask for it.
        vision: call.other.is_none()
            && call.model.targets.iter().any(looks)
            && call.facts.has_images(call.dialect, &call.body),
        audio: wants.audio,
        documents: wants.documents,
        json_schema: wants.json_schema,
        reasoning: wants.reasoning,
        logprobs: wants.logprobs,
        streaming: call.facts.stream,
    };
    if let Some(ai) = &exchange.ai {
        ai.borrow_mut().needs = Some(needs);
    }
    needs
}

/// The first of these capabilities that the call needs.
fn lacking_of(absent: &[Capability], needs: &Needs) -> Option<Capability> {
    let lacking = absent.iter().find(|absent| match absent {
        Capability::Tools => needs.tools,
        Capability::Vision => needs.vision,
        Capability::Audio => needs.audio,
        Capability::Documents => needs.documents,
        Capability::JsonSchema => needs.json_schema,
        Capability::Reasoning => needs.reasoning,
        Capability::Logprobs => needs.logprobs,
        Capability::Streaming => needs.streaming,
    });
    lacking.copied()
}

fn cannot(model: &Model, capability: Capability) -> Fault {
    let what = match capability {
        Capability::Tools => "call tools",
        Capability::Vision => "read images",
        Capability::Audio => "hear audio",
        Capability::Documents => "read documents",
        Capability::JsonSchema => "answer by a JSON schema",
        Capability::Reasoning => "think before it answers",
        Capability::Logprobs => "give log probabilities",
        Capability::Streaming => "stream its answers",
    };
    let message = format!("The model `{}` cannot {what}.", model.name);
    Fault::new(FaultCode::InvalidBody).message(message)
}

fn failed(error: String) -> Fault {
    Fault::new(FaultCode::PolicyFailed).detail(format!("the `when` of a target: {error}"))
}

/// How long the limits of a target's provider have no room for a call; zero when they have.
fn wait_of(target: &ProviderTarget, tokens: u64, now: Moment) -> Duration {
    let meter = target.meter.as_ref();
    meter.map_or(Duration::ZERO, |meter| meter.wait(tokens, now))
}

/// From when on a target can take a call of about so many tokens.
fn free_from(target: &ProviderTarget, tokens: u64) -> Moment {
    let credentials = target.provider.credentials.iter().zip(&target.lanes);
    let soonest = credentials
        .map(|(credential, lane)| credential.bench.until().max(lane.free_from(tokens)))
        .min();
    let rests = target.state.bench.until().max(target.state.held_until());
    soonest.unwrap_or_default().max(rests)
}

/// The credential for a try: the next in turn that can take it and is not among `used`. For the
/// first try there always is one: the one that is free the soonest.
pub(super) fn lane(
    now: Moment,
    call: &Call<'_>,
    target: &ProviderTarget,
    used: &[usize],
) -> Option<usize> {
    let count = target.lanes.len();
    if count == 1 {
        return used.is_empty().then_some(0);
    }
    let tokens = call.tokens();
    let turn = target.provider.turn();
    let free = |index: &usize| {
        let rests = target.provider.credentials[*index].bench.is_out(now);
        !used.contains(index) && !rests && target.lanes[*index].has_room(tokens, now)
    };
    let in_turn = (0..count).map(|step| (turn + step) % count).find(free);
    in_turn.or_else(|| {
        let soonest = |index: &usize| {
            let bench = target.provider.credentials[*index].bench.until();
            bench.max(target.lanes[*index].free_from(tokens))
        };
        let any = (0..count).min_by_key(soonest);
        any.filter(|_| used.is_empty())
    })
}
