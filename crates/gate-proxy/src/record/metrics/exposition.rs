//! Writes metric families as OpenMetrics 1.0, as the older Prometheus text (version 0.0.4), or as
//! Prometheus's protobuf, which alone has native histograms ([`super::protobuf`]).
//!
//! All come from the same calls, so they cannot disagree. OpenMetrics names a counter's family
//! without `_total`, has UNIT lines and ends in `# EOF`; Prometheus text names the family as its
//! samples and has neither. This file knows no metric; [`super::render_traffic`] does.
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/> and
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use super::histogram::{Histogram, Scale, Timed};
use super::protobuf::Families;
use gate_kit::durations::Durations;
use std::fmt::Write;

/// The format of a metrics page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
    /// Prometheus protobuf: `io.prometheus.client.MetricFamily` messages, each behind its length.
    Protobuf,
}

impl Format {
    /// The format for an `Accept` field (RFC 9110 section 12.5.1): the one with the highest quality of
    /// those that are named, of equals protobuf (a Prometheus that wants native histograms names it) before
    /// OpenMetrics before text; Prometheus text where none is, so that browsers and curl get what they can
    /// show.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (0.0, Format::Prometheus);
        for part in accept.unwrap_or_default().split(',') {
            let mut parameters = part.split(';').map(str::trim);
            let format = match parameters.next() {
                Some(name) if name.eq_ignore_ascii_case("application/vnd.google.protobuf") => {
                    // Another message, or another way to tell where one ends, is not ours.
                    if !is_delimited_families(part) {
                        continue;
                    }
                    Format::Protobuf
                }
                Some(name) if name.eq_ignore_ascii_case("application/openmetrics-text") => {
                    Format::OpenMetrics
                }
                Some(name) if name.eq_ignore_ascii_case("text/plain") => Format::Prometheus,
                _ => continue,
            };
            let quality = parameters
                .find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            let rank = |format| match format {
                Format::Protobuf => 2,
                Format::OpenMetrics => 1,
                Format::Prometheus => 0,
            };
            let wins = quality > best.0 || (quality == best.0 && rank(format) > rank(best.1));
            if quality > 0.0 && wins {
                best = (quality, format);
            }
        }
        best.1
    }

    /// The `Content-Type` of a page in this format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }
}

/// Whether a part of an `Accept` field with protobuf asks for what is written here.
fn is_delimited_families(part: &str) -> bool {
    let says = |name: &str, value: &str| {
        let mut parameters = part.split(';').skip(1).map(str::trim);
        let found = parameters.find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        found.is_some_and(|found| found.trim_matches('"') == value)
    };
    says("proto", "io.prometheus.client.MetricFamily") && says("encoding", "delimited")
}

/// What the samples of a family mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; samples are named with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Facts as labels of a constant 1; samples are named with `_info`.
    Info,
    /// Buckets, a sum and a count.
    Histogram,
}

/// A metrics page being written. Families are written whole, one after the other.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    /// What is written instead of text, as protobuf.
    families: Families,
    format: Format,
    /// Name of the current family, without suffix.
    family: &'static str,
    suffix: &'static str,
}

