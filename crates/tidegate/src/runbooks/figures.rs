//! What checks look at: traffic of this gateway by the second, and where objectives stand.

use crate::promises::Promises;
use gate_kit::order::Gather;
use gate_model::resources::Check;
use gate_ops::runbook::{Figures, ObjectiveFigures};
use gate_proxy::process::Process;
use gate_proxy::record::live::TrafficOf;
use gate_proxy::upstream::Upstream;
use std::ops::Range;
use std::sync::Arc;

/// Rows of exchanges are counted so much later than they ended, at most, in milliseconds, and a little.
const LATE_MS: u64 = 200;
/// The windows in which the worst endpoint is looked for, in seconds: what has just begun is seen in the
/// first, and what has few tries in the last.
const WORST_OVER_S: [u64; 3] = [3, 10, 30];
/// Tries that it must have had, so that it is known to be bad.
const WORST_LEAST: u64 = 5;

/// The seconds that a check looks at now, with traffic from `from_ms` on; none where the window would
/// have to begin before.
pub(super) fn window(check: &Check, from_ms: u64, now_ms: u64) -> Option<Range<u64>> {
    let until = now_ms.saturating_sub(LATE_MS) / 1000;
    let over = check.over.duration().as_secs().max(1);
    let from = until.saturating_sub(over);
    // The second in which it began is not whole.
    let first = if from_ms == 0 {
        0
    } else {
        (from_ms + LATE_MS) / 1000 + 1
    };
    (from >= first).then_some(from..until)
}

/// What a check looks at.
pub(super) fn figures(process: &Process, check: &Check, seconds: &Range<u64>) -> Figures {
    let shared = process.shared();
    let name = |name: &String| -> Arc<str> { name.as_str().into() };
    let of = &check.of;
    let traffic = match (&of.route, &of.upstream, &of.endpoint, &of.provider) {
        (Some(route), ..) => TrafficOf::Route(name(route)),
        (_, Some(upstream), Some(endpoint), _) => {
            TrafficOf::Endpoint(name(upstream), name(endpoint))
        }
        (_, Some(upstream), None, _) => TrafficOf::Upstream(name(upstream)),
        (.., Some(provider)) => TrafficOf::Provider(name(provider)),
        _ => TrafficOf::All,
    };
    let count = shared.readers.traffic(&traffic, seconds);
    let (endpoints, available) = endpoints(process, of.upstream.as_deref());
    let promises = Promises::of(process);
    let resources = shared.snapshot.load().resources.clone();
    let objectives = resources.objectives.keys().filter_map(|name| {
        let burn = promises.burning(name)?;
        let figures = ObjectiveFigures {
            rate: burn.rate,
            spent: burn.spent,
            is_on: burn.is_on,
        };
        Some((name.clone(), figures))
    });
    Figures {
        total: count.total,
        bad: count.bad,
        p50_ms: count.p50_ms,
        p99_ms: count.p99_ms,
        endpoints,
        available,
        objectives: objectives.into_map(),
    }
}

/// Endpoints of an upstream (of all when none is named), and those that may be called.
fn endpoints(process: &Process, upstream: Option<&str>) -> (u64, u64) {
    let now = process.shared().clock.now();
    let upstreams = process.shared().upstreams.load();
    let is_meant = |one: &&Arc<Upstream>| upstream.is_none_or(|name| name == &*one.name);
    let all = upstreams.values().filter(is_meant);
    let (mut count, mut usable) = (0, 0);
    for endpoint in all.flat_map(|one| one.picker.endpoints()) {
        count += 1;
        usable += u64::from(endpoint.is_usable(now));
    }
    (count, usable)
}

/// The endpoint of an upstream that fails most.
///
/// # Errors
/// A sentence, when none fails half of its tries.
pub(super) fn worst(process: &Process, upstream: &str, now_ms: u64) -> Result<String, String> {
    let until = now_ms / 1000 + 1;
    let worst = WORST_OVER_S.iter().find_map(|over| {
        let seconds = until.saturating_sub(*over)..until;
        let all = process
            .shared()
            .readers
            .endpoint_traffic(upstream, &seconds);
        let known = all.iter().filter(|(_, total, _)| *total >= WORST_LEAST);
        // Shares are compared without dividing.
        let worst = known.max_by(|(_, n, bad), (_, m, worse)| (bad * m).cmp(&(worse * n)))?;
        (worst.2 * 2 >= worst.1).then(|| worst.0.to_string())
    });
    worst.ok_or_else(|| {
        format!(
            "no endpoint of `{upstream}` failed half of {WORST_LEAST} tries or more in the last 3, 10 or \
             30 seconds"
        )
    })
}
