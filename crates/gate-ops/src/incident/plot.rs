//! Curves of an incident as SVG without scripts or fonts, which stands in a page and prints.

use super::{Incident, Moment, What};
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

/// Most actions that are marked; the first ones say what ended it.
const ACTIONS_MAX: usize = 8;
/// Height of the curve of shares.
const SHARES: f64 = 140.0;

/// The share of the exchanges that failed, second by second, with the moments of the onset, of what was
/// done, of an experiment's beginning and end, and of the recovery. Empty where nothing was counted.
#[must_use]
pub fn shares(incident: &Incident) -> String {
    let counted = || incident.series.iter().filter(|one| one.count.total > 0);
    let (Some(first), Some(last)) = (incident.series.first(), incident.series.last()) else {
        return String::new();
    };
    let share = |one: &Moment| one.count.bad as f64 / one.count.total as f64;
    let most = counted().map(share).fold(0.01, f64::max);
    let frame = Frame {
        from_ms: first.at_ms,
        span_ms: (last.at_ms + 1000 - first.at_ms).max(1000),
        most: 1,
    };
    let bottom = SHARES - BELOW;
    let y = |share: f64| bottom - (bottom - ABOVE) * share / most;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {SHARES}\" role=\"img\" \
         aria-label=\"Share of the exchanges that failed, by second\" font-family=\"sans-serif\" font-size=\"11\">\n"
    );
    // A second without exchanges breaks the line: its share is not known.
    let mut path = String::new();
    let mut is_open = false;
    for one in &incident.series {
        if one.count.total == 0 {
            is_open = false;
            continue;
        }
        let (begin, end, y) = (frame.x(one.at_ms), frame.x(one.at_ms + 1000), y(share(one)));
        let step = if is_open { 'L' } else { 'M' };
        let _ = write!(path, "{step}{begin:.1} {y:.1}L{end:.1} {y:.1}");
        is_open = true;
    }
    let _ = writeln!(
        out,
        "<path fill=\"none\" stroke=\"#c0392b\" stroke-width=\"1.5\" d=\"{path}\"/>\n\
         <path stroke=\"currentColor\" stroke-opacity=\".4\" d=\"M{LEFT} {bottom}H{WIDTH}\"/>"
    );
    let end_ms = last.at_ms + 1000;
    for (at, (at_ms, word)) in moments(incident).into_iter().enumerate() {
        if at_ms < first.at_ms || at_ms > end_ms {
            continue;
        }
        let (x, line) = (frame.x(at_ms), 11 + 11 * (at % 3));
        let anchor = if x > WIDTH * 0.85 { "end" } else { "start" };
        let _ = writeln!(
            out,
            "<path stroke=\"currentColor\" stroke-dasharray=\"3 3\" d=\"M{x:.1} {ABOVE}V{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{line}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{word}</text>"
        );
    }
    let _ = write!(
        out,
        "<text x=\"{:.0}\" y=\"{ABOVE}\" text-anchor=\"end\" fill=\"currentColor\">{:.0} %</text>\
         <text x=\"{LEFT}\" y=\"{:.0}\" fill=\"currentColor\">{}</text>\
         <text x=\"{WIDTH}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"currentColor\">{} UTC</text>\n</svg>\n",
        LEFT - 4.0,
        most * 100.0,
        SHARES - 8.0,
        time(first.at_ms),
        SHARES - 8.0,
        time(end_ms),
    );
    out
}

/// What is marked, in the order of time.
fn moments(incident: &Incident) -> Vec<(u64, &'static str)> {
    let mut found = vec![(incident.onset_ms(), "began")];
    let facts = |is: fn(&What) -> bool| incident.facts.iter().filter(move |fact| is(&fact.what));
    let actions = facts(|what| matches!(what, What::Action { .. }));
    found.extend(actions.take(ACTIONS_MAX).map(|fact| (fact.at_ms, "action")));
    let of_run = facts(|what| matches!(what, What::Experiment { .. }));
    found.extend(of_run.map(|fact| (fact.at_ms, "experiment")));
    found.extend(incident.recovered_ms().map(|at_ms| (at_ms, "over")));
    found.sort_unstable();
    found
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
    fn shares_are_marked_where_it_began_what_was_done_and_when_it_was_over() {
        let mut incident = finished();
        assert_eq!(shares(&incident), "");
        let onset_ms = incident.onset_ms();
        let second = |second: u64, total, bad| Moment {
            at_ms: onset_ms - 10_000 + second * 1000,
            count: Count::new(total, bad),
        };
        let seconds: Vec<Moment> = (0..20)
            .map(|at| match at {
                // A second without exchanges has no share.
                5 => second(at, 0, 0),
                0..10 => second(at, 200, 0),
                _ => second(at, 200, 40),
            })
            .collect();
        incident.curve(&seconds);
        incident.act("the canary was stopped", "operations", onset_ms + 3000);
        let picture = shares(&incident);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        for words in [">20 %<", ">began<", ">action<", ">over<"] {
            assert!(picture.contains(words), "{words}: {picture}");
        }
        // The line is broken once, and is at the top since the onset, in the middle of the width.
        let line = picture.split_once(" d=\"M").unwrap().1;
        let line = line.split_once('"').unwrap().0;
        assert_eq!(line.matches('M').count(), 1, "{line}");
        assert!(line.contains("L384.0 16.0"), "{line}");
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
