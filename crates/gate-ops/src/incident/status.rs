//! The public status page: one file of HTML without scripts, fonts or pictures from elsewhere, so that
//! it can be kept by every cache and served while the rest is on fire.
//!
//! It says what was published, and nothing else of an incident: no facts, no names of routes,
//! revisions or people. An incident without an update is not on it; experiments are not either.

use super::{Incident, Life};
use gate_kit::date;
use gate_kit::order::Order;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// Incidents that were over by then stay for 14 days.
const SHOWN_MS: u64 = 14 * 86_400_000;
/// Most incidents on the page, the latest first.
const INCIDENTS_MAX: usize = 100;

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"robots\" content=\"noarchive\">
";
const STYLE: &str = "<style>
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }
section { border-top: 1px solid; padding: .5rem 0 }
time { font-size: .875rem }
</style>
</head>
<body>
";

/// What the public is told, as it is at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusPage {
    /// Whose page it is.
    pub title: String,
    /// In a few words.
    pub state: String,
    /// When that was so, in UNIX milliseconds.
    pub at_ms: u64,
    /// What was published, those that go on first.
    pub incidents: Vec<StatusIncident>,
}

/// An incident that something was published about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusIncident {
    /// What outsiders call where it is: `Investigating`, `Monitoring`, `Resolved`.
    pub state: &'static str,
    /// What was said, the latest first.
    pub updates: Vec<StatusUpdate>,
}

/// A word to the public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusUpdate {
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Where it was then.
    pub state: &'static str,
    /// The word.
    pub text: String,
}

/// What is on the page at `now_ms`. `title` is the heading.
#[must_use]
pub fn status_page(title: &str, incidents: &[&Incident], now_ms: u64) -> StatusPage {
    let is_shown = |incident: &&&Incident| {
        let is_recent = now_ms.saturating_sub(incident.heard_ms) <= SHOWN_MS;
        let is_real = incident.experiment.is_none();
        is_real && !incident.updates.is_empty() && (incident.life.is_open() || is_recent)
    };
    let mut shown: Vec<&&Incident> = incidents.iter().filter(is_shown).collect();
    shown.order_by_key(|incident| {
        (
            !incident.life.is_open(),
            std::cmp::Reverse(incident.opened_ms),
        )
    });
    shown.truncate(INCIDENTS_MAX);
    let state = match shown.iter().filter(|one| one.life.is_open()).count() {
        0 => "No known incidents".to_owned(),
        1 => "1 incident".to_owned(),
        open => format!("{open} incidents"),
    };
    let update = |update: &super::Update| StatusUpdate {
        at_ms: update.at_ms,
        state: words(update.life),
        text: update.text.clone(),
    };
    let incidents = shown.into_iter().map(|incident| StatusIncident {
        state: words(incident.life),
        updates: incident.updates.iter().rev().map(update).collect(),
    });
    StatusPage {
        title: title.to_owned(),
        state,
        at_ms: now_ms,
        incidents: incidents.collect(),
    }
}

/// The page as HTML.
#[must_use]
pub fn status(page: &StatusPage) -> String {
    let title = escaped(&page.title);
    let state = &page.state;
    let mut out = format!("{HEAD}<title>{title}: {state}</title>\n{STYLE}<h1>{title}</h1>\n");
    let _ = writeln!(
        out,
        "<p><strong>{state}.</strong> As of {}.</p>",
        stamp(page.at_ms)
    );
    for incident in &page.incidents {
        let _ = writeln!(out, "<section>\n<h2>{}</h2>", incident.state);
        for update in &incident.updates {
            let text = escaped(&update.text);
            let _ = writeln!(
                out,
                "<p>{} <b>{}</b> {text}</p>",
                stamp(update.at_ms),
                update.state
            );
        }
        out.push_str("</section>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// What outsiders call it.
const fn words(life: Life) -> &'static str {
    match life {
        Life::Detected | Life::Triaged => "Investigating",
        Life::Mitigated => "Monitoring",
        Life::Resolved | Life::Reviewed => "Resolved",
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character => out.push(character),
        }
    }
    out
}

fn stamp(at_ms: u64) -> String {
    let [year, month, day, hour, minute, _] = date::civil(Duration::from_millis(at_ms));
    format!("<time>{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC</time>")
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::*;

    fn status(title: &str, incidents: &[&Incident], now_ms: u64) -> String {
        super::status(&status_page(title, incidents, now_ms))
    }

    const NOW: u64 = 1_795_392_000_000;

    #[test]
    fn only_what_was_published_is_on_the_page() {
        let mut incident = finished();
        let page = status("Shop", &[&incident], NOW);
        assert!(
            page.contains("<strong>No known incidents.</strong> As of <time>2026-11-23 00:00 UTC")
        );
        incident.life = Life::Triaged;
        incident.publish("Orders <fail> & \"more\"", NOW).unwrap();
        incident.life = Life::Mitigated;
        incident.publish("It works again.", NOW + 60_000).unwrap();
        let page = status("Shop & Co", &[&incident], NOW + 60_000);
        assert!(
            page.contains("<title>Shop &amp; Co: 1 incident</title>"),
            "{page}"
        );
        let first = page.find("<time>2026-11-23 00:00 UTC</time> <b>Investigating</b> Orders &lt;fail&gt; &amp; &quot;more&quot;");
        let second =
            page.find("<time>2026-11-23 00:01 UTC</time> <b>Monitoring</b> It works again.");
        assert!(second.is_some() && second < first, "{page}");
        // Nothing of the inside.
        for inside in [
            "Lin", "Ada", "orders`", "revision", "inc-1", "x-1", "http", "src=",
        ] {
            assert!(!page.contains(inside), "{inside} is on {page}");
        }
    }

    #[test]
    fn what_is_long_over_or_an_experiment_is_not_shown() {
        let mut incident = finished();
        incident.publish("Something", NOW).unwrap();
        let shown =
            |incident: &Incident, now_ms| status("Shop", &[incident], now_ms).contains("Something");
        incident.life = Life::Resolved;
        assert!(shown(&incident, NOW + SHOWN_MS));
        assert!(!shown(&incident, incident.heard_ms + SHOWN_MS + 1));
        incident.life = Life::Triaged;
        assert!(
            shown(&incident, incident.heard_ms + SHOWN_MS + 1),
            "it is not over"
        );
        incident.experiment = Some("game day".into());
        assert!(!shown(&incident, NOW));
    }
}
