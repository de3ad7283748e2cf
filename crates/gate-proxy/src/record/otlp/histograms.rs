//! Histograms of durations as OTLP's metrics, one of each name with a point per set of attributes.

use super::super::metrics::Timing;
use super::convert::{Attributes, nanos};
use super::messages::{Buckets, ExponentialHistogram, ExponentialPoint, Metric};
use std::time::Duration;

/// What is counted goes on from the start of the process.
const CUMULATIVE: i32 = 2;

/// Histograms as metrics, those of a name together; `now` and when counting began as UNIX times.
pub(super) fn metrics(timings: &[Timing], began: Duration, now: Duration) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for timing in timings {
        let point = point(timing, began, now);
        let known = metrics.iter_mut().find(|one| one.name == timing.name);
        if let Some(histogram) = known.and_then(|one| one.exponential_histogram.as_mut()) {
            histogram.data_points.push(point);
            continue;
        }
        metrics.push(Metric {
            name: timing.name.to_owned(),
            description: timing.help.to_owned(),
            unit: "s".to_owned(),
            exponential_histogram: Some(ExponentialHistogram {
                data_points: vec![point],
                aggregation_temporality: CUMULATIVE,
            }),
        });
    }
    metrics
}

fn point(timing: &Timing, began: Duration, now: Duration) -> ExponentialPoint {
    let mut attributes = Attributes(Vec::with_capacity(timing.attributes.len()));
    for (name, value) in &timing.attributes {
        attributes.text(name, value);
    }
    let shown = timing.durations.otlp();
    ExponentialPoint {
        attributes: attributes.0,
        start_time_unix_nano: nanos(began),
        time_unix_nano: nanos(now),
        count: shown.count,
        sum: Some(shown.sum),
        scale: shown.scale,
        zero_count: shown.zero_count,
        positive: Some(Buckets {
            offset: shown.offset,
            bucket_counts: shown.bucket_counts,
        }),
        min: shown.min,
        max: shown.max,
    }
}
