//! Metric families as Prometheus's protobuf: the only of its formats that has native histograms.
//!
//! Names and tags are those of `io/prometheus/client/metrics.proto` in
//! <https://github.com/prometheus/client_model>; what is never sent is left out, which protobuf allows.
//! Each family stands behind its length.

use super::exposition::Kind;
use super::histogram::{Histogram as Classic, Scale};
use gate_kit::durations::Durations;
use prost::Message;

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;

/// `MetricFamily`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Family {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    /// The number of its kind.
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
}

/// `Metric`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Value>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Value>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

/// `LabelPair`.
#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// `Gauge` and `Counter`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

/// `Histogram`, with classic buckets and native ones.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

/// `Bucket`.
#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

/// `BucketSpan`.
#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// Families being written; the last is open.
#[derive(Debug, Default)]
pub(super) struct Families {
    open: Option<(Family, Kind)>,
    written: Vec<u8>,
}

impl Families {
    /// Opens a family under its whole name.
    pub(super) fn open(&mut self, name: String, kind: Kind, help: &str) {
        self.close();
        let number = match kind {
            Kind::Counter => COUNTER,
            Kind::Gauge | Kind::Info => GAUGE,
            Kind::Histogram => HISTOGRAM,
        };
        let family = Family {
            name: Some(name),
            help: Some(help.to_owned()),
            kind: Some(number),
            metric: Vec::new(),
        };
        self.open = Some((family, kind));
    }

    /// Writes a sample of the open family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let Some((family, kind)) = &mut self.open else {
            return;
        };
        let value = Some(Value { value: Some(value) });
        let (gauge, counter) = match kind {
            Kind::Counter => (None, value),
            _ => (value, None),
        };
        family.metric.push(Metric {
            label: pairs(labels),
            gauge,
            counter,
            histogram: None,
        });
    }

    /// Writes a histogram of the open family.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        scale: &Scale,
        classic: &Classic,
        native: Option<&Durations>,
    ) {
        let Some((family, _)) = &mut self.open else {
            return;
        };
        let per_unit = scale.per_unit as f64;
        let bucket = classic.cumulative(scale).map(|(bound, count)| Bucket {
            cumulative_count: Some(count),
            upper_bound: Some(bound as f64 / per_unit),
        });
        let mut histogram = Histogram {
            sample_count: Some(classic.count()),
            sample_sum: Some(classic.sum() as f64 / per_unit),
            bucket: bucket.collect(),
            ..Histogram::default()
        };
        if let Some(native) = native.map(Durations::native) {
            histogram.schema = Some(native.schema);
            histogram.zero_threshold = Some(0.0);
            histogram.zero_count = Some(native.zero_count);
            let spans = native.positive_spans.into_iter();
            histogram.positive_span = spans
                .map(|(offset, length)| Span {
                    offset: Some(offset),
                    length: Some(length),
                })
                .collect();
            histogram.positive_delta = native.positive_deltas;
        }
        family.metric.push(Metric {
            label: pairs(labels),
            gauge: None,
            counter: None,
            histogram: Some(histogram),
        });
    }

    /// The finished page.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.written
    }

    fn close(&mut self) {
        // A family without samples says nothing, and some readers refuse it.
        if let Some((family, _)) = self.open.take()
            && !family.metric.is_empty()
        {
            self.written
                .extend_from_slice(&family.encode_length_delimited_to_vec());
        }
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<Label> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| Label {
            name: Some((*name).to_owned()),
            value: Some((*value).to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::exposition::{Exposition, Format};
    use super::super::histogram::{DURATION, Timed};
    use super::*;

    #[test]
    fn families_stand_behind_their_lengths_and_lose_nothing() {
        let mut timed = Timed::default();
        for nanos in [0, 1_000_000, 31_250_000, 31_250_001, 2_000_000_000] {
            timed.observe(&DURATION, nanos);
        }
        let mut page = Exposition::new(Format::Protobuf);
        page.single("x", Kind::Counter, "", "Counted.", 7);
        page.family("nothing", Kind::Gauge, "", "Without samples.");
        page.family("took_seconds", Kind::Histogram, "seconds", "Took.");
        page.timed(&[("route", "a")], &DURATION, &timed);
        let page = page.finish();
        let mut rest = &page[..];
        let mut families = Vec::new();
        while !rest.is_empty() {
            families.push(Family::decode_length_delimited(&mut rest).expect("a family"));
        }
        let [counter, took] = &families[..] else {
            panic!("{families:?}")
        };
        assert_eq!(counter.name.as_deref(), Some("x_total"));
        assert_eq!(counter.metric[0].counter, Some(Value { value: Some(7.0) }));
        assert_eq!(took.name.as_deref(), Some("took_seconds"));
        let found = took.metric[0].histogram.as_ref().expect("a histogram");
        assert_eq!((found.sample_count, found.schema), (Some(5), Some(5)));
        let spans = found.positive_span.iter();
        let back = gate_kit::durations::Native {
            schema: 5,
            zero_count: found.zero_count.expect("told"),
            positive_spans: spans
                .map(|span| (span.offset.expect("told"), span.length.expect("told")))
                .collect(),
            positive_deltas: found.positive_delta.clone(),
            count: 5,
            sum: found.sample_sum.expect("told"),
        };
        let back = Durations::from_native(&back).expect("it fits together");
        assert!(back.buckets().eq(timed.native.buckets()), "{back:?}");
        assert_eq!(back.count(), 5);
    }
}
