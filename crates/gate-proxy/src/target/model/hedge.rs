//! Two calls side by side: when the first is slow to its first token, a second one races it.
//!
//! The first to have an answer wins; dropping the other cancels it. A failure does not win while
//! the other may still answer. What the cancelled call may have cost is recorded as an estimate,
//! from which it is settled. Neither call touches the exchange until the race is over.

use super::attempt::{Tried, conclude, note_provider};
use super::call::{Call, detour};
use super::fetch::{Fetched, Origin, fetch};
use super::room::Room;
use super::{Model, ProviderTarget};
use crate::money::by_time;
use gate_flow::{Attempt, Exchange, Leg, LegEnd, LegParts};
use gate_kit::clock::Moment;
use gate_model::resources::HedgeAfter;
use std::pin::Pin;
use std::time::Duration;

/// One of the two.
pub(super) struct Runner<'m> {
    pub(super) target: &'m ProviderTarget,
    /// Which of its credentials.
    pub(super) index: usize,
    pub(super) room: Room,
}

/// How a race ended.
pub(super) struct Raced<'m> {
    /// The runner that failed while the other had not ended, if one did.
    pub(super) failed: Option<(&'m ProviderTarget, Tried)>,
    /// The runner that counts, and what became of it.
    pub(super) last: (&'m ProviderTarget, Tried),
    /// Whether there was a second one.
    pub(super) both: bool,
}

/// After which time a second call starts; none when there is nothing to go by.
pub(super) fn delay(model: &Model, target: &ProviderTarget, stream: bool) -> Option<Duration> {
    match model.hedge? {
        // A time to the first token says nothing about how long a whole answer takes.
        HedgeAfter::Time(time) => stream.then(|| time.duration()),
        HedgeAfter::Percentile(percent) => target.state.latency(stream).percentile(percent),
    }
}

/// Runs the first, and after `delay` the second beside it, if there is budget for that.
pub(super) async fn race<'m>(
    exchange: &mut Exchange,
    call: &Call<'m>,
    first: Runner<'m>,
    second: impl FnOnce(&Exchange, &Runner<'m>) -> Option<Runner<'m>>,
    delay: Duration,
) -> Raced<'m> {
    note_provider(exchange, call, first.target);
    let model = call.model;
    let begun = exchange.services.clock().now();
    let shared: &Exchange = exchange;
    let mut leading = Box::pin(fetch(
        Origin::of(shared),
        call,
        first.target,
        first.index,
        &first.room,
    ));
    let timer = shared.services.sleep(delay);
    let early = tokio::select! {
        biased;
        fetched = &mut leading => Some(fetched),
        () = timer => None,
    };
    let in_flight = first.target.provider.upstream.in_flight();
    let extra = match early {
        Some(_) => None,
        None => model.extra.take(in_flight, model.extra_share),
    };
    // The permission is held for the race alone: the winner is an ordinary call then.
    let second = extra.and_then(|extra| Some((second(shared, &first)?, extra)));
    let Some((second, _extra)) = second else {
        let fetched = match early {
            Some(fetched) => {
                drop(leading);
                fetched
            }
            None => leading.await,
        };
        let tried = conclude(exchange, call, first.target, first.index, fetched);
        return Raced {
            failed: None,
            last: (first.target, tried),
            both: false,
        };
    };
    let joined = shared.services.clock().now();
    let since = joined.since(shared.record.started);
    let beside = Leg {
        running_since: Some(since),
        ..lost(call, second.target)
    };
    detour(shared, |detours| {
        detours.hedges += 1;
        detours.legs.push(beside);
    });
    let origin = Origin {
        moment: Some(joined),
        ..Origin::of(shared)
    };
    let trailing = Box::pin(fetch(
        origin,
        call,
        second.target,
        second.index,
        &second.room,
    ));
    let (one, other) = both(leading, trailing).await;
    // Told by how it ended from here on.
    detour(shared, |detours| {
        detours.legs.retain(|leg| leg.running_since.is_none())
    });
    let first_won = one.as_ref().is_some_and(|fetched| fetched.result.is_ok());
    let (one, other) = ((first, one, begun), (second, other, joined));
    let (winner, loser) = match first_won {
        true => (one, other),
        false => (other, one),
    };
    finish(exchange, call, winner, loser, !first_won)
}

