//! A place at a target for a call, where a model limits how many a target takes at a time.

use super::ProviderTarget;
use super::call::{Call, between_tries, detour};
use super::state::{Bounds, Permit, Place, Priority};
use gate_flow::{Condition, Exchange, Fault};
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// The limits of a model, compiled.
pub(super) struct Concurrency {
    pub(super) bounds: Bounds,
    pub(super) wait: Duration,
    pub(super) high: Option<Box<dyn Condition>>,
    pub(super) low: Option<Box<dyn Condition>>,
}

/// A place, until the last clone is dropped; nothing where there is no limit.
#[derive(Clone, Default)]
pub(super) struct Room {
    /// Held for what its drop does.
    _permit: Option<Rc<Permit>>,
}

impl Room {
    fn with(permit: Permit) -> Self {
        Self {
            _permit: Some(Rc::new(permit)),
        }
    }
}

/// Takes a place at a target, if there is one.
pub(super) fn take(call: &Call<'_>, target: &ProviderTarget) -> Option<Room> {
    let Some(concurrency) = &call.model.concurrency else {
        return Some(Room::default());
    };
    let permit = target.state.limiter.take(&concurrency.bounds)?;
    Some(Room::with(permit))
}

/// Waits for a place at a target that is full, no longer than there is time for the whole call.
///
/// # Errors
/// [`FaultCode::ModelBusy`] when the queue is full or the wait was too long.
pub(super) async fn wait(
    exchange: &Exchange,
    call: &Call<'_>,
    target: &ProviderTarget,
) -> Result<Room, Fault> {
    let Some(concurrency) = &call.model.concurrency else {
        return Ok(Room::default());
    };
    let limiter = &target.state.limiter;
    let receiver = match limiter.queue(&concurrency.bounds, priority(exchange, concurrency)?) {
        Place::Now(permit) => return Ok(Room::with(permit)),
        Place::Later(receiver) => receiver,
        Place::Full => return Err(shed(exchange, call, "its queue is full")),
    };
    let began = exchange.services.clock().now();
    let until = Instant::now() + concurrency.wait;
    let until = call.deadline.map_or(until, |deadline| deadline.min(until));
    between_tries(exchange, true);
    let received = tokio::time::timeout_at(until, receiver).await;
    between_tries(exchange, false);
    let waited = exchange.services.clock().now().since(began);
    detour(exchange, |detours| {
        detours.queued = Some(detours.queued.unwrap_or_default() + waited);
    });
    match received {
        Ok(Ok(permit)) => Ok(Room::with(permit)),
        _ => Err(shed(exchange, call, "no place came free in time")),
    }
}

fn priority(exchange: &Exchange, concurrency: &Concurrency) -> Result<Priority, Fault> {
    let inside = exchange.client.inside.as_ref();
    if inside.is_some_and(|inside| inside.background) {
        return Ok(Priority::Low);
    }
    let holds = |condition: &Option<Box<dyn Condition>>| match condition {
        None => Ok(false),
        Some(condition) => condition
            .holds(exchange)
            .map_err(|error| Fault::new(FaultCode::PolicyFailed).detail(error)),
    };
    Ok(
        match (holds(&concurrency.high)?, holds(&concurrency.low)?) {
            (true, _) => Priority::High,
            (false, true) => Priority::Low,
            (false, false) => Priority::Normal,
        },
    )
}

fn shed(exchange: &Exchange, call: &Call<'_>, why: &str) -> Fault {
    detour(exchange, |detours| detours.shed = true);
    Fault::new(FaultCode::ModelBusy)
        .detail(format!(
            "every target of `{}` is full and {why}",
            call.model.name
        ))
        .retry_after(Duration::from_secs(1))
}
