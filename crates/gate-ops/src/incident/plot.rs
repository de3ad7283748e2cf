//! Curves of an incident as SVG without scripts or fonts, which stands in a page and prints.

use super::{Incident, Moment};
use gate_kit::date;
use std::fmt::Write;
use std::time::Duration;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;
/// Room for words left of and below the curves.
const LEFT: f64 = 48.0;
const BELOW: f64 = 24.0;
const ABOVE: f64 = 16.0;

/// Exchanges by second, all and failed, with the moments of the onset and the recovery. Empty where
/// nothing was counted.
#[must_use]
pub fn plot(incident: &Incident) -> String {
    let (Some(first), Some(last)) = (incident.series.first(), incident.series.last()) else {
        return String::new();
    };
    let most = incident.series.iter().map(|one| one.count.total).max();
    let frame = Frame {
        from_ms: first.at_ms,
        span_ms: (last.at_ms + 1000 - first.at_ms).max(1000),
        most: most.unwrap_or(1).max(1),
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Exchanges by second, all and failed\" font-family=\"sans-serif\" font-size=\"11\">\n"
    );
    let area = |value: fn(&Moment) -> u64, style: &str| {
        let mut path = format!("<path {style} d=\"M{LEFT} {:.1}", HEIGHT - BELOW);
        for one in &incident.series {
            let (begin, end) = (frame.x(one.at_ms), frame.x(one.at_ms + 1000));
            let y = frame.y(value(one));
            let _ = write!(path, "L{begin:.1} {y:.1}L{end:.1} {y:.1}");
        }
        let end = frame.x(last.at_ms + 1000);
        let _ = writeln!(path, "L{end:.1} {:.1}Z\"/>", HEIGHT - BELOW);
        path
    };
    out += &area(
        |one| one.count.total,
        "fill=\"#9aa5b1\" fill-opacity=\".45\"",
    );
    out += &area(|one| one.count.bad, "fill=\"#c0392b\"");
    let mark = |at_ms: u64, words: &str| {
        let x = frame.x(at_ms);
        format!(
            "<path stroke=\"currentColor\" stroke-dasharray=\"3 3\" d=\"M{x:.1} {ABOVE}V{:.1}\"/>\
             <text x=\"{x:.1}\" y=\"12\" text-anchor=\"middle\" fill=\"currentColor\">{words}</text>\n",
            HEIGHT - BELOW
        )
    };
    out += &mark(incident.onset_ms(), "began");
    if incident.opened_ms > incident.onset_ms() + frame.span_ms / 8 {
        out += &mark(incident.opened_ms, "noticed");
    }
    if let Some(at_ms) = incident.recovered_ms() {
        out += &mark(at_ms, "over");
    }
    let _ = write!(
        out,
        "<text x=\"{:.0}\" y=\"{ABOVE}\" text-anchor=\"end\" fill=\"currentColor\">{}/s</text>\
         <text x=\"{LEFT}\" y=\"{:.0}\" fill=\"currentColor\">{}</text>\
         <text x=\"{WIDTH}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"currentColor\">{} UTC</text>\n</svg>\n",
        LEFT - 4.0,
        frame.most,
        HEIGHT - 8.0,
        time(first.at_ms),
        HEIGHT - 8.0,
        time(last.at_ms + 1000),
    );
    out
}

/// What the picture's edges stand for.
struct Frame {
    from_ms: u64,
    span_ms: u64,
    most: u64,
}

impl Frame {
    fn x(&self, at_ms: u64) -> f64 {
        let passed = at_ms.saturating_sub(self.from_ms).min(self.span_ms);
        LEFT + (WIDTH - LEFT) * passed as f64 / self.span_ms as f64
    }

    fn y(&self, value: u64) -> f64 {
        let room = HEIGHT - BELOW - ABOVE;
        HEIGHT - BELOW - room * value as f64 / self.most as f64
    }
}

fn time(at_ms: u64) -> String {
    let [_, _, _, hour, minute, second] = date::civil(Duration::from_millis(at_ms));
    format!("{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::*;
    use crate::slo::Count;

    #[test]
    fn a_curve_shows_what_failed_and_when_it_began() {
        let mut incident = finished();
        assert_eq!(plot(&incident), "");
        let onset_ms = incident.onset_ms();
        let seconds: Vec<Moment> = (0..20)
            .map(|second| Moment {
                at_ms: onset_ms - 10_000 + second * 1000,
                count: Count::new(200, if second < 10 { 0 } else { 40 }),
            })
            .collect();
        incident.curve(&seconds);
        let picture = plot(&incident);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        for words in [">200/s<", ">began<", ">over<", "23:59:47"] {
            assert!(picture.contains(words), "{words}: {picture}");
        }
        // A fifth of the height fails from the middle on: the room is 140 high.
        assert!(picture.contains("L384.0 128.0"), "{picture}");
        assert!(!picture.contains("NaN") && !picture.contains("script"));
    }

    #[test]
    fn a_curve_is_bounded_and_later_counts_replace_earlier_ones() {
        let mut incident = finished();
        let at = |second: u64, bad| Moment {
            at_ms: second * 1000,
            count: Count::new(10, bad),
        };
        let many: Vec<Moment> = (0..3000).map(|second| at(second, 0)).collect();
        incident.curve(&many);
        incident.curve(&[at(2999, 5)]);
        assert_eq!(incident.series.len(), super::super::SERIES_MAX);
        assert_eq!(incident.series.last(), Some(&at(2999, 5)));
    }
}
