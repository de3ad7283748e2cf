//! What a finished exchange says about each signal.

use super::{Arm, Reading};
use crate::{Condition, Exchange, Outcome, Record};
use gate_model::fault::FaultSource;
use gate_model::resources::Signal;
use gate_model::units::Money;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// A duration of the candidate counts as this much shorter before it is compared, in microseconds:
/// nobody waits for a millisecond, and a fresh snapshot has cold memory.
const SLACK_US: u64 = 1000;

/// A signal of a trial.
pub struct SignalPlan {
    /// Its name.
    pub name: Arc<str>,
    /// Where its readings come from.
    pub source: Source,
}

/// Where a signal's readings come from.
pub enum Source {
    /// A built-in one.
    Known(Signal),
    /// An expression that holds for bad exchanges.
    Bad(Box<dyn Condition>),
}

/// Reads every signal of an exchange whose record is complete.
pub(super) fn read(
    signals: &[SignalPlan],
    exchange: &Exchange,
    arm: Arm,
    tolerance: f64,
) -> SmallVec<[Reading; 8]> {
    let read = |plan: &SignalPlan| match &plan.source {
        Source::Known(signal) => known(*signal, &exchange.record, arm, tolerance),
        Source::Bad(condition) => match condition.holds(exchange) {
            Ok(is_bad) => Reading::Label(is_bad),
            Err(_) => Reading::Nothing,
        },
    };
    signals.iter().map(read).collect()
}

fn known(signal: Signal, record: &Record, arm: Arm, tolerance: f64) -> Reading {
    let time = |duration: Duration| {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Reading::Size(fair(micros, SLACK_US, arm, tolerance))
    };
    match signal {
        Signal::Errors => Reading::Label(is_error(record)),
        Signal::Refusals => Reading::Label((400..500).contains(&record.status)),
        Signal::Latency => time(record.duration),
        Signal::TimeToFirstToken => {
            let first = record.ai.as_ref().and_then(|ai| ai.first_token);
            first.map_or(Reading::Nothing, time)
        }
        Signal::Cost => {
            let cost = record.ai.as_ref().and_then(|ai| ai.cost);
            cost.map_or(Reading::Nothing, |cost| {
                Reading::Size(fair(nanos(cost), 0, arm, tolerance))
            })
        }
    }
}

/// Nanodollars: a token of the cheapest model costs some ten of them.
pub(super) fn nanos(cost: Money) -> u64 {
    u64::try_from(cost.picodollars() / 1000).unwrap_or(0)
}

/// A size of the candidate as it would be, were it as much larger as is tolerated.
fn fair(size: u64, slack: u64, arm: Arm, tolerance: f64) -> u64 {
    match arm {
        Arm::Control => size,
        Arm::Candidate => (size.saturating_sub(slack) as f64 / (1.0 + tolerance)).round() as u64,
    }
}

/// Whether an exchange failed by the fault of the gateway or of what is behind it.
pub(crate) fn is_error(record: &Record) -> bool {
    let of_others = record
        .fault
        .is_some_and(|fault| fault.source() != FaultSource::Client);
    let refused = (400..500).contains(&record.status);
    record.status >= 500
        || record.outcome == Outcome::Cut
        || (of_others && !refused && record.outcome != Outcome::ClientClosed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::fault::FaultCode;

    fn record(status: u16, fault: Option<FaultCode>, outcome: Outcome) -> Record {
        Record {
            status,
            fault,
            outcome,
            duration: Duration::from_millis(21),
            ..Record::default()
        }
    }

    #[test]
    fn errors_are_the_gateways_and_the_upstreams_refusals_the_callers() {
        let label = |signal, record| match known(signal, &record, Arm::Control, 0.0) {
            Reading::Label(bad) => bad,
            other => panic!("{other:?}"),
        };
        let cases = [
            (record(200, None, Outcome::Complete), false, false),
            (
                record(502, Some(FaultCode::UpstreamUnreachable), Outcome::Complete),
                true,
                false,
            ),
            (
                record(200, Some(FaultCode::UpstreamReset), Outcome::Cut),
                true,
                false,
            ),
            (
                record(404, Some(FaultCode::RouteNotFound), Outcome::Complete),
                false,
                true,
            ),
            (
                record(0, Some(FaultCode::ClientClosed), Outcome::ClientClosed),
                false,
                false,
            ),
        ];
        for (record, error, refusal) in cases {
            assert_eq!(label(Signal::Errors, record.clone()), error, "{record:?}");
            assert_eq!(
                label(Signal::Refusals, record.clone()),
                refusal,
                "{record:?}"
            );
        }
    }

    #[test]
    fn the_candidate_may_be_a_little_slower() {
        let record = record(200, None, Outcome::Complete);
        let size = |arm| known(Signal::Latency, &record, arm, 0.05);
        assert_eq!(size(Arm::Control), Reading::Size(21_000));
        assert_eq!(size(Arm::Candidate), Reading::Size(19_048));
        assert_eq!(
            known(Signal::Cost, &record, Arm::Control, 0.0),
            Reading::Nothing
        );
    }
}
