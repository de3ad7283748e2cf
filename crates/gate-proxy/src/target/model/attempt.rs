//! One try: made by `fetch`, recorded, learnt from, and its answer made ready for the caller.

use super::answer::answer;
use super::call::{Call, detour};
use super::fetch::{Fetched, Origin, fetch};
use super::refusal::Refused;
use super::request::Outgoing;
use super::room::Room;
use super::{ProviderTarget, learn};
use crate::money::by_time;
use gate_flow::{Exchange, Fault, Leg, LegEnd, LegParts};
use gate_kit::clock::Moment;
use gate_kit::http::{Body, Response, ResponseHead};
use gate_model::fault::FaultCode;
use std::time::Duration;

/// What became of one try.
pub(super) enum Tried {
    Answer(Response),
    Bad(Bad),
}

/// Why a try came to nothing.
pub(super) enum Bad {
    /// The provider said no.
    Refused(Box<Refused>),
    /// There was no answer, or none that can be used.
    Failed {
        fault: Fault,
        /// Whether the same target may answer a little later.
        passes: bool,
        /// Whether a connection had been kept idle for too long and nothing else is wrong.
        stale: bool,
        /// Whether the provider may bill it: it had the request, and did not refuse it.
        billed: bool,
    },
    /// This target cannot be sent the request, of which another may take all; nothing was sent.
    Unfit(Fault),
    /// Whatever is tried next would fail the same way.
    Final(Fault),
}

impl Bad {
    /// A failure that another target may not share, and that costs nothing.
    pub(super) fn failed(fault: Fault, passes: bool) -> Self {
        Self::Failed {
            fault,
            passes,
            stale: false,
            billed: false,
        }
    }

    /// The same of an answer that had begun.
    pub(super) fn broken(fault: Fault, passes: bool) -> Self {
        Self::Failed {
            fault,
            passes,
            stale: false,
            billed: true,
        }
    }

    /// What it was given up with, where the provider may bill it.
    pub(super) fn billed(&self) -> Option<FaultCode> {
        match self {
            Self::Failed {
                fault,
                billed: true,
                ..
            } => Some(fault.code),
            _ => None,
        }
    }
}

/// An answer that is good as far as can be seen.
pub(super) struct Got {
    pub(super) outgoing: Outgoing,
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    pub(super) is_stream: bool,
    pub(super) started: Moment,
}

/// Tries `target` with its credential `index`.
pub(super) async fn one(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    index: usize,
    room: &Room,
) -> Tried {
    note_provider(exchange, call, target);
    let fetched = fetch(Origin::of(exchange), call, target, index, room).await;
    conclude(exchange, call, target, index, fetched)
}

/// Records a try, learns from it, and makes its answer ready for the caller.
pub(super) fn conclude(
    exchange: &mut Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
    index: usize,
    fetched: Fetched,
) -> Tried {
    let Fetched {
        attempt,
        stale,
        result,
    } = fetched;
    let now = attempt.as_ref().map_or(exchange.record.started, |row| {
        exchange.record.started.plus(row.started + row.duration)
    });
    exchange.record.attempts.extend(stale.map(|row| *row));
    exchange.record.attempts.extend(attempt);
    if learn::from(call, target, index, &result, now) {
        detour(exchange, |detours| detours.benched += 1);
    }
    let bad = match result {
        Err(bad) => bad,
        Ok(got) => match answer(exchange, call, target, got) {
            Ok(response) => return Tried::Answer(response),
            Err(fault) => {
                if let Some(row) = exchange.record.attempts.last_mut() {
                    row.fault = Some(fault.code);
                }
                Bad::broken(fault, false)
            }
        },
    };
    if let (Some(code), Some(row)) = (bad.billed(), exchange.record.attempts.last()) {
        let leg = given_up(call, target, code, row.duration);
        detour(exchange, |detours| detours.legs.push(leg));
    }
    Tried::Bad(bad)
}

/// What a try comes to that was given up after `time`, with this fault: the provider may have written
/// all the while.
pub(super) fn given_up(
    call: &Call<'_>,
    target: &ProviderTarget,
    code: FaultCode,
    time: Duration,
) -> Leg {
    Leg {
        provider: target.provider.name.clone(),
        provider_model: target.model.clone(),
        end: LegEnd::GivenUp(code),
        input_tokens: call.tokens(),
        output_tokens: by_time(time),
        parts: LegParts::default(),
        estimated: true,
        running_since: None,
    }
}

/// Names the target of a try in the record, before it begins.
pub(super) fn note_provider(exchange: &Exchange, call: &Call<'_>, target: &ProviderTarget) {
    let Some(ai) = &exchange.ai else { return };
    let mut ai = ai.borrow_mut();
    ai.provider = Some(target.provider.name.clone());
    ai.provider_kind = target.provider.kind.telemetry_name;
    ai.provider_model = Some(target.model.clone());
    ai.tariff.clone_from(&target.tariff);
    ai.translated = !call.is_native(target);
}