impl Exposition {
    /// An empty page.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            text: String::with_capacity(16 * 1024),
            families: Families::default(),
            format,
            family: "",
            suffix: "",
        }
    }

    /// Opens a family. `name` carries neither `_total` nor `_info` and ends in `_unit` where
    /// `unit` is not empty; `help` is one sentence.
    pub fn family(&mut self, name: &'static str, kind: Kind, unit: &str, help: &str) {
        debug_assert!(
            unit.is_empty() || name.ends_with(unit),
            "{name} must end in {unit}"
        );
        self.family = name;
        self.suffix = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        if self.format == Format::Protobuf {
            let name = format!("{name}{}", self.suffix);
            self.families.open(name, kind, help);
            return;
        }
        let (word, suffix) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => ("counter", ""),
            (_, Kind::Counter) => ("counter", "_total"),
            (Format::OpenMetrics, Kind::Info) => ("info", ""),
            (_, Kind::Info) => ("gauge", "_info"),
            (_, Kind::Gauge) => ("gauge", ""),
            (_, Kind::Histogram) => ("histogram", ""),
        };
        let text = &mut self.text;
        let _ = writeln!(text, "# HELP {name}{suffix} {help}");
        let _ = writeln!(text, "# TYPE {name}{suffix} {word}");
        if self.format == Format::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
    }

    /// Writes a sample of the current family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        if self.format == Format::Protobuf {
            // What is written is a number in the text formats, too.
            let value = value.to_string().parse().unwrap_or(f64::NAN);
            self.families.sample(labels, value);
            return;
        }
        self.name(self.suffix, labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// Opens a family and writes its only sample.
    pub fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        unit: &str,
        help: &str,
        value: impl std::fmt::Display,
    ) {
        self.family(name, kind, unit, help);
        self.sample(&[], value);
    }

    /// Writes a histogram of the current family.
    pub(super) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        scale: &Scale,
        histogram: &Histogram,
    ) {
        self.both(labels, scale, histogram, None);
    }

    /// Writes a histogram of durations of the current family; native where the format has that.
    pub(super) fn timed(&mut self, labels: &[(&str, &str)], scale: &Scale, timed: &Timed) {
        self.both(labels, scale, &timed.classic, Some(&timed.native));
    }

    fn both(
        &mut self,
        labels: &[(&str, &str)],
        scale: &Scale,
        histogram: &Histogram,
        native: Option<&Durations>,
    ) {
        if self.format == Format::Protobuf {
            self.families.histogram(labels, scale, histogram, native);
            return;
        }
        for (bound, count) in histogram.cumulative(scale) {
            self.name("_bucket", labels, Some(&shown_bound(bound, scale)));
            let _ = writeln!(self.text, " {count}");
        }
        let count = histogram.count();
        self.name("_bucket", labels, Some("+Inf"));
        let _ = writeln!(self.text, " {count}");
        self.name("_count", labels, None);
        let _ = writeln!(self.text, " {count}");
        self.name("_sum", labels, None);
        if scale.per_unit == 1 {
            let _ = writeln!(self.text, " {}", histogram.sum());
        } else {
            let _ = writeln!(
                self.text,
                " {}",
                histogram.sum() as f64 / scale.per_unit as f64
            );
        }
    }

    /// The finished page.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        match self.format {
            Format::OpenMetrics => self.text.push_str("# EOF\n"),
            Format::Prometheus => {}
            Format::Protobuf => return self.families.finish(),
        }
        self.text.into_bytes()
    }

    fn name(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)))
        {
            self.text.push(separator);
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

/// A bucket's bound. OpenMetrics asks for floats in canonical form, so that `1` is `1.0`.
fn shown_bound(bound: u64, scale: &Scale) -> String {
    if bound.is_multiple_of(scale.per_unit) {
        format!("{}.0", bound / scale.per_unit)
    } else {
        format!("{}", bound as f64 / scale.per_unit as f64)
    }
}

/// Both formats escape the backslash, the quote and the line feed in label values.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_field_decides_the_format() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4,*/*;q=0.1";
        // What Prometheus 2.42 with native histograms sends.
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                      application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;\
                      q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/html, text/plain"), Format::Prometheus),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (
                Some("application/openmetrics-text; q=0"),
                Format::Prometheus,
            ),
            (
                Some("text/plain, application/openmetrics-text; q=0.5"),
                Format::Prometheus,
            ),
            (Some(prometheus), Format::OpenMetrics),
            (Some(native), Format::Protobuf),
            (Some("application/vnd.google.protobuf"), Format::Prometheus),
            (
                Some(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                ),
                Format::Prometheus,
            ),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn label_values_cannot_break_a_line() {
        let mut page = Exposition::new(Format::OpenMetrics);
        page.family("x", Kind::Counter, "", "Words.");
        page.sample(&[("a", "1\"\\\n2")], 7);
        assert_eq!(
            String::from_utf8(page.finish()).expect("text"),
            "# HELP x Words.\n# TYPE x counter\nx_total{a=\"1\\\"\\\\\\n2\"} 7\n# EOF\n"
        );
    }
}
