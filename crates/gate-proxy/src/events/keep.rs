//! Keeping events in the journal for workers, within bounds, also while the store is away.
//!
//! After a failure everybody is refused at once for a moment; then one is let through and finds out
//! whether the store is back, while the others are refused as before.

use super::key_in;
use crate::process::Shared;
use gate_flow::{Places, PublishError, PublishedEvent};
use gate_store::journal::{AppendError, NewEvent};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long events may take to be safe.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long everybody is refused after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the journal answered of late.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// In milliseconds of UNIX time: until when nobody asks; 0 while all is well.
    closed_ms: AtomicU64,
}

impl Keeper {
    /// Keeps events; see [`gate_flow::Services::publish`].
    pub(crate) async fn publish(&self, shared: &Shared, events: Vec<PublishedEvent>) -> Places {
        let later = |why: &str| PublishError::Later(PAUSE, why.to_owned());
        let Some(journal) = shared.journal.get() else {
            return Err(later("the journal is not open"));
        };
        let now_ms = || u64::try_from(shared.clock.unix().as_millis()).unwrap_or(u64::MAX);
        if !self.may_ask(now_ms()) {
            return Err(later("the journal failed a moment ago"));
        }
        let snapshot = shared.snapshot.load();
        let environment = snapshot.resources.gateway.environment.as_deref();
        let mut tickets = Vec::with_capacity(events.len());
        for event in events {
            let event = NewEvent {
                key: match environment {
                    Some(environment) => key_in(environment, &event.key).into(),
                    None => event.key,
                },
                kind: event.kind,
                consumer: event.consumer,
                payload: event.payload,
            };
            tickets.push(journal.append(event).map_err(told)?);
        }
        let written = async {
            let mut places = Vec::with_capacity(tickets.len());
            for ticket in tickets {
                places.push(ticket.done().await?);
            }
            Ok(places)
        };
        let result = match tokio::time::timeout(PATIENCE, written).await {
            Ok(result) => result.map_err(told),
            Err(_) => Err(PublishError::Later(
                PAUSE,
                format!("the journal did not answer within {PATIENCE:?}"),
            )),
        };
        let closed_ms = match &result {
            Ok(_) => 0,
            Err(_) => now_ms().saturating_add(PAUSE.as_millis() as u64),
        };
        self.closed_ms.store(closed_ms, Ordering::Relaxed);
        result
    }

    /// Whether to ask the journal: always while it answers, one at a time where it failed.
    fn may_ask(&self, now_ms: u64) -> bool {
        let closed_ms = self.closed_ms.load(Ordering::Relaxed);
        if closed_ms == 0 {
            return true;
        }
        let until_ms = now_ms.saturating_add((PATIENCE + PAUSE).as_millis() as u64);
        // A clock that went back opens it, too.
        let is_over = now_ms >= closed_ms || closed_ms > until_ms;
        let swap = |closed_ms| {
            let (set, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            let swapped = self
                .closed_ms
                .compare_exchange(closed_ms, until_ms, set, failed);
            swapped.is_ok()
        };
        is_over && swap(closed_ms)
    }
}

fn told(error: AppendError) -> PublishError {
    match error {
        AppendError::Refused(why) => PublishError::Refused(why),
        other => PublishError::Later(PAUSE, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_at_a_time_finds_out_and_success_opens_for_all() {
        let keeper = Keeper::default();
        assert!(keeper.may_ask(1_000) && keeper.may_ask(1_000));
        keeper.closed_ms.store(2_000, Ordering::Relaxed);
        assert!(!keeper.may_ask(1_999));
        assert!(keeper.may_ask(2_000), "one finds out");
        assert!(!keeper.may_ask(2_001), "the others wait");
        assert!(keeper.may_ask(8_000), "it was never heard of again");
        assert!(keeper.may_ask(500), "the clock went back");
        keeper.closed_ms.store(0, Ordering::Relaxed);
        assert!(keeper.may_ask(8_001) && keeper.may_ask(8_001));
    }
}