/// Waits for an answer of either; for both when the first to end has failed.
async fn both(
    mut one: Pin<Box<impl Future<Output = Fetched>>>,
    mut other: Pin<Box<impl Future<Output = Fetched>>>,
) -> (Option<Fetched>, Option<Fetched>) {
    tokio::select! {
        biased;
        fetched = &mut one => match fetched.result {
            Ok(_) => (Some(fetched), None),
            Err(_) => (Some(fetched), Some(other.await)),
        },
        fetched = &mut other => match fetched.result {
            Ok(_) => (None, Some(fetched)),
            Err(_) => (Some(one.await), Some(fetched)),
        },
    }
}

/// A runner, what it brought unless it was cancelled, and when it began.
type Ended<'m> = (Runner<'m>, Option<Fetched>, Moment);

fn finish<'m>(
    exchange: &mut Exchange,
    call: &Call<'m>,
    (winner, won, _): Ended<'m>,
    (loser, lost, loser_began): Ended<'m>,
    second_won: bool,
) -> Raced<'m> {
    let cancelled = lost.is_none();
    let failed = lost.map(|fetched| {
        let tried = conclude(exchange, call, loser.target, loser.index, fetched);
        (loser.target, tried)
    });
    if cancelled {
        // Before the winner's, which readers take for the one that served.
        note_cancelled(exchange, loser.target, loser_began);
    }
    note_provider(exchange, call, winner.target);
    let fetched = won.expect("whoever was not cancelled has ended");
    let is_answer = fetched.result.is_ok();
    let tried = conclude(exchange, call, winner.target, winner.index, fetched);
    detour(exchange, |detours| {
        detours.hedge_won = second_won && is_answer
    });
    if cancelled {
        abandon(exchange, call, loser.target, loser_began);
    }
    Raced {
        failed,
        last: (winner.target, tried),
        both: true,
    }
}

/// Records a call that was cancelled as a try without an outcome.
fn note_cancelled(exchange: &mut Exchange, target: &ProviderTarget, began: Moment) {
    let now = exchange.services.clock().now();
    if let Some(endpoint) = target.provider.upstream.picker.endpoints().next() {
        exchange.record.attempts.push(Attempt {
            endpoint: endpoint.address.clone(),
            status: 0,
            fault: None,
            started: began.since(exchange.record.started),
            duration: now.since(began),
            reused: false,
        });
    }
}

/// Records a call that was cancelled as a leg whose tokens are estimated. A whole answer is taken to
/// have been written as far as the winner's, because there is no telling. Of a stream no token had
/// come, so that the provider may have thought all the time that it ran.
fn abandon(exchange: &mut Exchange, call: &Call<'_>, target: &ProviderTarget, began: Moment) {
    let Some(ai) = &exchange.ai else { return };
    let ran = exchange.services.clock().now().since(began);
    let mut ai = ai.borrow_mut();
    let written = ai.output_tokens.filter(|_| !call.facts.stream);
    ai.detours().legs.push(Leg {
        output_tokens: written.unwrap_or_else(|| by_time(ran)),
        ..lost(call, target)
    });
}

/// A call that is not the one that answers, before anything is known of what it has written.
fn lost(call: &Call<'_>, target: &ProviderTarget) -> Leg {
    Leg {
        provider: target.provider.name.clone(),
        provider_model: target.model.clone(),
        end: LegEnd::HedgeLost,
        input_tokens: call.tokens(),
        output_tokens: 0,
        parts: LegParts::default(),
        estimated: true,
        running_since: None,
    }
}
