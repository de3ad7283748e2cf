//! Jobs: an event has arrived when the job is kept that it starts. The job's key is that of the event for
//! this subscriber, and a key finds the job that was kept under it: an event that comes again, whoever
//! delivers it, starts nothing.

use super::{Failure, Letter, Means};
use crate::jobs::{Refused, lane};
use crate::subscribers::stored::now_ms;
use gate_model::resources::JobTarget;
use gate_ops::event::cloud::write_structured;
use gate_ops::event::delivery::{job_order, job_parent};
use gate_store::control::ControlError;
use serde_json::Value;

pub(super) fn send(means: &Means, letter: &Letter<'_>, target: &JobTarget) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let shelf = means.jobs.as_ref().ok_or("this gateway keeps no jobs")?;
    let mut event = Vec::new();
    write_structured(&letter.event, &mut event);
    let event: Value =
        serde_json::from_slice(&event).map_err(|error| Failure::Never(error.to_string()))?;
    let consumers = &parcel.resources.consumers;
    let consumer = target
        .consumer
        .as_ref()
        .and_then(|name| consumers.get(name));
    let team = consumer.and_then(|consumer| consumer.team.as_deref());
    let parent_items = match job_parent(target, &event).map_err(Failure::Never)? {
        None => None,
        Some(id) => {
            let parent = shelf.job(&id).map_err(failure)?;
            parent.map(|row| u32::try_from(row.items).unwrap_or(u32::MAX))
        }
    };
    let made = job_order(
        target,
        event,
        parent_items,
        team.unwrap_or_default(),
        now_ms(),
    );
    let (mut order, name) = made.map_err(Failure::Never)?;
    order.spec.lane = lane(&order);
    let submitted = shelf.submit(order, &parcel.key, &name);
    let (job, is_new) = submitted.map_err(|refused| match refused {
        Refused::Problem(problem) => Failure::Never(problem),
        Refused::Store(error) => failure(error),
    })?;
    let subscriber = &parcel.id.subscriber;
    tracing::debug!(subscriber, job, is_new, "an event has its job");
    Ok(())
}

fn failure(error: ControlError) -> Failure {
    match error {
        // It will be as large the next time.
        ControlError::TooLarge { .. } => Failure::Never(error.to_string()),
        _ => Failure::Later(error.to_string(), None),
    }
}
